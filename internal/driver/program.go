package driver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"gonut/internal/conf"
	"gonut/internal/daemon"
	"gonut/internal/drvsock"
	"gonut/internal/netproto"
	"gonut/internal/program"
)

const optstring = "a:s:kDFBd:hx:Lqr:u:g:Vi:c:P:"

// defaultUser is whom a driver becomes when it was started as root and nobody
// chose otherwise.
const defaultUser = "nut"

// askLimit is how long a running driver may take to answer a second one.
const askLimit = 15 * time.Second

// Program returns the program of a driver, with the command line that all of C's
// drivers have.
func Program(d Driver) program.Program {
	return program.Program{
		Name:    d.Name,
		Summary: d.Description,
		Aliases: d.Aliases,
		Run: func(ctx context.Context, e program.Env) error {
			p := &process{driver: &d, env: e, options: newOptions(&d), paths: conf.FindPaths(e.Getenv)}
			return p.run(ctx)
		},
	}
}

// A process is one run of a driver's program.
type process struct {
	driver  *Driver
	env     program.Env
	paths   conf.Paths
	options *options
	logger  *daemon.Log
	log     *slog.Logger

	debug      int  // number of -D
	dump       int  // -d: polls before the values are printed; 0: no dump
	kill       bool // -k
	foreground int  // 0: as -D and -d say, 1: -F, 2: -FF, -1: -B
	quiet      int
	fromFile   bool   // -a rather than -s
	command    string // -c
	signalPID  int    // -P
	user       string
	group      string
	chroot     string
	pidFile    string
}

func (p *process) run(ctx context.Context) error {
	opts, operands, err := program.Getopt(p.env.Args[1:], optstring)
	if err != nil {
		p.usage(p.env.Stderr)
		return fmt.Errorf("%s: %w", p.driver.Name, err)
	}
	if done := p.firstPass(opts); done {
		return nil
	}
	p.logger = daemon.NewLog(p.driver.Name, p.env)
	p.logger.SetVerbosity(p.verbosity(0))
	p.log = p.logger.Logger()
	if len(operands) > 0 {
		return fmt.Errorf("%s: argument %q is not an option; %s -h lists them", p.driver.Name, operands[0], p.driver.Name)
	}
	if err := p.apply(opts); err != nil {
		return fmt.Errorf("%s: %w", p.driver.Name, err)
	}
	for _, w := range p.options.warnings {
		p.log.Warn(w)
	}
	p.logger.SetVerbosity(p.config().Debug)
	if err := p.logger.SetSyslogThreshold(p.quiet); err != nil {
		return err
	}
	switch {
	case p.command != "":
		return p.order(ctx)
	case p.kill:
		return p.killpower(ctx)
	case p.dump > 0:
		return p.printDump(ctx)
	}
	return p.serve(ctx)
}

// firstPass handles what counts wherever it stands, and what ends the program at
// once.
func (p *process) firstPass(opts []program.Option) (done bool) {
	for _, o := range opts {
		switch o.Letter {
		case 'D':
			p.debug++
		case 'h':
			p.banner()
			fmt.Fprintln(p.env.Stdout)
			p.usage(p.env.Stdout)
			return true
		case 'V':
			p.banner()
			return true
		case 'L':
			if !daemon.QuietBanner(p.env.Getenv) {
				p.banner()
			}
			p.listOptions()
			return true
		}
	}
	if p.debug == 0 {
		p.debug = daemon.DebugLevel(p.env.Getenv)
	}
	return false
}

// configure takes what is said of the device, in order: -x after -a beats ups.conf.
func (p *process) configure(o *options, opt program.Option) error {
	switch opt.Letter {
	case 'a':
		return p.readFile(o, opt.Arg)
	case 's':
		o.config.Values.UPS = opt.Arg
	case 'x':
		return o.argument(opt.Arg)
	case 'i':
		return o.set(conf.Setting{Name: "pollinterval", Value: opt.Arg})
	}
	return nil
}

