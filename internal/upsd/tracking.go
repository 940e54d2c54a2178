package upsd

import (
	"crypto/rand"
	"fmt"
	"strings"
	"sync"
	"time"

	"gonut/internal/netproto"
)

// maxTracked bounds how many results are remembered; the oldest go first.
const maxTracked = 1 << 14

// A tracking remembers what became of requests that clients asked to be tracked.
type tracking struct {
	mu      sync.Mutex
	entries map[string]*tracked
	order   []string // ids, oldest first
}

type tracked struct {
	owner  *account // who may ask
	begun  time.Time
	result netproto.Result
}

// begin returns a new id for a request of the session's user, in the form that C
// uses: an upper-case UUID. Unlike C's it cannot be guessed.
func (t *tracking) begin(s *session) string {
	var u [16]byte
	rand.Read(u[:]) // never fails
	u[6] = u[6]&0x0f | 0x40
	u[8] = u[8]&0x3f | 0x80
	id := fmt.Sprintf("%X-%X-%X-%X-%X", u[:4], u[4:6], u[6:8], u[8:10], u[10:])
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.expire(now, s.server.conf.Load().TrackingDelay)
	if len(t.order) == maxTracked {
		t.forgetOldest()
	}
	if t.entries == nil {
		t.entries = make(map[string]*tracked)
	}
	t.entries[id] = &tracked{owner: s.who(), begun: now, result: netproto.Pending}
	t.order = append(t.order, id)
	return id
}

// finish notes what a driver said of a request, and reports whether that was new.
func (t *tracking) finish(id string, r netproto.Result) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.entries[strings.ToUpper(id)]
	if e == nil || e.result == r {
		return false
	}
	e.result = r
	return true
}

// result returns what is known of a request that user made. A request of another
// user is unknown.
func (t *tracking) result(id string, user string, delay time.Duration) netproto.Result {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.expire(time.Now(), delay)
	e := t.entries[strings.ToUpper(id)]
	if e == nil || e.owner == nil || e.owner.name != user {
		return netproto.Unknown
	}
	return e.result
}

// expire forgets what is older than delay.
func (t *tracking) expire(now time.Time, delay time.Duration) {
	for len(t.order) > 0 && now.Sub(t.entries[t.order[0]].begun) > delay {
		t.forgetOldest()
	}
}

func (t *tracking) forgetOldest() {
	delete(t.entries, t.order[0])
	t.order = t.order[1:]
}

// setTracking answers SET TRACKING.
func (s *session) setTracking(r request, out []byte) ([]byte, netproto.Error) {
	switch {
	case equalFold(r.Bytes(2), "on"):
		s.tracks = true
	case equalFold(r.Bytes(2), "off"):
		s.tracks = false
	default:
		return nil, netproto.ErrInvalidArgument
	}
	return appendLine(out, netproto.OK), ""
}

// getTracking answers GET TRACKING, with and without an id.
func (s *session) getTracking(r request, out []byte) ([]byte, netproto.Error) {
	if r.Len() == 2 {
		if s.tracks {
			return appendLine(out, netproto.TrackingOn), ""
		}
		return appendLine(out, netproto.TrackingOff), ""
	}
	if !s.tracks {
		return nil, netproto.ErrFeatureNotConfigured
	}
	result := netproto.Unknown
	if a := s.who(); a != nil {
		result = s.server.tracking.result(string(r.Bytes(2)), a.name, s.server.conf.Load().TrackingDelay)
	}
	return appendLine(out, result.Reply()), ""
}
