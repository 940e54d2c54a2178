// Package monitor is upsmon's decision: what happened goes in as events, what to
// do comes out as actions. It knows when a UPS is critical, when too few are left,
// whom to tell, how long to wait for the other hosts and when to shut down.
//
// It does no I/O, starts nothing and reads no clock: the same events at the same
// times give the same actions. Connections, notifications and the shutdown itself
// belong to package upsmon.
package monitor

import (
	"fmt"
	"time"

	"gonut/internal/conf"
)

// A Phase is how far the monitor is on the way to a shutdown. It only grows.
type Phase uint8

// The phases.
const (
	Watching Phase = iota // all is well, or not yet bad enough
	Telling               // FSD is set; secondaries have HOSTSYNC to log out
	Waiting               // everybody is told; FINALDELAY runs
	Staying               // the shutdown is requested; SHUTDOWNEXIT runs
	Ended                 // nothing happens any more
)

var phaseNames = [...]string{"watching", "telling", "waiting", "staying", "ended"}

func (p Phase) String() string { return phaseNames[p] }

// A Monitor is the decision about one host. It must not be used by two goroutines
// at once.
type Monitor struct {
	conf  conf.UPSMon
	units []*unit // in the order of their MONITOR lines
	phase Phase
	since time.Time // when the phase began
	every time.Duration
	// asleep says that the OS sleeps or is about to: nothing is decided.
	asleep       bool
	parentWarned time.Time
	confirm      time.Time // how long to wait for a second look at old readings
	round        int       // of asking for logins
	askAt        time.Time // when to ask for logins again
	announced    bool      // SHUTDOWN_HOSTSYNC was sent
	stop         bool      // told to end while a shutdown was under way
	told         []Told    // the latest notifications

	out []Action // of the current step
	now time.Time
}

// New returns a Monitor for c. Two MONITOR lines with the same system are one: the
// first counts.
func New(c conf.UPSMon) *Monitor {
	m := &Monitor{conf: c}
	for _, mc := range c.Monitors {
		if m.unit(mc.System) == nil {
			m.units = append(m.units, newUnit(mc, c.Rules))
		}
	}
	return m
}

// Total is the sum of power values of c, each system counted once.
func Total(c conf.UPSMon) int {
	sum := 0
	for _, u := range New(c).units {
		sum += u.conf.PowerValue
	}
	return sum
}

// Guards reports whether the host of c depends on any UPS. A host that does not
// only watches: it never shuts down by itself and never has a UPS switched off.
func Guards(c conf.UPSMon) bool { return c.MinSupplies > 0 && Total(c) > 0 }

// Phase returns how far the monitor is on the way to a shutdown.
func (m *Monitor) Phase() Phase { return m.phase }

// Conf returns the configuration in force, which is not the latest one if that was
// refused.
func (m *Monitor) Conf() conf.UPSMon { return m.conf }

// Step takes in that ev happened at now and returns what to do, in order. The
// times of successive calls must not decrease. The slice is valid until the next
// call.
func (m *Monitor) Step(now time.Time, ev Event) []Action {
	m.now = now
	m.out = m.out[:0]
	if m.phase == Ended {
		return nil
	}
	switch ev := ev.(type) {
	case Started:
		m.started()
	case Connected:
		m.with(ev.UPS, func(u *unit) { m.connected(u, ev) })
	case Status:
		m.with(ev.UPS, func(u *unit) { m.status(u, ev) })
	case Lost:
		m.with(ev.UPS, func(u *unit) { m.lost(u, ev) })
	case FSDSet:
		m.with(ev.UPS, func(u *unit) { m.fsdSet(u, ev) })
	case Logins:
		m.with(ev.UPS, func(u *unit) { m.logins(u, ev) })
	case UserFSD:
		if m.phase == Watching {
			m.forceShutdown(m.decision(RuleUser))
		}
	case Stop:
		m.stopped()
	case Reloaded:
		m.reloaded(ev.Config)
	case Suspending:
		m.suspending()
	case Resumed:
		m.resumed()
	case ClockJump:
		m.clockJump(ev)
	case ParentGone:
		m.parentGone()
	case Tick:
	}
	m.proceed()
	return m.out
}

// Deadline returns when Step(Tick) is due if nothing happens before; the zero time
// if nothing will change by itself.
func (m *Monitor) Deadline() time.Time {
	var e earliest
	switch m.phase {
	case Watching:
		if m.asleep {
			return time.Time{}
		}
		if !m.confirm.IsZero() {
			e.add(m.confirm)
		}
		for _, u := range m.units {
			e.add(u.next)
		}
	case Telling:
		e.add(m.since.Add(m.hostSync() + second))
		e.add(m.askAt)
	case Waiting:
		e.add(m.since.Add(m.conf.FinalDelay))
	case Staying:
		e.add(m.askAt)
		if m.conf.ShutdownExit > 0 {
			e.add(m.since.Add(m.conf.ShutdownExit + second))
		}
	}
	return e.t
}

// proceed draws the conclusions after an event, phase by phase.
func (m *Monitor) proceed() {
	if m.phase == Watching && !m.asleep {
		m.recalculate()
	}
	if m.phase == Telling {
		m.tell()
	}
	if m.phase == Waiting {
		m.wait()
	}
	if m.phase == Staying {
		m.stay()
	}
	if m.phase < Staying {
		m.setRate()
	}
}

