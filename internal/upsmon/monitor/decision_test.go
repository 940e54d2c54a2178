package monitor

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"gonut/internal/conf"
)

// watching returns a monitor with a configuration that has read "UPS=STATUS" of some.
func watching(t *testing.T, config string, readings ...string) (*Monitor, time.Time) {
	t.Helper()
	c, problems, err := conf.ParseUPSMon("upsmon.conf", strings.NewReader(config))
	if err != nil || len(problems) > 0 {
		t.Fatal(problems, err)
	}
	m, now := New(c), time.Unix(1e9, 0)
	m.Step(now, Started{})
	for _, r := range readings {
		system, status, _ := strings.Cut(r, "=")
		m.Step(now, Status{UPS: system, Status: status})
	}
	return m, now
}

// What upsmon -c status says would happen is what does.
func TestIfLow(t *testing.T) {
	const atOnce = "set FSD on a@h, then wait until all other hosts have logged out, 15s (HOSTSYNC) at most, then wait 5s (FINALDELAY), then SHUTDOWNCMD"
	tests := []struct {
		config, readings string
		want             string
		shutdown         bool
	}{
		{"MONITOR a@h 1 u p primary\n", "a@h=OL", "at once: " + atOnce, true},
		{"MONITOR a@h 1 u p primary\nPOWERDOWNFLAG /x\nFINALDELAY 0\n", "a@h=OL",
			"at once: set FSD on a@h, then wait until all other hosts have logged out, 15s (HOSTSYNC) at most, then POWERDOWNFLAG and SHUTDOWNCMD", true},
		{"MONITOR a@h 1 u p primary\nOBLBDURATION 10\n", "a@h=OL", "after 10s of OBLBDURATION: " + atOnce, true},
		{"MONITOR a@h 1 u p secondary\n", "a@h=OL", "after FSD from its primary, or 15s of HOSTSYNC without it: wait 5s (FINALDELAY), then SHUTDOWNCMD", true},
		{"MONITOR a@h 1 u p primary\nMONITOR b@h 1 u p secondary\n", "a@h=OL b@h=OL", "notify only: the other UPSes have power value 1, and 1 is needed", false},
		{"MONITOR a@h 1 u p primary\nMONITOR b@h 1 u p secondary\n", "a@h=OL b@h=FSD", "at once: " + atOnce, true},
		{"MONITOR a@h 1 u p primary\nMONITOR b@h 1 u p secondary\nMINSUPPLIES 2\n", "a@h=OL b@h=OL", "at once: " + atOnce, true},
		{"MONITOR a@h 0 u p primary\nMONITOR b@h 1 u p secondary\n", "a@h=OL b@h=OL", "notify only: its power value is 0", false},
		{"MONITOR a@h 1 u p primary\nMINSUPPLIES 0\n", "a@h=OL", "notify only: this host only watches", false},
	}
	for _, tt := range tests {
		m, now := watching(t, tt.config+"SHUTDOWNCMD halt\n", strings.Fields(tt.readings)...)
		if got := m.Units(now)[0].IfLow; got != tt.want {
			t.Errorf("%q with %s: IfLow = %q; want %q", tt.config, tt.readings, got, tt.want)
		}
		m.Step(now.Add(time.Second), Status{UPS: "a@h", Status: "OB LB"})
		for i := 2; i < 60; i++ {
			m.Step(now.Add(time.Duration(i)*time.Second), Status{UPS: "a@h", Status: "OB LB"})
		}
		if got := m.Phase() > Watching; got != tt.shutdown {
			t.Errorf("%q with %s: a shutdown at OB LB = %t; want %t", tt.config, tt.readings, got, tt.shutdown)
		}
	}
	m, now := watching(t, "MONITOR a@h 1 u p primary\n", "a@h=OL")
	if got := m.Units(now)[0].IfLow; !strings.HasSuffix(got, "then nothing, for there is no SHUTDOWNCMD") {
		t.Errorf("IfLow without a command = %q; want it to say so", got)
	}
	m, now = watching(t, "MONITOR a@h 1 u p primary\n", "a@h=FSD")
	if got := m.Units(now)[0].IfLow; got != "the shutdown is under way" {
		t.Errorf("IfLow in a shutdown = %q; want that it is under way", got)
	}
}

