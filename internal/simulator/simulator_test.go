package simulator_test

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"gonut/internal/simulator"
)

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func at(seconds float64) time.Time {
	return epoch.Add(time.Duration(seconds * float64(time.Second)))
}

func near(t *testing.T, what string, got, want, tolerance float64) {
	t.Helper()
	if math.Abs(got-want) > tolerance {
		t.Errorf("%s = %v; want %v ± %v", what, got, want, tolerance)
	}
}

// plain is a battery without peculiarities: 100 Wh, 90 W of load at 0.9, 100 W out
// of the battery, one hour.
func plain() simulator.Config {
	c := simulator.Default()
	c.Peukert, c.Load, c.Power = 1, 90, 90
	c.LowRuntime = 0
	return c
}

func TestDischarge(t *testing.T) {
	u := simulator.New(plain(), epoch)
	u.SetMains(epoch, false)
	near(t, "runtime of the full battery", u.Status(epoch).Runtime.Seconds(), 3600, 1e-3)
	for _, s := range []float64{1, 60, 900, 1800, 3599} {
		st := u.Status(at(s))
		near(t, "charge", st.Charge, 1-s/3600, 1e-9)
		near(t, "runtime", st.Runtime.Seconds(), 3600-s, 1e-3)
		if !st.Output || !st.OnBattery {
			t.Errorf("after %v s: %v; want it on battery", s, st)
		}
	}
	if st := u.Status(at(3601)); st.Output || st.Charge != 0 {
		t.Errorf("after the run-time: %v; want output off", st)
	}
}

// Peukert: at load P the time is E·η/P · (Pn/P)^(k-1).
func TestPeukert(t *testing.T) {
	for _, load := range []float64{26, 130, 260, 520} {
		c := simulator.Default()
		c.Load, c.Peukert = load, 1.25
		u := simulator.New(c, epoch)
		u.SetMains(epoch, false)
		want := c.Capacity * 3600 * c.Efficiency / load * math.Pow(c.Power/load, 0.25)
		near(t, "runtime", u.Status(epoch).Runtime.Seconds(), want, want*1e-9)
		if st := u.Status(at(want - 1)); !st.Output {
			t.Errorf("load %v: off before its run-time of %v s", load, want)
		}
		if st := u.Status(at(want + 1)); st.Output {
			t.Errorf("load %v: on after its run-time of %v s", load, want)
		}
	}
}

// Charging: 30 W into 100 Wh up to the knee, from there 1-(1-k)·exp(-t/τ) with
// τ = (1-k)·E/P.
func TestRecharge(t *testing.T) {
	c := plain()
	u := simulator.New(c, epoch)
	u.SetCharge(epoch, 0)
	knee := 0.8 * 100 * 3600 / 30
	tau := 0.2 * 100 * 3600 / 30.0
	near(t, "charge half-way to the knee", u.Status(at(knee/2)).Charge, 0.4, 1e-9)
	near(t, "charge at the knee", u.Status(at(knee)).Charge, 0.8, 1e-9)
	near(t, "charge one τ later", u.Status(at(knee+tau)).Charge, 1-0.2/math.E, 1e-9)
	if st := u.Status(at(knee + 4*tau)); !st.Charging || st.Charge == 1 {
		t.Errorf("4 τ later: %v; want it still charging", st)
	}
	if st := u.Status(at(knee + 6*tau)); st.Charging || st.Charge != 1 {
		t.Errorf("6 τ later: %v; want it full", st)
	}
}

func TestTemperature(t *testing.T) {
	c := plain()
	c.Capacity = 1e6
	u := simulator.New(c, epoch)
	u.SetMains(epoch, false)
	near(t, "temperature after one time constant", u.Status(at(1800)).Temperature, 22+15*(1-1/math.E), 1e-9)
	u.SetMains(at(1800), true)
	near(t, "temperature one later on mains", u.Status(at(3600)).Temperature, 22+15*(1-1/math.E)/math.E, 1e-9)
}

// powered reports whether mains could feed the load.
func powered(s simulator.Status) bool { return s.Mains }

