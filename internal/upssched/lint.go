package upssched

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"gonut/internal/conf"
	"gonut/internal/words"
)

// ends says by which notification the state that another one tells of is over.
var ends = map[string]string{
	"ONBATT": "ONLINE", "ONLINE": "ONBATT", "LOWBATT": "ONLINE",
	"COMMBAD": "COMMOK", "NOCOMM": "COMMOK", "COMMOK": "COMMBAD",
	"CAL": "NOTCAL", "NOTCAL": "CAL", "OFF": "NOTOFF", "NOTOFF": "OFF", "BYPASS": "NOTBYPASS", "NOTBYPASS": "BYPASS",
	"ECO": "NOTECO", "NOTECO": "ECO", "ALARM": "NOTALARM", "NOTALARM": "ALARM", "OVER": "NOTOVER", "NOTOVER": "OVER",
	"TRIM": "NOTTRIM", "NOTTRIM": "TRIM", "BOOST": "NOTBOOST", "NOTBOOST": "BOOST", "OTHER": "NOTOTHER", "NOTOTHER": "OTHER",
	"SUSPEND_STARTING": "SUSPEND_FINISHED",
}

// aboutNone are the notifications without a UPS: UPSNAME is empty.
var aboutNone = []string{"SHUTDOWN", "SHUTDOWN_HOSTSYNC", "NOPARENT", "SUSPEND_STARTING", "SUSPEND_FINISHED", "SUSPEND_TIMEJUMP_UNEXPECTED"}

// A linter looks for lines of upssched.conf that are correct and hardly meant.
type linter struct {
	file     string
	at       []conf.At
	problems []conf.Problem
}

// lint returns what looks wrong in a configuration, by line. m is upsmon's; nil if it
// is not known.
func lint(file string, c conf.UPSSched, m *conf.UPSMon) []conf.Problem {
	l := &linter{file: file, at: c.At}
	for _, a := range c.At {
		l.checkType(a)
		switch {
		case a.Starts():
			l.checkStart(a)
		case a.Cancels():
			l.checkCancel(a)
		}
	}
	l.checkOrder()
	l.checkSpelling()
	if m != nil {
		l.checkMonitor(*m)
	}
	slices.SortStableFunc(l.problems, func(a, b conf.Problem) int { return cmp.Compare(a.Line, b.Line) })
	return l.problems
}

func (l *linter) warn(line int, format string, args ...any) {
	l.problems = append(l.problems, conf.Problem{File: l.file, Line: line, Text: fmt.Sprintf(format, args...)})
}

func meant(word string, known []string) string {
	if n := words.Nearest(word, known); n != "" && n != word {
		return fmt.Sprintf("; did you mean %s?", n)
	}
	return ""
}

// where returns the lines of the file that ok accepts.
func (l *linter) where(ok func(conf.At) bool) []conf.At {
	var found []conf.At
	for _, a := range l.at {
		if ok(a) {
			found = append(found, a)
		}
	}
	return found
}

func names(at []conf.At) []string {
	var ns []string
	for _, a := range at {
		ns = append(ns, a.Name)
	}
	return ns
}

func (l *linter) checkType(a conf.At) {
	if !slices.Contains(conf.NotifyTypes(), a.Type) {
		l.warn(a.Line, "upsmon sends no notification %s%s", a.Type, meant(a.Type, conf.NotifyTypes()))
	}
}

// checkStart looks for what cancels a timer when its cause is gone.
func (l *linter) checkStart(a conf.At) {
	over := ends[a.Type]
	if over == "" || a.After <= 0 {
		return // nothing to wait for
	}
	cancels := l.where(func(o conf.At) bool { return o.Cancels() && o.Name == a.Name })
	if len(cancels) == 0 {
		idle := l.where(func(o conf.At) bool { return o.Cancels() && !l.started(o.Name) })
		l.warn(a.Line, "nothing cancels the timer %s: it ends after %v even if %s was over after a second%s; cancel it with: AT %s %s CANCEL-TIMER %s",
			a.Name, a.After, a.Type, meant(a.Name, names(idle)), over, words.Quote(a.UPS), words.Quote(a.Name))
		return
	}
	// One that each notification starts anew, as a heartbeat does, is meant to end.
	if !slices.ContainsFunc(cancels, func(o conf.At) bool { return o.Type == over || o.Type == a.Type }) {
		l.warn(a.Line, "%s does not cancel the timer %s, only %s on line %d does: it may end after %v even if %s was over after a second",
			over, a.Name, cancels[0].Type, cancels[0].Line, a.After, a.Type)
		return
	}
	if !slices.ContainsFunc(cancels, func(o conf.At) bool { return o.UPS == "*" || o.UPS == a.UPS }) {
		l.warn(a.Line, "the timer %s starts for %s, but line %d cancels it only for %s", a.Name, every(a.UPS), cancels[0].Line, every(cancels[0].UPS))
	}
}

