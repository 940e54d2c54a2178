// Package usbhidups is the driver of UPSes that are USB HID power devices: the
// options, how a device is found and which table is for it. What it does with the
// device is in hidups, how bytes get there in transport/hid.
package usbhidups

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"gonut/internal/conf"
	"gonut/internal/driver"
	"gonut/internal/hidups"
	"gonut/internal/subdriver"
	transport "gonut/internal/transport/hid"
)

// Version is driver.version.internal: what the driver can do is that of C's 0.73.
const Version = "0.73"

// Driver returns the driver over the operating system's USB.
func Driver() driver.Driver {
	return With(func(log *slog.Logger) transport.Opener { return transport.NewSystem(log) })
}

// With returns the driver over another way to devices.
func With(opener func(log *slog.Logger) transport.Opener) driver.Driver {
	f := &finder{opener: opener, openers: map[string]transport.Opener{}, last: map[string]transport.Info{}}
	return driver.Driver{
		Name: "usbhid-ups", Version: Version,
		Description:      "Generic HID driver",
		Options:          Options(),
		Note:             transport.Note,
		Check:            func(v driver.Values) error { _, err := hidups.ParseOptions(v); return err },
		Open:             f.open,
		FullEvery:        hidups.DefaultFullEvery,
		Hotplug:          f.hotplug,
		ShutdownCommands: hidups.ShutdownCommands(),
	}
}

// Options are the options of ups.conf that only this driver has.
func Options() []driver.Option {
	own := []driver.Option{
		{Name: "vendorid", Help: "Regular expression to match the USB vendor id (4 hexadecimal digits)"},
		{Name: "productid", Help: "Regular expression to match the USB product id (4 hexadecimal digits)"},
		{Name: "vendor", Help: "Regular expression to match the manufacturer's name"},
		{Name: "product", Help: "Regular expression to match the product's name"},
		{Name: "serial", Help: "Regular expression to match the serial number"},
		{Name: "bus", Help: "Regular expression to match the number of the USB bus"},
		{Name: "device", Help: "Regular expression to match the number of the device on its bus"},
		{Name: "busport", Help: "Regular expression to match the number of the port on its hub"},
		{Name: "allow_duplicates", Help: "Take the next matching device if one is busy", Flag: true},
		{Name: "usb_set_altinterface", Help: "Set the alternate setting of the interface (default 0)", Optional: true},
		{Name: "usb_config_index", Help: "Number of the USB configuration"},
		{Name: "usb_hid_rep_index", Help: "Number of the HID interface"},
		{Name: "usb_hid_desc_index", Help: "Index of the HID descriptor"},
		{Name: "usb_hid_ep_in", Help: "Input endpoint (hexadecimal)"},
		{Name: "usb_hid_ep_out", Help: "Output endpoint (hexadecimal)"},
		{Name: "interruptonly", Help: "Use only the interrupt pipe", Flag: true},
		{Name: "interruptsize", Help: "Bytes to read from the interrupt pipe"},
		{Name: "interrupt_pipe_no_events_tolerance", Help: "Reads without a report until the device counts as lost (default -1: never)"},
		{Name: "maxreport", Help: "Ask for more bytes than a report has", Flag: true},
		{Name: "powercom_sdcmd_byte_order_fallback", Help: "Send delays in the order of bytes that older versions used", Flag: true},
		{Name: "powercom_sdcmd_discrete_delay", Help: "The device knows only certain delays", Flag: true},
	}
	return append(hidups.CommonOptions(), append(own,
		driver.Option{Name: "subdriver", Help: "Name or file (*.def) of the device table, instead of the one for the ids; needs vendorid and productid"},
		driver.Option{Name: "explore", Help: "Take any device and log all its fields; needs vendorid", Flag: true},
		driver.Option{Name: "waitbeforereconnect", Help: "Seconds to wait before a lost device is opened again"},
		driver.Option{Name: "winhid", Help: "Accepted for compatibility", Flag: true},
	)...)
}

// A finder opens devices, and remembers which one each ups had, so that a lost one
// is not replaced by another that happens to match.
type finder struct {
	opener func(*slog.Logger) transport.Opener

	mu      sync.Mutex                  // guards what follows; both are by name of the ups
	openers map[string]transport.Opener // they know which way to the device worked
	last    map[string]transport.Info
}

func (f *finder) hotplug(ctx context.Context, v driver.Values, log *slog.Logger) <-chan struct{} {
	return f.openerOf(v.UPS, log).Changed(ctx)
}

