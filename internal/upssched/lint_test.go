package upssched

import (
	"strings"
	"testing"

	"gonut/internal/conf"
)

const head = "CMDSCRIPT s\nPIPEFN p\nLOCKFN l\n" // lines 1 to 3

// What is correct and hardly meant is found before the power is gone.
func TestLint(t *testing.T) {
	const both = "NOTIFYCMD /sbin/upssched\nNOTIFYFLAG ONBATT EXEC\nNOTIFYFLAG ONLINE SYSLOG+EXEC\nNOTIFYFLAG COMMBAD EXEC\nNOTIFYFLAG COMMOK EXEC\nNOTIFYFLAG SHUTDOWN EXEC\n" +
		"MONITOR a@h 1 u p primary\nMONITOR b@h 1 u p primary\n"
	for _, tt := range []struct {
		name, at, monitor string
		want              []string
	}{
		{"a pair", "AT ONBATT * START-TIMER t 30\nAT ONLINE * CANCEL-TIMER t\n", "", nil},
		{"nothing cancels: after a second of outage the host goes down", "AT ONBATT * START-TIMER shutdown 30\n", "", []string{
			"4: nothing cancels the timer shutdown: it ends after 30s even if ONBATT was over after a second; cancel it with: AT ONLINE * CANCEL-TIMER shutdown"}},
		{"the cancellation has another name", "AT ONBATT * START-TIMER onbatt 30\nAT ONLINE * CANCEL-TIMER onbat\n", "", []string{
			"4: nothing cancels the timer onbatt: it ends after 30s even if ONBATT was over after a second; did you mean onbat?; cancel it with: AT ONLINE * CANCEL-TIMER onbatt",
			"5: nothing starts the timer onbat; did you mean onbatt?"}},
		{"the cancellation is for another UPS", "AT ONBATT a@h START-TIMER t 30\nAT ONLINE b@h CANCEL-TIMER t\n", "", []string{
			"4: the timer t starts for a@h, but line 5 cancels it only for b@h"}},
		{"something else cancels", "AT ONBATT * START-TIMER t 30\nAT LOWBATT * CANCEL-TIMER t\n", "", []string{
			"4: ONLINE does not cancel the timer t, only LOWBATT on line 5 does: it may end after 30s even if ONBATT was over after a second"}},
		{"a heartbeat", "AT ONBATT * CANCEL-TIMER t\nAT ONBATT * START-TIMER t 660\n", "", nil},
		{"a state without an end needs none", "AT REPLBATT * START-TIMER t 30\nAT SHUTDOWN * START-TIMER u 3\nAT FSD * EXECUTE x\n", "", nil},
		{"a timer of no time is a command", "AT ONBATT * START-TIMER t 0\n", "", nil},
		{"a cancellation below", "AT ONBATT * START-TIMER t 30\nAT ONBATT * CANCEL-TIMER t\nAT ONLINE * CANCEL-TIMER t\n", "", []string{
			"5: this cancels at once what line 4 starts for the same notification; to start anew, cancel above"}},
		{"started twice", "AT ONBATT * START-TIMER t 30\nAT ONBATT a@h START-TIMER t 60\nAT ONLINE * CANCEL-TIMER t\n", "", []string{
			"5: for the same notification line 4 starts the timer t already, so two of them run"}},
		{"spelled in two ways", "AT ONBATT * START-TIMER too-long 30\nAT ONLINE * CANCEL-TIMER too_long\nAT ONLINE * CANCEL-TIMER too-long\n", "", []string{
			"5: nothing starts the timer too_long; did you mean too-long?",
			"5: too_long is another name than too-long on line 4; are they meant to be the same?"}},
		{"no such notification", "AT ONBAT * EXECUTE x\n", "", []string{"4: upsmon sends no notification ONBAT; did you mean ONBATT?"}},
		{"fits upsmon.conf", "AT ONBATT a@h START-TIMER t 30\nAT ONLINE a@h CANCEL-TIMER t\nAT SHUTDOWN * EXECUTE x\n", both, nil},
		{"upsmon never runs upssched", "AT ONBATT * EXECUTE x\n", "MONITOR a@h 1 u p primary\nNOTIFYFLAG ONBATT EXEC\n", []string{"upsmon.conf has no NOTIFYCMD, so upssched is never run"}},
		{"upsmon never runs it for this", "AT ONBATT * EXECUTE x\nAT ONBATT * EXECUTE y\n", "NOTIFYCMD x\nMONITOR a@h 1 u p primary\n", []string{
			"4: upsmon.conf has no EXEC for ONBATT, so this never happens; write there: NOTIFYFLAG ONBATT SYSLOG+WALL+EXEC"}},
		{"the name of the UPS is not quite upsmon's", "AT ONBATT a EXECUTE x\nAT COMMBAD A@H EXECUTE x\nAT COMMBAD hall@elsewhere EXECUTE x\n", both, []string{
			"4: upsmon.conf has no MONITOR line for a, and names must be the same to the letter; did you mean a@h?",
			"5: upsmon.conf has no MONITOR line for A@H, and names must be the same to the letter; did you mean a@h?",
			"6: upsmon.conf has no MONITOR line for hall@elsewhere, and names must be the same to the letter"}},
		{"a notification about no UPS", "AT SHUTDOWN a@h EXECUTE x\nAT SHUTDOWN \"\" EXECUTE x\nAT ONBATT \"\" EXECUTE x\n", both, []string{
			"4: SHUTDOWN is about no UPS, so it never matches a@h; write * there",
			"6: ONBATT is always about a UPS, so an empty name never matches"}},
		{"one UPS cancels another's", "AT ONBATT * START-TIMER t 30\nAT ONLINE * CANCEL-TIMER t\n", both, []string{
			"5: ONLINE of one UPS cancels the timer t of the others as well; CANCEL-TIMER-MATCHED does not"}},
		{"each cancels its own", "AT ONBATT * START-TIMER t 30\nAT ONLINE * CANCEL-TIMER-MATCHED t\n", both, nil},
	} {
		c, problems, err := conf.ParseUPSSched("upssched.conf", strings.NewReader(head+tt.at))
		if err != nil || len(problems) > 0 {
			t.Fatalf("%s: %v %v", tt.name, problems, err)
		}
		var m *conf.UPSMon
		if tt.monitor != "" {
			parsed, problems, err := conf.ParseUPSMon("upsmon.conf", strings.NewReader(tt.monitor))
			if err != nil || len(problems) > 0 {
				t.Fatalf("%s: %v %v", tt.name, problems, err)
			}
			m = &parsed
		}
		var got []string
		for _, p := range lint("", c, m) {
			got = append(got, strings.TrimLeft(p.String(), ": "))
		}
		if strings.Join(got, "\n") != strings.Join(tt.want, "\n") {
			t.Errorf("%s: lint() = %q; want %q", tt.name, got, tt.want)
		}
	}
}
