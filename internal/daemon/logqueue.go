package daemon

import (
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"
)

// queuedLines is how many lines may wait to be written.
const queuedLines = 1024

// A logQueue takes lines for a goroutine that writes them.
type logQueue struct {
	lines chan logLine
	lost  atomic.Int64  // lines that found no place
	end   chan struct{} // closed when no more lines come
	done  chan struct{} // closed when all are written
}

// A logLine is one message on its way.
type logLine struct {
	now   time.Time
	level slog.Level
	text  string
}

func (q *logQueue) add(line logLine) {
	select {
	case q.lines <- line:
	default:
		q.lost.Add(1)
	}
}

// LogFlush is how long the end of a program waits for whoever reads its log.
const LogFlush = time.Second

// NeverWait leaves the writing to a goroutine, so that a terminal that is stopped, a
// pipe that nobody reads or a disk that hangs behind syslog holds up nobody who logs.
// What finds hundreds of lines waiting is lost, and how much is told later. flush
// waits for what is left, but at most for d; the log is then as it was before. It
// must be called once.
func (l *Log) NeverWait() (flush func(d time.Duration)) {
	q := &logQueue{lines: make(chan logLine, queuedLines), end: make(chan struct{}), done: make(chan struct{})}
	l.queue.Store(q)
	go l.writeQueue(q)
	return func(d time.Duration) {
		l.queue.Store(nil)
		close(q.end)
		limit := time.NewTimer(d)
		defer limit.Stop()
		select {
		case <-q.done:
		case <-limit.C:
		}
	}
}

func (l *Log) writeQueue(q *logQueue) {
	defer close(q.done)
	for {
		select {
		case line := <-q.lines:
			l.writeQueued(q, line)
		case <-q.end:
			for {
				select {
				case line := <-q.lines:
					l.writeQueued(q, line)
				default:
					return
				}
			}
		}
	}
}

func (l *Log) writeQueued(q *logQueue, line logLine) {
	l.writeNow(line.now, line.level, line.text)
	if n := q.lost.Swap(0); n > 0 {
		l.writeNow(time.Now(), slog.LevelWarn, fmt.Sprintf("%d messages are lost: nobody took them in time", n))
	}
}
