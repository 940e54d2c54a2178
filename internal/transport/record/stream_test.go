package record_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gonut/internal/transport/record"
)

// server answers requests on pipes and speaks by itself three seconds later.
func server(t *testing.T) record.DialFunc {
	count := 0
	return func(_ context.Context, network, addr string) (net.Conn, error) {
		if addr != "host:1" {
			return nil, errors.New("connection refused")
		}
		count++
		n := count
		ours, theirs := net.Pipe()
		go func() {
			defer ours.Close()
			fmt.Fprintf(ours, "welcome %d\n", n)
			for s := bufio.NewScanner(ours); s.Scan(); {
				switch s.Text() {
				case "ask":
					ours.Write([]byte("answer\nwith two"))
					time.Sleep(20 * time.Millisecond)
					ours.Write([]byte(" lines\n"))
				case "news":
					ours.Write([]byte{6})
					time.Sleep(3 * time.Second)
					ours.Write([]byte{6, 0x81})
				case "quit":
					return
				}
			}
		}()
		return theirs, nil
	}
}

// talk is what a driver does; it returns what it was told.
func talk(t *testing.T, dial record.DialFunc) string {
	t.Helper()
	var told strings.Builder
	if _, err := dial(t.Context(), "tcp", "nowhere:1"); err != nil {
		fmt.Fprintln(&told, err)
	}
	for range 2 {
		c, err := dial(t.Context(), "tcp", "host:1")
		if err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		hear := func(n int) {
			b := make([]byte, n)
			_, err := io.ReadFull(c, b)
			fmt.Fprintf(&told, "%v %q %v\n", time.Since(begin).Round(time.Second), b, err)
		}
		hear(10)
		for _, request := range []string{"ask\n", "ask\n"} {
			c.Write([]byte(request[:2]))
			c.Write([]byte(request[2:]))
			hear(len("answer\nwith two lines\n"))
		}
		c.Write([]byte("news\n"))
		hear(1)
		c.SetReadDeadline(time.Now().Add(time.Second))
		_, err = c.Read(make([]byte, 1))
		fmt.Fprintln(&told, errors.Is(err, os.ErrDeadlineExceeded))
		c.SetReadDeadline(time.Time{})
		hear(2)
		c.Write([]byte("quit\n"))
		hear(1)
		c.Close()
		if _, err := c.Read(make([]byte, 1)); err == nil {
			t.Error("Read after Close = nil; want an error")
		}
	}
	return told.String()
}

func TestStreamsAreRecordedAndPlayed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := new(buffer)
		tp := tape(t, b, record.Options{})
		want := talk(t, tp.Dialer(server(t)))
		tp.Close()
		const first = `0.000 1 open tcp "nowhere:1" ! "connection refused"
0.000 2 open tcp "host:1" =
0.000 2 < "welcome 1\n"
0.000 2 > "as"
0.000 2 > "k\n"
0.000 2 < "answer\n"
0.020 2 < "with two lines\n"
0.020 2 > "as"
0.020 2 > "k\n"
0.020 2 < "answer\n"
0.040 2 < "with two lines\n"
0.040 2 > "ne"
`
		got := strings.Replace(b.events(), `0.040 2 > "news\n"`, `0.040 2 > "ne"`, 1)
		if !strings.HasPrefix(got, first) {
			t.Errorf("recorded\n%s\nwant it to begin with\n%s", got, first)
		}
		if !strings.Contains(got, "3.040 2 < 06 81\n") {
			t.Errorf("recorded\n%s\nwant bytes in hexadecimal", got)
		}
		if got := talk(t, play(t, b.String()).Dialer(nil)); got != want {
			t.Errorf("played\n%s\nwant\n%s", got, want)
		}
	})
}

func ask(c net.Conn, request string) string {
	c.SetReadDeadline(time.Now().Add(time.Second))
	c.Write([]byte(request))
	s, err := bufio.NewReader(c).ReadString('\n')
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(s)
}

