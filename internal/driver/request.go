package driver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"strconv"
	"strings"
	"time"

	"gonut/internal/daemon"
	"gonut/internal/netproto"
	"gonut/internal/program"
	"gonut/internal/ups"
)

// take accepts a request: those that every driver knows are done here, the others
// wait for the device.
func (l *loop) take(r request) {
	if r.ping {
		if !l.stuck() {
			r.answer(netproto.Handled)
		}
		return
	}
	if r.Set {
		l.takeSet(r)
		return
	}
	switch strings.ToLower(r.Name) {
	case cmdExit:
		l.log.Info("ending because a client asked for it")
		r.answer(netproto.Handled)
		l.end(nil)
	case cmdReload, cmdReloadOrExit:
		r.answer(netproto.Handled)
		l.reload = append(l.reload, request{Request: r.Request})
	case cmdReloadOrError:
		l.reload = append(l.reload, r)
	case cmdKillpower:
		if l.state.Value(ups.DriverKillpower) != "1" {
			l.log.Error("driver.killpower was asked for but is not allowed; set driver.flag.allow_killpower to 1 first")
			r.answer(netproto.Invalid)
			return
		}
		l.waitFirst(r)
	default:
		l.wait(r)
	}
}

func (l *loop) takeSet(r request) {
	switch strings.ToLower(r.Name) {
	case ups.DriverDebug:
		n, err := strconv.Atoi(strings.TrimSpace(r.Value))
		if err != nil {
			r.answer(netproto.Invalid)
			return
		}
		l.debugSet = max(n, -1)
		l.applyDebug()
		r.answer(netproto.Handled)
	case ups.DriverKillpower:
		v := "0"
		if allows(r.Value) {
			v = "1"
		}
		l.state.Apply(ups.Set(ups.DriverKillpower, v))
		r.answer(netproto.Handled)
	default:
		if v, ok := l.state.Variable(r.Name); ok && v.Flags&ups.RW == 0 {
			l.log.Warn("a variable that is read-only was to be set", "variable", r.Name)
			r.answer(netproto.Invalid)
			return
		}
		l.wait(r)
	}
}

// allows reads the value of allow_killpower as C does.
func allows(v string) bool {
	return ups.Atoi(v) > 0 || strings.HasPrefix(v, "enable") || v == "true" || v == "yes" || v == "on"
}

// wait puts a request before the device, which must be there.
func (l *loop) wait(r request) {
	if !l.open || len(l.queue) >= maxQueue {
		l.log.Error("a request failed: the device is not connected or too busy", "request", r.Name)
		r.answer(netproto.Failed)
		return
	}
	l.queue = append(l.queue, r)
}

// waitFirst puts a request before all others, and lets a poll that takes long make
// way for it.
func (l *loop) waitFirst(r request) {
	n := len(l.queue)
	l.wait(r)
	if len(l.queue) == n {
		return
	}
	l.queue = append([]request{r}, l.queue[:n]...)
	if c := l.call; c != nil && c.poll && c.cutAt.IsZero() {
		c.cutAt = time.Now().Add(cutGrace)
		if limit := c.cutAt.Add(cutGrace); limit.Before(c.limit) {
			c.limit = limit
		}
	}
}

// beginRequest lets the device perform a request.
func (l *loop) beginRequest(r request) {
	limit := l.driver.callLimit()
	dev := l.worker.dev // written before the worker's first call returned
	switch {
	case r.Set:
		name := r.Name
		if v, ok := l.state.Variable(name); ok {
			name = v.Name
		}
		l.call = l.worker.begin(l.ctx, "set", limit, func(ctx context.Context) outcome {
			return outcome{err: dev.Set(ctx, name, r.Value)}
		})
		l.call.then = func(o outcome) {
			if o.err != nil {
				l.failed(r, o.err)
				return
			}
			l.log.Info("variable set", "variable", name, "value", r.Value)
			// The asker hears of it when readers can see it.
			l.replies = append(l.replies, func() { r.answer(netproto.Handled) })
		}
	case strings.EqualFold(r.Name, cmdKillpower):
		l.beginKillpower(r)
	default:
		name := l.spelling(r.Name)
		l.call = l.worker.begin(l.ctx, "command", limit, func(ctx context.Context) outcome {
			return outcome{err: dev.Command(ctx, name, r.Value)}
		})
		l.call.then = func(o outcome) {
			if o.err != nil {
				l.failed(r, o.err)
				return
			}
			l.log.Log(l.ctx, commandLevel(name), "command performed", "command", name, "parameter", r.Value)
			r.answer(netproto.Handled)
			l.replies = append(l.replies, func() {}) // look at what it did
		}
	}
}

// commandLevel is how loudly a command is reported: what changes the power of the
// load matters most.
func commandLevel(name string) slog.Level {
	if strings.Contains(name, "load.") || strings.Contains(name, "shutdown.") {
		return daemon.LevelCritical
	}
	return daemon.LevelNotice
}

// spelling returns a command as the device spells it.
func (l *loop) spelling(name string) string {
	for _, c := range l.state.Snapshot().Commands {
		if strings.EqualFold(c, name) {
			return c
		}
	}
	return name
}

