package upsmon

import (
	"testing"
	"time"
)

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
		for _, line := range []string{primary, "MONITOR ups@server 1 \"a b\" \"p\\\"= \\\\w\" primary\nSHUTDOWNCMD halt\n"} {
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
		h := w.startWith("host", "MONITOR ups@late 1 mon pw primary\nSHUTDOWNCMD halt\n", Deps{PollOnly: true})
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
