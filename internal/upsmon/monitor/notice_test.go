package monitor

import (
	"testing"

	"gonut/internal/conf"
)

func TestRender(t *testing.T) {
	for _, tt := range []struct{ template, system, extra, want string }{
		{"verbatim", "a@h", "x", "verbatim"},
		{"UPS %s on battery", "a@h", "", "UPS a@h on battery"},
		{"UPS %s on battery", "", "", "UPS  on battery"},
		{"%s: [%s]", "a@h", "x y", "a@h: [x y]"},
		{"%s: [%s]", "a@h", "", "a@h: []"},
		{"%s %s %s", "a@h", "x", "a@h x %s"},
		{"100% of %s", "a@h", "", "100% of a@h"},
		{"100%% of %s", "a@h", "", "100% of a@h"},
		{"%d %n %s %", "a@h", "", "%d %n a@h %"},
		{"by %s", "", "1h0m0s", "by 1h0m0s"}, // about no UPS
		{"%s", "%s%n", "x", "%s%n"},
		{"", "a@h", "x", ""},
	} {
		if got := Render(tt.template, tt.system, tt.extra); got != tt.want {
			t.Errorf("Render(%q, %q, %q) = %q; want %q", tt.template, tt.system, tt.extra, got, tt.want)
		}
	}
}

// The names and texts of notifications are what scripts and people know.
func TestNotices(t *testing.T) {
	names := conf.NotifyTypes()
	types := NotifyTypes()
	if len(names) != len(types) {
		t.Fatalf("upsmon.conf knows %d types; want %d", len(names), len(types))
	}
	for i, n := range names {
		if got := types[i].String(); got != n {
			t.Errorf("type %d = %s; want %s", i, got, n)
		}
	}
	for kind, want := range map[NotifyType]string{
		Online:           "UPS a@h on line power",
		OnBatt:           "UPS a@h on battery",
		LowBatt:          "UPS a@h battery is low",
		FSD:              "UPS a@h: forced shutdown in progress",
		CommOK:           "Communications with UPS a@h established",
		CommBad:          "Communications with UPS a@h lost",
		ShutdownNow:      "Auto logout and shutdown proceeding",
		ShutdownHostSync: "Shutdown initiated; primary system is waiting for secondaries to log out or time out",
		ReplBatt:         "UPS a@h battery needs to be replaced",
		NoComm:           "UPS a@h is unavailable",
		NoParent:         "upsmon parent process died - shutdown impossible",
		Cal:              "UPS a@h: calibration in progress",
		NotCal:           "UPS a@h: calibration finished",
		Off:              "UPS a@h: administratively OFF or asleep",
		NotOff:           "UPS a@h: no longer administratively OFF or asleep",
		Bypass:           "UPS a@h: on bypass (powered, not protecting)",
		NotBypass:        "UPS a@h: no longer on bypass",
		Eco:              "UPS a@h: in ECO mode (as defined by vendor)",
		NotEco:           "UPS a@h: no longer in ECO mode",
		Alarm:            "UPS a@h: one or more active alarms: [x]",
		NotAlarm:         "UPS a@h is no longer in an alarm state (no active alarms)",
		Over:             "UPS a@h: overloaded",
		NotOver:          "UPS a@h: no longer overloaded",
		Trim:             "UPS a@h: trimming incoming voltage",
		NotTrim:          "UPS a@h: no longer trimming incoming voltage",
		Boost:            "UPS a@h: boosting incoming voltage",
		NotBoost:         "UPS a@h: no longer boosting incoming voltage",
		Other:            "UPS a@h: has at least one unclassified status token: [x]",
		NotOther:         "UPS a@h has no unclassified status tokens anymore",
		SuspendStarting:  "OS is entering sleep/suspend/hibernate mode",
		SuspendFinished:  "OS just finished sleep/suspend/hibernate mode, de-activating obsolete UPS readings to avoid an unfortunate shutdown",
		SuspendTimeJump:  "Unexpected clock change by a@h, treating as wake up from sleep",
		NoLogin:          "UPS a@h: this host is not logged in as it should be: x",
	} {
		if got := Render(kind.template(nil), "a@h", "x"); got != want {
			t.Errorf("%s = %q; want %q", kind, got, want)
		}
	}
	if got := OnBatt.template(map[string]string{"ONBATT": "mine"}); got != "mine" {
		t.Errorf("template of a NOTIFYMSG = %q; want mine", got)
	}
}
