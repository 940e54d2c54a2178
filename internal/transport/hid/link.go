package hid

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// A pipe is one open way to a device that repeats nothing itself. Its methods are
// those of a Conn, but those that ask or tell the device something have a limit of
// their own.
type pipe interface {
	Descriptor() []byte
	Info() Info
	Get(ctx context.Context, limit time.Duration, t ReportType, id byte, buf []byte) (int, error)
	Set(ctx context.Context, limit time.Duration, t ReportType, id byte, data []byte) error
	Input(ctx context.Context, buf []byte) (int, error)
	String(ctx context.Context, limit time.Duration, index int) (string, error)
	Close() error
	// ClearHalt ends the halt of the interrupt endpoint.
	ClearHalt() error
	// Reset resets the device; ErrGone means that it came back as another one.
	Reset() error
	// Abandon closes without another transfer to the device, which may not
	// answer any more.
	Abandon()
}

// A batcher is a pipe that asks for several reports with less effort than one by one.
// It returns how many answers came and what the next one failed with.
type batcher interface {
	GetAll(ctx context.Context, limit time.Duration, gs []Get) (int, error)
}

// A Step is one step of the ladder that a link climbs while transfers fail.
type Step int

// The steps of the ladder, in the order of what they cost.
const (
	Retry       Step = iota // the same transfer once more
	ClearHalt               // of the interrupt endpoint
	Reset                   // the device at its port
	Reopen                  // the same device, from the beginning
	Reenumerate             // whatever place the device has now
	steps
)

// String returns the step as logs have it.
func (s Step) String() string {
	if s < 0 || s >= steps {
		return fmt.Sprintf("step %d", int(s))
	}
	return [...]string{"retry", "clear halt", "reset", "open again", "look for the device"}[s]
}

// inputPause keeps an interrupt pipe that fails at once from keeping us busy.
const inputPause = 100 * time.Millisecond

// badReport is how many calls in a row may fail for one report before it is not
// repeated any more: some devices never answer for some reports.
const badReport = 3

// A link is a Conn that stays usable while there is a device. Where a transfer
// fails it takes one step of the ladder and repeats the transfer once; the next
// call that fails takes the next step, and a success leads back to the ground. So
// one report that never works costs a repetition, and only a device that answers
// nothing is reset. A report that was written is never written again, because it
// may have arrived.
//
// Each step is counted, and logged at its 1st, 10th, 100th … time.
type link struct {
	open    func(context.Context, Matcher) (pipe, error)
	matcher Matcher
	log     *slog.Logger
	climber chan struct{} // one token: who put it there may take a step

	mu     sync.Mutex // guards what follows
	pipe   pipe       // nil while the device is away
	epoch  int        // counts the pipes
	closed bool
	device Info   // as last opened
	desc   []byte // likewise
	rung   Step   // of the next failing call of Get, Set or String
	slow   bool   // the device once needed more time than the first attempt has
	counts [steps]int
	known  map[report]bool // reports that were read once
	ahead  attempt         // the last of GetAll, if it failed
	bad    map[report]int  // how many calls in a row failed
}

type report struct {
	kind ReportType
	id   byte
}

// An attempt is one that has failed.
type attempt struct {
	report report
	epoch  int
	err    error
}

// openLink opens the first device that m accepts and keeps to it.
func openLink(ctx context.Context, open func(context.Context, Matcher) (pipe, error), m Matcher, log *slog.Logger) (*link, error) {
	p, err := open(ctx, m)
	if err != nil {
		return nil, err
	}
	l := &link{open: open, log: log, climber: make(chan struct{}, 1), pipe: p, device: p.Info(), desc: p.Descriptor(),
		known: map[report]bool{}, bad: map[report]int{}}
	l.matcher = m
	l.matcher.Exact = &l.device
	if m.Exact != nil {
		l.matcher.Exact = m.Exact
	}
	return l, nil
}

// Descriptor implements Conn.
func (l *link) Descriptor() []byte { return l.desc }

// Info implements Conn. It tells where the device was when it was first opened.
func (l *link) Info() Info { return l.device }

// Counts returns how often each step was taken.
func (l *link) Counts() [steps]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.counts
}

