package monitor

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// A Decision is the record of why a shutdown began. It is complete: nobody needs a
// log to understand it.
type Decision struct {
	Time      time.Time
	Rule      string // too-few or user
	Cause     string // one sentence
	Supplies  int    // the power values of healthy UPSes
	Needed    int    // MINSUPPLIES
	Units     []UnitView
	Before    []Told   // the latest notifications before it, the oldest first
	Then      []string // what follows from it, with the waits
	Otherwise []string // what would have prevented it
}

// Told is a notification that was sent.
type Told struct {
	Time  time.Time
	Type  string
	UPS   string `json:",omitempty"`
	Extra string `json:",omitempty"`
}

// toldKept is how many notifications are remembered for the next decision.
const toldKept = 20

// A UnitView is what the monitor knows of one UPS.
type UnitView struct {
	UPS        string
	Role       string // primary or secondary, as configured
	PowerValue int
	Comm       string // ok, lost or never reached
	CommError  string `json:",omitempty"` // why it is not reached
	Status     string // ups.status as it came last
	Flags      string // what counts of it, with what was concluded
	Alarm      string `json:",omitempty"`
	Age        string // of the last good poll; empty if there was none
	LoggedIn   bool
	Primary    bool   // the server granted the role
	LoginError string `json:",omitempty"`
	Critical   bool
	Rule       string
	Reason     string
	Timers     []string `json:",omitempty"`
	Blind      []string `json:",omitempty"` // conditions that cannot hold, and why
	IfLow      string   // what would happen if it were on battery and low now
}

// decision records why a shutdown begins now.
func (m *Monitor) decision(r Rule) Decision {
	d := Decision{
		Time: m.now, Rule: r.String(), Needed: m.conf.MinSupplies, Units: m.Units(m.now), Before: slices.Clone(m.told), Then: m.plan(),
	}
	var bad []string
	for i, u := range m.units {
		if !d.Units[i].Critical {
			d.Supplies += u.conf.PowerValue
			continue
		}
		if u.conf.PowerValue == 0 {
			continue // it is no reason
		}
		bad = append(bad, fmt.Sprintf("%s: %s", u.conf.System, d.Units[i].Reason))
		if o := rules[u.verdict.rule].otherwise; r == RuleTooFew {
			d.Otherwise = append(d.Otherwise, u.conf.System+": "+o)
		}
	}
	d.Cause = rules[r].text
	if r == RuleTooFew {
		d.Cause = fmt.Sprintf("%s (%d of %d needed)", d.Cause, d.Supplies, d.Needed)
	}
	if len(bad) > 0 {
		d.Cause += "; " + strings.Join(bad, "; ")
	}
	last := rules[r].otherwise
	if r == RuleTooFew && d.Needed > 1 { // with 0 it would only watch, and die with its UPS
		last += ", or a smaller MINSUPPLIES"
	}
	d.Otherwise = append(d.Otherwise, last)
	return d
}

// Units returns what the monitor knows of each UPS.
func (m *Monitor) Units(now time.Time) []UnitView {
	vs := make([]UnitView, 0, len(m.units))
	for _, u := range m.units {
		v := m.judge(u, now)
		view := UnitView{
			UPS: u.conf.System, Role: roleName(u.conf.Primary), PowerValue: u.conf.PowerValue,
			Comm: u.comm.String(), CommError: u.lostWhy, Status: u.raw, Flags: u.flags.String(), Alarm: u.alarm,
			LoggedIn: u.loggedIn, Primary: u.primary, LoginError: u.loginErr,
			Critical: v.rule.critical(), Rule: v.rule.String(), Reason: m.reason(u, v, now), Timers: u.timers(now),
			IfLow: m.ifLow(u, now),
		}
		if !u.lastPoll.IsZero() {
			view.Age = wait(now.Sub(u.lastPoll))
		}
		for _, c := range u.rules {
			if text := c.without(now); text != "" {
				view.Blind = append(view.Blind, text)
			}
		}
		vs = append(vs, view)
	}
	return vs
}

// timers returns how long the things have lasted that decisions depend on.
func (u *unit) timers(now time.Time) []string {
	var ts []string
	add := func(what string, since time.Time) {
		if !since.IsZero() {
			ts = append(ts, what+" for "+wait(now.Sub(since)))
		}
	}
	add("on battery", u.obSince)
	if u.promoted {
		add("taken for low", u.oblbSince)
	} else {
		add("on battery and low", u.oblbSince)
	}
	add("off", u.offSince)
	add("overloaded", u.overSince)
	add("lost", u.lostSince)
	for _, c := range u.rules {
		add("SHUTDOWNWHEN "+c.String()+" true", c.since)
	}
	return ts
}

// Supplies returns the sum of the power values of those UPSes that are not critical.
func (m *Monitor) Supplies(now time.Time) int { return m.without(nil, now) }

// without is the same, less one of them.
func (m *Monitor) without(u *unit, now time.Time) int {
	sum := 0
	for _, o := range m.units {
		if o != u && !m.judge(o, now).rule.critical() {
			sum += o.conf.PowerValue
		}
	}
	return sum
}

// ifLow says what would happen if a UPS said OB LB now and the others stayed as they
// are.
func (m *Monitor) ifLow(u *unit, now time.Time) string {
	rest := m.without(u, now)
	switch {
	case m.phase > Watching:
		return "the shutdown is under way"
	case !Guards(m.conf):
		return "notify only: this host only watches"
	case u.conf.PowerValue == 0:
		return "notify only: its power value is 0"
	case rest >= m.conf.MinSupplies:
		return fmt.Sprintf("notify only: the other UPSes have power value %d, and %d is needed", rest, m.conf.MinSupplies)
	}
	var when []string
	if m.conf.OBLBDuration > 0 {
		when = append(when, wait(m.conf.OBLBDuration)+" of OBLBDURATION")
	}
	if !u.conf.Primary {
		when = append(when, fmt.Sprintf("FSD from its primary, or %s of HOSTSYNC without it", wait(m.conf.HostSync)))
	}
	first := "at once"
	if len(when) > 0 {
		first = "after " + strings.Join(when, " and ")
	}
	return first + ": " + strings.Join(m.plan(), ", then ")
}

// plan says what a shutdown consists of.
func (m *Monitor) plan() []string {
	var primaries, steps []string
	for _, u := range m.units {
		if u.conf.Primary {
			primaries = append(primaries, u.conf.System)
		}
	}
	if len(primaries) > 0 {
		steps = append(steps, "set FSD on "+strings.Join(primaries, ", "),
			fmt.Sprintf("wait until all other hosts have logged out, %s (HOSTSYNC) at most", wait(m.conf.HostSync)))
	}
	last := "SHUTDOWNCMD"
	switch {
	case len(m.conf.ShutdownCmd) == 0:
		last = "nothing, for there is no SHUTDOWNCMD"
	case Guards(m.conf) && m.conf.PowerDownFlag != "":
		last = "POWERDOWNFLAG and SHUTDOWNCMD"
	}
	if m.conf.FinalDelay > 0 {
		steps = append(steps, fmt.Sprintf("wait %s (FINALDELAY)", wait(m.conf.FinalDelay)))
	}
	return append(steps, last)
}
