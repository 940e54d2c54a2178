package hid

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// A bench is a device on which tests break things: a pipe's calls and the
// openings are written down, and a fault says what heals it.
type bench struct {
	mu      sync.Mutex
	calls   []string
	fault   func(call string, n int) error // n counts the calls of that name, from 1
	times   map[string]int
	place   string
	gone    bool
	delay   time.Duration // of every Get
	pipes   int
	unasked chan struct{} // closed by whoever wants Input to return a report
}

func newBench(fault func(string, int) error) *bench {
	return &bench{fault: fault, times: map[string]int{}, place: "001", unasked: make(chan struct{})}
}

func (b *bench) call(name string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.calls = append(b.calls, name)
	b.times[name]++
	if b.fault == nil {
		return nil
	}
	return b.fault(name, b.times[name])
}

// take returns what was called since the last time.
func (b *bench) take() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := strings.Join(b.calls, ", ")
	b.calls = nil
	return s
}

func (b *bench) open(_ context.Context, m Matcher) (pipe, error) {
	if err := b.call("open"); err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	p := &benchPipe{bench: b, info: Info{VendorID: 1, Serial: "A", Device: b.place}, closed: make(chan struct{})}
	if b.gone || !m.Match(p.info) {
		return nil, ErrGone
	}
	b.pipes++
	return p, nil
}

type benchPipe struct {
	*bench
	info   Info
	once   sync.Once
	closed chan struct{}
}

func (p *benchPipe) Descriptor() []byte { return []byte{5, 0x84} }
func (p *benchPipe) Info() Info         { return p.info }
func (p *benchPipe) ClearHalt() error   { return p.call("clear halt") }
func (p *benchPipe) Reset() error       { return p.call("reset") }
func (p *benchPipe) Abandon()           { p.end("abandon") }
func (p *benchPipe) Close() error       { p.end("close"); return nil }

func (p *benchPipe) end(name string) {
	p.call(name)
	p.once.Do(func() { close(p.closed) })
}

func (p *benchPipe) Get(ctx context.Context, limit time.Duration, _ ReportType, id byte, buf []byte) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	err := p.call(fmt.Sprintf("get %d", id))
	if errors.Is(err, ErrTimeout) {
		<-ctx.Done()
	}
	if err != nil {
		return 0, err
	}
	if p.delay > 0 {
		select {
		case <-time.After(p.delay):
		case <-ctx.Done():
			return 0, ErrTimeout
		}
	}
	buf[0] = id
	return 1, nil
}

func (p *benchPipe) Set(_ context.Context, _ time.Duration, _ ReportType, id byte, _ []byte) error {
	return p.call(fmt.Sprintf("set %d", id))
}

func (p *benchPipe) Input(ctx context.Context, buf []byte) (int, error) {
	if err := p.call("input"); err != nil {
		return 0, err
	}
	select {
	case <-p.unasked:
		buf[0] = 7
		return 1, nil
	case <-ctx.Done():
		return 0, ErrTimeout
	case <-p.closed:
		return 0, os.ErrClosed
	}
}

func (p *benchPipe) String(context.Context, time.Duration, int) (string, error) {
	return "s", p.call("string")
}

func openBench(t *testing.T, b *bench, w io.Writer) *link {
	t.Helper()
	l, err := openLink(context.Background(), b.open, Matcher{}, slog.New(slog.NewTextHandler(w, nil)))
	if err != nil {
		t.Fatal(err)
	}
	b.take()
	return l
}

// until makes every transfer fail with err until a call was made.
func until(b **bench, heals string, err error) func(string, int) error {
	return func(call string, _ int) error {
		if (*b).times[heals] == 0 && strings.HasPrefix(call, "get") {
			return err
		}
		return nil
	}
}

