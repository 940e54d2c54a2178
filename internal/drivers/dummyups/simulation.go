package dummyups

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strconv"
	"strings"
	"sync"
	"time"

	"gonut/internal/driver"
	"gonut/internal/simulator"
)

// simulationOptions are the options of mode = simulator.
func simulationOptions() []driver.Option {
	return []driver.Option{
		{Name: "sim_capacity", Help: "simulator: energy of the full battery in Wh"},
		{Name: "sim_power", Help: "simulator: rated power in W"},
		{Name: "sim_load", Help: "simulator: power that the load takes, in W"},
		{Name: "sim_charger", Help: "simulator: power of the charger in W"},
		{Name: "sim_peukert", Help: "simulator: Peukert's exponent, 1 to 2"},
		{Name: "sim_charge", Help: "simulator: charge to begin with, in %"},
		{Name: "sim_restart_charge", Help: "simulator: charge that the load needs to come back, in %"},
		{Name: "sim_transfer", Help: "simulator: seconds until a change of mains is reported"},
		{Name: "sim_delay_unit", Help: "simulator: delays are rounded down to this many seconds"},
		{Name: "sim_restart", Help: "simulator: cycle, edge or cancel; what happens if mains is back before the load is cut"},
		{Name: "sim_speed", Help: "simulator: how many times faster than the clock"},
		{Name: "offdelay", Help: "simulator: seconds before the load is cut"},
		{Name: "ondelay", Help: "simulator: seconds before it comes back"},
	}
}

// A simulation is a simulated UPS and what a driver sees of it. It outlives its
// devices: a cable that is pulled does not change the battery.
type simulation struct {
	mu        sync.Mutex
	ups       *simulator.UPS
	began     time.Time
	speed     float64
	beeper    string
	tested    string    // ups.test.result when no test runs
	unplugged time.Time // the cable is out until then
	hung      time.Time // nothing is answered until then
}

func newSimulation(v driver.Values, now time.Time) (*simulation, error) {
	c := simulator.Default()
	s := &simulation{began: now, speed: 1, beeper: "enabled", tested: "No test initiated"}
	charge := 100.0
	percent := func(p *float64) func(float64) { return func(x float64) { *p = x / 100 } }
	duration := func(d *time.Duration) func(float64) {
		return func(x float64) { *d = time.Duration(x * float64(time.Second)) }
	}
	plain := func(p *float64) func(float64) { return func(x float64) { *p = x } }
	for name, set := range map[string]func(float64){
		"sim_capacity": plain(&c.Capacity), "sim_power": plain(&c.Power), "sim_load": plain(&c.Load),
		"sim_charger": plain(&c.Charger), "sim_peukert": plain(&c.Peukert), "sim_charge": plain(&charge),
		"sim_restart_charge": percent(&c.RestartCharge), "sim_transfer": duration(&c.Transfer),
		"sim_delay_unit": duration(&c.DelayUnit), "sim_speed": plain(&s.speed),
		"offdelay": duration(&c.OffDelay), "ondelay": duration(&c.OnDelay),
	} {
		if !v.Has(name) {
			continue
		}
		x, err := strconv.ParseFloat(v.Get(name), 64)
		if err != nil || math.IsNaN(x) || math.Abs(x) > 1e9 {
			return nil, v.Wrong(name, "this is no number")
		}
		set(x)
	}
	switch v.Get("sim_restart") {
	case "", "cycle":
	case "edge":
		c.Restart = simulator.Edge
	case "cancel":
		c.Restart = simulator.Cancel
	default:
		return nil, v.Wrong("sim_restart", "there are cycle, edge and cancel")
	}
	if err := c.Check(); err != nil {
		return nil, driver.Configf("simulator: %w", err)
	}
	if charge < 0 || charge > 100 {
		return nil, v.Wrong("sim_charge", "it must be from 0 to 100")
	}
	if s.speed <= 0 {
		return nil, v.Wrong("sim_speed", "it must be above 0")
	}
	s.ups = simulator.New(c, now)
	s.ups.SetCharge(now, charge/100)
	return s, nil
}

// now is the simulation's time.
func (s *simulation) now() time.Time {
	return s.began.Add(time.Duration(float64(time.Since(s.began)) * s.speed))
}

// A simulated device is one connection to a simulation.
type simulated struct {
	*simulation
	log   *slog.Logger
	timer *time.Timer
	wake  chan struct{}
}

func (s *simulation) open(log *slog.Logger) (driver.Device, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Now().Before(s.unplugged) {
		return nil, errUnplugged
	}
	d := &simulated{simulation: s, log: log, wake: make(chan struct{}, 1)}
	d.timer = time.AfterFunc(time.Hour, func() {
		select {
		case d.wake <- struct{}{}:
		default:
		}
	})
	d.timer.Stop()
	return d, nil
}

var errUnplugged = fmt.Errorf("the simulated cable is out: %w", driver.ErrGone)

