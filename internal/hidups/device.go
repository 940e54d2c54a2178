// Package hidups is the heart that usbhid-ups and mge-shut share: a HID power
// device over a connection, read and commanded through a device table. It composes
// ups.status, performs shutdowns and knows the quirks that tables name; finding and
// opening the connection is the business of the drivers.
package hidups

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"gonut/internal/driver"
	"gonut/internal/hid"
	"gonut/internal/subdriver"
	transport "gonut/internal/transport/hid"
	"gonut/internal/ups"
)

// DefaultFullEvery is how often everything is read if neither the user nor the table
// says otherwise.
const DefaultFullEvery = 30 * time.Second

// Options are what ups.conf may say about a device, besides how to find it.
type Options struct {
	Status            StatusOptions
	OffDelay, OnDelay string // seconds; empty: the table's
	LowBattery        string // percent; empty: the device's
	PollOnly          bool
	InterruptOnly     bool
	InterruptSize     int // bytes; 0: as the descriptor says
	NoEventsTolerance int // waits without a report until the device counts as gone; below 0 never
	MaxReport         bool
	Explore           bool
	KeepDescriptor    bool     // disable_fix_report_desc
	Classes           []string // further classes for rows
	// FullEvery is what the user wants for pollfreq; 0: the table's, or the driver's.
	FullEvery time.Duration
}

// A Device is one open HID power device. It implements driver.Device.
type Device struct {
	conn   transport.Conn
	desc   *hid.Descriptor
	table  *subdriver.Table
	match  *subdriver.Match
	source *source
	walker *subdriver.Walker
	o      Options
	log    *slog.Logger
	memory memory

	model, serial string
	extra         map[string]string // variables of the device's own texts
	walked        time.Time         // when values were last asked for
	filled        time.Time         // when all of them were

	reports chan []byte
	broken  chan error // why the reader ended
	wake    chan struct{}
	stop    context.CancelFunc
	ended   chan struct{}
}

// New returns the device behind conn, which belongs to it from now on. match is the
// line of the table that accepted it; nil means that it has no quirks.
func New(conn transport.Conn, table *subdriver.Table, match *subdriver.Match, o Options, log *slog.Logger) (*Device, error) {
	if match == nil {
		match = &subdriver.Match{}
	}
	desc, err := hid.Parse(conn.Descriptor())
	if err != nil && (len(desc.Fields) == 0 || !errors.Is(err, hid.ErrTruncated)) {
		return nil, fmt.Errorf("device %s: %w", conn.Info(), err)
	}
	if err != nil {
		log.Warn("the report descriptor is broken; what could be read of it is used", "error", err)
	}
	d := &Device{
		conn: conn, desc: desc, table: table, match: match, o: o, log: log,
		extra: map[string]string{}, wake: make(chan struct{}, 1),
		reports: make(chan []byte, 64), broken: make(chan error, 1), ended: make(chan struct{}),
	}
	d.applyQuirks()
	d.source = newSource(conn, desc, table, log)
	d.source.interruptOnly = d.o.InterruptOnly
	d.source.maxReport = d.o.MaxReport
	if n, ok := match.Consts["skip-report"]; ok {
		d.source.skip[byte(n)] = true
	}
	close(d.ended)
	return d, nil
}

// Listen starts reading the interrupt pipe, unless the options or the table say
// that it is of no use. Close ends it.
func (d *Device) Listen() {
	if d.o.PollOnly || d.stop != nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	d.stop, d.ended = cancel, make(chan struct{})
	go func() {
		defer close(d.ended)
		d.listen(ctx)
	}()
}

// listen hands reports to Poll until ctx ends or the pipe is of no use any more.
func (d *Device) listen(ctx context.Context) {
	size := min(d.o.InterruptSize, maxInterrupt)
	if size <= 0 {
		size = 64
		for _, f := range d.desc.Fields {
			size = max(size, d.desc.Length(f.Report))
		}
	}
	buf := make([]byte, size)
	idle, failed := 0, 0
	for ctx.Err() == nil {
		n, err := d.conn.Input(ctx, buf)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil && n > 0:
			idle, failed = 0, 0
			d.hand(ctx, slices.Clone(buf[:n]))
		case err == nil, errors.Is(err, transport.ErrTimeout):
			if idle++; d.o.NoEventsTolerance >= 0 && idle > d.o.NoEventsTolerance {
				d.lose(fmt.Errorf("no report came over the interrupt pipe %d times in a row", idle))
				return
			}
		case errors.Is(err, transport.ErrGone):
			d.lose(err)
			return
		default:
			// After an overflow or a stall the transport has cleared the pipe; the next
			// report may be right.
			if !d.pause(ctx, &failed, err) {
				return
			}
		}
	}
}