// What one sees does not depend on how often one looks.
func TestLookingChangesNothing(t *testing.T) {
	story := func(look bool) []simulator.Status {
		u := simulator.New(simulator.Default(), epoch)
		r := rand.New(rand.NewPCG(1, 2))
		var seen []simulator.Status
		now := 0.0
		for range 200 {
			now += r.Float64() * 900
			switch r.IntN(7) {
			case 6:
				u.SetCharge(at(now), r.Float64()-0.3)
			case 0, 1:
				u.SetMains(at(now), r.IntN(2) == 0)
			case 2:
				u.SetLoad(at(now), r.Float64()*520)
			case 3:
				u.Off(at(now), 30*time.Second, r.IntN(2) == 0)
			case 4:
				u.On(at(now), time.Second)
			case 5:
				u.StartTest(at(now), simulator.Test(r.IntN(3)))
			}
			if look {
				for s := now; s < now+100; s += 7 {
					u.Status(at(s))
				}
			}
			now += 100
			seen = append(seen, u.Status(at(now)))
		}
		return seen
	}
	once, often := story(false), story(true)
	for i := range once {
		a, b := once[i], often[i]
		near(t, "charge", b.Charge, a.Charge, 1e-6)
		near(t, "temperature", b.Temperature, a.Temperature, 1e-6)
		if b.Output && !b.OnBattery && !powered(b) {
			t.Fatalf("step %d: %v; want no output without energy", i, b)
		}
		if a.Output != b.Output || a.Mains != b.Mains || a.Test != b.Test || a.Charge < 0 || a.Charge > 1 {
			t.Fatalf("step %d: seldom %v, often %v; want the same", i, a, b)
		}
	}
}

func TestDelaysInMinutes(t *testing.T) {
	c := plain()
	c.DelayUnit = time.Minute
	u := simulator.New(c, epoch)
	if d := u.Off(epoch, 59*time.Second, false); d != 0 || u.Status(epoch).Output {
		t.Errorf("59 s became %v, output %v; want off at once", d, u.Status(epoch).Output)
	}
	u.On(at(1), 0)
	if d := u.Off(at(2), 119*time.Second, false); d != time.Minute {
		t.Errorf("119 s became %v; want 1 min", d)
	}
	if st := u.Status(at(61)); !st.Output || st.OffIn != time.Second {
		t.Errorf("59 s later: %v, off in %v; want 1 s", st, st.OffIn)
	}
	if st := u.Status(at(62)); st.Output {
		t.Error("60 s later: output on; want off")
	}
}

// A cut that was asked for while the load was off is cancelled as well: it must not
// happen to a load that was switched on meanwhile.
func TestStopWhileOff(t *testing.T) {
	u := simulator.New(plain(), epoch)
	u.Off(epoch, 0, false)
	u.Off(epoch, 20*time.Second, true)
	u.Stop(at(1))
	if st := u.Status(at(1)); st.OffIn >= 0 {
		t.Errorf("after a stop the load is cut in %v; want never", st.OffIn)
	}
	if err := u.On(at(2), 0); err != nil {
		t.Fatal(err)
	}
	if st := u.Status(at(100)); !st.Output {
		t.Errorf("after a cut that was stopped: %v; want output on", st)
	}
}

func TestStayoffAndStop(t *testing.T) {
	u := simulator.New(plain(), epoch)
	u.Off(epoch, time.Minute, true)
	u.Stop(at(59))
	if st := u.Status(at(100)); !st.Output || st.OffIn != -1 {
		t.Errorf("after stop: %v, off in %v; want on", st, st.OffIn)
	}
	u.Off(at(100), 0, false)
	u.SetMains(at(101), false)
	u.SetMains(at(102), true)
	if u.Status(at(1000)).Output {
		t.Error("stayoff came back with mains; want it off")
	}
	if err := u.On(at(1000), 0); err != nil || !u.Status(at(1000)).Output {
		t.Errorf("On = %v, output %v; want on", err, u.Status(at(1000)).Output)
	}
}

