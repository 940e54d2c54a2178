package conf

import (
	"io"
	"slices"
	"strings"
	"time"
)

// A UPSSched is upssched.conf.
type UPSSched struct {
	SchedSettings // as they are at the end of the file
	At            []At
	DebugMin      int // -1: not set
}

// SchedSettings are what an AT line works with.
type SchedSettings struct {
	CmdScript []string // a program and its first arguments
	PipeFN    string   // the socket of the timer process
	LockFN    string   // the file that keeps two of them from starting at once
}

// An At is one AT line of upssched.conf.
type At struct {
	Type    string // of the notification, in upper case
	UPS     string // as in UPSNAME; "*" is every one
	Command string // one of SchedCommands
	Name    string // of the timer; with EXECUTE what is given to CMDSCRIPT
	// After is how long a timer of START-TIMER and START-TIMER-SHARED runs; a
	// negative one never starts, as in C.
	After time.Duration
	// Else is what CANCEL-TIMER and CANCEL-TIMER-MATCHED give to CMDSCRIPT if there
	// is no such timer; it may be empty.
	Else     string
	Settings SchedSettings // what the lines above say; C reads line by line
	Line     int
}

// Starts reports whether the line starts a timer.
func (a At) Starts() bool { return a.Command == "START-TIMER" || a.Command == "START-TIMER-SHARED" }

// Cancels reports whether the line cancels a timer.
func (a At) Cancels() bool {
	return a.Command == "CANCEL-TIMER" || a.Command == "CANCEL-TIMER-MATCHED"
}

// Matches reports whether the line is about a notification of that type, in any
// case, for that ups.
func (a At) Matches(notifyType, upsName string) bool {
	return strings.EqualFold(a.Type, notifyType) && (a.UPS == "*" || a.UPS == upsName)
}

// SchedCommands returns the commands of AT lines.
func SchedCommands() []string {
	return []string{"START-TIMER", "START-TIMER-SHARED", "CANCEL-TIMER", "CANCEL-TIMER-MATCHED", "EXECUTE"}
}

// ParseUPSSched reads upssched.conf. Lines that cannot be used are problems, as they
// are only complaints to C. The error is an AT line above CMDSCRIPT, PIPEFN or
// LOCKFN, which ends C's upssched as well.
func ParseUPSSched(name string, r io.Reader) (UPSSched, []Problem, error) {
	c := UPSSched{DebugMin: -1}
	s := newSource(name, r)
	err := readDirectives(s, upsschedDirectives(), &c)
	return c, s.problems, err
}

func upsschedDirectives() []directive[UPSSched] {
	return []directive[UPSSched]{
		{name: "CMDSCRIPT", words: 2, set: func(c *UPSSched, l line) error {
			if l.command(&c.CmdScript) && strings.ContainsRune(c.CmdScript[0], ' ') {
				l.warn("CMDSCRIPT: %q has blanks; write a program's arguments as words of their own, outside the quotes", c.CmdScript[0])
			}
			return nil
		}},
		{name: "PIPEFN", words: 2, most: 2, set: func(c *UPSSched, l line) error {
			c.PipeFN = l.words[1]
			return nil
		}},
		{name: "LOCKFN", words: 2, most: 2, set: func(c *UPSSched, l line) error {
			c.LockFN = l.words[1]
			return nil
		}},
		{name: "DEBUG_MIN", fold: true, words: 2, most: 2, set: func(c *UPSSched, l line) error {
			l.debugMin(&c.DebugMin)
			return nil
		}},
		{name: "AT", words: 5, set: at},
	}
}

func at(c *UPSSched, l line) error {
	for _, need := range []struct {
		name    string
		missing bool
	}{
		{"CMDSCRIPT", len(c.CmdScript) == 0 || c.CmdScript[0] == ""},
		{"PIPEFN", c.PipeFN == ""},
		{"LOCKFN", c.LockFN == ""},
	} {
		if need.missing {
			return l.fatal("%s must be set above the first AT line", need.name)
		}
	}
	a := At{Type: strings.ToUpper(l.words[1]), UPS: l.words[2], Command: l.words[3], Name: l.words[4], Settings: c.SchedSettings, Line: l.no}
	if !slices.Contains(SchedCommands(), a.Command) {
		l.warn("AT: there is no command %s%s; the line is ignored", a.Command, hint(a.Command, SchedCommands()))
		return nil
	}
	most := 6
	if a.Command == "EXECUTE" {
		most = 5
	}
	l.surplus(most)
	switch {
	case a.Name == "":
		l.warn("AT … %s has an empty name; the line is ignored", a.Command)
		return nil
	case a.Starts():
		n, ok := l.timerSeconds(a)
		if !ok {
			return nil
		}
		a.After = seconds(n)
	case a.Cancels() && len(l.words) > 5:
		a.Else = l.words[5]
	}
	c.At = append(c.At, a)
	return nil
}

// timerSeconds reads how long a timer runs.
func (l line) timerSeconds(a At) (n int, ok bool) {
	if len(l.words) < 6 {
		l.warn("AT … %s %s has no seconds; the timer ends at once", a.Command, a.Name)
		return 0, true
	}
	n, ok = l.number(l.words[5])
	if ok && n < 0 {
		l.warn("AT … %s %s: a timer of %d seconds never starts", a.Command, a.Name, n)
	}
	return n, ok
}
