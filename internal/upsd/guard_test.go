package upsd

import (
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"gonut/internal/passwd"
)

func TestWrongPasswordsCostTime(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		begin := time.Now()
		for range freeGuesses {
			w.as("admin", "wrong")
		}
		if d := time.Since(begin); d != 0 {
			t.Errorf("the first %d took %v; want no time", freeGuesses, d)
		}
		w.as("nobody", "wrong") // its look is at once, but the next has to wait
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
			w.as("admin", "wrong")
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
	h, err := passwd.Hash("secret")
	if err != nil {
		t.Fatal(err)
	}
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
	var g guard
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
	g.leave(k)
	if ok, _ := g.enter(k, 3); !ok {
		t.Error("enter() refused after one had left")
	}
	for range 3 {
		g.leave(k)
	}
	if len(g.hosts) != 0 {
		t.Errorf("%d hosts are remembered for nothing", len(g.hosts))
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
	})
}
