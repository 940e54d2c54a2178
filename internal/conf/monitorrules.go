package conf

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"gonut/internal/ups"
)

// MonitorRules is what upsmon.conf may say beyond NUT's own directives. The zero
// value with a Margin of DefaultMargin is what a silent file means.
type MonitorRules struct {
	// LostCommsNUT brings back C's rule that a UPS which is lost while it has an
	// alarm, calibrates, is on bypass or off counts as critical at once.
	LostCommsNUT bool
	// Margin is what is kept back of the last known runtime of a UPS that was
	// lost in such a state.
	Margin       time.Duration
	ShutdownWhen []ShutdownWhen
	HoldOffs     []HoldOff
}

// DefaultMargin is how much of the last known runtime is kept for the shutdown.
const DefaultMargin = time.Minute

// A Measure is what a ShutdownWhen looks at.
type Measure uint8

// The measures.
const (
	ChargeBelow  Measure = iota // battery.charge, percent
	RuntimeBelow                // battery.runtime, seconds
	OnBattery                   // the status is OB
)

// A ShutdownWhen is a condition under which a UPS counts as critical. It holds
// only while the UPS is on battery; or, with NoInput, while its input voltage is
// measured and absent.
type ShutdownWhen struct {
	System  string // as in MONITOR, or "*" for every UPS
	NoInput bool
	Measure Measure
	Limit   float64       // percent or seconds; not used with OnBattery
	For     time.Duration // how long it must hold without a break
	Line    int
}

// A HoldOff ignores a status token that has been seen for less than For while the
// UPS is on line.
type HoldOff struct {
	System string // as in MONITOR, or "*" for every UPS
	Token  string // LB, RB or OFF
	For    time.Duration
	Line   int
}

// upsmonRules are the directives of upsmon.conf that NUT does not have.
func upsmonRules() []directive[UPSMon] {
	return []directive[UPSMon]{
		{name: "SHUTDOWNWHEN", words: 3, set: shutdownWhen},
		{name: "HOLDOFF", words: 5, most: 5, set: holdOff},
		{name: "LOSTCOMMS", words: 2, most: 3, set: lostComms},
	}
}

// shutdownWhen reads SYSTEM [noinput and] MEASURE [for TIME].
func shutdownWhen(c *UPSMon, l line) error {
	w := ShutdownWhen{System: l.words[1], Line: l.no}
	rest := l.words[2:]
	if len(rest) >= 2 && strings.EqualFold(rest[0], "noinput") && strings.EqualFold(rest[1], "and") {
		w.NoInput, rest = true, rest[2:]
	}
	if len(rest) >= 2 && strings.EqualFold(rest[len(rest)-2], "for") {
		d, ok := l.period(rest[len(rest)-1])
		if !ok {
			return nil
		}
		w.For, rest = d, rest[:len(rest)-2]
	}
	if !l.measure(&w, rest) {
		return nil
	}
	c.Rules.ShutdownWhen = append(c.Rules.ShutdownWhen, w)
	return nil
}

// measure reads "charge below N", "runtime below TIME" or "onbattery".
func (l line) measure(w *ShutdownWhen, words []string) bool {
	known := []string{"charge", "runtime", "onbattery"}
	first := ""
	if len(words) > 0 {
		first = strings.ToLower(words[0])
	}
	below := len(words) == 3 && strings.EqualFold(words[1], "below")
	switch {
	case first == "onbattery" && len(words) == 1:
		w.Measure = OnBattery
		return true
	case first == "charge" && below:
		n, err := strconv.ParseFloat(strings.TrimSuffix(words[2], "%"), 64)
		if err != nil || !(n > 0 && n <= 100) {
			l.warn("SHUTDOWNWHEN: charge is compared with a percentage from 1 to 100 and not with %q; the line is ignored", words[2])
			return false
		}
		w.Measure, w.Limit = ChargeBelow, n
		return true
	case first == "runtime" && below:
		d, ok := l.period(words[2])
		if ok && d == 0 {
			l.warn("SHUTDOWNWHEN: no runtime is below 0; the line is ignored")
		}
		w.Measure, w.Limit = RuntimeBelow, d.Seconds()
		return d > 0
	}
	l.warn("SHUTDOWNWHEN wants [noinput and] charge below PERCENT, runtime below TIME or onbattery, then [for TIME], and not %q%s; the line is ignored",
		strings.Join(words, " "), hint(first, known))
	return false
}

