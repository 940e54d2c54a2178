// Package hid is the seam to USB HID devices: reports and strings in, reports
// out. Every operating system has its own way behind Conn and Opener; Fake is a
// device in memory for tests. It knows how to find a device and move bytes; what
// the bytes mean is the business of internal/hid.
package hid

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"gonut/internal/transport/usb"
)

// A ReportType says which of its three kinds a report is, with the numbers that
// the HID class gives them in wValue of a control transfer.
type ReportType uint8

// The types of reports.
const (
	Input   ReportType = 1
	Output  ReportType = 2
	Feature ReportType = 3
)

// String returns the type's name in lower case.
func (t ReportType) String() string {
	switch t {
	case Input:
		return "input"
	case Output:
		return "output"
	case Feature:
		return "feature"
	}
	return fmt.Sprintf("report type %d", uint8(t))
}

// What a transfer may end with. Errors of a Conn and an Opener wrap these, so
// that a driver can decide by errors.Is; every other error is an I/O error that
// concerns the one transfer.
var (
	// ErrGone means that the device was unplugged or renumbered: the Conn is
	// useless and has to be opened again. An Opener returns it when no device
	// matches.
	ErrGone = usb.ErrGone
	// ErrStall means that the device refused the request (EPIPE): it does not
	// know the report, or not in this direction.
	ErrStall = usb.ErrStall
	// ErrTimeout means that the device did not answer in time. For Input it is
	// the normal case: nothing happened.
	ErrTimeout = usb.ErrTimeout
	// ErrPermission means that the operating system does not let us.
	ErrPermission = usb.ErrPermission
	// ErrBusy means that another program holds the device.
	ErrBusy = usb.ErrBusy
	// ErrOverflow means that the device sent more than was asked for.
	ErrOverflow = usb.ErrOverflow
	// ErrUnsupported means that this system or this way to the device cannot do it.
	ErrUnsupported = usb.ErrUnsupported
)

// A Conn is one open HID interface of a device. Get, Set and String may be
// called from one goroutine while another one waits in Input. Every call ends at
// the latest when its context does, or earlier by the transport's own deadline.
type Conn interface {
	// Descriptor returns the report descriptor as the device sent it. The
	// caller must not change it.
	Descriptor() []byte
	// Info returns what enumeration told about the device.
	Info() Info
	// Get reads a report by a control transfer into buf, whose length is the
	// length asked for. Byte 0 of the result is the report id if id is not 0.
	// It returns how many bytes the device sent.
	Get(ctx context.Context, t ReportType, id byte, buf []byte) (int, error)
	// Set writes a report. Byte 0 of data is the report id if id is not 0.
	Set(ctx context.Context, t ReportType, id byte, data []byte) error
	// Input waits for a report on the interrupt pipe. ErrTimeout says that
	// none came.
	Input(ctx context.Context, buf []byte) (int, error)
	// String reads string descriptor index as text.
	String(ctx context.Context, index int) (string, error)
	// Close gives the interface back and ends a waiting Input.
	Close() error
}

// A Get is one of several reports that are asked for.
type Get struct {
	Type ReportType
	ID   byte
	Buf  []byte
	N    int // how many bytes the device sent
}

// GetAll asks a Conn for reports, one after the other, if that can do it with less
// effort than by as many calls of its Get. It returns how many answers came, in order;
// the rest is left to Get.
func GetAll(ctx context.Context, c Conn, gs []Get) int {
	if b, ok := c.(interface {
		GetAll(context.Context, []Get) int
	}); ok {
		return b.GetAll(ctx, gs)
	}
	return 0
}

// An Info is what enumeration tells about a device, before anything is asked of
// its HID interface.
type Info struct {
	VendorID, ProductID uint16
	Release             uint16 // bcdDevice
	Manufacturer        string // the three string descriptors; empty if there is none
	Product             string
	Serial              string
	Bus, Device         string // three decimal digits each, as libusb prints them: "001", "004"
	BusPort             string // the number of the port on its hub, "003"; empty if unknown
	Interface           int    // number of the HID interface
}

// String returns "vvvv:pppp bus/device product" for logs.
func (i Info) String() string {
	s := fmt.Sprintf("%04x:%04x", i.VendorID, i.ProductID)
	if i.Bus != "" {
		s += " at " + i.Bus + "/" + i.Device
	}
	if i.Product != "" {
		s += " (" + i.Product + ")"
	}
	return s
}

// An Opener finds devices and opens them.
type Opener interface {
	// Open opens the first device that m accepts. Its error wraps ErrGone if
	// there is none, ErrPermission or ErrBusy if there is one that cannot be
	// used.
	Open(ctx context.Context, m Matcher, t Tuning) (Conn, error)
	// List returns the HID devices that are plugged in, without opening them
	// for use. Strings that cannot be read are empty.
	List(ctx context.Context) ([]Info, error)
	// Changed receives when devices came or went, as far as the operating
	// system tells; it ends, closing the channel, with ctx. A nil channel means
	// that it does not tell.
	Changed(ctx context.Context) <-chan struct{}
}

