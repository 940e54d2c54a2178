package record

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A DialFunc makes connections.
type DialFunc func(ctx context.Context, network, addr string) (net.Conn, error)

// A Line is a connection to a device without an address, such as a serial line.
type Line interface {
	io.ReadWriteCloser
	SetReadDeadline(t time.Time) error
}

// Dialer returns a way to make connections that are recorded, or played. dial may
// be nil if it is not needed.
func (t *Tape) Dialer(dial DialFunc) DialFunc {
	if t == nil {
		return dial
	}
	t.dial = dial
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		address := address(network, addr)
		if t.playing != nil {
			c, err := t.play(address)
			if err != nil {
				return nil, err
			}
			return c, nil
		}
		c, err := dial(ctx, network, addr)
		r := t.opened(address, err)
		if err != nil {
			return nil, err
		}
		return &recordedConn{Conn: c, r: r}, nil
	}
}

// Unrecorded returns the way that Dialer was given, for connections whose clear side
// is recorded by Tap.
func (t *Tape) Unrecorded() DialFunc { return t.dial }

// Tap records what goes over a connection that was made already, such as the clear
// side of an encrypted one.
func (t *Tape) Tap(c net.Conn, network, addr string) net.Conn {
	if t == nil || t.playing != nil {
		return c
	}
	return &recordedConn{Conn: c, r: t.opened(address(network, addr), nil)}
}

// address is how a recording calls the other end of a connection. Where the sockets
// of a system are does not matter elsewhere.
func address(network, addr string) string {
	if network == "unix" {
		addr = filepath.Base(addr)
	}
	return network + " " + strconv.Quote(addr)
}

// Line returns what open returns, recorded, or a recorded line in its place.
func (t *Tape) Line(name string, open func() (Line, error)) (Line, error) {
	if t == nil {
		return open()
	}
	address := address("line", name)
	if t.playing != nil {
		return t.play(address)
	}
	l, err := open()
	r := t.opened(address, err)
	if err != nil {
		return nil, err
	}
	return &recordedLine{Line: l, r: r}, nil
}

// HasLine reports whether the recording that is being played has bytes of a line.
func (t *Tape) HasLine() bool {
	if !t.Playing() {
		return false
	}
	for _, s := range t.playing.streams {
		if strings.HasPrefix(s.addr, "line ") {
			return true
		}
	}
	return false
}

// opened begins the recording of a connection.
func (t *Tape) opened(address string, err error) *recorder {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.conns++
	r := &recorder{tape: t, number: strconv.Itoa(t.conns)}
	e := Event{Key: r.number + " open " + address, Op: Answer}
	if err != nil {
		e.Op, e.Data = Fail, []byte(err.Error())
	}
	t.eventLocked(time.Now(), e)
	return r
}

// A recorder writes down what goes over one connection.
type recorder struct {
	tape   *Tape
	number string

	mu     sync.Mutex
	heard  []byte      // received and not written down yet
	at     time.Time   // when the last of it came
	timer  *time.Timer // writes it down
	closed bool
}

// How received bytes are put together to lines of the recording.
const (
	quiet = 50 * time.Millisecond // after so long without a byte
	chunk = 512                   // the most bytes of a line
)

func (r *recorder) received(b []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.timer != nil {
		r.timer.Stop()
		r.timer = nil
	}
	r.at = time.Now()
	for len(b) > 0 {
		n := min(len(b), chunk-len(r.heard))
		if i := bytes.IndexByte(b[:n], '\n'); i >= 0 {
			n = i + 1
		}
		r.heard = append(r.heard, b[:n]...)
		b = b[n:]
		if r.heard[len(r.heard)-1] == '\n' || len(r.heard) >= chunk {
			r.flush()
		}
	}
	if len(r.heard) > 0 {
		r.timer = time.AfterFunc(quiet, r.rest)
	}
}

// rest writes down what was received when nothing more came for a while.
func (r *recorder) rest() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.flush()
}

// flush writes down what was received. The caller holds mu.
func (r *recorder) flush() {
	if r.timer != nil {
		r.timer.Stop()
		r.timer = nil
	}
	if len(r.heard) > 0 {
		r.tape.eventAt(r.at, Event{Key: r.number, Op: Received, Data: r.heard})
		r.heard = r.heard[:0]
	}
}

