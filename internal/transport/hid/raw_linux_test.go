package hid

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"gonut/internal/transport/usb"
)

// plug makes the folders that sysfs has for a USB device with one HID interface, and
// a file in the place of its hidraw node.
func plug(t *testing.T, sysfs, nodes, place, node string, number, product byte) {
	t.Helper()
	device := []byte{18, 1, 0, 2, 0, 0, 0, 8, 0x1d, 0x05, product, 0, 0, 1, 0, 0, 0, 1}
	configuration := []byte{9, 2, 18, 0, 1, 1, 0, 0x80, 50, 9, 4, 0, 0, 0, 3, 0, 0, 0}
	usbFolder := filepath.Join(sysfs, "bus/usb/devices", place)
	hidFolder := filepath.Join(sysfs, "devices", place, place+":1.0", "0003:051D:0002.0001")
	for file, text := range map[string]string{
		filepath.Join(usbFolder, "descriptors"):       string(device) + string(configuration),
		filepath.Join(usbFolder, "busnum"):            "1\n",
		filepath.Join(usbFolder, "devnum"):            string('0'+rune(number)) + "\n",
		filepath.Join(hidFolder, "report_descriptor"): "\x05\x84",
		filepath.Join(nodes, node):                    "",
	} {
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	class := filepath.Join(sysfs, "class/hidraw", node)
	if err := os.MkdirAll(class, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(hidFolder, filepath.Join(class, "device")); err != nil {
		t.Fatal(err)
	}
}

// fifo makes a node that opens as one of hidraw does, though it can do nothing.
func fifo(t *testing.T, node string) {
	t.Helper()
	if err := errors.Join(os.Remove(node), unix.Mkfifo(node, 0o600)); err != nil {
		t.Fatal(err)
	}
}

// Two drivers must not have one device by hidraw.
func TestRawBelongsToOne(t *testing.T) {
	sysfs, nodes := t.TempDir(), t.TempDir()
	plug(t, sysfs, nodes, "1-1", "hidraw0", 1, 7)
	plug(t, sysfs, nodes, "1-2", "hidraw1", 2, 8)
	fifo(t, filepath.Join(nodes, "hidraw0"))
	fifo(t, filepath.Join(nodes, "hidraw1"))
	o := NewRaw(usb.System{Sysfs: sysfs, Devices: nodes}, slog.New(slog.DiscardHandler))
	o.nodes = nodes
	open := func(tuning Tuning) pipe {
		t.Helper()
		p, err := o.find(t.Context(), Matcher{}, tuning)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	duplicates := DefaultTuning()
	duplicates.AllowDuplicates = true
	first := open(DefaultTuning())
	_, err := o.find(t.Context(), Matcher{}, DefaultTuning())
	if !errors.Is(err, ErrBusy) || !strings.Contains(err.Error(), filepath.Join(nodes, "hidraw0")) {
		t.Errorf("opening a device that somebody has ended with %v; want ErrBusy and its node", err)
	}
	second := open(duplicates)
	if i := second.Info(); i.ProductID != 8 {
		t.Errorf("with allow_duplicates %v was opened; want the free one", i)
	}
	if _, err := o.find(t.Context(), Matcher{}, duplicates); !errors.Is(err, ErrBusy) {
		t.Errorf("with allow_duplicates and both in use it ended with %v; want ErrBusy", err)
	}
	shared := DefaultTuning()
	shared.Shared = true
	if third := open(shared); third.Info().ProductID != 7 {
		t.Errorf("without a lock %v was opened; want the first device", third.Info())
	} else {
		third.Close()
	}
	first.Abandon()
	again := open(DefaultTuning())
	for _, p := range []pipe{again, second} {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}
	open(DefaultTuning()).Close()
}

// asNobody runs f as somebody to whom the owner's files are closed.
func asNobody(t *testing.T, f func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		f()
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		if err := unix.Setfsuid(65534); err != nil {
			t.Error(err)
		}
		f()
	}()
	<-done
}

// A device that we may not open does not hide the next one.
func TestDevicesThatMayNotBeOpened(t *testing.T) {
	top := t.TempDir() // which others may pass through
	if err := errors.Join(os.Chmod(top, 0o755), os.Chmod(filepath.Dir(top), 0o755)); err != nil {
		t.Fatal(err)
	}
	sysfs, nodes := filepath.Join(top, "sys"), filepath.Join(top, "dev")
	plug(t, sysfs, nodes, "1-1", "001/001", 1, 7)
	plug(t, sysfs, nodes, "1-2", "001/002", 2, 8)
	err := filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil || d.Type()&fs.ModeSymlink != 0:
			return err
		case d.IsDir():
			return os.Chmod(path, 0o755)
		case strings.HasPrefix(path, nodes):
			return os.Chmod(path, 0)
		}
		return os.Chmod(path, 0o644)
	})
	if err != nil {
		t.Fatal(err)
	}
	o := NewUSB(usb.System{Sysfs: sysfs, Devices: nodes}, slog.New(slog.DiscardHandler))
	twin := Info{VendorID: 0x051d, ProductID: 7}
	for _, test := range []struct {
		name, open string
		m          Matcher
		permission bool
		want       string
	}{
		{"none may be opened", "", Matcher{}, true, "051d:0007 at 001/001: permission denied"},
		// A file is no node: that it was tried is all that can be seen without devices.
		{"the second may be opened", "001/002", Matcher{}, true, "001/002 is not of usbfs"},
		{"a lost one is looked for", "001/002", Matcher{Exact: &twin}, true, "permission denied"},
	} {
		if test.open != "" {
			if err := os.Chmod(filepath.Join(nodes, test.open), 0o666); err != nil {
				t.Fatal(err)
			}
		}
		asNobody(t, func() {
			_, err := o.Open(t.Context(), test.m, DefaultTuning())
			if errors.Is(err, ErrPermission) != test.permission || err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%s: Open = %v; want %q", test.name, err, test.want)
			}
		})
	}
}