func TestLinkClimbsStepByStep(t *testing.T) {
	for _, c := range []struct {
		heals string
		calls []string // of one Get after the other, until one succeeds
	}{
		{"clear halt", []string{"get 1, get 1", "get 2, clear halt, get 2"}},
		{"reset", []string{"get 1, get 1", "get 2, clear halt, get 2", "get 3, reset, get 3"}},
		{"abandon", []string{"get 1, get 1", "get 2, clear halt, get 2", "get 3, reset, get 3", "get 4, abandon, open, get 4"}},
	} {
		synctest.Test(t, func(t *testing.T) {
			var b *bench
			b = newBench(until(&b, c.heals, syscall.EIO))
			l := openBench(t, b, io.Discard)
			for i, want := range c.calls {
				_, err := l.Get(t.Context(), Feature, byte(i+1), make([]byte, 8))
				if got := b.take(); got != want {
					t.Errorf("healed by %s: Get %d = %s; want %s", c.heals, i+1, got, want)
				}
				if last := i == len(c.calls)-1; (err == nil) != last {
					t.Errorf("healed by %s: Get %d = %v; want success only at the last", c.heals, i+1, err)
				}
			}
			b.times = map[string]int{c.heals: 1}
			if _, err := l.Get(t.Context(), Feature, 9, make([]byte, 8)); err != nil || b.take() != "get 9" {
				t.Errorf("after recovery Get = %v; want one transfer", err)
			}
		})
	}
}

func TestLinkLooksForTheDeviceElsewhere(t *testing.T) {
	b := newBench(nil)
	l := openBench(t, b, io.Discard)
	b.place = "002"
	b.fault = func(call string, n int) error {
		if call == "get 1" && n == 1 {
			return ErrGone
		}
		return nil
	}
	if _, err := l.Get(t.Context(), Feature, 1, make([]byte, 8)); err != nil {
		t.Fatalf("Get = %v; want success", err)
	}
	if got, want := b.take(), "get 1, abandon, open, get 1"; got != want {
		t.Errorf("calls = %s; want %s", got, want)
	}
	if got := l.Counts(); got != [steps]int{Reenumerate: 1} {
		t.Errorf("Counts = %v; want one re-enumeration", got)
	}
}

func TestLinkSaysThatTheDeviceIsGone(t *testing.T) {
	b := newBench(func(call string, _ int) error {
		if call == "get 1" {
			return ErrGone
		}
		return nil
	})
	l := openBench(t, b, io.Discard)
	b.gone = true
	for range 2 {
		if _, err := l.Get(t.Context(), Feature, 1, make([]byte, 8)); !errors.Is(err, ErrGone) {
			t.Errorf("Get = %v; want ErrGone", err)
		}
		if err := l.Set(t.Context(), Feature, 2, []byte{2}); !errors.Is(err, ErrGone) {
			t.Errorf("Set = %v; want ErrGone", err)
		}
		if _, err := l.Input(t.Context(), make([]byte, 8)); !errors.Is(err, ErrGone) {
			t.Errorf("Input = %v; want ErrGone", err)
		}
	}
	b.gone, b.fault = false, nil
	b.take()
	if err := l.Set(t.Context(), Feature, 2, []byte{2}); err != nil || b.take() != "open, set 2" {
		t.Errorf("Set after the device came back = %v; want nil", err)
	}
}

func TestLinkTakesAStallForAnAnswer(t *testing.T) {
	stall := func(call string, n int) error {
		if call == "get 1" || call == "get 2" && n == 2 {
			return ErrStall
		}
		return nil
	}
	b := newBench(stall)
	l := openBench(t, b, io.Discard)
	for range 3 {
		if _, err := l.Get(t.Context(), Feature, 1, make([]byte, 8)); !errors.Is(err, ErrStall) || b.take() != "get 1" {
			t.Errorf("Get of an unknown report = %v; want ErrStall at the first try", err)
		}
	}
	for range 2 {
		if _, err := l.Get(t.Context(), Feature, 2, make([]byte, 8)); err != nil {
			t.Errorf("Get of a report that was good before = %v; want a second try", err)
		}
	}
	if got, want := b.take(), "get 2, get 2, get 2"; got != want {
		t.Errorf("calls = %s; want %s", got, want)
	}
}

func TestLinkLeavesABadReportAlone(t *testing.T) {
	b := newBench(func(call string, _ int) error {
		if call == "get 1" {
			return syscall.EIO
		}
		return nil
	})
	l := openBench(t, b, io.Discard)
	for i := range 10 {
		l.Get(t.Context(), Feature, 1, make([]byte, 8))
		if _, err := l.Get(t.Context(), Feature, 2, make([]byte, 8)); err != nil {
			t.Fatal(err)
		}
		want := "get 1, get 1, get 2"
		if i >= badReport {
			want = "get 1, get 2"
		}
		if got := b.take(); got != want {
			t.Errorf("poll %d = %s; want %s", i, got, want)
		}
	}
}

