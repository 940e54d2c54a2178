package usb

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A uevent is what the kernel or udevd says about one device.
type uevent struct {
	Action, DevPath, Subsystem string
}

// Where udevd's messages keep their properties, see libudev's monitor.
const (
	udevMagic   = 0xfeedcafe
	udevHeader  = 40
	ueventLimit = 16 << 10
)

// parseUevent reads a message of the kernel ("add@/devices/…", then NAME=VALUE
// words) or of udevd (a binary header, then the same words). It reports false
// for anything else.
func parseUevent(p []byte) (uevent, bool) {
	switch {
	case bytes.HasPrefix(p, []byte("libudev\x00")):
		if len(p) < udevHeader || binary.BigEndian.Uint32(p[8:]) != udevMagic {
			return uevent{}, false
		}
		offset := binary.NativeEndian.Uint32(p[16:])
		if offset < udevHeader || uint64(offset) > uint64(len(p)) {
			return uevent{}, false
		}
		p = p[offset:]
	default:
		head, rest, ok := bytes.Cut(p, []byte{0})
		if !ok || bytes.IndexByte(head, '@') <= 0 {
			return uevent{}, false
		}
		p = rest
	}
	var e uevent
	for _, word := range strings.Split(string(p), "\x00") {
		switch name, value, _ := strings.Cut(word, "="); name {
		case "ACTION":
			e.Action = value
		case "DEVPATH":
			e.DevPath = value
		case "SUBSYSTEM":
			e.Subsystem = value
		}
	}
	return e, e.Action != "" && e.Subsystem != ""
}

// concerns reports whether e may change which devices can be opened.
func (e uevent) concerns() bool {
	return e.Subsystem == "usb" || e.Subsystem == "hidraw"
}

// A Watcher tells when devices came or went. It hears the kernel and udevd by
// netlink; because neither may be heard within a container, it also looks at the
// folder of devices from time to time.
type Watcher struct {
	system System
	file   *os.File // nil where netlink is closed to us
	raw    syscall.RawConn
	last   string // the folder as it was
	buffer []byte
}

// How often a Watcher looks at the folder itself: rarely where netlink tells.
const (
	lookPeriod     = time.Second
	lookPeriodIdle = 30 * time.Second
)

// Watch starts to listen. What happens between Watch and the first Next is not
// lost.
func (s System) Watch() (*Watcher, error) {
	w := &Watcher{system: s, last: s.look(), buffer: make([]byte, ueventLimit)}
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_KOBJECT_UEVENT)
	if err != nil {
		return w, nil // the folder remains
	}
	const kernel, udevd = 1, 2
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: kernel | udevd}); err != nil {
		unix.Close(fd)
		return w, nil
	}
	w.file = os.NewFile(uintptr(fd), "uevents")
	if w.raw, err = w.file.SyscallConn(); err != nil {
		w.file.Close()
		return nil, fmt.Errorf("watch USB devices: %w", err)
	}
	return w, nil
}

// Next waits until devices came or went, or ctx ends, whose error it returns.
// Several changes may be told as one.
func (w *Watcher) Next(ctx context.Context) error {
	period := lookPeriodIdle
	if w.file == nil {
		period = lookPeriod
	}
	for ctx.Err() == nil {
		heard, err := w.hear(ctx, time.Now().Add(period))
		if err != nil {
			return fmt.Errorf("watch USB devices: %w", err)
		}
		now := w.system.look()
		if heard || now != w.last {
			w.last = now
			return nil
		}
	}
	return ctx.Err()
}

// hear waits for a message about a USB device and reports whether one came
// before the deadline.
func (w *Watcher) hear(ctx context.Context, until time.Time) (bool, error) {
	if w.file == nil {
		pause := time.NewTimer(time.Until(until))
		defer pause.Stop()
		select {
		case <-pause.C:
		case <-ctx.Done():
		}
		return false, nil
	}
	stop := context.AfterFunc(ctx, func() { w.file.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	for ctx.Err() == nil {
		w.file.SetReadDeadline(until)
		var n int
		var failed error
		err := w.raw.Read(func(fd uintptr) bool {
			n, _, failed = unix.Recvfrom(int(fd), w.buffer, 0)
			return !errors.Is(failed, unix.EAGAIN)
		})
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return false, nil
		case err != nil:
			return false, err
		case errors.Is(failed, unix.ENOBUFS): // messages were lost: one may have been for us
			return true, nil
		case failed != nil && !errors.Is(failed, unix.EINTR):
			return false, failed
		}
		if e, ok := parseUevent(w.buffer[:max(n, 0)]); ok && e.concerns() {
			return true, nil
		}
	}
	return false, nil
}

// Close ends listening.
func (w *Watcher) Close() error {
	if w.file == nil {
		return nil
	}
	return w.file.Close()
}

// look returns a text that differs when devices differ: what the kernel says of the
// folder's entries. It has their inodes, which tell a re-plugged device from the one
// that had its name before, and costs no call for each of them.
func (s System) look() string {
	dir, err := unix.Open(filepath.Join(s.sysfs(), "bus/usb/devices"), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return ""
	}
	defer unix.Close(dir)
	var all []byte
	part := make([]byte, 8192)
	for {
		n, err := unix.Getdents(dir, part)
		if err != nil || n <= 0 {
			return string(all)
		}
		all = append(all, part[:n]...)
	}
}
