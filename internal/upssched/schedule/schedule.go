// Package schedule decides for upssched: which orders a notification means, which
// timers there are, when they end and what is then to be done. It has no clock, no
// processes and no sockets: time is an argument, and what to do comes out as actions.
package schedule

import (
	"slices"
	"time"
)

const (
	// Linger is how long a schedule without timers lasts, as long as C's.
	Linger = 15 * time.Second
	// MaxTimers is how many timers may run at a time. More are refused: something
	// has gone round in circles.
	MaxTimers = 1024
	// maxOrigins is how many notifications a shared timer remembers.
	maxOrigins = 64
)

// A Schedule is a set of running timers. It must not be used from two goroutines at
// once.
type Schedule struct {
	timers []*Timer // in the order in which they were started
	idle   time.Time
	out    []Action
}

// A Timer is one that runs.
type Timer struct {
	Name    string
	Due     time.Time
	Origins []Origin // the notifications that want it; never empty
}

// An Origin is the notification that an order comes from.
type Origin struct{ Type, UPS, Message string }

// New returns a schedule without timers.
func New(now time.Time) *Schedule { return &Schedule{idle: now} }

// Step takes in an event and returns what is to be done, in this order. Timers that
// are due end after the event, so that a cancellation that comes at the last moment
// counts.
func (s *Schedule) Step(now time.Time, e Event) []Action {
	s.out = nil
	switch e := e.(type) {
	case Start:
		s.start(now, e)
	case Cancel:
		s.cancel(now, e)
	case Execute:
		s.do(Run{Command: e.Command, Origins: []Origin{e.Origin}})
	case Tick:
	}
	s.end(now)
	if len(s.timers) == 0 && now.Sub(s.idle) >= Linger {
		s.do(Quit{})
	}
	return s.out
}

// Deadline returns when the next Tick is needed at the latest.
func (s *Schedule) Deadline() time.Time {
	if len(s.timers) == 0 {
		return s.idle.Add(Linger)
	}
	return slices.MinFunc(s.timers, func(a, b *Timer) int { return a.Due.Compare(b.Due) }).Due
}

// Timers returns the running timers in the order in which they were started.
func (s *Schedule) Timers() []Timer {
	ts := make([]Timer, len(s.timers))
	for i, t := range s.timers {
		ts[i] = t.copy()
	}
	return ts
}

func (s *Schedule) do(a Action) { s.out = append(s.out, a) }

func (s *Schedule) start(now time.Time, e Start) {
	if e.After < 0 {
		s.do(Refused{e.Name, "it would have to end in the past"})
		return
	}
	if e.Shared {
		if i := slices.IndexFunc(s.timers, func(t *Timer) bool { return t.Name == e.Name }); i >= 0 {
			t := s.timers[i]
			if !slices.Contains(t.Origins, e.Origin) && len(t.Origins) < maxOrigins {
				t.Origins = append(t.Origins, e.Origin)
			}
			s.do(Joined{t.copy(), e.Origin})
			return
		}
	}
	if len(s.timers) >= MaxTimers {
		s.do(Refused{e.Name, "too many timers are running"})
		return
	}
	t := &Timer{Name: e.Name, Due: now.Add(e.After), Origins: []Origin{e.Origin}}
	s.timers = append(s.timers, t)
	s.do(Started{t.copy()})
}

// cancel removes all timers of a name. One that notifications of several UPSes wait
// for goes on without this one, if the order is only about that.
func (s *Schedule) cancel(now time.Time, e Cancel) {
	found := false
	s.keep(now, func(t *Timer) bool {
		if t.Name != e.Name {
			return true
		}
		if !e.Matched {
			found = true
			s.do(Cancelled{t.copy()})
			return false
		}
		rest := slices.DeleteFunc(slices.Clone(t.Origins), func(o Origin) bool { return o.UPS == e.UPS })
		switch {
		case len(rest) == len(t.Origins): // another UPS's timer
			return true
		case len(rest) == 0:
			s.do(Cancelled{t.copy()})
		default:
			t.Origins = rest
			s.do(Left{t.copy(), e.Origin})
		}
		found = true
		return len(rest) > 0
	})
	if !found && e.Else != "" {
		s.do(Run{Command: e.Else, Origins: []Origin{e.Origin}})
	}
}

// end removes the timers that are due and runs what they stand for.
func (s *Schedule) end(now time.Time) {
	s.keep(now, func(t *Timer) bool {
		if now.Before(t.Due) {
			return true
		}
		s.do(Run{Command: t.Name, Origins: t.Origins, Timer: true})
		return false
	})
}

// keep removes the timers that ok refuses.
func (s *Schedule) keep(now time.Time, ok func(*Timer) bool) {
	had := len(s.timers)
	s.timers = slices.DeleteFunc(s.timers, func(t *Timer) bool { return !ok(t) })
	if had > 0 && len(s.timers) == 0 {
		s.idle = now
	}
}

func (t *Timer) copy() Timer {
	c := *t
	c.Origins = slices.Clone(t.Origins)
	return c
}
