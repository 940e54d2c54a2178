package upsd

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"
)

// Limits of what one host may take.
const (
	clientsPerHost = 256             // connections at a time, unless MAXCONNPERHOST says otherwise; for other hosts and for accounts on unix sockets
	freeGuesses    = 10              // wrong passwords that cost nothing
	guessForgiven  = 6 * time.Second // after which one of them is forgotten
	guessSpacing   = time.Second     // between two looks at passwords of a host that has used them up
	guessPatience  = 10 * time.Second
	maxHosts       = 1 << 16 // hosts that are remembered
)

var errGuessing = errors.New("too many wrong passwords from this host")

// A hostKey is who limits are for: an IPv4 address, an IPv6 network of 64 bits, or
// an account of this host.
type hostKey struct {
	addr netip.Addr
	uid  int // of the account, and one
}

// keyOf returns the key of a client. Connections within the process all have the
// zero key.
func keyOf(conn net.Conn, p peer) hostKey {
	a, ok := conn.RemoteAddr().(*net.TCPAddr)
	if !ok {
		if p.known {
			return hostKey{uid: p.uid + 1}
		}
		return hostKey{}
	}
	ip := a.AddrPort().Addr().Unmap().WithZone("")
	if ip.Is6() && !ip.IsLoopback() {
		net, _ := ip.Prefix(64) // cannot fail
		ip = net.Addr()
	}
	return hostKey{addr: ip}
}

// A guard counts what hosts take. The zero value is ready for use.
type guard struct {
	mu    sync.Mutex
	hosts map[hostKey]*visits
}

// visits is what is known of one host.
type visits struct {
	open    int       // connections
	told    bool      // that it has too many
	wrong   float64   // wrong passwords that are not forgiven
	at      time.Time // when wrong was right
	next    time.Time // when its next password may be looked at
	guesses int       // wrong passwords since it is remembered
}

// enter counts a connection and reports whether the host may have it; told is
// false the first time that it may not.
func (g *guard) enter(k hostKey, limit int) (ok, told bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	v := g.visits(k)
	if v.open >= limit && k != (hostKey{}) && !k.addr.IsLoopback() {
		told, v.told = v.told, true
		return false, told
	}
	v.open++
	return true, false
}

// leave is the opposite of enter.
func (g *guard) leave(k hostKey) {
	g.mu.Lock()
	defer g.mu.Unlock()
	v := g.visits(k)
	v.open--
	v.told = v.told && v.open > 0
	if v.open <= 0 && v.guesses == 0 {
		delete(g.hosts, k)
	}
}

// calm reports whether the passwords of a host may be looked at at once.
func (g *guard) calm(k hostKey, now time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	v := g.hosts[k]
	return v == nil || v.forgive(now) < freeGuesses
}

// wait returns how long a password of the host has to wait until it may be looked
// at, and whether that is too long to wait at all.
func (g *guard) wait(k hostKey, now time.Time) (d time.Duration, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	v := g.visits(k)
	if v.forgive(now) < freeGuesses {
		return 0, true
	}
	if v.next.Before(now) {
		v.next = now
	}
	if d = v.next.Sub(now); d > guessPatience {
		return 0, false
	}
	v.next = v.next.Add(guessSpacing)
	return d, true
}

// mistaken counts a wrong password and returns how many there were.
func (g *guard) mistaken(k hostKey, now time.Time) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	v := g.visits(k)
	v.wrong = min(v.forgive(now)+1, freeGuesses+1)
	v.guesses++
	return v.guesses
}

// forgive takes what time has forgiven off the count and returns the rest.
func (v *visits) forgive(now time.Time) float64 {
	v.wrong = max(0, v.wrong-float64(now.Sub(v.at))/float64(guessForgiven))
	v.at = now
	return v.wrong
}

// visits returns the entry of a host, a new one if there is none. The caller holds
// mu.
func (g *guard) visits(k hostKey) *visits {
	if v := g.hosts[k]; v != nil {
		return v
	}
	if g.hosts == nil {
		g.hosts = make(map[hostKey]*visits)
	}
	if len(g.hosts) >= maxHosts {
		g.tidy()
	}
	v := &visits{at: time.Now()}
	g.hosts[k] = v
	return v
}

// tidy forgets the hosts that have no connection.
func (g *guard) tidy() {
	for k, v := range g.hosts {
		if v.open <= 0 {
			delete(g.hosts, k)
		}
	}
}
