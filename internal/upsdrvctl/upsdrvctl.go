// Package upsdrvctl is the program that starts, stops, commands and shows the
// drivers of ups.conf, and that cuts the power at the end of a shutdown. Which
// drivers, in which order and with which command line is decided by functions of
// ups.conf alone (unit.go, options.go); the rest carries it out. It never talks to
// a device itself.
package upsdrvctl

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"gonut/internal/conf"
	"gonut/internal/daemon"
	"gonut/internal/program"
	"gonut/internal/words"
)

// bannerName is how the banner calls the program.
const bannerName = "upsdrvctl - UPS driver controller"

// Program returns the program. own reports whether this binary is itself the
// driver of that name; it is then started where driverpath has no such file.
func Program(own func(driver string) bool) program.Program {
	return program.Program{
		Name:    "upsdrvctl",
		Summary: "start, stop, command and list the drivers of ups.conf",
		Run:     func(ctx context.Context, e program.Env) error { return run(ctx, e, own) },
	}
}

// A controller is one run of the program.
type controller struct {
	env     program.Env
	own     func(driver string) bool
	opt     options
	drivers string // the folder of driver programs
	logs    *daemon.Log
	log     *slog.Logger
	units   []unit // those that the command is about, in the order of ups.conf
	named   bool   // the user named one ups
}

func run(ctx context.Context, e program.Env, own func(string) bool) error {
	opt, err := parseOptions(e.Args[1:])
	if opt.help {
		if err != nil {
			fmt.Fprintf(e.Stderr, "upsdrvctl: %v\n", err)
		}
		fmt.Fprintln(e.Stdout, daemon.BannerLine(bannerName))
		fmt.Fprint(e.Stdout, help)
		return nil
	}
	if opt.version {
		fmt.Fprintln(e.Stdout, daemon.BannerLine(bannerName))
		return nil
	}
	daemon.Banner(e, bannerName)
	if err != nil {
		return err
	}
	c := &controller{env: e, own: own, opt: opt, logs: daemon.NewLog("upsdrvctl", e)}
	c.log = c.logs.Logger()
	if err := c.load(); err != nil {
		return err
	}
	if opt.test {
		fmt.Fprintln(e.Stdout, "*** Testing mode: not calling exec/kill/signal")
	}
	do := map[string]func(context.Context) error{
		"start": c.start, "stop": c.stop, "shutdown": c.shutdown, "status": c.status, "list": c.list, "-c": c.command,
	}[opt.verb]
	return do(ctx)
}

// load reads ups.conf and chooses the units.
func (c *controller) load() error {
	paths := conf.FindPaths(c.env.Getenv)
	file, problems, err := conf.ReadFile(paths.File("ups.conf"), conf.ParseUPSConf)
	if err != nil {
		return err
	}
	c.setVerbosity(file)
	for _, p := range problems {
		c.log.Debug(p.String())
	}
	c.drivers = paths.Drivers
	if set, ok := file.Setting("driverpath"); ok && set.Value != "" {
		c.drivers = set.Value
	}
	c.units = units(file, paths)
	if len(c.units) == 0 {
		return program.Exitf(1, "Error: no UPS definitions found in %s", paths.File("ups.conf"))
	}
	if c.opt.ups == "" {
		return nil
	}
	for _, u := range c.units {
		if u.ups == c.opt.ups {
			c.units, c.named = []unit{u}, true
			return nil
		}
	}
	return fmt.Errorf("UPS %s not found in ups.conf%s", c.opt.ups, suggestion(c.opt.ups, file.Names()))
}

func suggestion(word string, known []string) string {
	if n := words.Nearest(word, known); n != "" {
		return "; did you mean " + n + "?"
	}
	return ""
}

// setVerbosity heeds -D, NUT_DEBUG_LEVEL and debug_min. Test mode shows the
// command lines, which are on level 2.
func (c *controller) setVerbosity(file conf.UPSConf) {
	if c.opt.debug == 0 {
		c.opt.debug = daemon.DebugLevel(c.env.Getenv)
	}
	if set, ok := file.Setting("debug_min"); ok {
		c.opt.debug = max(c.opt.debug, atoi(set.Value, 0))
	}
	shown := c.opt.debug
	if c.opt.test {
		shown = max(shown, 2)
	}
	c.logs.SetVerbosity(shown)
}

// debug logs on a debug level.
func (c *controller) debug(ctx context.Context, level int, format string, args ...any) {
	c.log.Log(ctx, daemon.Debug(level), fmt.Sprintf(format, args...))
}

// list prints the names of the units.
func (c *controller) list(context.Context) error {
	for _, u := range c.units {
		fmt.Fprintln(c.env.Stdout, u.ups)
	}
	return nil
}

// each runs do for every unit, goes on after errors and ends with one that tells
// how many there were.
func (c *controller) each(ctx context.Context, verb string, units []unit, do func(context.Context, unit) error) error {
	failed := 0
	for _, u := range units {
		if err := do(ctx, u); err != nil {
			c.log.Error(fmt.Sprintf("%s UPS %s: %v", verb, u.ups, err))
			failed++
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	if failed > 0 {
		return program.Exit(1)
	}
	return nil
}

// errNotRunning means that there is no driver to stop or to command.
var errNotRunning = errors.New("its driver is not running")

// usage is what went wrong with the command line, in C's form.
func usage(format string, args ...any) error {
	return program.Exitf(1, "Error: "+format+"; upsdrvctl -h tells the rest", args...)
}

var help = strings.TrimPrefix(`
Starts, stops, commands and shows the drivers of ups.conf.

usage: upsdrvctl [OPTIONS] (start | stop | shutdown | status | list) [<ups>]
       upsdrvctl [OPTIONS] (-l | -c <command>) [<ups>]

  start             start the drivers of all sections, or of one
  stop              stop them
  shutdown          have the drivers cut the power of their loads: those with
                    sdorder = 0 first, then 1, and so on; those with -1 never
  status            show a table of the drivers and how they are
  list              show the names of the sections

  -c <command>      order running drivers: reload, reload-or-error,
                    reload-or-exit, exit, dump
  -l                the same as list
  -r <path>         drivers chroot to <path>
  -u <user>         drivers started by root become <user>
  -F                drivers stay in the foreground: one takes the place of
                    upsdrvctl, several are watched by it and started again
  -FF               the same, and they write their PID files
  -B                drivers go to the background even when debugging
  -t                test mode: show what would be run and do nothing
  -D                raise the debug level
  -d                give that debug level to the drivers as well
  -h                show this help
  -V                show the version
`, "\n")
