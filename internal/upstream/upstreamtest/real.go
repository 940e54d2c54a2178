// Package upstreamtest has real drivers for tests of drivers that stand on them:
// sessions of a device whose values the test chooses, served in memory.
package upstreamtest

import (
	"context"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gonut/internal/driver"
	"gonut/internal/drvsock"
	"gonut/internal/memnet"
	"gonut/internal/netproto"
)

// A Bench is a network in memory with real drivers on it, inside a synctest
// bubble.
type Bench struct {
	memnet.Network
	t *testing.T
}

// New returns a Bench without drivers.
func New(t *testing.T) *Bench { return &Bench{t: t} }

// A Real is a driver of a device that does what the test says.
type Real struct {
	Session *driver.Session
	name    string
	bench   *Bench
	stop    func()

	mu     sync.Mutex
	values map[string]string
	rw     map[string]driver.Writable
	cmds   []string
	done   []string
	err    error
	wake   chan struct{}
}

// Start starts a driver whose socket has that name. Values that have an entry in
// rw can be set.
func (b *Bench) Start(name string, values map[string]string, rw map[string]driver.Writable, commands ...string) *Real {
	b.t.Helper()
	r := &Real{name: name, bench: b, values: maps.Clone(values), rw: rw, cmds: commands, wake: make(chan struct{}, 1)}
	r.Run()
	return r
}

// Run starts the driver again after Stop.
func (r *Real) Run() {
	t := r.bench.t
	t.Helper()
	d := driver.Driver{Name: "real", Version: "1", Open: func(context.Context, driver.Values, *slog.Logger) (driver.Device, error) {
		return device{r}, nil
	}}
	r.Session = driver.NewSession(d, driver.NewConfig(r.name, "x"), driver.Hooks{}, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(t.Context())
	l, err := r.bench.Listen(ctx, "unix", "/"+r.name)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() { r.Session.Run(ctx) })
	wg.Go(func() { r.Session.Serve(ctx, l) })
	r.stop = func() {
		cancel()
		wg.Wait()
	}
	t.Cleanup(r.stop)
	synctest.Wait()
}

// Stop ends the driver.
func (r *Real) Stop() { r.stop() }

// Set changes values; an empty one deletes the variable. It returns when everybody
// has heard of it.
func (r *Real) Set(pairs ...string) {
	r.mu.Lock()
	for i := 0; i+1 < len(pairs); i += 2 {
		r.values[pairs[i]] = pairs[i+1]
	}
	r.mu.Unlock()
	r.poll()
}

// Fail makes the data of the driver stale, or good again with nil.
func (r *Real) Fail(err error) {
	r.mu.Lock()
	r.err = err
	r.mu.Unlock()
	r.poll()
}

func (r *Real) poll() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
	time.Sleep(time.Millisecond)
	synctest.Wait()
}

// Done returns the requests that the device was given, and forgets them.
func (r *Real) Done() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	done := r.done
	r.done = nil
	return done
}

type device struct{ *Real }

func (d device) Poll(_ context.Context, _ driver.Depth, u *driver.Update) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err != nil {
		return d.err
	}
	for name, value := range d.values {
		if value == "" {
			u.Delete(name)
			continue
		}
		u.Set(name, value)
		if w, ok := d.rw[name]; ok {
			u.Writable(name, w)
		}
	}
	u.Command(d.cmds...)
	return nil
}

func (d device) Wake() <-chan struct{} { return d.wake }

func (d device) Command(_ context.Context, name, param string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.done = append(d.done, strings.TrimSpace(name+" "+param))
	for _, c := range d.cmds {
		if c == name {
			return nil
		}
	}
	return driver.ErrUnknown
}

func (d device) Set(_ context.Context, name, value string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.done = append(d.done, name+"="+value)
	d.values[name] = value
	return nil
}

func (d device) Close() error { return nil }

// Attach starts the driver that is to be tested.
func (b *Bench) Attach(d driver.Driver, port string, options map[string]string) *driver.Session {
	b.t.Helper()
	c := driver.NewConfig("tested", port)
	c.Values.StatePath = "/"
	c.Values.Dial = b.Dial
	for k, v := range options {
		c.Values.Set[k] = v
	}
	s := driver.NewSession(d, c, driver.Hooks{}, slog.New(slog.NewTextHandler(b.t.Output(), nil)))
	ctx, cancel := context.WithCancel(b.t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Run(ctx)
	}()
	b.t.Cleanup(func() {
		cancel()
		<-done
	})
	synctest.Wait()
	return s
}

// Want compares a value.
func Want(t *testing.T, s *driver.Session, name, want string) {
	t.Helper()
	if got := s.State().Value(name); got != want {
		t.Errorf("%s = %q; want %q", name, got, want)
	}
}

// Do makes a request and compares its result.
func Do(t *testing.T, s *driver.Session, request string, want netproto.Result) {
	t.Helper()
	r, _, err := drvsock.ParseRequest(strings.Fields(request))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := s.Do(t.Context(), r); got != want || err != nil {
		t.Errorf("%s = %d, %v; want %d", request, got, err, want)
	}
	time.Sleep(time.Millisecond)
	synctest.Wait()
}
