package hidups

import (
	"log/slog"
	"testing"

	"gonut/internal/hid"
	"gonut/internal/subdriver"
	transport "gonut/internal/transport/hid"
)

func descriptor(fs ...hid.Field) *hid.Descriptor { return &hid.Descriptor{Fields: fs} }

func field(report byte, u hid.Usage, size int, lo, hi int64) hid.Field {
	return hid.Field{Path: hid.Path{0x840004, u}, Report: report, Size: size, LogMin: lo, LogMax: hi, Kind: hid.Feature}
}

func TestRepairCPS(t *testing.T) {
	d := descriptor(
		field(0x10, usageHighTransfer, 16, 140, 300), field(0x12, usageVoltage, 16, 140, 300),
		field(0x0F, usageVoltage, 16, 140, 300), field(0x18, usageConfigPower, 16, 0, 510),
	)
	if !repairCPS(d) {
		t.Error("nothing was repaired")
	}
	for _, i := range []int{1, 2} {
		if f := d.Fields[i]; f.LogMin != 0 || f.LogMax != 511 {
			t.Errorf("range of field %d = %d..%d; want 0..511", i, f.LogMin, f.LogMax)
		}
	}
	if f := d.Fields[3]; f.LogMax != 2048 {
		t.Errorf("maximum of the power = %d; want 2048", f.LogMax)
	}
	right := descriptor(field(0x10, usageHighTransfer, 16, 140, 300), field(0x12, usageVoltage, 16, 0, 300), field(0x0F, usageVoltage, 16, 0, 300))
	if repairCPS(right) {
		t.Error("a right descriptor was repaired")
	}
	assumed := descriptor(field(0x12, usageVoltage, 16, 0, 255), field(0x0F, usageVoltage, 16, 0, 65535))
	assumed.Fields[0].AssumedMax = true
	if !repairCPS(assumed) || assumed.Fields[0].LogMax != 511 {
		t.Errorf("assumed maximum = %d; want 511", assumed.Fields[0].LogMax)
	}
	if repairCPS(descriptor()) {
		t.Error("an empty descriptor was repaired")
	}
}

func TestRepairAPC(t *testing.T) {
	d := descriptor(field(0x33, usageHighTransfer, 16, 256, 278), field(0x31, usageVoltage, 16, 0, 255), field(0x30, usageConfigVoltage, 8, 0, 255))
	if !repairAPC(d) || d.Fields[1].LogMax != 278 || d.Fields[2].LogMax != 255 {
		t.Errorf("maxima are %d and %d; want 278, and 255 because it has only eight bits", d.Fields[1].LogMax, d.Fields[2].LogMax)
	}
	if repairAPC(descriptor(field(0x31, usageVoltage, 16, 0, 255))) {
		t.Error("repaired without an upper transfer voltage")
	}
}

func TestRepairIDowell(t *testing.T) {
	d := descriptor(field(0x02, usageRunTime, 32, 0, 0xFFFFFF75), field(0x02, usageVoltage, 16, 0, 65535))
	d.Fields[0].AssumedMax = true
	if !repairIDowell(d) || d.Fields[0].LogMax != 1<<31-1 {
		t.Errorf("maximum of the runtime = %d; want %d", d.Fields[0].LogMax, 1<<31-1)
	}
}

func TestAPCFirmwareIsCutFromTheProduct(t *testing.T) {
	for product, want := range map[string][3]string{
		"Back-UPS 500 FW: 6.5.I USB FW: c1 ":    {"Back-UPS 500", " 6.5.I", " c1 "},
		"Back-UPS RS 1500 FW:8.g9 .D USB FW:g9": {"Back-UPS RS 1500", "8.g9 .D", "g9"},
		"Smart-UPS 1500 FW:601.3.D USB FW:1.5":  {"Smart-UPS 1500", "601.3.D", "1.5"},
		"BK650M2-CH":                            {"BK650M2-CH", "", ""},
		"Back-UPS ES 700 FW:871.O3 .I":          {"Back-UPS ES 700", "871.O3 .I", ""},
		"Smart-UPS X 750 FW:UPS 08.8 / ID=20 ":  {"Smart-UPS X 750", "UPS 08.8 / ID=20", ""},
		"":                                      {"", "", ""},
	} {
		d := &Device{extra: map[string]string{}}
		d.splitFirmware(product)
		if got := [3]string{d.model, d.extra["ups.firmware"], d.extra["ups.firmware.aux"]}; got != want {
			t.Errorf("splitFirmware(%q) = %q; want %q", product, got, want)
		}
	}
}

func TestDellNamesAreComplete(t *testing.T) {
	rec := &transport.Recording{Info: transport.Info{VendorID: 0x047C, Product: "Dell UPS Rack 1920W"}, Descriptor: []byte{5, 0x84}}
	lib := subdriver.Load("hid", subdriver.Embedded())
	found, _ := lib.Find("usb", "047c:ffff", "DELL", rec.Info.Product)
	d, err := New(transport.NewFake(rec), found.Table, found.Match, Options{}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if classes := d.identify(t.Context()); d.model != "Dell UPS Rack 1920W" || classes != nil {
		t.Errorf("model, classes = %q, %q; want the product as it is, and none", d.model, classes)
	}
}

// The quirks that tables name have to exist, and those that exist have to be used.
func TestQuirksAndTablesFit(t *testing.T) {
	lib := subdriver.Load("hid", subdriver.Embedded())
	used := map[string]bool{}
	for _, p := range lib.Check(Family()) {
		t.Error(p)
	}
	for _, table := range lib.Tables {
		for _, q := range table.Quirks {
			used[q.Name] = true
		}
		for _, m := range table.Matches {
			for _, q := range m.Quirks {
				used[q] = true
			}
		}
	}
	for q := range Quirks() {
		if !used[q] {
			t.Errorf("no table uses the quirk %s", q)
		}
	}
}

func TestEveryDeviceOfTheTablesFindsItsTable(t *testing.T) {
	lib := subdriver.Load("hid", subdriver.Embedded())
	n := 0
	for _, table := range lib.Tables {
		for _, m := range table.Matches {
			if m.Vendor != nil || m.Product != nil || m.Text != nil {
				continue
			}
			for _, id := range m.IDs {
				n++
				if found, _ := lib.Find("usb", id, "", ""); found.Table != table {
					t.Errorf("Find(%s) = %v; want %s", id, found.Table, table.Name)
				}
			}
		}
	}
	if n < 105 {
		t.Errorf("the tables have %d ids; want at least 105", n)
	}
	for _, test := range []struct{ id, vendor, product, want string }{
		{"06da:ffff", "AEG", "PROTECT NAS", "mge"}, {"06da:ffff", "PHOENIX", "BMS", "liebert"},
		{"06da:ffff", "BMS", "x", "idowell"}, {"06da:ffff", "x", "Smart-Battery", "idowell"}, {"06da:ffff", "", "", "liebert"},
		{"09d6:0001", "KSTAR", "", "mge"}, {"09d6:0001", "other", "", ""},
	} {
		found, _ := lib.Find("usb", test.id, test.vendor, test.product)
		name := ""
		if found.Table != nil {
			name = found.Table.Name
		}
		if name != test.want {
			t.Errorf("Find(%s, %s, %s) = %q; want %q", test.id, test.vendor, test.product, name, test.want)
		}
	}
}
