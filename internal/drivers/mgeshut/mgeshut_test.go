package mgeshut_test

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gonut/internal/driver"
	"gonut/internal/drivers/mgeshut"
	"gonut/internal/subdriver"
	transport "gonut/internal/transport/hid"
	"gonut/internal/transport/shut"
	"gonut/test/devices/bench"
	"gonut/test/devices/model"
)

// A port is a serial port with a UPS at its other end.
type port struct {
	*shut.Fake
	t    *testing.T
	byte time.Duration // that a byte takes

	mu   sync.Mutex
	gone error
	ends []io.Closer
}

// Push implements bench.Device. The UPS was told to keep silent.
func (p *port) Push(...byte) { p.t.Error("a UPS at a serial line says nothing by itself") }

// open opens the port.
func (p *port) open(driver.Values) (shut.Line, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.gone != nil {
		return nil, p.gone
	}
	a, b := net.Pipe()
	ours, theirs := buffered(a, p.byte), buffered(b, p.byte)
	p.ends = append(p.ends, ours, theirs)
	go p.Serve(theirs)
	return ours, nil
}

// pull pulls the adapter out; opening it again fails with err until that is nil.
func (p *port) pull(err error) {
	p.mu.Lock()
	p.gone = err
	for _, e := range p.ends {
		e.Close()
	}
	p.ends = nil
	p.mu.Unlock()
	time.Sleep(time.Second) // what is on its way arrives nowhere
}

// A line lets a side write without the other one reading, and takes its time for
// each byte.
type line struct {
	net.Conn
	once sync.Once
	out  chan []byte
	end  chan struct{}
}

func buffered(c net.Conn, perByte time.Duration) *line {
	l := &line{Conn: c, out: make(chan []byte, 1000), end: make(chan struct{})}
	go func() {
		for {
			select {
			case b := <-l.out:
				time.Sleep(perByte * time.Duration(len(b)))
				if _, err := c.Write(b); err != nil {
					return
				}
			case <-l.end:
				return
			}
		}
	}()
	return l
}

func (l *line) Write(b []byte) (int, error) {
	select {
	case l.out <- slices.Clone(b):
		return len(b), nil
	case <-l.end:
		return 0, io.ErrClosedPipe
	}
}

func (l *line) Close() error {
	l.once.Do(func() { close(l.end) })
	return l.Conn.Close()
}

func modelOf(t *testing.T, name string) *model.Model {
	t.Helper()
	lib := subdriver.Load("hid", subdriver.Embedded())
	return bench.ReadModel(t, filepath.Join("../../../test/devices/hid", name+".model"), lib)
}

// start runs the driver over the model of a UPS.
func start(t *testing.T, m *model.Model, perByte time.Duration, options map[string]string) (*bench.Bench, *port) {
	t.Helper()
	p := &port{Fake: shut.NewFake(&m.Recording), t: t, byte: perByte}
	b := bench.Start(t, "model", mgeshut.With(p.open), p, bench.Config(t, options))
	t.Cleanup(func() { p.pull(transport.ErrGone) })
	return b, p
}

func (p *port) after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// The models of MGE's table look through a serial line as they do through USB:
// variables, commands, and what arrives.
func TestModels(t *testing.T) {
	for _, name := range []string{"mge", "mge-pegasus"} {
		t.Run(name, func(t *testing.T) {
			m := modelOf(t, name)
			synctest.Test(t, func(t *testing.T) {
				b, _ := start(t, m, 0, m.Options)
				b.Run(m)
			})
		})
	}
}

// At 2400 baud a byte takes 4 ms and a report nearly a tenth of a second. The data
// must not become stale for that.
func TestTheLineIsSlow(t *testing.T) {
	m := modelOf(t, "mge")
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		b, p := start(t, m, 4*time.Millisecond, nil)
		<-b.Session.Ready()
		t.Logf("the first poll was ready after %v", time.Since(begun))
		for range 120 {
			p.after(time.Second)
			if b.Session.State().Stale() {
				t.Fatal("the data became stale")
			}
		}
		p.Put(0x08, 0x14) // on battery
		p.after(5 * time.Second)
		b.Line("var ups.status OB")
		b.Line("do beeper.mute : feature 1d 03")
	})
}

func TestDisturbedLine(t *testing.T) {
	m := modelOf(t, "mge")
	synctest.Test(t, func(t *testing.T) {
		b, p := start(t, m, 0, nil)
		for i, d := range [][3]int{{1, 0, 0}, {3, 0, 0}, {0, 3, 0}, {0, 0, 2}, {2, 1, 1}} {
			p.Disturb(d[0], d[1], d[2])
			p.Put(0x04, byte(50+i), 0, 1, 0, 0)
			p.after(35 * time.Second)
			b.Line(fmt.Sprintf("var battery.charge %d", 50+i))
			p.Disturb(d[0], d[1], d[2])
			b.Line("do shutdown.reboot : feature 10 0a 00 00 00")
			if b.Session.State().Stale() {
				t.Errorf("with %v the data became stale", d)
			}
		}
	})
}

// A report that does not get through keeps its value; the others go on.
func TestReportThatTheUPSRefuses(t *testing.T) {
	m := modelOf(t, "mge")
	synctest.Test(t, func(t *testing.T) {
		b, p := start(t, m, 0, nil)
		p.Lose(0x0B) // the load
		p.Put(0x04, 42, 0, 1, 0, 0)
		p.after(35 * time.Second)
		b.Line("var ups.load 25")
		b.Line("var battery.charge 42")
	})
}

