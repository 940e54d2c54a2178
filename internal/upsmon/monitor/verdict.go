package monitor

import (
	"fmt"
	"strings"
	"time"
)

// A Rule is the reason for a verdict about one UPS, or for a shutdown.
type Rule uint8

// The rules. Those after criticals make a UPS critical.
const (
	RuleHealthy Rule = iota
	RuleUnknown
	RuleAwake
	RuleCalibrating
	RulePending
	RuleWaitPrimary
	criticals
	RuleFSD
	RuleOverload
	RuleAlarmLost
	RuleCalLost
	RuleBypassLost
	RuleOffLost
	RuleOff
	RuleCondition
	RuleLowBattery
	RuleDead
	RuleNoPrimary
	verdicts
	RuleTooFew // of a shutdown: too few UPSes are left
	RuleUser   // of a shutdown: somebody asked for it
)

var rules = [...]struct{ name, text, otherwise string }{
	RuleHealthy:     {"healthy", "it supplies this host", ""},
	RuleUnknown:     {"unknown", "it was never reached", ""},
	RuleAwake:       {"awake", "it was not read since the system woke up", ""},
	RuleCalibrating: {"calibrating", "it is on battery and low, but only to calibrate", ""},
	RulePending:     {"pending", "it will be critical unless something changes", ""},
	RuleWaitPrimary: {"wait-primary", "it is on battery and low; the primary has HOSTSYNC to set FSD", ""},
	RuleFSD:         {"fsd", "its server says FSD, forced shutdown", "nothing on this host: the primary set FSD ('nut why' there tells the reason), and it stays until upsd is restarted"},
	RuleOverload:    {"overload-lost", "it was overloaded when communication was lost, and OVERDURATION has passed", "communication coming back, or a longer OVERDURATION"},
	RuleAlarmLost:   {"alarm-lost", "it had an alarm when communication was lost", "communication coming back, ALARMCRITICAL 0, or without 'LOSTCOMMS nut' the time that the battery lasts"},
	RuleCalLost:     {"calibration-lost", "it was calibrating when communication was lost", "communication coming back, or without 'LOSTCOMMS nut' the time that the battery lasts"},
	RuleBypassLost:  {"bypass-lost", "it was on bypass when communication was lost", "communication coming back, or without 'LOSTCOMMS nut' the time that the battery lasts"},
	RuleOffLost:     {"off-lost", "it was off when communication was lost", "communication coming back, OFFDURATION -1, or without 'LOSTCOMMS nut' the rest of OFFDURATION"},
	RuleOff:         {"off", "it is off for longer than OFFDURATION", "the UPS being switched on, or a longer OFFDURATION (-1: never)"},
	RuleCondition:   {"condition", "a SHUTDOWNWHEN condition holds", "mains coming back, or another SHUTDOWNWHEN line"},
	RuleLowBattery:  {"low-battery", "it is on battery and the battery is low", "mains coming back before the battery was low; if the UPS says LB too early, a longer OBLBDURATION"},
	RuleDead:        {"dead", "it was on battery when communication was lost, for longer than DEADTIME", "communication coming back, or a longer DEADTIME"},
	RuleNoPrimary:   {"no-primary", "it is on battery and low, and its primary did not set FSD within HOSTSYNC", "mains coming back, or a longer HOSTSYNC"},
	RuleTooFew:      {"too-few", "too few UPSes supply this host", "one more healthy UPS"},
	RuleUser:        {"user", "a shutdown was asked for (upsmon -c fsd or SIGUSR1)", "nobody asking for it"},
}

// String returns the rule's short name.
func (r Rule) String() string { return rules[r].name }

func (r Rule) critical() bool { return r > criticals && r < verdicts }

// A verdict is what a UPS counts as, why, and when that changes if nothing
// happens.
type verdict struct {
	rule Rule
	next time.Time  // when to look again; zero: it does not change by itself
	at   time.Time  // when it will be critical if things stay as they are; zero: never
	then Rule       // by which rule
	cond *condition // that holds, or will have held for its time then
}

// A clock collects the timers that a verdict waits for.
type clock struct {
	now time.Time
	verdict
}

// due reports whether t has come. If not, r may be the verdict then.
func (c *clock) due(t time.Time, r Rule) bool {
	if !c.now.Before(t) {
		return true
	}
	if c.at.IsZero() || t.Before(c.at) {
		c.at, c.then = t, r
	}
	c.look(t)
	return false
}

