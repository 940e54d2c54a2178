package hid

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	transport "gonut/internal/transport/hid"
)

const devices = "../../test/devices/hid"

func recording(t testing.TB, name string) *transport.Recording {
	t.Helper()
	f, err := os.Open(filepath.Join(devices, name+".rec"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rec, err := transport.ReadRecording(name+".rec", f)
	if err != nil {
		t.Fatal(err)
	}
	return rec
}

// The files *.fields hold what C's usbhid-ups in explore mode printed about the
// same descriptor and reports, path for path.
func TestRecordingsGiveTheFieldsThatCSaw(t *testing.T) {
	for _, name := range []string{"apc-bk650m2-ch", "apc-backups-cs-500"} {
		rec := recording(t, name)
		d, err := Parse(rec.Descriptor)
		if err != nil {
			t.Errorf("Parse(%s) = %v; want no error", name, err)
		}
		want := fieldLines(t, name)
		if len(d.Fields) != len(want) {
			t.Errorf("Parse(%s) found %d fields; want %d", name, len(d.Fields), len(want))
		}
		var cache Cache
		for i, f := range d.Fields {
			data := rec.Features[f.Report]
			report := cache.Store(f.Report, data, d.Length(f.Report))
			v, ok := f.Value(report)
			if !ok {
				t.Errorf("%s: field %d is not in its report of %d bytes", name, i, len(report))
			}
			got := fmt.Sprintf("%s %s %02x %d %d %s", f.Path.Text(hexName), f.Kind, f.Report, f.Offset, f.Size, strconv.FormatFloat(math.Round(v*1e9)/1e9, 'f', -1, 64))
			if i < len(want) && got != want[i] {
				t.Errorf("%s: field %d = %s; want %s", name, i, got, want[i])
			}
		}
	}
}

func hexName(u Usage) string { return fmt.Sprintf("%08x", uint32(u)) }

func fieldLines(t *testing.T, name string) []string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(devices, name+".fields"))
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for s := bufio.NewScanner(bytes.NewReader(b)); s.Scan(); {
		if !strings.HasPrefix(s.Text(), "#") {
			lines = append(lines, s.Text())
		}
	}
	return lines
}

// The vectors are those by which C NUT checks its own bit extraction.
func TestLogical(t *testing.T) {
	tests := []struct {
		report       string
		offset, size int
		min, max     int64
		want         int64
	}{
		{"00 ff ff ff ff", 0, 32, -1, 2147483647, -1},
		{"00 ff", 0, 8, -1, 127, -1},
		{"00 ff", 0, 8, 0, 127, 127},
		{"00 ff", 0, 8, 0, 255, 255},
		{"13 14", 0, 8, 0, 255, 20},
		{"0f 17 09", 0, 16, 0, 65535, 2327},
		{"33 00 0a 08 80", 0, 32, 0, 65535, 2560},
		{"00 00 08 00 00", 0, 32, 0, 65535, 2048},
		{"06 00 00 08", 0, 8, 0, 255, 0},
		{"06 00 00 08", 8, 8, 0, 255, 0},
		{"06 00 00 08", 16, 8, 0, 255, 8},
		{"16 0c 00 00 00", 0, 1, 0, 1, 0},
		{"16 0c 00 00 00", 1, 1, 0, 1, 0},
		{"16 0c 00 00 00", 2, 1, 0, 1, 1},
		{"16 0c 00 00 00", 3, 1, 0, 1, 1},
		{"16 0c 00 00 00", 4, 1, 0, 1, 0},
		{"16 0c 00 00 00", 10, 1, 0, 1, 0},
		{"0c 64 11 0d", 8, 16, 0, 65535, 3345},
		{"01 80 ff", 0, 16, -32768, 32767, -128},
		{"01 c8", 0, 8, 0, 100, 72},  // rubbish above the bits that 100 needs
		{"01 7f", 0, 8, 0, 100, 100}, // kept within the range
		{"01 02", 0, 8, 5, 100, 5},   // from below as well
		{"01 e4", 2, 3, 0, 7, 1},     // across a byte's middle
		{"01 80 01", 7, 2, 0, 3, 3},  // across two bytes
		{"01 00 00 00 80", 0, 32, math.MinInt32, math.MaxInt32, math.MinInt32},
	}
	for _, test := range tests {
		f := Field{Offset: test.offset, Size: test.size, LogMin: test.min, LogMax: test.max}
		got, ok := f.Logical(unhex(t, test.report))
		if !ok || got != test.want {
			t.Errorf("Logical(%s, offset %d, size %d, %d..%d) = %d, %t; want %d",
				test.report, test.offset, test.size, test.min, test.max, got, ok, test.want)
		}
	}
}

