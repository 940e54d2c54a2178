package upsdrvctl

import (
	"context"
	"errors"
	"fmt"

	"gonut/internal/program"
)

// errElapsed is the end of a start that took longer than maxstartdelay.
var errElapsed = errors.New("startup timer elapsed, continuing")

// start starts the drivers of all units.
func (c *controller) start(ctx context.Context) error {
	if c.opt.stays() {
		return c.startForeground(ctx)
	}
	late := make(map[string]*child) // by ups: still starting when the timer elapsed
	failed := c.each(ctx, "start", c.units, func(ctx context.Context, u unit) error {
		ch, err := c.startUnit(ctx, u)
		if errors.Is(err, errElapsed) {
			c.log.Warn(fmt.Sprintf("UPS %s: %v", u.ups, err))
			late[u.ups] = ch
			return nil
		}
		return err
	})
	// A driver that became ready while the others were started is forgiven.
	for _, u := range c.units {
		ch := late[u.ups]
		if ch == nil || ch.ended() && ch.err == nil {
			continue
		}
		if ch.ended() {
			c.log.Error(fmt.Sprintf("start UPS %s: %v", u.ups, startError(ch)))
		} else {
			c.log.Error(fmt.Sprintf("start UPS %s: its driver is not ready yet; it goes on trying", u.ups))
		}
		if failed == nil {
			failed = program.Exit(1)
		}
	}
	return failed
}

// startUnit starts one driver, again if need be. After errElapsed the child is one
// that is still starting.
func (c *controller) startUnit(ctx context.Context, u unit) (*child, error) {
	c.debug(ctx, 1, "Starting UPS: %s", u.ups)
	if u.tries == 0 {
		c.log.Warn(fmt.Sprintf("UPS %s: maxretry = 0 means never to start its driver", u.ups))
		return nil, nil
	}
	if _, err := c.program(u, nil); err != nil {
		return nil, err // another try would find no more
	}
	var starting []*child
	var failure error
	for try := range u.tries {
		if try > 0 {
			if err := pause(ctx, u.retryDelay); err != nil {
				return nil, err
			}
			for _, ch := range starting {
				if ch.ended() && ch.err == nil {
					return nil, nil
				}
			}
		}
		c.debug(ctx, 2, "%d remaining attempts", u.tries-try)
		ch, err := c.attempt(ctx, u)
		switch {
		case err == nil:
			return nil, nil
		case errors.Is(err, errElapsed):
			starting = append(starting, ch)
		case ctx.Err() != nil:
			return nil, err
		}
		if failure = err; try+1 < u.tries {
			c.log.Warn(fmt.Sprintf("start UPS %s: %v", u.ups, err))
		}
	}
	if len(starting) > 0 {
		return starting[len(starting)-1], errElapsed
	}
	return nil, failure
}

// attempt starts a driver once and waits until it is in the background.
func (c *controller) attempt(ctx context.Context, u unit) (*child, error) {
	cmd, err := c.program(u, c.opt.driverArgs(u, false))
	if err != nil {
		return nil, err
	}
	c.debug(ctx, 2, "exec:  %s", commandLine(cmd))
	if c.opt.test {
		return nil, nil
	}
	ch, err := startChild(cmd)
	if err != nil || c.opt.unwatched() || u.nowait && c.env.Getenv("NUT_IGNORE_NOWAIT") != "true" {
		return nil, err
	}
	ended, err := ch.wait(ctx, u.startDelay)
	switch {
	case err != nil:
		return nil, err
	case !ended:
		return ch, errElapsed
	case ch.err != nil:
		return nil, startError(ch)
	}
	return nil, nil
}

// startError says how a driver ended that should have gone to the background.
func startError(ch *child) error {
	return fmt.Errorf("driver failed to start (%s)", reason(ch.cmd.ProcessState, ""))
}

// startForeground makes one driver take our place, and watches over several.
func (c *controller) startForeground(ctx context.Context) error {
	if len(c.units) > 1 && !c.opt.test {
		return c.supervise(ctx)
	}
	return c.each(ctx, "start", c.units, func(ctx context.Context, u unit) error {
		cmd, err := c.program(u, c.opt.driverArgs(u, false))
		if err != nil {
			return err
		}
		c.debug(ctx, 2, "exec:  %s", commandLine(cmd))
		if c.opt.test {
			return nil
		}
		return become(ctx, cmd)
	})
}
