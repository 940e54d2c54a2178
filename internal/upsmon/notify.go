package upsmon

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"gonut/internal/conf"
)

// A Notification is one message to people.
type Notification struct {
	Type string // as in NOTIFYFLAG; empty for a message that no flag chooses
	UPS  string // empty if it is about none
	Text string
	// Command is NOTIFYCMD as it is configured now. It must not be changed.
	Command []string
}

// A Notifier delivers notifications in one way. Notify may take as long as it
// needs; those of the same UPS wait for it, for a while.
type Notifier interface {
	// Flag is the flag of NOTIFYFLAG that chooses this Notifier.
	Flag() conf.NotifyFlag
	Notify(ctx context.Context, n Notification) error
}

const (
	noticesWaiting = 256             // of one UPS
	noticeWait     = 2 * time.Second // how long the next one waits for a slow one
	noticeOrder    = time.Second     // how long one about no UPS waits for those before it
	noticesRunning = 64              // of all UPSes, that nobody waits for any more
	noticesEnd     = 2 * time.Second // how long the end of upsmon waits for those that wait
)

// A dispatcher delivers notifications without holding anybody up: in order for
// each UPS, concurrently for several, and those about no UPS, such as SHUTDOWN, after
// what led to them. What takes long goes on by itself while the next one begins.
type dispatcher struct {
	notifiers []Notifier
	log       *slog.Logger
	queues    map[string]chan delivery // by UPS; owned by the loop
	last      map[string]chan struct{} // by UPS; the over of the latest delivery
	wg        sync.WaitGroup
	slow      chan struct{} // one place for each delivery that nobody waits for
	closing   chan struct{}
}

type delivery struct {
	notification Notification
	flags        conf.NotifyFlag
	after        []chan struct{} // to wait for
	over         chan struct{}   // closed when nobody waits for this one any more
}

func newDispatcher(ns []Notifier, log *slog.Logger) *dispatcher {
	return &dispatcher{
		notifiers: ns, log: log, queues: make(map[string]chan delivery), last: make(map[string]chan struct{}),
		slow: make(chan struct{}, noticesRunning), closing: make(chan struct{}),
	}
}

// send queues a notification. It never waits: when hundreds are waiting already,
// this one is lost and the log says so.
func (d *dispatcher) send(system string, n Notification, flags conf.NotifyFlag) {
	wanted := false
	for _, to := range d.notifiers {
		wanted = wanted || flags&to.Flag() != 0
	}
	if !wanted {
		return
	}
	q := d.queues[system]
	if q == nil {
		q = make(chan delivery, noticesWaiting)
		d.queues[system] = q
		d.wg.Go(func() { d.run(q) })
	}
	it := delivery{notification: n, flags: flags, over: make(chan struct{})}
	if system == "" {
		for _, over := range d.last {
			it.after = append(it.after, over)
		}
	}
	select {
	case q <- it:
		d.last[system] = it.over
	default:
		d.log.Error("notification lost: too many wait for delivery", "ups", n.UPS, "type", n.Type, "text", n.Text)
	}
}

// run delivers the notifications of one UPS.
func (d *dispatcher) run(q <-chan delivery) {
	for n := range q {
		d.await(n.after)
		done := make(chan struct{})
		go func() {
			defer close(done)
			d.deliver(n)
		}()
		t := time.NewTimer(noticeWait)
		select {
		case <-done:
		case <-t.C:
			d.leave(done)
		case <-d.closing:
			// The commands live on, as children of nobody.
		}
		t.Stop()
		close(n.over)
	}
}

// await waits until nobody waits for earlier deliveries any more, but not long.
func (d *dispatcher) await(earlier []chan struct{}) {
	t := time.NewTimer(noticeOrder)
	defer t.Stop()
	for _, over := range earlier {
		select {
		case <-over:
		case <-t.C:
			return
		case <-d.closing:
			return
		}
	}
}

// leave lets a slow delivery go on by itself if there are not too many of them.
func (d *dispatcher) leave(done <-chan struct{}) {
	select {
	case d.slow <- struct{}{}:
		go func() {
			<-done
			<-d.slow
		}()
		return
	default:
	}
	d.log.Warn("notifications are delayed: too many commands of earlier ones are still running", "running", noticesRunning)
	select {
	case <-done:
	case <-d.closing:
	}
}

func (d *dispatcher) deliver(n delivery) {
	for _, to := range d.notifiers {
		if n.flags&to.Flag() == 0 {
			continue
		}
		if err := to.Notify(context.Background(), n.notification); err != nil {
			d.log.Error("notify", "ups", n.notification.UPS, "type", n.notification.Type, "err", err)
		}
	}
}

// close waits a little for what is queued, then returns.
func (d *dispatcher) close() {
	for _, q := range d.queues {
		close(q)
	}
	t := time.AfterFunc(noticesEnd, func() { close(d.closing) })
	defer t.Stop()
	d.wg.Wait()
}
