package usb

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"unicode/utf16"
)

// A Configuration is one configuration descriptor with what belongs to it.
type Configuration struct {
	Value      uint8 // bConfigurationValue
	Interfaces []InterfaceSetting
}

// An InterfaceSetting is one alternate setting of an interface.
type InterfaceSetting struct {
	Number, Alternate         uint8
	Class, Subclass, Protocol uint8
	// Extra holds the descriptors between the interface's own and its first
	// endpoint, where the HID descriptor is.
	Extra     []byte
	Endpoints []EndpointInfo
}

// An EndpointInfo is one endpoint descriptor.
type EndpointInfo struct {
	Address   uint8 // bit 7 set: IN
	Type      uint8 // 0 control, 1 isochronous, 2 bulk, 3 interrupt
	MaxPacket uint16
	Interval  uint8
}

// Types of endpoints.
const (
	Bulk      = 2
	Interrupt = 3
)

// ClassHID is the class code of HID interfaces.
const ClassHID = 3

// ClassHub is the class code of hubs.
const ClassHub = 9

// In reports whether the endpoint sends to the host.
func (e EndpointInfo) In() bool { return e.Address&0x80 != 0 }

// ParseDescriptors reads a device descriptor followed by configuration
// descriptors, as sysfs keeps them, into d's ids and configurations. What is
// broken within a configuration is passed over: devices are known to lie there,
// and the rest may be all that is needed.
func (d *Device) ParseDescriptors(raw []byte) error {
	if len(raw) < 18 || raw[0] < 18 || raw[1] != DescriptorDevice {
		return errors.New("parse device descriptor: too short or of another type")
	}
	le := binary.LittleEndian
	d.Class = raw[4]
	d.Vendor, d.Product, d.Release = le.Uint16(raw[8:]), le.Uint16(raw[10:]), le.Uint16(raw[12:])
	d.Raw = raw
	d.Configurations = nil
	for p := raw[min(int(raw[0]), len(raw)):]; len(p) >= 9 && p[1] == DescriptorConfiguration; {
		n := min(int(le.Uint16(p[2:])), len(p))
		if n < 9 {
			return fmt.Errorf("parse configuration descriptor: total length %d", n)
		}
		d.Configurations = append(d.Configurations, parseConfiguration(p[:n]))
		p = p[n:]
	}
	return nil
}

func parseConfiguration(p []byte) Configuration {
	c := Configuration{Value: p[5]}
	for p = p[min(max(int(p[0]), 9), len(p)):]; len(p) >= 2; p = p[p[0]:] {
		if p[0] < 2 || int(p[0]) > len(p) {
			break
		}
		one := p[:p[0]]
		last := len(c.Interfaces) - 1
		switch {
		case one[1] == DescriptorInterface && len(one) >= 9:
			c.Interfaces = append(c.Interfaces, InterfaceSetting{
				Number: one[2], Alternate: one[3], Class: one[5], Subclass: one[6], Protocol: one[7]})
		case last < 0:
		case one[1] == DescriptorEndpoint && len(one) >= 7:
			c.Interfaces[last].Endpoints = append(c.Interfaces[last].Endpoints, EndpointInfo{
				Address: one[2], Type: one[3] & 3, MaxPacket: binary.LittleEndian.Uint16(one[4:]) & 0x7ff, Interval: one[6]})
		default:
			c.Interfaces[last].Extra = append(c.Interfaces[last].Extra, one...)
		}
	}
	return c
}

// Active returns the configuration that is in use, or the first one. It is empty
// if the device has none.
func (d Device) Active() Configuration {
	for _, c := range d.Configurations {
		if c.Value == d.Configuration {
			return c
		}
	}
	if len(d.Configurations) > 0 {
		return d.Configurations[0]
	}
	return Configuration{}
}

// HasClass reports whether the device or one of its interfaces is of a class.
func (d Device) HasClass(class uint8) bool {
	if d.Class == class {
		return true
	}
	for _, i := range d.Active().Interfaces {
		if i.Class == class {
			return true
		}
	}
	return false
}

// ReportLengths returns the lengths of the report descriptors that an
// interface's HID descriptor announces, in its order.
func (i InterfaceSetting) ReportLengths() []int {
	for p := i.Extra; len(p) >= 9; p = p[p[0]:] {
		if p[0] < 2 || int(p[0]) > len(p) {
			break
		}
		if p[1] == DescriptorHID {
			return hidReportLengths(p[:p[0]])
		}
	}
	return nil
}

// HIDReportLength returns the length of the first report descriptor that a HID
// descriptor announces, 0 if p is none.
func HIDReportLength(p []byte) int {
	if len(p) < 9 || p[1] != DescriptorHID {
		return 0
	}
	return int(binary.LittleEndian.Uint16(p[7:]))
}

func hidReportLengths(p []byte) []int {
	var ls []int
	for q := p[min(6, len(p)):]; len(q) >= 3; q = q[3:] {
		if q[0] == DescriptorReport {
			ls = append(ls, int(binary.LittleEndian.Uint16(q[1:])))
		}
	}
	return ls
}

// decodeString turns a string descriptor into text. Characters beyond Latin-1
// become '?', as in C's drivers, so that the same device has the same name here
// and there; Latin-1 itself becomes UTF-8.
func decodeString(p []byte) (string, error) {
	if len(p) < 2 || p[1] != DescriptorString || p[0] < 2 {
		return "", errors.New("parse string descriptor: too short or of another type")
	}
	p = p[2:min(int(p[0]), len(p))]
	var u []uint16
	for ; len(p) >= 2; p = p[2:] {
		c := binary.LittleEndian.Uint16(p)
		if c == 0 {
			break
		}
		if c > 0xff {
			c = '?'
		}
		u = append(u, c)
	}
	return string(utf16.Decode(u)), nil
}

// plainText does to text from the system what decodeString does to text from
// the device, so that both are equal.
func plainText(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case r > 0xffff: // a pair of surrogates on the wire
			b.WriteString("??")
		case r > 0xff:
			b.WriteByte('?')
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}
