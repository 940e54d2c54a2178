package usb_test

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"gonut/internal/transport/hid"
	"gonut/test/usb/virtual"
)

var stormSeed = flag.Uint64("storm.seed", 1, "seed of the random faults")

// A recovery is how long it took until fresh data came after a fault had ended.
type recovery struct {
	kind string
	took time.Duration
}

// faults are what happens to a device in a storm: each breaks it and returns when
// it works again. A device that was unplugged works again when the kernel has
// enumerated it.
func faults() map[string]func(*testing.T, *unit, *rand.Rand) {
	during := func(begin func(*unit, virtual.Pipe)) func(*testing.T, *unit, *rand.Rand) {
		return func(_ *testing.T, u *unit, r *rand.Rand) {
			p := virtual.Pipe(r.IntN(2))
			begin(u, p)
			time.Sleep(time.Duration(50+r.IntN(250)) * time.Millisecond)
			u.Heal(p)
		}
	}
	const always = 1 << 30
	return map[string]func(*testing.T, *unit, *rand.Rand){
		"EIO":      during(func(u *unit, p virtual.Pipe) { u.Fail(p, always, syscall.EIO) }),
		"EPROTO":   during(func(u *unit, p virtual.Pipe) { u.Fail(p, always, syscall.EPROTO) }),
		"EPIPE":    during(func(u *unit, p virtual.Pipe) { u.Fail(p, always, syscall.EPIPE) }),
		"overflow": during(func(u *unit, p virtual.Pipe) { u.Fail(p, always, syscall.EOVERFLOW) }),
		"stuck":    during(func(u *unit, p virtual.Pipe) { u.Stick(p, always) }),
		"lost": func(t *testing.T, u *unit, _ *rand.Rand) {
			u.Lose(virtual.Requests, 1)
			eventually(t, "a transfer was lost", func() bool { return u.Left(virtual.Requests) == 0 })
		},
		"detach": func(t *testing.T, u *unit, r *rand.Rand) {
			u.out(t)
			time.Sleep(time.Duration(r.IntN(300)) * time.Millisecond)
			u.back(t)
		},
		"re-enumerate": func(t *testing.T, u *unit, _ *rand.Rand) {
			u.out(t)
			u.back(t)
		},
	}
}

// storm breaks a unit n times. After each fault it changes the mains and the load
// and waits until seen says that both have arrived: the mains by an input report
// or by asking, the load only by asking.
func storm(t *testing.T, u *unit, n int, r *rand.Rand, seen func(mains bool, load byte) bool) []recovery {
	t.Helper()
	kinds := faults()
	names := slices.Sorted(maps.Keys(kinds))
	var rs []recovery
	for i := range n {
		kind := names[r.IntN(len(names))]
		kinds[kind](t, u, r)
		mains, load := i%2 == 0, byte(i%100)
		u.power(mains, load)
		begin := time.Now()
		for !seen(mains, load) {
			if time.Since(begin) > 30*time.Second {
				t.Errorf("no recovery within 30 s of %s", kind)
				return rs
			}
			time.Sleep(10 * time.Millisecond)
		}
		rs = append(rs, recovery{kind, time.Since(begin)})
		if took := time.Since(begin); took > 2*time.Second {
			t.Logf("%8.3f recovered from %s after %v", uptime().Seconds(), kind, took.Round(time.Millisecond))
		}
	}
	return rs
}

// power switches the mains and the load of a Back-UPS: report 0x13 is ACPresent, so is
// bit 2 of report 0x16, whose bit 1 is Discharging and bit 3 BatteryPresent; report
// 0x50 is PercentLoad. The device tells of the mains by itself, as real ones do.
func (u *unit) power(mains bool, load byte) {
	present, status := []byte{0x13, 0}, []byte{0x16, 0x0a, 0x00}
	if mains {
		present[1], status[1] = 1, 0x0c
	}
	u.Put(present...)
	u.Put(status...)
	u.Put(0x50, load)
	u.Push(present...)
	u.Push(status...)
}

