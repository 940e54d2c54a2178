package upsmon

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gonut/internal/upsmon/monitor"
)

// A logBuffer keeps the messages of a log, one a line.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
}

// count returns how many lines have a text in them.
func (l *logBuffer) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for line := range strings.Lines(l.b.String()) {
		if strings.Contains(line, text) {
			n++
		}
	}
	return n
}

// Failed polls are logged in C's words, as often as POLLFAIL_LOG_THROTTLE_MAX says.
func TestFailuresAreLogged(t *testing.T) {
	for _, tt := range []struct {
		throttle          string
		refused, notThere int
	}{
		{"", 11, 10},
		{"POLLFAIL_LOG_THROTTLE_MAX -1\n", 11, 10},
		{"POLLFAIL_LOG_THROTTLE_MAX 0\n", 1, 1},
		{"POLLFAIL_LOG_THROTTLE_MAX 5\n", 3, 2},
	} {
		inWorld(t, func(w *world) {
			var log logBuffer
			h := w.startWith("host", "MONITOR x@server 1 mon pw primary\n"+tt.throttle, Deps{Logger: log.logger(), PollOnly: true})
			time.Sleep(51 * time.Second)
			u := newDriver("x", "OL")
			u.kill()
			s := w.serve("server", u)
			time.Sleep(49 * time.Second)
			synctest.Wait()
			u.revive()
			time.Sleep(20 * time.Second)
			for text, want := range map[string]int{
				"UPS [x@server]: connect failed: Connection failure: Connection refused": tt.refused,
				"Poll UPS [x@server] failed - Driver not connected":                      tt.notThere,
				"Poll UPS [x@server] recovered":                                          1,
			} {
				if got := log.count(text); got != want {
					t.Errorf("%q: %q is logged %d times; want %d", tt.throttle, text, got, want)
				}
			}
			s.stop()
			w.serve("server", newDriver("other", "OL"))
			time.Sleep(20 * time.Second)
			if log.count("Poll UPS [x@server] failed - [x] does not exist on server server") == 0 {
				t.Errorf("log = %s; want it to say that the server does not know x", log.b.String())
			}
			h.wantUp()
		})
	}
}

// A poll that fails tells how long ago it began: its failure proves nothing newer.
func TestLostTellsItsAge(t *testing.T) {
	inWorld(t, func(w *world) {
		var mu sync.Mutex
		var waited []time.Duration
		ctx, cancel := context.WithCancel(w.ctx)
		d := New(monitorLine("ups@server"), Deps{
			Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
				<-ctx.Done()
				return nil, ctx.Err()
			},
			Hook: func(_ time.Time, ev monitor.Event, _ []monitor.Action) {
				if l, ok := ev.(monitor.Lost); ok {
					mu.Lock()
					waited = append(waited, l.Waited)
					mu.Unlock()
				}
			},
		})
		done := make(chan error)
		go func() { done <- d.Run(ctx) }()
		time.Sleep(15 * time.Second)
		cancel()
		<-done
		mu.Lock()
		defer mu.Unlock()
		if len(waited) != 1 || waited[0] != 10*time.Second {
			t.Errorf("polls that failed had waited %v; want one, the time to connect", waited)
		}
	})
}
