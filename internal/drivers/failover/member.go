package failover

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"gonut/internal/driver"
	"gonut/internal/drvsock"
	"gonut/internal/ups"
	"gonut/internal/upstream"
)

// The priorities of members, the best first.
const (
	forced       = iota // by a command
	filtered            // passes the status filters
	online              // fresh data, on line
	fresh               // fresh data
	alive               // connected
	disqualified        // cannot be primary
)

// retryEvery is the pause between two attempts to connect.
const retryEvery = time.Second

// checkEvery is how often a connection is looked after.
const checkEvery = 2 * time.Second

// A member is one of the drivers that may become primary.
type member struct {
	name   string
	device *device
	up     atomic.Pointer[upstream.Upstream] // nil while not connected

	mu     sync.Mutex // guards what follows
	ignore override
	prefer override
}

// An override is what a command forces, until a time or for good.
type override struct {
	until time.Time
	good  bool // for good
}

func (o override) holds(now time.Time) bool { return o.good || now.Before(o.until) }

// force reads the parameter of a command: seconds, negative for good, 0 or nothing
// to end it.
func (m *member) force(o *override, param string) error {
	n := 0
	if param != "" {
		var err error
		if n, err = strconv.Atoi(param); err != nil || n > 1e9 {
			return fmt.Errorf("%q is no number of seconds: %w", param, driver.ErrInvalid)
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	*o = override{good: n < 0}
	if n > 0 {
		o.until = time.Now().Add(time.Duration(n) * time.Second)
	}
	return nil
}

func (m *member) ignoreUntil() time.Time  { return m.until(&m.ignore) }
func (m *member) primaryUntil() time.Time { return m.until(&m.prefer) }

func (m *member) until(o *override) time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return o.until
}

// state is what the driver knows; a stale nothing while it is not connected.
func (m *member) state() *ups.State {
	if u := m.up.Load(); u != nil {
		return u.State()
	}
	return ups.NewState()
}

// perform passes a request on.
func (m *member) perform(ctx context.Context, r drvsock.Request) error {
	u := m.up.Load()
	if u == nil {
		return fmt.Errorf("driver %s is not connected: %w", m.name, driver.ErrFailed)
	}
	return u.Perform(ctx, r)
}

func (m *member) has(token string) bool {
	return slices.Contains(strings.Fields(m.state().Value(ups.StatusName)), token)
}

// priority is how well the member is suited to be primary.
func (m *member) priority(d *device, now time.Time) int {
	m.mu.Lock()
	ignored, preferred := m.ignore.holds(now), m.prefer.holds(now)
	m.mu.Unlock()
	u := m.up.Load()
	if u == nil || u.Err() != nil || ignored {
		return disqualified
	}
	state := u.State()
	tokens := strings.Fields(state.Value(ups.StatusName))
	switch {
	case preferred:
		return forced
	case !d.filter.empty() && !state.Stale() && d.filter.pass(tokens):
		return filtered
	case d.strict:
		return disqualified
	case !state.Stale() && slices.Contains(tokens, ups.OL):
		return online
	case !state.Stale():
		return fresh
	}
	return alive
}

// run keeps the member connected until ctx ends.
func (m *member) run(ctx context.Context) {
	d := m.device
	fails := 0
	var told time.Time
	for ctx.Err() == nil {
		u, err := upstream.Open(ctx, d.values, m.name)
		if err == nil {
			fails = 0
			err = m.follow(ctx, u)
		}
		if ctx.Err() != nil {
			return
		}
		fails++
		if now := time.Now(); now.Sub(told) >= d.relogTime {
			told = now
			d.log.Warn("a driver is lost", "socket", m.name, "error", err)
		}
		pause := retryEvery
		if fails > d.maxFails {
			pause = max(d.coolOffTime, retryEvery)
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// follow passes the news of a connected driver on until it is gone.
func (m *member) follow(ctx context.Context, u *upstream.Upstream) error {
	m.up.Store(u)
	m.device.touch()
	defer func() {
		m.up.Store(nil)
		m.device.touch()
		u.Close()
	}()
	tick := time.NewTicker(checkEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-u.Wake():
			m.device.touch()
		case <-tick.C:
		}
		if err := u.Check(time.Now(), m.device.deadTime); err != nil {
			return err
		}
	}
}

// A filter is the user's idea of a good ups.status.
type filter struct {
	haveAny, haveAll, notAny, notAll []string
}

func (f filter) empty() bool {
	return len(f.haveAny)+len(f.haveAll)+len(f.notAny)+len(f.notAll) == 0
}

// pass reports whether a status is good, in the order of C's driver.
func (f filter) pass(tokens []string) bool {
	has := func(t string) bool { return slices.Contains(tokens, t) }
	lacks := func(t string) bool { return !has(t) }
	switch {
	case slices.ContainsFunc(f.notAny, has):
		return false
	case slices.ContainsFunc(f.haveAll, lacks):
		return false
	case len(f.notAll) > 0 && !slices.ContainsFunc(f.notAll, lacks):
		return false
	case len(f.haveAny) > 0 && !slices.ContainsFunc(f.haveAny, has):
		return false
	}
	return true
}
