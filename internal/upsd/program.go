package upsd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"gonut/internal/conf"
	"gonut/internal/daemon"
	"gonut/internal/hostaccess"
	"gonut/internal/program"
)

// builtinUser is the account that a upsd which was started by root becomes;
// Debian's, unless the linker was told another.
var builtinUser = "nut"

// Program is upsd.
func Program() program.Program {
	return program.Program{Name: "upsd", Summary: "serve the data of UPS drivers on the network", Run: run}
}

// options are what the command line asks for.
type options struct {
	debug      int
	debugGiven bool
	foreground int // number of -F, if the last of -F and -B was -F
	background bool
	family     Family
	quiet      int
	chroot     string
	user       string
	signal     syscall.Signal
	pid        string
	pidGiven   bool
}

// errUsage asks for the help text.
var errUsage = errors.New("usage")

func parseOptions(e program.Env) (options, error) {
	var o options
	opts, operands, err := program.Getopt(e.Args[1:], "h46p:qr:i:fu:Vc:P:DFB")
	for _, opt := range opts {
		switch opt.Letter {
		case 'h', 'f':
			return o, errUsage
		case 'p', 'i':
			return o, program.Exitf(1, "-%c is obsolete: say LISTEN in upsd.conf, for example LISTEN 127.0.0.1 3493", opt.Letter)
		case 'V':
			fmt.Fprintln(e.Stdout, daemon.BannerLine("upsd"))
			return o, program.Exit(0)
		case '4':
			o.family = IPv4
		case '6':
			o.family = IPv6
		case 'q':
			o.quiet++
		case 'r':
			o.chroot = opt.Arg
		case 'u':
			o.user = opt.Arg
		case 'c':
			if o.signal = signalFor(opt.Arg); o.signal == 0 {
				return o, errUsage
			}
		case 'P':
			o.pid, o.pidGiven = opt.Arg, true
		case 'D':
			o.debug++
			o.debugGiven = true
		case 'F':
			o.foreground++
			o.background = false
		case 'B':
			o.foreground, o.background = 0, true
		}
	}
	if err != nil {
		fmt.Fprintf(e.Stderr, "%s: %v\n", e.Args[0], err)
	}
	if err != nil || len(operands) > 0 {
		return o, errUsage
	}
	return o, nil
}

// signalFor returns the signal that a -c command stands for, 0 if none. Any
// beginning of a command will do, even an empty one, as in C.
func signalFor(command string) syscall.Signal {
	switch {
	case strings.HasPrefix("reload", command):
		return syscall.SIGHUP
	case strings.HasPrefix("stop", command):
		return syscall.SIGTERM
	}
	return 0
}

// inForeground reports whether the program stays where it was started.
func (o options) inForeground() bool {
	return !o.background && (o.foreground > 0 || o.debugGiven)
}

// wantsPIDFile reports whether a PID file is written: not in the foreground,
// unless -F was given twice.
func (o options) wantsPIDFile() bool { return !o.inForeground() || o.foreground > 1 }

func run(ctx context.Context, e program.Env) error {
	o, err := parseOptions(e)
	if errors.Is(err, errUsage) {
		usage(e)
		return nil
	}
	if err != nil {
		return err
	}
	paths := conf.FindPaths(e.Getenv)
	name := filepath.Base(e.Args[0])
	if o.signal != 0 {
		return sendSignal(o, paths, name, e)
	}
	log := daemon.NewLog(name, e)
	if o.debug == 0 {
		o.debug = daemon.DebugLevel(e.Getenv)
	}
	log.SetVerbosity(o.debug)
	if err := log.SetSyslogThreshold(o.quiet); err != nil {
		return err
	}
	pidFile := daemon.AltPIDPath(paths, name)
	if err := refuseSecond(pidFile, name, e, log.Logger()); err != nil {
		return err
	}
	var bg *daemon.Background
	if !o.inForeground() {
		if bg, err = daemon.Detach(ctx, e); bg == nil {
			return err
		}
	}
	daemon.Banner(e, "upsd")
	if !o.wantsPIDFile() {
		pidFile = ""
	}
	u := unit{env: e, opts: o, paths: paths, log: log, bg: bg, pidFile: pidFile}
	return u.run(ctx)
}

func usage(e program.Env) {
	fmt.Fprintf(e.Stdout, `%s

usage: %s [OPTIONS]
  -c COMMAND  tell the running upsd to reload or stop
  -P PID      the process that -c means, instead of the one in the PID file
  -D          say more about the work, and stay in the foreground; may be repeated
  -F          stay in the foreground without a PID file; -FF with one
  -B          go to the background, even with -D
  -4, -6      listen on this version of IP only
  -q          let less through to syslog; may be repeated
  -r DIR      make DIR the root of the file system
  -u USER     become this user when started by root
  -V          print the version
  -h          print this text
`, daemon.BannerLine("upsd"), e.Args[0])
}

// sendSignal does -c.
func sendSignal(o options, paths conf.Paths, name string, e program.Env) error {
	names := []string{name, "upsd"}
	var err error
	if o.pidGiven {
		pid, _ := strconv.Atoi(o.pid)
		err = daemon.SignalPID(pid, o.signal, names, e.Getenv)
	} else {
		_, err = daemon.SignalFile([]string{daemon.AltPIDPath(paths, name)}, o.signal, names, e.Getenv)
	}
	if err != nil {
		return program.Exitf(1, "%v; name the process with -P, or ask the service manager", err)
	}
	return nil
}