func every(upsName string) string {
	switch upsName {
	case "*":
		return "every UPS"
	case "":
		return "notifications without a UPS"
	}
	return upsName
}

func (l *linter) started(name string) bool {
	return slices.ContainsFunc(l.at, func(o conf.At) bool { return o.Starts() && o.Name == name })
}

func (l *linter) checkCancel(a conf.At) {
	if !l.started(a.Name) {
		starts := l.where(conf.At.Starts)
		l.warn(a.Line, "nothing starts the timer %s%s", a.Name, meant(a.Name, names(starts)))
	}
}

// checkOrder looks for lines that undo or double what one above does for the same
// notification.
func (l *linter) checkOrder() {
	for i, a := range l.at {
		if !a.Starts() {
			continue
		}
		for _, o := range l.at[i+1:] {
			if o.Name != a.Name || o.Type != a.Type || !overlap(o.UPS, a.UPS) {
				continue
			}
			if o.Cancels() {
				l.warn(o.Line, "this cancels at once what line %d starts for the same notification; to start anew, cancel above", a.Line)
				break
			}
			if o.Command == "START-TIMER" {
				l.warn(o.Line, "for the same notification line %d starts the timer %s already, so two of them run", a.Line, a.Name)
				break
			}
		}
	}
}

func overlap(a, b string) bool { return a == b || a == "*" || b == "*" }

// checkSpelling looks for names that only a machine would tell apart.
func (l *linter) checkSpelling() {
	type first struct {
		name string
		line int
	}
	seen := make(map[string]first)
	for _, a := range l.at {
		for _, name := range []string{a.Name, a.Else} {
			if name == "" {
				continue
			}
			key := strings.ToLower(strings.NewReplacer("-", "", "_", "", " ", "").Replace(name))
			if f, ok := seen[key]; !ok {
				seen[key] = first{name, a.Line}
			} else if f.name != name {
				l.warn(a.Line, "%s is another name than %s on line %d; are they meant to be the same?", name, f.name, f.line)
			}
		}
	}
}

// checkMonitor compares with what upsmon sends to upssched at all.
func (l *linter) checkMonitor(m conf.UPSMon) {
	if len(m.NotifyCmd) == 0 && len(l.at) > 0 {
		l.warn(0, "upsmon.conf has no NOTIFYCMD, so upssched is never run")
	}
	var systems []string
	for _, mon := range m.Monitors {
		systems = append(systems, mon.System)
	}
	told := make(map[string]bool)
	for _, a := range l.at {
		if !slices.Contains(conf.NotifyTypes(), a.Type) {
			continue
		}
		if f := m.NotifyFlag[a.Type]; !told[a.Type] && (f&conf.NotifyExec == 0 || f&conf.NotifyIgnore != 0) {
			told[a.Type] = true
			l.warn(a.Line, "upsmon.conf has no EXEC for %s, so this never happens; write there: NOTIFYFLAG %s SYSLOG+WALL+EXEC", a.Type, a.Type)
		}
		l.checkName(a, systems)
		if len(systems) > 1 && a.Command == "CANCEL-TIMER" {
			l.checkOthers(a)
		}
	}
}

func (l *linter) checkName(a conf.At, systems []string) {
	none := slices.Contains(aboutNone, a.Type)
	switch {
	case a.UPS == "*" || none && a.UPS == "" || !none && slices.Contains(systems, a.UPS):
	case none:
		l.warn(a.Line, "%s is about no UPS, so it never matches %s; write * there", a.Type, a.UPS)
	case a.UPS == "":
		l.warn(a.Line, "%s is always about a UPS, so an empty name never matches", a.Type)
	default:
		hint := meant(a.UPS, systems)
		for _, s := range systems {
			if strings.HasPrefix(s, a.UPS+"@") || strings.HasPrefix(a.UPS, s+"@") || strings.EqualFold(s, a.UPS) {
				hint = fmt.Sprintf("; did you mean %s?", s)
			}
		}
		l.warn(a.Line, "upsmon.conf has no MONITOR line for %s, and names must be the same to the letter%s", a.UPS, hint)
	}
}

// checkOthers finds a cancellation that the return of one UPS brings to others.
func (l *linter) checkOthers(a conf.At) {
	for _, s := range l.at {
		if a.UPS == "*" && s.Starts() && s.UPS == "*" && s.Name == a.Name && ends[s.Type] == a.Type {
			l.warn(a.Line, "%s of one UPS cancels the timer %s of the others as well; CANCEL-TIMER-MATCHED does not", a.Type, a.Name)
			return
		}
	}
}
