package upsdrvctl

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strconv"
	"syscall"
	"time"

	"gonut/internal/daemon"
	"gonut/internal/drvsock"
	"gonut/internal/netproto"
)

// How long drivers get.
const (
	connectWait = time.Second      // to accept a connection
	answerWait  = 3 * time.Second  // to answer a PING
	orderWait   = 15 * time.Second // to carry out an order
	endWait     = 5 * time.Second  // to end after a signal
	endPoll     = 20 * time.Millisecond
)

func (c *controller) stop(ctx context.Context) error {
	return c.each(ctx, "stop", c.units, c.stopUnit)
}

// stopUnit ends one driver: by signal if its PID file leads to it, by its socket
// otherwise.
func (c *controller) stopUnit(ctx context.Context, u unit) error {
	c.debug(ctx, 1, "Stopping UPS: %s", u.ups)
	if c.opt.test {
		return nil
	}
	pid, err := c.find(u)
	if err == nil {
		return c.end(ctx, u, pid)
	}
	c.debug(ctx, 1, "%v", err)
	if exitErr := c.exit(ctx, u); exitErr != nil {
		return fmt.Errorf("%w (%v)", exitErr, err)
	}
	return nil
}

// find returns the process of the unit's driver by its PID files.
func (c *controller) find(u unit) (pid int, err error) {
	pid, err = daemon.SignalFile(u.pidFiles, 0, []string{u.driver}, c.env.Getenv)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, fmt.Errorf("no PID file %s", u.pidFiles[0])
	}
	return pid, err
}

// end makes a process end: TERM, and KILL if that does not help.
func (c *controller) end(ctx context.Context, u unit, pid int) error {
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		err := daemon.SignalPID(pid, sig, []string{u.driver}, c.env.Getenv)
		if errors.Is(err, os.ErrProcessDone) {
			return nil
		}
		if err != nil {
			return err
		}
		gone, err := c.awaitEnd(ctx, u, pid)
		if err != nil {
			return err
		}
		if gone && sig == syscall.SIGKILL {
			c.log.Warn(fmt.Sprintf("UPS %s: the driver did not heed SIGTERM and was killed", u.ups))
			return c.sweep(u, pid)
		}
		if gone {
			return nil
		}
	}
	return fmt.Errorf("process %d does not end even by SIGKILL; it hangs in the kernel, most likely on its device", pid)
}

// awaitEnd reports whether the process ended in time.
func (c *controller) awaitEnd(ctx context.Context, u unit, pid int) (bool, error) {
	for deadline := time.Now().Add(endWait); time.Now().Before(deadline); {
		if err := pause(ctx, endPoll); err != nil {
			return false, err
		}
		if daemon.SignalPID(pid, 0, []string{u.driver}, c.env.Getenv) != nil {
			return true, nil
		}
	}
	return false, nil
}

// sweep removes the PID files that a killed driver left.
func (c *controller) sweep(u unit, pid int) error {
	for _, path := range u.pidFiles {
		if p, err := daemon.ReadPID(path); err == nil && p == pid {
			if err := os.Remove(path); err != nil {
				return fmt.Errorf("remove the PID file of a killed driver: %w", err)
			}
		}
	}
	return nil
}

// exit asks a driver over its socket to end, and waits until it has.
func (c *controller) exit(ctx context.Context, u unit) error {
	l, err := c.connect(ctx, u)
	if err != nil {
		return errNotRunning
	}
	defer l.Close()
	ctx, cancel := context.WithTimeoutCause(ctx, orderWait, errors.New("its driver does not answer"))
	defer cancel()
	pid := c.pid(ctx, u, l)
	r, err := l.Do(ctx, drvsock.Request{Name: "driver.exit"})
	switch {
	case errors.Is(err, drvsock.ErrClosed):
		return nil // it was in a hurry
	case err != nil:
		return fmt.Errorf("driver.exit: %w", err)
	case r != netproto.Handled:
		return fmt.Errorf("driver.exit: the driver answers %s", resultText(r))
	}
	if err := l.WaitClosed(ctx); err != nil {
		return fmt.Errorf("driver.exit: the driver agreed to end and does not: %w", err)
	}
	if pid == 0 {
		return nil
	}
	// It closes its socket first and its device last.
	gone, err := c.awaitEnd(ctx, u, pid)
	if err == nil && !gone {
		err = fmt.Errorf("driver.exit: process %d agreed to end and does not", pid)
	}
	return err
}

// pid returns the process of the driver behind l, 0 if that cannot be told.
func (c *controller) pid(ctx context.Context, u unit, l *drvsock.Link) int {
	if pid, err := c.find(u); err == nil {
		return pid
	}
	ctx, cancel := context.WithTimeout(ctx, answerWait)
	defer cancel()
	said, _, err := l.PIDAndStatus(ctx)
	pid, numErr := strconv.Atoi(said)
	if err != nil || numErr != nil || pid < 2 {
		return 0
	}
	return pid
}

// connect connects to the socket of a unit's driver.
func (c *controller) connect(ctx context.Context, u unit) (*drvsock.Link, error) {
	ctx, cancel := context.WithTimeout(ctx, connectWait)
	defer cancel()
	return drvsock.Connect(ctx, func(ctx context.Context) (net.Conn, error) {
		return c.env.Dial(ctx, "unix", u.socket)
	})
}

// resultText says what a driver's result means.
func resultText(r netproto.Result) string {
	switch r {
	case netproto.Unknown:
		return "that it does not know the command"
	case netproto.Invalid:
		return "that this needs a restart of the driver"
	case netproto.Failed:
		return "that it failed"
	}
	return fmt.Sprintf("%d", r)
}
