package hid

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

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
