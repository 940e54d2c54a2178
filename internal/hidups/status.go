package hidups

import (
	"strconv"
	"time"

	"gonut/internal/driver"
	"gonut/internal/ups"
)

// StatusOptions are the options that change how conditions become ups.status.
type StatusOptions struct {
	OnlineDischargeOnBattery   bool // onlinedischarge, onlinedischarge_onbattery
	OnlineDischargeCalibration bool
	LowBatteryDelay            time.Duration // lbrb_log_delay_sec
	LowBatteryDelayGiven       bool          // otherwise a quirk may want one
	DelayWithoutCalibrating    bool          // lbrb_log_delay_without_calibrating
	Throttle                   time.Duration // onlinedischarge_log_throttle_sec; below 0: time is no reason to warn again
	ThrottleGiven              bool          // otherwise 30 s, or nothing if the charge is known
	ThrottleHoverCharge        float64       // onlinedischarge_log_throttle_hovercharge
}

// conditions is what status composition looks at.
type conditions interface {
	Flag(name string) bool
	Value(name string) (string, bool)
}

// memory is what status composition remembers between polls.
type memory struct {
	lowSince   time.Time
	warned     time.Time
	warnCharge int // whole percents
}

// A composed status. Reason is the value of input.transfer.reason, empty if it has
// none; warn tells that the device contradicts itself and that it is time to say so.
type composed struct {
	tokens, alarms, buzzwords []string
	reason                    string
	warn                      bool
}

// compose makes ups.status of conditions, in the order in which C's usbhid-ups
// does it.
func compose(c conditions, o StatusOptions, m *memory, now time.Time) composed {
	var s composed
	add := func(token string, on bool) {
		if on {
			s.tokens = append(s.tokens, token)
		}
	}
	switch {
	case c.Flag("voltage-range"):
		s.reason = "input voltage out of range"
	case c.Flag("frequency-range"):
		s.reason = "input frequency out of range"
	}
	online, discharging := c.Flag("online"), c.Flag("discharging")
	calibrating := c.Flag("calibrating")
	both := online && discharging
	if !discharging {
		m.warned, m.warnCharge = time.Time{}, 0 // the next time is a new story
	}
	if both && o.OnlineDischargeCalibration {
		calibrating = true
	}
	add(ups.CAL, calibrating)
	switch {
	case c.Flag("offline"), both && o.OnlineDischargeOnBattery:
		add(ups.OB, true)
	case online:
		add(ups.OL, true)
		s.warn = both && !calibrating && m.throttle(c, o, now)
	case discharging:
		add(ups.OB, true)
	}
	add(ups.DISCHRG, discharging && !c.Flag("depleted"))
	add(ups.CHRG, c.Flag("charging") && notFull(c))
	low := c.Flag("lowbatt") || c.Flag("time-limit-expired") || c.Flag("shutdown-imminent")
	held := m.hold(low, online && (calibrating || o.DelayWithoutCalibrating), o.LowBatteryDelay, now)
	add(ups.LB, low && !held)
	add(ups.OVER, c.Flag("overload"))
	replace := c.Flag("replacebatt") || c.Flag("no-battery")
	add(ups.RB, replace && !held)
	add(ups.TRIM, c.Flag("trim"))
	add(ups.BOOST, c.Flag("boost"))
	add(ups.BYPASS, c.Flag("bypass-auto") || c.Flag("bypass-manual"))
	add(ups.OFF, c.Flag("off"))
	if c.Flag("eco") {
		s.buzzwords = append(s.buzzwords, "vendor:default:ECO")
	}
	if c.Flag("ess") {
		s.buzzwords = append(s.buzzwords, "vendor:default:ESS")
	}
	s.alarms = alarms(c, held)
	return s
}

// notFull reports whether a device that says "charging" can mean it: it said that
// the battery is not full, or it says nothing of that and the charge is between
// empty and full.
func notFull(c conditions) bool {
	if c.Flag("not-fully-charged") {
		return true
	}
	if c.Flag("fully-charged") {
		return false
	}
	text, ok := c.Value(ups.ChargeName)
	charge, err := strconv.ParseFloat(text, 64)
	return ok && err == nil && charge > 0 && charge < 100
}

// hold reports whether LB and RB are to be held back: some devices report both for
// a moment while they test themselves.
func (m *memory) hold(low, mayDelay bool, delay time.Duration, now time.Time) bool {
	if !low || !mayDelay || delay <= 0 {
		m.lowSince = time.Time{}
		return false
	}
	if m.lowSince.IsZero() {
		m.lowSince = now
	}
	return now.Sub(m.lowSince) < delay
}

// throttle decides whether to warn once more about "online and discharging". A battery
// whose charge hovers near full is no reason to.
func (m *memory) throttle(c conditions, o StatusOptions, now time.Time) bool {
	text, known := c.Value(ups.ChargeName)
	charge := ups.Atoi(text) // 0: unknown
	every := o.Throttle
	switch {
	case o.ThrottleGiven:
	case known:
		every = -1
	default:
		every = 30 * time.Second
	}
	first := m.warned.IsZero() && !known
	moved := charge > 0 && charge != m.warnCharge && float64(charge) < o.ThrottleHoverCharge
	due := !m.warned.IsZero() && every >= 0 && now.Sub(m.warned) >= every
	if !first && !moved && !due {
		return false
	}
	m.warned, m.warnCharge = now, charge
	return true
}

// alarms are the sentences that conditions stand for.
func alarms(c conditions, held bool) []string {
	var as []string
	for _, e := range [...]struct{ flag, text string }{
		{"replacebatt", "Replace battery!"},
		{"shutdown-imminent", "Shutdown imminent!"},
		{"fan-failure", "Fan failure!"},
		{"no-battery", "No battery installed!"},
		{"battery-voltage-low", "Battery voltage too low!"},
		{"battery-voltage-high", "Battery voltage too high!"},
		{"charger-failure", "Battery charger fail!"},
		{"overheat", "Temperature too high!"},
		{"commfault", "Internal UPS fault!"},
		{"awaiting-power", "Awaiting power!"},
		{"bypass-auto", "Automatic bypass mode!"},
		{"bypass-manual", "Manual bypass mode!"},
	} {
		if c.Flag(e.flag) && !(held && e.flag == "replacebatt") {
			as = append(as, e.text)
		}
	}
	return as
}

// report adds a composed status to an update.
func (s *composed) report(u *driver.Update) {
	u.Status(s.tokens...)
	for _, a := range s.alarms {
		u.Alarm(a)
	}
	u.Buzzwords(s.buzzwords...)
	if s.reason != "" {
		u.Set("input.transfer.reason", s.reason)
	} else {
		u.Delete("input.transfer.reason")
	}
}
