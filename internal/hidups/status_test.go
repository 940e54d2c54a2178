package hidups

import (
	"strings"
	"testing"
	"time"
)

// told is a device by what it says: names of conditions, "!" before those that it
// says do not hold.
type told struct {
	flags  map[string]bool
	charge string
}

func tell(flags, charge string) told {
	d := told{flags: map[string]bool{}, charge: charge}
	for _, f := range strings.Fields(flags) {
		n, no := strings.CutPrefix(f, "!")
		d.flags[n] = !no
	}
	return d
}

func (d told) Flag(name string) bool { return d.flags[name] }
func (d told) Value(name string) (string, bool) {
	return d.charge, name == "battery.charge" && d.charge != ""
}

func TestCompose(t *testing.T) {
	tests := []struct {
		flags, charge string
		o             StatusOptions
		want          string // tokens | alarms | reason
	}{
		{"online", "", StatusOptions{}, "OL||"},
		{"offline discharging", "", StatusOptions{}, "OB DISCHRG||"},
		{"discharging", "", StatusOptions{}, "OB DISCHRG||"},
		{"!online", "", StatusOptions{}, "||"},
		{"", "", StatusOptions{}, "||"},
		{"online charging", "50", StatusOptions{}, "OL CHRG||"},
		{"online charging", "100", StatusOptions{}, "OL||"},
		{"online charging", "0", StatusOptions{}, "OL||"},
		{"online charging", "", StatusOptions{}, "OL||"},
		{"online charging not-fully-charged", "100", StatusOptions{}, "OL CHRG||"},
		{"online charging fully-charged", "50", StatusOptions{}, "OL||"},
		{"online discharging", "90", StatusOptions{}, "OL DISCHRG||"},
		{"online discharging", "90", StatusOptions{OnlineDischargeOnBattery: true}, "OB DISCHRG||"},
		{"online discharging", "90", StatusOptions{OnlineDischargeCalibration: true}, "CAL OL DISCHRG||"},
		{"online discharging", "90", StatusOptions{OnlineDischargeCalibration: true, OnlineDischargeOnBattery: true}, "CAL OB DISCHRG||"},
		{"online calibrating", "", StatusOptions{}, "CAL OL||"},
		{"offline discharging depleted", "0", StatusOptions{}, "OB||"},
		{"offline discharging lowbatt", "5", StatusOptions{}, "OB DISCHRG LB||"},
		{"online time-limit-expired", "", StatusOptions{}, "OL LB||"},
		{"online shutdown-imminent", "", StatusOptions{}, "OL LB|Shutdown imminent!|"},
		{"online overload replacebatt trim boost", "", StatusOptions{}, "OL OVER RB TRIM BOOST|Replace battery!|"},
		{"online no-battery", "", StatusOptions{}, "OL RB|No battery installed!|"},
		{"online bypass-auto bypass-manual off", "", StatusOptions{}, "OL BYPASS OFF|Automatic bypass mode! Manual bypass mode!|"},
		{"online voltage-range frequency-range", "", StatusOptions{}, "OL||input voltage out of range"},
		{"online frequency-range", "", StatusOptions{}, "OL||input frequency out of range"},
		{
			"online fan-failure battery-voltage-low battery-voltage-high charger-failure overheat commfault awaiting-power", "", StatusOptions{},
			"OL|Fan failure! Battery voltage too low! Battery voltage too high! Battery charger fail! Temperature too high! Internal UPS fault! Awaiting power!|",
		},
	}
	for _, test := range tests {
		s := compose(tell(test.flags, test.charge), test.o, &memory{}, time.Unix(1000, 0))
		got := strings.Join(s.tokens, " ") + "|" + strings.Join(s.alarms, " ") + "|" + s.reason
		if got != test.want {
			t.Errorf("compose(%s, charge %q) = %s; want %s", test.flags, test.charge, got, test.want)
		}
	}
}

