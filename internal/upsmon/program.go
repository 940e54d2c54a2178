package upsmon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os/exec"
	"sync"

	"gonut/internal/conf"
	"gonut/internal/daemon"
	"gonut/internal/program"
	"gonut/internal/upsmon/monitor"
)

// builtinUser is the account of the unprivileged part where nothing names another;
// Debian's, unless the linker was told so.
var builtinUser = "nut"

// Program is upsmon.
func Program() program.Program {
	return program.Program{Name: "upsmon", Summary: "watch UPSes and shut this host down before the power is gone", Run: run}
}

func run(ctx context.Context, e program.Env) error {
	o, err := parseOptions(e)
	p := process{env: e, opts: o, paths: conf.FindPaths(e.Getenv), log: daemon.NewLog("upsmon", e)}
	p.file = p.paths.File("upsmon.conf")
	if o.config != "" {
		p.file = o.config
	}
	if errors.Is(err, errUsage) {
		p.usage()
		return nil
	}
	if err != nil {
		return err
	}
	if p.opts.debug == 0 {
		p.opts.debug = daemon.DebugLevel(e.Getenv)
	}
	p.log.SetVerbosity(p.opts.debug)
	for _, w := range o.warnings {
		p.log.Logger().Warn(w)
	}
	link, err := joinParent(e.Getenv)
	if err != nil {
		return err
	}
	if link != nil {
		return p.child(ctx, link)
	}
	return p.start(ctx)
}

// A process is one run of the program.
type process struct {
	env   program.Env
	opts  options
	paths conf.Paths
	log   *daemon.Log
	file  string // upsmon.conf
}

// start is the way from the command line to a running daemon.
func (p *process) start(ctx context.Context) error {
	switch p.opts.command {
	case "":
	case "status":
		return p.status(ctx)
	default:
		daemon.Banner(p.env, "upsmon")
		return p.signal()
	}
	var bg *daemon.Background
	if !p.opts.inForeground() && !p.opts.checkFlag {
		var err error
		if bg, err = daemon.Detach(ctx, p.env); bg == nil {
			return err
		}
	}
	daemon.Banner(p.env, "upsmon")
	if err := p.refuseSecond(); err != nil {
		return err
	}
	p.log.OpenSyslog()
	c, err := p.load()
	if err != nil {
		return err
	}
	if p.opts.checkFlag {
		return p.check(c)
	}
	p.advise(c)
	c.PowerDownFlag = p.clearFlag(c)
	if total := monitor.Total(c); total < c.MinSupplies {
		fmt.Fprintf(p.env.Stdout, "Fatal error: insufficient power configured!\n\nSum of power values........: %d\nMinimum value (MINSUPPLIES): %d\n\n"+
			"Edit %s and raise the power values in its MONITOR lines, or lower MINSUPPLIES.\n", total, c.MinSupplies, p.file)
		return program.Exit(1)
	}
	daemon.NameProcess("upsmon")
	if canSplit && !p.opts.onePiece {
		return p.split(ctx, c, bg)
	}
	return p.whole(ctx, c, bg)
}

// split leaves the work to an unprivileged process and stays as its guard.
func (p *process) split(ctx context.Context, c conf.UPSMon, bg *daemon.Background) error {
	user := builtinUser
	if p.opts.user != "" {
		user = p.opts.user
	}
	if c.RunAsUser != "" {
		user = c.RunAsUser
	}
	account, err := daemon.LookupAccount(user)
	if err != nil {
		return err
	}
	daemon.RelaxTimers() // here, for the child inherits what it may not do itself
	cmd, conn, err := spawn(account, p.file, bg != nil)
	if err != nil {
		return err
	}
	defer conn.Close()
	if path, err := daemon.WriteRootPIDOf(p.paths, "upsmon", cmd.Process.Pid); err != nil {
		p.log.Logger().Log(ctx, daemon.LevelNotice, "no PID file, so -c needs -P", "file", path, "err", err)
	}
	if err := bg.Ready(p.log); err != nil {
		return err
	}
	service := daemon.NewServiceNotifier(p.env.Getenv)
	guarded := newParent(c, p.log.Logger())
	guarded.stopping = func() {
		service.Stopping("shutting down this host")
		service.Extend(-1)
	}
	if err := guard(ctx, guarded, cmd, conn); err != nil {
		p.log.Logger().Log(ctx, daemon.LevelAlert, err.Error())
		return program.Exit(1)
	}
	return nil
}

// newParent returns what shuts this host down.
func newParent(c conf.UPSMon, log *slog.Logger) parent {
	return parent{
		flag: c.PowerDownFlag, write: writeFlag, command: shellCommand(c.ShutdownCmd), linger: c.ShutdownExit,
		failed: func(err error) { log.Log(context.Background(), daemon.LevelAlert, "shut down this host", "err", err) },
	}
}

// whole does everything in one process, with the privileges that it has.
func (p *process) whole(ctx context.Context, c conf.UPSMon, bg *daemon.Background) error {
	if canSplit {
		p.log.Logger().Info("Warning: running as one big root process by request (upsmon -p)")
	}
	return p.serve(ctx, c, newParent(c, p.log.Logger()), func() (<-chan struct{}, error) {
		if path, err := daemon.WriteRootPID(p.paths, "upsmon"); err != nil {
			p.log.Logger().Log(ctx, daemon.LevelNotice, "no PID file, so -c needs -P", "file", path, "err", err)
		}
		return nil, bg.Ready(p.log)
	})
}

