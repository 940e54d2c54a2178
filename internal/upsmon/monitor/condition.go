package monitor

import (
	"fmt"
	"strings"
	"time"

	"gonut/internal/conf"
)

// A condition is a ShutdownWhen of one UPS and since when it holds.
type condition struct {
	conf.ShutdownWhen
	since   time.Time // zero: it does not hold
	missing string    // a variable without which it cannot hold, if the UPS has none such
	blind   time.Time // since when
	told    bool      // that it is missing
}

// mergeConditions keeps what is known of those conditions that were there before.
func mergeConditions(old []*condition, lines []conf.ShutdownWhen, system string) []*condition {
	var cs []*condition
	for _, l := range lines {
		if l.System != "*" && l.System != system {
			continue
		}
		c := &condition{ShutdownWhen: l}
		for _, o := range old {
			a, b := o.ShutdownWhen, l
			a.Line, b.Line = 0, 0
			if a == b {
				*c = *o
				c.ShutdownWhen = l
			}
		}
		cs = append(cs, c)
	}
	return cs
}

// observe notes which conditions begin or cease to hold with a reading. A variable
// that is missing or no number proves nothing: the condition does not hold. Of a
// partial reading it is not known what is missing.
func (u *unit) observe(now time.Time, vs []Value, partial bool) {
	for _, c := range u.rules {
		if !partial {
			c.look(now, vs)
		}
		switch {
		case c.holds(u.flags, vs):
			if c.since.IsZero() {
				c.since = now
			}
		case !partial || !c.mayHold(u.flags):
			c.since = time.Time{}
		}
	}
}

// look notes whether a condition has what it needs.
func (c *condition) look(now time.Time, vs []Value) {
	c.missing = ""
	for _, name := range c.variables() {
		if _, ok := number(vs, name); !ok {
			c.missing = name
		}
	}
	switch {
	case c.missing == "":
		c.blind, c.told = time.Time{}, false
	case c.blind.IsZero():
		c.blind = now
	}
}

// variables are those without which a condition cannot hold.
func (c *condition) variables() []string {
	var names []string
	if c.NoInput {
		names = append(names, inputName)
	}
	switch c.Measure {
	case conf.ChargeBelow:
		names = append(names, chargeName)
	case conf.RuntimeBelow:
		names = append(names, runtimeName)
	}
	return names
}

// blindAfter is how long a variable must be missing before it is worth a word: drivers
// that have just started do not know everything.
const blindAfter = 30 * time.Second

// without says what keeps a condition from ever holding; empty if nothing does.
func (c *condition) without(now time.Time) string {
	if c.blind.IsZero() || now.Sub(c.blind) < blindAfter {
		return ""
	}
	return fmt.Sprintf("SHUTDOWNWHEN %s %s (line %d) cannot hold: the UPS does not tell %s", c.System, c, c.Line, c.missing)
}

// tellBlind says once of each condition that it cannot hold.
func (m *Monitor) tellBlind(u *unit) {
	for _, c := range u.rules {
		if text := c.without(m.now); text != "" && !c.told {
			c.told = true
			m.logf(LevelError, u.conf.System, "", "UPS [%s]: %s", u.conf.System, text)
		}
	}
}

// mayHold reports whether the status leaves it to the variables.
func (c *condition) mayHold(f flags) bool { return c.NoInput || f.has(flagOB) && !f.has(flagCAL) }

func (c *condition) holds(f flags, vs []Value) bool {
	if !c.mayHold(f) || c.NoInput && !inputAbsent(vs) {
		return false
	}
	switch c.Measure {
	case conf.ChargeBelow:
		v, ok := number(vs, chargeName)
		return ok && v < c.Limit
	case conf.RuntimeBelow:
		v, ok := number(vs, runtimeName)
		return ok && v < c.Limit
	}
	return f.has(flagOB)
}

// inputAbsent reports whether the input voltage is measured and as good as none: a
// tenth of the nominal one, or 20 V where that is not known.
func inputAbsent(vs []Value) bool {
	v, ok := number(vs, inputName)
	if !ok {
		return false
	}
	if n, ok := number(vs, nominalName); ok && n > 0 {
		return v < n/10
	}
	return v < 20
}

// String returns the condition in the words of the configuration file.
func (c *condition) String() string {
	var b strings.Builder
	if c.NoInput {
		b.WriteString("noinput and ")
	}
	switch c.Measure {
	case conf.ChargeBelow:
		fmt.Fprintf(&b, "charge below %g", c.Limit)
	case conf.RuntimeBelow:
		fmt.Fprintf(&b, "runtime below %g", c.Limit)
	default:
		b.WriteString("onbattery")
	}
	if c.For > 0 {
		fmt.Fprintf(&b, " for %g", c.For.Seconds())
	}
	return b.String()
}

// A holdOff is a HoldOff of one UPS and since when its token is seen.
type holdOff struct {
	conf.HoldOff
	flag  flags
	since time.Time
}

func mergeHoldOffs(old []*holdOff, lines []conf.HoldOff, system string) []*holdOff {
	var hs []*holdOff
	for _, l := range lines {
		if l.System != "*" && l.System != system {
			continue
		}
		h := &holdOff{HoldOff: l, flag: token(l.Token)}
		for _, o := range old {
			if o.flag == h.flag {
				h.since = o.since
			}
		}
		hs = append(hs, h)
	}
	return hs
}

// holdOff leaves out the tokens that a hold-off still ignores. It ignores nothing
// while the UPS is not on line: then they are all there is to go by. What was
// taken seriously once is not ignored later.
func (u *unit) holdOff(fields []string, now time.Time) []string {
	if len(u.holds) == 0 {
		return fields
	}
	var all flags
	for _, f := range fields {
		all |= token(f)
	}
	var ignore flags
	for _, h := range u.holds {
		if !all.has(h.flag) {
			h.since = time.Time{}
			continue
		}
		if h.since.IsZero() {
			h.since = now
		}
		if all&(flagOL|flagOB) == flagOL && now.Sub(h.since) < h.For && !u.flags.has(h.flag) {
			ignore |= h.flag
		}
	}
	if ignore == 0 {
		return fields
	}
	kept := make([]string, 0, len(fields))
	for _, f := range fields {
		if token(f)&ignore == 0 || token(f) == 0 {
			kept = append(kept, f)
		}
	}
	return kept
}
