package subdriver

import (
	"errors"
	"math"
	"testing"
	"time"
)

func TestConverters(t *testing.T) {
	other := map[string]string{"ups.date": "2024/02/29", "ups.time": "13:14:15"}
	c := &conversion{row: &Row{}, lookup: func(n string) (string, bool) { v, ok := other[n]; return v, ok }, now: time.Now}
	noon := float64(time.Date(2024, 2, 29, 13, 14, 15, 0, time.Local).Unix())
	tests := []struct {
		as    string
		value Value
		want  string // empty: no value
	}{
		{"text", Value{Text: "PbAc", IsText: true}, "PbAc"},
		{"text", Value{Text: " \x00", IsText: true}, ""},
		{"string-index", Value{Text: "Li-ion", IsText: true}, "Li-ion"},
		{"kelvin", Value{Number: 303}, "29.9"},
		{"kelvin", Value{Number: 273}, "-0.1"},
		{"kelvin", Value{Number: 373}, "99.9"},
		{"kelvin", Value{Number: 31}, "31.0"}, // HP says kelvin and sends Celsius
		{"kelvin", Value{Number: -10}, "-10.0"},
		{"kelvin", Value{Number: 374}, ""},
		{"kelvin", Value{Number: 263}, "-10.1"}, // in the cold, not hotter than an oven
		{"kelvin", Value{Number: 173}, "-100.1"},
		{"kelvin", Value{Number: 172}, ""},
		{"kelvin", Value{Number: 101}, ""},
		{"kelvin", Value{Number: 100}, "100.0"},
		{"date", Value{Number: 1}, ""},     // Back-UPS XS 1200
		{"date", Value{Number: 65535}, ""}, // a month 15
		{"date", Value{Number: -1}, ""},
		{"date", Value{Number: 20489}, ""}, // a month 0
		{"date", Value{Number: 20574}, ""}, // February 30
		{"date", Value{Number: 1<<17 + 33}, ""},
		{"bcd-date", Value{Number: 0x023024}, ""},
		{"bcd-date", Value{Number: 0x000003}, ""},
		{"kelvin", Value{Number: -272}, ""},
		{"hex", Value{Number: 0xBEEF}, "0000beef"},
		{"percent", Value{Number: 98.6}, "99%"},
		{"minutes", Value{Number: 95}, "5700"},
		{"minutes", Value{Number: -1}, "-1"},
		{"ticks", Value{Number: 6000}, "60"},
		{"date", Value{Number: 10785}, "2001/01/01"},
		{"date", Value{Number: 20648}, "2020/05/08"},
		{"date", Value{Number: 0}, "not set"},
		{"bcd-date", Value{Number: 0x102202}, "2002/10/22"},
		{"bcd-date", Value{Number: 0x070304}, "2004/07/03"},
		{"bcd-date", Value{Number: 0x123199}, "1999/12/31"},
		{"bcd-date", Value{Number: 0}, "not set"},
		{"bcd-date", Value{Number: 0xFFFFFF}, ""},
		{"epoch-date", Value{Number: noon}, "2024/02/29"},
		{"epoch-time", Value{Number: noon}, "13:14:15"},
		{"us-date", Value{Text: "09/14/2009", IsText: true}, "2009/09/14"},
		{"us-date", Value{Text: "soon", IsText: true}, "soon"},
		{"mac", Value{Bytes: []byte{2, 0, 0x5E, 16, 0, 255}}, "02:00:5e:10:00:ff"},
		{"mac", Value{Bytes: []byte{2, 0, 0x5E, 16, 0, 255, 0, 0}}, "02:00:5e:10:00:ff"},
		{"mac", Value{}, ""},
		{"ip", Value{Bytes: []byte{192, 168, 1, 10}}, "192.168.1.10"},
		{"ip", Value{Bytes: []byte{192, 168}}, ""},
		{"count32", Value{Bytes: []byte{1, 2, 0, 128}}, "2147484161"},
		{"count32", Value{Bytes: []byte{1, 2, 0}}, ""},
		{"ascii-number", Value{Bytes: []byte(" 13.7 2")}, "13.7"},
		{"ascii-number", Value{Bytes: []byte("2 none")}, ""},
		{"version", Value{Number: 0x1203}, "v1.2b03"},
		{"revision", Value{Number: 0x0207}, "rev.Bv07"},
		{"revision", Value{Number: 0x0007}, "rev.0v07"},
		{"revision", Value{Number: 0xFF00}, ""},
		{"minsec", Value{Number: 0x0114}, "80"},
		{"minsec", Value{Number: 0x0154}, "80"}, // with the flag that the seconds share their byte with
		{"secmin", Value{Number: 0x1401}, "80"},
		{"swapmin", Value{Number: 0x0200}, "120"},
	}
	for _, test := range tests {
		got, err := converters()[test.as].read(c, test.value)
		if err != nil && !errors.Is(err, errNoValue) || got != test.want {
			t.Errorf("%s of %+v = %q, %v; want %q", test.as, test.value, got, err, test.want)
		}
	}
}

