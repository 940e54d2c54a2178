package upsmon

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gonut/internal/conf"
	"gonut/internal/memnet"
	"gonut/internal/upsd"
	"gonut/internal/upsmon/monitor"
)

// A driver is the other end of a driver socket: a few variables that a test sets.
type driver struct {
	name string

	mu    sync.Mutex
	vars  map[string]string
	conns map[net.Conn]bool
	dead  bool
}

func newDriver(name, status string) *driver {
	return &driver{name: name, vars: map[string]string{"ups.status": status}, conns: make(map[net.Conn]bool)}
}

// dial connects upsd to the driver.
func (d *driver) dial(context.Context) (net.Conn, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.dead {
		return nil, errors.New("connection refused")
	}
	ours, theirs := net.Pipe()
	d.conns[ours] = true
	go d.serve(ours)
	return theirs, nil
}

func (d *driver) serve(c net.Conn) {
	defer d.forget(c)
	for r := bufio.NewScanner(c); r.Scan(); {
		var answer string
		switch r.Text() {
		case "PING":
			answer = "PONG\n"
		case "DUMPALL":
			d.mu.Lock()
			for n, v := range d.vars {
				answer += fmt.Sprintf("SETINFO %s %q\n", n, v)
			}
			d.mu.Unlock()
			answer += "DATAOK\nDUMPDONE\n"
		}
		if _, err := io.WriteString(c, answer); err != nil {
			return
		}
	}
}

func (d *driver) forget(c net.Conn) {
	c.Close()
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.conns, c)
}

// set changes a variable and tells upsd.
func (d *driver) set(name, value string) {
	d.mu.Lock()
	d.vars[name] = value
	cs := make([]net.Conn, 0, len(d.conns))
	for c := range d.conns {
		cs = append(cs, c)
	}
	d.mu.Unlock()
	for _, c := range cs {
		fmt.Fprintf(c, "SETINFO %s %q\n", name, value)
	}
}

func (d *driver) status(s string) { d.set("ups.status", s) }

// kill ends the driver; revive starts it again.
func (d *driver) kill() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.dead = true
	for c := range d.conns {
		c.Close()
	}
}

func (d *driver) revive() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.dead = false
}

// A world is a network with servers and hosts in a bubble of fake time.
type world struct {
	t      *testing.T
	net    memnet.Network
	begin  time.Time
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu     sync.Mutex
	events []string // what happened to all hosts, in order
}

// users of every server. The last one needs quotes wherever it is named.
const users = `
[mon]
	password = pw
	upsmon primary
[sec]
	password = pw
	upsmon secondary
[other]
	password = pw
"[a b]"
	password = "p\"= \\w"
	upsmon primary
`

func inWorld(t *testing.T, test func(*world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, begin: time.Now()}
		w.ctx, w.cancel = context.WithCancel(t.Context())
		defer func() {
			w.cancel()
			w.wg.Wait()
		}()
		test(w)
	})
}

// A server is a upsd that can be stopped.
type server struct {
	*upsd.Server
	cancel context.CancelFunc
	done   chan struct{}
}

func (s *server) stop() {
	s.cancel()
	<-s.done
}

// serve starts a upsd at an address for some drivers.
func (w *world) serve(addr string, ds ...*driver) *server {
	w.t.Helper()
	us, problems, err := conf.ParseUsers("upsd.users", strings.NewReader(users))
	if err != nil || len(problems) > 0 {
		w.t.Fatal(problems, err)
	}
	ctx, cancel := context.WithCancel(w.ctx)
	s := upsd.New(conf.UPSD{MaxAge: 15 * time.Second, TrackingDelay: time.Hour, DebugMin: -1}, us, slog.New(slog.DiscardHandler))
	var devices []upsd.Device
	byName := make(map[string]*driver)
	for _, d := range ds {
		devices = append(devices, upsd.Device{Name: d.name, Driver: "dummy"})
		byName[d.name] = d
	}
	s.SetDevices(devices)
	l, err := w.net.Listen(ctx, "tcp", addr+":3493")
	if err != nil {
		w.t.Fatal(err)
	}
	switch {
	case strings.HasPrefix(addr, "old"):
		l = deafListener{Listener: l, word: "WATCH"}
	case strings.HasPrefix(addr, "late"):
		l = deafListener{Listener: l, word: "LOGIN", once: true}
	}
	srv := &server{s, cancel, make(chan struct{})}
	var wg sync.WaitGroup
	wg.Go(func() { s.MirrorAll(ctx, func(d upsd.Device) upsd.Dialer { return byName[d.Name].dial }) })
	wg.Go(func() { s.Serve(ctx, l) })
	w.wg.Go(func() {
		wg.Wait()
		close(srv.done)
	})
	synctest.Wait()
	return srv
}