// look asks for another look at t.
func (c *clock) look(t time.Time) {
	if t.After(c.now) && (c.next.IsZero() || t.Before(c.next)) {
		c.next = t
	}
}

func (c *clock) is(r Rule) verdict {
	v := c.verdict
	v.rule = r
	return v
}

// judge says what a UPS counts as. It changes nothing.
func (m *Monitor) judge(u *unit, now time.Time) verdict {
	c := &clock{now: now}
	if u.unsure {
		return c.is(RuleAwake)
	}
	if u.flags.has(flagFSD) {
		return c.is(RuleFSD)
	}
	if u.comm == commLost {
		if r := m.judgeLost(u, c); r != RuleHealthy {
			return c.is(r)
		}
	}
	if d := m.conf.OffDuration; u.flags.has(flagOFF) && d >= 0 {
		t := u.offSince
		if d > 0 {
			t = t.Add(d + second)
		}
		if c.due(t, RuleOff) {
			return c.is(RuleOff)
		}
	}
	for _, cond := range u.rules {
		if cond.since.IsZero() || u.comm != commOK {
			continue
		}
		end := cond.since.Add(cond.For)
		due := c.due(end, RuleCondition)
		if due || c.then == RuleCondition && c.at.Equal(end) {
			c.cond = cond
		}
		if due {
			return c.is(RuleCondition)
		}
	}
	return m.judgeBattery(u, c)
}

// judgeLost applies the rules for a UPS that cannot be reached and was in trouble
// when it was seen last. RuleHealthy means that none of them applies yet.
func (m *Monitor) judgeLost(u *unit, c *clock) Rule {
	if d := m.conf.OverDuration; u.flags.has(flagOVER) && d >= 0 && c.due(u.overSince.Add(d), RuleOverload) {
		return RuleOverload
	}
	if m.conf.Rules.LostCommsNUT && u.flags.has(flagOFF) && m.conf.OffDuration >= 0 {
		return RuleOffLost
	}
	r, ok := m.lostRule(u)
	if ok && (m.conf.Rules.LostCommsNUT || c.due(m.budgetEnd(u), r)) {
		return r
	}
	return RuleHealthy
}

// lostRule returns the rule that C applies at once to a UPS that was lost in such
// a state.
func (m *Monitor) lostRule(u *unit) (Rule, bool) {
	switch {
	case u.flags.has(flagALARM) && m.conf.AlarmCritical:
		return RuleAlarmLost, true
	case u.flags.has(flagCAL):
		return RuleCalLost, true
	case u.flags.has(flagBYPASS):
		return RuleBypassLost, true
	}
	return RuleHealthy, false
}

// budgetEnd returns until when a UPS that was lost with an alarm, calibrating or
// on bypass is given the benefit of the doubt: DEADTIME, and beyond that as long
// as the battery was known to last, less a margin for the shutdown itself.
func (m *Monitor) budgetEnd(u *unit) time.Time {
	end := u.lastPoll.Add(m.conf.DeadTime + second)
	if u.runtime < 0 {
		return end
	}
	if t := u.runtimeAt.Add(u.runtime - m.conf.Rules.Margin); t.After(end) {
		return t
	}
	return end
}

// judgeBattery applies the rules about battery and low battery.
func (m *Monitor) judgeBattery(u *unit, c *clock) verdict {
	f := u.flags
	switch {
	case f&(flagOB|flagLB) != flagOB|flagLB:
		switch {
		case f.has(flagOB) && u.comm == commLost:
			c.due(m.deadAt(u), RuleDead)
		case f.has(flagOB):
			c.look(m.deadAt(u)) // unless it is heard of before
		}
		if u.lastPoll.IsZero() {
			return c.is(RuleUnknown)
		}
	case f.has(flagCAL):
		return c.is(RuleCalibrating)
	case m.conf.OBLBDuration > 0 && !c.due(u.oblbSince.Add(m.conf.OBLBDuration), RuleLowBattery):
		return c.is(RulePending)
	case !u.conf.Primary && !c.due(u.lastNonCrit.Add(m.conf.HostSync+second), RuleNoPrimary):
		return c.is(RuleWaitPrimary)
	case u.promoted:
		return c.is(RuleDead)
	case !u.conf.Primary:
		return c.is(RuleNoPrimary)
	default:
		return c.is(RuleLowBattery)
	}
	if !c.at.IsZero() {
		return c.is(RulePending)
	}
	return c.is(RuleHealthy)
}

