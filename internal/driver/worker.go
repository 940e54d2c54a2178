package driver

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"gonut/internal/ups"
)

// A worker makes the calls of one opened device, one after the other, on a
// goroutine of its own: a call that never returns costs this goroutine and
// nothing else. The device is closed on it too, after the last call.
type worker struct {
	jobs chan func() // closed by retire
	dev  Device      // touched by the worker's goroutine only
	log  *slog.Logger
}

// newWorker starts a worker. When it was retired and its last call has returned,
// the device is closed and the worker is sent to ended, which must have room.
func newWorker(log *slog.Logger, ended chan<- *worker) *worker {
	w := &worker{jobs: make(chan func(), 1), log: log}
	go func() {
		for job := range w.jobs {
			job()
		}
		if w.dev != nil {
			if err := w.safely(w.dev.Close); err != nil {
				log.Debug("close device", "error", err)
			}
		}
		ended <- w
	}()
	return w
}

// retire lets the worker end, now or as soon as its call returns.
func (w *worker) retire() { close(w.jobs) }

// safely turns a panic of a driver into an error that makes the session open the
// device again.
func (w *worker) safely(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			w.log.Error("the driver panicked; this is a bug, please report it", "panic", p, "stack", string(debug.Stack()))
			err = fmt.Errorf("driver panicked: %v: %w", p, ErrGone)
		}
	}()
	return f()
}

// usualChanges is what there is room for in an Update from the beginning: what most
// polls bring.
const usualChanges = 16

// An outcome is what a call came to.
type outcome struct {
	update *Update // of a poll
	wake   <-chan struct{}
	err    error
}

// A call is one call of a device that a worker is busy with.
type call struct {
	what    string
	started time.Time
	poll    bool
	late    bool      // the data were declared stale because it takes so long
	cutAt   time.Time // when it has to make way for a request; zero: never
	cut     bool      // it was cancelled for that
	limit   time.Time
	cancel  context.CancelFunc
	done    chan outcome
	then    func(outcome) // run by the loop
}

// begin gives the worker something to do, at most for limit.
func (w *worker) begin(ctx context.Context, what string, limit time.Duration, f func(context.Context) outcome) *call {
	ctx, cancel := context.WithTimeout(ctx, limit)
	now := time.Now()
	c := &call{what: what, started: now, limit: now.Add(limit + callGrace), cancel: cancel, done: make(chan outcome, 1)}
	w.jobs <- func() {
		var o outcome
		err := w.safely(func() error {
			o = f(ctx)
			return o.err
		})
		cancel()
		o.err = err
		c.done <- o
	}
	return c
}

func (w *worker) beginOpen(ctx context.Context, d *Driver, v Values, limit time.Duration) *call {
	return w.begin(ctx, "open", limit, func(ctx context.Context) outcome {
		dev, err := d.Open(ctx, v, w.log)
		if err != nil {
			return outcome{err: err}
		}
		w.dev = dev
		return outcome{wake: dev.Wake()}
	})
}

func (w *worker) beginPoll(ctx context.Context, depth Depth, limit time.Duration) *call {
	c := w.begin(ctx, "poll", limit, func(ctx context.Context) outcome {
		u := &Update{changes: make([]ups.Change, 0, usualChanges)}
		return outcome{update: u, err: w.dev.Poll(ctx, depth, u)}
	})
	c.poll = true
	return c
}
