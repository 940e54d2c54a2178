package monitor

import (
	"fmt"
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
	Otherwise []string // what would have prevented it
}

// A UnitView is what the monitor knows of one UPS.
type UnitView struct {
	UPS        string
	Role       string // primary or secondary, as configured
	PowerValue int
	Comm       string // ok, lost or never reached
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
}

// decision records why a shutdown begins now.
func (m *Monitor) decision(r Rule) Decision {
	d := Decision{Time: m.now, Rule: r.String(), Needed: m.conf.MinSupplies, Units: m.Units(m.now)}
	var bad []string
	for i, u := range m.units {
		if !d.Units[i].Critical {
			d.Supplies += u.conf.PowerValue
			continue
		}
		bad = append(bad, fmt.Sprintf("%s: %s", u.conf.System, d.Units[i].Reason))
		if o := rules[u.verdict.rule].otherwise; r == RuleTooFew && u.conf.PowerValue > 0 {
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
	d.Otherwise = append(d.Otherwise, rules[r].otherwise)
	return d
}

// Units returns what the monitor knows of each UPS.
func (m *Monitor) Units(now time.Time) []UnitView {
	vs := make([]UnitView, 0, len(m.units))
	for _, u := range m.units {
		v := m.judge(u, now)
		view := UnitView{
			UPS: u.conf.System, Role: roleName(u.conf.Primary), PowerValue: u.conf.PowerValue,
			Comm: u.comm.String(), Status: u.raw, Flags: u.flags.String(), Alarm: u.alarm,
			LoggedIn: u.loggedIn, Primary: u.primary, LoginError: u.loginErr,
			Critical: v.rule.critical(), Rule: v.rule.String(), Reason: m.reason(u, v, now), Timers: u.timers(now),
		}
		if !u.lastPoll.IsZero() {
			view.Age = wait(now.Sub(u.lastPoll))
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
	add("on battery and low", u.oblbSince)
	add("off", u.offSince)
	add("overloaded", u.overSince)
	add("lost", u.lostSince)
	for _, c := range u.rules {
		add("SHUTDOWNWHEN "+c.String()+" true", c.since)
	}
	return ts
}

// IfLowNow says what would happen if every UPS of this host said OB LB now.
func (m *Monitor) IfLowNow() string {
	if !Guards(m.conf) {
		return "nothing: this host only watches"
	}
	var primaries []string
	for _, u := range m.units {
		if u.conf.Primary {
			primaries = append(primaries, u.conf.System)
		}
	}
	after := fmt.Sprintf("%s of FINALDELAY", wait(m.conf.FinalDelay))
	if m.conf.OBLBDuration > 0 {
		after = fmt.Sprintf("%s of OBLBDURATION, then ", wait(m.conf.OBLBDuration)) + after
	}
	if len(primaries) == 0 {
		return fmt.Sprintf("shut down at once when the primary sets FSD, or by itself after %s of HOSTSYNC; then %s", wait(m.conf.HostSync), after)
	}
	return fmt.Sprintf("set FSD on %s, wait up to %s for other hosts to log out, then shut down after %s",
		strings.Join(primaries, ", "), wait(m.conf.HostSync), after)
}
