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
	since time.Time // zero: it does not hold
}

// mergeConditions keeps the time of those conditions that were there before.
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
				c.since = o.since
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
