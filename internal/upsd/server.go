// Package upsd is the data server: one mirror per driver keeps what the driver
// knows about its device, one session per client answers from memory. No request
// waits for a driver or for another client.
//
// It does not find devices, start drivers, or decide what a status means.
package upsd

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"gonut/internal/cmdvartab"
	"gonut/internal/conf"
)

// A Device is what upsd needs to know of one section of ups.conf.
type Device struct {
	Name, Driver, Port string
	Desc               string // empty if the file has none
}

// A Server holds the devices and serves clients. Its methods are safe for
// concurrent use.
type Server struct {
	log      *slog.Logger
	conf     atomic.Pointer[conf.UPSD]
	accounts atomic.Pointer[accounts]
	texts    atomic.Pointer[cmdvartab.Table]
	table    atomic.Pointer[table]
	tls      atomic.Pointer[tls.Config] // nil: no STARTTLS
	tracking tracking
	epoch    time.Time     // what session.heardAt counts from
	started  atomic.Uint64 // sessions so far
	desks    sync.Pool
	key      []byte // of this process; see account.proof
	guard    guard
	access   accessFile
	room     int          // descriptors, all in all; 0 if unknown
	doors    atomic.Int64 // listeners that are served

	mu       sync.Mutex // guards what follows and changes of table
	sessions map[*session]struct{}
	feeds    map[*feed]struct{} // of clients that watch all devices
	changed  chan struct{}      // closed and replaced when table changes
	crowded  time.Time          // when it was last said that there is no room
}

// A table is the devices at one moment; it is never changed, only replaced.
type table struct {
	list   []*device // in the order of LIST UPS
	byName map[string]*device
}

// New returns a Server without devices. It starts nothing.
func New(c conf.UPSD, users conf.Users, log *slog.Logger) *Server {
	s := &Server{
		log:      log,
		epoch:    time.Now(),
		key:      make([]byte, 32),
		guard:    newGuard(),
		room:     maxDescriptors(),
		sessions: make(map[*session]struct{}),
		feeds:    make(map[*feed]struct{}),
		changed:  make(chan struct{}),
	}
	rand.Read(s.key) // never fails
	s.table.Store(&table{})
	texts := cmdvartab.Builtin()
	s.texts.Store(&texts)
	s.Reload(c, users)
	return s
}

// Reload replaces the settings and the users. Sessions stay; what their user may
// do is looked up anew with every command.
func (s *Server) Reload(c conf.UPSD, users conf.Users) {
	s.conf.Store(&c)
	s.accounts.Store(newAccounts(users, s.key, s.accounts.Load()))
}

// SetDescriptions replaces the texts that GET DESC and GET CMDDESC answer with.
func (s *Server) SetDescriptions(t cmdvartab.Table) { s.texts.Store(&t) }

// SetDevices replaces the table of devices. Those that the new one still names,
// in any case of letters, keep their place, their data, their logins and their
// FSD latch; new ones come first in the list, as in C after a reload. Clients that
// are logged in to a removed device are disconnected.
func (s *Server) SetDevices(ds []Device) {
	for _, d := range s.replaceDevices(ds) {
		d.disconnectClients()
	}
}

// replaceDevices does it but for the clients: they may be waiting for mu.
func (s *Server) replaceDevices(ds []Device) (removed []*device) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.table.Load()
	keep := make(map[string]Device, len(ds))
	var fresh []*device
	for _, d := range ds {
		key := strings.ToLower(d.Name)
		if old.byName[key] == nil && !contains(keep, key) {
			fresh = append(fresh, newDevice(d))
		}
		keep[key] = d
	}
	list := fresh
	for _, d := range old.list {
		now, ok := keep[d.key]
		if !ok {
			s.log.Info("device removed from the configuration", "ups", d.name)
			removed = append(removed, d)
			continue
		}
		d.update(now, s.log)
		list = append(list, d)
	}
	s.setTable(list)
	for _, d := range removed {
		d.remove()
	}
	return removed
}

func contains[V any](m map[string]V, key string) bool {
	_, ok := m[key]
	return ok
}

// setTable publishes the list. The caller holds mu.
func (s *Server) setTable(list []*device) {
	t := &table{list: list, byName: make(map[string]*device, len(list))}
	for _, d := range list {
		t.byName[d.key] = d
	}
	s.table.Store(t)
	for f := range s.feeds {
		for _, d := range list {
			f.joinAll(d)
		}
	}
	close(s.changed)
	s.changed = make(chan struct{})
}

// device returns the device that a client named, nil if there is none.
func (s *Server) device(name []byte) *device {
	return lookUp(s.table.Load().byName, name)
}

// Serve accepts clients from l until ctx ends or l fails, and closes l. It returns
// when all its sessions have ended; the error is nil if ctx was the reason.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer s.disconnect(l)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	defer l.Close()
	s.doors.Add(1)
	defer s.doors.Add(-1)
	var pause acceptPause
	for {
		conn, err := l.Accept()
		if ctx.Err() != nil {
			if conn != nil {
				conn.Close()
			}
			return nil
		}
		if err != nil {
			if errors.Is(err, net.ErrClosed) || !pause.wait(ctx, err, s.log) {
				return fmt.Errorf("accept on %s: %w", l.Addr(), err)
			}
			continue
		}
		pause = 0
		sess := s.admit(conn, l)
		if sess == nil {
			conn.Close()
			continue
		}
		wg.Go(func() { sess.run(ctx) })
	}
}