// Get implements Conn.
func (l *link) Get(ctx context.Context, t ReportType, id byte, buf []byte) (int, error) {
	var n int
	err := l.read(ctx, report{t, id}, func(p pipe, limit time.Duration) (err error) {
		n, err = p.Get(ctx, limit, t, id, buf)
		return err
	})
	return n, err
}

// String implements Conn. A string counts as a report of no type.
func (l *link) String(ctx context.Context, index int) (string, error) {
	var text string
	err := l.read(ctx, report{0, byte(index)}, func(p pipe, limit time.Duration) (err error) {
		text, err = p.String(ctx, limit, index)
		return err
	})
	return text, err
}

// GetAll asks for several reports, one after the other, until one fails. For Get that
// counts as its own first attempt.
func (l *link) GetAll(ctx context.Context, gs []Get) int {
	p, epoch := l.current()
	b, ok := p.(batcher)
	if !ok {
		return 0
	}
	n, err := b.GetAll(ctx, l.patience(), gs)
	for _, g := range gs[:n] {
		l.succeeded(report{g.Type, g.ID}, false)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ahead = attempt{}
	if err != nil {
		l.ahead = attempt{report{gs[n].Type, gs[n].ID}, epoch, err}
	}
	return n
}

// failedAhead returns the error of an attempt that GetAll made, and the pipe that it
// was made with, once.
func (l *link) failedAhead(r report) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.ahead
	l.ahead = attempt{}
	if a.report != r {
		return 0, nil
	}
	return a.epoch, a.err
}

// read performs a transfer that may be repeated, with what the ladder offers.
func (l *link) read(ctx context.Context, r report, transfer func(pipe, time.Duration) error) error {
	limit := l.patience()
	for try := 0; ; try++ {
		p, epoch := l.current()
		var begin time.Time
		var err error
		if try == 0 {
			var when int
			if when, err = l.failedAhead(r); err != nil {
				epoch = when
			}
		} else { // only what is repeated may take long and succeed
			begin = time.Now()
		}
		switch {
		case err != nil:
		case p != nil:
			err = transfer(p, limit)
		default:
			err = l.away()
		}
		if err == nil {
			l.succeeded(r, try > 0 && time.Since(begin) > readTimeout)
			return nil
		}
		step, repeat := l.failed(r, err, try)
		if !repeat || ctx.Err() != nil {
			return err
		}
		if climbed := l.climb(ctx, step, epoch, err); climbed != nil {
			return climbed
		}
		limit = retryTimeout
	}
}

// current returns the pipe, nil while the device is away.
func (l *link) current() (pipe, int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.pipe, l.epoch
}

// away is the error of a link without a pipe.
func (l *link) away() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return fmt.Errorf("use %v: %w", l.device, os.ErrClosed)
	}
	return fmt.Errorf("use %v: %w", l.device, ErrGone)
}

// patience is how long the first attempt of a read may take.
func (l *link) patience() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.slow {
		return retryTimeout
	}
	return readTimeout
}

func (l *link) succeeded(r report, slow bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.slow = l.slow || slow
	l.rung = Retry
	if !l.known[r] {
		l.known[r] = true
	}
	if len(l.bad) > 0 {
		delete(l.bad, r)
	}
}

// failed takes note of a failure and says whether to repeat, after which step.
func (l *link) failed(r report, err error, try int) (Step, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.closed, errors.Is(err, context.Canceled), errors.Is(err, ErrUnsupported):
		return 0, false
	case errors.Is(err, ErrStall):
		// An answer: the device lives. It is a passing fault only if the report
		// was good before.
		l.rung = Retry
		return Retry, try == 0 && l.known[r]
	case errors.Is(err, ErrGone):
		return Reenumerate, try == 0
	case try == 0:
		if l.rung == Retry && l.bad[r] >= badReport {
			l.rung++
			return 0, false
		}
		return l.rung, true
	}
	l.bad[r]++
	l.rung = min(l.rung+1, Reenumerate)
	return 0, false
}