func TestEcoModesAreBuzzwords(t *testing.T) {
	s := compose(tell("online eco ess", ""), StatusOptions{}, &memory{}, time.Unix(1000, 0))
	if got := strings.Join(s.buzzwords, " "); got != "vendor:default:ECO vendor:default:ESS" {
		t.Errorf("buzzwords = %q; want vendor:default:ECO vendor:default:ESS", got)
	}
}

// Some devices say LB and RB for a moment while they test themselves.
func TestLowBatteryIsHeldBackWhileItMayBeATest(t *testing.T) {
	o := StatusOptions{LowBatteryDelay: 3 * time.Second}
	now := time.Unix(1000, 0)
	var m memory
	tokens := func(flags string, o StatusOptions) string {
		return strings.Join(compose(tell(flags, "90"), o, &m, now).tokens, " ")
	}
	if got := tokens("online lowbatt", o); got != "OL LB" {
		t.Errorf("without calibration: %q; want OL LB at once", got)
	}
	if got := tokens("offline lowbatt", o); got != "OB LB" {
		t.Errorf("on battery: %q; want OB LB at once", got)
	}
	if got := tokens("online calibrating lowbatt replacebatt", o); got != "CAL OL" {
		t.Errorf("while calibrating: %q; want CAL OL", got)
	}
	now = now.Add(2 * time.Second)
	if got := tokens("online calibrating lowbatt replacebatt", o); got != "CAL OL" {
		t.Errorf("after 2 s: %q; want CAL OL", got)
	}
	now = now.Add(time.Second)
	if got := tokens("online calibrating lowbatt replacebatt", o); got != "CAL OL LB RB" {
		t.Errorf("after 3 s: %q; want CAL OL LB RB", got)
	}
	m = memory{}
	if got := tokens("online calibrating replacebatt", o); got != "CAL OL RB" {
		t.Errorf("RB alone: %q; want it at once", got)
	}
	o.DelayWithoutCalibrating = true
	if got := tokens("online lowbatt", o); got != "OL" {
		t.Errorf("held back without calibration: %q; want OL", got)
	}
	if got := tokens("online", o) + "/" + tokens("online lowbatt", o); got != "OL/OL" {
		t.Errorf("a new LB begins a new delay: %q; want OL/OL", got)
	}
	if got := tokens("offline lowbatt", o); got != "OB LB" {
		t.Errorf("mains fails meanwhile: %q; want OB LB", got)
	}
}

func TestWarningOfOnlineDischargeIsThrottled(t *testing.T) {
	now := time.Unix(1000, 0)
	var m memory
	warns := func(charge string, o StatusOptions) bool {
		return compose(tell("online discharging", charge), o, &m, now).warn
	}
	o := StatusOptions{ThrottleHoverCharge: 100}
	if !warns("90", o) || warns("90", o) {
		t.Error("want one warning for the same charge")
	}
	if !warns("89", o) {
		t.Error("want a warning when the charge changes")
	}
	if warns("100", o) {
		t.Error("want no warning for a change above the hover charge")
	}
	m = memory{}
	if !warns("", o) || warns("", o) {
		t.Error("without a charge: want one warning")
	}
	now = now.Add(30 * time.Second)
	if !warns("", o) {
		t.Error("without a charge: want another one after 30 s")
	}
	compose(tell("online", ""), o, &m, now)
	if !warns("", o) {
		t.Error("want a warning at once when it begins anew")
	}
	always, never := o, o
	always.ThrottleGiven = true
	never.ThrottleGiven, never.Throttle = true, -time.Second
	now = now.Add(time.Hour)
	for range 2 {
		if !warns("", always) {
			t.Error("want a warning at each poll for 0 s")
		}
	}
	if warns("", never) {
		t.Error("want no warning by time for -1 s")
	}
	m = memory{}
	if warns("100", o) {
		t.Error("want no warning for a full battery that hovers")
	}
	if compose(tell("online discharging", "1"), StatusOptions{OnlineDischargeOnBattery: true}, &memory{}, now).warn {
		t.Error("want no warning when an option says what is meant")
	}
}