func TestSelfTest(t *testing.T) {
	u := simulator.New(plain(), epoch)
	if err := u.StartTest(epoch, simulator.QuickTest); err != nil {
		t.Fatal(err)
	}
	if err := u.StartTest(at(1), simulator.QuickTest); err == nil {
		t.Error("second test = nil; want an error")
	}
	if st := u.Status(at(9)); !st.Mains || !st.OnBattery || st.Test != simulator.QuickTest {
		t.Errorf("during the test: %v", st)
	}
	if st := u.Status(at(11)); st.OnBattery || st.Test != simulator.NoTest || st.TestFailed {
		t.Errorf("after the test: %v, failed %v", st, st.TestFailed)
	}
	u.SetReplace(at(20), true)
	u.StartTest(at(20), simulator.QuickTest)
	if st := u.Status(at(31)); !st.TestFailed || !st.Replace {
		t.Errorf("test of a worn battery: failed %v; want true", st.TestFailed)
	}
	u.SetReplace(at(40), false)
	u.SetCharge(at(40), 1)
	u.StartTest(at(40), simulator.DeepTest)
	if st := u.Status(at(40 + 3600*0.8 - 1)); st.Test != simulator.DeepTest {
		t.Errorf("deep test ended early: %v", st)
	}
	if st := u.Status(at(40 + 3600*0.8 + 1)); st.Test != simulator.NoTest || st.TestFailed {
		t.Errorf("deep test: %v, failed %v; want it passed at low charge", st, st.TestFailed)
	}
	u.SetMains(at(5000), false)
	if err := u.StartTest(at(5000), simulator.QuickTest); err == nil {
		t.Error("test without mains = nil; want an error")
	}
}

func TestTransferIsReportedLater(t *testing.T) {
	c := plain()
	c.Transfer = 2 * time.Second
	u := simulator.New(c, epoch)
	u.SetMains(epoch, false)
	if st := u.Status(at(1)); !st.Mains || !st.OnBattery {
		t.Errorf("1 s after the cut: %v; want it unreported", st)
	}
	if st := u.Status(at(2)); st.Mains {
		t.Errorf("2 s after the cut: %v; want it reported", st)
	}
	// A dip that is shorter is never reported.
	u.SetMains(at(10), true)
	u.SetMains(at(11), false)
	if st := u.Status(at(20)); st.Mains {
		t.Errorf("after a short return: %v; want it on battery", st)
	}
}

// A host that halts and is cut off runs again when its power goes off and on.
func TestOutageEndsAroundThePowerOff(t *testing.T) {
	type outcome struct{ before, during, after bool } // the host runs again
	tests := map[simulator.Restart]outcome{
		simulator.Cycle:  {true, true, true},
		simulator.Edge:   {false, true, true},
		simulator.Cancel: {false, true, true},
	}
	for restart, want := range tests {
		runs := func(returns float64) bool {
			c := plain()
			c.Restart = restart
			c.OnDelay = 10 * time.Second
			u := simulator.New(c, epoch)
			u.SetMains(at(0), false)
			u.Off(at(100), 20*time.Second, true) // at 120 the host has halted
			cut := false
			for s := 100.0; s < 300; s += 0.5 {
				if s == returns {
					u.SetMains(at(s), true)
				}
				switch st := u.Status(at(s)); {
				case !st.Output:
					cut = true
				case cut:
					return true
				}
			}
			return false
		}
		got := outcome{runs(119), runs(120), runs(121)}
		if got != want {
			t.Errorf("restart habit %d: the host runs again = %+v; want %+v", restart, got, want)
		}
	}
}

func TestEmptyBatteryComesBackWithMains(t *testing.T) {
	c := plain()
	c.RestartCharge = 0.1
	u := simulator.New(c, epoch)
	u.SetMains(epoch, false)
	if u.Status(at(4000)).Output {
		t.Fatal("the battery lasts too long")
	}
	u.SetMains(at(5000), true)
	need := 0.1 * 100 * 3600 / 30
	if u.Status(at(5000 + need - 10)).Output {
		t.Error("output on before the battery has its restart charge")
	}
	if !u.Status(at(5000 + need + 31)).Output {
		t.Error("output off although the battery has its restart charge")
	}
}

func TestCheck(t *testing.T) {
	if err := simulator.Default().Check(); err != nil {
		t.Errorf("Check of the default = %v", err)
	}
	for name, change := range map[string]func(*simulator.Config){
		"capacity":   func(c *simulator.Config) { c.Capacity = 0 },
		"load":       func(c *simulator.Config) { c.Load = -1 },
		"restart":    func(c *simulator.Config) { c.RestartCharge = 1 },
		"efficiency": func(c *simulator.Config) { c.Efficiency = 2 },
		"peukert":    func(c *simulator.Config) { c.Peukert = 0.5 },
		"knee":       func(c *simulator.Config) { c.Knee = 1 },
		"times":      func(c *simulator.Config) { c.OffDelay = -1 },
	} {
		c := simulator.Default()
		change(&c)
		if err := c.Check(); err == nil {
			t.Errorf("Check with a wrong %s = nil; want an error", name)
		}
	}
}