// A Tuning is what a device needs to be opened in an unusual way. Negative
// numbers mean the transport's default.
type Tuning struct {
	Config          int // option usb_config_index
	Interface       int // option usb_hid_rep_index
	Descriptor      int // option usb_hid_desc_index
	EndpointIn      int // option usb_hid_ep_in
	EndpointOut     int // option usb_hid_ep_out
	AltInterface    int // option usb_set_altinterface
	AllowDuplicates bool
	Shared          bool // take no lock, as when the power has to be cut although a driver hangs
	// Preset lets a driver tune by what enumeration told; it is called, if it
	// is not nil, before the interface is claimed and returns the tuning to use.
	Preset func(Info, Tuning) Tuning
}

// of returns the tuning for one device.
func (t Tuning) of(i Info) Tuning {
	if t.Preset == nil {
		return t
	}
	return t.Preset(i, t)
}

// DefaultTuning leaves everything to the transport.
func DefaultTuning() Tuning {
	return Tuning{Config: -1, Interface: -1, Descriptor: -1, EndpointIn: -1, EndpointOut: -1, AltInterface: -1}
}

// A search goes through the devices that match, until one can be used.
type search struct {
	matcher Matcher
	tuning  Tuning
	err     error // why none could be used so far
}

// goesOn takes note of why a device cannot be used, and reports whether the next one
// that matches may be taken instead. One that we may not open is passed over, but not
// when a lost device is looked for: its twin without a serial number looks like it. One
// that is in use is passed over only if the user says that they are all alike to him;
// else two drivers that were meant for one device each would take whichever is free.
func (s *search) goesOn(err error) bool {
	s.failed(err)
	switch {
	case errors.Is(err, ErrGone):
		return true
	case errors.Is(err, ErrPermission):
		return s.matcher.Exact == nil
	}
	return errors.Is(err, ErrBusy) && s.tuning.AllowDuplicates
}

// failed takes note of why a device cannot be used. That one went away meanwhile is
// worth telling only if nothing else is.
func (s *search) failed(err error) {
	switch {
	case errors.Is(s.err, ErrGone):
		s.err = err
	case !errors.Is(err, ErrGone):
		s.err = fmt.Errorf("%w; %w", s.err, err)
	}
}

// A Matcher says which device is meant. The zero Matcher accepts all.
type Matcher struct {
	// Regular expressions by option name: vendorid, productid (both against
	// four hexadecimal digits), vendor, product, serial, bus, device, busport.
	exprs []expr
	// Accept, if not nil, has to agree as well: a driver knows which devices
	// it can handle.
	Accept func(Info) bool
	// Exact, if not nil, accepts only this very device again: ids and the
	// three strings have to be equal, bus and device need not.
	Exact *Info
}

type expr struct {
	name string
	re   *regexp.Regexp
}

// MatchOptions are the options that NewMatcher understands, in C's order.
func MatchOptions() []string {
	return []string{"vendorid", "productid", "vendor", "product", "serial", "bus", "device", "busport"}
}

// NewMatcher makes a Matcher of options as ups.conf has them. Values are
// regular expressions in which case does not matter and which have to match all of
// the text, as in C's drivers; an empty one accepts all.
func NewMatcher(get func(option string) string) (Matcher, error) {
	var m Matcher
	for _, name := range MatchOptions() {
		text := get(name)
		if text == "" {
			continue
		}
		if _, err := regexp.Compile(text); err != nil {
			return Matcher{}, fmt.Errorf("option %s: %w", name, err)
		}
		re, err := regexp.Compile("(?i)^(?:" + text + ")$")
		if err != nil {
			return Matcher{}, fmt.Errorf("option %s: %w", name, err)
		}
		m.exprs = append(m.exprs, expr{name, re})
	}
	return m, nil
}

// Match reports whether i is the device that m means.
func (m Matcher) Match(i Info) bool {
	for _, e := range m.exprs {
		if !e.re.MatchString(strings.TrimSpace(i.field(e.name))) {
			return false
		}
	}
	if m.Exact != nil && !m.Exact.Same(i) {
		return false
	}
	return m.Accept == nil || m.Accept(i)
}

// Same reports whether two enumerations show the same device: equal ids and
// strings, wherever it is plugged in.
func (i Info) Same(o Info) bool {
	return i.VendorID == o.VendorID && i.ProductID == o.ProductID &&
		i.Manufacturer == o.Manufacturer && i.Product == o.Product && i.Serial == o.Serial
}

func (i Info) field(option string) string {
	switch option {
	case "vendorid":
		return fmt.Sprintf("%04x", i.VendorID)
	case "productid":
		return fmt.Sprintf("%04x", i.ProductID)
	case "vendor":
		return i.Manufacturer
	case "product":
		return i.Product
	case "serial":
		return i.Serial
	case "bus":
		return i.Bus
	case "device":
		return i.Device
	}
	return i.BusPort
}
