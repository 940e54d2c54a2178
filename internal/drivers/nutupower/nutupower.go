// Package nutupower is the driver nut-upower: it reads a UPS, or a battery, that the
// desktop's UPower has, over D-Bus. Nothing can be set or done there.
package nutupower

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/godbus/dbus/v5"

	"gonut/internal/driver"
	"gonut/internal/transport/record"
)

// Driver returns nut-upower.
func Driver() driver.Driver {
	return driver.Driver{
		Name:        "nut-upower",
		Version:     "0.01",
		Description: "UPower D-Bus UPS driver",
		Options: []driver.Option{
			{Name: "lowbatt", Help: "charge in % below which the battery is low (20)"},
		},
		Check: func(v driver.Values) error { _, err := lowCharge(v); return err },
		Open:  open,
	}
}

// UPower's names on the bus.
const (
	service    = "org.freedesktop.UPower"
	root       = "/org/freedesktop/UPower"
	iface      = "org.freedesktop.UPower.Device"
	properties = "org.freedesktop.DBus.Properties"
)

// callLimit is how long one answer may take.
const callLimit = 5 * time.Second

const defaultLow = 20.0

type device struct {
	bus  bus
	path dbus.ObjectPath
	low  float64
	wake chan struct{}
}

// lowCharge is the charge below which the battery is low.
func lowCharge(v driver.Values) (float64, error) {
	if !v.Has("lowbatt") {
		return defaultLow, nil
	}
	x, err := strconv.ParseFloat(v.Get("lowbatt"), 64)
	if err != nil || !(x >= 0 && x <= 100) {
		return 0, v.Wrong("lowbatt", "it must be from 0 to 100")
	}
	return x, nil
}

func open(ctx context.Context, v driver.Values, _ *slog.Logger) (driver.Device, error) {
	low, err := lowCharge(v)
	if err != nil {
		return nil, err
	}
	b, err := connect(ctx, v.Tape)
	if err != nil {
		return nil, err
	}
	d := &device{bus: b, low: low, wake: make(chan struct{}, 1)}
	if d.path, err = d.find(ctx, v); err == nil {
		err = d.subscribe(ctx)
	}
	if err != nil {
		b.close()
		return nil, err
	}
	return d, nil
}

// find returns the device that the port means: its path, or with "auto" the first
// UPS.
func (d *device) find(ctx context.Context, v driver.Values) (dbus.ObjectPath, error) {
	if v.Port != "auto" && v.Port != "" {
		path := dbus.ObjectPath(v.Port)
		if !path.IsValid() {
			return "", v.Wrong("port", "it must be auto or the path of an object of UPower")
		}
		return path, nil
	}
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	answer, err := d.bus.call(ctx, root, service+".EnumerateDevices")
	if err != nil {
		return "", fmt.Errorf("ask UPower for its devices: %w", err)
	}
	paths, _ := answer.Value().([]dbus.ObjectPath)
	for _, p := range paths {
		if strings.Contains(string(p), "ups_") {
			return p, nil
		}
	}
	const typeUPS = 3
	for _, p := range paths {
		if ps, err := d.read(ctx, p); err == nil && ps.uint("Type") == typeUPS {
			return p, nil
		}
	}
	return "", fmt.Errorf("UPower has no UPS among its %d devices", len(paths))
}

// subscribe makes changes of the device wake the session.
func (d *device) subscribe(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	err := d.bus.watch(ctx, d.path, func() {
		select {
		case d.wake <- struct{}{}:
		default:
		}
	})
	if err != nil {
		return fmt.Errorf("subscribe to %s: %w", d.path, err)
	}
	return nil
}

// Wake receives when UPower reports a change.
func (d *device) Wake() <-chan struct{} { return d.wake }

// Poll reads all properties of the device.
func (d *device) Poll(ctx context.Context, _ driver.Depth, u *driver.Update) error {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	ps, err := d.read(ctx, d.path)
	if err != nil {
		if !d.bus.connected() || unknownObject(err) {
			return fmt.Errorf("read %s: %w: %w", d.path, err, driver.ErrGone)
		}
		return fmt.Errorf("read %s: %w", d.path, err)
	}
	if present, ok := ps["IsPresent"].Value().(bool); ok && !present {
		return fmt.Errorf("%s: UPower says that it is not present: %w", d.path, driver.ErrStale)
	}
	onBattery, err := d.onBattery(ctx, ps)
	if err != nil {
		return err
	}
	ps.publish(u)
	ps.status(u, onBattery, d.low)
	u.Setf("battery.charge.low", "%g", d.low)
	return nil
}