// Poll reads the simulation and arranges to be polled at its next event.
func (d *simulated) Poll(_ context.Context, depth driver.Depth, u *driver.Update) error {
	d.hang()
	d.mu.Lock()
	defer d.mu.Unlock()
	if time.Now().Before(d.unplugged) {
		return errUnplugged
	}
	now := d.now()
	st := d.ups.Status(now)
	d.publish(u, st)
	if depth == driver.Init {
		d.identify(u)
	}
	d.timer.Stop()
	if at, ok := d.ups.Next(now); ok {
		// A moment later, so that it has happened by then.
		d.timer.Reset(time.Duration(float64(at.Sub(now))/d.speed) + time.Millisecond)
	}
	return nil
}

// hang waits while nothing is answered, whatever the caller's patience is: this is
// what a system call to a broken device does.
func (s *simulation) hang() {
	s.mu.Lock()
	until := s.hung
	s.mu.Unlock()
	time.Sleep(time.Until(until))
}

// identify says what kind of device this is and what can be done with it.
func (d *simulated) identify(u *driver.Update) {
	u.Set("driver.parameter.mode", modeSimulator)
	u.Set("ups.mfr", "gonut")
	u.Set("ups.model", "Simulator")
	u.Set("ups.type", "line-interactive")
	u.Set("battery.type", "PbAc")
	u.Setf("battery.voltage.nominal", "%.1f", d.ups.BatteryVoltage)
	u.Setf("input.voltage.nominal", "%.0f", d.ups.InputVoltage)
	u.Setf("ups.realpower.nominal", "%.0f", d.ups.Power)
	u.Command("load.off", "load.on", "load.off.delay", "load.on.delay",
		"shutdown.return", "shutdown.stayoff", "shutdown.reboot", "shutdown.stop",
		"test.battery.start.quick", "test.battery.start.deep", "test.battery.stop",
		"beeper.enable", "beeper.disable", "beeper.mute",
		"simulator.mains.off", "simulator.mains.on", "simulator.unplug", "simulator.hang")
	for _, name := range []string{"battery.charge.low", "battery.runtime.low", "ups.delay.shutdown", "ups.delay.start",
		"simulator.load", "simulator.charge"} {
		u.Writable(name, driver.Writable{String: true, MaxLen: 10})
	}
	u.Writable("simulator.mains", driver.Writable{String: true, MaxLen: 3, Enum: []string{"on", "off"}})
	u.Writable("simulator.battery", driver.Writable{String: true, MaxLen: 4, Enum: []string{"good", "worn"}})
}

// publish gives the state of the simulation NUT's names.
func (d *simulated) publish(u *driver.Update, st simulator.Status) {
	input, output := d.ups.InputVoltage, d.ups.InputVoltage
	mains, battery := "on", "good"
	if !st.Mains {
		input, mains = 0, "off"
	}
	if !st.Output {
		output = 0
	}
	if st.Replace {
		battery = "worn"
	}
	u.Setf("battery.charge", "%.0f", math.Floor(st.Charge*100))
	u.Setf("battery.charge.low", "%.0f", d.ups.LowCharge*100)
	u.Setf("battery.runtime", "%.0f", math.Floor(st.Runtime.Seconds()))
	u.Setf("battery.runtime.low", "%.0f", d.ups.LowRuntime.Seconds())
	u.Setf("battery.voltage", "%.1f", st.Voltage)
	u.Setf("battery.temperature", "%.1f", st.Temperature)
	u.Setf("input.voltage", "%.1f", input)
	u.Setf("input.frequency", "%.1f", d.ups.Frequency*input/d.ups.InputVoltage)
	u.Setf("output.voltage", "%.1f", output)
	u.Setf("ups.load", "%.0f", st.Load/d.ups.Power*100)
	u.Setf("ups.realpower", "%.0f", st.Load)
	u.Setf("ups.delay.shutdown", "%.0f", d.ups.OffDelay.Seconds())
	u.Setf("ups.delay.start", "%.0f", d.ups.OnDelay.Seconds())
	u.Set("ups.timer.shutdown", timer(st.OffIn))
	u.Set("ups.timer.start", timer(st.OnIn))
	u.Set("ups.beeper.status", d.beeper)
	u.Set("ups.test.result", d.result(st))
	u.Set("simulator.mains", mains)
	u.Set("simulator.battery", battery)
	u.Setf("simulator.load", "%.0f", d.ups.Load)
	u.Setf("simulator.charge", "%.0f", math.Floor(st.Charge*100))
	status(u, st)
}