// refuseSecond ends a upsd that is started beside a running one.
func refuseSecond(pidFile, name string, e program.Env, log *slog.Logger) error {
	pid, err := daemon.SignalFile([]string{pidFile}, 0, []string{name, "upsd"}, e.Getenv)
	switch {
	case errors.Is(err, daemon.ErrOtherProcess):
		log.Warn("the PID file belongs to another program; going on", "file", pidFile, "error", err)
	case err == nil && pid != os.Getpid():
		fmt.Fprintf(e.Stdout, "Fatal error: A previous upsd instance is already running (process %d)!\n", pid)
		fmt.Fprintln(e.Stdout, "Either stop the previous instance first, or use the 'reload' command.")
		return program.Exit(1)
	}
	return nil
}

// A unit is one run of the program.
type unit struct {
	env     program.Env
	opts    options
	paths   conf.Paths
	log     *daemon.Log
	bg      *daemon.Background
	pidFile string // empty: none

	config atomic.Pointer[Config]
	listen []conf.Listen // what was asked for at the start
	server *Server
}

func (u *unit) run(ctx context.Context) error {
	log := u.log.Logger()
	ctx, signals, stop := daemon.ListenSignals(ctx)
	defer stop()
	front, err := u.start(ctx)
	if err != nil {
		return err
	}
	if u.pidFile != "" {
		if err := daemon.WritePID(u.pidFile); err != nil {
			log.Warn("going on without a PID file", "error", err)
		}
		defer daemon.RemovePID(u.pidFile)
	}
	if u.bg == nil {
		log.Info("running in the foreground")
	}
	if err := u.bg.Ready(u.log); err != nil {
		front.Close()
		return err
	}
	defer u.log.NeverWait()(daemon.LogFlush) // a terminal that is stopped is no reason to serve nobody
	notify := daemon.NewServiceNotifier(u.env.Getenv)
	defer notify.Stopping("")
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { front.Serve(ctx) })
	wg.Go(func() {
		u.server.MirrorAll(ctx, func(d Device) Dialer { return u.config.Load().Dialer(d, u.env.Dial) })
	})
	notify.Ready("")
	u.attend(ctx, signals, notify)
	var sig *daemon.SignalError
	if errors.As(context.Cause(ctx), &sig) {
		log.Info("stopping", "signal", sig.Signal)
	}
	return nil
}

// start does everything that can go wrong in C's order: what needs root first.
func (u *unit) start(ctx context.Context) (*Front, error) {
	log := u.log.Logger()
	account, err := u.account()
	if err != nil {
		return nil, err
	}
	if u.opts.chroot != "" {
		if err := daemon.Chroot(u.opts.chroot); err != nil {
			return nil, err
		}
	}
	main, err := LoadUPSD(u.paths, u.env.Getenv, log)
	if err != nil {
		return nil, err
	}
	u.log.SetVerbosity(max(u.opts.debug, main.DebugMin))
	u.server = New(main, nil, log)
	u.server.FollowAccessFiles(hostaccess.System(), filepath.Base(u.env.Args[0]))
	front, err := OpenFront(ctx, u.server, main, u.opts.family, u.env.Listen, log)
	if err != nil {
		return nil, err
	}
	u.listen = main.Listen
	if account != nil {
		err = account.Become()
	}
	var c Config
	if err == nil {
		c, err = LoadRest(main, u.paths, log)
	}
	if err != nil {
		front.Close()
		return nil, err
	}
	if fi, err := os.Stat(c.StatePath); err != nil || !fi.IsDir() {
		log.Error("the folder of the drivers' sockets is not there; no driver can be reached", "folder", c.StatePath)
	}
	u.apply(&c)
	return front, nil
}

// account returns who to become, nil if nobody: a process that is not root stays
// who it is.
func (u *unit) account() (*daemon.Account, error) {
	name := u.opts.user
	if name == "" {
		if os.Geteuid() != 0 {
			return nil, nil
		}
		name = builtinUser
	}
	a, err := daemon.LookupAccount(name)
	return &a, err
}

// apply makes the loaded configuration the server's.
func (u *unit) apply(c *Config) {
	u.config.Store(c)
	u.server.Reload(c.UPSD, c.Users)
	u.server.SetDescriptions(c.Texts)
	u.server.SetTLS(c.TLS)
	u.server.SetDevices(c.Devices)
	if len(c.Devices) == 0 {
		u.log.Logger().Warn("no devices in ups.conf")
	}
	if n, room := c.UPSD.MaxConn, u.server.MaxConn(); n > room && room > 0 {
		u.log.Logger().Warn("MAXCONN is more than this process may have open; raise its limit (ulimit -n, LimitNOFILE)", "MAXCONN", n, "possible", room)
	}
}

// attend does what signals ask for until ctx ends.
func (u *unit) attend(ctx context.Context, signals *daemon.Signals, notify *daemon.ServiceNotifier) {
	var watchdog <-chan time.Time
	if every := notify.WatchdogInterval(); every > 0 {
		t := time.NewTicker(every / 2)
		defer t.Stop()
		watchdog = t.C
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-watchdog:
			notify.Watchdog()
		case <-signals.Reload:
			notify.Reloading()
			u.reload()
			notify.Ready("")
		}
	}
}

// reload reads the files again. If they are wrong, everything stays as it is.
func (u *unit) reload() {
	log := u.log.Logger()
	log.Info("reading the configuration again")
	c, err := Load(u.paths, u.env.Getenv, log)
	if err != nil {
		log.Error("the new configuration is wrong; the old one stays", "error", err)
		return
	}
	u.log.SetVerbosity(u.opts.debug)
	if c.UPSD.DebugMin >= 0 {
		u.log.SetVerbosity(c.UPSD.DebugMin)
	}
	if !slices.EqualFunc(c.UPSD.Listen, u.listen, sameSpot) {
		log.Warn("the LISTEN lines have changed; they count from the next start on")
	}
	u.apply(&c)
}

func sameSpot(a, b conf.Listen) bool { return a.Addr == b.Addr && a.Port == b.Port }