// Each converter that can write has to give back what it read.
func TestConvertersHaveTheirInverse(t *testing.T) {
	other := map[string]string{"ups.date": "2024/02/29", "ups.time": "13:14:15"}
	c := &conversion{row: &Row{}, lookup: func(n string) (string, bool) { v, ok := other[n]; return v, ok }, now: time.Now}
	noon := float64(time.Date(2024, 2, 29, 13, 14, 15, 0, time.Local).Unix())
	values := map[string][]float64{
		"kelvin": nil, // reads two units and writes one
		"hex":    {0, 1, 0xDEADBEEF}, "percent": {0, 50, 100}, "minutes": {0, 1, 95}, "ticks": {0, 100, 6000},
		"date": {33, 10785, 20648, 65439}, "bcd-date": {0x102202, 0x123199, 0x010170},
		"epoch-date": {noon}, "epoch-time": {noon},
		"minsec": {0x0114, 0x0000, 0x3B3B}, "secmin": {0x1401, 0x3B3B}, "swapmin": {0x0200, 0x0001},
	}
	for name, conv := range converters() {
		if conv.write == nil {
			continue
		}
		tests, ok := values[name]
		if !ok {
			t.Errorf("no values to test the inverse of %s", name)
		}
		for _, v := range tests {
			text, err := conv.read(c, Value{Number: v})
			if err != nil {
				t.Errorf("%s of %v: %v", name, v, err)
			}
			if back, err := conv.write(c, text); err != nil || back != v {
				t.Errorf("%s: %v becomes %q becomes %v, %v", name, v, text, back, err)
			}
		}
		if _, err := conv.write(c, "no such thing"); err == nil {
			t.Errorf("%s writes \"no such thing\" without an error", name)
		}
	}
}

func TestConvertersRefuseWhatTheDeviceCannotHold(t *testing.T) {
	c := &conversion{row: &Row{}, lookup: func(string) (string, bool) { return "", false }}
	for _, test := range []struct{ as, text string }{
		{"date", "1979/12/31"}, {"date", "2108/01/01"}, {"date", "2024/02/30"}, {"bcd-date", "2070/01/01"},
		{"minsec", "-1"}, {"minsec", "15360"}, {"secmin", "99999"}, {"swapmin", "1e9"}, {"hex", "123456789"},
		{"epoch-date", "2024/01/01"}, {"epoch-time", "12:00:00"}, // the other half is unknown
	} {
		if n, err := converters()[test.as].write(c, test.text); err == nil {
			t.Errorf("%s writes %q as %v; want an error", test.as, test.text, n)
		}
	}
}

