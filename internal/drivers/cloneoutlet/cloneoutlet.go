// Package cloneoutlet is the driver clone-outlet: it shows one outlet of another
// driver's device as a UPS, to be read only. It says FSD when the outlet is about
// to go off and OFF when it is; switching it is the business of others.
package cloneoutlet

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"gonut/internal/driver"
	"gonut/internal/ups"
	"gonut/internal/upstream"
)

// Driver returns clone-outlet.
func Driver() driver.Driver {
	return driver.Driver{
		Name:        "clone-outlet",
		Version:     "0.09",
		Description: "Clone outlet UPS driver",
		Options: []driver.Option{
			{Name: "prefix", Help: "the outlet in the names of the real driver's variables, such as outlet.1"},
		},
		// The real driver may be started later.
		Patient: func(driver.Values) bool { return true },
		Check:   func(v driver.Values) error { _, err := outlet(v); return err },
		Open:    open,
	}
}

// patience is how long the real driver may be silent.
const patience = 15 * time.Second

type device struct {
	up     *upstream.Upstream
	prefix string
	before *ups.Snapshot // of the poll before
}

// outlet is what the names of the outlet's variables begin with.
func outlet(v driver.Values) (string, error) {
	prefix := strings.TrimSuffix(v.Get("prefix"), ".")
	if prefix == "" {
		return "", driver.Configf("which outlet? give prefix = outlet.N")
	}
	return prefix, nil
}

func open(ctx context.Context, v driver.Values, _ *slog.Logger) (driver.Device, error) {
	prefix, err := outlet(v)
	if err != nil {
		return nil, err
	}
	up, err := upstream.Open(ctx, v, v.Port)
	if err != nil {
		return nil, err
	}
	return &device{up: up, prefix: prefix}, nil
}

// Wake receives when the real driver has news.
func (d *device) Wake() <-chan struct{} { return d.up.Wake() }

// Poll repeats the values of the real driver, but not what may be set or done.
func (d *device) Poll(_ context.Context, _ driver.Depth, u *driver.Update) error {
	if err := d.up.Check(time.Now(), patience); err != nil {
		return fmt.Errorf("%w: %w", err, driver.ErrGone)
	}
	snap := d.up.State().Snapshot()
	if snap.Stale {
		return fmt.Errorf("the real driver says: %w", driver.ErrStale)
	}
	for _, v := range snap.Variables {
		if !strings.HasPrefix(v.Name, "driver.") && v.Name != ups.StatusName {
			u.Set(v.Name, v.Value)
		}
	}
	if d.before != nil {
		for _, v := range d.before.Variables {
			if _, ok := snap.Variable(v.Name); !ok {
				u.Delete(v.Name)
			}
		}
	}
	d.before = snap
	value := func(name string) (string, bool) {
		v, ok := snap.Variable(name)
		return v.Value, ok
	}
	status, _ := value(ups.StatusName)
	if d.goingOff(value) {
		u.Status(ups.FSD)
	}
	u.Composed()
	u.Status(status)
	if v, ok := value(d.prefix + ".status"); ok && strings.EqualFold(v, "off") {
		u.Status(ups.OFF)
	}
	return nil
}

// goingOff reports whether the outlet's countdown runs: it is not negative and not
// above the delay that it began with.
func (d *device) goingOff(value func(string) (string, bool)) bool {
	number := func(name string) (float64, bool) {
		v, ok := value(d.prefix + name)
		if !ok {
			return 0, false
		}
		x, err := strconv.ParseFloat(strings.TrimSpace(v), 64)
		return x, err == nil
	}
	timer, ok := number(".timer.shutdown")
	delay, hasDelay := number(".delay.shutdown")
	return ok && hasDelay && timer >= 0 && timer <= delay
}

// Command does nothing: the outlet is for reading.
func (d *device) Command(context.Context, string, string) error { return driver.ErrUnknown }

// Set does nothing: the outlet is for reading.
func (d *device) Set(context.Context, string, string) error { return driver.ErrUnknown }

// Close lets go of the real driver.
func (d *device) Close() error { return d.up.Close() }
