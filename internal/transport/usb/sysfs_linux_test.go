package usb

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// plug makes a device's folder in a sysfs of its own.
func plug(t *testing.T, sysfs, name string, files map[string]string) {
	t.Helper()
	dir := filepath.Join(sysfs, "bus/usb/devices", name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for f, text := range files {
		if err := os.WriteFile(filepath.Join(dir, f), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func tree(t *testing.T) System {
	t.Helper()
	dir := t.TempDir()
	hub := "12 01 0002 09 00 00 40 6b1d 0200 0106 03 02 01 01"
	plug(t, dir, "usb3", map[string]string{"descriptors": string(unhex(t, hub)), "busnum": "3\n", "devnum": "1\n"})
	plug(t, dir, "3-1", map[string]string{"descriptors": string(unhex(t, hub)), "busnum": "3\n", "devnum": "2\n"})
	plug(t, dir, "3-1.4", map[string]string{
		"descriptors": string(unhex(t, upsDescriptors)), "busnum": "3\n", "devnum": "17\n", "devpath": "1.4\n", "bConfigurationValue": "1\n",
		"manufacturer": "American Power Conversion\n", "product": "Back-UPS ES 700☃\n", "serial": "5B1234T56789  \n"})
	plug(t, dir, "3-1.4:1.0", map[string]string{"bInterfaceNumber": "00\n"})
	plug(t, dir, "1-2", map[string]string{
		"descriptors": string(unhex(t, compositeDescriptors)), "busnum": "1\n", "devnum": "5\n", "devpath": "2\n"})
	plug(t, dir, "1-3", map[string]string{"busnum": "1\n", "devnum": "6\n"}) // just going away
	plug(t, dir, "1-4", map[string]string{"descriptors": "\x12\x01", "busnum": "1\n", "devnum": "7\n"})
	plug(t, dir, "1-5", map[string]string{"descriptors": string(unhex(t, upsDescriptors)), "busnum": "\n", "devnum": "7\n"})
	return System{Sysfs: dir, Devices: filepath.Join(dir, "dev")}
}

func TestList(t *testing.T) {
	ds, err := tree(t).List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(ds) != 2 || ds[0].Path != "1-2" || ds[1].Path != "3-1.4" {
		t.Fatalf("List = %v; want 1-2 and 3-1.4", ds)
	}
	d := ds[1]
	if d.Bus != 3 || d.Number != 17 || d.Port != 4 || d.Configuration != 1 {
		t.Errorf("bus, number, port, configuration = %d, %d, %d, %d; want 3, 17, 4, 1", d.Bus, d.Number, d.Port, d.Configuration)
	}
	if d.Manufacturer != "American Power Conversion" || d.Name != "Back-UPS ES 700?" || d.Serial != "5B1234T56789  " {
		t.Errorf("strings = %q, %q, %q", d.Manufacturer, d.Name, d.Serial)
	}
	if got, want := d.String(), "051d:0002 at 003/017 (Back-UPS ES 700?)"; got != want {
		t.Errorf("String() = %q; want %q", got, want)
	}
	if ds[0].Serial != "" || ds[0].Port != 2 {
		t.Errorf("serial, port of 1-2 = %q, %d; want none, 2", ds[0].Serial, ds[0].Port)
	}
}

func TestListWithoutUSB(t *testing.T) {
	ds, err := System{Sysfs: t.TempDir()}.List(t.Context())
	if err != nil || len(ds) != 0 {
		t.Errorf("List = %v, %v; want nothing", ds, err)
	}
}

func TestOpenErrors(t *testing.T) {
	s := tree(t)
	d := Device{Path: "3-1.4", Bus: 3, Number: 17}
	if _, err := s.Open(d); !errors.Is(err, ErrGone) {
		t.Errorf("Open without a node = %v; want ErrGone", err)
	}
	node := s.node(d)
	if err := os.MkdirAll(filepath.Dir(node), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(node, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if h, err := s.Open(d); err == nil {
		h.Close()
		t.Error("Open of a plain file = nil; want an error")
	}
}

func TestWatchSeesTheFolder(t *testing.T) {
	s := tree(t)
	w, err := s.Watch()
	if err != nil {
		t.Fatal(err)
	}
	w.Close()
	w.file = nil // as where netlink is closed to us
	plug(t, s.Sysfs, "1-6", map[string]string{"busnum": "1\n"})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := w.Next(ctx); err != nil {
		t.Fatalf("Next after plugging in = %v; want nil", err)
	}
	cancel()
	if err := w.Next(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Next with an ended context = %v; want context.Canceled", err)
	}
}
