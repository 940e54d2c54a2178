package upsclient

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"gonut/internal/netproto"
	"gonut/internal/words"
)

// All stands for every ups of a server in Client.Watch, those included that come
// later.
const All = netproto.All

// A Step is something that happened to one ups, all of it at once.
type Step struct {
	UPS string
	// Whole says that Changes are all values there are: what was known of the ups
	// before is void. The first step of each ups is whole, and so is the one after
	// its driver has come back or after this client was too slow.
	Whole   bool
	Changes []Change // in order
	// Judged says that the step tells whether the values can be trusted from now
	// on: State is then nil, ErrDataStale, ErrDriverNotConnected (nothing is known)
	// or ErrUnknownUPS (it was removed from the server's configuration). Otherwise
	// that is as it was.
	Judged bool
	State  error
}

// A Change is one variable's.
type Change struct {
	Name, Value string
	Gone        bool // the ups has it no longer; Value is empty
}

// keepAlive is how often a watch says something: servers leave a client that is
// silent for a minute.
const keepAlive = 20 * time.Second

// A Watch is a connection on which the server tells changes. It serves one
// goroutine at a time.
type Watch struct {
	c       *Client
	sent    time.Time        // when we last said something
	asked   bool             // a reply to that is due
	pending map[string]*Step // begun, by ups
	size    int              // bytes of pending
}

// Watch asks the server to tell every change of a ups, or of All, whose name
// begins with one of the prefixes; without prefixes every one. The client must not
// be used for anything else afterwards; end it with Close. A server that cannot
// push refuses with ErrUnknownCommand: then one has to poll.
func (c *Client) Watch(ctx context.Context, ups string, prefixes ...string) (*Watch, error) {
	line, err := c.Do(ctx, append([]string{netproto.Watch, ups}, prefixes...)...)
	if err != nil {
		return nil, err
	}
	if line != netproto.OK {
		return nil, c.fail(&ProtocolError{Addr: c.addr, Request: netproto.Watch, Reply: line, Problem: "neither OK nor an error"})
	}
	return &Watch{c: c, sent: time.Now(), pending: make(map[string]*Step)}, nil
}

// Next returns the next step, waiting for it as long as ctx allows. After an error
// the client is closed, except when ctx has ended: then Next may be called again.
func (w *Watch) Next(ctx context.Context) (Step, error) {
	if w.c.err != nil {
		return Step{}, w.c.err
	}
	defer w.c.watch(ctx)()
	for {
		line, err := w.line(ctx)
		if err != nil {
			return Step{}, err
		}
		ws, _ := words.Split(line) // with an error, what came before it
		p, pushed, ok := netproto.ParsePush(ws)
		if !pushed {
			if !w.asked {
				return Step{}, w.c.fail(&ProtocolError{Addr: w.c.addr, Reply: line, Problem: "nobody asked for this"})
			}
			w.asked = false
			continue
		}
		if !ok {
			continue // from a newer server
		}
		step, done := w.collect(p)
		if w.size += len(line); w.size > maxListBytes {
			return Step{}, w.c.fail(&ProtocolError{Addr: w.c.addr, Reply: line, Problem: "the step does not end"})
		}
		if done {
			if len(w.pending) == 0 {
				w.size = 0
			}
			return step, nil
		}
	}
}

// collect adds a line to the step that it belongs to.
func (w *Watch) collect(p netproto.PushLine) (step Step, done bool) {
	s := w.pending[p.UPS]
	if s == nil {
		s = &Step{UPS: p.UPS}
		w.pending[p.UPS] = s
	}
	switch p.Kind {
	case netproto.PushBegin:
		*s = Step{UPS: p.UPS, Whole: true}
	case netproto.PushVar:
		s.Changes = append(s.Changes, Change{Name: p.Name, Value: p.Value})
	case netproto.PushDel:
		s.Changes = append(s.Changes, Change{Name: p.Name, Gone: true})
	case netproto.PushState:
		s.Judged, s.State = true, nil
		if p.Value != netproto.StateOK {
			s.State = Error(p.Value)
		}
	case netproto.PushEnd:
		delete(w.pending, p.UPS)
		return *s, true
	}
	return Step{}, false
}

// line returns the next line, and meanwhile lets the server know that we live and
// finds out whether it does.
func (w *Watch) line(ctx context.Context) (string, error) {
	c := w.c
	for {
		if ready, _ := c.r.Peek(c.r.Buffered()); bytes.IndexByte(ready, '\n') >= 0 {
			b, err := c.r.ReadSlice('\n')
			return printable(b), err
		} else if len(ready) >= maxLine {
			return "", c.fail(&ProtocolError{Addr: c.addr, Reply: printable(ready[:60]) + "…", Problem: fmt.Sprintf("the line is longer than %d bytes", maxLine)})
		}
		due := w.sent.Add(keepAlive)
		if w.asked {
			due = w.sent.Add(c.timeout)
		}
		c.conn.SetReadDeadline(due)
		if ctx.Err() != nil { // before this deadline: it would have been forgotten
			return "", ctx.Err()
		}
		_, err := c.r.Peek(c.r.Buffered() + 1)
		switch {
		case err == nil || errors.Is(err, bufio.ErrBufferFull):
		case ctx.Err() != nil:
			return "", ctx.Err()
		case errors.Is(err, os.ErrDeadlineExceeded) && !w.asked:
			if err := w.ask(ctx); err != nil {
				return "", err
			}
		case errors.Is(err, io.EOF):
			return "", c.fail(&ConnError{Op: OpReceive, Addr: c.addr, Err: io.EOF})
		default:
			return "", c.fail(c.connError(ctx, OpReceive, err))
		}
	}
}

// ask sends a request whose reply is a sign of life.
func (w *Watch) ask(ctx context.Context) error {
	c := w.c
	c.conn.SetWriteDeadline(time.Now().Add(c.timeout))
	if _, err := io.WriteString(c.conn, "NETVER\n"); err != nil {
		return c.fail(c.connError(ctx, OpSend, err))
	}
	w.sent, w.asked = time.Now(), true
	return nil
}

// Close ends the connection.
func (w *Watch) Close() error { return w.c.Close() }
