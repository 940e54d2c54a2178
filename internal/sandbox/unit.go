package sandbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"gonut/internal/driver"
	"gonut/internal/drivers/dummyups"
	"gonut/internal/simulator"
	"gonut/internal/ups"
)

// What a simulated battery does, in percent a second and percent. It is as weak as
// a worn one, so that nobody has to wait.
const (
	dischargeRate = 1.0
	chargeRate    = 2.0
	// lowCharge is where a battery is low.
	lowCharge = 10.0
	// nearlyEmpty is the charge that the command lowbatt leaves.
	nearlyEmpty = 5.0
)

// battery is the simulator's UPS with such a battery.
func battery() simulator.Config {
	c := simulator.Default()
	c.Peukert, c.Efficiency, c.Transfer = 1, 1, 0
	c.Capacity = c.Load * 100 / dischargeRate / 3600
	c.Charger = c.Load * chargeRate / dischargeRate
	c.Knee = 0.999 // it charges evenly
	c.LowCharge, c.LowRuntime = lowCharge/100, 0
	return c
}

// A unit is one simulated UPS, which follows the user's commands. The cable to it
// can be pulled; then every device made of it is gone.
type unit struct {
	name string

	mu      sync.Mutex
	ups     *simulator.UPS
	mains   bool
	plugged bool
	replace bool
	wakers  map[chan struct{}]bool // of open devices
}

func newUnit(name string) *unit {
	return &unit{name: name, ups: simulator.New(battery(), time.Now()), mains: true, plugged: true, wakers: make(map[chan struct{}]bool)}
}

// do performs a command and tells open devices to speak up. It returns what
// happened, in words.
func (u *unit) do(verb string) string {
	u.mu.Lock()
	defer u.mu.Unlock()
	now := time.Now()
	text := ""
	switch verb {
	case "cut":
		text = u.change(&u.mains, false, "mains power fails", "mains power had failed already")
	case "restore":
		u.plugged = true
		text = u.change(&u.mains, true, "mains power is back", "mains power is there")
	case "lowbatt":
		u.ups.SetCharge(now, min(u.percent(now), nearlyEmpty)/100)
		text = fmt.Sprintf("battery falls to %.0f %%", u.percent(now))
	case "replace":
		text = u.change(&u.replace, true, "asks for a new battery", "asks for a new battery already")
	case "unplug":
		text = u.change(&u.plugged, false, "the cable is pulled", "the cable is out already")
	}
	u.ups.SetMains(now, u.mains)
	for w := range u.wakers {
		select {
		case w <- struct{}{}:
		default:
		}
	}
	return text
}

// percent is the charge. The caller holds mu.
func (u *unit) percent(now time.Time) float64 { return u.ups.Status(now).Charge * 100 }

func (u *unit) change(to *bool, v bool, done, already string) string {
	if *to == v {
		return already
	}
	*to = v
	return done
}

// status is ups.status now. The caller holds mu.
func (u *unit) status(st simulator.Status) []string {
	var ts []string
	switch {
	case !st.Mains:
		ts = append(ts, ups.OB, ups.DISCHRG)
	case st.Charging:
		ts = append(ts, ups.OL, ups.CHRG)
	default:
		ts = append(ts, ups.OL)
	}
	if st.Low {
		ts = append(ts, ups.LB)
	}
	if u.replace {
		ts = append(ts, ups.RB)
	}
	return ts
}

// describe is the UPS in words.
func (u *unit) describe() string {
	u.mu.Lock()
	defer u.mu.Unlock()
	st := u.ups.Status(time.Now())
	text := fmt.Sprintf("%s, charge %.0f %%", strings.Join(u.status(st), " "), st.Charge*100)
	if !u.plugged {
		text += ", cable pulled"
	}
	return text
}

// onBattery reports whether the UPS runs from its battery.
func (u *unit) onBattery() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return !u.mains
}

// driverName is the driver of simulated units in the sandbox's ups.conf.
const driverName = "sandbox-ups"

// newDriver returns the driver of the units: dummy-ups, but status and battery are
// those of the unit that has the name of the section.
func newDriver(units []*unit) driver.Driver {
	dummy := dummyups.Driver()
	return driver.Driver{
		Name:        driverName,
		Version:     "1",
		Description: "Simulated UPS of the sandbox",
		Open: func(ctx context.Context, o driver.Values, log *slog.Logger) (driver.Device, error) {
			i := slices.IndexFunc(units, func(u *unit) bool { return u.name == o.UPS })
			if i < 0 {
				return nil, fmt.Errorf("no simulated ups %q: %w", o.UPS, driver.ErrConfig)
			}
			inner, err := dummy.Open(ctx, o, log)
			if err != nil {
				return nil, err
			}
			// Until it was played, a recording has no values to be changed.
			if err := inner.Poll(ctx, driver.Init, new(driver.Update)); err != nil {
				return nil, errors.Join(err, inner.Close())
			}
			return units[i].open(inner)
		},
	}
}

// A device is an open connection to a unit: a recording that is being played, with
// the unit's status and battery in it.
type device struct {
	driver.Device
	unit *unit
	wake chan struct{}
}

var errUnplugged = fmt.Errorf("cable pulled: %w", driver.ErrGone)

func (u *unit) open(inner driver.Device) (driver.Device, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if !u.plugged {
		return nil, errors.Join(errUnplugged, inner.Close())
	}
	d := &device{Device: inner, unit: u, wake: make(chan struct{}, 1)}
	u.wakers[d.wake] = true
	return d, nil
}

func (d *device) Wake() <-chan struct{} { return d.wake }

func (d *device) Poll(ctx context.Context, depth driver.Depth, up *driver.Update) error {
	values, err := d.unit.values()
	if err != nil {
		return err
	}
	for _, v := range values {
		if err := d.Device.Set(ctx, v.Name, v.Value); err != nil {
			return fmt.Errorf("set %s: %w", v.Name, err)
		}
	}
	return d.Device.Poll(ctx, depth, up)
}

// values is what the unit has to say now.
func (u *unit) values() ([]ups.Variable, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if !u.plugged {
		return nil, errUnplugged
	}
	st := u.ups.Status(time.Now())
	return []ups.Variable{
		{Name: ups.StatusName, Value: strings.Join(u.status(st), " ")},
		{Name: ups.ChargeName, Value: fmt.Sprintf("%.0f", st.Charge*100)},
		{Name: ups.RuntimeName, Value: fmt.Sprintf("%.0f", st.Runtime.Seconds())},
	}, nil
}

func (d *device) Command(ctx context.Context, name, param string) error {
	if name == driver.ShutdownDefault {
		return nil // cutPower tells what would have happened
	}
	return d.Device.Command(ctx, name, param)
}

func (d *device) Close() error {
	d.unit.mu.Lock()
	delete(d.unit.wakers, d.wake)
	d.unit.mu.Unlock()
	return d.Device.Close()
}
