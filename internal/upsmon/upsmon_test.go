package upsmon

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gonut/internal/conf"
	"gonut/internal/upsmon/monitor"
	"gonut/upsclient"
)

const (
	primary   = "MONITOR ups@server 1 mon pw primary\nSHUTDOWNCMD halt\n"
	secondary = "MONITOR ups@server 1 sec pw secondary\nSHUTDOWNCMD halt\n"
)

func (h *host) wantHeard(want string) {
	h.w.t.Helper()
	if got := h.heard(); got != want {
		h.w.t.Errorf("%s: notifications = %s; want %s", h.name, got, want)
	}
}

// wantHeardOf checks what was heard when LB and FSD may come together or apart.
func (h *host) wantHeardOf(want string) {
	h.w.t.Helper()
	if got := strings.Replace(h.heard(), "LOWBATT FSD", "FSD LOWBATT", 1); got != want {
		h.w.t.Errorf("%s: notifications = %s; want %s, with FSD before or after LOWBATT", h.name, got, want)
	}
}

func (h *host) wantUp() {
	h.w.t.Helper()
	if d := h.down(); d >= 0 {
		h.w.t.Errorf("%s: down at %s; want up", h.name, d)
	}
}

func (h *host) wantDown(from, to time.Duration) {
	h.w.t.Helper()
	if d := h.down(); d < from || d > to {
		h.w.t.Errorf("%s: down at %s; want %s to %s", h.name, d, from, to)
	}
}

// A blackout with a primary, two secondaries and a host that only watches: the
// secondaries go first, the primary last, the watcher stays.
func TestBlackout(t *testing.T) {
	inWorld(t, func(w *world) {
		u := newDriver("ups", "OL CHRG")
		w.serve("server", u)
		p := w.start("primary", primary)
		a := w.start("a", secondary)
		b := w.start("b", secondary)
		m := w.start("watcher", "MONITOR ups@server 0 sec pw secondary\nMINSUPPLIES 0\n")
		time.Sleep(time.Minute)
		u.status("OB DISCHRG")
		time.Sleep(time.Minute)
		u.status("OB LB DISCHRG")
		time.Sleep(time.Minute)
		p.wantHeard("ONBATT LOWBATT FSD SHUTDOWN_HOSTSYNC SHUTDOWN")
		a.wantHeardOf("ONBATT FSD LOWBATT SHUTDOWN")
		m.wantHeardOf("ONBATT FSD LOWBATT")
		m.wantUp()
		if events := w.happened(); len(events) != 3 || !strings.HasSuffix(events[2], "primary down") {
			t.Errorf("events = %q; want three, the primary last", events)
		}
		p.wantDown(2*time.Minute+10*time.Second, 2*time.Minute+26*time.Second)
		synctest.Wait()
		if !p.flagged || !a.flagged || b.down() < 0 {
			t.Errorf("power-down flag of primary %t, of a %t; b down at %s; want true, true and down", p.flagged, a.flagged, b.down())
		}
		for _, h := range []*host{p, a, b} {
			<-h.finished
			if h.err != nil {
				t.Errorf("%s: Run() = %v; want nil", h.name, h.err)
			}
		}
		if len(p.reasons) != 1 || !strings.Contains(p.reasons[0].Cause, "low") {
			t.Errorf("reasons = %v; want one that speaks of a low battery", p.reasons)
		}
	})
}

// The power comes back before the battery is low.
func TestShortOutage(t *testing.T) {
	inWorld(t, func(w *world) {
		u := newDriver("ups", "OL")
		w.serve("server", u)
		p := w.start("primary", primary)
		u.status("OB")
		time.Sleep(10 * time.Minute)
		u.status("OL")
		time.Sleep(time.Minute)
		p.wantHeard("ONBATT ONLINE")
		p.wantUp()
	})
}

// The driver restarts while the UPS is on battery.
func TestDriverRestartOnBattery(t *testing.T) {
	inWorld(t, func(w *world) {
		u := newDriver("ups", "OB")
		w.serve("server", u)
		p := w.start("primary", primary)
		u.kill()
		time.Sleep(7 * time.Second)
		u.revive()
		time.Sleep(time.Minute)
		p.wantUp()
		u.kill()
		time.Sleep(time.Minute)
		p.wantDown(time.Minute, 2*time.Minute)
	})
}

// Four seconds without network while on battery shut nothing down.
func TestNetworkLossOnBattery(t *testing.T) {
	inWorld(t, func(w *world) {
		u := newDriver("ups", "OB")
		w.serve("server", u)
		h := w.startWith("a", secondary, Deps{})
		for range 20 {
			h.link.set(func(l *link) { l.cut = true })
			time.Sleep(4 * time.Second)
			h.link.set(func(l *link) { l.cut = false })
			time.Sleep(20 * time.Second)
		}
		h.wantUp()
	})
}

