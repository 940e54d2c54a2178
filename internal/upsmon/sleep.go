package upsmon

import (
	"context"
	"time"

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

// slept takes in that the system is about to sleep, or woke up.
func (l *loop) slept(asleep bool) {
	if asleep == l.asleep {
		return
	}
	l.asleep, l.since = asleep, time.Now()
	if asleep {
		l.deps.Service.Reloading()
		l.step(monitor.Suspending{})
		return
	}
	l.step(monitor.Resumed{})
	l.deps.Service.Ready("")
}

// dozeMost is how long this program may run while the system is said to sleep.
// Running time stands still in sleep, so this is for falling asleep only.
const dozeMost = 2 * time.Minute

// wakeUp sees that the system is awake although nobody said so. Without it a login
// manager that goes away at the wrong moment would leave this host unprotected.
func (l *loop) wakeUp() {
	if l.asleep && time.Since(l.since) > dozeMost {
		l.log.Warn("the system was said to go to sleep and is awake all the same")
		l.slept(false)
	}
}
