package failover_test

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gonut/internal/driver"
	"gonut/internal/drivers/failover"
	"gonut/internal/netproto"
	"gonut/internal/upstream/upstreamtest"
)

var (
	want = upstreamtest.Want
	do   = upstreamtest.Do
)

const primary = "experimental.failover.primary"

// pair starts two UPSes and a failover over both.
func pair(t *testing.T, options map[string]string) (a, b *upstreamtest.Real, f *driver.Session) {
	t.Helper()
	bench := upstreamtest.New(t)
	id := map[string]driver.Writable{"ups.id": {String: true, MaxLen: 9}}
	a = bench.Start("usb-a", map[string]string{"ups.status": "OL", "ups.id": "a", "battery.charge": "90", "battery.runtime": "100"}, id, "load.off")
	b = bench.Start("snmp-b", map[string]string{"ups.status": "OL", "ups.id": "b", "battery.runtime": "200"}, id, "beeper.mute")
	f = bench.Attach(failover.Driver(), "usb-a,snmp-b", options)
	time.Sleep(time.Second)
	return a, b, f
}

func TestFailoverFollowsTheBest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b, f := pair(t, nil)
		want(t, f, primary, "usb-a")
		want(t, f, "ups.id", "a")
		want(t, f, "upstream.driver.name", "real")
		want(t, f, "driver.name", "failover")
		if !f.State().HasCommand("load.off") || f.State().HasCommand("beeper.mute") {
			t.Error("commands are not those of the primary")
		}
		a.Set("ups.status", "OB")
		want(t, f, primary, "snmp-b")
		want(t, f, "ups.status", "OL")
		want(t, f, "battery.charge", "") // only the other one has it
		if f.State().HasCommand("load.off") || !f.State().HasCommand("beeper.mute") {
			t.Error("commands are not those of the new primary")
		}
		b.Set("ups.status", "OB LB")
		want(t, f, primary, "usb-a")
		want(t, f, "ups.status", "OB")
		b.Set("ups.status", "OL")
		a.Fail(errors.New("cable"))
		time.Sleep(5 * time.Second) // for which its values are held
		want(t, f, primary, "snmp-b")
		if f.State().Stale() {
			t.Error("stale although one is good")
		}
		b.Stop()
		time.Sleep(6 * time.Second)
		if !f.State().Stale() {
			t.Error("fresh although the only one left is stale")
		}
		a.Fail(nil)
		time.Sleep(6 * time.Second)
		if f.State().Stale() {
			t.Error("stale although the first is good again")
		}
		want(t, f, primary, "usb-a")
	})
}

func TestFailoverPassesRequestsOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b, f := pair(t, nil)
		do(t, f, "SET ups.id x", netproto.Handled)
		do(t, f, "INSTCMD load.off", netproto.Handled)
		do(t, f, "INSTCMD upstream.shutdown.default", netproto.Unknown) // the test's device has none
		if got := strings.Join(a.Done(), ", "); got != "ups.id=x, load.off, shutdown.default" {
			t.Errorf("the primary got %q", got)
		}
		if got := b.Done(); len(got) != 0 {
			t.Errorf("the other one got %q; want nothing", got)
		}
		do(t, f, "INSTCMD nope", netproto.Unknown)
	})
}

func TestFailoverForce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, _, f := pair(t, nil)
		do(t, f, "INSTCMD snmp-b.force.primary 60", netproto.Handled)
		want(t, f, primary, "snmp-b")
		time.Sleep(61 * time.Second)
		want(t, f, primary, "usb-a")
		do(t, f, "INSTCMD usb-a.force.ignore -1", netproto.Handled)
		want(t, f, primary, "snmp-b")
		time.Sleep(time.Hour)
		want(t, f, primary, "snmp-b")
		do(t, f, "INSTCMD usb-a.force.ignore", netproto.Handled)
		want(t, f, primary, "usb-a")
		do(t, f, "INSTCMD usb-a.force.ignore soon", netproto.Invalid)
	})
}

