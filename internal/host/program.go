package host

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"

	"gonut/internal/conf"
	"gonut/internal/daemon"
	"gonut/internal/driver"
	"gonut/internal/program"
	"gonut/internal/upsd"
	"gonut/internal/upsmon"
)

// Program is nut run. drivers are those that it can run.
func Program(drivers []driver.Driver) program.Program {
	return program.Program{
		Name:    "run",
		Summary: "run the drivers, upsd and upsmon that the configuration names, in one process",
		Run:     func(ctx context.Context, e program.Env) error { return run(ctx, e, drivers) },
	}
}

// options are what the command line asks for.
type options struct {
	debug   int
	private bool
	family  upsd.Family
}

func parseOptions(e program.Env) (o options, err error) {
	flags := flag.NewFlagSet("nut run", flag.ContinueOnError)
	flags.SetOutput(e.Stdout)
	flags.BoolFunc("D", "log more; may be given several times", func(string) error { o.debug++; return nil })
	flags.BoolVar(&o.private, "n", false, "open no sockets in the state path, where other programs find drivers and upsmon")
	flags.BoolFunc("4", "listen on IPv4 only", func(string) error { o.family = upsd.IPv4; return nil })
	flags.BoolFunc("6", "listen on IPv6 only", func(string) error { o.family = upsd.IPv6; return nil })
	flags.Usage = func() {
		fmt.Fprintln(e.Stdout, "usage: nut run [-D] [-n] [-4|-6]\n\nRuns everything that the files in NUT_CONFPATH name, in the foreground, as the user\nwho starts it. HUP reloads upsd and upsmon, USR1 begins a forced shutdown.")
		flags.PrintDefaults()
	}
	if err := flags.Parse(e.Args[1:]); errors.Is(err, flag.ErrHelp) {
		return o, program.Exit(0)
	} else if err != nil {
		return o, program.Exit(2)
	}
	if flags.NArg() > 0 {
		return o, program.Exitf(2, "nut run: unexpected argument %q", flags.Arg(0))
	}
	return o, nil
}

func run(ctx context.Context, e program.Env, drivers []driver.Driver) error {
	o, err := parseOptions(e)
	if err != nil {
		return err
	}
	log := daemon.NewLog("nut", e)
	log.SetVerbosity(max(o.debug, daemon.DebugLevel(e.Getenv)))
	paths := conf.FindPaths(e.Getenv)
	h, err := Load(paths, drivers, e.Getenv, log.Logger())
	if err != nil {
		return err
	}
	h.Listen, h.Sockets, h.Family = e.Listen, !o.private, o.family
	service := daemon.NewServiceNotifier(e.Getenv)
	if h.Monitor != nil {
		c, deps, err := upsmon.Local(e, log)
		if err != nil {
			return err
		}
		h.Monitor, h.Deps = &c, deps
		h.Deps.Service = nil // this program speaks for all its parts
		if h.Sockets {
			h.Report = func(ctx context.Context, d *upsmon.Daemon) { upsmon.ServeStatus(ctx, e, paths, d, log.Logger()) }
		}
	}
	h.Ready = func([]net.Addr) { service.Ready("") }
	// A terminal that is stopped must keep no part from the shutdown.
	defer log.NeverWait()(daemon.LogFlush)
	ctx, signals, stop := daemon.ListenSignals(ctx)
	defer stop()
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	go h.obey(inner, signals, e)
	err = h.Run(ctx)
	service.Stopping("")
	if cause, ok := errors.AsType[*daemon.SignalError](err); ok {
		log.Logger().Info(cause.Error())
		return nil
	}
	return err
}

// obey turns signals into orders.
func (h *Host) obey(ctx context.Context, s *daemon.Signals, e program.Env) {
	for {
		select {
		case <-s.Reload:
			h.reload(e)
		case <-s.User1:
			if d := h.Daemon(); d != nil {
				d.FSD()
			}
		case <-ctx.Done():
			return
		}
	}
}

// reload reads the files again. What is wrong keeps the running configuration.
func (h *Host) reload(e program.Env) {
	var server *upsd.Config
	if h.Server != nil {
		c, err := upsd.Load(conf.FindPaths(e.Getenv), e.Getenv, h.Log)
		if err != nil {
			h.Log.Error("upsd keeps its configuration", "error", err)
		} else {
			server = &c
		}
	}
	h.Reload(server)
}
