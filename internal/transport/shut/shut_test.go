package shut

import (
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gonut/internal/transport/hid"
)

const sample = `device 0463:ffff 0001
manufacturer "MGE UPS SYSTEMS"
product "PULSAR M"
serial "1Q0000"
string 4 "2200"
descriptor 05 84 09 04 a1 01 09 24 a1 00 85 01 05 85 09 66
descriptor 75 08 95 01 15 00 25 64 b1 a2 c0 c0
feature 01 5a
feature 02 01 02 03 04 05 06 07 08 09 0a 0b 0c
`

func sampleRecording(t testing.TB) *hid.Recording {
	t.Helper()
	rec, err := hid.ReadRecording("sample", strings.NewReader(sample))
	if err != nil {
		t.Fatal(err)
	}
	return rec
}

// connect joins a Conn and a Fake in fake time.
func connect(t *testing.T, f func(t *testing.T, c *Conn, u *Fake)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		u := NewFake(sampleRecording(t))
		done := make(chan error, 1)
		go func() { done <- u.Serve(buffered(t, theirs)) }()
		c, err := New(t.Context(), ours)
		if err != nil {
			t.Fatal(err)
		}
		f(t, c, u)
		c.Close()
		theirs.Close()
		if err := <-done; err != nil {
			t.Errorf("Serve = %v", err)
		}
	})
}

// buffered lets a side write without the other one reading, as a serial line does.
func buffered(t *testing.T, c net.Conn) net.Conn {
	b := &line{Conn: c, out: make(chan []byte, 1000)}
	go func() {
		for p := range b.out {
			if _, err := c.Write(p); err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() { close(b.out) })
	return b
}

type line struct {
	net.Conn
	out chan []byte
}

func (l *line) Write(p []byte) (int, error) {
	l.out <- append([]byte(nil), p...)
	return len(p), nil
}

// A babble is a line whose other end says the same again and again, once it was
// spoken to as often as that: first it echoes, then it acknowledges.
type babble struct {
	says    []byte
	at      int
	answers []byte
}

func (b *babble) Write(p []byte) (int, error)     { return len(p), nil }
func (b *babble) Close() error                    { return nil }
func (b *babble) SetReadDeadline(time.Time) error { return nil }

func (b *babble) Read(p []byte) (int, error) {
	time.Sleep(4 * time.Millisecond) // 2400 baud
	if len(b.answers) > 0 {
		p[0], b.answers = b.answers[0], b.answers[1:]
		return 1, nil
	}
	p[0] = b.says[b.at%len(b.says)]
	b.at++
	return 1, nil
}

// A line that is never silent, as of a device of another kind, ends soon and not with
// the patience of whoever opens it.
func TestALineThatIsNeverSilent(t *testing.T) {
	for name, says := range map[string][]byte{
		"rubbish":         []byte("$GPGGA,"),
		"notifications":   packet(typeNotify, []byte{1, 2}, true),
		"empty packets":   packet(typeResponse, nil, false),
		"acknowledgement": {tokenOK},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begun := time.Now()
				c := &Conn{line: &babble{says: says}, closed: make(chan struct{})}
				if err := c.begin(t.Context()); err == nil {
					t.Error("it was taken for a UPS")
				}
				c.line = &babble{says: says, answers: []byte{tokenOK}}
				if _, err := c.receive(t.Context(), make([]byte, 8)); err == nil {
					t.Error("it was taken for an answer")
				}
				if took := time.Since(begun); took > time.Minute {
					t.Errorf("it took %v", took)
				}
			})
		})
	}
}

func TestOpenTellsWhoItIs(t *testing.T) {
	connect(t, func(t *testing.T, c *Conn, _ *Fake) {
		want := hid.Info{VendorID: 0x0463, ProductID: 0xFFFF, Release: 1, Manufacturer: "MGE UPS SYSTEMS", Product: "PULSAR M", Serial: "1Q0000"}
		if got := c.Info(); got != want {
			t.Errorf("Info = %+v; want %+v", got, want)
		}
		if len(c.Descriptor()) != 28 {
			t.Errorf("the descriptor has %d bytes; want 28", len(c.Descriptor()))
		}
		if s, err := c.String(t.Context(), 4); s != "2200" || err != nil {
			t.Errorf("String(4) = %q, %v; want 2200", s, err)
		}
	})
}

func TestReports(t *testing.T) {
	connect(t, func(t *testing.T, c *Conn, u *Fake) {
		buf := make([]byte, 20)
		if n, err := c.Get(t.Context(), hid.Feature, 2, buf); n != 13 || buf[12] != 0x0C || err != nil {
			t.Errorf("Get of 13 bytes = % x, %v", buf[:n], err)
		}
		if n, err := c.Get(t.Context(), hid.Feature, 2, buf[:5]); n != 5 || err != nil {
			t.Errorf("Get of 5 of 13 bytes = %d, %v; want 5", n, err)
		}
		if _, err := c.Get(t.Context(), hid.Feature, 9, buf); !errors.Is(err, hid.ErrStall) {
			t.Errorf("Get of a report that is not there = %v; want ErrStall", err)
		}
		for _, data := range [][]byte{{1, 20}, {2, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10}} {
			if err := c.Set(t.Context(), hid.Feature, data[0], data); err != nil {
				t.Errorf("Set(% x) = %v", data, err)
			}
		}
		// A request with an answer makes sure that the writes were taken.
		if n, err := c.Get(t.Context(), hid.Feature, 1, buf); n != 2 || buf[1] != 20 || err != nil {
			t.Errorf("Get after Set = % x, %v; want 01 14", buf[:n], err)
		}
		w := u.Writes()
		if len(w) != 2 || w[0].String() != "feature 01 14" || w[1].String() != "feature 02 01 02 03 04 05 06 07 08 09 0a" {
			t.Errorf("the UPS got %v", w)
		}
	})
}