// disconnect cuts off all clients that came in by l.
func (s *Server) disconnect(l net.Listener) {
	s.mu.Lock()
	var out []*session
	for c := range s.sessions {
		if c.door == l {
			out = append(out, c)
		}
	}
	s.mu.Unlock()
	for _, c := range out { // not under mu, which it may be waiting for
		c.conn.Close()
	}
}

// acceptPause is how long to wait after the last failure to accept, which is
// usually a lack of file descriptors that passes.
type acceptPause time.Duration

func (p *acceptPause) wait(ctx context.Context, err error, log *slog.Logger) bool {
	var ne net.Error
	if !errors.As(err, &ne) {
		return false
	}
	if *p == 0 {
		*p = acceptPause(5 * time.Millisecond)
		log.Error("cannot accept clients for now", "error", err)
	} else {
		*p = min(*p*2, acceptPause(time.Second))
	}
	select {
	case <-time.After(time.Duration(*p)):
	case <-ctx.Done():
	}
	return true
}

// admit returns the session of a new client, nil if its host has enough or there
// is no room. When all places are taken, a client that is not logged in and has
// been silent for long has to make way.
func (s *Server) admit(conn net.Conn, door net.Listener) *session {
	c := s.conf.Load()
	p := peerOf(conn)
	key := keyOf(conn, p)
	perHost := c.MaxConnPerHost
	if perHost == 0 {
		perHost = clientsPerHost
	}
	if ok, told := s.guard.enter(key, perHost); !ok {
		if !told {
			s.log.Warn("a host has too many connections; see MAXCONNPERHOST", "client", conn.RemoteAddr(), "limit", perHost)
		}
		return nil
	}
	sess := &session{server: s, door: door, conn: conn, stream: conn, seq: s.started.Add(1), host: key, peer: p}
	sess.hear()
	out, ok := s.place(sess, s.capacity(c), time.Now())
	if out != nil {
		out.conn.Close() // not under mu, which it may be waiting for
	}
	if !ok {
		s.guard.leave(key, time.Now())
		return nil
	}
	return sess
}

// crowdedEvery is how often it is said that there is no room.
const crowdedEvery = time.Minute

// place enters a session if there is room for it among so many, or out can make
// way for it.
func (s *Server) place(sess *session, among int, now time.Time) (out *session, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.sessions) >= among {
		if now.Sub(s.crowded) >= crowdedEvery {
			s.crowded = now
			s.log.Warn("no room for more clients; the most silent ones have to make way; see MAXCONN", "clients", among)
		}
		if out = s.idlest(); out == nil {
			return nil, false
		}
		delete(s.sessions, out)
	}
	s.sessions[sess] = struct{}{}
	return out, true
}

// MaxConn returns the most that MAXCONN can be on this system, 0 if it is unknown.
func (s *Server) MaxConn() int { return max(0, s.room-8) }

// capacity returns how many clients there may be. As in C, MAXCONN counts drivers
// and listeners too, and some descriptors are kept for other uses.
func (s *Server) capacity(c *conf.UPSD) int {
	n := s.room - 8
	if s.room == 0 || c.MaxConn > 0 && c.MaxConn < n {
		n = c.MaxConn
	}
	if n <= 0 {
		return math.MaxInt
	}
	return max(1, n-len(s.table.Load().list)-int(s.doors.Load()))
}

// looks is how many sessions are compared when one has to make way.
const looks = 64

// idlest returns one of the most silent sessions that is not logged in, nil if
// there is none. The caller holds mu.
func (s *Server) idlest() *session {
	var out *session
	seen := 0
	for c := range s.sessions { // in random order
		if c.counted.Load() {
			continue
		}
		if out == nil || c.heardAt.Load() < out.heardAt.Load() {
			out = c
		}
		if seen++; seen == looks {
			break
		}
	}
	return out
}

// forget ends the bookkeeping for a session.
func (s *Server) forget(sess *session) {
	s.guard.leave(sess.host, time.Now())
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.sessions, sess)
}

// MirrorAll keeps a mirror of every device in the table, following SetDevices,
// until ctx ends. dialer tells how to reach the driver of a device; it is asked
// before each attempt.
func (s *Server) MirrorAll(ctx context.Context, dialer func(Device) Dialer) error {
	type mirror struct {
		cancel context.CancelFunc
		done   chan struct{}
	}
	running := make(map[*device]mirror)
	stop := func(d *device) {
		running[d].cancel()
		<-running[d].done
		delete(running, d)
	}
	for {
		s.mu.Lock()
		t, changed := s.table.Load(), s.changed
		s.mu.Unlock()
		for d := range maps.Clone(running) {
			if t.byName[d.key] != d {
				stop(d)
			}
		}
		for _, d := range t.list {
			if _, ok := running[d]; ok {
				continue
			}
			mctx, cancel := context.WithCancel(ctx)
			m := mirror{cancel, make(chan struct{})}
			running[d] = m
			go func() {
				defer close(m.done)
				s.mirror(mctx, d, dialer)
			}()
		}
		select {
		case <-changed:
		case <-ctx.Done():
			for d := range maps.Clone(running) {
				stop(d)
			}
			return nil
		}
	}
}

// isEnd reports an error that only says that a connection is over.
func isEnd(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, io.ErrClosedPipe)
}
