package upsd

import (
	"hash/maphash"
	"net/netip"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/bcrypt"
)

func TestWrongPasswordsCostTime(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		// By chance, two users may be counted together.
		for g := &w.server.guard; g.key(hostKey{}, "admin") == g.key(hostKey{}, "sec"); {
			g.seed = maphash.MakeSeed()
		}
		begin := time.Now()
		for range freeGuesses {
			w.as("admin", "wrong")
		}
		if d := time.Since(begin); d != 0 {
			t.Errorf("the first %d took %v; want no time", freeGuesses, d)
		}
		w.as("admin", "wrong") // its look is at once, but the next has to wait
		w.as("admin", "wrong")
		if d := time.Since(begin); d != guessSpacing {
			t.Errorf("two more took %v; want %v", d, guessSpacing)
		}
		// A right one waits too, or its speed would tell that it is right.
		c := w.as("admin", "secret")
		if d := time.Since(begin); d != 2*guessSpacing {
			t.Errorf("a right one came after %v; want %v", d, 2*guessSpacing)
		}
		c.want("FSD fake", "OK FSD-SET")

		// Another user of the same host is not held up by it.
		begin = time.Now()
		w.as("sec", "s").want("LOGIN fake", "OK")
		if d := time.Since(begin); d != 0 {
			t.Errorf("another user's password took %v; want no time", d)
		}

		// Who must wait too long is cut off.
		var cut atomic.Int32
		for range 30 {
			c := w.dial()
			c.send("USERNAME admin\nPASSWORD wrong\n")
			go func() {
				c.line()
				if c.line() == "(EOF)" {
					cut.Add(1)
				}
			}()
		}
		synctest.Wait()
		if n := cut.Load(); n < 15 || n > 20 {
			t.Errorf("%d of 30 guesses at once were cut off; want all but those of %v", n, guessPatience)
		}
		time.Sleep(5 * time.Minute)
		begin = time.Now()
		w.as("admin", "secret").want("FSD fake", "OK FSD-SET")
		if d := time.Since(begin); d != 0 {
			t.Errorf("after a rest a password took %v; want no time", d)
		}
	})
}

// All that a client sends ahead is answered in order, though one answer has to wait.
func TestRequestsBehindASlowPassword(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		for range freeGuesses + 2 {
			w.as("sec", "wrong")
		}
		c := w.dial()
		c.send("USERNAME sec\nPASSWORD s\nLOGIN fake\nGET VAR fake ups.ro.num\nLOGOUT\nNETVER\n")
		for _, want := range []string{"OK", "OK", "OK", `VAR fake ups.ro.num "3"`, "OK Goodbye", "(EOF)"} {
			if got := c.line(); got != want {
				t.Errorf("got %q; want %q", got, want)
			}
		}
	})
}

func TestHashedPassword(t *testing.T) {
	cheap, err := bcrypt.GenerateFromPassword([]byte("secret"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	h := string(cheap)
	inWorld(t, func(t *testing.T, w *world) {
		hashed := strings.Replace(testUsers, "password = secret", "password = "+h, 1)
		w.server.Reload(testConf(), parseUsers(t, hashed))
		w.as("admin", "wrong").want("FSD fake", "ERR ACCESS-DENIED")
		w.as("admin", h).want("FSD fake", "ERR ACCESS-DENIED")
		w.as("admin", "secret").want("FSD fake", "OK FSD-SET")
		all := w.server.accounts.Load()
		if !all.quick("admin", "secret") || all.quick("admin", "wrong") || all.quick("nobody", "x") {
			t.Error("quick() is wrong: only what was proved before is quick, and an unknown name must not be")
		}
		w.server.Reload(testConf(), parseUsers(t, hashed))
		if !w.server.accounts.Load().quick("admin", "secret") {
			t.Error("the proof did not survive a reload")
		}
		w.server.Reload(testConf(), parseUsers(t, strings.Replace(hashed, h, h[:58]+"zz", 1)))
		if w.server.accounts.Load().quick("admin", "secret") {
			t.Error("the proof of another hash survived a reload")
		}
	})
}

func TestConnectionsPerHost(t *testing.T) {
	g, now := newGuard(), time.Now()
	k := hostKey{addr: netip.MustParseAddr("192.0.2.1")}
	for range 3 {
		if ok, _ := g.enter(k, 3); !ok {
			t.Fatal("enter() refused below the limit")
		}
	}
	if ok, told := g.enter(k, 3); ok || told {
		t.Errorf("enter() above the limit = %v, %v; want false, false", ok, told)
	}
	if ok, told := g.enter(k, 3); ok || !told {
		t.Errorf("enter() above the limit again = %v, %v; want false, true", ok, told)
	}
	g.leave(k, now)
	if ok, _ := g.enter(k, 3); !ok {
		t.Error("enter() refused after one had left")
	}
	for range 3 {
		g.leave(k, now)
	}
	if len(g.hosts) != 0 {
		t.Errorf("%d hosts are remembered for nothing", len(g.hosts))
	}
	g.mistaken(k, "user", now) // is remembered apart from the connections
	g.enter(k, 3)
	g.remark(k, now)
	if g.leave(k, now); len(g.hosts) != 1 {
		t.Error("a host that there was something to say of is forgotten at once")
	}
	lo := hostKey{addr: netip.MustParseAddr("127.0.0.1")}
	for range 5 {
		if ok, _ := g.enter(lo, 3); !ok {
			t.Error("enter() refused the host itself")
		}
	}
}

func TestFullHouse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := testConf()
		c.MaxConn = 2 + 1 + 3 // two devices, one listener, three clients
		w := newWorld(t, c)
		defer w.end()
		first := w.as("sec", "s")
		first.want("LOGIN fake", "OK")
		time.Sleep(time.Second)
		second := w.dial()
		second.want("NETVER", "1.3")
		time.Sleep(time.Second)
		third := w.dial()
		third.want("NETVER", "1.3")
		fourth := w.dial()
		fourth.want("NETVER", "1.3")
		if got := second.line(); got != "(EOF)" {
			t.Errorf("the most silent client got %q; want it to make way", got)
		}
		first.want("NETVER", "1.3")
		third.want("NETVER", "1.3")
		for _, c := range []*client{third, fourth} {
			c.want("USERNAME sec", "OK")
			c.want("PASSWORD s", "OK")
			c.want("LOGIN fake", "OK")
		}
		if got := w.dial().line(); !strings.HasPrefix(got, "(") {
			t.Errorf("a client for whom nobody can make way got %q", got)
		}
		first.want("LOGOUT", "OK Goodbye")
		synctest.Wait()
		w.dial().want("GET NUMLOGINS fake", "NUMLOGINS fake 2")

		// Who comes and goes at the limit fills no log.
		for range 100 {
			w.dial().conn.Close()
			synctest.Wait()
			w.dial()
			synctest.Wait()
		}
		if n := strings.Count(w.log.text(), "no room for more"); n != 1 {
			t.Errorf("the log says %d times that there is no room; want once", n)
		}
	})
}

