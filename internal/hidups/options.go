package hidups

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"time"

	"gonut/internal/driver"
)

// CommonOptions are those that do not depend on USB. ParseOptions reads them, and those
// of usbhid-ups that are about the device.
func CommonOptions() []driver.Option {
	return []driver.Option{
		{Name: "lowbatt", Help: "Charge in percent at which the battery is low, if the device can be told"},
		{Name: "offdelay", Help: "Seconds until the load is switched off (default: what the device table says, mostly 20)"},
		{Name: "ondelay", Help: "Seconds until the load is switched on again (default: what the device table says, mostly 30)"},
		{Name: "pollfreq", Help: "Seconds between two full polls (default: what the device table says, mostly 30)"},
		{Name: "pollonly", Help: "Do not use the interrupt pipe", Flag: true},
		{Name: "disable_fix_report_desc", Help: "Use the report descriptor as the device sends it", Flag: true},
		{Name: "onlinedischarge", Help: "Old name of onlinedischarge_onbattery", Flag: true},
		{Name: "onlinedischarge_onbattery", Help: "On line and discharging at once means on battery", Flag: true},
		{Name: "onlinedischarge_calibration", Help: "On line and discharging at once means calibrating", Flag: true},
		{Name: "onlinedischarge_log_throttle_sec", Help: "Seconds between two warnings that the device is on line and discharging"},
		{Name: "onlinedischarge_log_throttle_hovercharge", Help: "Charge above which changes are no reason for that warning (default 100)"},
		{Name: "lbrb_log_delay_sec", Help: "Seconds for which LB and RB are held back while calibrating"},
		{Name: "lbrb_log_delay_without_calibrating", Help: "Hold LB and RB back whenever on line", Flag: true},
	}
}

// maxInterrupt is more than any report over the interrupt pipe has.
const maxInterrupt = 1 << 16

// ParseOptions reads what Values say about the device itself.
func ParseOptions(v driver.Values) (Options, error) {
	var errs []error
	number := func(name string, otherwise, least, most int) int {
		text := v.Get(name)
		if text == "" {
			return otherwise
		}
		n, err := strconv.Atoi(strings.TrimSpace(text))
		switch {
		case errors.Is(err, strconv.ErrRange), err == nil && (n < least || n > most):
			errs = append(errs, v.Wrong(name, "this is not between %d and %d", least, most))
		case err != nil:
			errs = append(errs, v.Wrong(name, "this is no whole number"))
		}
		return n
	}
	seconds := func(name string, otherwise, least int) time.Duration {
		return time.Duration(number(name, otherwise, least, math.MaxInt32)) * time.Second
	}
	o := Options{
		OffDelay: v.Get("offdelay"), OnDelay: v.Get("ondelay"), LowBattery: v.Get("lowbatt"),
		PollOnly: v.Has("pollonly"), InterruptOnly: v.Has("interruptonly"), MaxReport: v.Has("maxreport"),
		InterruptSize:     number("interruptsize", 0, 0, maxInterrupt),
		NoEventsTolerance: number("interrupt_pipe_no_events_tolerance", -1, -1, math.MaxInt32),
		FullEvery:         seconds("pollfreq", 0, 0),
		Explore:           v.Has("explore"), KeepDescriptor: v.Has("disable_fix_report_desc"),
		Status: StatusOptions{
			OnlineDischargeOnBattery:   v.Has("onlinedischarge") || v.Has("onlinedischarge_onbattery"),
			OnlineDischargeCalibration: v.Has("onlinedischarge_calibration"),
			LowBatteryDelay:            seconds("lbrb_log_delay_sec", 0, 0),
			LowBatteryDelayGiven:       v.Get("lbrb_log_delay_sec") != "",
			DelayWithoutCalibrating:    v.Has("lbrb_log_delay_without_calibrating"),
			Throttle:                   seconds("onlinedischarge_log_throttle_sec", 0, math.MinInt32),
			ThrottleGiven:              v.Get("onlinedischarge_log_throttle_sec") != "",
			ThrottleHoverCharge:        float64(number("onlinedischarge_log_throttle_hovercharge", 100, math.MinInt32, math.MaxInt32)),
		},
	}
	for _, name := range []string{"offdelay", "ondelay", "waitbeforereconnect"} {
		number(name, 0, math.MinInt32, math.MaxInt32)
	}
	number("lowbatt", 0, 0, 100)
	if o.PollOnly && o.InterruptOnly {
		errs = append(errs, driver.Configf("options pollonly and interruptonly: with both nothing is read at all"))
	}
	if v.Has("powercom_sdcmd_byte_order_fallback") {
		o.Classes = append(o.Classes, "fallback")
	}
	if v.Has("powercom_sdcmd_discrete_delay") {
		o.Classes = append(o.Classes, "discrete")
	}
	return o, errors.Join(errs...)
}
