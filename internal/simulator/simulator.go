// Package simulator models a UPS: a lead-acid battery that empties under load and
// fills again, an output that is switched by commands and delays, and the habits
// of real devices at the end of an outage. It has no clock and does no I/O: time
// is what it is told, and between two events everything follows a formula, so that
// hours cost nothing and results do not depend on how often one looks.
//
// It knows nothing of NUT's variables; dummy-ups gives its state their names.
package simulator

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// A Restart is what a UPS does after it cut the power of its load to come back
// later, if mains returned in the meantime.
type Restart uint8

// The habits of restarting.
const (
	// Cycle: the load is off for the start delay and comes back if mains is there
	// or as soon as it is. It is the only habit that no timing can defeat.
	Cycle Restart = iota
	// Edge: the load comes back only when mains returns after the load was cut. If
	// it returned before, the load stays off.
	Edge
	// Cancel: mains that returns before the load is cut cancels the cut; a host
	// that has halted by then stays halted.
	Cancel
)

// A Config describes a UPS. Start from Default.
type Config struct {
	Capacity   float64 // energy of the full battery at rated load, in watt hours
	Power      float64 // rated power of the output in watts
	Load       float64 // what the load takes in watts
	Efficiency float64 // of the inverter, 0 to 1
	Peukert    float64 // 1: the capacity does not depend on the load; lead-acid has about 1.2
	Charger    float64 // power that reaches the battery while it charges, in watts
	Knee       float64 // charge, 0 to 1, above which charging slows down exponentially

	BatteryVoltage float64 // nominal
	InputVoltage   float64 // nominal
	Frequency      float64
	Ambient        float64       // temperature around, in degrees Celsius
	Heating        float64       // rise of the battery's temperature at rated load on battery, in kelvins
	HeatTime       time.Duration // time constant of its temperature

	LowCharge     float64       // charge, 0 to 1, below which the battery is low
	LowRuntime    time.Duration // the same for the run-time
	RestartCharge float64       // charge, 0 to 1, that the battery needs before the load comes back
	OffDelay      time.Duration // before the load is cut, unless a command says otherwise
	OnDelay       time.Duration // before it comes back
	DelayUnit     time.Duration // delays are rounded down to multiples of it, as firmware with minutes does; 0: not
	Transfer      time.Duration // from a change of mains to the UPS reporting it
	Restart       Restart
	QuickTest     time.Duration // length of a quick self-test
}

// Default returns a small UPS: 520 W, ten minutes at rated load.
func Default() Config {
	return Config{
		Capacity: 100, Power: 520, Load: 104, Efficiency: 0.9, Peukert: 1.15, Charger: 30, Knee: 0.8,
		BatteryVoltage: 12, InputVoltage: 230, Frequency: 50,
		Ambient: 22, Heating: 15, HeatTime: 30 * time.Minute,
		LowCharge: 0.2, LowRuntime: 2 * time.Minute,
		OffDelay: 20 * time.Second, OnDelay: 30 * time.Second,
		Transfer: 100 * time.Millisecond, QuickTest: 10 * time.Second,
	}
}

// Check tells what is wrong with a Config.
func (c Config) Check() error {
	switch {
	case c.Capacity <= 0 || c.Power <= 0 || c.Charger <= 0:
		return errors.New("capacity, power and charger must be above 0")
	case c.Load < 0:
		return errors.New("load must not be negative")
	case c.Efficiency <= 0 || c.Efficiency > 1:
		return errors.New("efficiency must be above 0 and at most 1")
	case c.Peukert < 1 || c.Peukert > 2:
		return errors.New("peukert must be from 1 to 2")
	case c.LowCharge < 0 || c.LowCharge > 0.99 || c.RestartCharge < 0 || c.RestartCharge > 0.99:
		return errors.New("low and restart charge must be from 0 to 99 %")
	case c.Knee <= 0 || c.Knee >= 1:
		return errors.New("knee must be between 0 and 1")
	case c.HeatTime <= 0 || c.OffDelay < 0 || c.OnDelay < 0 || c.DelayUnit < 0 || c.Transfer < 0 || c.QuickTest <= 0:
		return errors.New("times must not be negative")
	}
	return nil
}

