package upsmon

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gonut/internal/conf"
	"gonut/internal/upsmon/monitor"
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

// A server that accepts connections and then says nothing delays no other UPS.
func TestHangingServerDelaysNobody(t *testing.T) {
	inWorld(t, func(w *world) {
		u := newDriver("ups", "OL")
		w.serve("server", u)
		l, err := w.net.Listen(w.ctx, "tcp", "tar:3493")
		if err != nil {
			t.Fatal(err)
		}
		w.wg.Go(func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				defer c.Close()
			}
		})
		context.AfterFunc(w.ctx, func() { l.Close() })
		h := w.start("host", primary+"MONITOR x@tar 0 mon pw secondary\nMONITOR y@tar 0 mon pw secondary\n")
		time.Sleep(time.Minute)
		u.status("OB LB")
		at := w.now()
		time.Sleep(11 * time.Second)
		h.wantDown(at+5*time.Second, at+10*time.Second)
	})
}

// A server that takes connections and says nothing, as one that is stopped, costs no
// more than one that cannot be reached.
func TestFSDWaitsForNoSilentServer(t *testing.T) {
	inWorld(t, func(w *world) {
		l, err := w.net.Listen(w.ctx, "tcp", "tar:3493")
		if err != nil {
			t.Fatal(err)
		}
		context.AfterFunc(w.ctx, func() { l.Close() })
		w.wg.Go(func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				go io.Copy(io.Discard, c)
			}
		})
		for _, at := range []time.Duration{11, 12, 13, 14, 15, 16, 17, 18, 19, 20} {
			h := w.start("host", "MONITOR x@tar 1 mon pw primary\n")
			begin := w.now()
			time.Sleep(at * time.Second)
			h.d.FSD()
			<-h.finished
			if d := h.down() - begin - at*time.Second; d < 5*time.Second || d > 5*time.Second+fsdConnect+500*time.Millisecond {
				t.Errorf("FSD at %ds: down after %s; want FINALDELAY and %s at most", at, d, fsdConnect)
			}
		}
	})
}

// A server that cannot be reached costs a shutdown two seconds, not the time for a
// connection.
func TestFSDWaitsForNoConnection(t *testing.T) {
	inWorld(t, func(w *world) {
		u := newDriver("ups", "OL")
		w.serve("server", u)
		l, err := w.net.Listen(w.ctx, "tcp", "hole:3493") // and nobody accepts
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		h := w.start("host", primary+"MONITOR x@hole 0 mon pw primary\n")
		other := w.start("secondary", secondary)
		time.Sleep(61 * time.Second)
		h.d.FSD()
		<-other.finished // it is told at once
		other.wantDown(66*time.Second, 66*time.Second+100*time.Millisecond)
		<-h.finished // it waits for the secondary, and for nothing else
		h.wantDown(71*time.Second, 71*time.Second+500*time.Millisecond)
		alone := w.start("alone", primary+"MONITOR x@hole 0 mon pw primary\n")
		<-alone.finished // FSD is still set
		alone.wantDown(w.now()-5*time.Second, w.now())
		if d := alone.down() - h.down(); d > 5*time.Second+fsdConnect+500*time.Millisecond {
			t.Errorf("alone: down after %s; want FINALDELAY and %s for the server that cannot be reached", d, fsdConnect)
		}
	})
}

// A name server that does not answer, even one that nobody gives a limit, costs its UPS
// and no other.
func TestNameServerThatHangs(t *testing.T) {
	for _, limit := range []time.Duration{0, -1} {
		inWorld(t, func(w *world) {
			u := newDriver("ups", "OL")
			w.serve("server", u)
			l, err := w.net.Listen(w.ctx, "tcp", "unresolved:3493") // connecting takes for ever
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			h := w.startWith("host", primary+"MONITOR x@unresolved 1 mon pw secondary\nMONITOR y@unresolved 0 mon pw secondary\nMINSUPPLIES 2\n", Deps{ConnectTimeout: limit})
			time.Sleep(time.Minute)
			r, _ := h.d.Report()
			if want := map[time.Duration]string{0: "lost", -1: "never reached"}[limit]; r.Units[0].Comm != "ok" || r.Units[1].Comm != want {
				t.Errorf("limit %s: report = %+v; want the first reached and the second %s", limit, r, want)
			}
			u.status("OB LB")
			<-h.finished
			h.wantDown(time.Minute+5*time.Second, time.Minute+5*time.Second+100*time.Millisecond)
		})
	}
}

