package upsd

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gonut/internal/ups"
)

// step returns the lines up to the end of one pushed step.
func (c *client) step() string {
	c.t.Helper()
	var lines []string
	for {
		l := c.line()
		lines = append(lines, l)
		if strings.HasPrefix(l, "PUSH END ") || !strings.HasPrefix(l, "PUSH ") {
			return strings.Join(lines, "\n")
		}
	}
}

func (c *client) wantStep(lines ...string) {
	c.t.Helper()
	if got, want := c.step(), strings.Join(lines, "\n"); got != want {
		c.t.Errorf("step\n%s\nwant\n%s", got, want)
	}
}

func TestWatch(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		c := w.dial()
		c.want("WATCH", "ERR INVALID-ARGUMENT")
		c.want("WATCH nope", "ERR UNKNOWN-UPS")
		c.want("UNWATCH all", "ERR INVALID-ARGUMENT")
		c.want("UNWATCH", "OK")
		c.want("WATCH FAKE ups.status ups.ro. UPS.mix", "OK")
		c.wantStep("PUSH BEGIN FAKE", `PUSH VAR FAKE UPS.Mixed "Case"`, `PUSH VAR FAKE ups.ro.num "3"`,
			`PUSH VAR FAKE ups.status "OL"`, "PUSH STATE FAKE OK", "PUSH END FAKE")

		// A step of the driver is a step of the client's; what does not concern it
		// is not told.
		w.driver.say("SETINFO ups.status \"OB LB\"\nSETINFO ups.ro.num 4\nSETINFO ups.rw.num 9\n")
		c.wantStep(`PUSH VAR FAKE ups.status "OB LB"`, `PUSH VAR FAKE ups.ro.num "4"`, "PUSH END FAKE")
		w.driver.say("SETINFO ups.rw.num 8\nADDCMD x.y\nSETINFO ups.ro.num 4\n")
		w.driver.say("DELINFO ups.ro.num\nSETINFO ups.status.x \"\\\"\"\n")
		c.wantStep("PUSH DEL FAKE ups.ro.num", `PUSH VAR FAKE ups.status.x "\""`, "PUSH END FAKE")

		// Requests go on as ever.
		c.want("GET VAR fake ups.rw.num", `VAR fake ups.rw.num "8"`)
		w.as("mon", `"mon pw"`).want("FSD fake", "OK FSD-SET")
		c.wantStep(`PUSH VAR FAKE ups.status "FSD OB LB"`, "PUSH END FAKE")
		w.driver.say("SETINFO UPS.Status OL\n")
		c.wantStep(`PUSH VAR FAKE ups.status "FSD OL"`, "PUSH END FAKE")

		w.driver.say("DATASTALE\n")
		c.wantStep("PUSH STATE FAKE DATA-STALE", "PUSH END FAKE")
		w.driver.say("DATAOK\n")
		c.wantStep("PUSH STATE FAKE OK", "PUSH END FAKE")
		w.driver.set(func() { w.driver.conn.Close() })
		c.wantStep("PUSH STATE FAKE DRIVER-NOT-CONNECTED", "PUSH END FAKE")
		first := c.step()
		if !strings.HasPrefix(first, "PUSH BEGIN FAKE\n") || !strings.HasSuffix(first, "PUSH STATE FAKE OK\nPUSH END FAKE") {
			t.Errorf("after the driver's return came %q; want all values", first)
		}

		// Another WATCH takes the place of the first, whose last steps may still
		// come before its own first one.
		c.send("WATCH fake nothing.has.this\n")
		answered := false
		for l := ""; l != "PUSH BEGIN fake"; {
			if l = c.line(); strings.HasPrefix(l, "(") {
				t.Fatal(l)
			}
			answered = answered || l == "OK"
		}
		if !answered {
			t.Error("the telling began before the OK of WATCH")
		}
		c.wantStep("PUSH STATE fake OK", "PUSH END fake")
		c.want("UNWATCH", "OK")
		w.driver.say("SETINFO nothing.has.this x\n")
		synctest.Wait()
		c.want("NETVER", "1.3")
	})
}

func TestWatchWithoutDriver(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		c := w.dial()
		c.want("WATCH third", "OK")
		c.wantStep("PUSH BEGIN third", "PUSH STATE third DRIVER-NOT-CONNECTED", "PUSH END third")
		w.server.device([]byte("third")).setFSD() // no status to tell of
		w.server.SetDevices([]Device{{Name: "fake", Driver: "dummy"}})
		c.wantStep("PUSH STATE third UNKNOWN-UPS", "PUSH END third")
		c.want("NETVER", "1.3")
	})
}

