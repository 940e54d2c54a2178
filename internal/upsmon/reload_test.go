package upsmon

import (
	"slices"
	"strings"
	"testing"
	"time"
)

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

// What a reload changes about a login counts from the next login on, even though
// the present one goes on.
func TestReloadChangesTheNextLogin(t *testing.T) {
	inWorld(t, func(w *world) {
		u := newDriver("ups", "OL")
		w.serve("server", u)
		next := parse(t, primary)
		h := w.startWith("host", secondary, Deps{Reload: next.load})
		q := w.startWith("former primary", primary, Deps{Reload: parse(t, secondary).load})
		time.Sleep(time.Second)
		next.text = "MONITOR ups@server 1 other pw secondary\nSHUTDOWNCMD halt\n" // who may not log in
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

// What keeps a host from being protected is told, each thing by its name.
func TestReportTellsWhatIsMissing(t *testing.T) {
	inWorld(t, func(w *world) {
		w.serve("server", newDriver("ups", "OL"), newDriver("v", "OL"))
		gone := make(chan struct{})
		close(gone)
		c, err := parseAll("MONITOR ups@server 1 sec pw primary\nMONITOR ups@nowhere 1 sec pw secondary\n" +
			"MONITOR x@server 0 sec pw secondary\nMONITOR v@server 1 sec wrong secondary\nMONITOR v@ 1 sec pw secondary\n")
		if err != nil {
			t.Fatal(err)
		}
		h := w.startConf("host", c, Deps{ParentGone: gone})
		time.Sleep(time.Minute)
		r, _ := h.d.Report()
		want := []string{
			"there is no SHUTDOWNCMD: this host stays up until the power is gone",
			"the privileged part has ended: nothing can shut this host down, restart upsmon",
			"ups@server does not grant this host the role of a primary, so it cannot set FSD; user, password and role of the MONITOR line must be those of a section of upsd.users there",
			"ups@nowhere is not reached",
			"v@server does not count this host as logged in, so its primary will not wait for it; user, password and role of the MONITOR line must be those of a section of upsd.users there",
			"v@ is not an address: correct its MONITOR line",
		}
		if !slices.Equal(r.Problems, want) {
			t.Errorf("Problems = %q; want %q", r.Problems, want)
		}
		var text strings.Builder
		r.Print(&text)
		if n := strings.Count(text.String(), "\nNOT PROTECTED: "); n != len(want) {
			t.Errorf("Print() says %d times that this host is not protected; want %d:\n%s", n, len(want), &text)
		}
		only := w.start("watcher", "MONITOR ups@nowhere 1 sec pw secondary\nMINSUPPLIES 0\n")
		time.Sleep(time.Minute)
		if r, _ := only.d.Report(); len(r.Problems) != 1 {
			t.Errorf("Problems of a watcher = %q; want that it does not reach its UPS", r.Problems)
		}
	})
}

// A threshold for what the UPS does not tell protects from nothing.
func TestReportTellsOfBlindConditions(t *testing.T) {
	inWorld(t, func(w *world) {
		w.serve("server", newDriver("ups", "OL"))
		h := w.start("host", primary+"SHUTDOWNWHEN ups@server runtime below 5m\n")
		time.Sleep(10 * time.Second)
		if r, _ := h.d.Report(); !r.Protected() {
			t.Errorf("Problems at first = %q; want none", r.Problems)
		}
		time.Sleep(time.Minute)
		r, _ := h.d.Report()
		if len(r.Problems) != 1 || !strings.Contains(r.Problems[0], "runtime below 300 (line 3) cannot hold: the UPS does not tell battery.runtime") {
			t.Errorf("Problems = %q; want the condition that cannot hold", r.Problems)
		}
	})
}
