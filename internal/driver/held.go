package driver

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"gonut/internal/drvsock"
	"gonut/internal/ups"
)

// held is what a session does with values whose successors are overdue: for a while
// they are held, then they are stale. In both cases their age is told. The zero
// value means that all is well.
type held struct {
	since   time.Time // when new values were due
	staleAt time.Time
	stale   bool // that was told
	ageAt   time.Time
}

// next is when there is something to tell; zero if there never is.
func (h held) next() time.Time {
	switch {
	case h.since.IsZero():
		return time.Time{}
	case !h.stale && h.staleAt.Before(h.ageAt):
		return h.staleAt
	}
	return h.ageAt
}

// hold keeps the values that there are, although new ones were due at since, until
// they are stale. Of several reasons the first one to make them stale counts.
func (l *loop) hold(since, staleAt time.Time) {
	if l.lastRead.IsZero() {
		return // there are none
	}
	if l.held.since.IsZero() {
		l.held = held{since: since, staleAt: staleAt}
	}
	if staleAt.Before(l.held.staleAt) {
		l.held.staleAt = staleAt
	}
	l.held.ageAt = time.Time{} // now
	l.checkHeld(time.Now())
}

// holdAfter is hold for values that could not be read.
func (l *loop) holdAfter(err error, due time.Time) {
	staleAt := due.Add(holdOver)
	if errors.Is(err, ErrStale) {
		staleAt = due
	}
	l.hold(due, staleAt)
}

// checkHeld tells the age of the values, and that they are stale.
func (l *loop) checkHeld(now time.Time) {
	if l.held.since.IsZero() {
		return
	}
	var cs []ups.Change
	if !l.held.stale && !now.Before(l.held.staleAt) {
		l.held.stale = true
		cs = append(cs, ups.Change{Op: ups.DataStale})
	}
	if !now.Before(l.held.ageAt) || len(cs) > 0 {
		l.held.ageAt = now.Add(ageEvery)
		cs = append(cs, ups.Set(dataAgeName, fmt.Sprint(int(now.Sub(l.lastRead).Seconds()))))
	}
	l.state.Apply(cs...)
}

// Missed says that a variable could not be read this time although others could.
// Its value stays, and who looks is told from when it is. Missing ups.status means
// that the poll did not learn what matters: the data become stale in a while.
func (u *Update) Missed(names ...string) { u.missed = append(u.missed, names...) }

func (u *Update) missedStatus() bool { return slices.Contains(u.missed, ups.StatusName) }

// missed returns the change that tells which values are older than the others.
func (l *loop) missed(u *Update) []ups.Change {
	if len(u.missed) == 0 && len(l.overdue) == 0 {
		return nil
	}
	for _, name := range u.missed {
		if _, known := l.state.Variable(name); known && !slices.Contains(l.overdue, name) {
			l.overdue = append(l.overdue, name)
		}
	}
	l.overdue = slices.DeleteFunc(l.overdue, func(name string) bool {
		return u.sets(name) || u.deletes(name) || u.freshStatus(name)
	})
	text := ""
	for i, name := range l.overdue {
		at, _ := l.ReadAt(name)
		more := name + "@" + at.UTC().Format(time.RFC3339)
		if rest := fmt.Sprintf(" and %d more", len(l.overdue)-i); len(text)+1+len(more)+len(rest) > drvsock.MaxValue {
			text += rest
			break
		}
		text = strings.TrimLeft(text+" "+more, " ")
	}
	return []ups.Change{setOrDelete(dataHeldName, text)}
}

// freshStatus reports whether name is ups.status and the update has learnt it.
func (u *Update) freshStatus(name string) bool {
	return name == ups.StatusName && !u.missedStatus()
}

func (u *Update) deletes(name string) bool {
	return slices.ContainsFunc(u.changes, func(c ups.Change) bool {
		return c.Op == ups.DelInfo && strings.EqualFold(c.Name, name)
	})
}
