package driver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"gonut/internal/drvsock"
	"gonut/internal/netproto"
	"gonut/internal/ups"
	"gonut/internal/words"
)

// What a peer on the driver socket gets before it is dropped.
const (
	// writeLimit is how long it may take to read what it was sent.
	writeLimit = 5 * time.Second
	// flushLimit is the same for the last answers.
	flushLimit = time.Second
	// peerQueue is how many answers may wait for it.
	peerQueue = 64
)

// Serve answers on the driver socket until ctx ends, which also closes l. Each
// peer is told every change of the State unless it declined; one that does not
// read is dropped and delays nobody.
func (s *Session) Serve(ctx context.Context, l net.Listener) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	for {
		conn, err := l.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			if errors.Is(err, net.ErrClosed) {
				return fmt.Errorf("accept on driver socket: %w", err)
			}
			// Out of descriptors, most likely: others may give some back.
			s.log.Warn("accept on driver socket", "error", err)
			select {
			case <-ctx.Done():
			case <-time.After(time.Second):
			}
			continue
		}
		wg.Go(func() { s.serve(ctx, conn) })
	}
}

// serve talks to one peer until either side has enough.
func (s *Session) serve(ctx context.Context, conn net.Conn) {
	ctx, cancel := context.WithCancelCause(ctx)
	p := &peer{session: s, conn: conn, out: make(chan answer, peerQueue), cancel: cancel}
	// The end wakes the reader; the writer still delivers the answers that wait.
	stop := context.AfterFunc(ctx, func() { conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	var wg sync.WaitGroup
	wg.Go(func() { cancel(p.read(ctx)) })
	cancel(p.write(ctx))
	p.flush()
	conn.Close()
	wg.Wait()
	if err := context.Cause(ctx); errors.Is(err, errSlow) {
		s.log.Warn("a client of the driver socket was dropped", "error", err)
	}
}

var (
	errSlow    = errors.New("it does not read what it is sent")
	errGoodbye = errors.New("goodbye")
)

// A peer is one connection to the driver socket. Its reader takes requests, its
// writer sends answers and changes; only the writer touches the connection's
// sending side.
type peer struct {
	session *Session
	conn    net.Conn
	out     chan answer
	cancel  context.CancelCauseFunc
}

// An answer is something for the writer to send or to do.
type answer struct {
	lines     []byte
	dump      bool // all variables and commands
	broadcast int  // 1: send changes from now on, -1: do not
	last      bool // close after this
}

// write sends changes and answers. Changes that came before an answer are sent
// before it, so that the result of a request is not older than its effects.
func (p *peer) write(ctx context.Context) error {
	_, watcher := p.session.state.Watch()
	defer func() { watcher.Stop() }()
	changes := watcher.Changes()
	var buf []byte
	var ok bool
	for {
		buf = buf[:0]
		var a answer
		select {
		case <-ctx.Done():
			return ctx.Err()
		case cs, ok := <-changes:
			if !ok {
				return errSlow
			}
			buf = appendChanges(buf, cs)
		case a = <-p.out:
		}
		if buf, ok = drain(buf, changes); !ok {
			return errSlow
		}
		switch {
		case a.dump:
			// The changes so far are part of the dump, those after it follow.
			watcher.Stop()
			var snap *ups.Snapshot
			snap, watcher = p.session.state.Watch()
			if changes == nil {
				watcher.Stop()
			} else {
				changes = watcher.Changes()
			}
			buf = appendChanges(buf, snap.Changes())
			buf = append(buf, drvsock.DumpDone+"\n"...)
		case a.broadcast < 0:
			watcher.Stop()
			changes = nil
		case a.broadcast > 0 && changes == nil:
			_, watcher = p.session.state.Watch()
			changes = watcher.Changes()
		}
		buf = append(buf, a.lines...)
		if err := p.send(buf); err != nil {
			return err
		}
		if a.last {
			return errGoodbye
		}
	}
}

// flush sends the answers that are still to be sent, the result of driver.exit
// among them, to a peer that reads at once.
func (p *peer) flush() {
	var buf []byte
	for {
		select {
		case a := <-p.out:
			buf = append(buf, a.lines...)
		default:
			if len(buf) > 0 {
				p.conn.SetWriteDeadline(time.Now().Add(flushLimit))
				p.conn.Write(buf)
			}
			return
		}
	}
}

// drain appends what the feed holds already. ok is false if the feed was cut off.
func drain(buf []byte, changes <-chan []ups.Change) (_ []byte, ok bool) {
	for {
		select {
		case cs, ok := <-changes:
			if !ok {
				return buf, false
			}
			buf = appendChanges(buf, cs)
		default:
			return buf, true
		}
	}
}

func appendChanges(buf []byte, cs []ups.Change) []byte {
	for _, c := range cs {
		buf = drvsock.Append(buf, c)
	}
	return buf
}

func (p *peer) send(buf []byte) error {
	if len(buf) == 0 {
		return nil
	}
	p.conn.SetWriteDeadline(time.Now().Add(writeLimit))
	_, err := p.conn.Write(buf)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return errSlow
	}
	if err != nil {
		return err
	}
	return p.conn.SetWriteDeadline(time.Time{}) // it would wake us for nothing
}

// read takes requests. After a broken record it goes on with the next line.
func (p *peer) read(ctx context.Context) error {
	var lex words.Lexer
	broken := false
	buf := make([]byte, 1024)
	for {
		n, err := p.conn.Read(buf)
		for b := buf[:n]; len(b) > 0; {
			if broken {
				i := bytes.IndexByte(b, '\n')
				if i < 0 {
					break
				}
				b, broken = b[i+1:], false
				continue
			}
			used, done, lexErr := lex.Feed(b)
			b = b[used:]
			if lexErr != nil {
				p.session.log.Info("a client of the driver socket sent nonsense", "error", lexErr)
				broken = true
				continue
			}
			if !done {
				break
			}
			if err := p.handle(ctx, lex.Words()); err != nil {
				return err
			}
		}
		if err != nil {
			return err
		}
	}
}

// handle does what one record asks for.
func (p *peer) handle(ctx context.Context, ws []string) error {
	if len(ws) == 0 {
		return nil
	}
	r, ok, err := drvsock.ParseRequest(ws)
	if ok {
		return p.request(ctx, r, err)
	}
	state := p.session.state
	switch strings.ToUpper(ws[0]) {
	case drvsock.Ping:
		return p.order(ctx, request{ping: true, reply: func(netproto.Result) { p.post([]byte(drvsock.Pong + "\n")) }})
	case drvsock.DumpAll:
		return p.answer(ctx, answer{dump: true})
	case drvsock.DumpStatus:
		return p.answer(ctx, answer{lines: dumpOne(state.Snapshot(), ups.StatusName)})
	case "DUMPVALUE":
		if len(ws) < 2 {
			break
		}
		return p.answer(ctx, answer{lines: dumpOne(state.Snapshot(), ws[1])})
	case drvsock.GetPID:
		return p.answer(ctx, answer{lines: fmt.Appendf(nil, "PID %d\n", os.Getpid())})
	case "NOBROADCAST":
		return p.answer(ctx, answer{broadcast: -1})
	case "BROADCAST":
		on := 1
		if len(ws) > 1 && ups.Atoi(ws[1]) <= 0 {
			on = -1
		}
		return p.answer(ctx, answer{broadcast: on})
	case drvsock.Logout:
		return p.answer(ctx, answer{lines: []byte(drvsock.Goodbye + "\n"), last: true})
	}
	p.session.log.Info("a client of the driver socket sent something unknown", "line", words.Join(ws...))
	return nil
}

// request hands an INSTCMD or SET to the session.
func (p *peer) request(ctx context.Context, r drvsock.Request, malformed error) error {
	reply := func(n netproto.Result) {
		if r.ID != "" {
			p.post(drvsock.AppendTracking(nil, r.ID, n))
		}
	}
	if malformed != nil {
		p.session.log.Warn("a client of the driver socket sent a request that makes no sense", "error", malformed)
		reply(netproto.Invalid)
		return nil
	}
	return p.order(ctx, request{Request: r, reply: reply})
}

// order gives a request to the loop.
func (p *peer) order(ctx context.Context, r request) error {
	select {
	case p.session.requests <- r:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// answer queues something for the writer, which may be busy.
func (p *peer) answer(ctx context.Context, a answer) error {
	select {
	case p.out <- a:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// post queues lines without ever waiting.
func (p *peer) post(lines []byte) {
	select {
	case p.out <- answer{lines: lines}:
	default:
		p.cancel(errSlow)
	}
}

// dumpOne is the dump of a single variable, which need not exist.
func dumpOne(snap *ups.Snapshot, name string) []byte {
	one := ups.Snapshot{Stale: snap.Stale}
	if v, ok := snap.Variable(name); ok {
		one.Variables = []ups.Variable{v}
	}
	return append(appendChanges(nil, one.Changes()), drvsock.DumpDone+"\n"...)
}
