package daemon

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode"

	"gonut/internal/program"
)

// Levels between and beyond those of slog, as syslog has them.
const (
	LevelNotice   = slog.Level(2)
	LevelCritical = slog.Level(12)
	LevelAlert    = slog.Level(16)
)

// Debug returns the level of a message that is shown when -D was given at least n
// times. Level 0 is always shown.
func Debug(n int) slog.Level { return levelDebug0 - slog.Level(n) }

// levelDebug0 is just below Info, so that slog.LevelDebug is Debug(1).
const levelDebug0 = slog.LevelDebug + 1

// A Log is where the messages of one program go: standard error in the foreground,
// syslog in the background, or both. It is safe for concurrent use.
type Log struct {
	tag       string
	noSyslog  bool // NUT_DEBUG_SYSLOG=none or stderr
	verbosity atomic.Int32
	queue     atomic.Pointer[logQueue] // nil: whoever logs writes

	mu      sync.Mutex // guards what follows and serialises lines
	keepErr bool       // standard error stays open in the background
	w       io.Writer  // nil: closed
	start   time.Time  // of the first line; zero before
	sys     *syslogConn
}

// NewLog returns a log that writes to the program's standard error. name is the
// program's name; it marks debug messages and is syslog's ident. NUT_DEBUG_PID,
// NUT_DEBUG_PROCNAME and NUT_DEBUG_SYSLOG are heeded.
func NewLog(name string, e program.Env) *Log {
	l := &Log{tag: name, w: e.Stderr}
	if e.Getenv("NUT_DEBUG_PID") != "" {
		l.tag = strconv.Itoa(os.Getpid()) + ":" + l.tag
	}
	if e.Getenv("NUT_DEBUG_PROCNAME") != "" && len(e.Args) > 0 {
		if called := filepath.Base(e.Args[0]); called != name {
			l.tag += ":" + called
		}
	}
	l.sys = newSyslog(name)
	switch mode := e.Getenv("NUT_DEBUG_SYSLOG"); mode {
	case "stderr":
		l.keepErr, l.noSyslog = true, true
	case "none", "false":
		l.noSyslog = true
	case "", "syslog", "true", "default":
	default:
		fmt.Fprintf(e.Stderr, "NUT_DEBUG_SYSLOG: unknown value %q; known are stderr, none and default\n", mode)
	}
	return l
}

// Logger returns a logger that writes to l.
func (l *Log) Logger() *slog.Logger { return slog.New(handler{log: l}) }

// SetVerbosity chooses up to which debug level messages are shown.
func (l *Log) SetVerbosity(n int) { l.verbosity.Store(int32(n)) }

// Verbosity returns the debug level up to which messages are shown.
func (l *Log) Verbosity() int { return int(l.verbosity.Load()) }

// OpenSyslog sends all messages to syslog from now on, in addition to standard
// error. It heeds NUT_DEBUG_SYSLOG. A missing syslog is no error: early and late
// in a system's life there is none.
func (l *Log) OpenSyslog() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.noSyslog {
		l.sys.on = true
	}
}

// SetSyslogThreshold chooses what reaches syslog by the number of -q: 0 debug
// messages and all above, 1 info, 2 notice, 3 warning, 4 error, 5 critical, 6
// alert, 7 emergency. More is an error.
func (l *Log) SetSyslogThreshold(quiet int) error {
	if quiet < 0 || quiet > 7 {
		return fmt.Errorf("choose syslog threshold: -q was given %d times; 7 is the most", quiet)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sys.least = 7 - quiet
	return nil
}

// KeepStderr lets messages reach standard error in the background as well.
func (l *Log) KeepStderr() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.keepErr = true
}

// background moves the log from standard error to syslog. It reports whether
// standard error has to stay open.
func (l *Log) background() (keepStderr bool) {
	l.OpenSyslog()
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.keepErr {
		l.w = nil
	}
	return l.keepErr
}

// enabled reports whether a message of this level is shown at all.
func (l *Log) enabled(level slog.Level) bool {
	return level >= levelDebug0 || int(levelDebug0-level) <= l.Verbosity()
}

// write sends one line everywhere, or has it sent.
func (l *Log) write(now time.Time, level slog.Level, text string) error {
	if q := l.queue.Load(); q != nil {
		q.add(logLine{now: now, level: level, text: text})
		return nil
	}
	return l.writeNow(now, level, text)
}

func (l *Log) writeNow(now time.Time, level slog.Level, text string) error {
	if n := int(levelDebug0 - level); n >= 1 {
		text = fmt.Sprintf("[D%d:%s] %s", n, l.tag, text)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.start.IsZero() {
		l.start = now
	}
	l.sys.send(now, priority(level), text)
	if l.w == nil {
		return nil
	}
	if l.Verbosity() > 0 {
		d := max(now.Sub(l.start), 0)
		text = fmt.Sprintf("%4d.%06d\t%s", d/time.Second, d%time.Second/time.Microsecond, text)
	}
	_, err := io.WriteString(l.w, text+"\n")
	return err
}

// priority returns syslog's severity of a level: 7 is debug, 0 emergency.
func priority(level slog.Level) int {
	switch {
	case level >= LevelAlert:
		return 1
	case level >= LevelCritical:
		return 2
	case level >= slog.LevelError:
		return 3
	case level >= slog.LevelWarn:
		return 4
	case level >= LevelNotice:
		return 5
	case level >= slog.LevelInfo:
		return 6
	}
	return 7
}

// A handler turns records into lines: the message, then its attributes.
type handler struct {
	log   *Log
	attrs string // of WithAttrs, each with a leading blank
	group string // prefix of keys, with a trailing dot
}

func (h handler) Enabled(_ context.Context, level slog.Level) bool { return h.log.enabled(level) }

func (h handler) Handle(_ context.Context, r slog.Record) error {
	var b strings.Builder
	b.WriteString(r.Message)
	b.WriteString(h.attrs)
	r.Attrs(func(a slog.Attr) bool {
		appendAttr(&b, h.group, a)
		return true
	})
	now := r.Time
	if now.IsZero() {
		now = time.Now()
	}
	return h.log.write(now, r.Level, b.String())
}

func (h handler) WithAttrs(as []slog.Attr) slog.Handler {
	var b strings.Builder
	b.WriteString(h.attrs)
	for _, a := range as {
		appendAttr(&b, h.group, a)
	}
	h.attrs = b.String()
	return h
}

func (h handler) WithGroup(name string) slog.Handler {
	if name != "" {
		h.group += name + "."
	}
	return h
}

// appendAttr writes " key=value", the value quoted if a reader could mistake
// where it ends.
func appendAttr(b *strings.Builder, group string, a slog.Attr) {
	v := a.Value.Resolve()
	if v.Kind() == slog.KindGroup {
		if a.Key != "" {
			group += a.Key + "."
		}
		for _, sub := range v.Group() {
			appendAttr(b, group, sub)
		}
		return
	}
	if a.Key == "" {
		return
	}
	s := v.String()
	if s == "" || strings.ContainsFunc(s, mustQuote) {
		s = strconv.Quote(s)
	}
	fmt.Fprintf(b, " %s%s=%s", group, a.Key, s)
}

func mustQuote(r rune) bool {
	return r <= ' ' || r == '"' || r == '=' || !unicode.IsPrint(r)
}
