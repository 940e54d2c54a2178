// Package virtual plays a recording of a HID device as a USB device that a kernel
// can be connected to with package usbip, and breaks it in the ways in which real
// ones break. It is for tests.
package virtual

import (
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"sync"
	"syscall"
	"unicode/utf16"

	"gonut/internal/transport/hid"
	"gonut/test/usb/usbip"
)

// A Transfer is one class request that a host made on endpoint 0.
type Transfer struct {
	Setup usbip.Setup
	Data  []byte // what the host sent
}

// String returns the transfer as logs of USB have it: "21 09 v0315 i0000 l3: 15 14 00".
func (t Transfer) String() string {
	s := t.Setup
	return fmt.Sprintf("%02x %02x v%04x i%04x l%d: % x", s.RequestType, s.Request, s.Value, s.Index, s.Length, t.Data)
}

// A Device is a HID device with one interface and one interrupt endpoint. It
// answers as its recording says and keeps what is written to it.
type Device struct {
	rec     *hid.Recording
	strings map[byte]string
	ids     [3]byte // of manufacturer, product and serial

	mu        sync.Mutex
	features  map[byte][]byte
	transfers []Transfer
	faults    map[Pipe]*fault
	gets      int
	inputs    chan []byte
}

// A Pipe is what a fault concerns.
type Pipe int

// The pipes.
const (
	Requests  Pipe = iota // class requests on endpoint 0
	Interrupt             // the interrupt endpoint
)

type fault struct {
	left  int // how many transfers still fail
	errno syscall.Errno
	stuck bool
	until chan struct{} // for stuck: closed when it ends; never if nil
}

// Endpoint is the number of the interrupt endpoint.
const Endpoint = 1

// New returns a device that plays rec, which stays the caller's.
func New(rec *hid.Recording) *Device {
	d := &Device{rec: rec, strings: map[byte]string{}, features: map[byte][]byte{}, faults: map[Pipe]*fault{}, inputs: make(chan []byte, 64)}
	for n, s := range rec.Strings {
		d.strings[byte(n)] = s
	}
	for i, s := range []string{rec.Info.Manufacturer, rec.Info.Product, rec.Info.Serial} {
		d.ids[i] = d.index(s)
	}
	for id, p := range rec.Features {
		d.features[id] = slices.Clone(p)
	}
	return d
}

// index returns the index of a string descriptor, which it adds if the recording
// has none with this text.
func (d *Device) index(text string) byte {
	if text == "" {
		return 0
	}
	for _, i := range slices.Sorted(maps.Keys(d.strings)) {
		if d.strings[i] == text {
			return i
		}
	}
	for i := byte(1); ; i++ {
		if _, taken := d.strings[i]; !taken {
			d.strings[i] = text
			return i
		}
	}
}

// Put changes what a feature report answers; p[0] is its id.
func (d *Device) Put(p ...byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.features[p[0]] = p
}

// Feature returns what a feature report answers.
func (d *Device) Feature(id byte) []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.features[id])
}

// Push lets the device speak. It drops the report if 64 wait already.
func (d *Device) Push(p ...byte) {
	select {
	case d.inputs <- p:
	default:
	}
}

// Fail makes the next n transfers of a pipe end with an errno.
func (d *Device) Fail(p Pipe, n int, errno syscall.Errno) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.end(p)
	d.faults[p] = &fault{left: n, errno: errno}
}

// Stick makes the next n transfers of a pipe hang until Heal or until the host
// takes them back.
func (d *Device) Stick(p Pipe, n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.end(p)
	d.faults[p] = &fault{left: n, stuck: true, until: make(chan struct{})}
}

// Lose makes the next n transfers of a pipe hang until the host takes them back.
func (d *Device) Lose(p Pipe, n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.end(p)
	d.faults[p] = &fault{left: n, stuck: true}
}

// Left returns how many transfers of a pipe are still to fail.
func (d *Device) Left(p Pipe) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	if f := d.faults[p]; f != nil {
		return f.left
	}
	return 0
}

// Heal ends what Fail, Stick or Lose began; transfers that hang go on.
func (d *Device) Heal(p Pipe) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.end(p)
}

func (d *Device) end(p Pipe) {
	if f := d.faults[p]; f != nil && f.until != nil {
		close(f.until)
	}
	delete(d.faults, p)
}

// Gets returns how many reports were asked for since the device was made.
func (d *Device) Gets() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.gets
}

// Transfers returns the class requests since the last call.
func (d *Device) Transfers() []Transfer {
	d.mu.Lock()
	defer d.mu.Unlock()
	t := d.transfers
	d.transfers = nil
	return t
}

// trouble performs the fault of a pipe, if there is one.
func (d *Device) trouble(ctx context.Context, p Pipe) error {
	d.mu.Lock()
	f := d.faults[p]
	if f == nil || f.left == 0 {
		d.mu.Unlock()
		return nil
	}
	f.left--
	d.mu.Unlock()
	if !f.stuck {
		return f.errno
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-f.until:
		return nil
	}
}

