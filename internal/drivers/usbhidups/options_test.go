package usbhidups

import (
	"errors"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gonut/internal/driver"
	transport "gonut/internal/transport/hid"
)

func values(t *testing.T, options map[string]string) driver.Values {
	return driver.Values{UPS: "ups", Port: "auto", Set: options, ConfPath: t.TempDir()}
}

// What the options about the USB interface become.
func TestTuning(t *testing.T) {
	plain := transport.DefaultTuning()
	with := func(change func(*transport.Tuning)) transport.Tuning {
		tuned := plain
		change(&tuned)
		return tuned
	}
	for _, test := range []struct {
		options map[string]string
		want    transport.Tuning
		failure string
	}{
		{nil, plain, ""},
		{map[string]string{"usb_config_index": "1"}, with(func(u *transport.Tuning) { u.Config = 1 }), ""},
		{map[string]string{"usb_hid_rep_index": "2", "usb_hid_desc_index": "1"}, with(func(u *transport.Tuning) { u.Interface, u.Descriptor = 2, 1 }), ""},
		{map[string]string{"usb_hid_ep_in": "0x81", "usb_hid_ep_out": "2"}, with(func(u *transport.Tuning) { u.EndpointIn, u.EndpointOut = 0x81, 2 }), ""},
		{map[string]string{"usb_hid_ep_in": "0a"}, with(func(u *transport.Tuning) { u.EndpointIn = 10 }), ""},
		{map[string]string{"usb_set_altinterface": ""}, with(func(u *transport.Tuning) { u.AltInterface = 0 }), ""},
		{map[string]string{"usb_set_altinterface": "3"}, with(func(u *transport.Tuning) { u.AltInterface = 3 }), ""},
		{map[string]string{"allow_duplicates": ""}, with(func(u *transport.Tuning) { u.AllowDuplicates = true }), ""},
		{map[string]string{"usb_config_index": "-1"}, plain, "option usb_config_index"},
		{map[string]string{"usb_set_altinterface": "x"}, plain, "option usb_set_altinterface"},
		{map[string]string{"usb_set_altinterface": "256"}, plain, "option usb_set_altinterface"},
		{map[string]string{"usb_hid_ep_in": "181"}, plain, "option usb_hid_ep_in"},
	} {
		got, err := tune(values(t, test.options))
		switch {
		case test.failure != "":
			if err == nil || !strings.Contains(err.Error(), test.failure) {
				t.Errorf("tune(%v) = %v; want %s", test.options, err, test.failure)
			}
		case err != nil || got.Config != test.want.Config || got.Interface != test.want.Interface || got.Descriptor != test.want.Descriptor ||
			got.EndpointIn != test.want.EndpointIn || got.EndpointOut != test.want.EndpointOut || got.AltInterface != test.want.AltInterface || got.AllowDuplicates != test.want.AllowDuplicates, got.Shared != test.want.Shared:
			t.Errorf("tune(%v) = %+v, %v; want %+v", test.options, got, err, test.want)
		}
	}
	v := values(t, nil)
	v.NoLock = true // as -k has it
	if got, err := tune(v); err != nil || !got.Shared {
		t.Errorf("tune without locks = %+v, %v; want Shared", got, err)
	}
}

