package driver_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gonut/internal/driver"
	"gonut/internal/memnet"
)

// A frail device does at random what broken devices do, until a time.
type frail struct {
	mu    sync.Mutex
	r     *rand.Rand
	how   string
	until time.Time
	open  int
}

var errBench = errors.New("checksum")

func (f *frail) trouble() (how string, left time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if left := time.Until(f.until); left > 0 {
		return f.how, left
	}
	return "", 0
}

func (f *frail) driver() driver.Driver {
	return driver.Driver{Name: "frail", Open: func(ctx context.Context, _ driver.Values, _ *slog.Logger) (driver.Device, error) {
		switch how, left := f.trouble(); how {
		case "gone", "refused":
			return nil, errors.New("no such device")
		case "open hangs":
			time.Sleep(left) // whatever ctx says
		case "open panics":
			panic("bug")
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		f.open++
		return f, nil
	}}
}

func (f *frail) Poll(ctx context.Context, _ driver.Depth, u *driver.Update) error {
	switch how, left := f.trouble(); how {
	case "gone":
		return fmt.Errorf("read: %w", driver.ErrGone)
	case "failing":
		return errBench
	case "hangs":
		time.Sleep(left)
	case "slow":
		select {
		case <-time.After(left):
		case <-ctx.Done():
			return ctx.Err()
		}
	case "panics", "open panics":
		panic("bug")
	case "open hangs", "refused":
		return driver.ErrGone
	}
	u.Status("OL")
	u.Setf("ups.time", "%d", time.Now().UnixMilli())
	return nil
}

func (f *frail) Wake() <-chan struct{}                         { return nil }
func (f *frail) Command(context.Context, string, string) error { return nil }
func (f *frail) Set(context.Context, string, string) error     { return nil }
func (f *frail) Close() error {
	if how, left := f.trouble(); how == "hangs" {
		time.Sleep(left)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.open--
	return nil
}

// A thousand faults of a device, with a reader at the socket: no time are data current
// that were not read, each time they are current again within three seconds, and
// nothing is left behind.
func TestSessionSoak(t *testing.T) {
	kinds := []string{"gone", "refused", "failing", "hangs", "slow", "panics", "open hangs", "open panics"}
	synctest.Test(t, func(t *testing.T) {
		f := &frail{r: rand.New(rand.NewPCG(5, 6))}
		s := driver.NewSession(f.driver(), driver.NewConfig("ups", "x"), driver.Hooks{}, slog.New(slog.DiscardHandler))
		ctx, cancel := context.WithCancel(t.Context())
		var network memnet.Network
		l, err := network.Listen(ctx, "unix", "x")
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		wg.Go(func() { s.Serve(ctx, l) })
		wg.Go(func() {
			if err := s.Run(ctx); err != nil {
				t.Errorf("Run = %v", err)
			}
		})
		<-s.Ready()
		slowest := time.Duration(0)
		for n := range 1000 {
			f.mu.Lock()
			f.how = kinds[f.r.IntN(len(kinds))]
			most := 25 * time.Second
			if f.r.IntN(10) == 0 {
				most = 3 * time.Minute // calls are given up, more than once
			}
			d := time.Duration(f.r.Int64N(int64(most)))
			f.until = time.Now().Add(d)
			f.mu.Unlock()
			for range int(d / (time.Second / 2)) {
				time.Sleep(time.Second / 2)
				if at, _ := s.ReadAt("ups.time"); !s.State().Stale() && time.Since(at) > 16*time.Second {
					t.Fatalf("fault %d (%s): data of %v ago are called current", n, f.how, time.Since(at))
				}
			}
			over := time.Now().Add(time.Until(f.until))
			for s.State().Stale() || !current(s, over) {
				if time.Since(over) > time.Minute {
					t.Fatalf("fault %d (%s for %v): still not current a minute after", n, f.how, d)
				}
				time.Sleep(10 * time.Millisecond)
			}
			if took := time.Since(over); took > slowest {
				slowest = took
				if took > 3*time.Second {
					t.Errorf("fault %d (%s for %v): current again after %v; want at most 3 s", n, f.how, d, took)
				}
			}
			// Whoever asks is told.
			conn, err := network.Dial(ctx, "unix", "x")
			if err != nil {
				t.Fatal(err)
			}
			c := &client{t, conn, make(chan string, 10)}
			go c.follow()
			c.ask("NOBROADCAST")
			c.ask("PING", "PONG")
			c.conn.Close()
			time.Sleep(time.Duration(f.r.Int64N(int64(5 * time.Second))))
		}
		t.Logf("slowest recovery: %v", slowest)
		cancel()
		wg.Wait()
		synctest.Wait()
		if f.open != 0 {
			t.Errorf("%d devices are open in the end; want 0", f.open)
		}
	})
}

// current reports whether the device was read after a moment.
func current(s *driver.Session, after time.Time) bool {
	at, ok := s.ReadAt("ups.time")
	return ok && !at.Before(after)
}