// status adds the tokens and alarms.
func status(u *driver.Update, st simulator.Status) {
	for _, t := range []struct {
		token string
		on    bool
	}{
		{"OL", st.Mains}, {"OB", !st.Mains}, {"OFF", !st.Output}, {"LB", st.Low && st.OnBattery},
		{"RB", st.Replace}, {"OVER", st.Overload}, {"CHRG", st.Charging && st.Mains},
		{"DISCHRG", st.OnBattery}, {"CAL", st.Test == simulator.DeepTest},
	} {
		if t.on {
			u.Status(t.token)
		}
	}
	if st.Replace {
		u.Alarm("Replace battery!")
	}
	if st.Overload {
		u.Alarm("Overload!")
	}
}

func timer(d time.Duration) string {
	if d < 0 {
		return "-1"
	}
	return strconv.Itoa(int(math.Ceil(d.Seconds())))
}

// result is ups.test.result; how a test ended is remembered.
func (d *simulated) result(st simulator.Status) string {
	switch {
	case st.Test != simulator.NoTest:
		d.tested = "In progress"
	case d.tested == "In progress" && st.TestFailed:
		d.tested = "Done and failed"
	case d.tested == "In progress":
		d.tested = "Done and passed"
	}
	return d.tested
}

// Wake receives when something has happened in the simulation.
func (d *simulated) Wake() <-chan struct{} { return d.wake }

// Command performs a command of the simulated UPS, or one on the world around it.
func (d *simulated) Command(_ context.Context, name, param string) error {
	d.hang()
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.now()
	off, err := delay(param, d.ups.OffDelay)
	if err != nil {
		return err
	}
	on, _ := delay(param, d.ups.OnDelay)
	switch name {
	case "load.off":
		d.ups.Off(now, 0, false)
	case "load.off.delay", "shutdown.stayoff":
		d.ups.Off(now, off, false)
	case "shutdown.return", driver.ShutdownDefault:
		d.ups.Off(now, off, true)
	case "shutdown.reboot":
		d.ups.Off(now, 0, true)
	case "shutdown.stop":
		d.ups.Stop(now)
	case "load.on":
		return failed(d.ups.On(now, 0))
	case "load.on.delay":
		return failed(d.ups.On(now, on))
	case "test.battery.start.quick":
		return failed(d.ups.StartTest(now, simulator.QuickTest))
	case "test.battery.start.deep":
		return failed(d.ups.StartTest(now, simulator.DeepTest))
	case "test.battery.stop":
		return failed(d.ups.StartTest(now, simulator.NoTest))
	case "beeper.enable":
		d.beeper = "enabled"
	case "beeper.disable":
		d.beeper = "disabled"
	case "beeper.mute":
		d.beeper = "muted"
	case "simulator.mains.off", "simulator.mains.on":
		d.ups.SetMains(now, strings.HasSuffix(name, ".on"))
	case "simulator.unplug":
		out, err := delay(param, time.Minute)
		d.unplugged = time.Now().Add(out)
		return err
	case "simulator.hang":
		out, err := delay(param, time.Minute)
		d.hung = time.Now().Add(out)
		return err
	default:
		return driver.ErrUnknown
	}
	return nil
}

// delay reads the parameter of a command: seconds, or nothing.
func delay(param string, otherwise time.Duration) (time.Duration, error) {
	if param == "" {
		return otherwise, nil
	}
	n, err := strconv.Atoi(param)
	if err != nil || n < 0 || n > 1e6 {
		return 0, fmt.Errorf("%q is no number of seconds: %w", param, driver.ErrInvalid)
	}
	return time.Duration(n) * time.Second, nil
}

func failed(err error) error {
	if err != nil {
		return errors.Join(err, driver.ErrFailed)
	}
	return nil
}

// Set changes a setting of the simulated UPS, or the world around it.
func (d *simulated) Set(_ context.Context, name, value string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.now()
	switch name {
	case "simulator.mains":
		if value != "on" && value != "off" {
			return driver.ErrInvalid
		}
		d.ups.SetMains(now, value == "on")
		return nil
	case "simulator.battery":
		if value != "good" && value != "worn" {
			return driver.ErrInvalid
		}
		d.ups.SetReplace(now, value == "worn")
		return nil
	}
	x, err := strconv.ParseFloat(value, 64)
	if err != nil || !(x >= 0 && x <= 1e6) {
		return fmt.Errorf("%q is no number from 0 on: %w", value, driver.ErrInvalid)
	}
	seconds := time.Duration(x * float64(time.Second))
	switch name {
	case "battery.charge.low":
		d.ups.LowCharge = min(x/100, 0.99)
	case "battery.runtime.low":
		d.ups.LowRuntime = seconds
	case "ups.delay.shutdown":
		d.ups.OffDelay = seconds
	case "ups.delay.start":
		d.ups.OnDelay = seconds
	case "simulator.load":
		d.ups.SetLoad(now, x)
	case "simulator.charge":
		d.ups.SetCharge(now, x/100)
	default:
		return driver.ErrUnknown
	}
	return nil
}

// Close lets go of the simulation, which goes on.
func (d *simulated) Close() error {
	d.timer.Stop()
	return nil
}