func (r *recorder) sent(b []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.flush()
	for c := range bytes.SplitAfterSeq(b, []byte("\n")) {
		if len(c) > 0 {
			r.tape.event(Event{Key: r.number, Op: Sent, Data: c})
		}
	}
}

// ended records why nothing more can be read, unless it is only that no byte came
// in time or that we closed.
func (r *recorder) ended(err error) {
	if err == nil || errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, net.ErrClosed) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.flush()
	if r.closed {
		return
	}
	e := Event{Key: r.number + " end", Op: Answer}
	if !errors.Is(err, io.EOF) {
		e.Op, e.Data = Fail, []byte(err.Error())
	}
	r.tape.event(e)
}

func (r *recorder) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.flush()
	if !r.closed {
		r.closed = true
		r.tape.event(Event{Key: r.number + " close", Op: Answer})
	}
}

type recordedConn struct {
	net.Conn
	r *recorder
}

func (c *recordedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.r.received(b[:n])
	c.r.ended(err)
	return n, err
}

func (c *recordedConn) Write(b []byte) (int, error) {
	c.r.sent(b)
	return c.Conn.Write(b)
}

func (c *recordedConn) Close() error {
	c.r.close()
	return c.Conn.Close()
}

type recordedLine struct {
	Line
	r *recorder
}

func (c *recordedLine) Read(b []byte) (int, error) {
	n, err := c.Line.Read(b)
	c.r.received(b[:n])
	c.r.ended(err)
	return n, err
}

func (c *recordedLine) Write(b []byte) (int, error) {
	c.r.sent(b)
	return c.Line.Write(b)
}

func (c *recordedLine) Close() error {
	c.r.close()
	return c.Line.Close()
}

// A stream is a recorded connection, to be played.
type stream struct {
	addr   string // network and quoted address
	opened Event
	turns  []turn
}

// A turn is what was sent and what came until the next thing was sent, which may be
// nothing. The first one of a connection may have sent nothing.
type turn struct {
	at      time.Duration
	request []byte
	heard   []Event // Received, and the end
}

// add takes the next event of the connection.
func (s *stream) add(what string, e Event) {
	n := len(s.turns)
	switch {
	case e.Op == Sent:
		s.turns = append(s.turns, turn{at: e.At, request: bytes.Clone(e.Data)})
	case e.Op == Received, what == "end":
		if n == 0 {
			s.turns = append(s.turns, turn{at: s.opened.At})
			n = 1
		}
		s.turns[n-1].heard = append(s.turns[n-1].heard, e)
	}
}

// play returns the recorded connection to an address that was the latest at this
// time of the recording.
func (t *Tape) play(address string) (*playedConn, error) {
	var s *stream
	now := t.now()
	for _, o := range t.playing.streams {
		if o.addr == address && (s == nil || o.opened.At <= now) {
			s = o
		}
	}
	if s == nil {
		return nil, fmt.Errorf("connect to %s: %w", address, errNotRecorded)
	}
	if s.opened.Op == Fail {
		return nil, s.opened.failure()
	}
	c := &playedConn{tape: t, stream: s, next: -1, changed: make(chan struct{})}
	if len(s.turns) > 0 && s.turns[0].request == nil {
		c.take(0)
	} else {
		c.next = 0
	}
	return c, nil
}

// A playedConn plays one connection.
type playedConn struct {
	tape   *Tape
	stream *stream

	mu       sync.Mutex
	next     int    // the turn that is expected
	pending  []byte // sent and not recognised yet
	due      []dueData
	closed   bool
	deadline time.Time
	changed  chan struct{} // closed and replaced when anything changes
}

// dueData is what can be read from a time on.
type dueData struct {
	at   time.Time
	data []byte
	err  error
}

// take makes the answers of a turn due. The caller holds mu, or is the only one to
// know c.
func (c *playedConn) take(i int) {
	now := time.Now()
	t := &c.stream.turns[i]
	for _, e := range t.heard {
		d := dueData{at: now.Add(e.At - t.at), data: e.Data}
		if e.Op != Received {
			if d.data, d.err = nil, io.EOF; e.Op == Fail {
				d.err = e.failure()
			}
		}
		if n := len(c.due); n > 0 && d.at.Before(c.due[n-1].at) {
			d.at = c.due[n-1].at
		}
		c.due = append(c.due, d)
	}
	c.next = i + 1
	c.wakeLocked()
}