func (f *finder) openerOf(name string, log *slog.Logger) transport.Opener {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.openers[name] == nil {
		f.openers[name] = f.opener(log)
	}
	return f.openers[name]
}

func (f *finder) open(ctx context.Context, v driver.Values, log *slog.Logger) (driver.Device, error) {
	o, err := hidups.ParseOptions(v)
	if err != nil {
		return nil, err
	}
	s, err := newSelection(v, log)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", driver.ErrConfig, err)
	}
	m, err := transport.NewMatcher(v.Get)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", driver.ErrConfig, err)
	}
	m.Accept = s.accepts
	known, again := f.remembered(v.UPS)
	if again {
		m.Exact = &known
		if err := pause(ctx, v.Get("waitbeforereconnect")); err != nil {
			return nil, err
		}
	}
	tuning, err := tune(v)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", driver.ErrConfig, err)
	}
	tuning.Preset = s.preset
	opener := v.Tape.HID(f.openerOf(v.UPS, log))
	conn, err := opener.Open(ctx, m, tuning)
	if err != nil {
		return nil, s.explain(ctx, opener, m, err)
	}
	found, err := s.table(conn.Info())
	if err != nil {
		conn.Close()
		return nil, err
	}
	log.Info("found a device", "device", conn.Info(), "table", found.Table.Data())
	d, err := hidups.New(conn, found.Table, found.Match, o, log)
	if err != nil {
		conn.Close()
		return nil, err
	}
	d.Listen()
	f.remember(v.UPS, conn.Info())
	return d, nil
}

func (f *finder) remembered(name string) (transport.Info, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	i, ok := f.last[name]
	return i, ok
}

func (f *finder) remember(name string, i transport.Info) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last[name] = i
}

func pause(ctx context.Context, seconds string) error {
	n, err := strconv.Atoi(cmp.Or(seconds, "0"))
	if err != nil || n <= 0 {
		return nil
	}
	t := time.NewTimer(time.Duration(n) * time.Second)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait before opening the device again: %w", ctx.Err())
	}
}

// tune reads the options about the USB interface.
func tune(v driver.Values) (transport.Tuning, error) {
	t := transport.DefaultTuning()
	t.AllowDuplicates = v.Has("allow_duplicates")
	t.Shared = v.NoLock
	for _, e := range []struct {
		name string
		base int
		to   *int
	}{
		{"usb_config_index", 10, &t.Config}, {"usb_hid_rep_index", 10, &t.Interface}, {"usb_hid_desc_index", 10, &t.Descriptor},
		{"usb_hid_ep_in", 16, &t.EndpointIn}, {"usb_hid_ep_out", 16, &t.EndpointOut},
	} {
		text := v.Get(e.name)
		if text == "" {
			continue
		}
		n, err := strconv.ParseUint(strings.TrimPrefix(text, "0x"), e.base, 8)
		if err != nil {
			return t, fmt.Errorf("option %s: %q is not a number below 256", e.name, text)
		}
		*e.to = int(n)
	}
	if v.Has("usb_set_altinterface") {
		n, err := strconv.ParseUint(cmp.Or(v.Get("usb_set_altinterface"), "0"), 10, 8)
		if err != nil {
			return t, fmt.Errorf("option usb_set_altinterface: %q is not a number below 256", v.Get("usb_set_altinterface"))
		}
		t.AltInterface = int(n)
	}
	return t, nil
}

// A selection decides which table is for a device.
type selection struct {
	lib       *subdriver.Library
	forced    *subdriver.Table // by the options subdriver and explore
	productID bool             // the option productid is given
	log       *slog.Logger
}

func confPath(v driver.Values) string {
	if v.ConfPath != "" {
		return v.ConfPath
	}
	return conf.FindPaths(func(string) string { return "" }).Conf
}

func newSelection(v driver.Values, log *slog.Logger) (*selection, error) {
	s := &selection{lib: subdriver.Load("hid", subdriver.Layers(confPath(v))), productID: v.Get("productid") != "", log: log}
	for _, p := range s.lib.Problems {
		log.Warn("device table", "problem", p)
	}
	if v.Has("explore") {
		if v.Get("vendorid") == "" {
			return nil, errors.New("the option explore needs vendorid, so that it does not take a keyboard")
		}
		s.forced = s.lib.Table("explore")
		return s, nil
	}
	name := v.Get("subdriver")
	if name == "" {
		return s, nil
	}
	if v.Get("vendorid") == "" || v.Get("productid") == "" {
		return nil, errors.New("the option subdriver needs vendorid and productid")
	}
	var err error
	if strings.HasSuffix(name, ".def") {
		s.forced, err = s.file(name, subdriver.Layers(confPath(v)))
	} else {
		s.forced, err = s.named(name)
	}
	return s, err
}

