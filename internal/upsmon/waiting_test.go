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

// Changes are told again as soon as a server that restarted is reached again.
func TestPushAfterRestart(t *testing.T) {
	inWorld(t, func(w *world) {
		u := newDriver("ups", "OL")
		s := w.serve("server", u)
		h := w.start("host", primary+"POLLFREQ 60\nPOLLFREQALERT 60\n")
		time.Sleep(61 * time.Second)
		s.stop()
		synctest.Wait()
		h.wantHeard("COMMBAD") // it does not take until the next poll
		w.serve("server", u)
		time.Sleep(5*time.Second + 10*time.Millisecond) // a lost server is tried every 5 s
		at := w.now()
		u.status("OB LB")
		<-h.finished
		h.wantDown(at+5*time.Second, at+5*time.Second+100*time.Millisecond)
	})
}
