// Package upstream attaches to another driver through its socket and keeps a copy
// of what it knows, for drivers that stand on top of others: clone, clone-outlet,
// failover. It decides nothing and does not reconnect; an Upstream that has ended
// is replaced by a new one.
package upstream

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"gonut/internal/driver"
	"gonut/internal/drvsock"
	"gonut/internal/netproto"
	"gonut/internal/ups"
	"gonut/internal/words"
)

// How long the other driver may be silent.
const (
	askAfter  = 5 * time.Second  // then it is asked whether it lives
	dumpLimit = 10 * time.Second // for the first complete dump
	sendLimit = 3 * time.Second
)

// ErrEnded means that the other driver closed the connection or fell silent.
var ErrEnded = errors.New("the other driver is gone")

// An Upstream is a connection to another driver. Its methods are safe for use by
// several goroutines.
type Upstream struct {
	name  string
	conn  net.Conn
	state *ups.State
	wake  chan struct{}
	ended chan struct{} // closed when the reader has ended

	sending sync.Mutex // serialises writes

	mu      sync.Mutex
	heard   time.Time // when the other driver last said something
	asked   time.Time
	whole   chan struct{} // closed when the dump is complete
	dumped  bool
	waiting map[string]chan netproto.Result // by tracking id
	err     error
}

// SocketPath returns where the socket of that name is; an absolute name is a path
// itself.
func SocketPath(v driver.Values, name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(v.StatePath, name)
}

// Open connects to the driver whose socket has that name and waits until its dump
// is complete.
func Open(ctx context.Context, v driver.Values, name string) (*Upstream, error) {
	dial := v.Dial
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	conn, err := dial(ctx, "unix", SocketPath(v, name))
	if err != nil {
		return nil, fmt.Errorf("attach to driver %s: %w", name, err)
	}
	u := &Upstream{
		name: name, conn: conn, state: ups.NewState(),
		wake: make(chan struct{}, 1), ended: make(chan struct{}), whole: make(chan struct{}),
		waiting: make(map[string]chan netproto.Result), heard: time.Now(),
	}
	go u.read()
	if err := u.await(ctx); err != nil {
		u.Close()
		return nil, fmt.Errorf("attach to driver %s: %w", name, err)
	}
	return u, nil
}

// await asks for the dump and waits for its end.
func (u *Upstream) await(ctx context.Context) error {
	if err := u.send([]byte(drvsock.DumpAll + "\n")); err != nil {
		return err
	}
	limit := time.NewTimer(dumpLimit)
	defer limit.Stop()
	select {
	case <-u.whole:
		return nil
	case <-u.ended:
		return u.Err()
	case <-limit.C:
		return errors.New("it sends no dump")
	case <-ctx.Done():
		return ctx.Err()
	}
}

// State is the copy. It is stale when the other driver says so.
func (u *Upstream) State() *ups.State { return u.state }

// Wake receives when the copy has changed or the connection has ended.
func (u *Upstream) Wake() <-chan struct{} { return u.wake }

// Err returns why the connection has ended, nil if it has not.
func (u *Upstream) Err() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.err
}

// Check asks the other driver whether it lives if it has been silent for a while,
// and reports whether it has been silent for too long, or is gone. It is to be
// called every few seconds.
func (u *Upstream) Check(now time.Time, patience time.Duration) error {
	u.mu.Lock()
	silence, asked := now.Sub(u.heard), now.Sub(u.asked)
	ask := silence >= askAfter && asked >= askAfter && u.err == nil
	if ask {
		u.asked = now
	}
	err := u.err
	u.mu.Unlock()
	switch {
	case err != nil:
		return err
	case silence > patience:
		return fmt.Errorf("driver %s has been silent for %v: %w", u.name, silence.Round(time.Second), ErrEnded)
	case ask:
		return u.send([]byte(drvsock.Ping + "\n"))
	}
	return nil
}

// Do makes a request of the other driver and waits for its result.
func (u *Upstream) Do(ctx context.Context, r drvsock.Request) (netproto.Result, error) {
	r.ID = rand.Text()
	result := make(chan netproto.Result, 1)
	u.mu.Lock()
	u.waiting[r.ID] = result
	u.mu.Unlock()
	defer func() {
		u.mu.Lock()
		delete(u.waiting, r.ID)
		u.mu.Unlock()
	}()
	if err := u.send(r.Append(nil)); err != nil {
		return netproto.Pending, err
	}
	select {
	case n := <-result:
		return n, nil
	case <-u.ended:
		return netproto.Pending, u.Err()
	case <-ctx.Done():
		return netproto.Pending, fmt.Errorf("driver %s: no result of %s: %w", u.name, r.Name, ctx.Err())
	}
}