// full is the charge at which charging ends; the exponential never would.
const full = 0.999

// negligible is a part of the charge that rounding may lose. To wait for it would take
// steps of nanoseconds in which a slow charger changes nothing.
const negligible = 1e-9

// A UPS is a simulated device. It belongs to one goroutine. Each method first lets
// the time pass that has passed.
type UPS struct {
	Config
	now         time.Time
	charge      float64 // 0 to 1
	temperature float64
	mains       bool
	reported    bool // what the UPS says of mains
	output      bool
	test        Test
	testFailed  bool
	replace     bool // the battery is worn: it holds a tenth

	offAt    time.Time // the load will be cut; zero: it will not
	comeBack bool      // the cut at offAt, or the one that was, is to end
	onAt     time.Time // the load will come back; zero: it will not
	reportAt time.Time // reported follows mains
	testEnd  time.Time
}

// A Test is a self-test.
type Test uint8

// The self-tests.
const (
	NoTest Test = iota
	QuickTest
	DeepTest // until the battery is low
)

// New returns a UPS on mains with a full battery.
func New(c Config, now time.Time) *UPS {
	return &UPS{Config: c, now: now, charge: 1, temperature: c.Ambient, mains: true, reported: true, output: true}
}

// A Status is what can be seen of a UPS.
type Status struct {
	Mains       bool // as the UPS reports it
	Output      bool
	OnBattery   bool // the battery is giving energy
	Charging    bool
	Low         bool
	Replace     bool
	Overload    bool
	Test        Test
	TestFailed  bool
	Charge      float64 // 0 to 1
	Runtime     time.Duration
	Voltage     float64       // of the battery
	Temperature float64       // of the battery
	Load        float64       // watts
	OffIn       time.Duration // until the load is cut; negative: it will not be
	OnIn        time.Duration // until it comes back; negative: no time is set
}

// Status returns what can be seen at a moment.
func (u *UPS) Status(now time.Time) Status {
	u.advance(now)
	load := u.load()
	s := Status{
		Mains: u.reported, Output: u.output, OnBattery: u.onBattery(), Charging: u.charging(),
		Replace: u.replace, Overload: load > u.Power, Test: u.test, TestFailed: u.testFailed,
		Charge: u.charge, Runtime: u.runtime(), Temperature: u.temperature, Load: load,
		OffIn: -1, OnIn: -1,
	}
	s.Low = u.low()
	s.Voltage = u.voltage()
	if !u.offAt.IsZero() {
		s.OffIn = u.offAt.Sub(now)
	}
	if !u.onAt.IsZero() {
		s.OnIn = u.onAt.Sub(now)
	}
	return s
}

// SetMains makes mains fail or return.
func (u *UPS) SetMains(now time.Time, on bool) {
	u.advance(now)
	if on == u.mains {
		return
	}
	u.mains = on
	u.reportAt = now.Add(u.Transfer)
	switch {
	case !on:
		u.onAt, u.test = time.Time{}, NoTest
	case u.output && u.comeBack && u.Restart == Cancel:
		u.offAt, u.comeBack = time.Time{}, false
	case !u.output && u.comeBack:
		u.scheduleOn(now)
	}
	u.advance(now)
}

// SetLoad changes what the load takes, in watts.
func (u *UPS) SetLoad(now time.Time, watts float64) {
	u.advance(now)
	u.Load = max(watts, 0)
}

// SetReplace wears the battery out, or puts in a new one. A worn battery holds a
// tenth of what it did.
func (u *UPS) SetReplace(now time.Time, worn bool) {
	u.advance(now)
	if u.replace && !worn {
		u.charge = 1
	}
	u.replace = worn
}

// SetCharge makes the battery hold this much, 0 to 1.
func (u *UPS) SetCharge(now time.Time, charge float64) {
	u.advance(now)
	u.charge = min(max(charge, 0), 1)
	u.advance(now)
}

// Off cuts the load after a delay; comeBack says whether it is to come back with
// mains. It returns the delay that the UPS makes of it.
func (u *UPS) Off(now time.Time, delay time.Duration, comeBack bool) time.Duration {
	u.advance(now)
	delay = u.round(delay)
	u.offAt, u.comeBack = now.Add(delay), comeBack
	u.advance(now)
	return delay
}