// holdOff reads SYSTEM TOKEN for TIME.
func holdOff(c *UPSMon, l line) error {
	h := HoldOff{System: l.words[1], Token: strings.ToUpper(l.words[2]), Line: l.no}
	known := []string{ups.LB, ups.RB, ups.OFF}
	if !slices.Contains(known, h.Token) || !strings.EqualFold(l.words[3], "for") {
		l.warn("HOLDOFF wants LB, RB or OFF, then for TIME, and not %q; the line is ignored", strings.Join(l.words[2:5], " "))
		return nil
	}
	d, ok := l.period(l.words[4])
	if ok && d == 0 {
		l.warn("HOLDOFF: for 0 seconds nothing is ignored; the line is")
	}
	if d == 0 {
		return nil
	}
	h.For = d
	c.Rules.HoldOffs = append(c.Rules.HoldOffs, h)
	return nil
}

// lostComms reads nut or budget [MARGIN].
func lostComms(c *UPSMon, l line) error {
	switch w := strings.ToLower(l.words[1]); {
	case w == "nut" && len(l.words) == 2:
		c.Rules.LostCommsNUT = true
	case w == "budget":
		margin := DefaultMargin
		if len(l.words) > 2 {
			var ok bool
			if margin, ok = l.period(l.words[2]); !ok {
				return nil
			}
		}
		c.Rules.LostCommsNUT, c.Rules.Margin = false, margin
	default:
		l.warn("LOSTCOMMS is nut, or budget and the time to keep for the shutdown, and not %q%s; the line is ignored",
			strings.Join(l.words[1:], " "), hint(w, []string{"nut", "budget"}))
	}
	return nil
}

// period reads a time: seconds, or a number with s, m or h behind it.
func (l line) period(text string) (time.Duration, bool) {
	unit, number := time.Second, text
	for suffix, u := range map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour} {
		if n, ok := strings.CutSuffix(strings.ToLower(text), suffix); ok {
			unit, number = u, n
		}
	}
	n, err := strconv.ParseUint(number, 10, 31)
	if err != nil || n > uint64(math.MaxInt32*time.Second/unit) {
		l.warn("%s: a time is a number of seconds, or a number with s, m or h behind it, and not %q; the line is ignored", l.words[0], text)
		return 0, false
	}
	return time.Duration(n) * unit, true
}

// checkRules warns of rules for systems that no line monitors, and of those that shut
// nothing down because this host does not depend on the system.
func checkRules(s *source, c UPSMon) {
	var known []string
	feeds := map[string]bool{}
	for _, m := range c.Monitors {
		known = append(known, m.System)
		if m.PowerValue > 0 {
			feeds[m.System], feeds["*"] = true, true
		}
	}
	check := func(directive, system string, line int) {
		if system != "*" && !slices.Contains(known, system) {
			s.warn(line, "%s: no MONITOR line is about %s%s; nothing comes of this line", directive, system, hint(system, known))
		}
	}
	for _, w := range c.Rules.ShutdownWhen {
		check("SHUTDOWNWHEN", w.System, w.Line)
		switch {
		case c.MinSupplies == 0:
			s.warn(w.Line, "SHUTDOWNWHEN: with MINSUPPLIES 0 this host only watches; nothing comes of this line")
		case !feeds[w.System] && (w.System == "*" || slices.Contains(known, w.System)):
			s.warn(w.Line, "SHUTDOWNWHEN: the power value of %s is 0, so this host does not depend on it; nothing comes of this line", w.System)
		}
	}
	for _, h := range c.Rules.HoldOffs {
		check("HOLDOFF", h.System, h.Line)
	}
}
