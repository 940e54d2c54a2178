// Package upssched is the program that upsmon runs for notifications that have to do
// with time: it starts and cancels timers, and runs a script when one ends. What a
// notification means is decided by package schedule; here are the client that upsmon
// runs, the timer process that it starts when one is needed, and what runs the script.
// It knows nothing of upsd.
package upssched

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"

	"gonut/internal/conf"
	"gonut/internal/daemon"
	"gonut/internal/program"
	"gonut/internal/upssched/schedule"
)

// Program is upssched.
func Program() program.Program {
	return program.Program{Name: "upssched", Summary: "start and cancel timers on notifications of upsmon", Run: run}
}

// options are what the command line asks for.
type options struct {
	debug   int
	list    bool   // -l
	check   bool   // -t
	message string // or the file that -t reads
}

// errUsage asks for the help text.
var errUsage = errors.New("usage")

func parseOptions(e program.Env) (options, error) {
	var o options
	if len(e.Args) > 1 && e.Args[1] == "--help" {
		return o, errUsage
	}
	opts, operands, err := program.Getopt(e.Args[1:], "+DVhlt")
	if err != nil {
		return o, program.Exitf(1, "%s: %w; -h lists the options", e.Args[0], err)
	}
	for _, opt := range opts {
		switch opt.Letter {
		case 'D':
			o.debug++
		case 'l':
			o.list = true
		case 't':
			o.check = true
		case 'V':
			fmt.Fprintln(e.Stdout, daemon.BannerLine("upssched"))
			return o, program.Exit(0)
		default:
			return o, errUsage
		}
	}
	if len(operands) > 0 {
		o.message = operands[0]
	}
	if o.debug == 0 {
		o.debug = daemon.DebugLevel(e.Getenv)
	}
	return o, nil
}

func run(ctx context.Context, e program.Env) error {
	o, err := parseOptions(e)
	if errors.Is(err, errUsage) {
		usage(e.Stdout)
		return nil
	}
	if err != nil {
		return err
	}
	p := process{env: e, opts: o, paths: conf.FindPaths(e.Getenv), log: daemon.NewLog("upssched", e)}
	p.file = p.paths.File("upssched.conf")
	p.log.SetVerbosity(o.debug)
	if mark := e.Getenv(keeperMark); mark != "" {
		return p.keep(ctx, mark)
	}
	switch {
	case o.check:
		return p.check()
	case o.list:
		return p.list(ctx)
	}
	return p.notify(ctx)
}

func usage(w io.Writer) {
	fmt.Fprint(w, daemon.BannerLine("upssched"), `

usage: upssched [OPTIONS] [MESSAGE]
       upssched -l
       upssched -t [FILE]

upsmon runs this program for notifications if its NOTIFYCMD says so. It does what the
matching AT lines of upssched.conf say: it runs CMDSCRIPT, and starts and cancels
timers that run CMDSCRIPT when they end. UPSNAME and NOTIFYTYPE in the environment
tell which UPS the notification is about and what has happened.

  -l   list the running timers: name, time of end (seconds since 1970), seconds left,
       types, UPSes and messages of the notifications, with tabs in between
  -t   check upssched.conf, or FILE: tell what is wrong, which timers nothing cancels,
       and what of it upsmon.conf keeps from ever happening; exit with 1 if anything
  -D   say more about the work; may be repeated
  -V   tell the version
  -h   this text

Its files are in NUT_CONFPATH.
`)
}

// A process is one run of the program.
type process struct {
	env   program.Env
	opts  options
	paths conf.Paths
	log   *daemon.Log
	file  string // upssched.conf
}

// load reads the configuration and logs what is wrong with it.
func (p *process) load() (conf.UPSSched, error) {
	c, problems, err := conf.ReadFile(p.file, conf.ParseUPSSched)
	for _, pr := range problems {
		p.log.Logger().Warn(pr.String())
	}
	if err != nil {
		return c, program.Exitf(1, "upssched: %w", err)
	}
	p.log.SetVerbosity(max(p.opts.debug, c.DebugMin))
	return c, nil
}

// notify does what the configuration says about one notification.
func (p *process) notify(ctx context.Context) error {
	upsName, named := p.lookup("UPSNAME")
	notifyType, typed := p.lookup("NOTIFYTYPE")
	if !named || !typed {
		fmt.Fprintln(p.env.Stdout, "Error: UPSNAME and NOTIFYTYPE must be set.\nupsmon does that when it runs this program as its NOTIFYCMD; -h tells more.")
		return program.Exit(1)
	}
	p.log.OpenSyslog()
	c, err := p.load()
	if err != nil {
		p.log.Logger().Error(err.Error())
		return program.Exit(1) // the log has shown it
	}
	orders := schedule.Orders(c, schedule.Origin{Type: notifyType, UPS: upsName, Message: p.opts.message})
	return p.obey(ctx, orders)
}

// lookup tells a variable that is empty from one that is not there.
func (p *process) lookup(name string) (value string, ok bool) {
	if value = p.env.Getenv(name); value != "" {
		return value, true
	}
	_, ok = os.LookupEnv(name)
	return value, ok
}

// obey carries out orders from top to bottom. Commands run meanwhile, one after the
// other, so that none of them keeps a timer waiting. What fails does not keep the
// rest from being done.
func (p *process) obey(ctx context.Context, orders []schedule.Order) error {
	log := p.log.Logger()
	failed := false
	commands := newRunner(log)
	for _, o := range orders {
		e, ok := o.Event.(schedule.Execute)
		if !ok {
			if err := p.client(o.Settings).send(ctx, o.Event); err != nil {
				log.Error(err.Error(), "file", p.file, "line", o.Line)
				failed = true
			}
			continue
		}
		log.Info("Executing command: " + e.Command)
		commands.run("", schedule.Run{Command: e.Command, Origins: []schedule.Origin{e.Origin}}, p.script(o.Settings).run)
	}
	commands.wait(0)
	if failed {
		return program.Exit(1)
	}
	return nil
}

// script is CMDSCRIPT with the streams of this process, where they are files.
func (p *process) script(s conf.SchedSettings) script {
	return script{words: s.CmdScript, stdout: file(p.env.Stdout), stderr: file(p.env.Stderr)}
}

// file returns w if it is a file, so that a child process can have it itself.
func file(w any) *os.File {
	f, _ := w.(*os.File)
	return f
}

func (p *process) client(s conf.SchedSettings) *client {
	return &client{
		log: p.log.Logger(),
		dial: func(ctx context.Context) (net.Conn, error) {
			return p.env.Dial(ctx, "unix", socketPath(s.PipeFN))
		},
		start: func(ctx context.Context) error { return p.startKeeper(ctx, s) },
	}
}

// list does -l.
func (p *process) list(ctx context.Context) error {
	c, err := p.load()
	if err != nil {
		return err
	}
	if c.PipeFN == "" {
		return program.Exitf(1, "upssched: %s does not set PIPEFN", p.file)
	}
	return p.client(c.SchedSettings).list(ctx, p.env.Stdout)
}
