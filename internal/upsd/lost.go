package upsd

import (
	"net"
	"slices"
	"strings"
	"time"

	"gonut/internal/ups"
)

// lostWait is how long a host that was lost counts as logged in, from when it last said
// something. A client that only falls silent is noticed as late.
const lostWait = time.Minute

// A lostLogin is a host whose connection broke in an outage, before it could hear of
// FSD. It still draws on the UPS and comes back to hear of it, so the primary has to
// wait for it as for the others.
type lostLogin struct {
	address, user string
	until         time.Time
}

// lost returns what is left of a login whose connection has ended without LOGOUT; false
// if nothing is. Who said something after FSD was set knows of it and is on its way
// down, and a program of this host is not lost but dead.
func (s *session) lost(now time.Time) (lostLogin, bool) {
	d, l := s.login, lostLogin{s.address(), s.user, s.last().Add(lostWait)}
	if !s.remote() || !now.Before(l.until) {
		return l, false
	}
	if at := d.fsdSince(); !at.IsZero() {
		return l, s.last().Before(at)
	}
	status := d.state.Value(ups.StatusName)
	return l, status == "" || slices.Contains(strings.Fields(status), ups.OB)
}

// remote reports whether a network lies between.
func (s *session) remote() bool {
	switch a := s.conn.RemoteAddr().(type) {
	case *net.UnixAddr:
		return false
	case *net.TCPAddr:
		return !a.IP.IsLoopback()
	}
	return true
}

// miss counts a host that was lost.
func (d *device) miss(l lostLogin) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lost = append(d.lost, l)
}

// found ends the waiting for a host that is back. The caller holds mu.
func (d *device) found(address, user string) {
	i := slices.IndexFunc(d.lost, func(l lostLogin) bool { return l.address == address && l.user == user })
	if i >= 0 {
		d.lost = slices.Delete(d.lost, i, i+1)
	}
}

// logins returns how many hosts are logged in, those included that were lost in the
// last minute of an outage.
func (d *device) logins(now time.Time) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lost = slices.DeleteFunc(d.lost, func(l lostLogin) bool { return !now.Before(l.until) })
	return len(d.clients) + len(d.lost)
}