func TestDisturbedLineHeals(t *testing.T) {
	connect(t, func(t *testing.T, c *Conn, u *Fake) {
		buf := make([]byte, 20)
		for _, d := range [][3]int{{1, 0, 0}, {3, 0, 0}, {0, 1, 0}, {0, 3, 0}, {0, 0, 1}, {0, 0, 3}, {2, 1, 1}} {
			u.Disturb(d[0], d[1], d[2])
			if n, err := c.Get(t.Context(), hid.Feature, 2, buf); n != 13 || err != nil {
				t.Errorf("with %d packets damaged, %d refused, %d lost: Get = %d, %v; want 13", d[0], d[1], d[2], n, err)
			}
		}
		u.Disturb(0, 0, 100)
		if _, err := c.Get(t.Context(), hid.Feature, 2, buf); !errors.Is(err, hid.ErrTimeout) {
			t.Errorf("Get from a UPS that says nothing = %v; want ErrTimeout", err)
		}
		u.Disturb(100, 0, 0)
		if _, err := c.Get(t.Context(), hid.Feature, 2, buf); err == nil {
			t.Error("Get of nothing but damaged packets gives no error")
		}
		u.Disturb(0, 0, 0)
		if n, err := c.Get(t.Context(), hid.Feature, 2, buf); n != 13 || err != nil {
			t.Errorf("afterwards Get = %d, %v; want 13", n, err)
		}
	})
}

func TestSilentLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		go func() {
			buf := make([]byte, 64)
			for {
				if _, err := theirs.Read(buf); err != nil {
					return
				}
			}
		}()
		begun := time.Now()
		_, err := New(t.Context(), ours)
		if !errors.Is(err, hid.ErrTimeout) || !strings.Contains(err.Error(), "is it the right port and cable?") {
			t.Errorf("New = %v; want ErrTimeout and a hint", err)
		}
		if d := time.Since(begun); d > 10*time.Second {
			t.Errorf("New took %v; want less than 10 s", d)
		}
		theirs.Close()
	})
}

func TestClosedLineIsGone(t *testing.T) {
	connect(t, func(t *testing.T, c *Conn, _ *Fake) {
		go func() {
			time.Sleep(time.Second)
			c.Close()
		}()
		if _, err := c.Input(t.Context(), nil); !errors.Is(err, hid.ErrGone) {
			t.Errorf("Input on a closed line = %v; want ErrGone", err)
		}
		if _, err := c.Get(t.Context(), hid.Feature, 1, make([]byte, 2)); !errors.Is(err, hid.ErrGone) {
			t.Errorf("Get on a closed line = %v; want ErrGone", err)
		}
	})
}

func TestContextEndsATransfer(t *testing.T) {
	connect(t, func(t *testing.T, c *Conn, u *Fake) {
		u.Disturb(0, 0, 100)
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		begun := time.Now()
		if _, err := c.Get(ctx, hid.Feature, 1, make([]byte, 2)); err == nil || time.Since(begun) > time.Second {
			t.Errorf("Get = %v after %v; want an error within a second", err, time.Since(begun))
		}
		u.Disturb(0, 0, 0)
	})
}

// scripted is a line whose other end sends what a test wrote down.
type scripted struct{ in []byte }

func (s *scripted) Read(b []byte) (int, error) {
	if len(s.in) == 0 {
		return 0, os.ErrDeadlineExceeded
	}
	b[0] = s.in[0]
	s.in = s.in[1:]
	return 1, nil
}
func (s *scripted) Write(b []byte) (int, error)     { return len(b), nil }
func (s *scripted) Close() error                    { return nil }
func (s *scripted) SetReadDeadline(time.Time) error { return nil }

func TestNotificationsAreSkipped(t *testing.T) {
	answer := append(packet(typeNotify, []byte{0x16, 1, 2}, true), packet(typeResponse, []byte{1, 90}, true)...)
	c := &Conn{line: &scripted{append([]byte{tokenOK}, answer...)}, closed: make(chan struct{})}
	buf := make([]byte, 2)
	if n, err := c.Get(t.Context(), hid.Feature, 1, buf); n != 2 || buf[1] != 90 || err != nil {
		t.Errorf("Get = % x, %v; want 01 5a", buf[:n], err)
	}
}

// FuzzAnswers: whatever comes over the line, a transfer ends.
func FuzzAnswers(f *testing.F) {
	f.Add(append([]byte{tokenOK}, packet(typeResponse, []byte{1, 2, 3}, true)...))
	f.Add([]byte{tokenOK, 0x84, 0x99, 1, 2})
	f.Add([]byte{tokenNOK, tokenNOK, syncOff})
	f.Fuzz(func(t *testing.T, in []byte) {
		c := &Conn{line: &scripted{in}, closed: make(chan struct{})}
		buf := make([]byte, 16)
		if n, err := c.Get(t.Context(), hid.Feature, 1, buf); err == nil && n > len(buf) {
			t.Errorf("Get = %d bytes in a buffer of %d", n, len(buf))
		}
	})
}