func TestFailoverFilters(t *testing.T) {
	tests := []struct {
		options          map[string]string
		a, b, wantsFirst string
	}{
		{map[string]string{"status_nothave_any": "ALARM,RB"}, "OL RB", "OL", "snmp-b"},
		{map[string]string{"status_nothave_any": "ALARM"}, "OL RB", "OL", "usb-a"},
		{map[string]string{"status_have_all": "OL,CHRG"}, "OL", "OL CHRG", "snmp-b"},
		{map[string]string{"status_have_any": "CHRG,BOOST"}, "OL", "OL BOOST", "snmp-b"},
		{map[string]string{"status_nothave_all": "OB,LB"}, "OB LB", "OB", "snmp-b"},
		{map[string]string{"status_have_any": "CHRG"}, "OL", "OB", "usb-a"}, // none passes: the default order
		{map[string]string{"checkruntime": "1"}, "OB", "OB", "snmp-b"},
		{map[string]string{"checkruntime": "1"}, "OL", "OL", "usb-a"},
		{nil, "OB", "OB", "usb-a"},
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			a, b, f := pair(t, tt.options)
			a.Set("ups.status", tt.a)
			b.Set("ups.status", tt.b)
			if got := f.State().Value(primary); got != tt.wantsFirst {
				t.Errorf("%v with %q and %q: primary %s; want %s", tt.options, tt.a, tt.b, got, tt.wantsFirst)
			}
		})
	}
}

func TestFailoverWithoutPrimary(t *testing.T) {
	tests := []struct {
		mode                string
		soon, later, end    string // ups.status
		staleSoon, staleEnd bool
		alarm               bool
	}{
		{"0", "OL", "OL", "OL", false, true, false},
		{"1", "OL", "ALARM", "ALARM", false, true, true},
		{"2", "OL", "ALARM FSD", "ALARM FSD", false, false, true},
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			a, b, f := pair(t, map[string]string{"fsdmode": tt.mode, "noprimarytime": "10", "inittime": "0"})
			a.Stop()
			b.Stop()
			time.Sleep(5 * time.Second)
			if got := f.State().Value("ups.status"); got != tt.soon || f.State().Stale() != tt.staleSoon {
				t.Errorf("fsdmode %s, soon: %q, stale %v; want %q, %v", tt.mode, got, f.State().Stale(), tt.soon, tt.staleSoon)
			}
			time.Sleep(8 * time.Second)
			if got := f.State().Value("ups.status"); got != tt.later {
				t.Errorf("fsdmode %s, later: %q; want %q", tt.mode, got, tt.later)
			}
			if got := f.State().Value("ups.alarm") != ""; got != tt.alarm {
				t.Errorf("fsdmode %s: alarm %v; want %v", tt.mode, got, tt.alarm)
			}
			time.Sleep(time.Minute)
			if got := f.State().Value("ups.status"); got != tt.end || f.State().Stale() != tt.staleEnd {
				t.Errorf("fsdmode %s, in the end: %q, stale %v; want %q, %v", tt.mode, got, f.State().Stale(), tt.end, tt.staleEnd)
			}
			do(t, f, "INSTCMD load.off", netproto.Failed)
			b.Run()
			time.Sleep(20 * time.Second)
			want(t, f, "ups.status", "OL")
			want(t, f, primary, "snmp-b")
			if f.State().Stale() {
				t.Errorf("fsdmode %s: stale although one is back", tt.mode)
			}
		})
	}
}

func TestFailoverRefusesNonsense(t *testing.T) {
	for _, v := range []driver.Values{
		{Port: ","},
		{Port: "a", Set: map[string]string{"fsdmode": "3"}},
		{Port: "a", Set: map[string]string{"deadtime": "long"}},
		{Port: "a", Set: map[string]string{"strictfiltering": "1"}},
	} {
		if _, err := failover.Driver().Open(t.Context(), v, slog.New(slog.DiscardHandler)); !errors.Is(err, driver.ErrConfig) {
			t.Errorf("Open(%q, %v) = %v; want ErrConfig", v.Port, v.Set, err)
		}
	}
}
