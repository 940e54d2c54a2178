package upsclient_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"gonut/upsclient"
)

// A pusher is a server that pushes what a test tells it to.
type pusher struct {
	conn   net.Conn
	asked  chan string // requests
	silent bool        // no answer to NETVER
}

func watched(t *testing.T, first string) (*upsclient.Client, *pusher) {
	t.Helper()
	ours, theirs := net.Pipe()
	p := &pusher{conn: theirs, asked: make(chan string, 100)}
	go func() {
		for s := bufio.NewScanner(theirs); s.Scan(); {
			p.asked <- s.Text()
			switch {
			case strings.HasPrefix(s.Text(), "WATCH"):
				io.WriteString(theirs, first)
			case s.Text() == "NETVER" && !p.silent:
				io.WriteString(theirs, "1.3\n")
			}
		}
	}()
	c := upsclient.New(ours, upsclient.Options{})
	t.Cleanup(func() { c.Close(); theirs.Close() })
	return c, p
}

func (p *pusher) say(text string) { go io.WriteString(p.conn, text) }

func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := watched(t, "OK\nPUSH BEGIN ups\nPUSH VAR ups ups.status \"OL\"\nPUSH VAR ups ups.id \"a \\\"b\\\"\"\nPUSH STATE ups OK\nPUSH END ups\n")
		w, err := c.Watch(t.Context(), "ups", "ups.", "battery.")
		if err != nil {
			t.Fatal(err)
		}
		if got := <-p.asked; got != "WATCH ups ups. battery." {
			t.Errorf("asked %q", got)
		}
		next := func(want upsclient.Step) {
			t.Helper()
			got, err := w.Next(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(want, got, cmpopts.EquateErrors()); d != "" {
				t.Errorf("Next() differs (-want +got):\n%s", d)
			}
		}
		next(upsclient.Step{UPS: "ups", Whole: true, Judged: true, Changes: []upsclient.Change{
			{Name: "ups.status", Value: "OL"}, {Name: "ups.id", Value: `a "b"`}}})
		p.say("PUSH NEWER ups what\nPUSH VAR ups ups.status \"OB\"\nPUSH BEGIN b\nPUSH DEL ups ups.id\nPUSH END ups\nPUSH STATE b DATA-STALE\nPUSH END b\n")
		next(upsclient.Step{UPS: "ups", Changes: []upsclient.Change{{Name: "ups.status", Value: "OB"}, {Name: "ups.id", Gone: true}}})
		next(upsclient.Step{UPS: "b", Whole: true, Judged: true, State: upsclient.ErrDataStale})

		// A context that ends costs nothing, not even half a line.
		p.say("PUSH STATE ups ")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := w.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Next() = %v; want the context's error", err)
		}
		p.say("OK\nPUSH END ups\n")
		next(upsclient.Step{UPS: "ups", Judged: true})

		// Hours of quiet.
		time.AfterFunc(3*time.Hour, func() { p.say("PUSH VAR ups x \"y\"\nPUSH END ups\n") })
		begin := time.Now()
		asked := make(chan int)
		go func() {
			n := 0
			for range p.asked {
				n++
			}
			asked <- n
		}()
		next(upsclient.Step{UPS: "ups", Changes: []upsclient.Change{{Name: "x", Value: "y"}}})
		if d := time.Since(begin); d < 3*time.Hour || d > 3*time.Hour+time.Second {
			t.Errorf("a change after 3 h came after %v", d)
		}
		p.conn.Close()
		if _, err := w.Next(t.Context()); !errors.Is(err, io.EOF) {
			t.Errorf("Next() after the end = %v; want EOF", err)
		}
		synctest.Wait()
		close(p.asked)
		if n := <-asked; n < 3*60*2 {
			t.Errorf("%d signs of life in 3 h; want more than one a minute", n)
		}
	})
}

func TestWatchOfADeadServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := watched(t, "OK\n")
		p.silent = true
		w, err := c.Watch(t.Context(), upsclient.All)
		if err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		_, err = w.Next(t.Context())
		var lost *upsclient.ConnError
		if !errors.As(err, &lost) {
			t.Errorf("Next() = %v; want a ConnError", err)
		}
		if d := time.Since(begin); d > 30*time.Second {
			t.Errorf("noticed after %v", d)
		}
		if c.Err() == nil {
			t.Error("the client is not closed")
		}
	})
}

func TestWatchOfAnOldServer(t *testing.T) {
	c := client(t, step{"WATCH ups", "ERR UNKNOWN-COMMAND\n"}, step{"VER", "Network UPS Tools upsd 2.8.0\n"})
	if _, err := c.Watch(t.Context(), "ups"); !errors.Is(err, upsclient.ErrUnknownCommand) {
		t.Errorf("Watch() = %v; want ErrUnknownCommand", err)
	}
	if v, err := c.Version(t.Context()); v == "" || err != nil {
		t.Errorf("after that Version() = %q, %v; want it to work", v, err)
	}
}

func TestWatchRefusesNonsense(t *testing.T) {
	for _, text := range []string{"OK\nVAR ups x \"y\"\n", "OK\n" + strings.Repeat("x", 10_000), "WHAT\n",
		"OK\n" + strings.Repeat("PUSH VAR ups x \""+strings.Repeat("y", 250)+"\"\n", 20_000)} {
		synctest.Test(t, func(t *testing.T) {
			c, _ := watched(t, text)
			w, err := c.Watch(t.Context(), "ups")
			if err == nil {
				_, err = w.Next(t.Context())
			}
			var strange *upsclient.ProtocolError
			if !errors.As(err, &strange) {
				t.Errorf("%.20q…: %v; want a ProtocolError", text, err)
			}
		})
	}
}
