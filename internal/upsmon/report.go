package upsmon

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"time"

	"gonut/internal/netproto"
	"gonut/internal/upsmon/monitor"
)

// A Report is what upsmon -c status shows.
type Report struct {
	Phase    string
	Supplies int // the power values of those UPSes that are not critical
	Needed   int // MINSUPPLIES
	Units    []monitor.UnitView
	Problems []string // why this host is not protected; none: it is
}

func (l *loop) report(now time.Time) Report {
	r := Report{
		Phase: l.m.Phase().String(), Supplies: l.m.Supplies(now), Needed: l.m.Conf().MinSupplies, Units: l.m.Units(now),
	}
	if c := l.m.Conf(); monitor.Guards(c) && len(c.ShutdownCmd) == 0 {
		r.Problems = append(r.Problems, "there is no SHUTDOWNCMD: this host stays up until the power is gone")
	}
	if l.orphan {
		r.Problems = append(r.Problems, "the privileged part has ended: nothing can shut this host down, restart upsmon")
	}
	for _, u := range r.Units {
		if p := unprotected(u); p != "" {
			r.Problems = append(r.Problems, u.UPS+" "+p)
		}
		for _, b := range u.Blind {
			r.Problems = append(r.Problems, u.UPS+": "+b)
		}
	}
	return r
}

// unprotected says what is missing of the protection by a UPS that feeds this host, or
// would if its MONITOR line were right.
func unprotected(u monitor.UnitView) string {
	switch _, err := netproto.ParseSystem(u.UPS); {
	case err != nil:
		return "is not an address: correct its MONITOR line"
	case u.PowerValue == 0:
	case u.Comm != "ok":
		return "is not reached"
	case !u.LoggedIn:
		return "does not count this host as logged in, so its primary will not wait for it" + refused(u.LoginError)
	case u.Role == "primary" && !u.Primary:
		return "does not grant this host the role of a primary, so it cannot set FSD" + refused(u.LoginError)
	}
	return ""
}

// refused says what to compare if an upsd does not want the user of a MONITOR line.
func refused(loginError string) string {
	if !strings.HasSuffix(loginError, string(netproto.ErrAccessDenied)) {
		return ""
	}
	return "; user, password and role of the MONITOR line must be those of a section of upsd.users there"
}

// Protected reports whether this host is as safe as its configuration wants it:
// each UPS that feeds it is reached, this host is logged in with its role, and it can
// be shut down.
func (r Report) Protected() bool { return len(r.Problems) == 0 }

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
	for i, p := range r.Problems {
		if i == 0 {
			fmt.Fprintln(w)
		}
		fmt.Fprintf(w, "NOT PROTECTED: %s\n", p)
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