func TestLogicalOfShortReport(t *testing.T) {
	f := Field{Offset: 8, Size: 16, LogMax: 65535}
	if v, ok := f.Logical([]byte{1, 2, 3}); ok {
		t.Errorf("Logical of a report that lacks the field = %d, true; want false", v)
	}
}

func unhex(t testing.TB, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(text), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestPhysical(t *testing.T) {
	tests := []struct {
		name  string
		field Field
		raw   int64
		want  float64
	}{
		{"volt at 10^5", Field{Unit: 0x00F0D121, Exponent: 5, LogMax: 65534}, 1358, 13.58},
		{"volt at 10^7", Field{Unit: 0x00F0D121, Exponent: 7, LogMax: 300}, 232, 232},
		{"volt without exponent", Field{Unit: 0x00F0D121, LogMax: 300}, 12, 0.0000012},
		{"watt", Field{Unit: 0xD121, Exponent: 7, LogMax: 65535}, 390, 390},
		{"kelvin", Field{Unit: 0x00010001, LogMax: 1000}, 298, 298},
		{"hertz with tenths", Field{Unit: 0xF001, Exponent: -1, LogMax: 1000}, 500, 50},
		{"ampere with hundredths", Field{Unit: 0x00100001, Exponent: -2, LogMax: 5000}, 123, 1.23},
		{"unknown unit", Field{Unit: 0x12345678, Exponent: 2, LogMax: 100}, 3, 300},
		{"physical range", Field{LogMax: 255, PhyMin: 0, PhyMax: 510, HasPhysical: true}, 100, 200},
		{"physical range of zeros", Field{LogMax: 255, HasPhysical: true}, 100, 100},
		{"physical range upside down", Field{LogMax: 255, PhyMin: 5, PhyMax: 1, HasPhysical: true}, 100, 100},
		{"one limit only", Field{LogMax: 255, PhyMax: 510}, 100, 100},
	}
	for _, test := range tests {
		if got := test.field.Physical(test.raw); math.Abs(got-test.want) > 1e-12*math.Abs(test.want) {
			t.Errorf("%s: Physical(%d) = %v; want %v", test.name, test.raw, got, test.want)
		}
		test.field.Flags, test.field.Size = 2, 32
		if back, err := test.field.ToLogical(test.want); err != nil || back != test.raw {
			t.Errorf("%s: ToLogical(%v) = %d, %v; want %d", test.name, test.want, back, err, test.raw)
		}
	}
}

func TestToLogical(t *testing.T) {
	f := Field{Size: 8, LogMax: 100, Flags: 0xA2}
	for _, test := range []struct {
		v    float64
		want int64
	}{{-1, -1}, {99.6, 100}, {200, 200}, {20, 20}} {
		if got, err := f.ToLogical(test.v); err != nil || got != test.want {
			t.Errorf("ToLogical(%v) = %d, %v; want %d", test.v, got, err, test.want)
		}
	}
	for _, v := range []float64{math.NaN(), math.Inf(1), 256, -2, -129, 1e30} {
		if got, err := f.ToLogical(v); err == nil {
			t.Errorf("ToLogical(%v) = %d; want an error", v, got)
		}
	}
	// 65535 would arrive as -1, which stops what it should start.
	signed := Field{Size: 16, LogMin: -1, LogMax: 600, Flags: 0xA2}
	for _, test := range []struct {
		v  float64
		ok bool
	}{{-1, true}, {32767, true}, {32768, false}, {65535, false}, {-32768, true}, {-32769, false}} {
		if got, err := signed.ToLogical(test.v); (err == nil) != test.ok {
			t.Errorf("ToLogical(%v) of a field with a sign = %d, %v; want success: %t", test.v, got, err, test.ok)
		}
	}
	for exponent, want := range map[int]int64{0: -1, 1: -1, -1: -1} {
		f := Field{Size: 16, LogMax: 65535, Unit: 0x1001, Exponent: exponent, Flags: 0xA2}
		if got, err := f.ToLogical(-1); got != want || err != nil {
			t.Errorf("ToLogical(-1) with exponent %d = %d, %v; want %d", exponent, got, err, want)
		}
	}
	tens := Field{Size: 16, LogMin: -1, LogMax: 600, Unit: 0x1001, Exponent: 1, Flags: 0xA2}
	if got, err := tens.ToLogical(-1); got != -1 || err != nil {
		t.Errorf("ToLogical(-1) of tens of seconds = %d, %v; want -1", got, err)
	}
	// A range of physical numbers that begins at 0 does not make "now" of "never".
	ranged := Field{Size: 16, LogMax: 65535, PhyMax: 65535, HasPhysical: true, Flags: 0xA2}
	for _, test := range []struct {
		v    float64
		want int64
		ok   bool
	}{{-1, -1, true}, {0, 0, true}, {20, 20, true}, {-5, 0, false}, {70000, 65535, true}} {
		if got, err := ranged.ToLogical(test.v); got != test.want || (err == nil) != test.ok {
			t.Errorf("ToLogical(%v) of a field with a physical range = %d, %v; want %d", test.v, got, err, test.want)
		}
	}
	f.Flags = flagConstant
	if _, err := f.ToLogical(1); !errors.Is(err, ErrReadOnly) {
		t.Errorf("ToLogical on a constant = %v; want ErrReadOnly", err)
	}
}

func TestPutChangesOnlyItsBits(t *testing.T) {
	f := Field{Offset: 3, Size: 10, LogMin: -1, LogMax: 500, Flags: 2}
	report := unhex(t, "07 ff ff ff")
	if !f.Put(report, 0x155) {
		t.Fatal("Put reports false for a field that fits")
	}
	if got := hex.EncodeToString(report); got != "07afeaff" {
		t.Errorf("report after Put = %s; want 07afeaff", got)
	}
	if v, _ := f.Logical(report); v != 0x155 {
		t.Errorf("Logical after Put(0x155) = %#x; want 0x155", v)
	}
	f.Put(report, -1)
	if v, _ := f.Logical(report); v != -1 {
		t.Errorf("Logical after Put(-1) = %d; want -1", v)
	}
}

func TestAllOnesAndNull(t *testing.T) {
	tests := []struct {
		field           Field
		report          string
		allOnes, isNull bool
	}{
		{Field{Size: 16, LogMax: 65535}, "01 ff ff", true, false},
		{Field{Size: 16, LogMax: 65534}, "01 ff ff", true, false},
		{Field{Size: 16, LogMin: -1, LogMax: 32767}, "01 ff ff", false, false},
		{Field{Size: 16, LogMin: -1, LogMax: 65535}, "01 ff ff", true, false}, // no bit is left for a sign
		{Field{Size: 16, LogMin: -1, LogMax: 65535}, "01 fe ff", false, false},
		{Field{Size: 16, LogMax: 65535}, "01 fe ff", false, false},
		{Field{Size: 1, LogMax: 1}, "01 01", false, false},
		{Field{Size: 8, LogMax: 100, Flags: flagNull}, "01 80", false, true},
		{Field{Size: 8, LogMax: 100, Flags: flagNull}, "01 32", false, false},
		{Field{Size: 8, LogMax: 100}, "01 80", false, false},
	}
	for _, test := range tests {
		report := unhex(t, test.report)
		if got := test.field.AllOnes(report); got != test.allOnes {
			t.Errorf("AllOnes(%+v, %s) = %t; want %t", test.field, test.report, got, test.allOnes)
		}
		if got := test.field.Null(report); got != test.isNull {
			t.Errorf("Null(%+v, %s) = %t; want %t", test.field, test.report, got, test.isNull)
		}
	}
}

func TestParseKeepsStateAsTheClassSays(t *testing.T) {
	// Two numbered collections; the state is pushed and popped; a usage brings its
	// own page; a range names three bits; padding only takes room.
	d, err := Parse(unhex(t, `0584 0904 a101 8501 7508 9501 1500 26ff00
		a4 7510 2764000000 0956 b102 b4
		0935 b102
		091f a182 0940 b102 c0
		0b660085 00 b102
		7501 9503 1944 2945 1944 2946 2501 8102 9505 8101
		c0`))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range d.Fields {
		got = append(got, fmt.Sprintf("%s %s @%d+%d %d..%d", f.Path.Text(func(Usage) string { return "" }), f.Kind, f.Offset, f.Size, f.LogMin, f.LogMax))
	}
	want := []string{
		"00840004.00840056 Feature @0+16 0..100",
		"00840004.00840035 Feature @16+8 0..255",
		"00840004.0084001f.[2].00840040 Feature @24+8 0..255",
		"00840004.00850066 Feature @32+8 0..255",
		"00840004.00840044 Input @0+1 0..1",
		"00840004.00840045 Input @1+1 0..1",
	}
	if len(got) < len(want) {
		t.Fatalf("Parse found %q; want %q", got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("field %d = %s; want %s", i, got[i], want[i])
		}
	}
	if n := d.Length(1); n != 6 {
		t.Errorf("Length(1) = %d; want 6", n)
	}
	if n := d.Length(9); n != 0 {
		t.Errorf("Length of an unknown report = %d; want 0", n)
	}
}

// Usages between delimiters are names for one field: the others do not move on.
func TestParseTakesTheFirstOfADelimitedSet(t *testing.T) {
	for text, want := range map[string]string{
		"05 84 09 04 a1 01 75 08 95 02 a9 01 09 30 09 31 a9 00 09 32 b1 02 c0": "00840004.00840030@0 00840004.00840032@8",
		"05 84 09 04 a1 01 75 08 95 02 09 30 a9 01 19 31 29 33 a8 b1 02 c0":    "00840004.00840030@0 00840004.00840031@8",
		"05 84 09 04 a1 01 75 08 95 02 a9 01 a9 00 a9 00 09 30 b1 02 c0":       "00840004.00840030@0",
		"05 84 09 04 a1 01 75 08 95 01 a9 01 09 30 b1 02 09 31 a9 00 b1 02 c0": "00840004.00840030@0 00840004.00840031@8",
		"05 84 a9 01 09 04 09 05 a9 00 a1 01 75 08 95 02 09 30 09 31 b1 02 c0": "00840004.00840030@0 00840004.00840031@8",
		"05 84 09 04 a1 01 75 08 95 03 a9 01 09 30 09 31 09 32 b1 02 a9 00 c0": "00840004.00840030@0 00840004.00840031@8 00840004.00840032@16",
	} {
		d, err := Parse(unhex(t, text))
		var got []string
		for _, f := range d.Fields {
			got = append(got, fmt.Sprintf("%s@%d", f.Path.Text(func(Usage) string { return "" }), f.Offset))
		}
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("Parse(%s) = %v, %v; want %s", text, got, err, want)
		}
	}
}

