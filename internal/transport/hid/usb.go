package hid

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"gonut/internal/transport/usb"
)

// Class requests of HID.
const (
	requestGetReport = 0x01
	requestSetReport = 0x09
)

// Deadlines of transfers.
const (
	// readTimeout is that of the first attempt to read a report, retryTimeout
	// that of the second: together as long as C's drivers wait for one attempt,
	// but a lost transfer is noticed earlier.
	readTimeout  = time.Second
	retryTimeout = 4 * time.Second
	// writeTimeout is that of the only attempt to write.
	writeTimeout = usb.ControlTimeout
	// inputTimeout is how long Input waits for a report.
	inputTimeout = 30 * time.Second
)

// A USB opens HID devices by transfers of its own: it takes the interface away
// from the kernel's HID driver while it is open.
type USB struct {
	system usb.System
	log    *slog.Logger
}

// NewUSB returns an Opener for the USB devices of a system. Its Conns climb the
// ladder when transfers fail, see link.
func NewUSB(system usb.System, log *slog.Logger) *USB { return &USB{system, log} }

// List implements Opener.
func (o *USB) List(ctx context.Context) ([]Info, error) {
	devices, err := o.system.List(ctx)
	var infos []Info
	for _, d := range devices {
		if d.HasClass(usb.ClassHID) {
			infos = append(infos, infoOf(d))
		}
	}
	return infos, err
}

// Changed implements Opener.
func (o *USB) Changed(ctx context.Context) <-chan struct{} {
	w, err := o.system.Watch()
	if err != nil {
		return nil
	}
	changed := make(chan struct{}, 1)
	go func() {
		defer close(changed)
		defer w.Close()
		for w.Next(ctx) == nil {
			select {
			case changed <- struct{}{}:
			default: // the one before was not taken yet
			}
		}
	}()
	return changed
}

// Open implements Opener.
func (o *USB) Open(ctx context.Context, m Matcher, t Tuning) (Conn, error) {
	return openLink(ctx, func(ctx context.Context, m Matcher) (pipe, error) { return o.find(ctx, m, t) }, m, o.log)
}

// find opens the first device that m accepts and that can be used.
func (o *USB) find(ctx context.Context, m Matcher, t Tuning) (pipe, error) {
	devices, err := o.system.List(ctx)
	if err != nil {
		return nil, err
	}
	s := search{matcher: m, tuning: t, err: fmt.Errorf("find USB HID device: %w", ErrGone)}
	for _, d := range devices {
		if !d.HasClass(usb.ClassHID) || !m.Match(infoOf(d)) {
			continue
		}
		c, err := o.openDevice(ctx, d, t)
		if err == nil {
			return c, nil
		}
		if !s.goesOn(err) {
			break
		}
	}
	return nil, s.err
}

