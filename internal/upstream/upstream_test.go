package upstream_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gonut/internal/driver"
	"gonut/internal/drvsock"
	"gonut/internal/netproto"
	"gonut/internal/upstream"
	"gonut/internal/upstream/upstreamtest"
)

func open(t *testing.T, b *upstreamtest.Bench, name string) *upstream.Upstream {
	t.Helper()
	u, err := upstream.Open(t.Context(), driver.Values{StatePath: "/", Dial: b.Dial}, name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { u.Close() })
	return u
}

func TestUpstreamFollows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := upstreamtest.New(t)
		real := b.Start("real-a", map[string]string{"ups.status": "OL", "ups.id": `a "b"`}, map[string]driver.Writable{"ups.id": {String: true, MaxLen: 5}}, "load.off")
		u := open(t, b, "real-a")
		if got := u.State().Value("ups.id"); got != `a "b"` {
			t.Errorf("ups.id = %q; want a \"b\"", got)
		}
		real.Set("ups.status", "OB")
		<-u.Wake()
		if got := u.State().Value("ups.status"); got != "OB" {
			t.Errorf("ups.status = %q; want OB", got)
		}
		if err := u.Perform(t.Context(), drvsock.Request{Name: "load.off"}); err != nil {
			t.Errorf("load.off = %v; want nil", err)
		}
		if err := u.Perform(t.Context(), drvsock.Request{Name: "nope"}); !errors.Is(err, driver.ErrUnknown) {
			t.Errorf("nope = %v; want ErrUnknown", err)
		}
		if n, err := u.Do(t.Context(), drvsock.Request{Set: true, Name: "ups.id", Value: "c d", HasValue: true}); n != netproto.Handled || err != nil {
			t.Errorf("set = %d, %v; want 0", n, err)
		}
		if got := strings.Join(real.Done(), ", "); got != "load.off, nope, ups.id=c d" {
			t.Errorf("the real driver got %q", got)
		}
		// An idle driver is asked and answers.
		for range 30 {
			time.Sleep(2 * time.Second)
			if err := u.Check(time.Now(), 15*time.Second); err != nil {
				t.Fatalf("Check of an idle driver = %v; want nil", err)
			}
		}
		real.Stop()
		time.Sleep(time.Second)
		if err := u.Check(time.Now(), time.Minute); !errors.Is(err, upstream.ErrEnded) || !u.State().Stale() {
			t.Errorf("Check after the end = %v, stale %v; want ErrEnded, true", err, u.State().Stale())
		}
		if _, err := u.Do(t.Context(), drvsock.Request{Name: "load.off"}); err == nil {
			t.Error("Do after the end = nil; want an error")
		}
	})
}

// A driver that accepts and says nothing costs bounded time.
func TestUpstreamSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := upstreamtest.New(t)
		l, err := b.Listen(t.Context(), "unix", "/mute")
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			c, err := l.Accept()
			if err != nil {
				return
			}
			buf := make([]byte, 100)
			for {
				if _, err := c.Read(buf); err != nil {
					return
				}
			}
		}()
		begin := time.Now()
		if _, err := upstream.Open(t.Context(), driver.Values{StatePath: "/", Dial: b.Dial}, "mute"); err == nil {
			t.Error("Open of a mute driver = nil; want an error")
		}
		if d := time.Since(begin); d > 15*time.Second {
			t.Errorf("Open of a mute driver took %v", d)
		}
		if _, err := upstream.Open(t.Context(), driver.Values{StatePath: "/", Dial: b.Dial}, "none"); err == nil {
			t.Error("Open of no driver = nil; want an error")
		}
		l.Close()
	})
}

// What a driver sends is never trusted to make sense.
func FuzzUpstream(f *testing.F) {
	f.Add([]byte("DUMPDONE\nSETINFO a b\nTRACKING x 1\n"))
	f.Add([]byte("SETINFO\nADDRANGE a 1 x\nDELINFO\nSETFLAGS a\n\"#\nDUMPDONE\nPONG\n"))
	f.Fuzz(func(t *testing.T, input []byte) {
		synctest.Test(t, func(t *testing.T) {
			ours, theirs := net.Pipe()
			go func() {
				buf := make([]byte, 100)
				theirs.Read(buf)
				theirs.Write(input)
				theirs.Close()
			}()
			dial := func(context.Context, string, string) (net.Conn, error) { return ours, nil }
			u, err := upstream.Open(t.Context(), driver.Values{Dial: dial}, "fuzz")
			if err == nil {
				var up driver.Update
				u.Copy(&up, u.Copy(&up, nil, nil), nil)
				u.Close()
			}
		})
	})
}