func TestLinkDoesNotRepeatWhatThisWayCannot(t *testing.T) {
	b := newBench(func(call string, _ int) error {
		if call == "get 1" {
			return ErrUnsupported
		}
		return nil
	})
	l := openBench(t, b, io.Discard)
	for range badReport + 1 {
		if _, err := l.Get(t.Context(), Feature, 1, make([]byte, 8)); !errors.Is(err, ErrUnsupported) {
			t.Errorf("Get = %v; want ErrUnsupported", err)
		}
	}
	if got, want := b.take(), "get 1, get 1, get 1, get 1"; got != want || l.Counts() != [steps]int{} {
		t.Errorf("calls: %s, steps %v; want %s and no step", got, l.Counts(), want)
	}
}

// GetAll implements batcher: it asks for one after the other.
func (p *benchPipe) GetAll(ctx context.Context, limit time.Duration, gs []Get) (int, error) {
	for i := range gs {
		n, err := p.Get(ctx, limit, gs[i].Type, gs[i].ID, gs[i].Buf)
		if err != nil {
			return i, err
		}
		gs[i].N = n
	}
	return len(gs), nil
}

// What GetAll could not read counts as the first attempt of Get: no report is asked
// for more often than without it.
func TestLinkGoesOnWhereGetAllFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(func(call string, n int) error {
			switch {
			case call == "get 2" && n == 1:
				return ErrTimeout
			case call == "get 4":
				return ErrStall
			}
			return nil
		})
		l := openBench(t, b, io.Discard)
		ids := []byte{1, 2, 3, 4, 5}
		gs := make([]Get, len(ids))
		for i, id := range ids {
			gs[i] = Get{Type: Feature, ID: id, Buf: make([]byte, 8)}
		}
		begin := time.Now()
		n := GetAll(t.Context(), l, gs)
		if n != 1 || gs[0].N != 1 || gs[0].Buf[0] != 1 {
			t.Fatalf("GetAll = %d, %v; want the answer before the one that was lost", n, gs)
		}
		for _, g := range gs[n:] {
			_, err := l.Get(t.Context(), g.Type, g.ID, g.Buf)
			if (g.ID == 4) != errors.Is(err, ErrStall) {
				t.Errorf("Get(%d) = %v", g.ID, err)
			}
		}
		if got, want := b.take(), "get 1, get 2, get 2, get 3, get 4, get 5"; got != want || time.Since(begin) != readTimeout {
			t.Errorf("calls = %s after %v; want %s after %v", got, time.Since(begin), want, readTimeout)
		}
		if c := l.Counts(); c[Retry] != 1 {
			t.Errorf("steps = %v; want one retry", c)
		}
		// A report that was never read and is refused is not asked for again.
		if n := GetAll(t.Context(), l, gs[2:4]); n != 1 {
			t.Errorf("GetAll = %d; want it to end at the stall", n)
		}
		if _, err := l.Get(t.Context(), Feature, 4, make([]byte, 8)); !errors.Is(err, ErrStall) {
			t.Errorf("Get = %v; want ErrStall", err)
		}
		if got, want := b.take(), "get 3, get 4"; got != want {
			t.Errorf("calls = %s; want %s", got, want)
		}
	})
}

func TestLinkNeverWritesTwice(t *testing.T) {
	for _, fault := range []error{syscall.EIO, ErrTimeout, ErrStall, ErrGone, ErrOverflow} {
		b := newBench(func(call string, _ int) error {
			if call == "set 1" {
				return fault
			}
			return nil
		})
		l := openBench(t, b, io.Discard)
		if err := l.Set(t.Context(), Feature, 1, []byte{1, 0}); !errors.Is(err, fault) {
			t.Errorf("Set = %v; want %v", err, fault)
		}
		if got := b.take(); got != "set 1" {
			t.Errorf("after %v calls = %s; want one set", fault, got)
		}
	}
}

func TestLinkDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(func(call string, n int) error {
			if call == "get 1" && n == 1 || call == "get 2" {
				return ErrTimeout
			}
			return nil
		})
		l := openBench(t, b, io.Discard)
		begin := time.Now()
		if _, err := l.Get(t.Context(), Feature, 1, make([]byte, 8)); err != nil || time.Since(begin) != readTimeout {
			t.Errorf("Get with one lost transfer = %v after %v; want success after %v", err, time.Since(begin), readTimeout)
		}
		begin = time.Now()
		if _, err := l.Get(t.Context(), Feature, 2, make([]byte, 8)); !errors.Is(err, ErrTimeout) || time.Since(begin) != readTimeout+retryTimeout {
			t.Errorf("Get without an answer = %v after %v; want ErrTimeout after %v", err, time.Since(begin), readTimeout+retryTimeout)
		}
		const short = readTimeout / 2
		ctx, cancel := context.WithTimeout(t.Context(), short)
		defer cancel()
		begin = time.Now()
		b.take()
		if _, err := l.Get(ctx, Feature, 2, make([]byte, 8)); !errors.Is(err, ErrTimeout) || time.Since(begin) != short || b.take() != "get 2" {
			t.Errorf("Get with a deadline = %v after %v; want ErrTimeout after %v and no repetition", err, time.Since(begin), short)
		}
	})
}

func TestLinkIsPatientWithASlowDevice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(nil)
		b.delay = 3 * time.Second
		l := openBench(t, b, io.Discard)
		for i, want := range []string{"get 1, get 1", "get 1"} {
			if _, err := l.Get(t.Context(), Feature, 1, make([]byte, 8)); err != nil {
				t.Errorf("Get %d of a device that takes 3 s = %v; want success", i+1, err)
			}
			if got := b.take(); got != want {
				t.Errorf("Get %d = %s; want %s", i+1, got, want)
			}
		}
	})
}

func TestLinkInput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(func(call string, n int) error {
			switch {
			case call == "input" && n == 1:
				return ErrStall
			case call == "input" && n <= 3:
				return syscall.EPROTO
			}
			return nil
		})
		l := openBench(t, b, io.Discard)
		close(b.unasked)
		buf := make([]byte, 8)
		if n, err := l.Input(t.Context(), buf); n != 1 || buf[0] != 7 || err != nil {
			t.Errorf("Input = %d, %v; want a report", n, err)
		}
		if got, want := b.take(), "input, clear halt, input, clear halt, input, reset, input"; got != want {
			t.Errorf("calls = %s; want %s", got, want)
		}
	})
}

func TestLinkCloseEndsInput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(nil)
		l := openBench(t, b, io.Discard)
		ended := make(chan error)
		go func() {
			_, err := l.Input(context.Background(), make([]byte, 8))
			ended <- err
		}()
		synctest.Wait()
		l.Close()
		if err := <-ended; !errors.Is(err, os.ErrClosed) {
			t.Errorf("Input after Close = %v; want os.ErrClosed", err)
		}
		if got, want := b.take(), "input, close"; got != want {
			t.Errorf("calls = %s; want %s", got, want)
		}
		if _, err := l.Get(t.Context(), Feature, 1, make([]byte, 8)); !errors.Is(err, os.ErrClosed) {
			t.Errorf("Get after Close = %v; want os.ErrClosed", err)
		}
	})
}

func TestLinkInputGoesOnAfterTheOtherSideOpenedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(func(call string, n int) error {
			if call == "get 1" && n == 1 {
				return ErrGone
			}
			return nil
		})
		l := openBench(t, b, io.Discard)
		ended := make(chan error)
		go func() {
			_, err := l.Input(context.Background(), make([]byte, 8))
			ended <- err
		}()
		synctest.Wait()
		if _, err := l.Get(t.Context(), Feature, 1, make([]byte, 8)); err != nil {
			t.Fatal(err)
		}
		close(b.unasked)
		if err := <-ended; err != nil {
			t.Errorf("Input = %v; want the report of the new pipe", err)
		}
		if b.pipes != 2 {
			t.Errorf("%d pipes were opened; want 2", b.pipes)
		}
	})
}

func TestLinkLogsPowersOfTen(t *testing.T) {
	var out bytes.Buffer
	bad := true
	b := newBench(func(call string, n int) error {
		if call == "get 1" {
			bad = !bad
			if !bad {
				return syscall.EIO
			}
		}
		return nil
	})
	l := openBench(t, b, &out)
	for range 25 {
		if _, err := l.Get(t.Context(), Feature, 1, make([]byte, 8)); err != nil {
			t.Fatal(err)
		}
	}
	if got := strings.Count(out.String(), "retry"); got != 2 {
		t.Errorf("25 retries made %d log lines; want 2, at the 1st and the 10th:\n%s", got, out.String())
	}
}