// openDevice opens one device: claims its interface and reads the report
// descriptor.
func (o *USB) openDevice(ctx context.Context, d usb.Device, t Tuning) (*usbConn, error) {
	info := infoOf(d)
	t = t.of(info)
	setting, err := chooseInterface(d, t)
	if err != nil {
		return nil, fmt.Errorf("open %v: %w", info, err)
	}
	info.Interface = int(setting.Number)
	h, err := o.system.Open(d)
	if err != nil {
		return nil, err
	}
	c := &usbConn{handle: h, info: info, endpoint: inputEndpoint(setting, t)}
	if err := c.prepare(ctx, setting, t); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// infoOf says what enumeration told. The interface is the one that an unusual
// tuning does not change.
func infoOf(d usb.Device) Info {
	i := Info{
		VendorID: d.Vendor, ProductID: d.Product, Release: d.Release,
		Manufacturer: d.Manufacturer, Product: d.Name, Serial: d.Serial,
		Bus: fmt.Sprintf("%03d", d.Bus), Device: fmt.Sprintf("%03d", d.Number),
	}
	if d.Port > 0 {
		i.BusPort = fmt.Sprintf("%03d", d.Port)
	}
	if s, err := chooseInterface(d, DefaultTuning()); err == nil {
		i.Interface = int(s.Number)
	}
	return i
}

// chooseInterface returns the HID interface to use: the one that was asked for,
// or interface 0, as C's drivers do, or the first that is HID if that is not.
func chooseInterface(d usb.Device, t Tuning) (usb.InterfaceSetting, error) {
	c := d.Active()
	if t.Config >= 0 {
		if t.Config >= len(d.Configurations) {
			return usb.InterfaceSetting{}, fmt.Errorf("usb_config_index %d: the device has %d configurations", t.Config, len(d.Configurations))
		}
		c = d.Configurations[t.Config]
	}
	alternate := uint8(max(t.AltInterface, 0))
	var found *usb.InterfaceSetting
	for i, s := range c.Interfaces {
		if t.Interface >= 0 {
			if int(s.Number) == t.Interface && (found == nil || s.Alternate == alternate) {
				found = &c.Interfaces[i]
			}
			continue
		}
		if s.Class == usb.ClassHID && (found == nil || s.Number == found.Number && s.Alternate == alternate) {
			found = &c.Interfaces[i]
		}
	}
	switch {
	case found != nil:
		return *found, nil
	case t.Interface >= 0:
		return usb.InterfaceSetting{}, fmt.Errorf("usb_hid_rep_index %d: the device has no such interface", t.Interface)
	}
	return usb.InterfaceSetting{}, errors.New("the device has no HID interface")
}

// inputEndpoint returns the address of the interrupt endpoint that sends, 0 if
// there is none.
func inputEndpoint(s usb.InterfaceSetting, t Tuning) uint8 {
	if t.EndpointIn >= 0 {
		return uint8(t.EndpointIn) | usb.In
	}
	for _, e := range s.Endpoints {
		if e.In() && e.Type == usb.Interrupt {
			return e.Address
		}
	}
	return 0
}

// A usbConn is one HID interface, by transfers. It does not repeat anything.
type usbConn struct {
	handle     *usb.Handle
	info       Info
	descriptor []byte
	endpoint   uint8 // of input reports, 0 if none
}

func (c *usbConn) prepare(ctx context.Context, s usb.InterfaceSetting, t Tuning) error {
	if err := c.handle.Claim(s.Number); err != nil {
		return err
	}
	if t.AltInterface >= 0 {
		if err := c.handle.SetInterface(s.Number, uint8(t.AltInterface)); err != nil {
			return err
		}
	}
	var err error
	c.descriptor, err = readDescriptor(ctx, c.handle, s, t)
	if err != nil {
		return fmt.Errorf("open %v: %w", c.info, err)
	}
	return nil
}

// readDescriptor reads the report descriptor. Its length is told twice: within
// the configuration, which is right more often, and by a request of its own,
// which is right for Eaton's release 2.02 and whoever chose the descriptor.
func readDescriptor(ctx context.Context, c usb.Controller, s usb.InterfaceSetting, t Tuning) ([]byte, error) {
	index := uint16(max(t.Descriptor, 0))
	// As in a link's read, a lost transfer is noticed early.
	ask := func(s usb.Setup, p []byte) (n int, err error) {
		for _, limit := range []time.Duration{readTimeout, retryTimeout} {
			n, err = c.Control(ctx, limit, s, p)
			if err == nil || errors.Is(err, ErrStall) || errors.Is(err, ErrGone) || ctx.Err() != nil {
				break
			}
		}
		return n, err
	}
	asked := func() int {
		var p [9]byte
		n, err := ask(usb.Setup{RequestType: usb.In | usb.Interface, Request: usb.GetDescriptor,
			Value: usb.DescriptorHID<<8 | index, Index: uint16(s.Number)}, p[:])
		if err != nil {
			return 0
		}
		return usb.HIDReportLength(p[:n])
	}
	told := func() int {
		if l := s.ReportLengths(); len(l) > 0 {
			return l[0]
		}
		return 0
	}
	ways := []func() int{told, asked}
	if index > 0 {
		ways = []func() int{asked, told}
	}
	failed := errors.New("neither the configuration nor the HID descriptor tells its length")
	for _, length := range ways {
		n := length()
		if n <= 0 {
			continue
		}
		p := make([]byte, n)
		n, err := ask(usb.Setup{RequestType: usb.In | usb.Interface, Request: usb.GetDescriptor,
			Value: usb.DescriptorReport<<8 | index, Index: uint16(s.Number)}, p)
		if err == nil && n > 0 {
			return p[:n], nil // a short one may do
		}
		if err != nil {
			failed = err
		} else {
			failed = errors.New("it is empty")
		}
	}
	return nil, fmt.Errorf("read report descriptor: %w", failed)
}

// Descriptor implements pipe.
func (c *usbConn) Descriptor() []byte { return c.descriptor }

// Info implements pipe.
func (c *usbConn) Info() Info { return c.info }

// Get implements pipe.
func (c *usbConn) Get(ctx context.Context, limit time.Duration, t ReportType, id byte, buf []byte) (int, error) {
	return c.handle.Control(ctx, limit, c.getReport(t, id), buf)
}

func (c *usbConn) getReport(t ReportType, id byte) usb.Setup {
	return usb.Setup{RequestType: usb.In | usb.Class | usb.Interface, Request: requestGetReport,
		Value: uint16(t)<<8 | uint16(id), Index: uint16(c.info.Interface)}
}

// GetAll implements batcher.
func (c *usbConn) GetAll(ctx context.Context, limit time.Duration, gs []Get) (int, error) {
	rs := make([]usb.Request, len(gs))
	for i, g := range gs {
		rs[i] = usb.Request{Setup: c.getReport(g.Type, g.ID), Data: g.Buf}
	}
	n, err := c.handle.Controls(ctx, limit, rs)
	for i := range n {
		gs[i].N = rs[i].N
	}
	return n, err
}

// Set implements pipe.
func (c *usbConn) Set(ctx context.Context, limit time.Duration, t ReportType, id byte, data []byte) error {
	_, err := c.handle.Control(ctx, limit, usb.Setup{RequestType: usb.Class | usb.Interface, Request: requestSetReport,
		Value: uint16(t)<<8 | uint16(id), Index: uint16(c.info.Interface)}, data)
	return err
}

// Input implements pipe. A device without an interrupt endpoint never speaks.
func (c *usbConn) Input(ctx context.Context, buf []byte) (int, error) {
	if c.endpoint == 0 {
		ctx, cancel := context.WithTimeout(ctx, inputTimeout)
		defer cancel()
		<-ctx.Done()
		return 0, timeoutOr(ctx.Err())
	}
	return c.handle.Interrupt(ctx, inputTimeout, c.endpoint, buf)
}

// timeoutOr gives an ended context the meaning it has for a transfer.
func timeoutOr(err error) error {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) {
		return ErrTimeout
	}
	return err
}

// String implements pipe.
func (c *usbConn) String(ctx context.Context, limit time.Duration, index int) (string, error) {
	if index < 0 || index > 255 {
		return "", fmt.Errorf("read string %d: index out of range", index)
	}
	ctx, cancel := context.WithTimeout(ctx, limit) // it takes several transfers
	defer cancel()
	return usb.ReadString(ctx, c.handle, uint8(index))
}

// ClearHalt implements pipe.
func (c *usbConn) ClearHalt() error {
	if c.endpoint == 0 {
		return fmt.Errorf("clear halt: %w", ErrUnsupported)
	}
	return c.handle.ClearHalt(c.endpoint)
}

// Reset implements pipe.
func (c *usbConn) Reset() error { return c.handle.Reset() }

// Abandon implements pipe.
func (c *usbConn) Abandon() { c.handle.Close() }

// Close implements pipe. The kernel's driver gets the interface back.
func (c *usbConn) Close() error {
	err := c.handle.Release(uint8(c.info.Interface))
	if errors.Is(err, ErrGone) {
		err = nil
	}
	return errors.Join(err, c.handle.Close())
}
