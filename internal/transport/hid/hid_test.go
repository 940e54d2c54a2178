package hid

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
)

const sample = `# a device
device 051d:0002 0106
manufacturer "American Power Conversion"
product "Back-UPS 500 SN AB12"
serial "AB12"
interface 1
string 4 "PbAc"
string 5 "AB12 x"
descriptor 05 84 09 04
descriptor a101
feature 01 02
feature 16 0e 00
input 16 0c 00
`

func read(t testing.TB, text string) *Recording {
	t.Helper()
	rec, err := ReadRecording("sample", strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return rec
}

func TestRecordingRoundTrip(t *testing.T) {
	rec := read(t, sample)
	if got := rec.Info.String(); got != "051d:0002 (Back-UPS 500 SN AB12)" {
		t.Errorf("Info = %s; want 051d:0002 (Back-UPS 500 SN AB12)", got)
	}
	var first, second bytes.Buffer
	if err := rec.Write(&first); err != nil {
		t.Fatal(err)
	}
	if err := read(t, first.String()).Write(&second); err != nil {
		t.Fatal(err)
	}
	if first.String() != second.String() {
		t.Errorf("Write after Read = %s; want %s", second.String(), first.String())
	}
	if !strings.Contains(first.String(), "descriptor 05 84 09 04 a1 01\n") {
		t.Errorf("Write = %s; want the descriptor on one line", first.String())
	}
}

func TestRedactRemovesTheSerialEverywhere(t *testing.T) {
	rec := read(t, sample)
	rec.Features[9] = []byte("\x09AB12\x00")
	rec.Inputs = append(rec.Inputs, []byte("\x08xAB12"))
	rec.Redact(rec.Info.Serial)
	var b bytes.Buffer
	if err := rec.Write(&b); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(b.String(), "AB12") || !strings.Contains(b.String(), "feature 09 30 30 30 30 00") || !strings.Contains(b.String(), "input 08 78 30 30 30 30") {
		t.Errorf("after Redact the recording still has the serial:\n%s", b.String())
	}
	// A short one is taken only for itself.
	rec = &Recording{Info: Info{Serial: " 7", Product: "UPS 700"}, Strings: map[int]string{1: "7", 2: "17"}, Features: map[byte][]byte{7: {7, '7'}}}
	rec.Redact(rec.Info.Serial)
	if rec.Info.Serial != " 0" || rec.Info.Product != "UPS 700" || rec.Strings[1] != "0" || rec.Strings[2] != "17" || rec.Features[7][1] != '7' {
		t.Errorf("after Redact of a short serial the recording is %+v", rec)
	}
}

func TestReadRecordingErrors(t *testing.T) {
	for line, want := range map[string]string{
		"colour red":         `sample:2: "colour" says nothing`,
		"device 051d":        "sample:2: device: want",
		"product APC":        "sample:2: APC is not a text in quotes",
		"string x \"y\"":     `sample:2: string: "x" is not an index`,
		"feature 0":          "sample:2: feature:",
		"input":              "sample:2: input: no bytes",
		"interface one":      "sample:2: interface:",
		"string 1 unquoted ": "sample:2: unquoted is not",
	} {
		_, err := ReadRecording("sample", strings.NewReader("\n"+line+"\n"))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ReadRecording(%q) = %v; want %q", line, err, want)
		}
	}
}

func TestMatcher(t *testing.T) {
	info := Info{VendorID: 0x051D, ProductID: 2, Manufacturer: "APC", Product: "Back-UPS ES 700", Serial: "5B0", Bus: "001", Device: "004", BusPort: "003"}
	tests := []struct {
		options map[string]string
		want    bool
	}{
		{nil, true},
		{map[string]string{"vendorid": "051D"}, true},
		{map[string]string{"vendorid": "051d", "productid": "0003"}, false},
		{map[string]string{"product": "back-ups.*700"}, true},
		{map[string]string{"product": "back-ups"}, false},
		{map[string]string{"product": "Back|Back-UPS ES 700"}, true},
		{map[string]string{"serial": "^5B$"}, false},
		{map[string]string{"bus": "001", "device": "004", "busport": "003"}, true},
		{map[string]string{"busport": "002"}, false},
	}
	for _, test := range tests {
		m, err := NewMatcher(func(o string) string { return test.options[o] })
		if err != nil {
			t.Fatal(err)
		}
		if got := m.Match(info); got != test.want {
			t.Errorf("Match(%v) = %t; want %t", test.options, got, test.want)
		}
	}
	if _, err := NewMatcher(func(string) string { return "(" }); err == nil {
		t.Error("NewMatcher takes a broken expression")
	}
	moved := info
	moved.Bus, moved.Device = "002", "009"
	other := info
	other.Serial = "5B1"
	exact := Matcher{Exact: &info}
	if !exact.Match(moved) || exact.Match(other) {
		t.Error("Exact does not accept the same device elsewhere, or accepts another one")
	}
	if (Matcher{Accept: func(Info) bool { return false }}).Match(info) {
		t.Error("Accept is not asked")
	}
}

func TestFake(t *testing.T) {
	ctx := context.Background()
	f := NewFake(read(t, sample))
	if _, err := f.Open(ctx, Matcher{Exact: &Info{}}, DefaultTuning()); !errors.Is(err, ErrGone) {
		t.Errorf("Open of another device = %v; want ErrGone", err)
	}
	c, err := f.Open(ctx, Matcher{}, DefaultTuning())
	if err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 8)
	if n, err := c.Get(ctx, Feature, 0x16, buf); n != 3 || err != nil {
		t.Errorf("Get = %d, %v; want 3", n, err)
	}
	if _, err := c.Get(ctx, Feature, 0x17, buf); !errors.Is(err, ErrStall) {
		t.Errorf("Get of an unknown report = %v; want ErrStall", err)
	}
	if err := c.Set(ctx, Feature, 1, []byte{1, 9}); err != nil {
		t.Fatal(err)
	}
	if n, err := c.Get(ctx, Feature, 1, buf); n != 2 || buf[1] != 9 || err != nil {
		t.Errorf("Get after Set = % x, %v; want 01 09", buf[:n], err)
	}
	if w := f.Writes(); len(w) != 1 || w[0].String() != "feature 01 09" {
		t.Errorf("Writes = %v; want feature 01 09", w)
	}
	if n, err := c.Input(ctx, buf); n != 3 || err != nil {
		t.Errorf("Input = %d, %v; want the recorded report", n, err)
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := c.Input(ended, buf); !errors.Is(err, ErrTimeout) {
		t.Errorf("second Input = %v; want ErrTimeout", err)
	}
	f.Unplug()
	if _, err := c.Get(ctx, Feature, 1, buf); !errors.Is(err, ErrGone) {
		t.Errorf("Get from an unplugged device = %v; want ErrGone", err)
	}
}

func FuzzReadRecording(f *testing.F) {
	f.Add(sample)
	f.Fuzz(func(t *testing.T, text string) {
		rec, err := ReadRecording("fuzz", strings.NewReader(text))
		if err != nil {
			return
		}
		var first, second bytes.Buffer
		if rec.Write(&first) != nil {
			t.Fatal("Write fails on a buffer")
		}
		again, err := ReadRecording("again", bytes.NewReader(first.Bytes()))
		if err != nil {
			t.Fatalf("what Write wrote cannot be read: %v\n%s", err, first.String())
		}
		if again.Write(&second); first.String() != second.String() {
			t.Fatalf("round trip changed %q to %q", first.String(), second.String())
		}
	})
}
