package conf

import (
	"testing"
	"time"
)

func TestParseUPSSched(t *testing.T) {
	first := SchedSettings{CmdScript: []string{"/bin/script", "-v"}, PipeFN: "/run/p", LockFN: "/run/l"}
	second := SchedSettings{CmdScript: []string{"/bin/other"}, PipeFN: "/run/p", LockFN: "/run/l"}
	got := good(t, ParseUPSSched, `
CMDSCRIPT /bin/script -v
PIPEFN /run/p
LOCKFN /run/l
debug_min 3
AT onbatt * START-TIMER "on batt" 30
AT ONBATT ups@host START-TIMER-SHARED t 0
AT ONLINE * CANCEL-TIMER t
AT ONLINE * CANCEL-TIMER t gone
AT ONLINE * CANCEL-TIMER-MATCHED t gone
CMDSCRIPT /bin/other
AT MYTYPE "" EXECUTE now
`)
	same(t, "ParseUPSSched", got, UPSSched{SchedSettings: second, DebugMin: 3, At: []At{
		{Type: "ONBATT", UPS: "*", Command: "START-TIMER", Name: "on batt", After: 30 * time.Second, Settings: first, Line: 6},
		{Type: "ONBATT", UPS: "ups@host", Command: "START-TIMER-SHARED", Name: "t", Settings: first, Line: 7},
		{Type: "ONLINE", UPS: "*", Command: "CANCEL-TIMER", Name: "t", Settings: first, Line: 8},
		{Type: "ONLINE", UPS: "*", Command: "CANCEL-TIMER", Name: "t", Else: "gone", Settings: first, Line: 9},
		{Type: "ONLINE", UPS: "*", Command: "CANCEL-TIMER-MATCHED", Name: "t", Else: "gone", Settings: first, Line: 10},
		{Type: "MYTYPE", UPS: "", Command: "EXECUTE", Name: "now", Settings: second, Line: 12},
	}})
}

// TestUPSSchedNumbers compares with what C reads from the seconds of a timer.
func TestUPSSchedNumbers(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"30": 30 * time.Second, " 30": 30 * time.Second, "3OO": 3 * time.Second, "-5": -5 * time.Second,
		"99999999999": (1<<31 - 1) * time.Second, "": -1, "x": -1,
	} {
		c := lenient(t, ParseUPSSched, "CMDSCRIPT s\nPIPEFN p\nLOCKFN l\nAT ONBATT * START-TIMER t \""+text+"\"\n")
		got := time.Duration(-1) // no such line
		if len(c.At) > 0 {
			got = c.At[0].After
		}
		if got != want {
			t.Errorf("START-TIMER t %q runs %v; want %v", text, got, want)
		}
	}
}

func TestAtMatches(t *testing.T) {
	for _, c := range []struct {
		at        At
		typ, name string
		want      bool
	}{
		{At{Type: "ONBATT", UPS: "*"}, "ONBATT", "a@b", true},
		{At{Type: "ONBATT", UPS: "*"}, "onbatt", "", true},
		{At{Type: "ONBATT", UPS: "*"}, "ONLINE", "a@b", false},
		{At{Type: "ONBATT", UPS: "a@b"}, "ONBATT", "a@b", true},
		{At{Type: "ONBATT", UPS: "A@b"}, "ONBATT", "a@b", false},
		{At{Type: "ONBATT", UPS: "a"}, "ONBATT", "a@b", false},
		{At{Type: "SHUTDOWN", UPS: ""}, "SHUTDOWN", "", true},
	} {
		if got := c.at.Matches(c.typ, c.name); got != c.want {
			t.Errorf("%+v.Matches(%q, %q) = %v; want %v", c.at, c.typ, c.name, got, c.want)
		}
	}
}