func (w *world) now() time.Duration { return time.Since(w.begin) }

func (w *world) note(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, fmt.Sprintf("%s ", w.now())+fmt.Sprintf(format, args...))
}

// happened returns what happened so far.
func (w *world) happened() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.events)
}

// A host is one upsmon and what became of it.
type host struct {
	w    *world
	name string
	d    *Daemon
	link link

	mu       sync.Mutex
	notices  []string
	reasons  []monitor.Decision
	downAt   time.Duration // -1: it is up
	flagged  bool          // the UPS is to be switched off
	finished chan struct{}
	err      error
	cancel   context.CancelCauseFunc
}

// start runs a host with a configuration.
func (w *world) start(name, config string) *host { return w.startWith(name, config, Deps{}) }

func (w *world) startWith(name, config string, deps Deps) *host {
	w.t.Helper()
	c, problems, err := conf.ParseUPSMon(name, strings.NewReader(config))
	if err != nil || len(problems) > 0 {
		w.t.Fatal(problems, err)
	}
	return w.startConf(name, c, deps)
}

func (w *world) startConf(name string, c conf.UPSMon, deps Deps) *host {
	w.t.Helper()
	h := &host{w: w, name: name, downAt: -1, finished: make(chan struct{})}
	h.link.net = &w.net
	deps.Dial = h.link.dial
	deps.Shutdowner = h
	deps.Hook = h.see
	if deps.Record == nil {
		deps.Record = h.record
	}
	h.d = New(c, deps)
	ctx, cancel := context.WithCancelCause(w.ctx)
	h.cancel = cancel
	w.wg.Go(func() {
		h.err = h.d.Run(ctx)
		close(h.finished)
	})
	w.wg.Go(func() {
		<-w.ctx.Done()
		cancel(ErrAbandon)
	})
	synctest.Wait()
	return h
}

// Shutdown notes when the host went down.
func (h *host) Shutdown(_ context.Context, powerDown bool) error {
	h.mu.Lock()
	h.downAt, h.flagged = h.w.now(), powerDown
	h.mu.Unlock()
	h.w.note("%s down", h.name)
	return nil
}

func (h *host) record(d monitor.Decision) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.reasons = append(h.reasons, d)
	return nil
}

func (h *host) see(_ time.Time, _ monitor.Event, as []monitor.Action) {
	for _, a := range as {
		if n, ok := a.(monitor.Notify); ok {
			h.mu.Lock()
			h.notices = append(h.notices, n.Type.String())
			h.mu.Unlock()
		}
	}
}

func (h *host) heard() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return strings.Join(h.notices, " ")
}

func (h *host) down() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.downAt
}

// A link is a host's way to the network, which can be cut or be slow.
type link struct {
	net *memnet.Network

	mu    sync.Mutex
	cut   bool
	hang  bool
	delay time.Duration
	conns []net.Conn
}

func (l *link) set(change func(*link)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change(l)
	if l.cut {
		for _, c := range l.conns {
			c.Close()
		}
		l.conns = nil
	}
}

func (l *link) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	l.mu.Lock()
	cut := l.cut
	l.mu.Unlock()
	if cut {
		return nil, errors.New("network is unreachable")
	}
	c, err := l.net.Dial(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conns = append(l.conns, c)
	return &slowConn{c, l}, nil
}

// A slowConn delays what it carries.
type slowConn struct {
	net.Conn
	link *link
}

func (c *slowConn) Write(p []byte) (int, error) {
	c.link.mu.Lock()
	delay, hang := c.link.delay, c.link.hang
	c.link.mu.Unlock()
	if hang {
		return len(p), nil // it never arrives
	}
	time.Sleep(delay)
	return c.Conn.Write(p)
}

// A deafListener belongs to a server that does not know a word, or not at first.
type deafListener struct {
	net.Listener
	word string
	once bool // it knows it from the second time on
}

func (l deafListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &deafConn{Conn: c, deafListener: l}, nil
}

// A deafConn reads another word in place of the one that the server does not know.
type deafConn struct {
	net.Conn
	deafListener
	heard bool
}

func (c *deafConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if !c.heard || !c.once {
		c.heard = c.heard || bytes.Contains(p[:n], []byte(c.word))
		copy(p, bytes.Replace(p[:n], []byte(c.word), []byte("OTHER"), 1))
	}
	return n, err
}
