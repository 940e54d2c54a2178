package hidups

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gonut/internal/subdriver"
)

// strange declares no units, so that its voltage and frequency look too large, and
// talks of its load only by itself. Its maker's name has a line feed.
const strange = `device 1209:0001 0100
manufacturer "ACME \"Power\" #1\n"
product "Box"
string 3 "LiFe\nPO4"
descriptor 05 84 09 04 a1 01 09 24 a1 00 85 01 75 08 95 01 15 00 26 ff 00 05 85 09 89 b1 02 c0
descriptor 05 84 09 1a a1 00 85 02 75 10 27 ff ff 00 00 09 30 b1 02 09 32 b1 02 09 40 b1 02 c0
descriptor 09 1c a1 00 85 03 75 08 26 ff 00 09 35 81 02 c0 c0
feature 01 03
feature 02 fc 08 f3 01 e6 00
input 03 2a
`

func TestGuesses(t *testing.T) {
	names := subdriver.Load("hid", subdriver.Embedded()).Table("explore")
	l, err := Learn(t.Context(), played(t, strange), names, 50_000_000, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	text := l.Table()
	for _, want := range []string{
		"# ACME \"Power\" #1 Box: guessed from the standard;",
		"name    \"ACME \\\"Power\\\" \\#1 HID\" 0.1\n",
		"# now LiFePO4\n",
		"format=%.1f scale=1e-1     # now 2300, without the scale\n",
		"format=%.1f scale=1e-1     # now 499, without the scale\n",
		"format=%.0f poll=once      # now 230\n",
		"format=%.0f                # now 42\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the table lacks %q:\n%s", want, text)
		}
	}
	table, problems := subdriver.Parse("hid", "acme", "acme.def", strings.NewReader(text), func(string) (*subdriver.Table, error) { return names, nil })
	if len(problems) > 0 || table.Title != "ACME \"Power\" #1 HID" {
		t.Errorf("the table is called %q and has problems %v", table.Title, problems)
	}
}

func TestSerialNumbersAreRemoved(t *testing.T) {
	names := subdriver.Load("hid", subdriver.Embedded()).Table("explore")
	l, err := Learn(t.Context(), played(t, `device 1209:0001 0100
product "Box AB1234"
serial "AB1234"
string 3 "PACK99"
descriptor 05 84 09 04 a1 01 09 24 a1 00 85 01 75 08 95 01 15 00 26 ff 00 09 ff b1 02 05 85 75 10 27 ff ff 00 00 09 86 b1 02 09 66 b1 02 c0 c0
feature 01 03 39 30 2a 00
`), names, 0, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	l.Redact()
	r := l.Recording
	if r.Info.Serial != "000000" || r.Info.Product != "Box 000000" || r.Strings[3] != "000000" || string(r.Features[1]) != "\x01\x03\x00\x00\x2a\x00" {
		t.Errorf("the recording is %+v", r)
	}
	for _, v := range l.Fields {
		if strings.HasSuffix(v.Path, ".SerialNumber") && v.Value != 0 {
			t.Errorf("the field %s is left", v)
		}
	}
}

// A serial number that the device tells by itself is removed as well, and the report
// of the same id that holds something else stays as it is.
func TestSerialNumbersOfInputsAreRemoved(t *testing.T) {
	names := subdriver.Load("hid", subdriver.Embedded()).Table("explore")
	l, err := Learn(t.Context(), played(t, `device 1209:0001 0100
product "Box"
descriptor 05 84 09 04 a1 01 09 24 a1 00 85 01 75 08 95 01 15 00 26 ff 00 05 85 09 66 b1 02 09 68 b1 02 75 10 27 ff ff 00 00 09 86 81 02 c0 c0
feature 01 2a 07
input 01 39 30
`), names, 50*time.Millisecond, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	l.Redact()
	r := l.Recording
	if len(r.Inputs) != 1 || string(r.Inputs[0]) != "\x01\x00\x00" || string(r.Features[1]) != "\x01\x2a\x07" {
		t.Errorf("the recording is %x, %x", r.Inputs, r.Features)
	}
}

func TestTenfold(t *testing.T) {
	for _, test := range []struct {
		name string
		n    float64
		want int
	}{
		{"input.voltage", 230, 0}, {"input.voltage", 2300, -1}, {"output.voltage.nominal", 2.3e-5, 7}, {"input.voltage", 0, 0},
		{"input.frequency", 50, 0}, {"output.frequency", 5000, -2}, {"output.frequency", 700, 0}, {"battery.voltage", 1300, 0},
	} {
		if got := tenfold(test.name, test.n); got != test.want {
			t.Errorf("tenfold(%s, %g) = %d; want %d", test.name, test.n, got, test.want)
		}
	}
}

func TestTry(t *testing.T) {
	table := parsed(t, "name X 1\nuse pdc\nmatch usb 1234:0001\nvar ups.load UPS.Output.PercentLoad format=%.0f\n")
	var out strings.Builder
	if err := Try(t.Context(), table, "none.rec", &out); err == nil || !strings.Contains(err.Error(), "try none.rec: no such file") {
		t.Errorf("Try of nothing = %v; want no such file", err)
	}
	file := filepath.Join(t.TempDir(), "box.rec")
	if err := os.WriteFile(file, []byte(strange), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Try(t.Context(), table, file, &out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"No match line of the table is for 1209:0001", "\nups.load: 42\n", "\nmay be set: none\ncommands: none\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("Try prints %q; want %q in it", out.String(), want)
		}
	}
}
