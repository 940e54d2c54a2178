package usbhidups

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gonut/internal/hidups"
	"gonut/internal/program"
	"gonut/internal/subdriver"
	transport "gonut/internal/transport/hid"
	"gonut/test/devices/bench"
)

func learn(t *testing.T, rec *transport.Recording, args ...string) (string, int, *transport.Fake) {
	t.Helper()
	fake := transport.NewFake(rec)
	p := learnWith(func(*slog.Logger) transport.Opener { return fake })
	var out, errs bytes.Buffer
	err := p.Run(context.Background(), program.Env{Args: append([]string{"learn"}, args...), Stdout: &out, Stderr: &errs})
	code := program.Code(err, &errs)
	return out.String() + errs.String(), code, fake
}

func TestLearn(t *testing.T) {
	rec := bench.ReadRecording(t, "../../../test/devices/hid/apc-bk650m2-ch.rec")
	rec.Info.Serial = "9B20SECRET00"
	rec.Strings[3] = "9B20SECRET00"
	rec.Inputs = [][]byte{{0x16, 0x0e, 0, 0, 0}, {0x16, 0x0e, 0, 0, 0}, {0x0c, 0x64}}
	name := filepath.Join(t.TempDir(), "ups")
	out, code, fake := learn(t, rec, "-o", name, "-t", "0.05")
	if code != 0 {
		t.Fatalf("nut learn ended with %d: %s", code, out)
	}
	if w := fake.Writes(); len(w) > 0 {
		t.Errorf("nut learn wrote %v to the device", w)
	}
	for _, ending := range []string{".rec", ".txt", ".def"} {
		b, err := os.ReadFile(name + ending)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(b, []byte("SECRET")) {
			t.Errorf("%s has the serial number", ending)
		}
	}
	again := bench.ReadRecording(t, name+".rec")
	if len(again.Descriptor) != 743 || len(again.Features) != 42 || again.Strings[4] != "PbAc" || len(again.Inputs) != 2 {
		t.Errorf("the recording has %d bytes of descriptor, %d features, chemistry %q, %d inputs; want 743, 42, PbAc, 2",
			len(again.Descriptor), len(again.Features), again.Strings[4], len(again.Inputs))
	}
	fields, _ := os.ReadFile(name + ".txt")
	if want := "Path: UPS.PowerSummary.PresentStatus.ACPresent, Type: Feature, ReportID: 0x16, Offset: 2, Size: 1, Value: 1\n"; !strings.Contains(string(fields), want) {
		t.Errorf("the fields lack %s", want)
	}
	// The starter table is right as it is, and shows what the standard explains.
	table, problems := subdriver.LoadFile("hid", name+".def", subdriver.Embedded())
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	if ps := table.Check(hidups.Family()); len(ps) > 0 {
		t.Errorf("the starter table has warnings: %v", ps)
	}
	text, _ := os.ReadFile(name + ".def")
	for _, want := range []string{
		"match   usb 051d:0002\n", "UPS.PowerSummary.RemainingCapacity ", "# now 232", "flag    online/offline ",
		"cmd     load.off.delay ", "setting ups.delay.shutdown ", "# Path: UPS.ff860005.ff86007c, Type: Feature",
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the starter table lacks %q:\n%s", want, text)
		}
	}
}

func TestLearnFromARecording(t *testing.T) {
	file, err := filepath.Abs("../../../test/devices/hid/apc-backups-cs-500.rec")
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	if out, code, _ := learn(t, &transport.Recording{}, "-r", file); code != 0 {
		t.Fatalf("nut learn -r ended with %d: %s", code, out)
	}
	want := bench.ReadRecording(t, file)
	if got := bench.ReadRecording(t, "051d-0002.rec"); string(got.Descriptor) != string(want.Descriptor) || len(got.Features) < 10 {
		t.Errorf("the recording of a recording has %d bytes of descriptor and %d reports; want %d and more than 10", len(got.Descriptor), len(got.Features), len(want.Descriptor))
	}
	if out, code, _ := learn(t, &transport.Recording{}, "-r", "none.rec"); code != 1 || !strings.Contains(out, "none.rec: no such file") {
		t.Errorf("nut learn -r none.rec = %d, %s; want 1 and no such file", code, out)
	}
}

func TestLearnKeepsTheSerialNumberIfAsked(t *testing.T) {
	rec := bench.ReadRecording(t, "../../../test/devices/hid/apc-bk650m2-ch.rec")
	rec.Info.Serial = "KEEPME"
	name := filepath.Join(t.TempDir(), "ups")
	if out, code, _ := learn(t, rec, "-s", "-t", "0", "-o", name); code != 0 {
		t.Fatalf("nut learn ended with %d: %s", code, out)
	}
	if got := bench.ReadRecording(t, name+".rec").Info.Serial; got != "KEEPME" {
		t.Errorf("serial = %q; want KEEPME", got)
	}
}