func unknownObject(err error) bool {
	e, ok := errors.AsType[*record.Failure](err)
	return ok && (e.Class == "org.freedesktop.DBus.Error.UnknownObject" ||
		e.Class == "org.freedesktop.DBus.Error.UnknownMethod" || e.Class == "org.freedesktop.DBus.Error.ServiceUnknown")
}

// The states of a device.
const (
	unknown = iota
	charging
	discharging
	empty
	charged
	pendingCharge
	pendingDischarge
)

// onBattery reports whether the device feeds its load. If it does not say, UPower's
// own idea of the whole computer counts.
func (d *device) onBattery(ctx context.Context, ps props) (bool, error) {
	switch ps.uint("State") {
	case discharging, empty:
		return true, nil
	case charging, charged, pendingCharge, pendingDischarge:
		return false, nil
	}
	v, err := d.bus.call(ctx, root, properties+".Get", service, "OnBattery")
	if err != nil {
		return false, fmt.Errorf("ask UPower whether it is on battery: %w", err)
	}
	on, ok := v.Value().(bool)
	if !ok {
		return false, errors.New("UPower does not say whether it is on battery")
	}
	return on, nil
}

func (d *device) read(ctx context.Context, path dbus.ObjectPath) (props, error) {
	v, err := d.bus.call(ctx, path, properties+".GetAll", iface)
	if err != nil {
		return nil, err
	}
	ps, ok := v.Value().(map[string]dbus.Variant)
	if !ok {
		return nil, fmt.Errorf("the answer is no set of properties but %s", v.Signature())
	}
	return ps, nil
}

// props are the properties of a device by name.
type props map[string]dbus.Variant

func (ps props) uint(name string) uint32 {
	n, _ := ps[name].Value().(uint32)
	return n
}

func (ps props) float(name string) (float64, bool) {
	x, ok := ps[name].Value().(float64)
	return x, ok
}

// publish gives the properties NUT's names. Zero stands for unknown in most.
func (ps props) publish(u *driver.Update) {
	for _, row := range []struct{ property, name string }{
		{"Vendor", "ups.mfr"}, {"Model", "ups.model"}, {"Serial", "ups.serial"},
	} {
		if s, ok := ps[row.property].Value().(string); ok && s != "" {
			u.Set(row.name, s)
		}
	}
	for _, row := range []struct{ property, name, format string }{
		{"Percentage", "battery.charge", "%.0f"},
		{"Voltage", "battery.voltage", "%.2f"},
		{"EnergyRate", "ups.realpower", "%.0f"},
		{"Temperature", "battery.temperature", "%.1f"},
	} {
		if x, ok := ps.float(row.property); ok && (x != 0 || row.property == "Percentage") {
			u.Setf(row.name, row.format, x)
		}
	}
	if n, ok := ps["TimeToEmpty"].Value().(int64); ok && n > 0 {
		u.Setf("battery.runtime", "%d", n)
	}
	if t := technology(ps.uint("Technology")); t != "" {
		u.Set("battery.type", t)
	}
}

// technology is battery.type.
func technology(n uint32) string {
	names := [...]string{"", "Li-ion", "Li-polymer", "LiFePO4", "PbAc", "NiCd", "NiMH"}
	if int(n) < len(names) {
		return names[n]
	}
	return ""
}

// critical is UPower's warning level from which it would act itself.
const critical = 4

// status adds the tokens of ups.status.
func (ps props) status(u *driver.Update, onBattery bool, low float64) {
	state := ps.uint("State")
	if onBattery {
		u.Status("OB", "DISCHRG")
	} else {
		u.Status("OL")
		if state == charging {
			u.Status("CHRG")
		}
	}
	charge, known := ps.float("Percentage")
	if known && charge < low || state == empty || onBattery && ps.uint("WarningLevel") >= critical {
		u.Status("LB")
	}
}

// Command does nothing: UPower takes no orders.
func (d *device) Command(context.Context, string, string) error { return driver.ErrUnknown }

// Set does nothing: UPower takes no orders.
func (d *device) Set(context.Context, string, string) error { return driver.ErrUnknown }

// Close leaves the bus.
func (d *device) Close() error { return d.bus.close() }