func TestWritingMinutesRoundsUp(t *testing.T) {
	for text, want := range map[string]float64{"0": 0, "1": 1, "60": 1, "61": 2, "-1": -1} {
		if got, err := writeMinutes(nil, text); err != nil || got != want {
			t.Errorf("writeMinutes(%s) = %v, %v; want %v", text, got, err, want)
		}
	}
}

func TestExpr(t *testing.T) {
	e := &env{value: 9, consts: map[string]float64{"scale": 0.5}, lookup: func(n string) (string, bool) {
		v, ok := map[string]string{"ups.load": "25", "text": "abc"}[n]
		return v, ok
	}}
	nan := math.NaN()
	tests := []struct {
		text string
		want float64
	}{
		{"1 + 2 * 3", 7}, {"(1 + 2) * 3", 9}, {"10 - 2 - 3", 5}, {"7 / 2", 3.5}, {"7 % 4", 3}, {"-3 + 1", -2}, {"2 * -3", -6},
		{"value", 9}, {"value * $scale", 4.5}, {"{ups.load} * 2", 50}, {"{ups.none:7}", 7}, {"{ups.none}", nan},
		{"{text}", nan}, {"1 + {ups.none}", nan}, {"$none", nan}, {"known({ups.none}, 3)", 3}, {"known(4, 3)", 4},
		{"1 < 2", 1}, {"2 <= 1", 0}, {"3 == 3 && 4 != 4", 0}, {"0 || 2", 1}, {"!0", 1}, {"!5", 0}, {"!{ups.none}", nan},
		{"0x1F & 0x0A", 10}, {"1 | 6", 7}, {"1 << 4", 16}, {"256 >> 4", 16}, {"1e-7 * 1e8", 10}, {"0.5e+1", 5},
		{"1 ? 2 : 3", 2}, {"0 ? 2 : 1 ? 5 : 6", 5}, {"{ups.none} ? 1 : 2", nan},
		{"min(3, 1, 2)", 1}, {"max(3, 1)", 3}, {"abs(-2)", 2}, {"round(2.5)", 3}, {"floor(2.9)", 2}, {"abs(value - 10) < 2", 1},
	}
	for _, test := range tests {
		x, err := ParseExpr(test.text)
		if err != nil {
			t.Errorf("ParseExpr(%s): %v", test.text, err)
			continue
		}
		got := x.eval(e)
		if got != test.want && !(math.IsNaN(got) && math.IsNaN(test.want)) {
			t.Errorf("%s = %v; want %v", test.text, got, test.want)
		}
	}
	for _, bad := range []string{"", "1 +", "(1", "foo(1)", "foo", "{", "{}", "{a:b}", "$", "1 2", "1 ? 2", "min(1", "min(1 2)", "0xZZ", "'a'"} {
		if _, err := ParseExpr(bad); err == nil {
			t.Errorf("ParseExpr(%q) gives no error", bad)
		}
	}
}

func TestCurve(t *testing.T) {
	c := &Curve{Points: []Point{{1, 12}, {2, 18}, {10, 120}}}
	for x, want := range map[float64]float64{0: 12, 1: 12, 1.5: 15, 2: 18, 6: 69, 10: 120, 99: 120} {
		if got := c.at(x); got != want {
			t.Errorf("at(%v) = %v; want %v", x, got, want)
		}
	}
	for y, want := range map[float64]float64{0: 1, 12: 1, 15: 1.5, 18: 2, 120: 10, 500: 10} {
		if got := c.inverse(y); got != want {
			t.Errorf("inverse(%v) = %v; want %v", y, got, want)
		}
	}
}

func FuzzExpr(f *testing.F) {
	for _, s := range []string{"1 + {a:2} * $x", "min(1, value) ? 2 : -3", "known({a}, 1) && !0", "((((1))))", "1e-7"} {
		f.Add(s)
	}
	e := &env{lookup: func(string) (string, bool) { return "1", true }}
	f.Fuzz(func(t *testing.T, text string) {
		if x, err := ParseExpr(text); err == nil {
			x.eval(e)
		}
	})
}