// The record of a decision tells what led to it, with times, and what follows.
func TestDecisionTellsTheStory(t *testing.T) {
	m, now := watching(t, "MONITOR a@h 1 u p primary\nMONITOR b@h 1 u p primary\nSHUTDOWNCMD halt\n", "a@h=OL", "b@h=OL")
	for i := range 30 {
		m.Step(now.Add(time.Duration(i)*time.Minute), Status{UPS: "a@h", Status: []string{"OB", "OL"}[i%2]})
	}
	now = now.Add(time.Hour)
	m.Step(now, Status{UPS: "a@h", Status: "OB LB ALARM", Alarm: "replace battery"})
	m.Step(now.Add(time.Second), Status{UPS: "a@h", Status: "OB LB ALARM"})
	var d Decision
	for _, a := range m.Step(now.Add(2*time.Second), Status{UPS: "b@h", Status: "OB LB"}) {
		if a, ok := a.(Decide); ok {
			d = a.Decision
		}
	}
	if d.Cause == "" { // the second look at the other one
		for _, a := range m.Step(now.Add(2*time.Second), Status{UPS: "a@h", Status: "OB LB ALARM"}) {
			if a, ok := a.(Decide); ok {
				d = a.Decision
			}
		}
	}
	var told []string
	for _, b := range d.Before {
		told = append(told, fmt.Sprintf("%s %s %s %s", b.Time.Sub(now), b.Type, b.UPS, b.Extra))
	}
	want := []string{"0s ONBATT a@h ", "0s LOWBATT a@h ", "0s ALARM a@h replace battery", "2s ONBATT b@h ", "2s LOWBATT b@h "}
	if len(told) != toldKept || !slices.Equal(told[len(told)-5:], want) {
		t.Errorf("Before = %q; want %d, ending with %q", told, toldKept, want)
	}
	if len(d.Then) != 4 || d.Then[0] != "set FSD on a@h, b@h" || d.Then[3] != "SHUTDOWNCMD" {
		t.Errorf("Then = %q; want FSD first and SHUTDOWNCMD last", d.Then)
	}
	if d.Supplies != 0 || d.Needed != 1 || len(d.Otherwise) != 3 {
		t.Errorf("decision = %+v; want 0 of 1 needed, and three things that would have prevented it", d)
	}
}

// Nobody is advised to set MINSUPPLIES to 0, which would leave the host to die.
func TestAdviceIsSafe(t *testing.T) {
	for _, tt := range []struct {
		config, want string
	}{
		{"MONITOR a@h 1 u p primary\n", "one more healthy UPS"},
		{"MONITOR a@h 2 u p primary\nMINSUPPLIES 2\n", "one more healthy UPS, or a smaller MINSUPPLIES"},
	} {
		m, now := watching(t, tt.config, "a@h=OL")
		for _, a := range m.Step(now, Status{UPS: "a@h", Status: "OB LB"}) {
			if d, ok := a.(Decide); ok && d.Decision.Otherwise[1] != tt.want {
				t.Errorf("%q: advice %q; want %q last", tt.config, d.Decision.Otherwise, tt.want)
			}
		}
		if m.Phase() == Watching {
			t.Errorf("%q: no decision", tt.config)
		}
	}
}

// Of a server that falls silent while others are waited for, those count that were
// logged in when it answered last. This host itself was one, and is not waited for.
func TestServerFallsSilentWhileOthersAreWaitedFor(t *testing.T) {
	for _, tt := range []struct {
		name   string
		at     map[string]int // logins at the servers, this host's included
		silent string
		then   int // logins at the other server after that
		want   Phase
	}{
		{"nobody else was there", map[string]int{"a@h": 1, "b@h": 2}, "a@h", 1, Waiting},
		{"another host was there", map[string]int{"a@h": 2, "b@h": 2}, "a@h", 1, Telling},
		{"another host is elsewhere", map[string]int{"a@h": 1, "b@h": 2}, "a@h", 2, Telling},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m, now := watching(t, "MONITOR a@h 1 u p primary\nMONITOR b@h 1 u p primary\nMINSUPPLIES 2\n", "a@h=OL", "b@h=OL")
			both := func(f func(system string) Event) {
				for _, system := range []string{"a@h", "b@h"} {
					m.Step(now, f(system))
				}
			}
			both(func(s string) Event { return Connected{UPS: s, LoggedIn: true, Primary: true} })
			m.Step(now, Status{UPS: "b@h", Status: "OB LB"})
			both(func(s string) Event { return FSDSet{UPS: s} })
			both(func(s string) Event { return Logins{UPS: s, N: tt.at[s]} })
			now = now.Add(askEvery)
			m.Step(now, Lost{UPS: tt.silent, Err: "no answer", Closed: true})
			both(func(s string) Event {
				if s == tt.silent {
					return Logins{UPS: s, Err: "not connected"}
				}
				return Logins{UPS: s, N: tt.then}
			})
			if got := m.Phase(); got != tt.want {
				t.Errorf("phase = %s; want %s", got, tt.want)
			}
		})
	}
}
