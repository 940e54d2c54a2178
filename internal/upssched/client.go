package upssched

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"time"

	"gonut/internal/program"
	"gonut/internal/upssched/schedule"
)

const (
	tries     = 30
	tryPause  = 250 * time.Millisecond
	dialWait  = 2 * time.Second
	replyWait = 30 * time.Second
	// starts is how often a timer process is started for one order.
	starts = 3
	// maxList bounds the list of timers, in lines of at most maxListLine bytes.
	maxList     = 4 * schedule.MaxTimers
	maxListLine = 64 << 10
)

// errNotRunning is a list of timers that nobody keeps.
var errNotRunning = errors.New("upssched timer is not running")

// errNoReply is an order that may have been taken. To send it again could make a
// second timer.
var errNoReply = errors.New("no reply")

// A client hands orders to the timer process.
type client struct {
	log  *slog.Logger
	dial func(context.Context) (net.Conn, error)
	// start starts a timer process and returns when it listens.
	start func(context.Context) error
}

// send hands over one order and returns when the timer process has it. A
// cancellation that has nothing to cancel and nothing to run is done without one.
func (c *client) send(ctx context.Context, e schedule.Event) error {
	err := c.try(ctx, encode(e), needsKeeper(e))
	if errors.Is(err, errUnknown) {
		if old, ok := older(e); ok {
			c.log.Warn("the running timer process is of an older version and takes this order for a simpler one", "order", strings.TrimSpace(encode(e)))
			err = c.try(ctx, encode(old), needsKeeper(old))
		}
	}
	if err != nil {
		return fmt.Errorf("hand %s to the timer process: %w", strings.TrimSpace(encode(e)), err)
	}
	return nil
}

func needsKeeper(e schedule.Event) bool {
	c, ok := e.(schedule.Cancel)
	return !ok || c.Else != ""
}

// try sends a line until it is answered. What happened to it is known before it is
// sent again.
func (c *client) try(ctx context.Context, line string, needed bool) error {
	var last error
	for i, started := 0, 0; i < tries && ctx.Err() == nil; i++ {
		conn, err := c.connect(ctx)
		if err != nil && absent(err) {
			if !needed {
				return nil
			}
			if started++; started > starts {
				return last
			}
			err = c.start(ctx)
			if said, ok := errors.AsType[*program.ExitError](err); ok {
				return said // it has told why; so would the next one
			}
			if err == nil {
				conn, err = c.connect(ctx)
			}
		}
		if err == nil {
			err = ask(conn, line, replyWait)
			if err == nil || errors.Is(err, errNoReply) || errors.Is(err, errUnknown) {
				return err
			}
		}
		last = err
		c.log.Debug("try again", "err", err)
		pause(ctx, tryPause)
	}
	return errors.Join(last, ctx.Err())
}

func (c *client) connect(ctx context.Context) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialWait)
	defer cancel()
	return c.dial(ctx)
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// ask sends a line and waits for OK. It closes the connection.
func ask(conn net.Conn, line string, wait time.Duration) error {
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(wait))
	if _, err := io.WriteString(conn, line); err != nil {
		return err
	}
	reply, err := bufio.NewReaderSize(io.LimitReader(conn, maxListLine), 256).ReadString('\n')
	switch {
	case strings.HasPrefix(reply, replyOK):
		return nil
	case strings.HasPrefix(reply, replyUnknown):
		return errUnknown
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("%w within %v; it may be busy with a command", errNoReply, wait)
	case err != nil:
		return fmt.Errorf("read reply: %w", err)
	}
	return fmt.Errorf("unexpected reply %q", strings.TrimSpace(reply))
}

// list writes the running timers to w, one a line.
func (c *client) list(ctx context.Context, w io.Writer) error {
	conn, err := c.connect(ctx)
	if err != nil && absent(err) {
		return errNotRunning
	}
	if err != nil {
		return fmt.Errorf("list timers: %w", err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(replyWait))
	if _, err := io.WriteString(conn, encode(nil)); err != nil {
		return fmt.Errorf("list timers: %w", err)
	}
	s := bufio.NewScanner(conn)
	s.Buffer(nil, maxListLine)
	inside := false
	for n := 0; n < maxList && s.Scan(); n++ {
		switch l := s.Text(); {
		case l == listBegin:
			inside = true
		case l == listEnd:
			return nil
		case inside:
			fmt.Fprintln(w, l)
		case l == replyUnknown:
			return errors.New("list timers: the running timer process is of an older version that cannot do this")
		}
	}
	if s.Err() != nil {
		return fmt.Errorf("list timers: %w", s.Err())
	}
	return errors.New("list timers: the list breaks off")
}