// Whoever polls without being counted is told so, and the login is tried again.
func TestLoginIsProven(t *testing.T) {
	inWorld(t, func(w *world) {
		u := newDriver("ups", "OL")
		w.serve("server", u)
		for _, tt := range []struct{ name, line, want string }{
			{"wrong password", "MONITOR ups@server 1 sec wrong secondary\n", "login as \"sec\" failed: ACCESS-DENIED"},
			{"no right", "MONITOR ups@server 1 other pw secondary\n", "login as \"other\" failed: ACCESS-DENIED"},
			{"not primary", "MONITOR ups@server 1 sec pw primary\n", "primary managerial privileges unavailable: ACCESS-DENIED"},
		} {
			h := w.start(tt.name, tt.line)
			time.Sleep(10 * time.Minute)
			h.wantHeard("NOLOGIN")
			r, ok := h.d.Report()
			if !ok || r.Protected() || len(r.Units) != 1 || r.Units[0].LoginError != tt.want || r.Units[0].Comm != "ok" {
				t.Errorf("%s: report = %+v, %t; want unprotected with %q", tt.name, r, ok, tt.want)
			}
		}
		for _, line := range []string{primary, `MONITOR ups@server 1 "a b" "p\"= \\w" primary`} {
			h := w.start("good", line)
			time.Sleep(time.Second)
			if r, ok := h.d.Report(); !ok || !r.Protected() {
				t.Errorf("%s: report = %+v, %t; want protected", line, r, ok)
			}
		}
	})
}

// A login that was refused is tried again on the connection that stands; NOLOGIN is told
// once.
func TestLoginIsTriedAgain(t *testing.T) {
	inWorld(t, func(w *world) {
		u := newDriver("ups", "OL")
		w.serve("late", u) // it refuses the first one
		h := w.startWith("host", "MONITOR ups@late 1 mon pw primary\n", Deps{PollOnly: true})
		time.Sleep(20 * time.Second)
		if r, _ := h.d.Report(); r.Protected() || r.Units[0].Comm != "ok" {
			t.Errorf("report after a refusal = %+v; want polled, but not protected", r)
		}
		time.Sleep(20 * time.Second)
		if r, _ := h.d.Report(); !r.Protected() {
			t.Errorf("report half a minute later = %+v; want protected", r)
		}
		h.wantHeard("NOLOGIN")
	})
}