// Another version of a driver asks in another order, or something else.
func TestPlayedStreamFindsRequests(t *testing.T) {
	const text = `nut-recording 1
0 1 open tcp "h" =
0 1 > "a\n"
0 1 < "a early\n"
1 1 > "b\n"
1 1 < "b\n"
10 1 > "a\n"
10 1 < "a late\n"
11 1 > "ab\n"
11 1 < "ab\n"
`
	synctest.Test(t, func(t *testing.T) {
		tp := play(t, text)
		c, err := tp.Dialer(nil)(t.Context(), "tcp", "h")
		if err != nil {
			t.Fatal(err)
		}
		for _, tt := range []struct{ request, want string }{
			{"b\n", "b"},             // it came second
			{"a\n", "a late"},        // what comes after b
			{"zzz\n", "i/o timeout"}, // never recorded: silence
			{"ab\n", "ab"},
			{"b\n", "b"},
			{"a", "i/o timeout"}, // not complete yet
			{"\n", "a late"},
		} {
			if got := ask(c, tt.request); got != tt.want {
				t.Errorf("%q is answered with %q; want %q", tt.request, got, tt.want)
			}
		}
		again, err := tp.Dialer(nil)(t.Context(), "tcp", "h") // the only one, once more
		if err != nil {
			t.Fatal(err)
		}
		if got := ask(again, "a\n"); got != "a early" {
			t.Errorf("the connection played again answers %q; want %q", got, "a early")
		}
		if _, err := tp.Dialer(nil)(t.Context(), "tcp", "other"); err == nil {
			t.Error("a connection that was never made can be played")
		}
	})
}

// What is sent with a password is recognised although the recording has none.
func TestPlayedStreamKnowsPasswords(t *testing.T) {
	c, err := play(t, "nut-recording 1\n0 1 open tcp \"h\" =\n0 1 > \"PASSWORD ***\\n\"\n0 1 < \"OK\\n\"\n").Dialer(nil)(t.Context(), "tcp", "h")
	if err != nil {
		t.Fatal(err)
	}
	if got := ask(c, "PASSWORD mimimi\n"); got != "OK" {
		t.Errorf("PASSWORD is answered with %q; want OK", got)
	}
}

// A loop is a line whose other end sends everything back, byte by byte.
type loop struct{ bytes chan byte }

func (l loop) Write(b []byte) (int, error) {
	for _, c := range b {
		l.bytes <- c
	}
	return len(b), nil
}

func (l loop) Read(b []byte) (int, error) {
	b[0] = <-l.bytes
	return 1, nil
}

func (l loop) Close() error                    { return nil }
func (l loop) SetReadDeadline(time.Time) error { return nil }

func TestLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := new(buffer)
		tp := tape(t, b, record.Options{})
		exchange := func(l record.Line) string {
			l.Write([]byte{1, 2, 3})
			got := make([]byte, 3)
			io.ReadFull(l, got)
			return fmt.Sprintf("% x", got)
		}
		l, err := tp.Line("/dev/ttyS0", func() (record.Line, error) { return loop{make(chan byte, 10)}, nil })
		if err != nil {
			t.Fatal(err)
		}
		exchange(l)
		l.Close()
		if _, err := tp.Line("/dev/ttyS1", func() (record.Line, error) { return nil, os.ErrPermission }); !errors.Is(err, os.ErrPermission) {
			t.Errorf("Line = %v; want what open returned", err)
		}
		tp.Close()
		const want = `0.000 1 open line "/dev/ttyS0" =
0.000 1 > 01 02 03
0.000 1 < 01 02 03
0.000 1 close =
0.000 2 open line "/dev/ttyS1" ! "permission denied"
`
		if got := b.events(); got != want {
			t.Errorf("recorded\n%s\nwant\n%s", got, want)
		}
		tp = play(t, b.String())
		if l, err = tp.Line("/dev/ttyS0", nil); err != nil || exchange(l) != "01 02 03" {
			t.Errorf("played: %v", err)
		}
		if _, err = tp.Line("/dev/ttyS1", nil); err == nil || err.Error() != "permission denied" {
			t.Errorf("played Line = %v; want permission denied", err)
		}
		if !tp.HasLine() {
			t.Error("HasLine = false; want true")
		}
	})
}

// An acknowledgement without an answer does not make the next answer late.
func TestPlayedStreamIsNotLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := play(t, "nut-recording 1\n0 1 open tcp \"h\" =\n0 1 > \"ack\\n\"\n5 1 > \"q\\n\"\n5.1 1 < \"a\\n\"\n").Dialer(nil)(t.Context(), "tcp", "h")
		if err != nil {
			t.Fatal(err)
		}
		c.Write([]byte("ack\n"))
		time.Sleep(5 * time.Second)
		begin := time.Now()
		if got := ask(c, "q\n"); got != "a" || time.Since(begin) != 100*time.Millisecond {
			t.Errorf("q is answered with %q after %v; want a after 100 ms", got, time.Since(begin))
		}
	})
}