// The formulas agree with what small steps of the same physics add up to.
func TestFormulasAgreeWithSmallSteps(t *testing.T) {
	const step = 0.25
	r := rand.New(rand.NewPCG(3, 4))
	for range 5 {
		c := simulator.Default()
		c.Transfer = 0
		u := simulator.New(c, epoch)
		charge, temperature, load, mains := 1.0, c.Ambient, c.Load, true
		now := 0.0
		for range 20 {
			switch r.IntN(2) {
			case 0:
				mains = !mains
				u.SetMains(at(now), mains)
			case 1:
				load = 50 + r.Float64()*100
				u.SetLoad(at(now), load)
			}
			for end := now + 60 + math.Floor(r.Float64()*1200); now < end; now += step {
				rate := c.Charger / (c.Capacity * 3600)
				target := c.Ambient
				switch {
				case !mains && charge > 0:
					charge = max(0, charge-step*load/c.Efficiency*math.Pow(load/c.Power, c.Peukert-1)/(c.Capacity*3600))
					target += c.Heating * load / c.Power
				case mains && charge < c.Knee:
					charge += step * rate
				case mains:
					charge += step * (1 - charge) * rate / (1 - c.Knee)
				}
				temperature += step * (target - temperature) / c.HeatTime.Seconds()
			}
			st := u.Status(at(now))
			if !mains && charge == 0 {
				break // the load is off now
			}
			near(t, "charge", st.Charge, charge, 2e-3)
			near(t, "temperature", st.Temperature, temperature, 0.05)
		}
	}
}

// The voltage of six cells: 1.9 V empty and 2.13 V full, 0.12 V less under the rated
// load and 0.12 V more on the charger.
func TestVoltage(t *testing.T) {
	u := simulator.New(plain(), epoch)
	near(t, "full, charging", u.Status(epoch).Voltage, 6*(2.13+0.12), 1e-9)
	u.SetMains(epoch, false)
	near(t, "full, rated load", u.Status(epoch).Voltage, 6*(2.13-0.12), 1e-9)
	near(t, "half empty, rated load", u.Status(at(1800)).Voltage, 6*(1.9+0.115-0.12), 1e-9)
	u.SetLoad(at(1800), 45)
	near(t, "half empty, half load", u.Status(at(1800)).Voltage, 6*(1.9+0.115-0.06), 1e-9)
}

// With delays in minutes a host that wants 20 s is cut at once: it must have halted
// by then, and its power is off and on whenever mains returns.
func TestOutageEndsAroundThePowerOffInMinutes(t *testing.T) {
	for _, returns := range []float64{99, 100, 101} {
		c := plain()
		c.DelayUnit = time.Minute
		c.OnDelay = 90 * time.Second // one minute
		u := simulator.New(c, epoch)
		u.SetMains(epoch, false)
		events := map[float64]func(now time.Time){
			100: func(now time.Time) {
				if d := u.Off(now, 20*time.Second, true); d != 0 {
					t.Errorf("20 s became %v; want 0", d)
				}
			},
			returns: func(now time.Time) { u.SetMains(now, true) },
		}
		if returns == 100 {
			events[100] = func(now time.Time) { u.Off(now, 20*time.Second, true); u.SetMains(now, true) }
		}
		for s := 99.0; s <= 200; s++ {
			if f := events[s]; f != nil {
				f(at(s))
			}
			on := u.Status(at(s)).Output
			if want := s < 100 || s >= max(returns, 100)+60; on != want {
				t.Errorf("mains back at %v: output at %v is %v; want %v", returns, s, on, want)
				break
			}
		}
	}
}

// A charger that is weak for its battery, so that what it adds in a nanosecond is lost
// in rounding, ends the wait for the restart charge nevertheless.
func TestWeakChargerReachesTheRestartCharge(t *testing.T) {
	for capacity := 1e5; capacity < 1e6; capacity *= 1.01 {
		c := simulator.Default()
		c.Capacity, c.Knee, c.RestartCharge = capacity, 0.01, 0.2
		u := simulator.New(c, epoch)
		u.SetCharge(at(0), 0)
		u.Off(at(0), 0, true)
		if s := u.Status(at(1e9)); !s.Output {
			t.Fatalf("capacity %v: %v; want the load to be back", capacity, s)
		}
	}
}
