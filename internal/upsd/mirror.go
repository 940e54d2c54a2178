package upsd

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"time"

	"gonut/internal/drvsock"
	"gonut/internal/ups"
	"gonut/internal/words"
)

// A Dialer connects to the driver of one device.
type Dialer = drvsock.Dialer

// Times of the driver link.
const (
	dialTimeout   = time.Second            // as C
	redialFirst   = 100 * time.Millisecond // then doubling
	redialSlowest = 2 * time.Second        // C's loop looks this often
	lasting       = 2 * time.Second        // a link that ends before is as good as none
	dialLogEvery  = 300 * time.Second      // a driver that is missing is complained about this often
	staleAfter    = time.Second            // beyond MAXAGE: C counts whole seconds
)

// mirror keeps the server's picture of one device current until ctx ends or the
// device is removed: it connects to the driver, takes its dump and its changes,
// and connects again when the driver has gone.
func (s *Server) mirror(ctx context.Context, d *device, dialer func(Device) Dialer) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		select {
		case <-d.gone:
			cancel()
		case <-stop:
		}
	}()
	var complained time.Time
	pause := redialFirst
	brief := 0 // links in a row that did not last
	for ctx.Err() == nil {
		info := *d.info.Load()
		conn, err := dial(ctx, dialer(info))
		if err == nil {
			began := time.Now()
			s.follow(ctx, d, info, conn, brief == 0)
			if time.Since(began) >= lasting {
				complained, pause, brief = time.Time{}, redialFirst, 0
			} else if brief++; brief > 1 { // once it may happen: a driver is restarted
				err = errBrief
			}
		}
		if err != nil && ctx.Err() == nil && time.Since(complained) >= dialLogEvery {
			complained = time.Now()
			s.log.Error(noDriver(err), "ups", d.name, "driver", info.Driver, "error", err)
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
		pause = min(2*pause, redialSlowest)
	}
}

// noDriver says that there is no connection, and what to look at.
func noDriver(err error) string {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return "may not connect to the driver; it and upsd have to run as one user or group"
	case errors.Is(err, errBrief):
		return "cannot stay connected to the driver; its own log may say why"
	}
	return "cannot connect to the driver; is it running?"
}

var errBrief = errors.New("it hangs up as soon as it is connected")

func dial(ctx context.Context, dial Dialer) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	return dial(ctx)
}

// follow reads one connection to a driver, dialed for info, to its end. That it is
// connected is said at once, or else when it has lasted.
func (s *Server) follow(ctx context.Context, d *device, info Device, conn net.Conn, say bool) {
	l := &link{server: s, device: d, conn: conn, heard: time.Now(), unsaid: time.Now()}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	defer conn.Close()
	if say {
		l.sayConnected()
	}
	d.begin()
	d.setConn(conn)
	if d.info.Load().Driver != info.Driver {
		conn.Close() // the device was redefined meanwhile
	}
	err := d.send([]byte(drvsock.DumpAll + "\n"))
	if err == nil {
		err = l.read()
	}
	d.setGate(gateClosed)
	d.setConn(nil)
	d.state.Clear()
	if ctx.Err() == nil {
		s.log.Debug("lost the driver", "ups", d.name, "error", err)
	}
}

// A link is one connection to a driver; it belongs to one goroutine.
type link struct {
	server  *Server
	device  *device
	conn    net.Conn
	lex     words.Lexer
	skip    bool      // the rest of a broken line is still to come
	told    bool      // a broken line was logged
	dumped  bool      // the dump is complete
	unsaid  time.Time // when it began, if it was not said yet that it is connected
	heard   time.Time
	pinged  time.Time
	pending []ups.Change
}

// read takes what the driver says, asks it for a sign of life when it says nothing
// and judges whether its data can be trusted.
func (l *link) read() error {
	buf := make([]byte, 2048)
	for {
		if err := l.conn.SetReadDeadline(l.nextLook(time.Now())); err != nil {
			return err
		}
		n, err := l.conn.Read(buf)
		l.feed(buf[:n])
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
		l.look(time.Now())
	}
}

// sayConnected logs that the driver is connected.
func (l *link) sayConnected() {
	l.unsaid = time.Time{}
	l.server.log.Info("connected to the driver", "ups", l.device.name, "driver", l.device.info.Load().Driver)
}

// nextLook returns when silence will next mean something.
func (l *link) nextLook(now time.Time) time.Time {
	age := l.server.conf.Load().MaxAge
	ping := l.heard.Add(pingAfter(age))
	if again := l.pinged.Add(pingAfter(age)); again.After(ping) {
		ping = again
	}
	next := ping
	if dead := l.heard.Add(age + staleAfter); dead.Before(next) && dead.After(now) {
		next = dead
	}
	if least := now.Add(10 * time.Millisecond); next.Before(least) {
		return least
	}
	return next
}

// pingAfter is the silence after which a driver is asked whether it lives.
func pingAfter(age time.Duration) time.Duration { return max(age/3, time.Second) }

// look sends a PING when one is due and opens or closes the gate.
func (l *link) look(now time.Time) {
	if !l.unsaid.IsZero() && now.Sub(l.unsaid) >= lasting {
		l.sayConnected()
	}
	age := l.server.conf.Load().MaxAge
	silence := now.Sub(l.heard)
	if silence >= pingAfter(age) && now.Sub(l.pinged) >= pingAfter(age) {
		l.pinged = now
		if err := l.device.send([]byte(drvsock.Ping + "\n")); err != nil {
			l.server.log.Info("the driver takes no requests", "ups", l.device.name, "error", err)
		}
	}
	gate := gateOpen
	if silence >= age+staleAfter || l.dumped && l.device.state.Stale() {
		gate = gateStale
	}
	switch was := l.device.setGate(gate); {
	case was == gateOpen && gate == gateStale:
		l.server.log.Info("data are stale", "ups", l.device.name, "silence", silence.Round(time.Second))
	case was == gateStale && gate == gateOpen:
		l.server.log.Info("data are current again", "ups", l.device.name)
	}
}

// feed takes bytes from the driver. What a broken line follows with is passed over
// to the end of that line.
func (l *link) feed(p []byte) {
	for len(p) > 0 {
		if l.skip {
			at := bytes.IndexByte(p, '\n')
			if at < 0 {
				break
			}
			p, l.skip = p[at+1:], false
			continue
		}
		n, done, err := l.lex.Feed(p)
		p = p[n:]
		if err != nil {
			l.broken(err)
			l.skip = true
			continue
		}
		if done {
			l.take(drvsock.Parse(l.lex.Words()))
		}
	}
	l.apply()
}

// broken says that the driver's lines cannot be read, once: it may send many.
func (l *link) broken(err error) {
	if !l.told {
		l.told = true
		l.server.log.Warn("the driver sent a broken line; nothing is said of others that it sends", "ups", l.device.name, "error", err)
	}
}

// take performs one message.
func (l *link) take(m drvsock.Message) {
	switch m.Kind {
	case drvsock.None:
		return
	case drvsock.Change:
		l.pending = append(l.pending, m.Change)
	case drvsock.DumpEnd:
		l.dumped = true
	case drvsock.TrackingDone:
		if l.server.tracking.finish(m.ID, m.Result) {
			l.server.log.Info("tracked request ended", "ups", l.device.name, "id", m.ID, "result", m.Result.Reply())
		}
	}
	l.heard = time.Now()
}

// apply performs the changes that have come together, in one step.
func (l *link) apply() {
	if len(l.pending) > 0 {
		l.device.apply(l.pending)
		clear(l.pending)
		l.pending = l.pending[:0]
	}
}
