package upsmon

import "time"

// jump is by how much the clock of the day must differ from the running time
// before that is worth a notification. Slewing stays far below it.
const jump = 5 * time.Second

// A clockWatch compares the clock of the day with the running time. The latter
// stands still while the system sleeps and is not changed when somebody sets the
// clock.
type clockWatch struct {
	last  time.Time
	slept time.Duration // of the system in all, at the last look
}

func newClockWatch(now time.Time) *clockWatch {
	slept, _ := suspended()
	return &clockWatch{now, slept}
}

// look returns by how much the clock jumped since the last look, 0 if it did not,
// and whether it is certain that it was only set.
func (w *clockWatch) look(now time.Time) (by time.Duration, set bool) {
	by = divergence(w.last, now, now.Sub(w.last))
	slept, known := suspended()
	set = known && slept-w.slept < time.Second
	w.last, w.slept = now, slept
	return by, set
}

// divergence is the difference between the clock of the day, read twice, and the
// time that ran meanwhile; 0 if it is small.
func divergence(before, after time.Time, running time.Duration) time.Duration {
	by := after.Round(0).Sub(before.Round(0)) - running
	if by.Abs() < jump {
		return 0
	}
	return by
}