func (m *Monitor) started() {
	m.logf(LevelInfo, "", "", "%d UPS(es), power value %d in all, %d needed", len(m.units), Total(m.conf), m.conf.MinSupplies)
	for _, u := range m.units {
		m.watch(u)
	}
}

func (m *Monitor) watch(u *unit) {
	role := "monitoring only"
	if u.conf.PowerValue > 0 {
		role = fmt.Sprintf("%s) (power value %d", roleName(u.conf.Primary), u.conf.PowerValue)
	}
	m.logf(LevelInfo, u.conf.System, "", "UPS: %s (%s)", u.conf.System, role)
	m.do(Watch{Monitor: u.conf, Why: "configured"})
}

func roleName(primary bool) string {
	if primary {
		return "primary"
	}
	return "secondary"
}

// stopped ends a watching or staying monitor. A shutdown that is under way is not
// stopped by a signal: the supervisor that ends services sends one to everybody.
func (m *Monitor) stopped() {
	switch m.phase {
	case Watching:
		m.exit("told to stop")
	case Staying:
		m.exit("told to stop after the shutdown was requested")
	default:
		m.stop = true
		m.logf(LevelWarn, "", "", "told to stop, but the shutdown is under way and goes on")
	}
}

func (m *Monitor) exit(why string) {
	m.enter(Ended)
	m.do(Exit{Code: 0, Why: why})
}

func (m *Monitor) enter(p Phase) {
	m.phase, m.since = p, m.now
}

// recalculate adds up the power values of the UPSes that are not critical and
// starts a shutdown if there are too few.
func (m *Monitor) recalculate() {
	sum := 0
	for _, u := range m.units {
		m.promote(u)
		m.waitForLowBattery(u)
		v := m.judge(u, m.now)
		m.explain(u, v)
		u.verdict, u.next = v, v.next
		if !v.rule.critical() {
			sum += u.conf.PowerValue
		}
	}
	if sum >= m.conf.MinSupplies {
		m.confirm = time.Time{}
		return
	}
	if m.confirmed() {
		d := m.decision(RuleTooFew)
		m.logf(LevelWarn, "", "", "Too few UPS(es) are healthy (%d<%d), initiating forced shutdown", sum, m.conf.MinSupplies)
		m.forceShutdown(d)
	}
}

const (
	// fresh is how old a poll may be for a decision to rest on it. It is less than the
	// shortest time between two polls: a timer often ends just when the next one is due.
	fresh = 200 * time.Millisecond
	// confirmWait bounds how long a decision waits for a second look at old readings.
	confirmWait = time.Second
)

// confirmed reports whether the polls that call for a shutdown are fresh, failed
// ones included. Where one is not, its UPS is asked again and the decision waits for
// the answer, a second at most. So a timer that runs out between two polls, or the
// failure of one feed just when the other came back, shuts down nothing that a poll
// at that moment would have saved.
func (m *Monitor) confirmed() bool {
	waiting := false
	for _, u := range m.units {
		if !u.verdict.rule.critical() || u.conf.PowerValue == 0 || m.now.Sub(u.asked) < fresh {
			continue
		}
		waiting = true
		if m.confirm.IsZero() {
			m.do(Poll{UPS: u.conf.System, Why: "confirm before a shutdown"})
		}
	}
	if !waiting {
		return true
	}
	if m.confirm.IsZero() {
		m.confirm = m.now.Add(confirmWait)
	}
	return !m.now.Before(m.confirm)
}

func (m *Monitor) unit(system string) *unit { return find(m.units, system) }

func find(us []*unit, system string) *unit {
	for _, u := range us {
		if u.conf.System == system {
			return u
		}
	}
	return nil
}

func (m *Monitor) with(system string, f func(*unit)) {
	if u := m.unit(system); u != nil {
		f(u)
	}
}

func (m *Monitor) do(a Action) { m.out = append(m.out, a) }

func (m *Monitor) logf(l Level, system, why, format string, args ...any) {
	m.do(Log{Level: l, UPS: system, Text: fmt.Sprintf(format, args...), Why: why})
}

// notify sends a notification about a UPS, or about none if u is nil.
func (m *Monitor) notify(t NotifyType, u *unit, extra, why string) {
	n := Notify{Type: t, Extra: extra, Why: why}
	if u != nil {
		n.UPS = u.conf.System
	}
	n.Text = Render(t.template(m.conf.NotifyMsg), n.UPS, extra)
	m.do(n)
	if len(m.told) == toldKept {
		m.told = append(m.told[:0], m.told[1:]...)
	}
	m.told = append(m.told, Told{Time: m.now, Type: t.String(), UPS: n.UPS, Extra: extra})
}

const second = time.Second

// more reports whether more than d whole seconds have passed since a moment, which
// is how C compares. With whole seconds that is at least one more.
func more(now, since time.Time, d time.Duration) bool {
	return !now.Before(since.Add(d + second))
}

// earliest is the earliest of the times that were added; zero times do not count.
type earliest struct{ t time.Time }

func (e *earliest) add(t time.Time) {
	if !t.IsZero() && (e.t.IsZero() || t.Before(e.t)) {
		e.t = t
	}
}