// child is the unprivileged part. The file that it reads was opened for it, as it
// may not be allowed to.
func (p *process) child(ctx context.Context, link *childLink) error {
	defer link.close()
	daemon.NameProcess("upsmon")
	p.log.OpenSyslog()
	c, _, err := conf.ParseUPSMon(p.file, link.config)
	link.config.Close()
	if err != nil {
		return err
	}
	p.setVerbosity(c)
	err = p.serve(ctx, c, link, func() (<-chan struct{}, error) { return link.ready(p.log) })
	if err != nil { // standard error may be gone
		p.log.Logger().Error(err.Error())
		return program.Exit(1)
	}
	return nil
}

// serve runs the daemon until it ends. ready is called when signals are taken; it
// returns what is closed when the privileged part has ended, if there is one.
func (p *process) serve(ctx context.Context, c conf.UPSMon, s Shutdowner, ready func() (<-chan struct{}, error)) error {
	log := p.log.Logger()
	if err := checkTLS(c); err != nil {
		return err
	}
	ctx, signals, stop := daemon.ListenSignals(ctx)
	defer stop()
	parentGone, err := ready()
	if err != nil {
		return err
	}
	defer p.log.NeverWait()(daemon.LogFlush)
	deps := p.deps(c, s)
	deps.ParentGone = parentGone
	d := New(c, deps)
	var beside sync.WaitGroup
	defer beside.Wait()
	inner, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	beside.Go(func() { obey(inner, d, signals) })
	beside.Go(func() { ServeStatus(inner, p.env, p.paths, d, log) })
	err = d.Run(ctx)
	if cause, ok := context.Cause(ctx).(*daemon.SignalError); ok && err == nil {
		log.Info("Signal " + cause.Signal.String() + ": exiting")
	}
	return err
}

// deps is what a daemon on this host needs.
func (p *process) deps(c conf.UPSMon, s Shutdowner) Deps {
	return Deps{
		Dial:           p.dial,
		ConnectTimeout: p.opts.timeout,
		Notifiers:      notifiers(p.log.Logger()),
		Shutdowner:     s,
		Record:         func(r monitor.Decision) error { return keep(p.paths, r) },
		Reload:         p.reload(c),
		Logger:         p.log.Logger(),
		Service:        daemon.NewServiceNotifier(p.env.Getenv),
		Sleep:          systemSleep(),
	}
}

// Local returns the configuration of this host and what a Daemon needs to guard it
// from within this process, with the privileges that it has, as upsmon -p does.
func Local(e program.Env, log *daemon.Log) (conf.UPSMon, Deps, error) {
	p := process{env: e, opts: options{network: "tcp"}, paths: conf.FindPaths(e.Getenv), log: log}
	p.file = p.paths.File("upsmon.conf")
	c, err := p.load()
	if err != nil {
		return c, Deps{}, err
	}
	p.advise(c)
	c.PowerDownFlag = p.clearFlag(c)
	return c, p.deps(c, newParent(c, log.Logger())), checkTLS(c)
}

// obey turns signals into orders.
func obey(ctx context.Context, d *Daemon, s *daemon.Signals) {
	for {
		select {
		case <-s.Reload:
			d.Reload()
		case <-s.User1:
			d.FSD()
		case <-ctx.Done():
			return
		}
	}
}

// notifiers are what delivers notifications on this host.
func notifiers(log *slog.Logger) []Notifier {
	var ns []Notifier
	if wallProgram != "" {
		if _, err := exec.LookPath(wallProgram); err == nil {
			ns = append(ns, WallNotifier{wallProgram})
		} else {
			log.Info("nothing is written to terminals", "err", err)
		}
	}
	return append(ns, ExecNotifier{})
}

// dial connects with the family of addresses that -4 or -6 chose.
func (p *process) dial(ctx context.Context, _, addr string) (net.Conn, error) {
	return p.env.Dial(ctx, p.opts.network, addr)
}

// checkTLS finds out at once that a certificate cannot be read.
func checkTLS(c conf.UPSMon) error {
	if _, err := tlsFiles(c).Load(); err != nil {
		return fmt.Errorf("prepare TLS: %w", err)
	}
	return nil
}

// load reads the configuration and shows what is wrong with it.
func (p *process) load() (conf.UPSMon, error) {
	c, problems, err := conf.ReadFile(p.file, conf.ParseUPSMon)
	if err != nil {
		return c, program.Exitf(1, "Can't open or use the configuration: %w", err)
	}
	p.report(problems)
	p.setVerbosity(c)
	return c, nil
}

func (p *process) report(problems []conf.Problem) {
	for _, pr := range problems {
		p.log.Logger().Warn(pr.String())
	}
	if n := len(problems); n > 0 {
		p.log.Logger().Error(fmt.Sprintf("Encountered %d config errors, those entries were ignored", n))
	}
}

// setVerbosity applies DEBUG_MIN, which only raises the level of the command line.
func (p *process) setVerbosity(c conf.UPSMon) { p.log.SetVerbosity(max(p.opts.debug, c.DebugMin)) }

// reload returns what reads the configuration again. What the privileged part was
// told at the start cannot change.
func (p *process) reload(first conf.UPSMon) func() (conf.UPSMon, error) {
	return func() (conf.UPSMon, error) {
		c, problems, err := conf.ReadFile(p.file, conf.ParseUPSMon)
		if err != nil {
			return c, err
		}
		p.report(problems)
		p.setVerbosity(c)
		p.adviseTimers(c)
		old, now := newParent(first, nil), newParent(c, nil)
		for _, d := range []struct {
			name    string
			changed bool
		}{
			{"SHUTDOWNCMD", old.command != now.command},
			{"POWERDOWNFLAG", first.PowerDownFlag != "" && old.flag != now.flag},
			{"SHUTDOWNEXIT", old.linger != now.linger},
		} {
			if d.changed {
				p.log.Logger().Warn(d.name + " changes only when upsmon is started anew: it was redefined, and the part that shuts down keeps the old value")
			}
		}
		return c, nil
	}
}
