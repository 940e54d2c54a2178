package conf

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const monitorA = "MONITOR a@h 1 u p primary\n"

func TestMonitorRules(t *testing.T) {
	text := monitorA + `
SHUTDOWNWHEN a@h charge below 30%
SHUTDOWNWHEN * runtime below 5m for 10
SHUTDOWNWHEN a@h noinput and charge below 50 for 30s
SHUTDOWNWHEN a@h onbattery for 1h
HOLDOFF a@h lb for 10
LOSTCOMMS budget 90
`
	c, problems, err := ParseUPSMon("upsmon.conf", strings.NewReader(text))
	if err != nil || len(problems) > 0 {
		t.Fatalf("ParseUPSMon = %v, %v; want neither problems nor an error", problems, err)
	}
	want := MonitorRules{
		Margin: 90 * time.Second,
		ShutdownWhen: []ShutdownWhen{
			{System: "a@h", Measure: ChargeBelow, Limit: 30, Line: 3},
			{System: "*", Measure: RuntimeBelow, Limit: 300, For: 10 * time.Second, Line: 4},
			{System: "a@h", NoInput: true, Measure: ChargeBelow, Limit: 50, For: 30 * time.Second, Line: 5},
			{System: "a@h", Measure: OnBattery, For: time.Hour, Line: 6},
		},
		HoldOffs: []HoldOff{{System: "a@h", Token: "LB", For: 10 * time.Second, Line: 7}},
	}
	if d := cmp.Diff(want, c.Rules); d != "" {
		t.Errorf("rules differ (-want +got):\n%s", d)
	}
}

func TestSilentMonitorRules(t *testing.T) {
	c, _, _ := ParseUPSMon("upsmon.conf", strings.NewReader(monitorA))
	if d := cmp.Diff(MonitorRules{Margin: time.Minute}, c.Rules); d != "" {
		t.Errorf("rules of a silent file differ (-want +got):\n%s", d)
	}
}

// A rule that is wrong is named with its line and does nothing: half a rule would
// be a threshold that nobody asked for.
func TestBadMonitorRules(t *testing.T) {
	tests := []struct{ line, want string }{
		{"SHUTDOWNWHEN a@h charge below 0", "percentage"},
		{"SHUTDOWNWHEN a@h charge below 101", "percentage"},
		{"SHUTDOWNWHEN a@h charge below NaN", "percentage"},
		{"SHUTDOWNWHEN a@h charge above 30", "SHUTDOWNWHEN wants"},
		{"SHUTDOWNWHEN a@h chrage below 30", "did you mean charge"},
		{"SHUTDOWNWHEN a@h runtime below soon", "a time is"},
		{"SHUTDOWNWHEN a@h runtime below 99999999999h", "a time is"},
		{"SHUTDOWNWHEN a@h runtime below 0", "no runtime is below 0"},
		{"SHUTDOWNWHEN a@h onbattery for -1", "a time is"},
		{"SHUTDOWNWHEN a@h onbattery longer", "SHUTDOWNWHEN wants"},
		{"SHUTDOWNWHEN a@h noinput", "SHUTDOWNWHEN wants"},
		{"SHUTDOWNWHEN a@h noinput and for 5", "SHUTDOWNWHEN wants"},
		{"HOLDOFF a@h OB for 5", "HOLDOFF wants"},
		{"HOLDOFF a@h LB since 5", "HOLDOFF wants"},
		{"HOLDOFF a@h LB for x", "a time is"},
		{"HOLDOFF a@h LB for 0s", "nothing is ignored"},
		{"LOSTCOMMS nutt", "did you mean nut"},
		{"LOSTCOMMS budget x", "a time is"},
	}
	for _, tt := range tests {
		c, problems, err := ParseUPSMon("f", strings.NewReader(monitorA+tt.line+"\n"))
		if err != nil || len(problems) != 1 || problems[0].Line != 2 || !strings.Contains(problems[0].Text, tt.want) {
			t.Errorf("problems of %q = %v, %v; want one on line 2 with %q", tt.line, problems, err, tt.want)
		}
		if d := cmp.Diff(MonitorRules{Margin: time.Minute}, c.Rules); d != "" {
			t.Errorf("rules of %q differ (-want +got):\n%s", tt.line, d)
		}
	}
}

func TestRulesForUnknownSystems(t *testing.T) {
	_, problems, _ := ParseUPSMon("f", strings.NewReader(monitorA+"SHUTDOWNWHEN a@g onbattery for 60\nHOLDOFF b@h LB for 5\n"))
	if len(problems) != 2 || problems[0].Line != 2 || problems[1].Line != 3 || !strings.Contains(problems[0].Text, "did you mean a@h") {
		t.Errorf("problems = %v; want one each on lines 2 and 3", problems)
	}
}

// A budget that is wrong leaves alone what a line before it said.
func TestBadBudgetChangesNothing(t *testing.T) {
	c, _, _ := ParseUPSMon("f", strings.NewReader(monitorA+"LOSTCOMMS nut\nLOSTCOMMS budget x\n"))
	if !c.Rules.LostCommsNUT {
		t.Error("LOSTCOMMS budget x is in force; want the line before it")
	}
}

// A threshold that can shut nothing down is not what its author wanted.
func TestRulesWithoutEffect(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"MONITOR a@h 0 u p primary\nMONITOR b@h 1 u p primary\nSHUTDOWNWHEN a@h onbattery\nSHUTDOWNWHEN * onbattery\n", "3: SHUTDOWNWHEN: the power value of a@h is 0"},
		{"MONITOR a@h 0 u p primary\n\nSHUTDOWNWHEN * onbattery\n", "3: SHUTDOWNWHEN: the power value of * is 0"},
		{"MONITOR a@h 1 u p primary\nMINSUPPLIES 0\nSHUTDOWNWHEN a@h onbattery\n", "3: SHUTDOWNWHEN: with MINSUPPLIES 0"},
	} {
		_, problems, _ := ParseUPSMon("f", strings.NewReader(tt.text))
		if len(problems) != 1 || !strings.HasPrefix(problems[0].String(), "f:"+tt.want) {
			t.Errorf("problems of %q = %v; want one that begins with %q", tt.text, problems, tt.want)
		}
	}
}
