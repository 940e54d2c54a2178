package daemon

import "time"

// Bounds of the pause between two equal messages that a Throttle lets pass.
const (
	throttleFirst = time.Minute
	throttleMost  = time.Hour
)

// A Throttle keeps a repeated message from filling the log: a new text passes at
// once, the same text again after a minute, then after twice as long each time, up
// to an hour. The zero value is ready. It belongs to one goroutine.
type Throttle struct {
	last  string
	next  time.Time
	pause time.Duration
	held  int
}

// Pass reports whether text should be logged now, and how often it was held back
// since it passed last.
func (t *Throttle) Pass(now time.Time, text string) (ok bool, held int) {
	if text != t.last || t.pause == 0 {
		*t = Throttle{last: text, pause: throttleFirst, next: now.Add(throttleFirst)}
		return true, 0
	}
	if now.Before(t.next) {
		t.held++
		return false, 0
	}
	held = t.held
	t.pause = min(2*t.pause, throttleMost)
	t.next, t.held = now.Add(t.pause), 0
	return true, held
}

// Reset forgets the last message: the trouble is over.
func (t *Throttle) Reset() { *t = Throttle{} }
