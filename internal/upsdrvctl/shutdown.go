package upsdrvctl

import (
	"context"
	"errors"
	"fmt"
)

// shutdown has the drivers cut the power of their loads: of the named ups, or of
// all in ascending passes of sdorder.
func (c *controller) shutdown(ctx context.Context) error {
	units := c.units
	if !c.named {
		units = passes(units)
	}
	return c.each(ctx, "shutdown", units, c.shutdownUnit)
}

// shutdownUnit waits for a driver's answer even where nowait says not to wait for
// starts: the order of the passes is what they are for.
func (c *controller) shutdownUnit(ctx context.Context, u unit) error {
	c.debug(ctx, 1, "Shutdown UPS: %s", u.ups)
	cmd, err := c.program(u, c.opt.driverArgs(u, true))
	if err != nil {
		return err
	}
	c.debug(ctx, 2, "exec:  %s", commandLine(cmd))
	if c.opt.test {
		return nil
	}
	ch, err := startChild(cmd)
	if err != nil {
		return err
	}
	ended, err := ch.wait(ctx, u.startDelay)
	switch {
	case err != nil:
		return err
	case !ended:
		return errors.New("its driver takes longer than maxstartdelay; going on without its answer")
	case ch.err != nil:
		return fmt.Errorf("the driver could not cut the power (%s)", reason(ch.cmd.ProcessState, ""))
	}
	return nil
}
