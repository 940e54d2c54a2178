// Package usb finds USB devices and moves transfers to and from them, without
// libusb and without cgo. On Linux it reads sysfs and speaks usbfs ioctls; on
// other systems every call says that USB is not supported there yet (compiled,
// untested: HID devices of Windows are reached by package hid).
//
// It knows descriptors and endpoints, not reports and not devices of any maker;
// isochronous transfers are not implemented.
package usb

import (
	"errors"
	"fmt"
	"time"
)

// What a transfer or an attempt to open may end with. Errors of this package
// wrap these, so that a caller can decide by errors.Is; every other error is an
// I/O error that concerns the one transfer.
var (
	// ErrGone means that the device was unplugged or renumbered; its Handle is useless.
	ErrGone = errors.New("no such device")
	// ErrStall means that the device refused the request or halted the endpoint.
	ErrStall = errors.New("request stalled")
	// ErrTimeout means that the transfer did not end before its deadline.
	ErrTimeout = errors.New("transfer timed out")
	// ErrPermission means that the operating system does not let us.
	ErrPermission = errors.New("permission denied")
	// ErrBusy means that another program holds the interface.
	ErrBusy = errors.New("device is busy")
	// ErrOverflow means that the device sent more than was asked for.
	ErrOverflow = errors.New("transfer overflow")
	// ErrUnsupported means that this operating system or kernel cannot do it.
	ErrUnsupported = errors.New("not supported on this system yet")
)

// ControlTimeout is how long C's drivers allow a control transfer to take.
const ControlTimeout = 5 * time.Second

// A Device is what enumeration tells about a device that is plugged in. It was
// not opened for that.
type Device struct {
	// Path is the system's name of the place where it is plugged in. On Linux
	// it is that of sysfs, "3-1.2": bus 3, port 1, port 2 of the hub there.
	Path        string
	Bus, Number int // the bus and the device's number on it; re-plugging changes the number
	// Port is the number of the port on the hub where the device is plugged in, 0
	// for a root hub.
	Port                       int
	Vendor, Product, Release   uint16
	Class                      uint8
	Manufacturer, Name, Serial string // string descriptors; empty if there is none
	// Configuration is the active one's bConfigurationValue, 0 if there is none.
	Configuration uint8
	// Raw holds the device descriptor and all configurations as the device sent
	// them; Configurations is what they say.
	Raw            []byte
	Configurations []Configuration
}

// String returns "vvvv:pppp at bus/number (name)" for logs.
func (d Device) String() string {
	s := fmt.Sprintf("%04x:%04x at %03d/%03d", d.Vendor, d.Product, d.Bus, d.Number)
	if d.Name != "" {
		s += " (" + d.Name + ")"
	}
	return s
}

// A Setup is the eight byte packet that begins a control transfer; the length is
// that of the data.
type Setup struct {
	RequestType, Request uint8
	Value, Index         uint16
}

// A Request is one of several control transfers.
type Request struct {
	Setup
	Data []byte // what is sent, or room for what comes
	N    int    // how many bytes were moved
}

// Bits of Setup.RequestType.
const (
	In        = 0x80 // device to host
	Class     = 0x20
	Vendor    = 0x40
	Interface = 0x01 // the recipient is an interface
	Endpoint  = 0x02
)

// Standard requests and types of descriptors that drivers use.
const (
	GetDescriptor = 0x06

	DescriptorDevice        = 0x01
	DescriptorConfiguration = 0x02
	DescriptorString        = 0x03
	DescriptorInterface     = 0x04
	DescriptorEndpoint      = 0x05
	DescriptorHID           = 0x21
	DescriptorReport        = 0x22
)

// String returns the packet as usbmon and libusb's log print it: "a1 01 v0301 i0000".
func (s Setup) String() string {
	return fmt.Sprintf("%02x %02x v%04x i%04x", s.RequestType, s.Request, s.Value, s.Index)
}
