// Package usb_test holds the tests of the USB transports and drivers on a real
// kernel. They run in the virtual machine that run.sh starts and are skipped
// elsewhere.
package usb_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gonut/internal/transport/hid"
	"gonut/internal/transport/usb"
	"gonut/test/devices/bench"
	"gonut/test/usb/usbip"
	"gonut/test/usb/virtual"
)

// devices is where the machine has the recordings and models of test/devices/hid.
// From the folder of the tests it is where packages find it in the source tree.
const devices = "/test/devices/hid"

// machine skips a test that does not run in the virtual machine.
func machine(t *testing.T) {
	t.Helper()
	if os.Getenv("GONUT_USB_GUEST") == "" {
		t.Skip("runs in a virtual machine: make test-usb")
	}
}

// A unit is a virtual device that a test plugs in and out.
type unit struct {
	*virtual.Device
	rec  *hid.Recording
	plug *usbip.Plug
}

func recording(t *testing.T, name string) *hid.Recording {
	t.Helper()
	return bench.ReadRecording(t, filepath.Join(devices, name+".rec"))
}

// plugIn makes a device of a recording, plugs it in and waits until the kernel
// has enumerated it and bound its HID driver. It is unplugged when the test ends.
func plugIn(t *testing.T, name string) *unit {
	t.Helper()
	machine(t)
	return plugInRecording(t, recording(t, name))
}

func plugInRecording(t *testing.T, rec *hid.Recording) *unit {
	t.Helper()
	u := &unit{Device: virtual.New(rec), rec: rec}
	u.in(t)
	t.Cleanup(func() { u.out(t) })
	return u
}

// in plugs the unit in and waits until the kernel's HID driver has it.
func (u *unit) in(t *testing.T) {
	t.Helper()
	u.back(t)
	eventually(t, "the kernel's HID driver has the device", func() bool {
		d, ok := u.find(t)
		return ok && boundTo(d) == "usbhid"
	})
}

// back plugs the unit in and waits until the kernel has found a driver for it: its
// own, or ours by usbfs.
func (u *unit) back(t *testing.T) {
	t.Helper()
	p, err := usbip.Attach(u.Device, usbip.FullSpeed)
	if err != nil {
		t.Fatal(err)
	}
	u.plug = p
	eventually(t, "the kernel has enumerated the device", func() bool {
		d, ok := u.find(t)
		return ok && boundTo(d) != ""
	})
}

// out pulls the unit and waits until the kernel has forgotten it.
func (u *unit) out(t *testing.T) {
	t.Helper()
	if u.plug == nil {
		return
	}
	u.plug.Unplug()
	u.plug = nil
	eventually(t, "the kernel forgot the device", func() bool {
		_, ok := u.find(t)
		return !ok
	})
}

// find looks for the unit among the kernel's devices.
func (u *unit) find(t *testing.T) (usb.Device, bool) {
	t.Helper()
	ds, err := usb.System{}.List(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range ds {
		if d.Vendor == u.rec.Info.VendorID && d.Product == u.rec.Info.ProductID && d.Serial == u.rec.Info.Serial {
			return d, true
		}
	}
	return usb.Device{}, false
}

// matcher means this unit.
func (u *unit) matcher() hid.Matcher {
	return hid.Matcher{Accept: func(i hid.Info) bool {
		return i.VendorID == u.rec.Info.VendorID && i.ProductID == u.rec.Info.ProductID && i.Serial == u.rec.Info.Serial
	}}
}

// boundTo returns the kernel's driver of a device's first interface.
func boundTo(d usb.Device) string {
	to, err := os.Readlink(filepath.Join("/sys/bus/usb/devices", d.Path+":1.0", "driver"))
	if err != nil {
		return ""
	}
	return filepath.Base(to)
}

// eventually waits up to ten seconds for a condition.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("after 10 s it does not hold that %s\n%s", what, kernel())
		}
	}
}

// uptime is the time since boot, which is that of the kernel's messages.
func uptime() time.Duration {
	var now unix.Timespec
	unix.ClockGettime(unix.CLOCK_MONOTONIC, &now)
	return time.Duration(now.Nano())
}

// kernel returns what may explain why the kernel does not do what it is to: its last
// messages, and where threads wait that no signal reaches.
func kernel() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%8.3f now\n", uptime().Seconds())
	stats, _ := filepath.Glob("/proc/[0-9]*/task/*/stat")
	for _, f := range stats {
		text, _ := os.ReadFile(f)
		if _, rest, ok := strings.Cut(string(text), ") "); ok && strings.HasPrefix(rest, "D") {
			stack, _ := os.ReadFile(filepath.Join(filepath.Dir(f), "stack"))
			fmt.Fprintf(&b, "%s\n%s", text[:strings.IndexByte(string(text), ')')+1], stack)
		}
	}
	log := make([]byte, 1<<18)
	if n, err := unix.Klogctl(3, log); err == nil {
		log = log[:n]
		b.Write(log[max(0, len(log)-6000):])
	}
	return b.String()
}

// sink drops what is logged.
func sink() *slog.Logger { return slog.New(slog.DiscardHandler) }

// open opens a unit or fails the test, and closes it when the test ends.
func open(t *testing.T, o hid.Opener, u *unit) hid.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	c, err := o.Open(ctx, u.matcher(), hid.DefaultTuning())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
			t.Errorf("Close = %v", err)
		}
	})
	return c
}
