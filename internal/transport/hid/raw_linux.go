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
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

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
	failed := fmt.Errorf("find hidraw device: %w", ErrGone)
	for _, d := range devices {
		if !m.Match(d.info) {
			continue
		}
		if t.Preset != nil {
			t = t.Preset(d.info, t)
		}
		if t.Interface >= 0 && t.Interface != d.info.Interface {
			continue
		}
		c, err := o.openDevice(d)
		if err == nil {
			return c, nil
		}
		if failed = err; !errors.Is(err, ErrGone) {
			break
		}
	}
	return nil, failed
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

// A rawConn is one open hidraw node.
type rawConn struct {
	device rawDevice
	system usb.System
	file   *os.File
	raw    syscall.RawConn
	busy   chan struct{} // one token: whose ioctl is under way
}

func (o *Raw) openDevice(d rawDevice) (*rawConn, error) {
	f, err := os.OpenFile(d.node, os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("open %v by hidraw: %w", d.info, usb.Explain(err))
	}
	raw, err := f.SyscallConn()
	if err == nil {
		err = f.SetReadDeadline(time.Time{})
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("open %v: node %s is not of hidraw: %w", d.info, d.node, err)
	}
	return &rawConn{device: d, system: o.system, file: f, raw: raw, busy: make(chan struct{}, 1)}, nil
}

// Descriptor implements pipe.
func (c *rawConn) Descriptor() []byte { return c.device.descriptor }

// Info implements pipe.
func (c *rawConn) Info() Info { return c.device.info }

// The ioctls of linux/hidraw.h that x/sys/unix has no functions for. Their size
// is that of the buffer.
const (
	hidrawSetFeature = 0x06
	hidrawGetFeature = 0x07
	hidrawGetInput   = 0x0a
)

// Get implements pipe. The kernel's own deadline is 5 s.
func (c *rawConn) Get(ctx context.Context, limit time.Duration, t ReportType, id byte, buf []byte) (int, error) {
	nr := byte(hidrawGetFeature)
	switch t {
	case Input:
		nr = hidrawGetInput
	case Output:
		return 0, fmt.Errorf("get %v report %#02x: %w", t, id, ErrUnsupported)
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	p := numbered(id, buf)
	n, err := c.control(ctx, nr, p)
	if err != nil {
		return 0, fmt.Errorf("get %v report %#02x: %w", t, id, err)
	}
	if id == 0 { // the kernel puts a number before a report that has none
		return copy(buf, p[1:max(n, 1)]), nil
	}
	return copy(buf, p[:n]), nil
}

// numbered returns a copy of p with the report's number where the kernel wants it.
func numbered(id byte, p []byte) []byte {
	if id == 0 {
		return append([]byte{0}, p...)
	}
	q := append([]byte(nil), p...)
	if len(q) > 0 {
		q[0] = id
	}
	return q
}

// Set implements pipe.
func (c *rawConn) Set(ctx context.Context, limit time.Duration, t ReportType, id byte, data []byte) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var err error
	switch t {
	case Feature:
		_, err = c.control(ctx, hidrawSetFeature, numbered(id, data))
	case Output:
		deadline, _ := ctx.Deadline()
		c.file.SetWriteDeadline(deadline)
		_, err = c.file.Write(numbered(id, data))
		err = explainRaw(err)
	default:
		err = ErrUnsupported
	}
	if err != nil {
		return fmt.Errorf("set %v report %#02x: %w", t, id, err)
	}
	return nil
}

// control performs an ioctl that waits in the kernel. If ctx ends first, the
// ioctl goes on alone, with a buffer of its own, and the next one waits for it.
func (c *rawConn) control(ctx context.Context, nr byte, p []byte) (int, error) {
	select {
	case c.busy <- struct{}{}:
	case <-ctx.Done():
		return 0, timeoutOr(ctx.Err())
	}
	type result struct {
		n   int
		err error
	}
	done := make(chan result, 1)
	own := append([]byte(nil), p...)
	go func() {
		n, err := c.ioctl(nr, own)
		<-c.busy
		done <- result{n, err}
	}()
	select {
	case r := <-done:
		copy(p, own)
		return r.n, r.err
	case <-ctx.Done():
		return 0, timeoutOr(ctx.Err())
	}
}

func (c *rawConn) ioctl(nr byte, p []byte) (int, error) {
	if len(p) == 0 {
		return 0, errors.New("no room for a report")
	}
	n, err := 0, error(nil)
	closed := c.raw.Control(func(fd uintptr) {
		n, err = usb.Ioctl(fd, usb.ReadWriteIoctl('H', nr, len(p)), unsafe.Pointer(&p[0]))
	})
	if closed != nil {
		return 0, os.ErrClosed
	}
	if err != nil {
		return 0, usb.Explain(err)
	}
	return min(n, len(p)), nil
}

// Input implements pipe.
func (c *rawConn) Input(ctx context.Context, buf []byte) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, inputTimeout)
	defer cancel()
	deadline, _ := ctx.Deadline()
	c.file.SetReadDeadline(deadline)
	stop := context.AfterFunc(ctx, func() { c.file.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	for {
		n, err := c.file.Read(buf)
		if errors.Is(err, os.ErrDeadlineExceeded) && ctx.Err() == nil {
			c.file.SetReadDeadline(deadline) // a deadline of the call before, set late
			continue
		}
		if err != nil {
			if ctx.Err() != nil {
				err = ctx.Err()
			}
			return n, fmt.Errorf("read %s: %w", c.device.node, explainRaw(err))
		}
		return n, nil
	}
}

// explainRaw is usb.Explain for reads and writes: hidraw says EIO when the device
// is gone.
func explainRaw(err error) error {
	if errors.Is(err, unix.EIO) {
		return fmt.Errorf("%w (%w)", ErrGone, err)
	}
	if err == nil {
		return nil
	}
	return usb.Explain(timeoutOr(err))
}

// String implements pipe. hidraw has no strings; it asks by usbfs if that is open
// to us, and takes what sysfs knows if not.
func (c *rawConn) String(ctx context.Context, limit time.Duration, index int) (string, error) {
	if index <= 0 || index > 255 {
		return "", fmt.Errorf("read string %d: index out of range", index)
	}
	if h, err := c.system.Open(c.device.usb); err == nil {
		defer h.Close()
		ctx, cancel := context.WithTimeout(ctx, limit)
		defer cancel()
		return usb.ReadString(ctx, h, uint8(index))
	}
	d := c.device.usb
	for i, text := range []string{d.Manufacturer, d.Name, d.Serial} {
		if int(d.Raw[14+i]) == index {
			return text, nil
		}
	}
	return "", fmt.Errorf("read string %d of %v: %w", index, c.device.info, ErrUnsupported)
}

// ClearHalt implements pipe: the kernel does it itself.
func (c *rawConn) ClearHalt() error { return fmt.Errorf("clear halt by hidraw: %w", ErrUnsupported) }

// Reset implements pipe: hidraw cannot.
func (c *rawConn) Reset() error { return fmt.Errorf("reset by hidraw: %w", ErrUnsupported) }

// Abandon implements pipe.
func (c *rawConn) Abandon() { c.file.Close() }

// Close implements pipe.
func (c *rawConn) Close() error { return c.file.Close() }
