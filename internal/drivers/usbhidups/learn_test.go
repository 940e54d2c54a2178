package usbhidups

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gonut/internal/program"
	"gonut/internal/subdriver"
	transport "gonut/internal/transport/hid"
)

func readRecording(t *testing.T, file string) *transport.Recording {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rec, err := transport.ReadRecording(file, f)
	if err != nil {
		t.Fatal(err)
	}
	return rec
}

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
	rec := readRecording(t, "../../../test/devices/hid/apc-bk650m2-ch.rec")
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
	again := readRecording(t, name+".rec")
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
	if ps := table.Check(nil); len(ps) > 0 {
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

func TestLearnKeepsTheSerialNumberIfAsked(t *testing.T) {
	rec := readRecording(t, "../../../test/devices/hid/apc-bk650m2-ch.rec")
	rec.Info.Serial = "KEEPME"
	name := filepath.Join(t.TempDir(), "ups")
	if out, code, _ := learn(t, rec, "-s", "-t", "0", "-o", name); code != 0 {
		t.Fatalf("nut learn ended with %d: %s", code, out)
	}
	if got := readRecording(t, name+".rec").Info.Serial; got != "KEEPME" {
		t.Errorf("serial = %q; want KEEPME", got)
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
		{[]string{"-x", "vendorid=1234"}, 1, "no such device"},
		{nil, 1, "1 HID devices match, and none of them is a UPS"},
	}
	for _, test := range tests {
		out, code, _ := learn(t, keyboard, test.args...)
		if code != test.code || !strings.Contains(out, test.want) {
			t.Errorf("nut learn %q = %d, %s; want %d, %s", test.args, code, out, test.code, test.want)
		}
	}
}