// On gives the load its power after a delay, if there is any.
func (u *UPS) On(now time.Time, delay time.Duration) error {
	u.advance(now)
	if !u.mains && u.charge <= 0 {
		return errors.New("the battery is empty and mains is off")
	}
	u.onAt = now.Add(u.round(delay))
	u.advance(now)
	return nil
}

// Stop cancels a cut that has not happened yet.
func (u *UPS) Stop(now time.Time) {
	u.advance(now)
	u.offAt = time.Time{}
	if u.output { // else it may be off for want of mains, and come back
		u.comeBack = false
	}
}

// StartTest begins a self-test; NoTest ends one.
func (u *UPS) StartTest(now time.Time, t Test) error {
	u.advance(now)
	switch {
	case t == NoTest:
		u.test = NoTest
		return nil
	case !u.mains || !u.output:
		return errors.New("a self-test needs mains and a load that is on")
	case u.test != NoTest:
		return errors.New("a self-test is running")
	}
	u.test, u.testFailed = t, false
	u.testEnd = now.Add(u.QuickTest)
	u.advance(now)
	return nil
}

// Next returns when something will happen by itself; ok is false if nothing will.
func (u *UPS) Next(now time.Time) (at time.Time, ok bool) {
	u.advance(now)
	at, _ = u.next()
	return at, !at.IsZero()
}

// round is what firmware makes of a delay.
func (u *UPS) round(d time.Duration) time.Duration {
	if u.DelayUnit > 0 {
		d = d.Truncate(u.DelayUnit)
	}
	return max(d, 0)
}

func (u *UPS) scheduleOn(now time.Time) { u.onAt = now.Add(u.round(u.OnDelay)) }

// advance lets time pass, event by event.
func (u *UPS) advance(now time.Time) {
	for {
		at, happen := u.next()
		if at.IsZero() || at.After(now) {
			break
		}
		u.flow(at)
		happen(at)
	}
	u.flow(now)
	if u.output && !u.mains && u.charge <= 0 {
		u.empty(now)
	}
}

// next is the event that comes first.
func (u *UPS) next() (at time.Time, happen func(time.Time)) {
	earliest := func(t time.Time, f func(time.Time)) {
		if !t.IsZero() && (at.IsZero() || t.Before(at)) {
			at, happen = t, f
		}
	}
	earliest(u.offAt, u.cut)
	earliest(u.onAt, u.restore)
	if u.reported != u.mains {
		earliest(u.reportAt, func(time.Time) { u.reported = u.mains })
	}
	if u.test == QuickTest {
		earliest(u.testEnd, u.endTest)
	}
	if u.onBattery() && u.drain() > 0 {
		earliest(u.now.Add(u.timeTo(0)), u.empty)
		if u.test == DeepTest {
			earliest(u.now.Add(u.timeTo(u.lowCharge())), u.endTest)
		}
	}
	return at, happen
}

func (u *UPS) cut(at time.Time) {
	u.offAt = time.Time{}
	u.output, u.test = false, NoTest
	if u.comeBack && u.mains && u.Restart != Edge {
		u.scheduleOn(at)
	}
}

func (u *UPS) restore(at time.Time) {
	u.onAt = time.Time{}
	if u.charge < u.RestartCharge-negligible && u.mains {
		u.onAt = at.Add(u.chargeTime(u.RestartCharge))
		return
	}
	u.output, u.comeBack = true, false
}

// empty is the end of the battery: the load goes off and comes back with mains.
func (u *UPS) empty(time.Time) {
	u.charge = 0
	if u.mains { // it was a self-test
		u.test, u.testFailed = NoTest, true
		return
	}
	u.output, u.comeBack, u.offAt = false, true, time.Time{}
}

func (u *UPS) endTest(time.Time) {
	u.testFailed = u.replace
	u.test = NoTest
}

func (u *UPS) load() float64 {
	if !u.output {
		return 0
	}
	return u.Load
}

func (u *UPS) onBattery() bool { return u.output && (!u.mains || u.test != NoTest) && u.charge > 0 }

