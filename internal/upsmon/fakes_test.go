package upsmon

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"gonut/internal/conf"
	"gonut/internal/daemon"
	"gonut/internal/program"
)

// A source is a configuration file that a test changes.
type source struct{ text string }

func parse(t *testing.T, text string) *source {
	t.Helper()
	s := &source{text}
	if _, err := s.load(); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *source) load() (conf.UPSMon, error) {
	c, _, err := conf.ParseUPSMon("upsmon.conf", strings.NewReader(s.text))
	return c, err
}

// parseAll reads a configuration whatever there is to complain about.
func parseAll(text string) (conf.UPSMon, error) {
	c, _, err := conf.ParseUPSMon("upsmon.conf", strings.NewReader(text))
	return c, err
}

// monitorLine is a configuration with one system, however odd its name.
func monitorLine(system string) conf.UPSMon {
	c, _, _ := conf.ParseUPSMon("upsmon.conf", strings.NewReader("MONITOR x@h 1 u p primary\n"))
	c.Monitors[0].System = system
	return c
}

// A stuckNotifier does not come back with notifications of one UPS.
type stuckNotifier struct {
	stuck   string
	release chan struct{}

	mu   sync.Mutex
	seen []string
}

func (*stuckNotifier) Flag() conf.NotifyFlag { return conf.NotifyWall }

func (n *stuckNotifier) Notify(_ context.Context, x Notification) error {
	if x.UPS == n.stuck {
		<-n.release
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.seen = append(n.seen, x.UPS)
	return nil
}

func (n *stuckNotifier) count(system string) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	c := 0
	for _, s := range n.seen {
		if s == system {
			c++
		}
	}
	return c
}

// A recorder remembers what it was told.
type recorder struct {
	flag conf.NotifyFlag

	mu   sync.Mutex
	seen []Notification
}

func (r *recorder) Flag() conf.NotifyFlag { return r.flag }

func (r *recorder) Notify(_ context.Context, n Notification) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen = append(r.seen, n)
	return nil
}

func (r *recorder) join(of func(Notification) string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var ss []string
	for _, n := range r.seen {
		ss = append(ss, of(n))
	}
	return strings.Join(ss, "|")
}

func (r *recorder) texts() string { return r.join(func(n Notification) string { return n.Text }) }
func (r *recorder) types() string { return r.join(func(n Notification) string { return n.Type }) }

// A slowNotifier takes a while for each notification, and notes when it began.
type slowNotifier struct {
	takes time.Duration

	mu    sync.Mutex
	began []string // types
	at    []time.Time
}

func (*slowNotifier) Flag() conf.NotifyFlag { return conf.NotifyExec }

func (n *slowNotifier) Notify(_ context.Context, x Notification) error {
	n.mu.Lock()
	n.began, n.at = append(n.began, x.Type), append(n.at, time.Now())
	n.mu.Unlock()
	time.Sleep(n.takes)
	return nil
}

// A sleeper is a system that sleeps when a test says so.
type sleeper chan bool

func (s sleeper) Watch(ctx context.Context, tell func(bool)) error {
	for {
		select {
		case asleep := <-s:
			tell(asleep)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// quietLog returns a log that writes to the program's standard error only.
func quietLog(e program.Env) *daemon.Log { return daemon.NewLog("upsmon", e) }
