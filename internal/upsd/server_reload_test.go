package upsd

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestSetDevices(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		c := w.as("mon", `"mon pw"`)
		c.want("LOGIN third", "OK")
		stays := w.as("sec", "s")
		stays.want("LOGIN fake", "OK")
		stays.want("FSD fake", "ERR ACCESS-DENIED")
		w.server.device([]byte("fake")).setFSD()

		// The survivor keeps its spelling, its place behind the new ones, its login
		// and its latch; the client of the removed one is disconnected.
		w.server.SetDevices([]Device{{Name: "FAKE", Driver: "dummy", Desc: "now with text"}, {Name: "a", Driver: "x"}, {Name: "b", Driver: "x"}})
		synctest.Wait()
		stays.want("LIST UPS", "BEGIN LIST UPS\nUPS a \"Description unavailable\"\nUPS b \"Description unavailable\"\nUPS fake \"now with text\"\nEND LIST UPS")
		stays.want("GET NUMLOGINS fake", "NUMLOGINS fake 1")
		stays.want(status, `VAR fake ups.status "FSD OL"`)
		stays.want("GET VAR third ups.status", "ERR UNKNOWN-UPS")
		if got := c.line(); got != "(EOF)" {
			t.Errorf("client of the removed device got %q; want it disconnected", got)
		}

		// Removed and added again, it begins anew.
		w.server.SetDevices([]Device{{Name: "a", Driver: "x"}})
		synctest.Wait()
		w.server.SetDevices([]Device{{Name: "fake", Driver: "dummy"}})
		time.Sleep(5 * time.Second)
		d := w.dial()
		d.want(status, `VAR fake ups.status "OL"`)
		d.want("GET NUMLOGINS fake", "NUMLOGINS fake 0")
	})
}

func TestRedefinedDeviceFollowsItsNewDriver(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		other := &fakeDriver{net: w.net, name: "other-fake", dump: "SETINFO ups.status OB\nDATAOK\nDUMPDONE\n"}
		w.wg.Go(func() { other.run(w.ctx, t) })
		c := w.as("sec", "s")
		c.want("LOGIN fake", "OK")
		w.server.SetDevices([]Device{{Name: "fake", Driver: "other"}})
		time.Sleep(5 * time.Second)
		c.want(status, `VAR fake ups.status "OB"`)
		c.want("GET NUMLOGINS fake", "NUMLOGINS fake 1")
		c.want("GET VAR fake ups.ro.num", "ERR VAR-NOT-SUPPORTED")
	})
}

func TestUsersChangeUnderLiveSessions(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		c := w.as("admin", "secret")
		c.want("FSD Third", "OK FSD-SET")
		w.server.Reload(testConf(), parseUsers(t, strings.Replace(testUsers, "secret", "changed", 1)))
		c.want("FSD Third", "ERR ACCESS-DENIED")
		w.server.Reload(testConf(), parseUsers(t, testUsers))
		c.want("FSD Third", "OK FSD-SET")
	})
}

func TestIdleClientIsCutOff(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		c := w.as("sec", "s")
		c.want("LOGIN fake", "OK")
		time.Sleep(50 * time.Second)
		c.want("NETVER", "1.3")
		for range 6 { // no complete line
			time.Sleep(9 * time.Second)
			c.send("x")
		}
		start := time.Now()
		if got := c.line(); got != "(EOF)" {
			t.Errorf("silent client got %q; want to be cut off", got)
		}
		if d := time.Since(start); d != 6*time.Second {
			t.Errorf("cut off after 54 s + %v; want 60 s", d)
		}
		synctest.Wait()
		w.dial().want("GET NUMLOGINS fake", "NUMLOGINS fake 0")
	})
}

func TestClientThatDoesNotReadIsCutOff(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		bad, good := w.dial(), w.dial()
		done := make(chan error, 1)
		go func() {
			for {
				if _, err := bad.conn.Write([]byte("LIST VAR fake\n")); err != nil {
					done <- err
					return
				}
			}
		}()
		synctest.Wait()
		good.want(status, `VAR fake ups.status "OL"`)
		start := time.Now()
		<-done
		if d := time.Since(start); d > writeTimeout {
			t.Errorf("cut off after %v; want %v", d, writeTimeout)
		}
		good.want(status, `VAR fake ups.status "OL"`)
	})
}

func TestLongAndManyWords(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		c := w.dial()
		c.want("GET VAR fake "+strings.Repeat("x", 100_000), "ERR VAR-NOT-SUPPORTED")
		c.want("GET VAR fake ups.ro.num"+strings.Repeat(" more", 10_000), `VAR fake ups.ro.num "3"`)
		c.want("GET VAR "+strings.Repeat("x", 600)+" ups.status", "ERR UNKNOWN-UPS")
		c.want(strings.Repeat("x", 70), "ERR UNKNOWN-COMMAND")
		long := strings.Repeat("y", 510)
		// C cuts such a reply and loses its line feed.
		c.want("GET DESC fake "+long, "DESC fake "+long+` "Description unavailable"`)
	})
}