// What match lines say about the interface holds where no option does.
func TestPresets(t *testing.T) {
	for _, test := range []struct {
		vendor, product uint16
		options         map[string]string
		iface, in, out  int
	}{
		{0x2341, 0x8036, nil, 2, 4, 5},
		{0x2341, 0x8036, map[string]string{"usb_hid_rep_index": "0", "usb_hid_ep_in": "1"}, 0, 1, 5},
		{0x10AF, 0x0002, nil, 1, -1, -1},
		{0x10AF, 0x0001, nil, -1, -1, -1},
		{0x4234, 0x0002, nil, 1, -1, -1},
		{0x1234, 0x0001, nil, -1, -1, -1},
	} {
		v := values(t, test.options)
		s, err := newSelection(v, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		base, err := tune(v)
		if err != nil {
			t.Fatal(err)
		}
		got := s.preset(transport.Info{VendorID: test.vendor, ProductID: test.product}, base)
		if got.Interface != test.iface || got.EndpointIn != test.in || got.EndpointOut != test.out {
			t.Errorf("%04x:%04x with %v: interface %d, endpoints %d and %d; want %d, %d, %d", test.vendor, test.product, test.options, got.Interface, got.EndpointIn, got.EndpointOut, test.iface, test.in, test.out)
		}
	}
}

// Release 2.02 of Eaton's firmware has two HID descriptors.
func TestSecondDescriptor(t *testing.T) {
	for _, test := range []struct {
		vendor, product, release uint16
		given, want              int
	}{
		{0x0463, 0xFFFF, 0x0202, -1, 1}, {0x0463, 0x0001, 0x0202, -1, 1}, {0x0463, 0xFFFF, 0x0100, -1, -1},
		{0x0463, 0xFFFF, 0x0202, 0, 0}, {0x047C, 0xFFFF, 0x0202, -1, -1}, {0x051D, 0x0002, 0x0202, -1, -1},
	} {
		s, err := newSelection(values(t, nil), slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		base := transport.DefaultTuning()
		base.Descriptor = test.given
		if got := s.preset(transport.Info{VendorID: test.vendor, ProductID: test.product, Release: test.release}, base); got.Descriptor != test.want {
			t.Errorf("%+v: descriptor %d", test, got.Descriptor)
		}
	}
}

// A table that the user names keeps what its match line says of the device.
func TestForcedTableKeepsItsQuirks(t *testing.T) {
	v := values(t, map[string]string{"subdriver": "apc", "vendorid": "051d", "productid": "0003"})
	s, err := newSelection(v, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if found, err := s.table(transport.Info{VendorID: 0x051D, ProductID: 3}); err != nil || found.Match == nil || !slices.Contains(found.Match.Quirks, "pollonly") {
		t.Errorf("table = %+v, %v; want a match line with pollonly", found, err)
	}
}

// A table may be a file that is not installed.
func TestTableFromAFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "mine.def")
	options := map[string]string{"subdriver": file, "vendorid": "1209", "productid": "7570"}
	for text, want := range map[string]string{"name Mine 1\nuse pdc\n": "", "nmae Mine 1\n": file + ":1:1: no row begins with \"nmae\""} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := newSelection(values(t, options), slog.New(slog.DiscardHandler))
		switch {
		case want == "" && (err != nil || s.forced.Data() != "Mine 1"):
			t.Errorf("with %q: %v", text, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("with %q: %v; want %s", text, err, want)
		}
	}
}

func TestWaitBeforeReconnect(t *testing.T) {
	for seconds, want := range map[string]time.Duration{"": 0, "0": 0, "7": 7 * time.Second, "-3": 0} {
		synctest.Test(t, func(t *testing.T) {
			begun := time.Now()
			if err := pause(t.Context(), seconds); err != nil || time.Since(begun) != want {
				t.Errorf("pause(%q) = %v after %v; want %v", seconds, err, time.Since(begun), want)
			}
		})
	}
}

// All options of C's usbhid-ups are known, and those that are flags take no value.
func TestOptionsAreThoseOfC(t *testing.T) {
	flags := strings.Fields("pollonly onlinedischarge onlinedischarge_onbattery onlinedischarge_calibration lbrb_log_delay_without_calibrating disable_fix_report_desc " +
		"powercom_sdcmd_byte_order_fallback powercom_sdcmd_discrete_delay winhid explore maxreport interruptonly allow_duplicates")
	numbers := strings.Fields("offdelay ondelay lowbatt pollfreq interrupt_pipe_no_events_tolerance onlinedischarge_log_throttle_sec onlinedischarge_log_throttle_hovercharge " +
		"lbrb_log_delay_sec subdriver interruptsize waitbeforereconnect vendorid productid vendor product serial bus busport device " +
		"usb_set_altinterface usb_config_index usb_hid_rep_index usb_hid_desc_index usb_hid_ep_in usb_hid_ep_out")
	got := map[string]bool{}
	for _, o := range Options() {
		if _, twice := got[o.Name]; twice {
			t.Errorf("option %s is listed twice", o.Name)
		}
		if o.Help == "" {
			t.Errorf("option %s has no help", o.Name)
		}
		got[o.Name] = o.Flag
	}
	want := map[string]bool{}
	for _, n := range flags {
		want[n] = true
	}
	for _, n := range numbers {
		want[n] = false
	}
	if !maps.Equal(got, want) {
		t.Errorf("options are %v; want %v", slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)))
	}
}

func TestWriteFile(t *testing.T) {
	dir := t.TempDir()
	if err := writeFile(filepath.Join(dir, "none", "x"), func(io.Writer) error { return nil }); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("writeFile in no folder = %v; want ErrNotExist", err)
	}
	failure := errors.New("no")
	if err := writeFile(filepath.Join(dir, "x"), func(io.Writer) error { return failure }); !errors.Is(err, failure) {
		t.Errorf("writeFile of what fails = %v; want the failure", err)
	}
}