func TestParseRepairsUnsignedMaximum(t *testing.T) {
	d, err := Parse(unhex(t, "0584 0904 a101 8501 7508 9501 1500 25ff 0935 b102 c0"))
	if err != nil {
		t.Fatal(err)
	}
	if f := d.Fields[0]; f.LogMax != 255 || !f.AssumedMax {
		t.Errorf("maximum = %d, assumed %t; want 255, true", f.LogMax, f.AssumedMax)
	}
}

func TestParseErrors(t *testing.T) {
	tests := []struct{ descriptor, want string }{
		{"05", "item at byte 0: descriptor ends early"},
		{"0584 0904 a101", "1 collections are not ended"},
		{"fe0500", "descriptor ends early"},
		{"7510 97ffffff7f b102", "report 0x00 is too long"},
		{strings.Repeat("a100", maxDepth+1), "too deep"},
		{strings.Repeat("a4", maxDepth+1), "too many states"},
		{strings.Repeat("0901", maxUsagesPerItem+1), "too many usages"},
	}
	for _, test := range tests {
		_, err := Parse(unhex(t, test.descriptor))
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("Parse(%.20s) = %v; want an error with %q", test.descriptor, err, test.want)
		}
	}
}

func TestPath(t *testing.T) {
	lookup := func(name string) (Usage, bool) {
		u, ok := map[string]Usage{"UPS": 0x840004, "Flow": 0x84001E}[name]
		return u, ok
	}
	p, err := ParsePath("UPS.Flow.[4].ff860024", lookup)
	if err != nil {
		t.Fatal(err)
	}
	if want := (Path{0x840004, 0x84001E, 0xFF0004, 0xFF860024}); !p.Equal(want) {
		t.Errorf("ParsePath = %v; want %v", p, want)
	}
	if !p.HasPrefix(p[:2]) || p[:2].HasPrefix(p) {
		t.Error("HasPrefix takes a longer path for a prefix of a shorter one, or the reverse")
	}
	for _, bad := range []string{"", "UPS.", "UPS.[x]", "UPS.[200]", "UPS.[4", "UPS.Nonsense"} {
		if p, err := ParsePath(bad, lookup); err == nil {
			t.Errorf("ParsePath(%q) = %v; want an error", bad, p)
		}
	}
}