// pause waits after a failed read, and gives the device up after many in a row.
func (d *Device) pause(ctx context.Context, failed *int, err error) bool {
	*failed++
	d.log.Debug("the interrupt pipe could not be read", "error", err, "times", *failed)
	if *failed >= 10 {
		d.lose(fmt.Errorf("the interrupt pipe cannot be read (the option pollonly does without it): %w", err))
		return false
	}
	t := time.NewTimer(time.Duration(*failed) * 100 * time.Millisecond)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

func (d *Device) hand(ctx context.Context, report []byte) {
	select {
	case d.reports <- report:
		d.wakeUp()
	case <-ctx.Done():
	}
}

func (d *Device) lose(err error) {
	d.broken <- err
	d.wakeUp()
}

func (d *Device) wakeUp() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// Wake implements driver.Device.
func (d *Device) Wake() <-chan struct{} { return d.wake }

// Close implements driver.Device.
func (d *Device) Close() error {
	if d.stop != nil {
		d.stop()
	}
	err := d.conn.Close()
	<-d.ended
	return err
}

// Poll implements driver.Device.
func (d *Device) Poll(ctx context.Context, depth driver.Depth, u *driver.Update) error {
	if depth == driver.Init {
		if err := d.begin(ctx, u); err != nil {
			return err
		}
	}
	pushed, err := d.drain(ctx, u)
	if err != nil {
		return err
	}
	now := time.Now()
	if every := d.fullEvery(); depth == driver.Quick && every > 0 && now.Sub(d.filled) >= every {
		depth = driver.Full
	}
	if depth != driver.Quick {
		d.filled = now
	}
	// A device that talks much is not asked each time that it did.
	if depth != driver.Quick || !pushed || now.Sub(d.walked) >= time.Second {
		if depth != driver.Init {
			if err := d.walker.Poll(ctx, depth, u); err != nil {
				return err
			}
		}
		d.walked = now
	}
	s := compose(d.walker, d.o.Status, &d.memory, now)
	if s.warn {
		d.log.Warn("the device says that it is on line and discharging: it may be calibrating, or the options onlinedischarge_onbattery or onlinedischarge_calibration are for it")
	}
	u.Status(d.walker.StatusWords()...)
	s.report(u)
	for _, a := range d.walker.Alarms() {
		u.Alarm(a)
	}
	d.reportCorrections(u)
	return nil
}

// drain applies the reports that came over the interrupt pipe, and then tells if it
// has broken down.
func (d *Device) drain(ctx context.Context, u *driver.Update) (pushed bool, err error) {
	for more := true; more; {
		select {
		case r := <-d.reports:
			d.walker.Push(d.source.pushed(ctx, r), u)
			pushed = true
		default:
			more = false
		}
	}
	select {
	case err := <-d.broken:
		d.broken <- err // whoever asks next is told the same
		return pushed, fmt.Errorf("%w: %w", driver.ErrGone, err)
	default:
		return pushed, nil
	}
}

// begin makes everything known that a device has: who it is, its variables and its
// commands.
func (d *Device) begin(ctx context.Context, u *driver.Update) error {
	classes := append(d.identify(ctx), d.o.Classes...)
	info := d.conn.Info()
	u.Set("device.type", "ups")
	u.Set("driver.version.data", d.table.Data())
	for _, v := range [...]struct{ name, value string }{
		{"ups.mfr", d.manufacturer()}, {"ups.model", d.model}, {"ups.serial", d.serial},
	} {
		if v.value != "" {
			u.Set(v.name, v.value)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(d.extra)) {
		u.Set(name, d.extra[name])
	}
	if d.o.FullEvery == 0 {
		u.Setf("driver.parameter.pollfreq", "%.0f", cmp.Or(d.fullEvery(), DefaultFullEvery).Seconds())
	}
	if info.VendorID != 0 {
		u.Setf("ups.vendorid", "%04x", info.VendorID)
		u.Setf("ups.productid", "%04x", info.ProductID)
	}
	d.walker = subdriver.NewWalker(d.table, d.source, subdriver.Options{
		Class: classes, Consts: d.match.Consts, Log: d.log, Setting: d.setting,
	})
	if err := d.walker.Poll(ctx, driver.Init, u); err != nil {
		return err
	}
	d.addCommands(u)
	d.limitCharge(ctx)
	if d.o.Explore {
		d.Explore(ctx)
	}
	return nil
}

func (d *Device) manufacturer() string {
	return cmp.Or(strings.TrimSpace(d.conn.Info().Manufacturer), d.table.Maker)
}

// setting is what the user wants settings of the table to begin with.
func (d *Device) setting(variable string) string {
	own := map[string]struct{ given, option string }{
		"ups.delay.shutdown": {d.o.OffDelay, "offdelay"},
		"ups.delay.start":    {d.o.OnDelay, "ondelay"},
	}[variable]
	if own.given != "" {
		return own.given
	}
	return d.table.Defaults[own.option]
}

// fullEvery is how often everything is to be read because the table says so; 0 if
// it does not, or the user does.
func (d *Device) fullEvery() time.Duration {
	if d.o.FullEvery > 0 {
		return 0
	}
	n, _ := strconv.Atoi(d.table.Defaults["pollfreq"])
	return time.Duration(n) * time.Second
}

// limitCharge tells the device at which charge to say that the battery is low.
func (d *Device) limitCharge(ctx context.Context) {
	now, known := d.walker.Value(ups.ChargeLowName)
	if d.o.LowBattery == "" || known && ups.Atoi(now) == ups.Atoi(d.o.LowBattery) {
		return // devices may keep it in memory that wears out
	}
	if err := d.walker.Set(ctx, ups.ChargeLowName, d.o.LowBattery); err != nil {
		d.log.Warn("the option lowbatt has no effect: the device does not take it", "error", err)
	}
}

// reportCorrections shows which values a rule of the table corrects.
func (d *Device) reportCorrections(u *driver.Update) {
	c := d.walker.Corrected()
	if len(c) == 0 {
		return
	}
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(c)) {
		parts = append(parts, name+" ("+c[name]+")")
	}
	u.Set("experimental.driver.corrected", strings.Join(parts, ", "))
}

// Set implements driver.Device.
func (d *Device) Set(ctx context.Context, name, value string) error {
	if d.walker == nil {
		return fmt.Errorf("set %s: %w: the device was not read yet", name, driver.ErrFailed)
	}
	return d.walker.Set(ctx, name, value)
}