func TestSearch(t *testing.T) {
	gone, permission, busy, other := fmt.Errorf("a: %w", ErrGone), fmt.Errorf("b: %w", ErrPermission), fmt.Errorf("c: %w", ErrBusy), errors.New("d: input/output error")
	for _, test := range []struct {
		exact, duplicates bool
		errs              []error
		tried             int
		want              string
	}{
		{false, false, nil, 0, "none: no such device"},
		{false, false, []error{gone, gone}, 2, "a: no such device"},
		{false, false, []error{permission, gone, permission}, 3, "b: permission denied; b: permission denied"},
		{false, false, []error{gone, permission, busy, permission}, 3, "b: permission denied; c: device is busy"},
		{false, true, []error{busy, permission, busy}, 3, "c: device is busy; b: permission denied; c: device is busy"},
		{false, false, []error{busy, permission}, 1, "c: device is busy"},
		{true, false, []error{gone, permission, permission}, 2, "b: permission denied"},
		{true, true, []error{busy, busy}, 2, "c: device is busy; c: device is busy"},
		{false, true, []error{other, busy}, 1, "d: input/output error"},
	} {
		s := search{err: fmt.Errorf("none: %w", ErrGone), tuning: Tuning{AllowDuplicates: test.duplicates}}
		if test.exact {
			s.matcher.Exact = &Info{}
		}
		tried := 0
		for _, err := range test.errs {
			if tried++; !s.goesOn(err) {
				break
			}
		}
		if tried != test.tried || s.err.Error() != test.want {
			t.Errorf("%v, exact %t, duplicates %t: tried %d, %q; want %d, %q", test.errs, test.exact, test.duplicates, tried, s.err, test.tried, test.want)
		}
	}
}

// What one device wants of its interface is not asked of the next one.
func TestRawTunesEachDeviceByItself(t *testing.T) {
	sysfs, nodes := t.TempDir(), t.TempDir()
	plug(t, sysfs, nodes, "1-1", "hidraw0", 1, 7)
	plug(t, sysfs, nodes, "1-2", "hidraw1", 2, 8)
	o := NewRaw(usb.System{Sysfs: sysfs, Devices: nodes}, slog.New(slog.DiscardHandler))
	o.nodes = nodes
	if infos, err := o.List(t.Context()); len(infos) != 2 || err != nil {
		t.Fatalf("List = %v, %v; want two devices", infos, err)
	}
	tuning := DefaultTuning()
	tuning.Preset = func(i Info, t Tuning) Tuning {
		if i.ProductID == 7 && t.Interface < 0 {
			t.Interface = 2
		}
		return t
	}
	// A file is no node: that it was tried is all that can be seen without devices.
	_, err := o.Open(t.Context(), Matcher{}, tuning)
	if err == nil || !strings.Contains(err.Error(), "hidraw1 is not of hidraw") {
		t.Errorf("Open = %v; want the second device to be tried", err)
	}
}