// file reads a table that is in no layer.
func (s *selection) file(name string, layers []subdriver.Layer) (*subdriver.Table, error) {
	t, problems := subdriver.LoadFile("hid", name, layers)
	if len(problems) > 0 {
		return nil, fmt.Errorf("option subdriver: %w", problems[0])
	}
	return t, nil
}

// named finds a table by its name, its title or a regular expression for that.
func (s *selection) named(name string) (*subdriver.Table, error) {
	if t := s.lib.Table(name); t != nil {
		return t, nil
	}
	re, err := regexp.Compile("(?i)" + name)
	if err != nil {
		return nil, fmt.Errorf("option subdriver: %w", err)
	}
	var names []string
	for _, t := range s.lib.Tables {
		if t.Data() == name || re.MatchString(t.Data()) {
			return t, nil
		}
		names = append(names, t.Name)
	}
	return nil, fmt.Errorf("option subdriver: no table is called %q; there are %s", name, strings.Join(names, ", "))
}

func usbID(i transport.Info) string { return fmt.Sprintf("%04x:%04x", i.VendorID, i.ProductID) }

func (s *selection) accepts(i transport.Info) bool {
	_, err := s.table(i)
	return err == nil
}

// table returns the table for a device. A device of a known vendor with a product
// id that nobody has tried is taken only if the option productid asks for it.
func (s *selection) table(i transport.Info) (subdriver.Found, error) {
	if s.forced != nil {
		return subdriver.Found{Table: s.forced, Match: s.forced.MatchOf("usb", usbID(i), i.Manufacturer, i.Product)}, nil
	}
	found, refused := s.lib.Find("usb", usbID(i), i.Manufacturer, i.Product)
	switch {
	case found.Table != nil:
		return found, nil
	case refused != nil:
		return found, fmt.Errorf("%w: device %s is not for usbhid-ups: %s", driver.ErrConfig, i, refused.Reason)
	}
	if other, ok := s.lib.FindVendor(fmt.Sprintf("%04x", i.VendorID)); ok {
		if s.productID {
			s.log.Warn("nobody has tried this device; it is taken because of the option productid", "device", i, "table", other.Table.Data())
			return subdriver.Found{Table: other.Table}, nil
		}
		return found, fmt.Errorf("device %s is not in table %s; if it is a UPS, the option productid = %04x makes the driver try", i, other.Table.Name, i.ProductID)
	}
	return found, fmt.Errorf("device %s is in no table", i)
}

// preset tunes the transport by the constants of the match line, where options do
// not say otherwise.
func (s *selection) preset(i transport.Info, t transport.Tuning) transport.Tuning {
	found, err := s.table(i)
	if err != nil || found.Match == nil {
		return t
	}
	for _, e := range []struct {
		name string
		to   *int
	}{{"interface", &t.Interface}, {"ep-in", &t.EndpointIn}, {"ep-out", &t.EndpointOut}} {
		if n, ok := found.Match.Consts[e.name]; ok && *e.to < 0 {
			*e.to = int(n)
		}
	}
	if t.Descriptor < 0 && i.Release == 0x0202 && slices.Contains(found.Match.Quirks, "release-202") {
		t.Descriptor = 1
	}
	return t
}

// explain adds to "no such device" what there is instead.
func (s *selection) explain(ctx context.Context, o transport.Opener, m transport.Matcher, err error) error {
	if !errors.Is(err, transport.ErrGone) {
		return fmt.Errorf("open device: %w", err)
	}
	infos, listErr := o.List(ctx)
	if listErr != nil || len(infos) == 0 {
		return fmt.Errorf("no matching HID UPS found; no HID device is plugged in: %w", err)
	}
	m.Accept = nil
	var others []string
	for _, i := range infos {
		if !m.Match(i) {
			others = append(others, i.String())
			continue
		}
		if _, why := s.table(i); why != nil {
			return fmt.Errorf("no matching HID UPS found: %w", why)
		}
	}
	return fmt.Errorf("no matching HID UPS found; plugged in are %s: %w", strings.Join(others, ", "), err)
}