// A device that is removed between WATCH and the beginning of the telling is gone
// for the client, too.
func TestWatchOfADeviceThatGoes(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		c := w.dial()
		c.want("WATCH third", "OK")
		c.step()
		third := w.server.device([]byte("third"))
		w.server.SetDevices([]Device{{Name: "fake", Driver: "dummy"}})
		c.wantStep("PUSH STATE third UNKNOWN-UPS", "PUSH END third")
		w.server.mu.Lock()
		var f *session
		for s := range w.server.sessions {
			f = s
		}
		w.server.mu.Unlock()
		f.fulfil(wish{device: third, spelling: "third"})
		c.wantStep("PUSH STATE third UNKNOWN-UPS", "PUSH END third")
	})
}

func TestWatchAll(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		c := w.dial()
		c.want("WATCH * ups.status", "OK")
		c.wantStep("PUSH BEGIN fake", `PUSH VAR fake ups.status "OL"`, "PUSH STATE fake OK", "PUSH END fake")
		c.wantStep("PUSH BEGIN Third", "PUSH STATE Third DRIVER-NOT-CONNECTED", "PUSH END Third")
		w.server.SetDevices([]Device{{Name: "fake", Driver: "dummy"}, {Name: "my new", Driver: "dummy"}})
		// Two devices, so in any order.
		steps := []string{c.step(), c.step()}
		slices.Sort(steps)
		if want := []string{
			"PUSH BEGIN \"my new\"\nPUSH STATE \"my new\" DRIVER-NOT-CONNECTED\nPUSH END \"my new\"",
			"PUSH STATE Third UNKNOWN-UPS\nPUSH END Third",
		}; !slices.Equal(steps, want) {
			t.Errorf("after the change of devices came %q; want %q", steps, want)
		}
		w.driver.say("SETINFO ups.status OB\n")
		c.wantStep(`PUSH VAR fake ups.status "OB"`, "PUSH END fake")
		c.conn.Close()
		synctest.Wait()
		if n := len(w.server.device([]byte("fake")).watches); n != 0 {
			t.Errorf("%d watches are left of a client that is gone", n)
		}
		if len(w.server.feeds) != 0 {
			t.Error("a feed is left of a client that is gone")
		}
	})
}

// A client that is slow to take what it watches is told everything anew at the end,
// and what waits for it stays bounded.
func TestSlowWatcher(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		c := w.dial()
		c.want("WATCH fake ups.", "OK")
		c.step()
		d := w.server.device([]byte("fake"))
		for i := range 5000 {
			d.apply([]ups.Change{ups.Set("ups.count", fmt.Sprint(i)), ups.Set("ups.twice", fmt.Sprint(2*i))})
		}
		f := func() *feed { return d.watches[0].feed }()
		f.mu.Lock()
		if n := len(f.queue); n > maxUntold+1000 {
			t.Errorf("%d bytes wait", n)
		}
		f.mu.Unlock()
		seen, begins := "", 0
		for seen != "4999" {
			step := c.step()
			begins += strings.Count(step, "PUSH BEGIN")
			if _, after, ok := strings.Cut(step, `ups.count "`); ok {
				seen, _, _ = strings.Cut(after, `"`)
				if !strings.Contains(step, fmt.Sprintf(`ups.twice "%d"`, 2*ups.Atoi(seen))) {
					t.Fatalf("half a step: %s", step)
				}
			}
			if strings.HasPrefix(step, "(") {
				t.Fatal(step)
			}
		}
		if begins < 1 || begins > 3 {
			t.Errorf("told everything %d times; want only when it was behind", begins)
		}
	})
}

func TestWatcherThatNeverReadsIsCutOff(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		c := w.dial()
		c.want("WATCH fake", "OK")
		d := w.server.device([]byte("fake"))
		time.Sleep(writeTimeout + time.Second)
		synctest.Wait()
		if n := len(d.watches); n != 0 {
			t.Errorf("%d watches; want the client cut off after %v", n, writeTimeout)
		}
		d.apply([]ups.Change{ups.Set("ups.count", "1")})
	})
}

func TestUnwatchBehindAStuckWrite(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		c := w.dial()
		c.want("WATCH fake", "OK")
		synctest.Wait()
		c.send("UNWATCH\n") // while the first step waits to be read
		got := c.step()
		if !strings.HasPrefix(got, "PUSH BEGIN fake") {
			t.Errorf("first came %q", got)
		}
		if l := c.line(); l != "OK" {
			t.Errorf("then %q; want OK", l)
		}
	})
}