// A shutdown that has begun comes to its end although Run's context ends.
func TestStopDuringShutdown(t *testing.T) {
	inWorld(t, func(w *world) {
		u := newDriver("ups", "OL")
		w.serve("server", u)
		p := w.start("primary", primary)
		p.d.FSD()
		time.Sleep(time.Second)
		p.cancel(context.Canceled)
		<-p.finished
		p.wantDown(5*time.Second, 6*time.Second)
		q := w.start("quitter", "MONITOR ups@server 1 mon pw secondary\n")
		q.d.FSD()
		time.Sleep(time.Second)
		q.cancel(ErrAbandon)
		<-q.finished
		q.wantUp()
		if !errors.Is(q.err, ErrAbandon) {
			t.Errorf("Run() = %v; want ErrAbandon", q.err)
		}
	})
}

// The server restarts in the middle of a forced shutdown: nobody waits for it, and
// nobody stays up.
func TestServerRestartsDuringFSD(t *testing.T) {
	inWorld(t, func(w *world) {
		u := newDriver("ups", "OL")
		s := w.serve("server", u)
		p := w.start("primary", primary)
		a := w.start("a", secondary+"FINALDELAY 60\n")
		time.Sleep(time.Minute)
		p.d.FSD()
		time.Sleep(6 * time.Second)
		s.stop()
		time.Sleep(2 * time.Second)
		w.serve("server", u)
		time.Sleep(2 * time.Minute)
		p.wantDown(time.Minute, time.Minute+30*time.Second)
		a.wantDown(time.Minute, 3*time.Minute)
	})
}

// SHUTDOWNEXIT no keeps the login until the network is gone.
func TestShutdownExitKeepsTheLogin(t *testing.T) {
	inWorld(t, func(w *world) {
		u := newDriver("ups", "OL")
		w.serve("server", u)
		p := w.start("primary", primary+"HOSTSYNC 60\n")
		a := w.start("a", secondary+"SHUTDOWNEXIT no\n")
		time.Sleep(time.Minute)
		u.status("OB LB")
		time.Sleep(40 * time.Second)
		a.wantDown(time.Minute, 80*time.Second)
		p.wantUp()
		a.link.set(func(l *link) { l.cut = true })
		time.Sleep(10 * time.Second)
		p.wantDown(90*time.Second, 2*time.Minute)
	})
}

func TestParentGone(t *testing.T) {
	inWorld(t, func(w *world) {
		u := newDriver("ups", "OL")
		w.serve("server", u)
		gone := make(chan struct{})
		h := w.startWith("host", primary, Deps{ParentGone: gone})
		time.Sleep(time.Minute)
		close(gone)
		time.Sleep(5 * time.Minute)
		h.wantHeard("NOPARENT NOPARENT NOPARENT")
	})
}

func TestSleep(t *testing.T) {
	inWorld(t, func(w *world) {
		u := newDriver("ups", "OB")
		w.serve("server", u)
		s := make(sleeper)
		h := w.startWith("host", primary, Deps{Sleep: s})
		time.Sleep(time.Minute)
		s <- true
		synctest.Wait()
		u.status("OB LB")
		time.Sleep(90 * time.Second) // as long as falling asleep may take
		u.status("OL")
		time.Sleep(7 * time.Second)
		s <- false
		time.Sleep(time.Minute)
		h.wantHeard("ONBATT SUSPEND_STARTING LOWBATT ONLINE SUSPEND_FINISHED")
		h.wantUp()
	})
}

// A system that says it goes to sleep and then does not, or whose login manager never
// tells of the end, is guarded again after a while.
func TestSleepThatNeverEnds(t *testing.T) {
	inWorld(t, func(w *world) {
		u := newDriver("ups", "OL")
		w.serve("server", u)
		s := make(sleeper)
		h := w.startWith("host", primary, Deps{Sleep: s})
		time.Sleep(time.Minute)
		s <- true
		synctest.Wait()
		u.status("OB LB")
		time.Sleep(time.Minute)
		h.wantUp()
		time.Sleep(2 * time.Minute)
		h.wantHeard("SUSPEND_STARTING ONBATT LOWBATT SUSPEND_FINISHED FSD SHUTDOWN")
		h.wantDown(3*time.Minute, 4*time.Minute)
	})
}

