package upsdrvctl

import (
	"context"
	"errors"
	"fmt"
	"syscall"

	"gonut/internal/daemon"
	"gonut/internal/drvsock"
	"gonut/internal/netproto"
	"gonut/internal/ups"
)

// command gives the order of -c to running drivers.
func (c *controller) command(ctx context.Context) error {
	do := map[order]func(context.Context, unit) error{
		reloadOrError: c.reloadUnit,
		exit:          c.exitUnit,
		dump:          c.dumpUnit,
		reload:        c.signalUnit(syscall.SIGHUP),
		reloadOrExit:  c.signalUnit(userSignal),
	}[c.opt.order]
	return c.each(ctx, "command", c.units, func(ctx context.Context, u unit) error {
		c.debug(ctx, 1, "Command UPS: %s", u.ups)
		if c.opt.test {
			return nil
		}
		return do(ctx, u)
	})
}

// signalUnit returns the order that sends a signal.
func (c *controller) signalUnit(sig syscall.Signal) func(context.Context, unit) error {
	return func(_ context.Context, u unit) error {
		_, err := daemon.SignalFile(u.pidFiles, sig, []string{u.driver}, c.env.Getenv)
		return err
	}
}

// exitUnit ends a driver over its socket. Those that do not know the command, older
// ones, get a signal.
func (c *controller) exitUnit(ctx context.Context, u unit) error {
	err := c.exit(ctx, u)
	if err == nil {
		return nil
	}
	pid, findErr := c.find(u)
	if findErr != nil {
		return err
	}
	return c.end(ctx, u, pid)
}

// reloadUnit has a driver read ups.conf again and say whether that was enough.
func (c *controller) reloadUnit(ctx context.Context, u unit) error {
	l, err := c.connect(ctx, u)
	if err != nil {
		return errNotRunning
	}
	defer l.Close()
	ctx, cancel := context.WithTimeoutCause(ctx, orderWait, errors.New("its driver does not answer"))
	defer cancel()
	r, err := l.Do(ctx, drvsock.Request{Name: "driver.reload-or-error"})
	if err != nil {
		return err
	}
	if r != netproto.Handled {
		return fmt.Errorf("reload: the driver answers %s", resultText(r))
	}
	return nil
}

// dumpUnit prints what a driver knows, one "variable: value" a line. C sends a
// signal upon which the driver prints it wherever its output goes; that signal
// (URG) is also one that Go programs send to themselves all the time.
func (c *controller) dumpUnit(ctx context.Context, u unit) error {
	l, err := c.connect(ctx, u)
	if err != nil {
		return errNotRunning
	}
	defer l.Close()
	ctx, cancel := context.WithTimeoutCause(ctx, orderWait, errors.New("its driver does not answer"))
	defer cancel()
	cs, err := l.Dump(ctx)
	if err != nil {
		return err
	}
	for _, ch := range cs {
		if ch.Op == ups.SetInfo {
			fmt.Fprintf(c.env.Stdout, "%s: %s\n", ch.Name, ch.Args[0])
		}
	}
	return nil
}