// Perform is Do for drivers that pass requests on: the result is an error as a
// Device returns it.
func (u *Upstream) Perform(ctx context.Context, r drvsock.Request) error {
	n, err := u.Do(ctx, r)
	switch {
	case err != nil:
		return errors.Join(err, driver.ErrFailed)
	case n == netproto.Handled:
		return nil
	case n == netproto.Unknown:
		return driver.ErrUnknown
	case n == netproto.Invalid, n == netproto.ConversionFailed:
		return driver.ErrInvalid
	}
	return fmt.Errorf("driver %s: %s: %w", u.name, r.Name, driver.ErrFailed)
}

// Close ends the connection.
func (u *Upstream) Close() error {
	u.conn.Close()
	<-u.ended
	return nil
}

func (u *Upstream) send(b []byte) error {
	u.sending.Lock()
	defer u.sending.Unlock()
	u.conn.SetWriteDeadline(time.Now().Add(sendLimit))
	_, err := u.conn.Write(b)
	return err
}

// read follows the other driver until the connection ends.
func (u *Upstream) read() {
	defer close(u.ended)
	s := words.NewScanner(u.conn)
	for s.Scan() {
		if s.Problem() != nil {
			continue
		}
		u.take(drvsock.Parse(s.Words()))
	}
	u.mu.Lock()
	u.err = fmt.Errorf("driver %s: %w", u.name, ErrEnded)
	if err := s.Err(); err != nil && !errors.Is(err, net.ErrClosed) {
		u.err = fmt.Errorf("driver %s: %w: %w", u.name, err, ErrEnded)
	}
	u.mu.Unlock()
	u.state.Apply(ups.Change{Op: ups.DataStale})
	u.Touch()
}

func (u *Upstream) take(m drvsock.Message) {
	u.mu.Lock()
	u.heard = time.Now()
	u.mu.Unlock()
	switch m.Kind {
	case drvsock.Change:
		u.state.Apply(m.Change)
	case drvsock.DumpEnd:
		if !u.dumped {
			u.dumped = true
			close(u.whole)
		}
	case drvsock.TrackingDone:
		u.mu.Lock()
		result := u.waiting[m.ID]
		delete(u.waiting, m.ID)
		u.mu.Unlock()
		if result != nil && m.Result != netproto.Pending {
			result <- m.Result
		}
		return
	default:
		return
	}
	if u.dumped {
		u.Touch()
	}
}

// Touch makes Wake ready.
func (u *Upstream) Touch() {
	select {
	case u.wake <- struct{}{}:
	default:
	}
}

// Copy puts into an update what the other driver knows, without what every driver
// has for itself and what skip, which may be nil, reports, and forgets what it no
// longer knows. before is what the Copy before it returned, nil at first.
func (u *Upstream) Copy(up *driver.Update, before *ups.Snapshot, skip func(name string) bool) *ups.Snapshot {
	now := u.state.Snapshot()
	if now == before {
		return now
	}
	if before == nil {
		before = new(ups.Snapshot)
	}
	skipped := func(name string) bool { return own(name) || skip != nil && skip(name) }
	for _, v := range now.Variables {
		if skipped(v.Name) {
			continue
		}
		if old, ok := before.Variable(v.Name); ok && old.Exceeds(v) {
			up.Delete(v.Name) // so that allowed values which are gone go
		}
		up.Change(v.Changes()...)
	}
	for _, c := range now.Commands {
		if !skipped(c) {
			up.Command(c)
		}
	}
	for _, v := range before.Variables {
		if _, ok := now.Variable(v.Name); !ok && !skipped(v.Name) {
			up.Delete(v.Name)
		}
	}
	for _, c := range before.Commands {
		if !skipped(c) && !slices.Contains(now.Commands, c) {
			up.DeleteCommand(c)
		}
	}
	return now
}

// own reports names that belong to the driver itself, not to its device.
func own(name string) bool {
	return strings.HasPrefix(name, "driver.") || name == driver.ShutdownDefault
}