func TestUnusableUPSName(t *testing.T) {
	inWorld(t, func(w *world) {
		m := monitorLine("@server")
		h := New(m, Deps{})
		ctx, cancel := context.WithCancel(w.ctx)
		done := make(chan error)
		go func() { done <- h.Run(ctx) }()
		time.Sleep(time.Minute)
		if r, _ := h.Report(); len(r.Units) != 1 || r.Units[0].Comm != "lost" {
			t.Errorf("report = %+v; want a lost UPS", r)
		}
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run() = %v; want nil", err)
		}
	})
}

// Every step that matters is passed to the hook with its reasons.
func TestHookSeesReasons(t *testing.T) {
	inWorld(t, func(w *world) {
		u := newDriver("ups", "OB LB")
		w.serve("server", u)
		var seen []string
		c := parse(t, primary)
		conf, err := c.load()
		if err != nil {
			t.Fatal(err)
		}
		d := New(conf, Deps{Dial: w.net.Dial, Hook: func(_ time.Time, _ monitor.Event, as []monitor.Action) {
			for _, a := range as {
				seen = append(seen, a.String())
			}
		}})
		if err := d.Run(w.ctx); err != nil {
			t.Errorf("Run() = %v; want nil", err)
		}
		all := strings.Join(seen, "\n")
		for _, want := range []string{"set FSD ups@server (too-few)", "notify SHUTDOWN (no other host is logged in any more)", "exit 0 (the shutdown is requested)"} {
			if !strings.Contains(all, want) {
				t.Errorf("actions lack %q:\n%s", want, all)
			}
		}
	})
}

// A slowShutdowner takes its time, and fails.
type slowShutdowner struct{}

func (slowShutdowner) Shutdown(context.Context, bool) error {
	time.Sleep(20 * time.Second)
	return errors.New("exit status 3")
}

// A terminal remembers what was written to all.
type terminal struct {
	mu    sync.Mutex
	texts []string
}

func (*terminal) Flag() conf.NotifyFlag { return conf.NotifyWall }

func (x *terminal) Notify(_ context.Context, n Notification) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.texts = append(x.texts, n.Text)
	return nil
}

// wantLogins asks a server how many hosts are logged in.
func (w *world) wantLogins(want int, when string) {
	w.t.Helper()
	c, err := upsclient.Dial(w.ctx, "server:3493", upsclient.Options{Dial: w.net.Dial})
	if err != nil {
		w.t.Fatal(err)
	}
	defer c.Close()
	if n, err := c.NumLogins(w.ctx, "ups"); n != want || err != nil {
		w.t.Errorf("%d logins %s, %v; want %d", n, when, err, want)
	}
}

// A secondary that goes down of its own accord says so: the primary need not wait for
// it as for a host that was lost.
func TestGoodbyeInAShutdown(t *testing.T) {
	inWorld(t, func(w *world) {
		u := newDriver("ups", "OL")
		w.serve("server", u)
		h := w.start("host", secondary)
		time.Sleep(time.Minute)
		w.wantLogins(1, "on line")
		u.status("OB LB")
		<-h.finished
		synctest.Wait()
		w.wantLogins(0, "after the shutdown")
	})
}

// While SHUTDOWNCMD is at work upsmon lives, without its logins, and answers. If it
// fails, everybody is told.
func TestSlowShutdownThatFails(t *testing.T) {
	inWorld(t, func(w *world) {
		w.serve("server", newDriver("ups", "OL"))
		c, err := parseAll(secondary + "FINALDELAY 0\n")
		if err != nil {
			t.Fatal(err)
		}
		wall := &terminal{}
		d := New(c, Deps{Dial: w.net.Dial, Shutdowner: slowShutdowner{}, Notifiers: []Notifier{wall}})
		done := make(chan error, 1)
		go func() { done <- d.Run(w.ctx) }()
		time.Sleep(time.Second)
		w.wantLogins(1, "before the shutdown")
		d.FSD()
		time.Sleep(time.Second)
		w.wantLogins(0, "while SHUTDOWNCMD is at work")
		asked := time.Now()
		if r, ok := d.Report(); !ok || r.Phase != "ended" || time.Since(asked) > 0 {
			t.Errorf("Report() while SHUTDOWNCMD is at work = %+v, %t after %s; want one at once", r, ok, time.Since(asked))
		}
		if err := <-done; err == nil || time.Since(asked) < 15*time.Second {
			t.Errorf("Run() = %v after %s; want an error after SHUTDOWNCMD", err, time.Since(asked))
		}
		wall.mu.Lock()
		defer wall.mu.Unlock()
		if got := wall.texts; !slices.Contains(got, "upsmon could not shut this host down: exit status 3") {
			t.Errorf("on the terminals: %q; want that it failed", got)
		}
	})
}
