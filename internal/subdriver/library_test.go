package subdriver

import (
	"bytes"
	"context"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"gonut/internal/program"
)

func TestEmbeddedTablesAreRight(t *testing.T) {
	lib := Load("hid", Embedded())
	for _, p := range lib.Problems {
		t.Error(p)
	}
	if len(lib.Tables) < 17 {
		t.Errorf("%d tables are built in; want at least 17", len(lib.Tables))
	}
}

var update = flag.Bool("update", false, "rewrite files that are made from the tables")

func layer(name string, files map[string]string) Layer {
	m := fstest.MapFS{}
	for f, text := range files {
		m[f] = &fstest.MapFile{Data: []byte(text)}
	}
	return Layer{Name: name, FS: m}
}

func TestTheFirstLayerWins(t *testing.T) {
	layers := []Layer{
		layer("/mine", map[string]string{"hid/a.def": "name Mine 1\nmatch usb 1234:0001\n", "hid/c.def": "name Own 1\nuse pdc\nmatch usb 1234:0003\n"}),
		layer("/usr", map[string]string{"hid/a.def": "name System 1\n", "hid/b.def": "name System 2\n"}),
		layer("", map[string]string{"hid/pdc.def": "usage 00840004 UPS\n", "hid/b.def": "name Built-in 1\n"}),
	}
	lib := Load("hid", layers)
	var got []string
	for _, table := range lib.Tables {
		got = append(got, table.Name+"="+table.Data()+" "+table.Origin)
	}
	if want := "a=Mine 1 /mine/hid/a.def, b=System 2 /usr/hid/b.def, c=Own 1 /mine/hid/c.def"; strings.Join(got, ", ") != want {
		t.Errorf("tables are %s; want %s", strings.Join(got, ", "), want)
	}
	if _, ok := lib.Table("c").Code("UPS"); !ok {
		t.Error("a table of one layer cannot use that of another")
	}
}

// A table of the user may begin with its own rows and take all else from another.
func TestUseBringsAllOfAnotherTable(t *testing.T) {
	mine := layer("/mine", map[string]string{"hid/mine.def": "name Mine 1\nuse cps\nmatch usb 1234:0001\noption ondelay 240\nvar battery.charge UPS.Own format=%.0f\nenum sensitivity 0=mine\n"})
	lib := Load("hid", append([]Layer{mine}, Embedded()...))
	table := lib.Table("mine")
	if len(lib.Problems) > 0 || table == nil {
		t.Fatalf("problems: %v", lib.Problems)
	}
	if r := table.Rows[0]; r.Name != "battery.charge" || r.Source != "UPS.Own" || len(table.Rows) != 1+len(lib.Table("cps").Rows) {
		t.Errorf("the table has %d rows, the first for %s", len(table.Rows), r.Name)
	}
	if table.Maker != "CPS" || table.Defaults["ondelay"] != "240" || table.Defaults["offdelay"] != "60" {
		t.Errorf("maker, ondelay and offdelay are %q, %q, %q; want CPS, 240, 60", table.Maker, table.Defaults["ondelay"], table.Defaults["offdelay"])
	}
	if text, _ := table.enums["sensitivity"].text(0); text != "mine" {
		t.Errorf("the enum of the other table beats the own one: %q", text)
	}
	mine = layer("/mine", map[string]string{"hid/mine.def": "name Mine 1\nuse apc\nmatch usb 1234:0001\n"})
	if table = Load("hid", append([]Layer{mine}, Embedded()...)).Table("mine"); len(table.Quirks) != 2 || table.Quirks[0].Name != "apc-firmware" {
		t.Errorf("quirks are %v; want those of apc", table.Quirks)
	}
}

