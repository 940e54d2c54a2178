package upsdrvctl

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"sync"
)

// exitReload is with which code a driver ends that was told to reload-or-exit and
// met a changed setting that only a restart applies: 128 + SIGUSR1.
const exitReload = 138

// reason says in words how a driver ended. last is what it printed last, empty if
// that is not known.
func reason(s *os.ProcessState, last string) string {
	switch code := s.ExitCode(); {
	case code == 0:
		return "it was told to end"
	case code == exitReload:
		return "a setting was changed that only a restart applies"
	case code < 0:
		return killedBy(strings.TrimPrefix(s.String(), "signal: "))
	case isCrash(last):
		return "it crashed: " + last
	case last != "":
		return fmt.Sprintf("exit status=%d: %s", code, last)
	default:
		return fmt.Sprintf("exit status=%d", code)
	}
}

// isCrash reports whether a line is the first of those that a Go program prints
// when it crashes.
func isCrash(line string) bool {
	return strings.HasPrefix(line, "panic: ") || strings.HasPrefix(line, "fatal error: ") ||
		strings.HasPrefix(line, "SIG") && strings.Contains(line, ": ")
}

// killedBy explains the name of a signal.
func killedBy(signal string) string {
	name, dumped, _ := strings.Cut(signal, " (")
	if dumped != "" {
		dumped = ", " + strings.TrimSuffix(dumped, ")")
	}
	switch name {
	case "killed":
		return "killed by SIGKILL, by somebody or for want of memory"
	case "terminated":
		return "ended by SIGTERM before it was ready for it"
	case "segmentation fault", "bus error", "aborted", "illegal instruction", "floating point exception", "trace/breakpoint trap":
		return "it crashed: " + name + dumped
	}
	return "ended by signal: " + name + dumped
}

// A lastLine passes what a driver prints on to another writer and remembers the
// line that tells most about its end: the first of a Go crash or else the last.
type lastLine struct {
	mu    sync.Mutex
	to    interface{ Write([]byte) (int, error) }
	part  []byte // of a line that is not complete
	last  string
	crash bool // last is the first line of a crash
}

// maxLine bounds how much of a line is remembered.
const maxLine = 200

func (l *lastLine) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, b := range bytes.SplitAfter(p, []byte{'\n'}) {
		if len(l.part) < maxLine {
			l.part = append(l.part, b...)
		}
		if bytes.HasSuffix(b, []byte{'\n'}) {
			l.keep(string(bytes.TrimSpace(l.part)))
			l.part = l.part[:0]
		}
	}
	// A driver must not end because nobody reads what it says.
	l.to.Write(p)
	return len(p), nil
}

func (l *lastLine) keep(line string) {
	line = line[:min(len(line), maxLine)]
	if line == "" || l.crash {
		return
	}
	l.crash, l.last = isCrash(line), line
}

// String returns the line.
func (l *lastLine) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last
}
