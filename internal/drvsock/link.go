package drvsock

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"time"

	"gonut/internal/netproto"
	"gonut/internal/ups"
	"gonut/internal/words"
)

// A Link is a connection to a running driver for a few questions, as upsdrvctl and
// a second instance of the driver ask them. It belongs to one goroutine; after an
// error it is of no use.
type Link struct {
	conn net.Conn
	scan *words.Scanner
}

// Connect connects to a driver and asks it not to send its changes.
func Connect(ctx context.Context, dial Dialer) (*Link, error) {
	conn, err := dial(ctx)
	if err != nil {
		return nil, fmt.Errorf("connect to driver: %w", err)
	}
	l := &Link{conn: conn, scan: words.NewScanner(conn)}
	if err := l.ask(ctx, []byte("NOBROADCAST\n"), nil); err != nil {
		conn.Close()
		return nil, err
	}
	return l, nil
}

// Close ends the connection. LOGOUT is not sent: C's drivers stand still for a
// second after it.
func (l *Link) Close() error { return l.conn.Close() }

// Ping returns when the driver has answered a PING.
func (l *Link) Ping(ctx context.Context) error {
	return l.ask(ctx, []byte(Ping+"\n"), func(m Message) bool { return m.Kind == PongReply })
}

// Do makes the request and returns what the driver says of it. Its ID is chosen
// here.
func (l *Link) Do(ctx context.Context, r Request) (netproto.Result, error) {
	r.ID = rand.Text()
	result := netproto.Pending
	err := l.ask(ctx, r.Append(nil), func(m Message) bool {
		if m.Kind == TrackingDone && m.ID == r.ID {
			result = m.Result
		}
		return result != netproto.Pending
	})
	return result, err
}

// PIDAndStatus returns the driver's process number and ups.status as it says them.
// Drivers before 2.8.1 answer neither question with what was asked; what is missing
// is empty.
func (l *Link) PIDAndStatus(ctx context.Context) (pid, status string, err error) {
	known := false
	see := func(m Message) {
		switch {
		case m.Kind == PIDReply:
			pid = m.ID
		case m.Kind == Change && m.Change.Op == ups.SetInfo && m.Change.Name == "ups.status":
			status, known = m.Change.Args[0], true
		case m.Kind == DumpEnd:
			known = true
		}
	}
	// Requests are answered in order, so the PONG ends what there is to hear.
	ask := GetPID + "\n" + DumpStatus + "\n" + Ping + "\n"
	err = l.ask(ctx, []byte(ask), func(m Message) bool { see(m); return m.Kind == PongReply })
	if err != nil || known {
		return pid, status, err
	}
	err = l.ask(ctx, []byte(DumpAll+"\n"), func(m Message) bool { see(m); return m.Kind == DumpEnd })
	return pid, status, err
}

// Dump returns the changes that make up all that the driver knows.
func (l *Link) Dump(ctx context.Context) ([]ups.Change, error) {
	var cs []ups.Change
	err := l.ask(ctx, []byte(DumpAll+"\n"), func(m Message) bool {
		if m.Kind == Change {
			cs = append(cs, m.Change)
		}
		return m.Kind == DumpEnd
	})
	return cs, err
}

// WaitClosed returns when the driver has closed the connection, or with ctx.
func (l *Link) WaitClosed(ctx context.Context) error {
	err := l.ask(ctx, nil, func(Message) bool { return false })
	if err != nil && ctx.Err() == nil {
		return nil
	}
	return err
}

// ask sends text and reads messages until done says so. A nil done waits for
// nothing.
func (l *Link) ask(ctx context.Context, text []byte, done func(Message) bool) error {
	stop := context.AfterFunc(ctx, func() { l.conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	err := l.exchange(text, done)
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("ask driver: %w", context.Cause(ctx))
	}
	return err
}

func (l *Link) exchange(text []byte, done func(Message) bool) error {
	if len(text) > 0 {
		if _, err := l.conn.Write(text); err != nil {
			return fmt.Errorf("ask driver: %w", err)
		}
	}
	if done == nil {
		return nil
	}
	for l.scan.Scan() {
		if l.scan.Problem() == nil && done(Parse(l.scan.Words())) {
			return nil
		}
	}
	if err := l.scan.Err(); err != nil {
		return fmt.Errorf("ask driver: %w", err)
	}
	return fmt.Errorf("ask driver: %w", ErrClosed)
}

// ErrClosed means that the driver ended the connection instead of answering.
var ErrClosed = errors.New("the driver closed the connection")