// pollGrace is how much longer than its interval a poll may take before silence
// means that the UPS is lost, should nobody say so.
const pollGrace = 10 * time.Second

// deadAt returns when a UPS on battery that nothing is heard of counts as dead.
func (m *Monitor) deadAt(u *unit) time.Time {
	t := u.lastPoll.Add(m.conf.DeadTime + second)
	if u.comm == commLost {
		return t
	}
	if late := u.lastPoll.Add(m.every + pollGrace); late.After(t) {
		return late
	}
	return t
}

// promote concludes a low battery from silence while on battery.
func (m *Monitor) promote(u *unit) {
	if u.unsure || u.flags&(flagOB|flagLB) != flagOB || u.lastPoll.IsZero() || m.now.Before(m.deadAt(u)) {
		return
	}
	u.flags |= flagLB
	u.promoted = true
	m.logf(LevelDebug, u.conf.System, "", "Promoting dead UPS: %s", u.conf.System)
}

// waitForLowBattery starts and ends the time of OBLBDURATION.
func (m *Monitor) waitForLowBattery(u *unit) {
	low := u.flags&(flagOB|flagLB|flagCAL) == flagOB|flagLB
	switch {
	case !low:
		u.oblbSince = time.Time{}
	case u.oblbSince.IsZero():
		u.oblbSince = m.now
	}
}

// explain logs a verdict that is not the one from before.
func (m *Monitor) explain(u *unit, v verdict) {
	old := u.verdict
	if v.rule == old.rule && (v.rule.critical() || v.then == old.then) && v.cond == old.cond {
		return
	}
	level := LevelWarn
	switch {
	case v.rule == RuleHealthy && old.rule == RuleHealthy, v.rule == RuleUnknown, v.rule == RuleAwake:
		return
	case v.rule == RuleHealthy && old.rule == RuleUnknown:
		return
	case v.rule == RuleHealthy:
		level = LevelNotice
	}
	m.logf(level, u.conf.System, "", "UPS [%s] %s: %s", u.conf.System, v.standing(), m.reason(u, v, m.now))
}

func (v verdict) standing() string {
	if v.rule.critical() {
		return "counts as critical"
	}
	return "counts as healthy"
}

// reason says why a UPS counts as what it does, and what it will count as.
func (m *Monitor) reason(u *unit, v verdict, now time.Time) string {
	var b strings.Builder
	switch {
	case v.rule == RuleCondition:
		fmt.Fprintf(&b, "SHUTDOWNWHEN %s %s holds", v.cond.System, v.cond)
	case v.rule == RulePending:
		b.WriteString(m.situation(u))
	case v.rule == RuleHealthy && u.comm == commLost:
		b.WriteString("it cannot be reached; when it was read last it supplied this host")
	case v.rule == RuleHealthy && u.flags.has(flagOB):
		b.WriteString("it is on battery, and the battery is not low")
	default:
		b.WriteString(rules[v.rule].text)
	}
	if (v.rule == RulePending || v.rule == RuleWaitPrimary) && !v.at.IsZero() {
		by := v.then.String()
		if v.then == RuleCondition {
			by = fmt.Sprintf("SHUTDOWNWHEN %s %s", v.cond.System, v.cond)
		}
		fmt.Fprintf(&b, "; critical in %s by rule %s unless something changes", wait(v.at.Sub(now)), by)
		if v.then >= RuleAlarmLost && v.then <= RuleBypassLost && u.runtime >= 0 {
			fmt.Fprintf(&b, " (it knew of %s on battery, %s are kept for the shutdown)", wait(u.runtime), wait(m.conf.Rules.Margin))
		}
	}
	return b.String()
}

// situation describes a UPS in a few words.
func (m *Monitor) situation(u *unit) string {
	s := u.flags.String()
	if s == "" {
		s = "no status"
	}
	if u.comm == commLost {
		return "lost while " + s
	}
	return "status " + s
}

// wait prints a duration in seconds, without a fraction that nobody needs.
func wait(d time.Duration) string { return d.Round(time.Second).String() }

// String returns the tokens of the set.
func (f flags) String() string {
	var ws []string
	for _, w := range [...]string{"OL", "OB", "LB", "RB", "FSD", "CAL", "OFF", "BYPASS", "ECO", "ALARM", "OVER", "TRIM", "BOOST"} {
		if f.has(tokens[w]) {
			ws = append(ws, w)
		}
	}
	return strings.Join(ws, " ")
}