// climb takes a step, or the next one that this pipe has. It returns nil if the
// transfer is worth repeating, and the error that the caller gets if not. If
// somebody else opened another pipe meanwhile it does nothing.
func (l *link) climb(ctx context.Context, step Step, epoch int, cause error) error {
	select {
	case l.climber <- struct{}{}:
	case <-ctx.Done():
		return cause
	}
	defer func() { <-l.climber }()
	for ; ; step++ {
		p, now := l.current()
		if now != epoch {
			return nil
		}
		if p == nil {
			step = Reenumerate
		}
		l.count(step, cause)
		err := l.take(ctx, step, p)
		switch {
		case err == nil:
			return nil
		case step >= Reenumerate:
			return err
		case errors.Is(err, ErrGone):
			step = Reenumerate - 1
		}
	}
}

// take performs one step.
func (l *link) take(ctx context.Context, step Step, p pipe) error {
	switch step {
	case Retry:
		return nil
	case ClearHalt:
		return p.ClearHalt()
	case Reset:
		if err := p.Reset(); err != nil {
			return err
		}
		l.set(p) // what Input waited for was thrown away; it begins anew
		return nil
	case Reopen:
		here := p.Info()
		m := Matcher{Accept: func(i Info) bool { return i.Bus == here.Bus && i.Device == here.Device && i.Same(here) }}
		return l.replace(ctx, p, m)
	}
	return l.replace(ctx, p, l.matcher)
}

// replace gives the old pipe up and opens another one.
func (l *link) replace(ctx context.Context, old pipe, m Matcher) error {
	if old != nil {
		old.Abandon()
		l.set(nil)
	}
	fresh, err := l.open(ctx, m)
	if err != nil {
		return fmt.Errorf("open %v again: %w", l.device, err)
	}
	if !l.set(fresh) {
		fresh.Close()
		return fmt.Errorf("open %v again: %w", l.device, os.ErrClosed)
	}
	return nil
}

// set makes p the pipe, unless the link was closed.
func (l *link) set(p pipe) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	l.pipe = p
	if p != nil {
		l.epoch++
	}
	return true
}

// count counts a step and logs it when its number is a power of ten.
func (l *link) count(step Step, cause error) {
	l.mu.Lock()
	l.counts[step]++
	n := l.counts[step]
	l.mu.Unlock()
	for n%10 == 0 {
		n /= 10
	}
	if n == 1 {
		l.log.Warn("USB transfer failed; "+step.String(), "device", l.device.String(), "times", l.Counts()[step], "error", cause)
	}
}

// Set implements Conn. It does not repeat.
func (l *link) Set(ctx context.Context, t ReportType, id byte, data []byte) error {
	p, epoch := l.current()
	if p == nil {
		// Nothing was sent yet, so the device may be looked for.
		if err := l.climb(ctx, Reenumerate, epoch, l.away()); err != nil {
			return err
		}
		if p, _ = l.current(); p == nil {
			return l.away()
		}
	}
	err := p.Set(ctx, writeTimeout, t, id, data)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil || errors.Is(err, ErrStall) {
		l.rung = Retry
	} else if l.rung == Retry {
		l.rung++ // the next read does not begin on the ground
	}
	return err
}

// Input implements Conn. The interrupt pipe has a way up the ladder of its own:
// a halt is cleared at once, another fault is waited out first.
func (l *link) Input(ctx context.Context, buf []byte) (int, error) {
	for rung := Retry; ; rung++ {
		p, epoch := l.current()
		if p == nil {
			return 0, l.away()
		}
		n, err := p.Input(ctx, buf)
		if err == nil || errors.Is(err, ErrTimeout) || ctx.Err() != nil {
			return n, err
		}
		step := rung
		switch {
		case l.isClosed():
			return 0, l.away()
		case errors.Is(err, ErrGone):
			step = Reenumerate
		case errors.Is(err, ErrStall):
			step = max(step, ClearHalt)
		default:
			pause(ctx, inputPause)
		}
		if rung > Reenumerate {
			return 0, err
		}
		if err := l.climb(ctx, step, epoch, err); err != nil {
			return 0, err
		}
	}
}

func (l *link) isClosed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closed
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// Close implements Conn. A device in trouble is not asked for anything more.
func (l *link) Close() error {
	l.mu.Lock()
	p, trouble := l.pipe, l.rung != Retry
	l.pipe, l.closed = nil, true
	l.mu.Unlock()
	switch {
	case p == nil:
		return nil
	case trouble:
		p.Abandon()
		return nil
	}
	return p.Close()
}
