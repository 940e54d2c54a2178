package conf

import "time"

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