// apply takes the options.
func (p *process) apply(opts []program.Option) error {
	named, chosen := false, false
	for _, o := range opts {
		var err error
		switch o.Letter {
		case 'a', 's':
			if named {
				return errors.New("give one of -a and -s, once")
			}
			named, p.fromFile = true, o.Letter == 'a'
		case 'd':
			if p.dump, err = strconv.Atoi(o.Arg); err != nil || p.dump < 0 {
				err = fmt.Errorf("-d %s: this is no number of polls", o.Arg)
			}
		case 'k':
			p.kill = true
		case 'F':
			p.foreground = min(max(p.foreground, 0)+1, 2)
		case 'B':
			p.foreground = -1
		case 'q':
			p.quiet++
		case 'u':
			p.user = o.Arg
		case 'g':
			p.group = o.Arg
		case 'r':
			p.chroot = o.Arg
		case 'c':
			if chosen {
				return errors.New("give -c once")
			}
			chosen = true
			err = p.chooseCommand(o.Arg)
		case 'P':
			if p.signalPID, err = strconv.Atoi(o.Arg); err != nil {
				err = fmt.Errorf("-P %s: this is no process number", o.Arg)
			}
		}
		if err == nil {
			err = p.configure(p.options, o)
		}
		if err != nil {
			return err
		}
	}
	return p.check(named)
}

// check completes what the options said.
func (p *process) check(named bool) error {
	c := p.config()
	switch {
	case !named:
		return Configf("which ups? give -a NAME for a section of ups.conf, or -s NAME with -x port=…")
	case strings.ContainsAny(c.Values.UPS, "/"):
		return Configf("%q cannot be the name of a ups", c.Values.UPS)
	case !p.options.hasPort && p.command == "" && !p.fromFile:
		return Configf("no port is configured for %s: add -x port=…", c.Values.UPS)
	case !p.options.hasPort && p.command == "":
		return Configf("no port is configured for %s: add port = … to its section of %s", c.Values.UPS, p.options.file)
	}
	c.Debug = p.verbosity(c.Debug)
	p.user, p.group, p.chroot = either(p.user, c.User), either(p.group, c.Group), either(p.chroot, c.Chroot)
	if c.StatePath != "" && !p.paths.StateByEnv {
		p.paths.State = c.StatePath
	}
	if p.foreground == 0 && (p.debug > 0 || p.dump > 0) {
		p.foreground = 1
	} else if p.foreground == 1 && (p.debug > 0 || p.dump > 0) {
		p.foreground = 2 // -D -F is -FF to C's drivers
	}
	c.Values.ConfPath = p.paths.Conf
	c.Values.StatePath = p.paths.State
	c.Values.Dial = p.env.Dial
	c.Values.NoLock = c.NoLock || p.kill
	c.OpenOnce = p.driver.Patient == nil || !p.driver.Patient(c.Values)
	p.pidFile = daemon.AltPIDPath(p.paths, p.driver.Name+"-"+c.Values.UPS)
	if p.command != "" || p.kill {
		return nil // a running driver can do that whatever is written there now
	}
	return p.options.check()
}

