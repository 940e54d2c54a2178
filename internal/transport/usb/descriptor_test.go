package usb

import (
	"encoding/hex"
	"reflect"
	"strings"
	"testing"
)

// upsDescriptors is the device and the configuration descriptor of a Back-UPS:
// one HID interface, a report descriptor of 743 bytes, one endpoint.
const upsDescriptors = "" +
	"12 01 1001 00 00 00 40 1d05 0200 0601 01 02 03 01" +
	"09 02 2200 01 01 00 a0 32" +
	"09 04 00 00 01 03 00 00 00" +
	"09 21 1101 00 01 22 e702" +
	"07 05 81 03 0800 0a"

// compositeDescriptors has a serial port before the HID interface, which has two
// settings, an endpoint for each direction and two report descriptors.
const compositeDescriptors = "" +
	"12 01 0002 ef 02 01 40 4123 3680 0001 01 02 00 01" +
	"09 02 4300 02 01 00 80 32" +
	"09 04 00 00 00 02 02 01 00" +
	"05 24 00 1001" +
	"09 04 01 00 00 03 00 00 00" +
	"09 04 01 01 02 03 00 00 00" +
	"0c 21 1101 00 02 22 3000 22 4000" +
	"07 05 84 03 4000 01" +
	"07 05 05 03 4000 01"

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	p, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestParseDescriptors(t *testing.T) {
	var d Device
	if err := d.ParseDescriptors(unhex(t, upsDescriptors)); err != nil {
		t.Fatal(err)
	}
	if d.Vendor != 0x051d || d.Product != 2 || d.Release != 0x0106 {
		t.Errorf("ids = %04x:%04x %04x; want 051d:0002 0106", d.Vendor, d.Product, d.Release)
	}
	want := []InterfaceSetting{{Class: ClassHID, Extra: unhex(t, "09 21 1101 00 01 22 e702"),
		Endpoints: []EndpointInfo{{Address: 0x81, Type: Interrupt, MaxPacket: 8, Interval: 10}}}}
	if got := d.Active().Interfaces; !reflect.DeepEqual(got, want) {
		t.Errorf("interfaces = %+v; want %+v", got, want)
	}
	if got := d.Active().Interfaces[0].ReportLengths(); !reflect.DeepEqual(got, []int{743}) {
		t.Errorf("report lengths = %v; want [743]", got)
	}
	if !d.HasClass(ClassHID) || d.HasClass(ClassHub) {
		t.Errorf("HasClass(HID), HasClass(hub) = %v, %v; want true, false", d.HasClass(ClassHID), d.HasClass(ClassHub))
	}
}

func TestParseDescriptorsOfComposite(t *testing.T) {
	d := Device{Configuration: 1}
	if err := d.ParseDescriptors(unhex(t, compositeDescriptors)); err != nil {
		t.Fatal(err)
	}
	is := d.Active().Interfaces
	if len(is) != 3 || is[2].Number != 1 || is[2].Alternate != 1 || len(is[2].Endpoints) != 2 {
		t.Fatalf("interfaces = %+v; want three, the last with two endpoints", is)
	}
	if got, want := is[2].ReportLengths(), []int{0x30, 0x40}; !reflect.DeepEqual(got, want) {
		t.Errorf("report lengths = %v; want %v", got, want)
	}
	if e := is[2].Endpoints[1]; e.In() || e.Address != 5 {
		t.Errorf("second endpoint = %+v; want OUT 5", e)
	}
	if !d.HasClass(ClassHID) {
		t.Error("HasClass(HID) = false; want true")
	}
}

func TestParseDescriptorsRefusesWhatIsNone(t *testing.T) {
	for _, s := range []string{"", "12", "1201", "09 02 2200 01 01 00 a0 32", upsDescriptors[:30]} {
		var d Device
		if err := d.ParseDescriptors(unhex(t, strings.TrimSpace(s))); err == nil {
			t.Errorf("ParseDescriptors(%q) = nil; want an error", s)
		}
	}
}

func FuzzParseDescriptors(f *testing.F) {
	f.Add(unhex(f, upsDescriptors))
	f.Add(unhex(f, compositeDescriptors))
	f.Add(unhex(f, "12 01 0002 00 00 00 40 1d05 0200 0601 01 02 03 01 09 02 0000 01 01 00 a0 32"))
	f.Fuzz(func(t *testing.T, p []byte) {
		var d Device
		if d.ParseDescriptors(p) != nil {
			return
		}
		for _, c := range d.Configurations {
			for _, i := range c.Interfaces {
				for _, n := range i.ReportLengths() {
					if n < 0 || n > 0xffff {
						t.Errorf("report length %d", n)
					}
				}
			}
		}
	})
}

func TestDecodeString(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"0403 4100", "A"},
		{"0a03 4200 e900 a000 2020", "Bé\u00a0?"},
		{"0803 3dd8 4ade 2100", "??!"},    // a pair of surrogates
		{"0a03 4100 0000 4200 4300", "A"}, // padded with zeros
		{"ff03 4100 4200", "AB"},          // longer than what was sent
		{"0203", ""},
	} {
		got, err := decodeString(unhex(t, c.in))
		if err != nil || got != c.want {
			t.Errorf("decodeString(%s) = %q, %v; want %q", c.in, got, err, c.want)
		}
	}
	for _, in := range []string{"", "04", "0404 4100", "0003 4100"} {
		if got, err := decodeString(unhex(t, in)); err == nil {
			t.Errorf("decodeString(%s) = %q; want an error", in, got)
		}
	}
	if got, want := plainText("é\U0001f64a!☃"), "é??!?"; got != want {
		t.Errorf("plainText = %q; want %q", got, want)
	}
}
