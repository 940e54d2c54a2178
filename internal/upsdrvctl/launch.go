package upsdrvctl

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"gonut/internal/daemon"
)

// outputWait bounds how long the output of a driver that has ended is awaited: its
// own children may still hold it.
const outputWait = time.Second

// program returns the command that runs the driver of u: the file in the folder
// of drivers or else this binary under the driver's name.
func (c *controller) program(u unit, args []string) (*exec.Cmd, error) {
	if u.incomplete != "" {
		return nil, errors.New(u.incomplete)
	}
	path := filepath.Join(c.drivers, u.driver)
	var cmd *exec.Cmd
	_, err := os.Stat(path)
	switch {
	case err == nil:
		cmd = &exec.Cmd{Path: path, Args: append([]string{path}, args...)}
	case !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("find driver: %w", err)
	case c.own(u.driver):
		if cmd, err = daemon.Self(append([]string{u.driver}, args...)...); err != nil {
			return nil, err
		}
	default:
		return nil, fmt.Errorf("there is no driver %s in %s%s; nut doctor drivers %s tells more", u.driver, c.drivers, c.likeDriver(u.driver), u.ups)
	}
	cmd.Stdout, cmd.Stderr = c.env.Stdout, c.env.Stderr
	cmd.WaitDelay = outputWait
	return cmd, nil
}

// likeDriver names the program in the folder of drivers that a wrong name may mean.
func (c *controller) likeDriver(name string) string {
	entries, _ := os.ReadDir(c.drivers) // none: nothing to suggest
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return suggestion(name, names)
}

// commandLine is what a user would type for cmd.
func commandLine(cmd *exec.Cmd) string {
	args := cmd.Args
	if args[0] != cmd.Path {
		args = append([]string{cmd.Path}, args...)
	}
	return strings.Join(args, " ")
}

// A child is a process that was started and is waited for.
type child struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
	err  error         // how; valid once done is closed
}

func startChild(cmd *exec.Cmd) (*child, error) {
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start driver: %w", err)
	}
	ch := &child{cmd: cmd, done: make(chan struct{})}
	go func() {
		defer close(ch.done)
		ch.err = cmd.Wait()
		if errors.Is(ch.err, exec.ErrWaitDelay) {
			ch.err = nil
		}
	}()
	return ch, nil
}

// ended reports whether the child has ended.
func (ch *child) ended() bool {
	select {
	case <-ch.done:
		return true
	default:
		return false
	}
}

// wait waits until the child ends, for limit at most if that is above 0.
func (ch *child) wait(ctx context.Context, limit time.Duration) (ended bool, err error) {
	var late <-chan time.Time
	if limit > 0 {
		t := time.NewTimer(limit)
		defer t.Stop()
		late = t.C
	}
	select {
	case <-ch.done:
		return true, nil
	case <-late:
		return false, nil
	case <-ctx.Done():
		return false, context.Cause(ctx)
	}
}

// pause waits, unless ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
