package upsmon

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"time"

	"gonut/internal/upsmon/monitor"
)

// A Report is what upsmon -c status shows.
type Report struct {
	Phase    string
	Supplies int // the power values of those UPSes that are not critical
	Needed   int // MINSUPPLIES
	Units    []monitor.UnitView
}

func (l *loop) report(now time.Time) Report {
	return Report{
		Phase: l.m.Phase().String(), Supplies: l.m.Supplies(now), Needed: l.m.Conf().MinSupplies, Units: l.m.Units(now),
	}
}

// Protected reports whether this host is as safe as its configuration wants it:
// each UPS that feeds it is reached and this host is logged in with its role.
func (r Report) Protected() bool {
	for _, u := range r.Units {
		if u.PowerValue > 0 && (u.Comm != "ok" || !u.LoggedIn || u.Role == "primary" && !u.Primary) {
			return false
		}
	}
	return true
}

// Print writes the report for people.
func (r Report) Print(w io.Writer) {
	fmt.Fprintf(w, "phase: %s, power value: %d, needed: %d\n", r.Phase, r.Supplies, r.Needed)
	for _, u := range r.Units {
		fmt.Fprintf(w, "\n%s\n", u.UPS)
		row := func(name, format string, args ...any) {
			fmt.Fprintf(w, "  %-12s %s\n", name, fmt.Sprintf(format, args...))
		}
		row("reachable", "%s", reachable(u))
		row("status", "%s", strings.TrimSpace(cmp.Or(u.Status, "not read yet")+alarms(u.Alarm)))
		row("login", "%s", login(u))
		row("power value", "%d", u.PowerValue)
		row("counts as", "%s: %s", standing(u.Critical), u.Reason)
		if len(u.Timers) > 0 {
			row("timers", "%s", strings.Join(u.Timers, ", "))
		}
		row("at OB LB now", "%s", u.IfLow)
	}
	if !r.Protected() {
		fmt.Fprintln(w, "\nNOT PROTECTED: see the lines reachable and login above")
	}
}

func reachable(u monitor.UnitView) string {
	word := map[string]string{"ok": "yes", "lost": "no", "never reached": "not yet"}[u.Comm]
	if u.Age == "" && u.Comm == "lost" {
		word = "no, never"
	}
	if u.CommError != "" {
		word += ": " + u.CommError
	}
	return word + age(u.Age)
}

func age(a string) string {
	if a == "" {
		return ""
	}
	return ", last data " + a + " ago"
}

func alarms(a string) string {
	if a == "" {
		return ""
	}
	return " [" + a + "]"
}

func login(u monitor.UnitView) string {
	granted := "not logged in"
	switch {
	case u.LoggedIn && u.Primary:
		granted = "logged in, granted primary"
	case u.LoggedIn && u.Role == "primary":
		granted = "logged in, but NOT granted primary"
	case u.LoggedIn:
		granted = "logged in as secondary"
	}
	if u.LoginError != "" {
		granted += ": " + u.LoginError
	}
	return granted
}

func standing(critical bool) string {
	if critical {
		return "critical"
	}
	return "healthy"
}