// One host gets so many lines in the log, and others are none the worse for it.
func TestRemarksAreBounded(t *testing.T) {
	g, now := newGuard(), time.Now()
	k := hostKey{addr: netip.MustParseAddr("192.0.2.1")}
	said, last := 0, 0
	for range 1000 {
		ok, end := g.remark(k, now)
		if ok {
			said++
		}
		if end {
			last = said
		}
	}
	if said != freeRemarks || last != said {
		t.Errorf("%d remarks, the last of them is number %d; want %d", said, last, freeRemarks)
	}
	if ok, _ := g.remark(hostKey{addr: netip.MustParseAddr("192.0.2.2")}, now); !ok {
		t.Error("another host has no remarks")
	}
	if ok, _ := g.remark(k, now.Add(remarkForgiven)); !ok {
		t.Error("after some time there is still nothing to say")
	}
}

// What is remembered of those who guess is bounded.
func TestGuessesAreBounded(t *testing.T) {
	g, now := newGuard(), time.Now()
	for i := range maxRemembered + 10 {
		k := hostKey{addr: netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})}
		if n := g.mistaken(k, "user", now); n != 1 {
			t.Fatalf("host %d has guessed %d times; want once", i, n)
		}
	}
	if n := len(g.guesses); n > maxRemembered {
		t.Errorf("%d are remembered; want %d at most", n, maxRemembered)
	}
	k := hostKey{addr: netip.MustParseAddr("192.0.2.1")}
	for i := range 1000 {
		g.mistaken(k, "user"+strconv.Itoa(i), now)
	}
	n := 0
	for key := range g.guesses {
		if key.host == k {
			n++
		}
	}
	if n > nameGroups {
		t.Errorf("a thousand names of one host are %d entries; want %d at most", n, nameGroups)
	}
}

// A wrong password is logged at once, though the protocol answers OK; and so is who
// may not log in, which clients like to overlook. Passwords are not in the log.
func TestWrongCredentialsAreLogged(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.as("admin", "hunter2")
		if got := w.log.text(); strings.Count(got, "wrong user name or password") != 1 || !strings.Contains(got, "user=admin") || !strings.Contains(got, "client=127.0.0.1") {
			t.Errorf("after a wrong password the log has %q", got)
		}
		w.as("nobody", "hunter2")
		w.as("admin", "hunter2")
		if got := w.log.text(); strings.Count(got, "wrong user name or password") != 3 || !strings.Contains(got, "times=2") {
			t.Errorf("after three wrong passwords the log has %q", got)
		}
		w.as("admin", "secret").want("LOGIN fake", "ERR ACCESS-DENIED")
		if got := w.log.text(); !strings.Contains(got, "may not log in") || !strings.Contains(got, "upsd.users") {
			t.Errorf("after a LOGIN that was refused the log has %q", got)
		}
		for range 100 {
			w.as("admin", "secret").want("LOGIN fake", "ERR ACCESS-DENIED")
		}
		if n := strings.Count(w.log.text(), "may not log in"); n != freeRemarks {
			t.Errorf("the log says %d times that a client may not log in; want %d", n, freeRemarks)
		}
		if strings.Contains(w.log.text(), "hunter2") || strings.Contains(w.log.text(), "secret") {
			t.Error("the log holds a password")
		}
	})
}