func (u *UPS) charging() bool { return u.mains && u.test == NoTest && u.charge < 1 }

// flow moves energy and heat until at, in which time nothing else happens.
func (u *UPS) flow(at time.Time) {
	d := at.Sub(u.now)
	if d <= 0 {
		return
	}
	target := u.Ambient
	switch {
	case u.onBattery():
		target += u.Heating * u.load() / u.Power
		u.charge = max(0, u.charge-u.drain()*d.Seconds())
	case u.charging():
		u.charge = u.charged(d.Seconds())
	}
	u.temperature = target + (u.temperature-target)*math.Exp(-d.Seconds()/u.HeatTime.Seconds())
	u.now = at
}

// capacity is the energy of the full battery in joules.
func (u *UPS) capacity() float64 {
	c := u.Capacity * 3600
	if u.replace {
		c /= 10
	}
	return c
}

// drain is how much of its charge the battery loses in a second. By Peukert's law
// a light load gets more out of it than the rated one.
func (u *UPS) drain() float64 { return u.drainAt(u.load()) }

func (u *UPS) drainAt(load float64) float64 {
	if load <= 0 {
		return 0
	}
	return load / u.Efficiency * math.Pow(load/u.Power, u.Peukert-1) / u.capacity()
}

// timeTo is how long the battery takes to fall to a charge.
func (u *UPS) timeTo(charge float64) time.Duration {
	d := u.drain()
	if d <= 0 {
		return forever
	}
	return seconds((u.charge - charge) / d)
}

// forever is longer than any simulation.
const forever = 1000 * time.Hour

func (u *UPS) runtime() time.Duration {
	d := u.drainAt(u.Load)
	if d <= 0 {
		return forever
	}
	return min(seconds(u.charge/d), forever)
}

// seconds rounds up, so that what is to have happened then has.
func seconds(s float64) time.Duration {
	if s <= 0 {
		return 0
	}
	if s > forever.Seconds() {
		return forever
	}
	return time.Duration(math.Ceil(s * float64(time.Second)))
}

// rate is how much charge a second the charger adds below the knee.
func (u *UPS) rate() float64 { return u.Charger / u.capacity() }

// charged is the charge after s seconds on the charger: constant power up to the
// knee, then ever slower.
func (u *UPS) charged(s float64) float64 {
	c, rate := u.charge, u.rate()
	if c < u.Knee {
		t := (u.Knee - c) / rate
		if s <= t {
			return c + rate*s
		}
		c, s = u.Knee, s-t
	}
	tau := (1 - u.Knee) / rate
	c = 1 - (1-c)*math.Exp(-s/tau)
	if c >= full {
		return 1
	}
	return c
}

// chargeTime is how long the charger needs to reach a charge.
func (u *UPS) chargeTime(charge float64) time.Duration {
	c, rate := u.charge, u.rate()
	charge = min(charge, full)
	var s float64
	if c < u.Knee {
		s = (min(charge, u.Knee) - c) / rate
		c = u.Knee
	}
	if charge > c {
		s += (1 - u.Knee) / rate * math.Log((1-c)/(1-charge))
	}
	return seconds(s)
}

// lowCharge is the charge below which the battery is low at the present load.
func (u *UPS) lowCharge() float64 {
	return max(u.LowCharge, u.drainAt(u.Load)*u.LowRuntime.Seconds())
}

func (u *UPS) low() bool { return u.charge < u.LowCharge || u.runtime() < u.LowRuntime }

// voltage is that of a lead-acid battery: it falls with the charge, sags under
// load and is lifted by the charger.
func (u *UPS) voltage() float64 {
	cells := u.BatteryVoltage / 2
	v := cells * (1.9 + 0.23*u.charge)
	switch {
	case u.onBattery():
		v -= cells * 0.12 * u.load() / u.Power
	case u.mains:
		v += cells * 0.12
	}
	return v
}

// String is one line for people who debug.
func (s Status) String() string {
	return fmt.Sprintf("mains %v, output %v, charge %.1f %%, runtime %v", s.Mains, s.Output, s.Charge*100, s.Runtime.Round(time.Second))
}