func TestCache(t *testing.T) {
	var c Cache
	if c.Last(1) != nil {
		t.Error("an empty cache has a report")
	}
	for _, test := range []struct{ answer, want string }{
		{"01", "010000"}, {"01 aa bb cc", "01aabb"}, {"01 dd", "01ddbb"}, {"", "01ddbb"},
	} {
		c.Store(1, unhex(t, test.answer), 3)
		if got := hex.EncodeToString(c.Last(1)); got != test.want {
			t.Errorf("after the answer %q the report is %s; want %s", test.answer, got, test.want)
		}
	}
}

// FuzzParse: no descriptor may crash, hang or take memory, and every field that it
// declares can be read from and written to a report of its declared length.
func FuzzParse(f *testing.F) {
	for _, name := range []string{"apc-bk650m2-ch", "apc-backups-cs-500"} {
		f.Add(recording(f, name).Descriptor)
	}
	f.Add(unhex(f, "0584 0904 a101 a4 7510 2764000000 0956 b102 b4 c0"))
	f.Add(unhex(f, "fe0101aa 1944 29ff 9510 7501 8102"))
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := Parse(b)
		if err != nil && d == nil {
			t.Fatal("no descriptor with the error")
		}
		for _, field := range d.Fields {
			report := make([]byte, d.Length(field.Report))
			if field.Size == 0 {
				continue
			}
			v, ok := field.Logical(report)
			if !ok {
				t.Fatalf("%+v is not in its report of %d bytes", field, len(report))
			}
			field.Physical(v)
			field.AllOnes(report)
			field.Null(report)
			if n, err := field.ToLogical(field.Physical(v)); err == nil {
				field.Put(report, n)
			}
		}
	})
}