// The cable was pulled out of the UPS: nothing answers, and that is known soon.
func TestSilentUPS(t *testing.T) {
	m := modelOf(t, "mge")
	synctest.Test(t, func(t *testing.T) {
		b, p := start(t, m, 0, nil)
		p.Silence(true)
		p.after(15 * time.Second)
		if !b.Session.State().Stale() {
			t.Error("15 s after the UPS became silent its data are not stale")
		}
		if err := b.Session.State().Value("driver.state"); err != "reconnect.trying" {
			t.Errorf("driver.state = %q; want reconnect.trying", err)
		}
		p.after(10 * time.Minute)
		p.Silence(false)
		p.Put(0x08, 0x14)
		p.after(10 * time.Second)
		if b.Session.State().Stale() {
			t.Error("10 s after the UPS came back its data are stale")
		}
		b.Line("var ups.status OB")
	})
}

// The adapter was pulled out of the host.
func TestPortThatGoesAway(t *testing.T) {
	m := modelOf(t, "mge")
	synctest.Test(t, func(t *testing.T) {
		b, p := start(t, m, 0, nil)
		p.pull(os.ErrNotExist)
		p.after(8 * time.Second)
		if !b.Session.State().Stale() {
			t.Error("the data of a port that is gone are not stale")
		}
		p.pull(nil)
		p.after(3 * time.Second)
		if b.Session.State().Stale() {
			t.Error("the port that came back was not opened")
		}
	})
}

// "-k" opens the UPS and arms its timers, the one that switches on again first.
func TestKill(t *testing.T) {
	for _, disturbed := range []bool{false, true} {
		m := modelOf(t, "mge")
		synctest.Test(t, func(t *testing.T) {
			p := &port{Fake: shut.NewFake(&m.Recording), t: t, byte: 4 * time.Millisecond}
			defer p.pull(transport.ErrGone)
			if disturbed {
				p.Disturb(3, 3, 3)
			}
			c := bench.Config(t, map[string]string{"offdelay": "45", "ondelay": "90"})
			s := driver.NewSession(mgeshut.With(p.open), c, driver.Hooks{}, slog.New(slog.DiscardHandler))
			if err := s.Kill(t.Context()); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			var got []string
			for _, w := range p.Writes() {
				got = append(got, w.String())
			}
			want := "feature 11 01 08 09 | feature 0f 5a 00 00 00 | feature 0e 2d 00 00 00"
			if text := strings.Join(got, " | "); text != want {
				t.Errorf("disturbed %t: the UPS got %q; want %q", disturbed, text, want)
			}
		})
	}
}

func open(t *testing.T, p *port, options map[string]string) error {
	t.Helper()
	c := bench.Config(t, options)
	c.Values.Port = "/dev/ttyS0"
	dev, err := mgeshut.With(p.open).Open(t.Context(), c.Values, slog.New(slog.DiscardHandler))
	if err == nil {
		dev.Close()
	}
	return err
}

func TestOpen(t *testing.T) {
	for _, test := range []struct {
		name    string
		options map[string]string
		port    error
		silent  bool
		want    string // part of the error, empty for none
		config  bool
	}{
		{"right", nil, nil, false, "", false},
		{"all options", map[string]string{"lowbatt": "30", "offdelay": "20", "ondelay": "30", "pollfreq": "40", "notification": "3", "pollonly": "", "disable_fix_report_desc": ""}, nil, false, "", false},
		{"broken number", map[string]string{"offdelay": "soon"}, nil, false, "offdelay = soon", true},
		{"broken notification", map[string]string{"notification": "7"}, nil, false, "there are 1, 2 and 3", true},
		{"port that is not there", nil, os.ErrNotExist, false, "not exist", false},
		{"port that is not ours", nil, os.ErrPermission, false, "member of the group dialout", false},
		{"port of something else", nil, nil, true, "/dev/ttyS0: synchronise with the UPS: it does not answer; is it the right port and cable?", false},
	} {
		m := modelOf(t, "mge")
		synctest.Test(t, func(t *testing.T) {
			p := &port{Fake: shut.NewFake(&m.Recording), t: t, gone: test.port}
			defer p.pull(transport.ErrGone)
			p.Silence(test.silent)
			err := open(t, p, test.options)
			switch {
			case test.want == "" && err != nil:
				t.Errorf("%s: Open = %v; want no error", test.name, err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("%s: Open = %v; want %q", test.name, err, test.want)
			}
			if errors.Is(err, driver.ErrConfig) != test.config {
				t.Errorf("%s: ErrConfig is %t for %v; want %t", test.name, errors.Is(err, driver.ErrConfig), err, test.config)
			}
		})
	}
}

// lowbatt is written to the UPS when it is opened.
func TestLowBattery(t *testing.T) {
	m := modelOf(t, "mge")
	synctest.Test(t, func(t *testing.T) {
		p := &port{Fake: shut.NewFake(&m.Recording), t: t}
		bench.Start(t, "mge", mgeshut.With(p.open), recorder{p}, bench.Config(t, map[string]string{"lowbatt": "35"}))
		defer p.pull(transport.ErrGone)
		if w := p.Writes(); len(w) != 1 || w[0].String() != "feature 05 23" {
			t.Errorf("the UPS got %v; want feature 05 23", w)
		}
	})
}

// A recorder keeps what was written while the driver started.
type recorder struct{ *port }

// Writes implements bench.Device.
func (recorder) Writes() []transport.Written { return nil }