// failed reports a request that the device did not perform.
func (l *loop) failed(r request, err error) {
	l.log.Warn("request failed", "request", r.Name, "value", r.Value, "error", err)
	r.answer(result(err))
	if errors.Is(err, ErrGone) {
		l.lose(fmt.Errorf("request %s: %w", r.Name, err))
	}
}

// result is the number by which the driver socket knows an error.
func result(err error) netproto.Result {
	switch {
	case err == nil:
		return netproto.Handled
	case errors.Is(err, ErrUnknown):
		return netproto.Unknown
	case errors.Is(err, ErrInvalid):
		return netproto.Invalid
	}
	return netproto.Failed
}

// beginKillpower cuts the power and ends the session.
func (l *loop) beginKillpower(r request) {
	l.setState("fsd.killpower")
	commands := l.config.shutdownCommands(&l.driver)
	dev := l.worker.dev
	limit := l.driver.callLimit()
	l.call = l.worker.begin(l.ctx, "killpower", limit, func(ctx context.Context) outcome {
		return outcome{err: cutPower(ctx, dev, commands, l.log)}
	})
	l.call.then = func(o outcome) {
		r.answer(result(o.err))
		if o.err != nil {
			l.end(program.Exitf(1, "cut the power: %w", o.err))
			return
		}
		l.end(nil)
	}
}

// applyDebug makes logging as verbose as was asked for, by a client or by the
// configuration.
func (l *loop) applyDebug() {
	n := l.config.Debug
	if l.debugSet >= 0 {
		n = l.debugSet
	}
	l.publishDebug(n)
	if l.hooks.SetDebug != nil {
		l.hooks.SetDebug(n)
	}
}

// reloadNow does the reloads that were asked for.
func (l *loop) reloadNow() {
	for _, r := range l.reload {
		blocked, err := l.reloadConfig()
		switch {
		case err != nil:
			l.log.Error("the configuration was not reloaded; the running one stays", "error", err)
			r.answer(netproto.Invalid)
		case blocked == 0:
			r.answer(netproto.Handled)
		case r.Name == cmdReloadOrExit:
			l.end(program.Exitf(exitReload, "ending: %d changes of the configuration need a restart", blocked))
		default:
			r.answer(netproto.Invalid)
		}
	}
	l.reload = nil
}

// reloadConfig reads the configuration and applies what can be applied. blocked
// is the number of changes that need a restart.
func (l *loop) reloadConfig() (blocked int, err error) {
	if l.hooks.Reload == nil {
		return 0, nil
	}
	state := l.state.Value(ups.DriverState)
	l.setState("reloading")
	defer l.setState(state)
	next, err := l.hooks.Reload()
	if err != nil {
		return 0, err
	}
	restart, live := l.config.merge(&l.driver, next)
	for _, name := range restart {
		l.log.Warn("a change of the configuration needs a restart of the driver", "option", name)
		blocked++
	}
	l.publishConfig()
	l.applyDefaults()
	l.applyDebug()
	l.tries = 0
	if live && l.worker != nil {
		l.drop()
		l.nextOpen = time.Time{}
	}
	l.log.Info("configuration reloaded", "needs_restart", blocked)
	return blocked, nil
}

// merge takes over from next what may change while a device is open and returns
// what may not but has changed. What vanished from the configuration stays, as in C.
// live tells that the device
// has to be opened again, with options that it is allowed to get that way.
func (c *Config) merge(d *Driver, next Config) (restart []string, live bool) {
	fixed := func(name, was, is string) {
		if is != "" && was != is {
			restart = append(restart, name)
		}
	}
	fixed("port", c.Values.Port, next.Values.Port)
	fixed("user", c.User, next.User)
	fixed("group", c.Group, next.Group)
	fixed("chroot", c.Chroot, next.Chroot)
	fixed("statepath", c.StatePath, next.StatePath)
	fixed("record", c.Record, next.Record)
	for name, value := range next.Values.Set {
		o, _ := d.option(name)
		was, had := c.Values.Set[name]
		switch {
		case had && was == value:
		case o.Live:
			// A device holds the map that it was opened with.
			c.Values.Set = maps.Clone(c.Values.Set)
			c.Values.Set[name] = value
			c.Values.Places = next.Values.Places
			live = true
		default:
			restart = append(restart, name)
		}
	}
	c.PollInterval = next.PollInterval
	c.Synchronous = next.Synchronous
	c.MaxTries = next.MaxTries
	c.ReportEvery = next.ReportEvery
	c.Debug = next.Debug
	if len(next.ShutdownCommands) > 0 {
		c.ShutdownCommands = next.ShutdownCommands
	}
	c.NoLock = c.NoLock || next.NoLock
	c.Values.NoLock = c.Values.NoLock || next.Values.NoLock // from when it is opened again
	c.IgnoreLB = c.IgnoreLB || next.IgnoreLB
	c.AllowKillpower = c.AllowKillpower || next.AllowKillpower
	c.Presets = next.Presets
	return restart, live
}
