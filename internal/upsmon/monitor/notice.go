package monitor

import (
	"strings"
)

// A NotifyType is the kind of a notification, as NOTIFYMSG and NOTIFYFLAG name it.
type NotifyType uint8

// The types. NoLogin is ours: the others are NUT's.
const (
	Online NotifyType = iota
	OnBatt
	LowBatt
	FSD
	CommOK
	CommBad
	ShutdownNow
	ShutdownHostSync
	ReplBatt
	NoComm
	NoParent
	Cal
	NotCal
	Off
	NotOff
	Bypass
	NotBypass
	Eco
	NotEco
	Alarm
	NotAlarm
	Over
	NotOver
	Trim
	NotTrim
	Boost
	NotBoost
	Other
	NotOther
	SuspendStarting
	SuspendFinished
	SuspendTimeJump
	NoLogin
)

var notices = [...]struct{ name, text string }{
	Online:           {"ONLINE", "UPS %s on line power"},
	OnBatt:           {"ONBATT", "UPS %s on battery"},
	LowBatt:          {"LOWBATT", "UPS %s battery is low"},
	FSD:              {"FSD", "UPS %s: forced shutdown in progress"},
	CommOK:           {"COMMOK", "Communications with UPS %s established"},
	CommBad:          {"COMMBAD", "Communications with UPS %s lost"},
	ShutdownNow:      {"SHUTDOWN", "Auto logout and shutdown proceeding"},
	ShutdownHostSync: {"SHUTDOWN_HOSTSYNC", "Shutdown initiated; primary system is waiting for secondaries to log out or time out"},
	ReplBatt:         {"REPLBATT", "UPS %s battery needs to be replaced"},
	NoComm:           {"NOCOMM", "UPS %s is unavailable"},
	NoParent:         {"NOPARENT", "upsmon parent process died - shutdown impossible"},
	Cal:              {"CAL", "UPS %s: calibration in progress"},
	NotCal:           {"NOTCAL", "UPS %s: calibration finished"},
	Off:              {"OFF", "UPS %s: administratively OFF or asleep"},
	NotOff:           {"NOTOFF", "UPS %s: no longer administratively OFF or asleep"},
	Bypass:           {"BYPASS", "UPS %s: on bypass (powered, not protecting)"},
	NotBypass:        {"NOTBYPASS", "UPS %s: no longer on bypass"},
	Eco:              {"ECO", "UPS %s: in ECO mode (as defined by vendor)"},
	NotEco:           {"NOTECO", "UPS %s: no longer in ECO mode"},
	Alarm:            {"ALARM", "UPS %s: one or more active alarms: [%s]"},
	NotAlarm:         {"NOTALARM", "UPS %s is no longer in an alarm state (no active alarms)"},
	Over:             {"OVER", "UPS %s: overloaded"},
	NotOver:          {"NOTOVER", "UPS %s: no longer overloaded"},
	Trim:             {"TRIM", "UPS %s: trimming incoming voltage"},
	NotTrim:          {"NOTTRIM", "UPS %s: no longer trimming incoming voltage"},
	Boost:            {"BOOST", "UPS %s: boosting incoming voltage"},
	NotBoost:         {"NOTBOOST", "UPS %s: no longer boosting incoming voltage"},
	Other:            {"OTHER", "UPS %s: has at least one unclassified status token: [%s]"},
	NotOther:         {"NOTOTHER", "UPS %s has no unclassified status tokens anymore"},
	SuspendStarting:  {"SUSPEND_STARTING", "OS is entering sleep/suspend/hibernate mode"},
	SuspendFinished:  {"SUSPEND_FINISHED", "OS just finished sleep/suspend/hibernate mode, de-activating obsolete UPS readings to avoid an unfortunate shutdown"},
	SuspendTimeJump:  {"SUSPEND_TIMEJUMP_UNEXPECTED", "Unexpected clock change by %s, treating as wake up from sleep"},
	NoLogin:          {"NOLOGIN", "UPS %s: this host is not logged in as it should be: %s"},
}

// String returns the name that configuration files use.
func (t NotifyType) String() string { return notices[t].name }

// NotifyTypes returns all types in order.
func NotifyTypes() []NotifyType {
	ts := make([]NotifyType, len(notices))
	for i := range ts {
		ts[i] = NotifyType(i)
	}
	return ts
}

func (t NotifyType) template(custom map[string]string) string {
	if s, ok := custom[notices[t].name]; ok {
		return s
	}
	return notices[t].text
}

// Render fills in a message: the first %s becomes the UPS, the second the extra
// text, and %% a percent sign. A message about no UPS has its extra text in the
// first place. Everything else stays as it is.
func Render(template, system, extra string) string {
	slots := []string{system, extra}
	if system == "" && extra != "" {
		slots = []string{extra}
	}
	var b strings.Builder
	for {
		i := strings.IndexByte(template, '%')
		if i < 0 || i+1 == len(template) {
			b.WriteString(template)
			return b.String()
		}
		b.WriteString(template[:i])
		switch c := template[i+1]; {
		case c == 's' && len(slots) > 0:
			b.WriteString(slots[0])
			slots = slots[1:]
		case c == '%':
			b.WriteByte('%')
		default:
			b.WriteString(template[i : i+2])
		}
		template = template[i+2:]
	}
}