func TestABrokenFileDoesNotHideTheOneBelow(t *testing.T) {
	lib := Load("hid", []Layer{
		layer("/mine", map[string]string{"hid/a.def": "name Mine 1\nvra x y\n"}),
		layer("", map[string]string{"hid/a.def": "name Built-in 1\nmatch usb 1:2\n", "hid/b.def": "use b\n", "hid/c.def": "name C\nmatch usb 1234:0001\n"}),
	})
	if len(lib.Tables) != 1 || lib.Tables[0].Data() != "C" {
		t.Fatalf("tables are %v; want only c: the others are broken everywhere", lib.Tables)
	}
	var all []string
	for _, p := range lib.Problems {
		all = append(all, p.Error())
	}
	for _, want := range []string{"/mine/hid/a.def:2:1", "hid/a.def:2:11", "uses itself"} {
		if !strings.Contains(strings.Join(all, "\n"), want) {
			t.Errorf("problems are %q; want %s among them", all, want)
		}
	}
}

func TestFind(t *testing.T) {
	lib := Load("hid", []Layer{layer("", map[string]string{
		"hid/a.def": "name A\nmatch usb 1234:0001\nmatch usb 1234:0002 product=^X\n",
		"hid/b.def": "name B\nmatch usb 1234:0001 vendor=ACME\nmatch usb 1234:0001 vendor=ACME product=Big\nrefuse usb 1234:0009 reason=\"no UPS\"\n",
	})})
	for _, test := range []struct{ id, vendor, product, want string }{
		{"1234:0001", "other", "x", "A:2"}, {"1234:0001", "ACME", "x", "B:2"}, {"1234:0001", "ACME", "Big", "B:3"},
		{"1234:0002", "", "X1", "A:3"}, {"1234:0002", "", "Y", ""}, {"1234:0009", "", "", "no UPS"}, {"9999:0001", "", "", ""},
	} {
		found, refused := lib.Find("usb", test.id, test.vendor, test.product)
		got := ""
		switch {
		case found.Table != nil:
			got = found.Table.Title + ":" + string(rune('0'+found.Match.Line))
		case refused != nil:
			got = refused.Reason
		}
		if got != test.want {
			t.Errorf("Find(%s, %s, %s) = %q; want %q", test.id, test.vendor, test.product, got, test.want)
		}
	}
	if found, ok := lib.FindVendor("1234"); !ok || found.Table.Title != "A" {
		t.Error("FindVendor does not find a table of the vendor")
	}
	if _, ok := lib.FindVendor("9999"); ok {
		t.Error("FindVendor finds a vendor that no table has")
	}
}

// A table of the user's is for the devices that it names, whatever those that are
// built in ask for besides.
func TestTheUsersTableTakesTheDevice(t *testing.T) {
	lib := Load("hid", []Layer{
		layer("/mine", map[string]string{"hid/z.def": "name Z\nmatch usb 1234:0001\n"}),
		layer("", map[string]string{"hid/a.def": "name A\nmatch usb 1234:0001\nmatch usb 1234:0001 vendor=ACME\n", "hid/b.def": "name B\nmatch usb 1234:0002\n"}),
	})
	for _, vendor := range []string{"", "ACME"} {
		if found, _ := lib.Find("usb", "1234:0001", vendor, ""); found.Table == nil || found.Table.Name != "z" {
			t.Errorf("Find of a device of %q = %+v; want the table z", vendor, found.Table)
		}
	}
	if found, _ := lib.Find("usb", "1234:0002", "", ""); found.Table == nil || found.Table.Name != "b" {
		t.Error("the tables that are built in are not found any more")
	}
	if problems := lib.Check(Family{}); len(problems) > 0 {
		t.Errorf("Check = %v; want nothing, for the place decides", problems)
	}
}

func TestTwoTablesForOneDeviceAreAProblem(t *testing.T) {
	lib := Load("hid", []Layer{layer("", map[string]string{
		"hid/a.def": "name A\nmatch usb 1234:0001\n",
		"hid/b.def": "name B\nmatch usb 1234:0001 1234:0002\n",
		"hid/c.def": "name C\nmatch usb 1234:0002 text=C\n",
	})})
	problems := lib.Check(Family{})
	if len(problems) != 1 || !strings.Contains(problems[0].Error(), "usb 1234:0001 is matched by hid/a.def:2 as well") {
		t.Errorf("Check = %v; want one problem about 1234:0001", problems)
	}
}