// Stop ends an idle Daemon with a logout.
func TestStopLogsOut(t *testing.T) {
	inWorld(t, func(w *world) {
		u := newDriver("ups", "OL")
		w.serve("server", u)
		p := w.start("primary", primary)
		a := w.start("a", secondary)
		time.Sleep(time.Minute)
		a.d.Stop()
		<-a.finished
		time.Sleep(time.Second)
		at := w.now()
		u.status("OB LB")
		time.Sleep(11 * time.Second)
		p.wantHeard("ONBATT LOWBATT FSD SHUTDOWN")
		p.wantDown(at+5*time.Second, at+10*time.Second)
		if _, ok := a.d.Report(); ok {
			t.Error("Report() of an ended Daemon = true; want false")
		}
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

// A Notifier that never comes back holds up neither the loop nor other UPSes.
func TestSlowNotifier(t *testing.T) {
	inWorld(t, func(w *world) {
		u, v := newDriver("ups", "OL"), newDriver("v", "OL")
		w.serve("server", u, v)
		n := &stuckNotifier{stuck: "ups@server", release: make(chan struct{})}
		h := w.startWith("host", "MONITOR ups@server 1 mon pw primary\nMONITOR v@server 1 mon pw primary\n", Deps{Notifiers: []Notifier{n}})
		for range 10 {
			u.status("OB")
			v.status("OB")
			time.Sleep(10 * time.Second)
			u.status("OL")
			v.status("OL")
			time.Sleep(10 * time.Second)
		}
		h.wantUp()
		if got := n.count("v@server"); got != 20 {
			t.Errorf("notifications of v = %d; want 20", got)
		}
		close(n.release)
		h.d.Stop()
		<-h.finished
		synctest.Wait()
		if got := n.count("ups@server"); got != 20 {
			t.Errorf("notifications of ups = %d; want 20", got)
		}
	})
}

// The notifications of an outage come in order, SHUTDOWN last although it is about no
// UPS. Commands that take for ever delay each by a little.
func TestNotificationsKeepTheirOrder(t *testing.T) {
	for _, tt := range []struct{ takes, most time.Duration }{
		{0, 0},
		{300 * time.Millisecond, 900 * time.Millisecond},
		{time.Hour, 2*noticeWait + noticeOrder},
	} {
		inWorld(t, func(w *world) {
			u := newDriver("ups", "OL")
			w.serve("server", u)
			n := &slowNotifier{takes: tt.takes}
			config := primary + "FINALDELAY 30\n"
			for _, kind := range []string{"ONBATT", "LOWBATT", "FSD", "SHUTDOWN"} {
				config += "NOTIFYFLAG " + kind + " EXEC\n"
			}
			h := w.startWith("host", config, Deps{Notifiers: []Notifier{n}})
			time.Sleep(time.Second)
			begin := time.Now()
			u.status("OB LB")
			<-h.finished
			time.Sleep(2 * time.Hour)
			n.mu.Lock()
			defer n.mu.Unlock()
			got := strings.Join(n.began, " ")
			if want := "ONBATT LOWBATT FSD SHUTDOWN"; got != want && tt.takes < time.Hour {
				t.Errorf("commands of %s: %s; want %s", tt.takes, got, want)
			}
			if last := n.at[len(n.at)-1].Sub(begin); len(n.at) != 4 || last > tt.most {
				t.Errorf("commands of %s: %s, the last after %s; want four within %s", tt.takes, got, last, tt.most)
			}
		})
	}
}

// Who is told is what NOTIFYFLAG says; without it syslog and terminals are. IGNORE wins
// over everything. The end is written on every terminal whatever the flags.
func TestNotifyFlags(t *testing.T) {
	const end = "Executing automatic power-fail shutdown"
	for _, tt := range []struct {
		flags       string
		syslog      int
		walled, ran string
	}{
		{"", 1, "UPS ups@server on battery|" + end, ""},
		{"NOTIFYFLAG ONBATT SYSLOG+WALL+EXEC\n", 1, "UPS ups@server on battery|" + end, "ONBATT"},
		{"NOTIFYFLAG onbatt SYSLOG\n", 1, end, ""},
		{"NOTIFYFLAG ONBATT EXEC\n", 0, end, "ONBATT"},
		{"NOTIFYFLAG ONBATT IGNORE\n", 0, end, ""},
		{"NOTIFYFLAG ONBATT IGNORE+SYSLOG+WALL+EXEC\n", 0, end, ""},
		{"NOTIFYFLAG ONBATT EXEC\nNOTIFYFLAG ONBATT SYSLOG\n", 1, end, ""},
		{"NOTIFYFLAG ONBATT WALL\nNOTIFYMSG onbatt \"%s: oh 100% no\"\n", 0, "ups@server: oh 100% no|" + end, ""},
	} {
		inWorld(t, func(w *world) {
			u := newDriver("ups", "OL")
			w.serve("server", u)
			var log logBuffer
			walled, ran := &recorder{flag: conf.NotifyWall}, &recorder{flag: conf.NotifyExec}
			config := primary + "NOTIFYFLAG LOWBATT IGNORE\nNOTIFYFLAG FSD IGNORE\nNOTIFYFLAG SHUTDOWN IGNORE\n" + tt.flags
			h := w.startWith("host", config, Deps{Logger: log.logger(), Notifiers: []Notifier{walled, ran}})
			time.Sleep(time.Second)
			u.status("OB LB")
			<-h.finished
			synctest.Wait()
			if got := log.count("UPS ups@server on battery") + log.count("oh 100%"); got != tt.syslog {
				t.Errorf("%q: logged %d times; want %d", tt.flags, got, tt.syslog)
			}
			if got := walled.texts(); got != tt.walled {
				t.Errorf("%q: on terminals: %s; want %s", tt.flags, got, tt.walled)
			}
			if got := ran.types(); got != tt.ran {
				t.Errorf("%q: NOTIFYCMD for %s; want %s", tt.flags, got, tt.ran)
			}
		})
	}
}

func TestReload(t *testing.T) {
	inWorld(t, func(w *world) {
		u, v := newDriver("ups", "OB"), newDriver("v", "OL")
		w.serve("server", u, v)
		next := parse(t, primary+"MONITOR v@server 1 mon pw primary\nPOLLFREQ 2\nPOLLFREQALERT 2\n")
		h := w.startWith("host", primary, Deps{Reload: next.load})
		time.Sleep(time.Minute)
		h.d.Reload()
		time.Sleep(time.Minute)
		h.wantHeard("ONBATT") // nothing is told again
		if r, _ := h.d.Report(); len(r.Units) != 2 || !r.Protected() {
			t.Errorf("report after reload = %+v; want two UPSes, protected", r)
		}
		next.text = "MONITOR ups@server 1 mon pw primary\nMINSUPPLIES 3\n"
		h.d.Reload()
		time.Sleep(time.Second)
		if r, ok := h.d.Report(); !ok || len(r.Units) != 2 {
			t.Errorf("report after an impossible configuration = %+v, %t; want the old one", r, ok)
		}
		next.text = "MONITOR v@server 1 mon pw primary\n"
		h.d.Reload()
		time.Sleep(time.Second)
		u.status("OB LB")
		time.Sleep(time.Minute)
		h.wantUp()
	})
}

// A disk that hangs, under the reasons of the shutdown or under the configuration that
// is read again, delays no shutdown.
func TestHangingDiskDelaysNothing(t *testing.T) {
	inWorld(t, func(w *world) {
		u := newDriver("ups", "OL")
		w.serve("server", u)
		back := make(chan struct{})
		defer close(back)
		h := w.startWith("host", primary, Deps{
			Record: func(monitor.Decision) error { <-back; return nil },
			Reload: func() (conf.UPSMon, error) { <-back; return conf.UPSMon{}, errors.New("late") },
		})
		time.Sleep(time.Minute)
		h.d.Reload()
		h.d.Reload()
		u.status("OB LB")
		<-h.finished
		h.wantDown(time.Minute+5*time.Second, time.Minute+5*time.Second+100*time.Millisecond)
		if h.err != nil || w.now() > time.Minute+8*time.Second {
			t.Errorf("Run() = %v at %s; want nil, 2s after the shutdown", h.err, w.now())
		}
	})
}

// What a reload changes about a login counts from the next login on, even though
// the present one goes on.
func TestReloadChangesTheNextLogin(t *testing.T) {
	inWorld(t, func(w *world) {
		u := newDriver("ups", "OL")
		w.serve("server", u)
		next := parse(t, primary)
		h := w.startWith("host", "MONITOR ups@server 1 sec pw secondary\n", Deps{Reload: next.load})
		q := w.startWith("former primary", primary, Deps{Reload: parse(t, "MONITOR ups@server 1 sec pw secondary\n").load})
		time.Sleep(time.Second)
		next.text = "MONITOR ups@server 1 other pw secondary\n" // who may not log in
		for _, h := range []*host{h, q} {
			h.d.Reload()
			time.Sleep(time.Second)
			if r, _ := h.d.Report(); !r.Protected() {
				t.Errorf("%s: report after the reload = %+v; want the login to go on", h.name, r)
			}
			h.link.set(func(l *link) { l.cut = true })
			time.Sleep(time.Second)
			h.link.set(func(l *link) { l.cut = false })
			time.Sleep(time.Minute)
		}
		if r, _ := h.d.Report(); r.Units[0].LoginError != "login as \"other\" failed: ACCESS-DENIED" {
			t.Errorf("report = %+v; want a login as other that is refused", r)
		}
		if r, _ := q.d.Report(); !r.Protected() || r.Units[0].Primary {
			t.Errorf("report of the former primary = %+v; want a secondary that is logged in", r)
		}
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

// With a server that pushes, the time from OB LB to the shutdown is FINALDELAY and
// no more than a tenth of a second; with another one a poll comes on top.
func TestTimeToShutdown(t *testing.T) {
	for _, tt := range []struct {
		server string
		most   time.Duration
	}{
		{"server", 100 * time.Millisecond},
		{"oldserver", 5 * time.Second},
	} {
		t.Run(tt.server, func(t *testing.T) {
			inWorld(t, func(w *world) {
				u := newDriver("ups", "OL")
				w.serve(tt.server, u)
				h := w.start("host", strings.Replace(primary, "server", tt.server, 1))
				h.link.set(func(l *link) { l.delay = time.Millisecond })
				time.Sleep(61234 * time.Millisecond)
				at := w.now()
				u.status("OB LB")
				time.Sleep(time.Minute)
				h.wantDown(at+5*time.Second, at+5*time.Second+tt.most)
				if tt.server != "server" && h.down() < at+5*time.Second+100*time.Millisecond {
					t.Errorf("down %s after OB LB without push; the test proves nothing", h.down()-at)
				}
			})
		})
	}
}
