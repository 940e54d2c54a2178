package dummyups_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gonut/internal/driver"
	"gonut/internal/drivers/dummyups"
	"gonut/internal/drvsock"
	"gonut/internal/netproto"
)

func do(t *testing.T, s *driver.Session, request string, want netproto.Result) {
	t.Helper()
	r, _, err := drvsock.ParseRequest(strings.Fields(request))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := s.Do(t.Context(), r); got != want || err != nil {
		t.Errorf("%s = %d, %v; want %d", request, got, err, want)
	}
	time.Sleep(time.Millisecond) // the poll after a command
	synctest.Wait()
}

// simulate starts a simulator that takes 100 W out of 100 Wh.
func simulate(t *testing.T, options map[string]string) *driver.Session {
	return play(t, "simulator", func(c *driver.Config) {
		c.Values.Set = map[string]string{"sim_power": "90", "sim_load": "90", "sim_peukert": "1", "sim_charger": "100", "sim_transfer": "0"}
		for k, v := range options {
			c.Values.Set[k] = v
		}
	})
}

func TestSimulatorOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := simulate(t, nil)
		want(t, s, "driver.parameter.mode", "simulator")
		want(t, s, "ups.status", "OL")
		want(t, s, "battery.charge", "100")
		want(t, s, "battery.runtime", "3600")
		do(t, s, "INSTCMD simulator.mains.off", netproto.Handled)
		want(t, s, "ups.status", "OB DISCHRG")
		want(t, s, "input.voltage", "0.0")
		time.Sleep(30 * time.Minute)
		want(t, s, "battery.charge", "50")
		time.Sleep(18*time.Minute + 10*time.Second)
		want(t, s, "ups.status", "OB LB DISCHRG")
		do(t, s, "INSTCMD shutdown.return 20", netproto.Handled)
		want(t, s, "ups.timer.shutdown", "20")
		time.Sleep(20 * time.Second)
		want(t, s, "ups.status", "OB OFF")
		want(t, s, "output.voltage", "0.0")
		do(t, s, "SET simulator.mains on", netproto.Handled)
		want(t, s, "ups.status", "OL OFF CHRG")
		time.Sleep(31 * time.Second)
		want(t, s, "ups.status", "OL CHRG")
		want(t, s, "ups.realpower", "90")
	})
}

func TestSimulatorCommandsAndSettings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := simulate(t, map[string]string{"sim_delay_unit": "60", "ondelay": "60"})
		do(t, s, "INSTCMD test.battery.start.quick", netproto.Handled)
		want(t, s, "ups.status", "OL DISCHRG")
		want(t, s, "ups.test.result", "In progress")
		time.Sleep(11 * time.Second)
		want(t, s, "ups.test.result", "Done and passed")
		do(t, s, "SET simulator.battery worn", netproto.Handled)
		want(t, s, "ups.status", "ALARM OL RB CHRG")
		want(t, s, "ups.alarm", "Replace battery!")
		do(t, s, "SET simulator.battery good", netproto.Handled)
		do(t, s, "SET simulator.load 200", netproto.Handled)
		want(t, s, "ups.status", "ALARM OL OVER")
		do(t, s, "SET simulator.load x", netproto.Invalid)
		do(t, s, "SET simulator.mains maybe", netproto.Invalid)
		do(t, s, "SET battery.charge 5", netproto.Invalid)
		do(t, s, "SET ups.delay.shutdown 59", netproto.Handled)
		do(t, s, "INSTCMD load.off soon", netproto.Invalid)
		do(t, s, "INSTCMD beeper.mute", netproto.Handled)
		want(t, s, "ups.beeper.status", "muted")
		do(t, s, "INSTCMD shutdown.default", netproto.Handled) // 59 s are no minute
		want(t, s, "output.voltage", "0.0")
		do(t, s, "INSTCMD load.on", netproto.Handled)
		want(t, s, "output.voltage", "230.0")
		do(t, s, "INSTCMD test.nothing", netproto.Unknown)
	})
}

func TestSimulatorUnplugged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := simulate(t, nil)
		do(t, s, "INSTCMD simulator.mains.off", netproto.Handled)
		do(t, s, "INSTCMD simulator.unplug 600", netproto.Handled)
		time.Sleep(9 * time.Minute)
		if !s.State().Stale() {
			t.Error("unplugged and not stale")
		}
		time.Sleep(63 * time.Second)
		if s.State().Stale() {
			t.Error("plugged in again and stale")
		}
		want(t, s, "battery.charge", "83") // the outage went on
	})
}

func TestSimulatorSpeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := simulate(t, map[string]string{"sim_speed": "60"})
		do(t, s, "INSTCMD simulator.mains.off", netproto.Handled)
		time.Sleep(30 * time.Second)
		want(t, s, "battery.charge", "50")
		time.Sleep(31 * time.Second)
		want(t, s, "ups.status", "OB OFF")
	})
}

func TestSimulatorRefusesNonsense(t *testing.T) {
	for _, set := range []map[string]string{
		{"sim_capacity": "much"}, {"sim_capacity": "0"}, {"sim_peukert": "NaN"}, {"sim_restart": "maybe"}, {"sim_speed": "0"}, {"sim_charge": "101"}, {"sim_charge": "-1"}, {"offdelay": "-5"},
	} {
		_, err := dummyups.Driver().Open(t.Context(), driver.Values{Port: "simulator", Set: set}, slog.New(slog.DiscardHandler))
		if err == nil {
			t.Errorf("Open with %v = nil; want an error", set)
		}
	}
}

// A host halts, the driver cuts its power, and mains returns just before, at the
// moment of, or just after the cut. The host runs again if its power was off and is
// on. What each type of UPS allows is the table of docs/simulator.md.
func TestPowerRace(t *testing.T) {
	for _, tt := range []struct {
		restart, unit, ondelay string
		before, during, after  bool
	}{
		{"cycle", "0", "10", true, true, true},
		{"edge", "0", "10", false, true, true},
		{"cancel", "0", "10", false, true, true},
		// In whole minutes 20 s until the cut are none: it comes at once. 10 s until
		// the return are none either: with mains the load is not off at all.
		{"cycle", "60", "70", true, true, true},
		{"cycle", "60", "10", false, false, true},
	} {
		for offset, want := range map[time.Duration]bool{-time.Second: tt.before, 0: tt.during, time.Second: tt.after} {
			synctest.Test(t, func(t *testing.T) {
				d := dummyups.Driver()
				c := driver.NewConfig("ups", "simulator")
				c.AllowKillpower = true
				c.Values.Set = map[string]string{"sim_restart": tt.restart, "sim_delay_unit": tt.unit, "offdelay": "20", "ondelay": tt.ondelay}
				s := driver.NewSession(d, c, driver.Hooks{}, slog.New(slog.DiscardHandler))
				done := make(chan error, 1)
				go func() { done <- s.Run(t.Context()) }()
				<-s.Ready()
				do(t, s, "INSTCMD simulator.mains.off", netproto.Handled)
				time.Sleep(time.Minute)
				cut := 20 * time.Second
				if tt.unit == "60" {
					cut = 0
				}
				if offset+cut < 0 { // the driver is told after mains is back
					do(t, s, "INSTCMD simulator.mains.on", netproto.Handled)
				}
				do(t, s, "INSTCMD driver.killpower", netproto.Handled)
				told := time.Now()
				if err := <-done; err != nil {
					t.Errorf("the driver ended with %v", err)
				}
				// Another driver process at the same UPS sees what becomes of it.
				s = driver.NewSession(d, c, driver.Hooks{}, slog.New(slog.DiscardHandler))
				ctx, cancel := context.WithCancel(t.Context())
				go func() { done <- s.Run(ctx) }()
				<-s.Ready()
				off, runs := time.Duration(0), false
				if offset+cut >= 0 {
					time.Sleep(time.Until(told.Add(cut + offset)))
					if s.State().Value("output.voltage") == "0.0" {
						off = offset
					}
					do(t, s, "INSTCMD simulator.mains.on", netproto.Handled)
				}
				for range 240 {
					if s.State().Value("output.voltage") == "0.0" {
						off += time.Second / 2
						runs = false
					} else {
						runs = off >= time.Second // less is nothing to a power supply
					}
					time.Sleep(time.Second / 2)
				}
				if runs != want {
					t.Errorf("restart %s, delays in %s s, ondelay %s, mains back %v after the cut: the host runs again: %v; want %v",
						tt.restart, tt.unit, tt.ondelay, offset, runs, want)
				}
				cancel()
				<-done
			})
		}
	}
}

// A device that hangs is left behind, and there again when it does not any more.
func TestSimulatorHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := simulate(t, nil)
		do(t, s, "INSTCMD simulator.hang 60", netproto.Handled)
		time.Sleep(20 * time.Second)
		if !s.State().Stale() {
			t.Error("hangs and is not stale")
		}
		time.Sleep(45 * time.Second)
		if s.State().Stale() {
			t.Error("stale although it answers again")
		}
	})
}
