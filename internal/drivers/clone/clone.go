// Package clone is the driver of an outlet that is to look like a UPS of its own:
// it stands on another driver's socket, repeats what that knows, calls the battery
// low earlier and switches the outlet off and on again. It does not talk to any
// device itself and never shuts down more than its outlet.
package clone

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"gonut/internal/driver"
	"gonut/internal/drvsock"
	"gonut/internal/ups"
	"gonut/internal/upstream"
)

// Driver returns clone.
func Driver() driver.Driver {
	return driver.Driver{
		Name:        "clone",
		Version:     "0.09",
		Description: "Clone UPS driver",
		Options: []driver.Option{
			{Name: "load.off", Help: "command of the real driver that switches the outlet off"},
			{Name: "load.on", Help: "command of the real driver that switches the outlet on"},
			{Name: "load.status", Help: "variable of the real driver that says whether the outlet is on"},
			{Name: "offdelay", Help: "seconds from the shutdown condition to the outlet going off (120)"},
			{Name: "ondelay", Help: "seconds from the return of mains to the outlet going on (30)"},
			{Name: "mincharge", Help: "charge in % below which the clone's battery is low"},
			{Name: "minruntime", Help: "run-time in seconds below which the clone's battery is low"},
		},
		// The real driver may be started later.
		Patient: func(driver.Values) bool { return true },
		Check:   func(v driver.Values) error { _, err := readSettings(v); return err },
		Open:    open,
	}
}

// What C's driver takes for the delays.
const (
	defaultOffDelay = 120 * time.Second
	defaultOnDelay  = 30 * time.Second
	// complainEvery is how often it is said that the outlet was not switched.
	complainEvery = time.Minute
	// patience is how long the real driver may be silent.
	patience = 15 * time.Second
)

// A device is the outlet.
type device struct {
	up      *upstream.Upstream
	log     *slog.Logger
	options settings
	before  *ups.Snapshot // of the Copy before
	timer   *time.Timer

	on       bool // as far as is known
	offAt    time.Time
	onAt     time.Time
	stayOff  bool
	announce bool // the clone's own variables have to be told

	complained time.Time // that the outlet was not switched
}

type settings struct {
	loadOff, loadOn, loadStatus string
	offDelay, onDelay           time.Duration
	minCharge, minRuntime       float64 // below 0: not set
}

func readSettings(v driver.Values) (settings, error) {
	s := settings{
		loadOff: v.Get("load.off"), loadOn: v.Get("load.on"), loadStatus: v.Get("load.status"),
		offDelay: defaultOffDelay, onDelay: defaultOnDelay, minCharge: -1, minRuntime: -1,
	}
	for name, set := range map[string]func(float64){
		"offdelay":   func(x float64) { s.offDelay = seconds(x) },
		"ondelay":    func(x float64) { s.onDelay = seconds(x) },
		"mincharge":  func(x float64) { s.minCharge = x },
		"minruntime": func(x float64) { s.minRuntime = x },
	} {
		if !v.Has(name) {
			continue
		}
		x, err := strconv.ParseFloat(v.Get(name), 64)
		if err != nil || !(x >= 0 && x <= 1e6) {
			return s, v.Wrong(name, "this is no number from 0 on")
		}
		set(x)
	}
	return s, nil
}

func open(ctx context.Context, v driver.Values, log *slog.Logger) (driver.Device, error) {
	s, err := readSettings(v)
	if err != nil {
		return nil, err
	}
	up, err := upstream.Open(ctx, v, v.Port)
	if err != nil {
		return nil, err
	}
	d := &device{up: up, log: log, options: s, on: true, timer: time.AfterFunc(time.Hour, up.Touch)}
	d.timer.Stop()
	return d, nil
}

func seconds(x float64) time.Duration { return time.Duration(x * float64(time.Second)) }

// Wake receives when the real driver has news and when a delay is over.
func (d *device) Wake() <-chan struct{} { return d.up.Wake() }

