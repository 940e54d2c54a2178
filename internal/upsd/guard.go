package upsd

import (
	"errors"
	"hash/maphash"
	"maps"
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
	guessSpacing   = time.Second     // between two looks at passwords when they are used up
	guessPatience  = 10 * time.Second
	nameGroups     = 64              // see guessKey
	freeRemarks    = 20              // lines in the log about what a host does wrong
	remarkForgiven = 3 * time.Second // after which one of them is forgotten
	maxRemembered  = 1 << 16         // entries
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

// A guessKey is whose wrong passwords are counted together: those that a host gives
// for a group of user names. One client that is set up wrongly must not keep the
// others of its host from logging in. Groups and not names, for there are any number
// of names, and a name that is not in upsd.users must be treated like one that is.
type guessKey struct {
	host  hostKey
	group uint64
}

// A guard counts what hosts take.
type guard struct {
	mu      sync.Mutex
	seed    maphash.Seed
	hosts   map[hostKey]*visits
	guesses map[guessKey]*guesses
}

// visits is what is known of one host.
type visits struct {
	open    int  // connections
	told    bool // that it has too many
	remarks bucket
}

// guesses is what is known of wrong passwords.
type guesses struct {
	wrong bucket    // those that are not forgiven
	next  time.Time // when the next password may be looked at
	all   int       // since they are remembered
}

// A bucket is filled by events and leaks with time.
type bucket struct {
	level float64
	at    time.Time // when level was right
}

// leak takes off what time has forgiven, one event in each, and returns the rest.
func (b *bucket) leak(now time.Time, each time.Duration) float64 {
	b.level = max(0, b.level-float64(now.Sub(b.at))/float64(each))
	b.at = now
	return b.level
}

func newGuard() guard {
	return guard{
		seed:    maphash.MakeSeed(),
		hosts:   make(map[hostKey]*visits),
		guesses: make(map[guessKey]*guesses),
	}
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
func (g *guard) leave(k hostKey, now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	v := g.visits(k)
	v.open--
	v.told = v.told && v.open > 0
	if v.open <= 0 && v.remarks.leak(now, remarkForgiven) == 0 {
		delete(g.hosts, k)
	}
}

// remark reports whether to log one more thing that a host does wrong. last is true
// for the last one before silence.
func (g *guard) remark(k hostKey, now time.Time) (ok, last bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	b := &g.visits(k).remarks
	if b.leak(now, remarkForgiven) > freeRemarks-1 {
		return false, false
	}
	b.level++
	return true, b.level > freeRemarks-1
}

// calm reports whether a password may be looked at at once.
func (g *guard) calm(k hostKey, user string, now time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	v := g.guesses[g.key(k, user)]
	return v == nil || v.wrong.leak(now, guessForgiven) < freeGuesses
}

// wait returns how long a password has to wait until it may be looked at, and
// whether that is too long to wait at all.
func (g *guard) wait(k hostKey, user string, now time.Time) (d time.Duration, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	v := g.guesses[g.key(k, user)]
	if v == nil || v.wrong.leak(now, guessForgiven) < freeGuesses {
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
func (g *guard) mistaken(k hostKey, user string, now time.Time) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	key := g.key(k, user)
	v := g.guesses[key]
	if v == nil {
		if len(g.guesses) >= maxRemembered {
			g.tidy(now)
		}
		v = &guesses{wrong: bucket{at: now}}
		g.guesses[key] = v
	}
	v.wrong.level = min(v.wrong.leak(now, guessForgiven)+1, freeGuesses+1)
	v.all++
	return v.all
}

func (g *guard) key(k hostKey, user string) guessKey {
	return guessKey{k, maphash.String(g.seed, user) % nameGroups}
}

// visits returns the entry of a host, a new one if there is none. The caller holds
// mu.
func (g *guard) visits(k hostKey) *visits {
	if v := g.hosts[k]; v != nil {
		return v
	}
	if len(g.hosts) >= maxRemembered {
		maps.DeleteFunc(g.hosts, func(_ hostKey, v *visits) bool { return v.open <= 0 })
	}
	v := &visits{}
	g.hosts[k] = v
	return v
}

// tidy forgets wrong passwords: those that are forgiven, or all if that is not
// enough.
func (g *guard) tidy(now time.Time) {
	maps.DeleteFunc(g.guesses, func(_ guessKey, v *guesses) bool { return v.wrong.leak(now, guessForgiven) == 0 })
	if len(g.guesses) >= maxRemembered {
		clear(g.guesses)
	}
}