func either(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

func (p *process) config() *Config { return &p.options.config }

func (p *process) verbosity(configured int) int { return max(p.debug, configured) }

// readFile takes a section of ups.conf.
func (p *process) readFile(o *options, name string) error {
	file, problems, err := conf.ReadFile(p.paths.File("ups.conf"), conf.ParseUPSConf)
	if err != nil {
		return err
	}
	for _, pr := range problems {
		if pr.Section == name || pr.Section == "" {
			o.warnings = append(o.warnings, pr.String())
		} else {
			p.log.Debug(pr.String())
		}
	}
	return o.section(file, name)
}

// reread is the Reload of the session's hooks.
func (p *process) reread() (Config, error) {
	if !p.fromFile {
		return *p.config(), nil
	}
	o := newOptions(p.driver)
	opts, _, err := program.Getopt(p.env.Args[1:], optstring)
	if err != nil {
		return Config{}, err
	}
	for _, opt := range opts {
		if err := p.configure(o, opt); err != nil {
			return Config{}, err
		}
	}
	for _, w := range o.warnings {
		p.log.Warn(w)
	}
	o.config.Debug = p.verbosity(o.config.Debug)
	if p.paths.StateByEnv {
		o.config.StatePath = p.config().StatePath // it does not count
	}
	return o.config, o.check()
}

func (p *process) socketPath() string {
	return drvsock.Path(p.paths.State, p.driver.Name, p.config().Values.UPS)
}

// banner prints who we are.
func (p *process) banner() {
	word := " driver"
	if strings.Contains(p.driver.Description, "river") {
		word = ""
	}
	fmt.Fprintf(p.env.Stdout, "Network UPS Tools %s - %s%s %s\n", program.Version(), p.driver.Description, word, p.driver.Version)
}

func (p *process) usage(w io.Writer) {
	fmt.Fprintf(w, `usage: %s (-a NAME | -s NAME) [OPTIONS]

  -a NAME        the section of ups.conf to read
  -s NAME        a name for a ups without ups.conf; options come by -x
  -x NAME[=VAL]  set an option
  -i SECONDS     time between two polls
  -k             cut the power of the load, and end
  -c COMMAND     tell the running driver: reload-or-error, exit, reload-or-exit
  -P PID         the process to signal with -c
  -d COUNT       poll COUNT times, print all values, and end
  -D             more messages, in the foreground; may be repeated
  -q             fewer messages to syslog; may be repeated
  -F, -FF        stay in the foreground, with -FF write a PID file
  -B             go to the background, even with -D
  -r DIR         chroot
  -u USER        become this user
  -g GROUP       give the socket to this group
  -x record=FILE write down what goes to and from the device; see also -d
  -x port=replay:FILE
                 play such a recording instead of a device
  -L             list the options for programs to read
  -V             print the version
  -h             print this help
`, p.driver.Name)
	if len(p.driver.Options) > 0 {
		fmt.Fprintf(w, "\nOptions of %s, for ups.conf and -x:\n", p.driver.Name)
	}
	for _, o := range p.driver.Options {
		name := o.Name
		switch {
		case o.Optional:
			name += "[=VALUE]"
		case !o.Flag:
			name += "=VALUE"
		}
		fmt.Fprintf(w, "  %-28s %s\n", name, o.Help)
	}
	if p.driver.Note != "" {
		fmt.Fprintf(w, "\n%s\n", p.driver.Note)
	}
}

// listOptions is -L.
func (p *process) listOptions() {
	for _, o := range p.driver.Options {
		kind := "VALUE"
		switch {
		case o.Secret:
			kind = "UNKNOWN" // so C's drivers call it
		case o.Flag:
			kind = "FLAG"
		}
		fmt.Fprintf(p.env.Stdout, "%s %s \"%s\"\n", kind, o.Name, strings.ReplaceAll(o.Help, `"`, `'`))
	}
}

// chooseCommand finds the word of -c by its beginning, in C's order: "reload" is
// reload-or-error.
func (p *process) chooseCommand(arg string) error {
	for _, c := range []string{"reload-or-error", "exit", "reload", "reload-or-exit"} {
		if arg != "" && strings.HasPrefix(c, arg) {
			p.command = c
			return nil
		}
	}
	p.usage(p.env.Stderr)
	return fmt.Errorf("-c %q: no such command", arg)
}

// order is -c: it tells a running driver what to do.
func (p *process) order(ctx context.Context) error {
	if p.command == "reload-or-exit" {
		sig, err := reloadSignal()
		if err == nil {
			err = p.signalSibling(sig)
		}
		if err != nil {
			return fmt.Errorf("tell %s to reload: %w", p.config().Values.UPS, err)
		}
		return nil
	}
	n, err := p.ask(ctx, askLimit, drvsock.Request{Name: "driver." + p.command})
	if err != nil {
		return program.Exitf(255, "tell %s: %w", p.config().Values.UPS, err)
	}
	if n != netproto.Handled {
		return program.Exitf(int(n), "%s answered with code %d", p.config().Values.UPS, n)
	}
	return nil
}

// signalSibling signals the driver that the user names by its number, or that of the
// PID file.
func (p *process) signalSibling(sig syscall.Signal) error {
	pid := p.signalPID
	if pid == 0 {
		var err error
		if pid, err = daemon.ReadPID(p.pidFile); err != nil {
			return err
		}
	}
	return p.signalProcess(pid, sig)
}

// signalProcess signals a process if it is a driver of this name.
func (p *process) signalProcess(pid int, sig syscall.Signal) error {
	names := append([]string{p.driver.Name, "nut", filepath.Base(os.Args[0])}, p.driver.Aliases...)
	return daemon.SignalPID(pid, sig, names, p.env.Getenv)
}

// ask makes one request of the running driver of the same name.
func (p *process) ask(ctx context.Context, limit time.Duration, r drvsock.Request) (netproto.Result, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	link, err := drvsock.Connect(ctx, p.dial)
	if err != nil {
		return netproto.Pending, err
	}
	defer link.Close()
	return link.Do(ctx, r)
}

func (p *process) dial(ctx context.Context) (net.Conn, error) {
	return p.env.Dial(ctx, "unix", p.socketPath())
}
