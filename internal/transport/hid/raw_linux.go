package hid

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"unsafe"

	"gonut/internal/transport/usb"
)

// A Raw opens HID devices through the kernel's HID driver, by hidraw. It serves
// where usbfs is closed to us; it has fewer ways to recover.
type Raw struct {
	system usb.System
	nodes  string // the folder of the nodes
	log    *slog.Logger
}

// NewRaw returns an Opener for the hidraw devices of a system that are USB
// devices. Its Conns climb the ladder as those of USB do, as far as hidraw has it.
func NewRaw(system usb.System, log *slog.Logger) *Raw {
	return &Raw{system: system, nodes: "/dev", log: log}
}

// A rawDevice is one hidraw node and the USB device that it belongs to.
type rawDevice struct {
	node       string
	descriptor []byte
	info       Info
	usb        usb.Device
}

// List implements Opener.
func (o *Raw) List(ctx context.Context) ([]Info, error) {
	devices, err := o.devices(ctx)
	var infos []Info
	for _, d := range devices {
		infos = append(infos, d.info)
	}
	return infos, err
}

// Changed implements Opener.
func (o *Raw) Changed(ctx context.Context) <-chan struct{} {
	return NewUSB(o.system, o.log).Changed(ctx)
}

// Open implements Opener.
func (o *Raw) Open(ctx context.Context, m Matcher, t Tuning) (Conn, error) {
	return openLink(ctx, func(ctx context.Context, m Matcher) (pipe, error) { return o.find(ctx, m, t) }, m, o.log)
}

func (o *Raw) find(ctx context.Context, m Matcher, t Tuning) (pipe, error) {
	devices, err := o.devices(ctx)
	if err != nil {
		return nil, err
	}
	s := search{matcher: m, tuning: t, err: fmt.Errorf("find hidraw device: %w", ErrGone)}
	for _, d := range devices {
		if !m.Match(d.info) {
			continue
		}
		if want := t.of(d.info).Interface; want >= 0 && want != d.info.Interface {
			continue
		}
		c, err := openRaw(d.node, d.descriptor, d.info, func(ctx context.Context, index int) (string, error) { return o.text(ctx, d, index) }, t.Shared)
		if err == nil {
			return c, nil
		}
		if !s.goesOn(err) {
			break
		}
	}
	return nil, s.err
}

// devices finds the hidraw nodes of USB devices in sysfs.
func (o *Raw) devices(ctx context.Context) ([]rawDevice, error) {
	dir := filepath.Join(o.sysfs(), "class/hidraw")
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list hidraw devices: %w", err)
	}
	plugged, err := o.system.List(ctx)
	if err != nil {
		return nil, err
	}
	var ds []rawDevice
	for _, e := range entries {
		if d, ok := o.device(filepath.Join(dir, e.Name()), plugged); ok {
			ds = append(ds, d)
		}
	}
	return ds, nil
}

func (o *Raw) sysfs() string {
	if o.system.Sysfs == "" {
		return "/sys"
	}
	return o.system.Sysfs
}

// device reads one folder of the class. The link "device" leads to the HID
// device, whose parent is the interface ("3-1.2:1.0") of the USB device "3-1.2".
func (o *Raw) device(dir string, plugged []usb.Device) (rawDevice, bool) {
	hid, err := filepath.EvalSymlinks(filepath.Join(dir, "device"))
	if err != nil {
		return rawDevice{}, false
	}
	place, setting, ok := strings.Cut(filepath.Base(filepath.Dir(hid)), ":")
	_, number, dotted := strings.Cut(setting, ".")
	n, err := strconv.Atoi(number)
	if !ok || !dotted || err != nil {
		return rawDevice{}, false
	}
	descriptor, err := os.ReadFile(filepath.Join(hid, "report_descriptor"))
	if err != nil {
		return rawDevice{}, false
	}
	for _, d := range plugged {
		if d.Path == place {
			i := infoOf(d)
			i.Interface = n
			return rawDevice{filepath.Join(o.nodes, filepath.Base(dir)), descriptor, i, d}, true
		}
	}
	return rawDevice{}, false
}

// text reads a string by usbfs if that is open to us, and takes what sysfs knows if
// not.
func (o *Raw) text(ctx context.Context, d rawDevice, index int) (string, error) {
	if h, err := o.system.Open(d.usb); err == nil {
		defer h.Close()
		return usb.ReadString(ctx, h, uint8(index))
	}
	for i, text := range []string{d.usb.Manufacturer, d.usb.Name, d.usb.Serial} {
		if int(d.usb.Raw[14+i]) == index {
			return text, nil
		}
	}
	return "", fmt.Errorf("read string %d of %v: %w", index, d.info, ErrUnsupported)
}

// The numbers of the ioctls of linux/hidraw.h that x/sys/unix has no functions for.
// Their size is that of the buffer.
const rawSetFeature = 0x06

func rawGetters() map[ReportType]byte { return map[ReportType]byte{Feature: 0x07, Input: 0x0a} }

// rawIoctl moves a report and returns how many bytes the device sent.
func rawIoctl(fd uintptr, nr byte, p []byte) (int, error) {
	return usb.Ioctl(fd, usb.ReadWriteIoctl('H', nr, len(p)), unsafe.Pointer(&p[0]))
}
