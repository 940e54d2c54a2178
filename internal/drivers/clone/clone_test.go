package clone_test

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gonut/internal/driver"
	"gonut/internal/drivers/clone"
	"gonut/internal/netproto"
	"gonut/internal/upstream/upstreamtest"
)

var (
	want = upstreamtest.Want
	do   = upstreamtest.Do
)

// setUp starts a real UPS with an outlet, and a clone of the outlet.
func setUp(t *testing.T, options map[string]string) (*upstreamtest.Real, *driver.Session) {
	t.Helper()
	b := upstreamtest.New(t)
	real := b.Start("real-a", map[string]string{
		"ups.status": "OL", "battery.charge": "90", "battery.runtime": "900", "battery.charge.low": "10", "outlet.1.status": "on", "ups.id": "x",
	}, map[string]driver.Writable{"ups.id": {String: true, MaxLen: 5}},
		"outlet.1.load.off", "outlet.1.load.on", "load.off", "shutdown.return", "beeper.mute")
	all := map[string]string{"load.off": "outlet.1.load.off", "load.on": "outlet.1.load.on"}
	for k, v := range options {
		all[k] = v
	}
	return real, b.Attach(clone.Driver(), "real-a", all)
}

func TestCloneRepeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		real, c := setUp(t, map[string]string{"mincharge": "50"})
		want(t, c, "ups.status", "OL")
		want(t, c, "battery.charge", "90")
		want(t, c, "battery.charge.low", "50")
		want(t, c, "ups.timer.shutdown", "-1")
		want(t, c, "driver.name", "clone")
		real.Set("ups.status", "OL CHRG", "battery.charge", "")
		want(t, c, "ups.status", "OL CHRG")
		if _, ok := c.State().Variable("battery.charge"); ok {
			t.Error("battery.charge is still there")
		}
		do(t, c, "SET ups.id y", netproto.Handled)
		do(t, c, "INSTCMD beeper.mute", netproto.Handled)
		do(t, c, "INSTCMD load.off", netproto.Unknown) // not of the whole UPS
		if got := strings.Join(real.Done(), ", "); got != "ups.id=y, beeper.mute" {
			t.Errorf("the real driver got %q; want ups.id=y, beeper.mute", got)
		}
		do(t, c, "SET ups.delay.start 5", netproto.Handled)
		want(t, c, "ups.delay.start", "5")
		do(t, c, "SET battery.charge.low x", netproto.Invalid)
		if c.State().HasCommand("load.off") || !c.State().HasCommand("shutdown.return") {
			t.Error("the clone has the real UPS' load.off, or no shutdown.return")
		}
		real.Fail(errors.New("cable"))
		time.Sleep(5 * time.Second)
		if !c.State().Stale() {
			t.Error("the real driver is stale and the clone is not")
		}
		real.Fail(nil)
		time.Sleep(3 * time.Second)
		if c.State().Stale() {
			t.Error("the real driver is well again and the clone is not")
		}
		real.Stop()
		time.Sleep(6 * time.Second)
		if !c.State().Stale() {
			t.Error("the real driver is gone and the clone is not stale")
		}
		real.Run()
		time.Sleep(5 * time.Second)
		if c.State().Stale() {
			t.Error("the real driver is back and the clone is stale")
		}
	})
}

// On a low battery the clone says FSD, switches its outlet off, and on again when
// mains is back.
func TestCloneShutsItsOutletDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		real, c := setUp(t, map[string]string{"minruntime": "600", "offdelay": "60", "ondelay": "10"})
		real.Set("ups.status", "OB DISCHRG", "battery.runtime", "601")
		want(t, c, "ups.status", "OB DISCHRG")
		real.Set("battery.runtime", "599")
		want(t, c, "ups.status", "FSD OB DISCHRG LB")
		want(t, c, "ups.timer.shutdown", "60")
		time.Sleep(59 * time.Second)
		real.Set("ups.status", "OL", "battery.runtime", "700") // too late: the host halts
		want(t, c, "ups.status", "FSD OL")
		time.Sleep(2 * time.Second)
		if got := strings.Join(real.Done(), ", "); got != "outlet.1.load.off" {
			t.Fatalf("the real driver got %q; want outlet.1.load.off", got)
		}
		want(t, c, "ups.status", "OL OFF")
		time.Sleep(10 * time.Second)
		if got := strings.Join(real.Done(), ", "); got != "outlet.1.load.on" {
			t.Errorf("the real driver got %q; want outlet.1.load.on", got)
		}
		want(t, c, "ups.status", "OL")
	})
}

func TestCloneCommands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		real, c := setUp(t, map[string]string{"load.status": "outlet.1.status"})
		do(t, c, "INSTCMD shutdown.stayoff 5", netproto.Handled)
		want(t, c, "ups.status", "FSD OL")
		do(t, c, "INSTCMD shutdown.stop", netproto.Handled)
		want(t, c, "ups.status", "OL")
		do(t, c, "INSTCMD shutdown.stayoff 5", netproto.Handled)
		time.Sleep(6 * time.Second)
		real.Set("outlet.1.status", "off")
		want(t, c, "ups.status", "OL OFF")
		time.Sleep(5 * time.Minute)
		if got := strings.Join(real.Done(), ", "); got != "outlet.1.load.off" {
			t.Errorf("the real driver got %q; want only outlet.1.load.off", got)
		}
		real.Set("outlet.1.status", "on") // somebody else
		want(t, c, "ups.status", "OL")
		do(t, c, "INSTCMD shutdown.return soon", netproto.Invalid)
		do(t, c, "INSTCMD shutdown.default", netproto.Handled)
		if got := strings.Join(real.Done(), ", "); got != "outlet.1.load.off" {
			t.Errorf("shutdown.default gave the real driver %q; want outlet.1.load.off", got)
		}
	})
}

func TestCloneRefusesNonsense(t *testing.T) {
	_, err := clone.Driver().Open(t.Context(), driver.Values{Port: "x", Set: map[string]string{"mincharge": "low"}}, slog.New(slog.DiscardHandler))
	if !errors.Is(err, driver.ErrConfig) {
		t.Errorf("Open with mincharge = low: %v; want ErrConfig", err)
	}
}
