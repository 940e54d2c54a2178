package upsd

import (
	"cmp"
	"errors"
	"log/slog"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"gonut/internal/netproto"
	"gonut/internal/ups"
)

// A device is a State, mirrored from its driver, and the few facts that belong to
// the server.
type device struct {
	name  string // the spelling that clients are told; it never changes
	key   string // name in lower case
	info  atomic.Pointer[Device]
	state *ups.State
	gate  atomic.Int32 // closed, stale or open
	fsd   atomic.Bool  // the latch: once set it stays
	gone  chan struct{}

	rendered atomic.Pointer[rendering]

	mu      sync.Mutex            // guards what follows
	clients map[*session]struct{} // logged in
	lost    []lostLogin
	fsdAt   time.Time // when the latch was set
	conn    net.Conn  // to the driver; nil if there is none

	sending sync.Mutex // serialises writes to the driver; not mu, for a driver may take its time

	pushing sync.Mutex // makes a change and the telling of it one step; guards watches
	watches []*watch   // replaced, never changed
}

// The values of device.gate.
const (
	gateClosed int32 = iota // no driver
	gateStale               // its data must not be trusted
	gateOpen
)

func newDevice(d Device) *device {
	dev := &device{
		name:    d.Name,
		key:     strings.ToLower(d.Name),
		state:   ups.NewState(),
		gone:    make(chan struct{}),
		clients: make(map[*session]struct{}),
	}
	dev.info.Store(&d)
	return dev
}

// available returns why the data of the device cannot be served, empty if they can.
func (d *device) available() netproto.Error {
	switch d.gate.Load() {
	case gateOpen:
		return ""
	case gateStale:
		return netproto.ErrDataStale
	}
	return netproto.ErrDriverNotConnected
}

// update takes over what a new configuration says of the device.
func (d *device) update(now Device, log *slog.Logger) {
	was := d.info.Swap(&now)
	if was.Driver != now.Driver {
		log.Info("device redefined", "ups", d.name, "driver", now.Driver, "before", was.Driver)
		d.drop()
	}
}

// remove ends the device: its mirror stops, and who watches it is told.
func (d *device) remove() {
	close(d.gone)
	d.drop()
	d.forgetWatches()
}

// disconnectClients cuts off the clients that are logged in to a removed device.
func (d *device) disconnectClients() {
	for _, c := range d.loggedIn() {
		c.server.log.Info("disconnecting a client of a removed device", "ups", d.name, "client", c)
		c.conn.Close()
	}
}

// login counts the session; logout is its opposite.
func (d *device) login(s *session) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.clients[s] = struct{}{}
	d.found(s.address(), s.user)
}

func (d *device) logout(s *session) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.clients, s)
}

// fsdSince returns when the latch was set, zero if it is not.
func (d *device) fsdSince() time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.fsdAt
}

// loggedIn returns the sessions that are logged in, those that began last first.
// To close one means to wait for what it is just doing, so it must not be done
// under mu.
func (d *device) loggedIn() []*session {
	d.mu.Lock()
	list := slices.Collect(maps.Keys(d.clients))
	d.mu.Unlock()
	slices.SortFunc(list, func(a, b *session) int { return cmp.Compare(b.seq, a.seq) })
	return list
}

// sendTimeout bounds how long a driver may take to accept a request.
const sendTimeout = time.Second

var errNoDriver = errors.New("driver not connected")

// send writes lines to the driver. A driver that does not take them loses its
// connection.
func (d *device) send(lines []byte) error {
	d.sending.Lock()
	defer d.sending.Unlock()
	conn := d.link()
	if conn == nil {
		return errNoDriver
	}
	if err := conn.SetWriteDeadline(time.Now().Add(sendTimeout)); err != nil {
		return err
	}
	if _, err := conn.Write(lines); err != nil {
		conn.Close()
		return err
	}
	return conn.SetWriteDeadline(time.Time{}) // it would wake us for nothing
}

// link returns the connection to the driver, nil if there is none.
func (d *device) link() net.Conn {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.conn
}

// setConn tells the device its connection to the driver; nil for none.
func (d *device) setConn(c net.Conn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.conn = c
}

// drop closes the connection to the driver, whose mirror will then notice.
func (d *device) drop() {
	if conn := d.link(); conn != nil {
		conn.Close()
	}
}
