package upsmon

import (
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