// Numbers of requests, request type in the upper byte.
const (
	getStatus, getInterfaceStatus, getEndpointStatus  = 0x8000, 0x8100, 0x8200
	clearFeature, clearInterfaceFeature, clearHalt    = 0x0001, 0x0101, 0x0201
	setFeature, setConfiguration, setInterface        = 0x0003, 0x0009, 0x010b
	getDescriptor, getInterfaceDescriptor             = 0x8006, 0x8106
	getConfiguration, getInterface                    = 0x8008, 0x810a
	getReport, setReport, setIdle, setProtocol        = 0xa101, 0x2109, 0x210a, 0x210b
	deviceDescriptor, configDescriptor, strDescriptor = 1, 2, 3
	hidDescriptor, reportDescriptor                   = 0x21, 0x22
)

// Control implements usbip.Device.
func (d *Device) Control(ctx context.Context, s usbip.Setup, out []byte) ([]byte, error) {
	request := int(s.RequestType)<<8 | int(s.Request)
	if s.RequestType&0x60 == 0x20 {
		d.mu.Lock()
		d.transfers = append(d.transfers, Transfer{s, slices.Clone(out)})
		d.mu.Unlock()
		if request == getReport || request == setReport {
			if err := d.trouble(ctx, Requests); err != nil {
				return make([]byte, s.Length), err
			}
		}
	}
	switch request {
	case getDescriptor, getInterfaceDescriptor:
		return cut(d.descriptor(byte(s.Value>>8), byte(s.Value)), s)
	case getStatus, getInterfaceStatus, getEndpointStatus:
		return cut([]byte{0, 0}, s)
	case getConfiguration:
		return cut([]byte{1}, s)
	case getInterface:
		return cut([]byte{0}, s)
	case clearFeature, clearInterfaceFeature, clearHalt, setFeature, setConfiguration, setInterface, setIdle, setProtocol:
		return nil, nil
	case getReport:
		d.mu.Lock()
		defer d.mu.Unlock()
		d.gets++
		return cut(d.features[byte(s.Value)], s)
	case setReport:
		d.mu.Lock()
		defer d.mu.Unlock()
		id := byte(s.Value)
		if d.features[id] == nil || len(out) == 0 {
			return nil, syscall.EPIPE
		}
		d.features[id] = slices.Clone(out)
		return nil, nil
	}
	return nil, syscall.EPIPE
}

func cut(p []byte, s usbip.Setup) ([]byte, error) {
	if p == nil {
		return nil, syscall.EPIPE
	}
	return slices.Clone(p[:min(len(p), int(s.Length))]), nil
}

func (d *Device) descriptor(kind, index byte) []byte {
	i := d.rec.Info
	switch kind {
	case deviceDescriptor:
		le := binary.LittleEndian
		p := []byte{18, 1, 0x10, 0x01, 0, 0, 0, 8}
		p = le.AppendUint16(p, i.VendorID)
		p = le.AppendUint16(p, i.ProductID)
		p = le.AppendUint16(p, i.Release)
		return append(p, d.ids[0], d.ids[1], d.ids[2], 1)
	case configDescriptor:
		return slices.Concat(
			[]byte{9, 2, 34, 0, 1, 1, 0, 0xa0, 50},
			[]byte{9, 4, 0, 0, 1, 3, 0, 0, 0},
			d.hid(),
			[]byte{7, 5, 0x80 | Endpoint, 3, 8, 0, 10})
	case strDescriptor:
		return d.text(index)
	case hidDescriptor:
		return d.hid()
	case reportDescriptor:
		return d.rec.Descriptor
	}
	return nil
}

func (d *Device) hid() []byte {
	n := len(d.rec.Descriptor)
	return []byte{9, hidDescriptor, 0x11, 0x01, 0, 1, reportDescriptor, byte(n), byte(n >> 8)}
}

func (d *Device) text(index byte) []byte {
	if index == 0 {
		return []byte{4, strDescriptor, 0x09, 0x04}
	}
	s, ok := d.strings[index]
	if !ok {
		return nil
	}
	p := []byte{0, strDescriptor}
	for _, u := range utf16.Encode([]rune(s)) {
		p = binary.LittleEndian.AppendUint16(p, u)
	}
	p = p[:min(len(p), 254)]
	p[0] = byte(len(p))
	return p
}

// In implements usbip.Device.
func (d *Device) In(ctx context.Context, endpoint, max int) ([]byte, error) {
	if endpoint != Endpoint {
		return nil, syscall.EPIPE
	}
	if err := d.trouble(ctx, Interrupt); err != nil {
		return make([]byte, max), err
	}
	select {
	case p := <-d.inputs:
		return p, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Out implements usbip.Device.
func (d *Device) Out(context.Context, int, []byte) error { return syscall.EPIPE }
