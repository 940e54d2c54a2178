package upsmon

import "time"

// jump is by how much the clock of the day must differ from the running time
// before that is worth a notification. Slewing stays far below it.
const jump = 5 * time.Second

// A clockWatch compares the clock of the day with the running time. The latter
// stands still while the system sleeps and is not changed when somebody sets the
// clock.
type clockWatch struct{ last time.Time }

func newClockWatch(now time.Time) *clockWatch { return &clockWatch{now} }

// look returns by how much the clock jumped since the last look, 0 if it did not.
func (w *clockWatch) look(now time.Time) time.Duration {
	running := now.Sub(w.last)
	by := divergence(w.last, now, running)
	w.last = now
	return by
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