// A table that somebody mended is not lost to a second nut learn.
func TestLearnKeepsFiles(t *testing.T) {
	name := filepath.Join(t.TempDir(), "ups")
	if err := os.WriteFile(name+".def", []byte("mended"), 0o600); err != nil {
		t.Fatal(err)
	}
	rec := bench.ReadRecording(t, "../../../test/devices/hid/apc-backups-cs-500.rec")
	if out, code, _ := learn(t, rec, "-t", "0", "-o", name); code != 0 {
		t.Fatalf("nut learn ended with %d: %s", code, out)
	}
	if b, err := os.ReadFile(name + ".def.1"); err != nil || string(b) != "mended" {
		t.Errorf("the file of before is %q, %v; want it as it was", b, err)
	}
}

func TestLearnErrors(t *testing.T) {
	keyboard := &transport.Recording{Descriptor: []byte{0x05, 0x01, 0x09, 0x06, 0xA1, 0x01, 0x09, 0x30, 0x75, 0x08, 0x95, 0x01, 0xB1, 0x02, 0xC0}}
	tests := []struct {
		args []string
		code int
		want string
	}{
		{[]string{"-h"}, 0, "usage: nut learn"},
		{[]string{"-z"}, 2, "usage: nut learn"},
		{[]string{"what"}, 2, `what is "what"?`},
		{[]string{"-t", "long"}, 2, "is not a number of seconds"},
		{[]string{"-x", "product=("}, 1, "option product"},
		{[]string{"-x", "colour=red"}, 2, "-x colour=red: want OPTION=VALUE, with one of the options vendorid, "},
		{[]string{"-x", "vendorid"}, 2, "-x vendorid: want OPTION=VALUE"},
		{[]string{"-x", "vendorid=1234"}, 1, "of the HID devices that are plugged in none matches: 0000:0000"},
		{nil, 1, "of the HID devices that match (1) none looks like a UPS"},
		{[]string{"-x", "vendorid=0000", "-x", "productid=0000", "-t", "0", "-o", filepath.Join(t.TempDir(), "key")}, 0, "It has 1 fields"},
	}
	for _, test := range tests {
		out, code, _ := learn(t, keyboard, test.args...)
		if code != test.code || !strings.Contains(out, test.want) {
			t.Errorf("nut learn %q = %d, %s; want %d, %s", test.args, code, out, test.code, test.want)
		}
	}
}

// Whatever the device, the table to begin with has no mistakes, and gives at least
// the condition of the line and a value.
func TestStarterTablesWork(t *testing.T) {
	lib := subdriver.Load("hid", subdriver.Embedded())
	recs := map[string]*transport.Recording{}
	for _, name := range []string{"apc-bk650m2-ch", "apc-backups-cs-500"} {
		recs[name] = bench.ReadRecording(t, "../../../test/devices/hid/"+name+".rec")
	}
	files, err := filepath.Glob("../../../test/devices/hid/*.model")
	if err != nil || len(files) == 0 {
		t.Fatalf("no models: %v", err)
	}
	for _, file := range files {
		recs[filepath.Base(file)] = &bench.ReadModel(t, file, lib).Recording
	}
	for name, rec := range recs {
		t.Run(name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			ids := []string{"-x", fmt.Sprintf("vendorid=%04x", rec.Info.VendorID), "-x", fmt.Sprintf("productid=%04x", rec.Info.ProductID)}
			if out, code, _ := learn(t, rec, append(ids, "-t", "0", "-o", "ups")...); code != 0 {
				t.Fatalf("nut learn ended with %d: %s", code, out)
			}
			var out bytes.Buffer
			tool := subdriver.Program(subdriver.Families{"hid": hidups.Family()})
			for _, args := range [][]string{{"check", "ups.def"}, {"try", "ups.def", "ups.rec"}} {
				err := tool.Run(t.Context(), program.Env{Args: append([]string{"subdriver"}, args...), Stdout: &out, Stderr: &out, Getenv: func(string) string { return "" }})
				if err != nil {
					t.Fatalf("nut subdriver %q = %v\n%s", args, err, out.String())
				}
			}
			table, _ := os.ReadFile("ups.def")
			for _, unwanted := range []string{"warning: ", "error: ", "No match line"} {
				if strings.Contains("\n"+out.String(), "\n"+unwanted) {
					t.Errorf("%q is said of the table:\n%s\n%s", unwanted, out.String(), table)
				}
			}
			fields, _ := os.ReadFile("ups.txt")
			if bytes.Contains(fields, []byte(".ACPresent, ")) && !strings.Contains(out.String(), "\nups.status: O") {
				t.Errorf("there is no ups.status:\n%s\n%s", out.String(), table)
			}
		})
	}
}