// statistics prints the recoveries and fails the test if they are slower than
// they may be.
func statistics(t *testing.T, rs []recovery, median, p99 time.Duration) {
	t.Helper()
	byKind := map[string][]recovery{"all": rs}
	for _, r := range rs {
		byKind[r.kind] = append(byKind[r.kind], r)
	}
	var b strings.Builder
	for _, kind := range slices.Sorted(maps.Keys(byKind)) {
		s := byKind[kind]
		slices.SortFunc(s, func(a, b recovery) int { return cmp.Compare(a.took, b.took) })
		at := func(q float64) time.Duration {
			return s[min(int(q*float64(len(s))), len(s)-1)].took.Round(time.Millisecond)
		}
		fmt.Fprintf(&b, "\n%-13s %4d events: median %v, p90 %v, p99 %v, max %v", kind, len(s), at(0.5), at(0.9), at(0.99), at(1))
		if kind == "all" && (at(0.5) >= median || at(0.99) >= p99) {
			t.Errorf("recovery: median %v, p99 %v; want under %v and %v", at(0.5), at(0.99), median, p99)
		}
	}
	t.Logf("recovery after the device is back:%s", &b)
}

// A follower does with a device what a driver's session does: it polls, waits
// for reports, and opens the device again when it is gone.
type follower struct {
	opener hid.Opener
	unit   *unit

	mu    sync.Mutex // guards what follows
	mains bool
	load  byte
}

func (f *follower) sees(mains bool, load byte) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.mains == mains && f.load == load
}

func (f *follower) hear(report []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case len(report) < 2:
	case report[0] == 0x16:
		f.mains = report[1]&4 != 0
	case report[0] == 0x50:
		f.load = report[1]
	}
}

func (f *follower) run(ctx context.Context) {
	changed := f.opener.Changed(ctx)
	for ctx.Err() == nil {
		c, err := f.opener.Open(ctx, f.unit.matcher(), hid.DefaultTuning())
		if err == nil {
			f.use(ctx, c)
			c.Close()
			continue
		}
		select {
		case <-changed:
		case <-time.After(250 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

// use polls until the device is gone.
func (f *follower) use(ctx context.Context, c hid.Conn) {
	ctx, cancel := context.WithCancel(ctx)
	var reader sync.WaitGroup
	defer reader.Wait()
	defer cancel()
	reader.Go(func() {
		buf := make([]byte, 64)
		for {
			n, err := c.Input(ctx, buf)
			switch {
			case err == nil:
				f.hear(buf[:n])
			case errors.Is(err, hid.ErrTimeout):
			default:
				cancel() // the poll below finds out what is wrong
				return
			}
		}
	})
	for ctx.Err() == nil {
		for _, id := range []byte{0x16, 0x50} {
			buf := make([]byte, 64)
			n, err := c.Get(ctx, hid.Feature, id, buf)
			if errors.Is(err, hid.ErrGone) {
				return
			}
			if err == nil {
				f.hear(buf[:n])
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(500 * time.Millisecond):
		}
	}
}

// TestTransportsInAStorm breaks devices under the transports alone. hidraw leaves
// recovery to the kernel, whose requests last 5 s.
func TestTransportsInAStorm(t *testing.T) {
	each(t, func(t *testing.T, o hid.Opener) {
		t.Parallel()
		events, median, p99 := 300, time.Second, 3*time.Second
		if _, ok := o.(*hid.Raw); ok {
			events, median, p99 = 25, 2*time.Second, 10*time.Second
		}
		rec := recording(t, backUPS)
		rec.Info.Serial = fmt.Sprintf("%T", o)
		u := plugInRecording(t, rec)
		ctx, cancel := context.WithCancel(t.Context())
		f := &follower{opener: o, unit: u}
		var running sync.WaitGroup
		running.Go(func() { f.run(ctx) })
		defer running.Wait()
		defer cancel()
		statistics(t, storm(t, u, events, rand.New(rand.NewPCG(*stormSeed, 0)), f.sees), median, p99)
	})
}
