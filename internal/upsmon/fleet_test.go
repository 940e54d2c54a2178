package upsmon

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// fleetSize is the number of secondaries in TestFleet.
const fleetSize = 50

// A primary and fifty secondaries, half of them polling as C's, some behind slow or
// broken links: when
// the battery is low, the primary goes down last, or after HOSTSYNC, and nobody
// stays up.
func TestFleet(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			inWorld(t, func(w *world) { playFleet(w, seed) })
		})
	}
}

func playFleet(w *world, seed uint64) {
	rnd := rand.New(rand.NewPCG(seed, 1))
	u := newDriver("ups", "OL CHRG")
	w.serve("server", u)
	p := w.start("primary", primary+"HOSTSYNC 30\n")
	var hosts []*host
	cut := 0
	for i := range fleetSize {
		config := secondary
		if i%2 == 1 {
			config += "POLLFREQ 1\nPOLLFREQALERT 1\n"
		}
		h := w.startWith(fmt.Sprintf("secondary%d", i), config, Deps{PollOnly: i%4 < 2})
		hosts = append(hosts, h)
		time.Sleep(time.Duration(rnd.IntN(900)) * time.Millisecond)
		if rnd.IntN(5) == 0 {
			h.link.set(func(l *link) { l.delay = time.Duration(rnd.IntN(1500)) * time.Millisecond })
		}
	}
	time.Sleep(time.Minute)
	u.status("OB DISCHRG")
	time.Sleep(20 * time.Second)
	// Some lose their network for a moment, some for good.
	for _, h := range hosts {
		switch rnd.IntN(10) {
		case 0:
			h.link.set(func(l *link) { l.cut = true })
			cut++
		case 1:
			h.link.set(func(l *link) { l.cut = true })
			w.wg.Go(func() {
				time.Sleep(4 * time.Second)
				h.link.set(func(l *link) { l.cut = false })
			})
		}
	}
	// The primary's upsmon restarts in the outage.
	if seed%2 == 1 {
		p.d.Stop()
		<-p.finished
		time.Sleep(3 * time.Second)
		p = w.start("primary", primary+"HOSTSYNC 30\n")
	}
	time.Sleep(2 * time.Second)
	low := w.now()
	u.status("OB LB DISCHRG")
	time.Sleep(3 * time.Minute)
	synctest.Wait()
	checkFleet(w, p, hosts, low, cut)
}

func checkFleet(w *world, p *host, hosts []*host, low time.Duration, cut int) {
	w.t.Helper()
	down := p.down()
	if down < 0 {
		w.t.Fatalf("the primary never went down; events: %s", strings.Join(w.happened(), ", "))
	}
	// A poll, HOSTSYNC and its rounding, FINALDELAY.
	limit := low + 5*time.Second + 31*time.Second + 5*time.Second
	if down > limit {
		w.t.Errorf("the primary went down %s after the battery was low; want %s at most", down-low, limit-low)
	}
	for _, h := range hosts {
		d := h.down()
		switch {
		case d < 0:
			w.t.Errorf("%s stayed up", h.name)
		case d > down && down < low+30*time.Second && cut == 0:
			w.t.Errorf("%s went down at %s, after the primary at %s, which did not wait for HOSTSYNC", h.name, d, down)
		}
	}
}