// Poll repeats what the real driver knows and does what is due.
func (d *device) Poll(ctx context.Context, depth driver.Depth, u *driver.Update) error {
	now := time.Now()
	if err := d.up.Check(now, patience); err != nil {
		return fmt.Errorf("%w: %w", err, driver.ErrGone)
	}
	if depth == driver.Init {
		d.before, d.announce = nil, true
		u.Command("shutdown.return", "shutdown.stayoff", "shutdown.stop")
	}
	d.follow(ctx, now)
	if d.up.State().Stale() {
		return fmt.Errorf("the real driver says: %w", driver.ErrStale)
	}
	d.before = d.up.Copy(u, d.before, d.mine)
	d.publish(u, now)
	return nil
}

// mine reports the variables and commands that the clone has instead of the real
// UPS, and commands that would switch more than the outlet.
func (d *device) mine(name string) bool {
	switch name {
	case ups.StatusName, "ups.delay.shutdown", "ups.delay.start", "ups.timer.shutdown", "ups.timer.start":
		return true
	case ups.ChargeLowName:
		return d.options.minCharge >= 0
	case ups.RuntimeLowName:
		return d.options.minRuntime >= 0
	}
	return strings.HasPrefix(name, "load.") || strings.HasPrefix(name, "shutdown.")
}

// follow looks at the real UPS and at the clock, and switches the outlet.
func (d *device) follow(ctx context.Context, now time.Time) {
	if d.options.loadStatus != "" {
		if v, ok := d.up.State().Variable(d.options.loadStatus); ok {
			d.on = !off(v.Value)
		}
	}
	tokens := d.tokens()
	onBattery, low := slices.Contains(tokens, ups.OB), slices.Contains(tokens, ups.LB)
	if onBattery && low && d.on && d.offAt.IsZero() && !d.up.State().Stale() {
		d.log.Warn("battery is low: the outlet will go off", "seconds", d.options.offDelay.Seconds())
		d.offAt, d.stayOff = now.Add(d.options.offDelay), false
	}
	if !d.offAt.IsZero() && !now.Before(d.offAt) {
		d.offAt = time.Time{}
		d.switchTo(ctx, false)
	}
	mains := slices.Contains(tokens, ups.OL) && !low && !d.up.State().Stale()
	switch {
	case d.on || d.stayOff || !mains || !d.offAt.IsZero():
		d.onAt = time.Time{}
	case d.onAt.IsZero():
		d.onAt = now.Add(d.options.onDelay)
	case !now.Before(d.onAt):
		d.onAt = time.Time{}
		d.switchTo(ctx, true)
	}
	d.arm(now)
}

// off reports whether the value of an outlet's status means that it is off.
func off(value string) bool {
	switch strings.ToLower(value) {
	case "off", "no", "0":
		return true
	}
	return false
}

// arm asks to be polled when the next delay is over.
func (d *device) arm(now time.Time) {
	d.timer.Stop()
	for _, at := range []time.Time{d.offAt, d.onAt} {
		if !at.IsZero() {
			d.timer.Reset(at.Sub(now))
		}
	}
}

// switchTo switches the outlet. If that fails it is tried again at the next poll.
func (d *device) switchTo(ctx context.Context, on bool) error {
	command := d.options.loadOff
	if on {
		command = d.options.loadOn
	}
	if command != "" {
		if err := d.up.Perform(ctx, drvsock.Request{Name: command}); err != nil {
			if now := time.Now(); now.Sub(d.complained) >= complainEvery {
				d.complained = now
				d.log.Error("the outlet was not switched; trying again every second", "command", command, "error", err)
			}
			retry := time.Now().Add(time.Second)
			if on {
				d.onAt = retry
			} else {
				d.offAt = retry
			}
			return err
		}
	}
	d.complained = time.Time{}
	d.log.Warn("the outlet was switched", "on", on)
	d.on = on
	return nil
}

// tokens are those of the real UPS, with LB by the clone's own limits.
func (d *device) tokens() []string {
	state := d.up.State()
	ts := strings.Fields(state.Value(ups.StatusName))
	below := func(limit float64, name string) bool {
		x, err := strconv.ParseFloat(strings.TrimSpace(state.Value(name)), 64)
		return limit >= 0 && err == nil && x < limit
	}
	if !slices.Contains(ts, ups.LB) &&
		(below(d.options.minCharge, ups.ChargeName) || below(d.options.minRuntime, ups.RuntimeName)) {
		ts = append(ts, ups.LB)
	}
	return ts
}