func (c *playedConn) wakeLocked() {
	close(c.changed)
	c.changed = make(chan struct{})
}

// Write recognises what is sent: the request that came next in the recording, or
// else the same one at the time that the recording has reached. What was never sent
// there is not answered.
func (c *playedConn) Write(b []byte) (int, error) {
	c.tape.mu.Lock()
	masked := c.tape.mask(bytes.Clone(b))
	c.tape.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return 0, net.ErrClosed
	}
	c.pending = append(c.pending, masked...)
	for len(c.pending) > 0 {
		i, ok := c.recognise()
		if !ok {
			break
		}
		if i < 0 {
			c.tape.log.Debug("the recording has no answer to this", "sent", strconv.QuoteToASCII(string(c.pending)))
			c.pending = nil
			break
		}
		c.pending = c.pending[len(c.stream.turns[i].request):]
		c.take(i)
	}
	return len(b), nil
}

// recognise returns the turn whose request begins what is pending, below 0 if there
// is none; ok is false if more has to be sent first.
func (c *playedConn) recognise() (i int, ok bool) {
	turns := c.stream.turns
	if c.next < len(turns) && bytes.HasPrefix(c.pending, turns[c.next].request) && turns[c.next].request != nil {
		return c.next, true
	}
	if c.next < len(turns) && bytes.HasPrefix(turns[c.next].request, c.pending) {
		return 0, false
	}
	best, partial := -1, false
	now := c.tape.now()
	for i := range turns {
		r := turns[i].request
		switch {
		case len(r) == 0:
		case bytes.HasPrefix(c.pending, r):
			if best < 0 || turns[i].at <= now && len(r) >= len(turns[best].request) {
				best = i
			}
		case bytes.HasPrefix(r, c.pending):
			partial = true
		}
	}
	return best, best >= 0 || !partial
}

// Read returns what is due.
func (c *playedConn) Read(b []byte) (int, error) {
	for {
		c.mu.Lock()
		changed, deadline := c.changed, c.deadline
		now := time.Now()
		wait := time.Hour
		switch {
		case c.closed:
			c.mu.Unlock()
			return 0, net.ErrClosed
		case len(c.due) > 0 && !c.due[0].at.After(now):
			n, err := c.readLocked(b)
			c.mu.Unlock()
			return n, err
		case !deadline.IsZero() && !now.Before(deadline):
			c.mu.Unlock()
			return 0, os.ErrDeadlineExceeded
		}
		if len(c.due) > 0 {
			wait = min(wait, c.due[0].at.Sub(now))
		}
		if !deadline.IsZero() {
			wait = min(wait, deadline.Sub(now))
		}
		c.mu.Unlock()
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-changed:
			timer.Stop()
		}
	}
}

func (c *playedConn) readLocked(b []byte) (int, error) {
	d := &c.due[0]
	if d.err != nil {
		return 0, d.err // for ever
	}
	n := copy(b, d.data)
	if d.data = d.data[n:]; len(d.data) == 0 {
		c.due = c.due[1:]
	}
	return n, nil
}

// Close ends the connection and a Read that waits.
func (c *playedConn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		c.closed = true
		c.wakeLocked()
	}
	return nil
}

// SetReadDeadline implements net.Conn.
func (c *playedConn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deadline = t
	c.wakeLocked()
	return nil
}

// SetWriteDeadline implements net.Conn: writes never wait.
func (c *playedConn) SetWriteDeadline(time.Time) error { return nil }

// SetDeadline implements net.Conn.
func (c *playedConn) SetDeadline(t time.Time) error { return c.SetReadDeadline(t) }

// LocalAddr implements net.Conn.
func (c *playedConn) LocalAddr() net.Addr { return playedAddr("recording") }

// RemoteAddr implements net.Conn.
func (c *playedConn) RemoteAddr() net.Addr { return playedAddr(c.stream.addr) }

type playedAddr string

func (a playedAddr) Network() string { return "recording" }
func (a playedAddr) String() string  { return string(a) }
