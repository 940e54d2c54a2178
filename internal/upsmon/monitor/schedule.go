package monitor

import (
	"fmt"
	"time"

	"gonut/internal/conf"
)

// firstPoll is how often a UPS that was not reached yet, or is lost, is tried at
// least, as C does before it has heard of any.
const firstPoll = 5 * time.Second

// setRate chooses the time between polls: one for all, as in C, where the most
// worrying UPS decides.
func (m *Monitor) setRate() {
	d, why := m.conf.PollFreq, "nothing is wrong"
	lower := func(to time.Duration, because string) {
		if to < d || why == "nothing is wrong" {
			d, why = to, because
		}
	}
	for _, u := range m.units {
		alerts := flagOB | flagOFF | flagBYPASS | flagALARM
		if m.conf.OverDuration >= 0 {
			alerts |= flagOVER
		}
		if a := u.flags & alerts; a != 0 {
			lower(m.conf.PollFreqAlert, u.conf.System+" "+a.String())
		}
		if u.comm != commOK {
			lower(min(m.conf.PollFreq, firstPoll), u.conf.System+" "+u.comm.String())
		}
		if m.conf.OBLBDuration > 0 && !u.oblbSince.IsZero() && u.verdict.rule == RulePending {
			lower(gcd(m.conf.PollFreqAlert, m.conf.OBLBDuration), u.conf.System+" waits for OBLBDURATION")
		}
	}
	d = max(d, second)
	if d != m.every {
		m.every = d
		m.do(PollEvery{D: d, Why: why})
	}
}

// gcd is the greatest common divisor in whole seconds, one second at least.
func gcd(a, b time.Duration) time.Duration {
	x, y := max(a/second, 1), b/second
	for y != 0 {
		x, y = y, x%y
	}
	return max(x, 1) * second
}

// reloaded takes over a new configuration without losing what is known of the
// UPSes that stay.
func (m *Monitor) reloaded(c conf.UPSMon) {
	if m.phase != Watching {
		m.logf(LevelWarn, "", "", "Reload ignored: a shutdown is under way")
		return
	}
	if total := Total(c); total < c.MinSupplies {
		m.logf(LevelCrit, "", "", "Reload refused: the power values add up to %d, MINSUPPLIES needs %d; the old configuration stays", total, c.MinSupplies)
		return
	}
	old := m.units
	m.units = nil
	m.conf = c
	for _, mc := range c.Monitors {
		switch u := find(old, mc.System); {
		case m.unit(mc.System) != nil:
		case u == nil:
			u = newUnit(mc, c.Rules)
			m.units = append(m.units, u)
			m.watch(u)
		default:
			m.units = append(m.units, u)
			m.redefine(u, mc)
			u.setRules(c.Rules)
		}
	}
	for _, u := range old {
		if m.unit(u.conf.System) == nil {
			m.logf(LevelNotice, u.conf.System, "", "No longer monitoring UPS [%s]", u.conf.System)
			m.do(Unwatch{UPS: u.conf.System, Why: "its MONITOR line is gone"})
		}
	}
}

// redefine applies a changed MONITOR line.
func (m *Monitor) redefine(u *unit, mc conf.Monitor) {
	old := u.conf
	u.conf = mc
	if old.PowerValue != mc.PowerValue {
		m.logf(LevelInfo, mc.System, "", "UPS [%s]: redefined power value to %d", mc.System, mc.PowerValue)
	}
	identity := old.User != mc.User || old.Password != mc.Password
	if old.Primary && !mc.Primary {
		m.logf(LevelInfo, mc.System, "", "UPS [%s]: redefined as a secondary", mc.System)
	}
	switch {
	case mc.Primary && !old.Primary:
		m.logf(LevelInfo, mc.System, "", "UPS [%s]: redefined as a primary", mc.System)
		m.reconnect(u, "to become primary")
	case identity && !u.loggedIn:
		m.logf(LevelInfo, mc.System, "", "UPS [%s]: redefined user or password", mc.System)
		m.reconnect(u, "with the new user or password")
	case identity:
		m.logf(LevelInfo, mc.System, "", "UPS [%s]: redefined user or password, used from the next login on", mc.System)
		m.do(Redefine{Monitor: mc, Why: "another user or password"})
	case old.Primary && !mc.Primary:
		m.do(Redefine{Monitor: mc, Why: "a secondary from now on"})
	}
}

func (m *Monitor) reconnect(u *unit, why string) {
	u.loggedIn, u.primary, u.loginAsked, u.loginErr = false, false, false, ""
	m.do(Reconnect{Monitor: u.conf, Why: why})
}

func (m *Monitor) suspending() {
	if m.phase != Watching {
		m.logf(LevelWarn, "", "", "The system goes to sleep while a shutdown is under way")
		return
	}
	m.asleep = true
	m.notify(SuspendStarting, nil, "", "")
}

func (m *Monitor) resumed() {
	m.asleep = false
	if m.phase != Watching {
		return
	}
	m.notify(SuspendFinished, nil, "", "")
	for _, u := range m.units {
		m.doubt(u)
		u.beginAnew(m.now) // nobody knows what happened meanwhile
		m.reconnect(u, "the server may have forgotten us while the system slept")
	}
}

// clockJump takes in that the clock of the day was set, or that the system slept
// and nobody said so. If it may have slept, what is known is set aside until the
// next reading confirms it. If it has not, nothing is: all times here are running
// time.
func (m *Monitor) clockJump(ev ClockJump) {
	if m.phase != Watching {
		return
	}
	by := ev.By.Round(second)
	m.logf(LevelWarn, "", "", "The clock jumped by %s", by)
	m.notify(SuspendTimeJump, nil, by.String(), "")
	if ev.Set {
		return
	}
	for _, u := range m.units {
		m.doubt(u)
		m.do(Poll{UPS: u.conf.System, Why: "the clock jumped"})
	}
}

// doubt sets aside what is known of a UPS until it is read again.
func (m *Monitor) doubt(u *unit) {
	u.unsure = true
	if !u.lastPoll.IsZero() {
		u.lastPoll = m.now
	}
}

// beginAnew says that what lasts has lasted since now.
func (u *unit) beginAnew(now time.Time) {
	for _, t := range []*time.Time{&u.lastNonCrit, &u.oblbSince, &u.offSince, &u.overSince} {
		if !t.IsZero() {
			*t = now
		}
	}
	for _, c := range u.rules {
		c.since = time.Time{}
	}
	for _, h := range u.holds {
		h.since = time.Time{}
	}
}

// parentGone takes in that nothing can shut this host down any more. Once the
// shutdown is requested, nobody has to.
func (m *Monitor) parentGone() {
	if m.phase >= Staying {
		return
	}
	if m.parentWarned.IsZero() || !m.now.Before(m.parentWarned.Add(2*time.Minute)) {
		m.parentWarned = m.now
		m.logf(LevelAlert, "", "", "parent process died - shutdown impossible")
		m.notify(NoParent, nil, "", fmt.Sprintf("repeated every %s", 2*time.Minute))
	}
}