func (d *device) publish(u *driver.Update, now time.Time) {
	if !d.offAt.IsZero() {
		u.Status(ups.FSD)
	}
	u.Composed()
	u.Status(d.tokens()...)
	if !d.on {
		u.Status(ups.OFF)
	}
	u.Set("ups.delay.shutdown", whole(d.options.offDelay))
	u.Set("ups.delay.start", whole(d.options.onDelay))
	u.Set("ups.timer.shutdown", left(d.offAt, now))
	u.Set("ups.timer.start", left(d.onAt, now))
	if d.options.minCharge >= 0 {
		u.Setf(ups.ChargeLowName, "%g", d.options.minCharge)
	}
	if d.options.minRuntime >= 0 {
		u.Setf(ups.RuntimeLowName, "%g", d.options.minRuntime)
	}
	if !d.announce {
		return
	}
	d.announce = false
	number := driver.Writable{String: true, MaxLen: 8}
	u.Writable("ups.delay.shutdown", number)
	u.Writable("ups.delay.start", number)
	if d.options.minCharge >= 0 {
		u.Writable(ups.ChargeLowName, number)
	}
	if d.options.minRuntime >= 0 {
		u.Writable(ups.RuntimeLowName, number)
	}
}

func whole(d time.Duration) string { return strconv.Itoa(int(d.Seconds())) }

// left is what remains until at, in seconds; -1 if at is not set.
func left(at, now time.Time) string {
	if at.IsZero() {
		return "-1"
	}
	return strconv.Itoa(int(math.Ceil(max(at.Sub(now), 0).Seconds())))
}

// Command shuts the outlet down, or passes what concerns no load on to the real
// driver.
func (d *device) Command(ctx context.Context, name, param string) error {
	now := time.Now()
	switch name {
	case "shutdown.return", "shutdown.stayoff":
		delay := d.options.offDelay
		if param != "" {
			n, err := strconv.Atoi(param)
			if err != nil || n < 0 || n > 1e6 {
				return fmt.Errorf("%q is no number of seconds: %w", param, driver.ErrInvalid)
			}
			delay = time.Duration(n) * time.Second
		}
		d.offAt, d.stayOff = now.Add(delay), name == "shutdown.stayoff"
		d.arm(now)
		return nil
	case "shutdown.stop":
		d.offAt = time.Time{}
		return nil
	case driver.ShutdownDefault:
		// The host is halted already; nobody has to be told in advance.
		if d.options.loadOff == "" {
			return fmt.Errorf("load.off is not configured: %w", driver.ErrFailed)
		}
		d.stayOff = false
		return d.switchTo(ctx, false)
	}
	if d.mine(name) {
		return driver.ErrUnknown
	}
	return d.up.Perform(ctx, drvsock.Request{Name: name, Value: param, HasValue: param != ""})
}

// Set changes the clone's own settings, or passes the rest on to the real driver.
func (d *device) Set(ctx context.Context, name, value string) error {
	var set func(float64)
	switch name {
	case "ups.delay.shutdown":
		set = func(x float64) { d.options.offDelay = seconds(x) }
	case "ups.delay.start":
		set = func(x float64) { d.options.onDelay = seconds(x) }
	case ups.ChargeLowName:
		if d.options.minCharge >= 0 {
			set = func(x float64) { d.options.minCharge = x }
		}
	case ups.RuntimeLowName:
		if d.options.minRuntime >= 0 {
			set = func(x float64) { d.options.minRuntime = x }
		}
	}
	if set == nil {
		return d.up.Perform(ctx, drvsock.Request{Set: true, Name: name, Value: value, HasValue: true})
	}
	x, err := strconv.ParseFloat(value, 64)
	if err != nil || !(x >= 0 && x <= 1e6) {
		return fmt.Errorf("%q is no number from 0 on: %w", value, driver.ErrInvalid)
	}
	set(x)
	return nil
}

// Close lets go of the real driver.
func (d *device) Close() error {
	d.timer.Stop()
	return d.up.Close()
}