// runTool runs "nut subdriver".
func runTool(t *testing.T, confPath string, args ...string) (string, int) {
	t.Helper()
	var out, errs bytes.Buffer
	p := Program(Families{"hid": {Quirks: map[string]string{"pollonly": "no pipe"}}})
	err := p.Run(context.Background(), program.Env{
		Args: append([]string{"subdriver"}, args...), Stdout: &out, Stderr: &errs,
		Getenv: func(n string) string { return map[string]string{"NUT_CONFPATH": confPath}[n] },
	})
	code := program.Code(err, &errs)
	return out.String() + errs.String(), code
}

func TestTool(t *testing.T) {
	dir := t.TempDir()
	mine := filepath.Join(dir, "subdrivers", "hid")
	if err := os.MkdirAll(mine, 0o700); err != nil {
		t.Fatal(err)
	}
	good, bad := filepath.Join(mine, "acme.def"), filepath.Join(dir, "bad.def")
	for file, text := range map[string]string{
		good: "name \"ACME HID\" 0.1\nuse pdc\nmatch usb 1234:0001 quirk=pollonly\nvar battery.charge UPS.PowerSummary.RemainingCapacity format=%.0f\nvar ups.colour UPS.iName\n",
		bad:  "name Bad\nvar battery.charge\n",
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct {
		args []string
		code int
		want []string
	}{
		{nil, 2, []string{"usage: nut subdriver"}},
		{[]string{"nonsense"}, 2, []string{"usage: nut subdriver"}},
		{[]string{"help"}, 0, []string{"usage: nut subdriver"}},
		{[]string{"check"}, 2, []string{"name the files"}},
		{[]string{"check", good}, 0, []string{"warning: " + good + ":5:5: ups.colour is no name of a variable", good + ": ACME HID 0.1: 2 rows for 1 device"}},
		{[]string{"check", good, bad}, 1, []string{"error: " + bad + ":2:5: var needs more words", "1 table of 2 cannot be used"}},
		{[]string{"check", filepath.Join(dir, "none.def")}, 1, []string{"no such file"}},
		{[]string{"list"}, 0, []string{"acme", good, "apc", "built in", "tripplite"}},
		{[]string{"show", "acme"}, 0, []string{"# " + good, "match usb 1234:0001"}},
		{[]string{"show", "hid/apc"}, 0, []string{"APC HID"}},
		{[]string{"show", "pdc"}, 0, []string{"usage   00840004 UPS", "enum    beeper"}},
		{[]string{"show", "tripplight"}, 1, []string{"there is no table tripplight (did you mean tripplite?)"}},
		{[]string{"converters"}, 0, []string{"kelvin ", "bcd-date "}},
		{[]string{"quirks"}, 0, []string{"hid     pollonly       no pipe"}},
		{[]string{"udev"}, 0, []string{`ATTR{idVendor}=="1234", ATTR{idProduct}=="0001", MODE="0660", GROUP="nut"`}},
		{[]string{"hwdb"}, 0, []string{"usb:v1234p0001*\n ID_AUTOSUSPEND=0\n NUT_DRIVER=usbhid-ups"}},
		{[]string{"hardware"}, 0, []string{"## ACME HID 0.1 (usbhid-ups, table hid/acme)", "- usb: `1234:0001`"}},
	}
	for _, test := range tests {
		out, code := runTool(t, dir, test.args...)
		if code != test.code {
			t.Errorf("nut subdriver %q ended with %d; want %d\n%s", test.args, code, test.code, out)
		}
		for _, w := range test.want {
			if !strings.Contains(out, w) {
				t.Errorf("nut subdriver %q printed %s; want %q in it", test.args, out, w)
			}
		}
	}
}

// What packages install is made from the tables; this fails when it is old.
func TestGeneratedFilesAreCurrent(t *testing.T) {
	lib := Load("hid", Embedded())
	for file, write := range map[string]func(*bytes.Buffer) error{
		"../../packaging/udev/62-gonut-usbups.rules": func(b *bytes.Buffer) error { return WriteUdev(b, USBDevices(lib)) },
		"../../packaging/udev/60-gonut-usbups.hwdb":  func(b *bytes.Buffer) error { return WriteHwdb(b, USBDevices(lib)) },
		"../../docs/hardware.md":                     func(b *bytes.Buffer) error { return WriteHardware(b, lib) },
	} {
		var want bytes.Buffer
		if err := write(&want); err != nil {
			t.Fatal(err)
		}
		if *update {
			if err := os.WriteFile(file, want.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		got, err := os.ReadFile(file)
		if err != nil || !bytes.Equal(got, want.Bytes()) {
			t.Errorf("%s is not what the tables say (%v); run go test ./internal/subdriver -update", file, err)
		}
	}
}

// The rules are made of keys that udev knows, jump to labels that are there, and give
// each device of the tables to the group of Debian's packages, once by usbfs and once
// by hidraw.
func TestUdevRulesAreRules(t *testing.T) {
	var b bytes.Buffer
	lib := Load("hid", Embedded())
	if err := WriteUdev(&b, USBDevices(lib)); err != nil {
		t.Fatal(err)
	}
	pair := regexp.MustCompile(`^(ACTION|SUBSYSTEM|ENV\{DEVTYPE\}|ATTRS?\{id(Vendor|Product)\}|MODE|GROUP|GOTO|LABEL)(==|=)"([^"]*)"$`)
	jumps, labels, given := map[string]bool{}, map[string]bool{}, map[string]int{}
	for line := range strings.Lines(b.String()) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		values := map[string]string{}
		for _, p := range strings.Split(line, ", ") {
			m := pair.FindStringSubmatch(p)
			if m == nil {
				t.Fatalf("%q is no rule", line)
			}
			values[strings.Replace(m[1], "ATTRS", "ATTR", 1)] = m[4]
		}
		jumps[values["GOTO"]], labels[values["LABEL"]] = true, true
		if id := values["ATTR{idVendor}"] + ":" + values["ATTR{idProduct}"]; len(id) > 1 {
			given[id]++
			if values["GROUP"] != "nut" || values["MODE"] != "0660" {
				t.Errorf("%q does not give the device to the group nut", line)
			}
		}
	}
	if !maps.Equal(jumps, labels) {
		t.Errorf("rules jump to %v; labels are %v", jumps, labels)
	}
	for _, table := range lib.Tables {
		for _, m := range table.Matches {
			for _, id := range m.IDs {
				if given[id] != 2 {
					t.Errorf("%s has %d rules; want 2", id, given[id])
				}
			}
		}
	}
}

// What is built in is read once, however often devices are opened; files are read again.
func TestBuiltInTablesAreReadOnce(t *testing.T) {
	first := Load("hid", Layers(t.TempDir()))
	if len(first.Tables) == 0 || Load("hid", Layers(t.TempDir())) != first || Load("hid", Embedded()) != first {
		t.Error("the built-in tables are read again")
	}
	files := fstest.MapFS{"hid/a.def": {Data: []byte("name A 1\nmatch usb 1234:0001\n")}}
	layers := append([]Layer{{Name: "/mine", FS: files}}, Embedded()...)
	if lib := Load("hid", layers); len(lib.Tables) != len(first.Tables)+1 {
		t.Errorf("%d tables with one file; want %d", len(lib.Tables), len(first.Tables)+1)
	}
	files["hid/a.def"].Data = []byte("name B 1\nmatch usb 1234:0001\n")
	if got := Load("hid", layers).Table("a").Title; got != "B" {
		t.Errorf("after the file was mended its table is %q; want B", got)
	}
	if lib := Load("hid", nil); len(lib.Tables) != 0 {
		t.Errorf("%d tables from nowhere", len(lib.Tables))
	}
}
