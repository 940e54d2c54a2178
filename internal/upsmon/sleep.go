package upsmon

import (
	"context"

	"gonut/internal/upsmon/monitor"
)

// A Sleeper knows when the operating system goes to sleep and wakes up.
type Sleeper interface {
	// Watch calls tell with true before the system sleeps and with false after it
	// woke up, until ctx ends. The system waits, for a while, until tell has
	// returned.
	Watch(ctx context.Context, tell func(asleep bool)) error
}

// watchSleep starts listening to the Sleeper.
func (l *loop) watchSleep() (events <-chan bool, stop func()) {
	if l.deps.Sleep == nil {
		return nil, func() {}
	}
	c := make(chan bool)
	ctx, cancel := context.WithCancel(l.inner)
	l.wg.Go(func() {
		err := l.deps.Sleep.Watch(ctx, func(asleep bool) {
			select {
			case c <- asleep:
			case <-ctx.Done():
			}
		})
		if err != nil && ctx.Err() == nil {
			l.log.Info("the system does not tell when it sleeps; only jumps of the clock will show it", "err", err)
		}
	})
	return c, cancel
}

func (l *loop) slept() {
	if l.asleep {
		l.deps.Service.Reloading()
		l.step(monitor.Suspending{})
		return
	}
	l.step(monitor.Resumed{})
	l.deps.Service.Ready("")
}
