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

// A restart is what happens to the primary in the outage.
type restart int

const (
	never         restart = iota
	onBattery             // its upsmon ends properly and starts again
	killedLow             // its upsmon is killed while it waits for the others
	serverToo             // its upsd and upsmon start anew on battery
	serverWithFSD         // its upsd starts anew when FSD is set, and forgets it
)

// A primary and fifty secondaries, half of them polling as C's, some behind slow, lost
// or dead links: when the battery is low, the primary goes down last, or after HOSTSYNC,
// and nobody stays up.
func TestFleet(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			inWorld(t, func(w *world) {
				f := &fleet{world: w, rnd: rand.New(rand.NewPCG(seed, 1)), ups: newDriver("ups", "OL CHRG"), restart: restart(seed % 5)}
				f.play()
			})
		})
	}
}

// A fleet is a primary and its secondaries.
type fleet struct {
	*world
	rnd     *rand.Rand
	ups     *driver
	restart restart
	server  *server
	primary *host
	members []*host
	low     time.Duration // when the battery was low
	fsd     time.Duration // when the primary that goes down in the end began with it
}

func (f *fleet) play() {
	f.server = f.serve("server", f.ups)
	f.startPrimary()
	for i := range fleetSize {
		config := secondary
		if i%2 == 1 {
			config += "POLLFREQ 1\nPOLLFREQALERT 1\n"
		}
		m := f.startWith(fmt.Sprintf("secondary%d", i), config, Deps{PollOnly: i%4 < 2})
		f.members = append(f.members, m)
		time.Sleep(time.Duration(f.rnd.IntN(900)) * time.Millisecond)
		if f.rnd.IntN(5) == 0 {
			m.link.set(func(l *link) { l.delay = time.Duration(f.rnd.IntN(1500)) * time.Millisecond })
		}
	}
	time.Sleep(time.Minute)
	f.ups.status("OB DISCHRG")
	time.Sleep(20 * time.Second)
	for _, m := range f.members {
		f.disturb(m)
	}
	f.restartOnBattery()
	time.Sleep(2 * time.Second)
	f.low = f.now()
	f.fsd = f.low
	f.ups.status("OB LB DISCHRG")
	f.restartWhenLow()
	time.Sleep(3 * time.Minute)
	synctest.Wait()
	f.check()
}

func (f *fleet) startPrimary() { f.primary = f.start("primary", primary+"HOSTSYNC 30\n") }

// disturb loses some links: for a moment, for good, or so that nobody notices.
func (f *fleet) disturb(m *host) {
	n := f.rnd.IntN(12)
	if n > 2 {
		return
	}
	m.link.set(func(l *link) { l.cut, l.hang = n < 2, n == 2 })
	if n == 1 {
		f.wg.Go(func() {
			time.Sleep(4 * time.Second)
			m.link.set(func(l *link) { l.cut = false })
		})
	}
}

func (f *fleet) restartOnBattery() {
	switch f.restart {
	case onBattery:
		f.primary.d.Stop()
		<-f.primary.finished
		time.Sleep(3 * time.Second)
		f.startPrimary()
	case serverToo:
		f.primary.cancel(ErrAbandon)
		<-f.primary.finished
		f.server.stop()
		time.Sleep(4 * time.Second)
		f.server = f.serve("server", f.ups)
		f.startPrimary()
		time.Sleep(10 * time.Second) // until all have found it again
	}
}

func (f *fleet) restartWhenLow() {
	switch f.restart {
	case killedLow:
		time.Sleep(500 * time.Millisecond)
		f.primary.cancel(ErrAbandon)
		<-f.primary.finished
		time.Sleep(time.Second)
		f.fsd = f.now()
		f.startPrimary()
	case serverWithFSD:
		time.Sleep(200 * time.Millisecond)
		f.server.stop()
		time.Sleep(time.Second)
		f.server = f.serve("server", f.ups)
	}
}

func (f *fleet) check() {
	f.t.Helper()
	down := f.primary.down()
	if down < 0 {
		f.t.Fatalf("the primary never went down; events: %s", strings.Join(f.happened(), ", "))
	}
	// Polls with what they take, HOSTSYNC and its rounding, FINALDELAY.
	if limit := f.fsd + 10*time.Second + 31*time.Second + 5*time.Second; down > limit {
		f.t.Errorf("the primary went down %s after FSD; want %s at most", down-f.fsd, limit-f.fsd)
	}
	hostSync := down-f.fsd >= 30*time.Second
	first := 0
	for _, m := range f.members {
		d := m.down()
		if d >= 0 && d <= down {
			first++
		}
		switch {
		case d < 0:
			f.t.Errorf("%s stayed up", m.name)
		case d > down && !hostSync:
			f.t.Errorf("%s went down at %s, after the primary at %s, which did not wait for HOSTSYNC", m.name, d, down)
		}
	}
	if first < fleetSize/2 && f.restart != serverWithFSD {
		f.t.Errorf("%d of %d went down before the primary; the test proves little", first, fleetSize)
	}
}
