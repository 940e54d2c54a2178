package hid

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"unsafe"

	"golang.org/x/sys/unix"

	"gonut/internal/transport/usb"
)

// Note is what users of the transport have to know about it on this system.
const Note = "On FreeBSD HID devices are reached through hidraw(4): load it and set\n" +
	"hw.usb.usbhid.enable=1. This was compiled and never run: please tell whether it\n" +
	"works."

// A System is the Opener of the running system. On FreeBSD it opens devices by
// hidraw(4), which is there from FreeBSD 13 with hw.usb.usbhid.enable=1. It is
// compiled and was never run.
type System struct {
	nodes string
	log   *slog.Logger
}

// NewSystem returns the Opener of the running system.
func NewSystem(log *slog.Logger) *System { return &System{nodes: "/dev/hidraw*", log: log} }

// Changed implements Opener; the system is not asked to tell.
func (s *System) Changed(context.Context) <-chan struct{} { return nil }

// List implements Opener.
func (s *System) List(context.Context) ([]Info, error) {
	nodes, err := filepath.Glob(s.nodes)
	var infos []Info
	for _, node := range nodes {
		if i, _, err := identify(node); err == nil {
			infos = append(infos, i)
		}
	}
	return infos, err
}

// Open implements Opener.
func (s *System) Open(ctx context.Context, m Matcher, t Tuning) (Conn, error) {
	return openLink(ctx, func(_ context.Context, m Matcher) (pipe, error) { return s.find(m, t) }, m, s.log)
}

func (s *System) find(m Matcher, t Tuning) (pipe, error) {
	nodes, err := filepath.Glob(s.nodes)
	if err != nil {
		return nil, err
	}
	w := search{matcher: m, tuning: t, err: fmt.Errorf("find hidraw device: %w", ErrGone)}
	for _, node := range nodes {
		info, descriptor, err := identify(node)
		if err != nil {
			w.failed(err) // whoever's device it is
			continue
		}
		if !m.Match(info) {
			continue
		}
		c, err := openRaw(node, descriptor, info, func(context.Context, int) (string, error) {
			return "", fmt.Errorf("read a string by hidraw: %w", ErrUnsupported)
		}, t.Shared)
		if err == nil {
			return c, nil
		}
		if !w.goesOn(err) {
			break
		}
	}
	return nil, w.err
}

// The structures of dev/hid/hidraw.h.
type (
	deviceInfo struct {
		product, vendor, version uint16
		_                        [34]byte
		name, place              [128]byte
		serial                   [64]byte
		release                  [8]byte
	}
	reportDescriptor struct {
		size  uint32
		value [4096]byte
	}
)

// How sys/ioccom.h packs a number, and the numbers of hidraw.
const (
	ioVoid, ioOut, ioIn = 0x20000000, 0x40000000, 0x80000000

	rawDescriptorSize = 30
	rawDescriptor     = 31
	rawSetFeature     = 35
	rawGetFeature     = 36
	rawDeviceInfo     = 112
)

func rawNumber(direction uintptr, nr byte, size uintptr) uintptr {
	return direction | size&0x1fff<<16 | 'U'<<8 | uintptr(nr)
}

func rawGetters() map[ReportType]byte { return map[ReportType]byte{Feature: rawGetFeature} }

// rawIoctl moves a report. The system does not say how many bytes the device sent.
func rawIoctl(fd uintptr, nr byte, p []byte) (int, error) {
	direction := uintptr(ioIn)
	if nr != rawSetFeature {
		direction |= ioOut
	}
	_, err := usb.Ioctl(fd, rawNumber(direction, nr, uintptr(len(p))), unsafe.Pointer(&p[0]))
	return len(p), err
}

// identify reads who a node's device is and its report descriptor.
func identify(node string) (Info, []byte, error) {
	f, err := os.OpenFile(node, os.O_RDWR, 0)
	if err != nil {
		return Info{}, nil, fmt.Errorf("open %s: %w", node, usb.Explain(err))
	}
	defer f.Close()
	var info deviceInfo
	var size int32
	var d reportDescriptor
	call := func(direction uintptr, nr byte, size uintptr, arg unsafe.Pointer) error {
		_, err := usb.Ioctl(f.Fd(), rawNumber(direction, nr, size), arg)
		return err
	}
	err = call(ioOut, rawDeviceInfo, unsafe.Sizeof(info), unsafe.Pointer(&info))
	if err == nil {
		err = call(ioOut, rawDescriptorSize, unsafe.Sizeof(size), unsafe.Pointer(&size))
	}
	if err == nil {
		d.size = uint32(min(max(int(size), 0), len(d.value)))
		err = call(ioVoid, rawDescriptor, 0, unsafe.Pointer(&d))
	}
	if err != nil {
		return Info{}, nil, fmt.Errorf("identify %s: %w", node, usb.Explain(err))
	}
	return Info{
		VendorID: info.vendor, ProductID: info.product, Release: info.version,
		Product: unix.ByteSliceToString(info.name[:]), Serial: unix.ByteSliceToString(info.serial[:]),
	}, d.value[:min(int(d.size), len(d.value))], nil
}
