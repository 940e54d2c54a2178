package subdriver

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Form is how a Source has to read a value for a converter.
type Form uint8

// The forms.
const (
	Numeric Form = iota // a number in physical units
	Raw                 // the number as it is stored
	Text                // text
	Index               // text that the value is the index of
	Bytes               // all bytes of what holds the value
)

// A Value is what a Source read or is to write.
type Value struct {
	Number  float64
	Text    string
	Bytes   []byte
	IsText  bool
	Unknown bool  // the device says that it does not know, by all bits set or the like
	Err     error // this value could not be read; the others may still be good
}

// errNoValue means that a value stands for nothing that could be shown.
var errNoValue = errors.New("no value")

// A converter turns what was read into text and back. Only those with an inverse
// may be used in rows that are written.
type converter struct {
	form  Form
	read  func(c *conversion, v Value) (string, error)
	write func(c *conversion, text string) (float64, error) // nil: read only
	help  string
}

// A conversion is what a converter may look at besides the value.
type conversion struct {
	row    *Row
	lookup func(name string) (string, bool)
	now    func() time.Time
}

// converters is the closed list of what "as=" may name besides the enums and
// curves of the table.
func converters() map[string]converter {
	return map[string]converter{
		"text":         {form: Text, read: readText, help: "text as it is"},
		"string-index": {form: Index, read: readText, help: "text that the number is the index of"},
		"kelvin":       {read: readKelvin, write: writeNumber, help: "kelvin; numbers that cannot be are taken for degrees Celsius already"},
		"hex":          {form: Raw, read: readHex, write: writeHex, help: "eight hexadecimal digits"},
		"percent":      {read: readPercent, write: writePercent, help: "a number and a percent sign"},
		"minutes":      {read: readMinutes, write: writeMinutes, help: "minutes, shown in seconds, written rounded up"},
		"ticks":        {read: readTicks, write: writeTicks, help: "hundredths of a second, shown in seconds"},
		"date":         {form: Raw, read: readDate, write: writeDate, help: "a date packed as the HID class does it"},
		"bcd-date":     {form: Raw, read: readBCDDate, write: writeBCDDate, help: "month, day and year as decimal digits in three bytes"},
		"epoch-date":   {form: Raw, read: readEpochDate, write: writeEpochDate, help: "the date of seconds since 1970; writing keeps ups.time"},
		"epoch-time":   {form: Raw, read: readEpochTime, write: writeEpochTime, help: "the time of seconds since 1970; writing keeps ups.date"},
		"us-date":      {form: Text, read: readUSDate, help: "month/day/year as text, shown as year/month/day"},
		"mac":          {form: Bytes, read: readMAC, help: "bytes as a hardware address"},
		"ip":           {form: Bytes, read: readIP, help: "four bytes as an Internet address"},
		"count32":      {form: Bytes, read: readCount32, help: "four bytes as a number, the least first"},
		"ascii-number": {form: Bytes, read: readASCIINumber, help: "the first number with a point in bytes that are text"},
		"version":      {form: Raw, read: readVersion, help: "a 16 bit word as v1.2b03"},
		"revision":     {form: Raw, read: readRevision, help: "a 16 bit word as rev.Av01"},
		"minsec":       {form: Raw, read: readMinSec, write: writeMinSec, help: "minutes in the upper, seconds in the lower byte"},
		"secmin":       {form: Raw, read: readSecMin, write: writeSecMin, help: "seconds in the upper, minutes in the lower byte"},
		"swapmin":      {form: Raw, read: readSwapMin, write: writeSwapMin, help: "minutes in a word with its bytes swapped"},
	}
}

// Converters returns the names of all converters and what each is for.
func Converters() map[string]string {
	m := map[string]string{}
	for name, c := range converters() {
		m[name] = c.help
	}
	return m
}

func converterNames() []string { return slices.Sorted(maps.Keys(converters())) }

func readText(_ *conversion, v Value) (string, error) {
	s := strings.TrimRight(v.Text, "\x00")
	if strings.TrimSpace(s) == "" {
		return "", errNoValue
	}
	return s, nil
}

// readKelvin takes what no device survives in degrees Celsius for kelvin, and less for
// degrees Celsius: HP and others declare kelvin and send those. Nothing that works is
// colder than 100 degrees below freezing, or hotter.
func readKelvin(_ *conversion, v Value) (string, error) {
	switch {
	case v.Number < -100, v.Number > 100 && v.Number < 173, v.Number > 373:
		return "", errNoValue
	case v.Number >= 173:
		return fmt.Sprintf("%.1f", v.Number-273.15), nil
	}
	return fmt.Sprintf("%.1f", v.Number), nil
}

func writeNumber(_ *conversion, text string) (float64, error) { return parseNumber(text) }

func parseNumber(text string) (float64, error) {
	v, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
		return 0, fmt.Errorf("%q is not a number", text)
	}
	return v, nil
}

func readHex(_ *conversion, v Value) (string, error) {
	return fmt.Sprintf("%08x", uint32(int64(v.Number))), nil
}

func writeHex(_ *conversion, text string) (float64, error) {
	v, err := strconv.ParseUint(strings.TrimPrefix(text, "0x"), 16, 32)
	if err != nil {
		return 0, fmt.Errorf("%q is not a hexadecimal number of up to eight digits", text)
	}
	return float64(v), nil
}

func readPercent(_ *conversion, v Value) (string, error) {
	return fmt.Sprintf("%.0f%%", v.Number), nil
}

func writePercent(_ *conversion, text string) (float64, error) {
	return parseNumber(strings.TrimSuffix(text, "%"))
}

func readMinutes(_ *conversion, v Value) (string, error) {
	if v.Number < 0 {
		return fmt.Sprintf("%.0f", v.Number), nil // a timer that does not run
	}
	return fmt.Sprintf("%.0f", v.Number*60), nil
}

func writeMinutes(_ *conversion, text string) (float64, error) {
	v, err := parseNumber(text)
	if v < 0 {
		return v, err // -1 stops a countdown
	}
	return math.Ceil(v / 60), err
}

func readTicks(_ *conversion, v Value) (string, error) {
	return fmt.Sprintf("%.0f", v.Number/100), nil
}

func writeTicks(_ *conversion, text string) (float64, error) {
	v, err := parseNumber(text)
	return v * 100, err
}

// notSet is what a date that was never entered is shown as.
const notSet = "not set"

func readDate(_ *conversion, v Value) (string, error) {
	n := int64(v.Number)
	if n == 0 {
		return notSet, nil
	}
	return calendarDate(1980+int(n>>9), int(n>>5&15), int(n&31))
}

// calendarDate returns a date if there is that day. Devices that know none send what
// looks like a number.
func calendarDate(year, month, day int) (string, error) {
	d := time.Date(year, time.Month(month), day, 0, 0, 0, 0, time.UTC)
	if d.Month() != time.Month(month) || d.Day() != day || year < 1970 || year > 2107 {
		return "", errNoValue
	}
	return d.Format("2006/01/02"), nil
}

func writeDate(_ *conversion, text string) (float64, error) {
	d, err := parseDate(text)
	if err != nil {
		return 0, err
	}
	if d.Year() < 1980 || d.Year() > 2107 {
		return 0, fmt.Errorf("the year of %q is not between 1980 and 2107", text)
	}
	return float64((d.Year()-1980)<<9 | int(d.Month())<<5 | d.Day()), nil
}

func parseDate(text string) (time.Time, error) {
	d, err := time.Parse("2006/01/02", text)
	if err != nil {
		return d, fmt.Errorf("%q is not a date like 2024/12/31", text)
	}
	return d, nil
}

func readBCDDate(_ *conversion, v Value) (string, error) {
	n := int64(v.Number)
	if n == 0 {
		return notSet, nil
	}
	month, ok1 := bcd(n >> 16)
	day, ok2 := bcd(n >> 8)
	year, ok3 := bcd(n)
	if !ok1 || !ok2 || !ok3 {
		return "", errNoValue
	}
	if year < 70 {
		year += 100
	}
	return calendarDate(1900+year, month, day)
}

func bcd(n int64) (int, bool) {
	hi, lo := n>>4&15, n&15
	return int(hi*10 + lo), hi < 10 && lo < 10
}

func writeBCDDate(_ *conversion, text string) (float64, error) {
	d, err := parseDate(text)
	if err != nil {
		return 0, err
	}
	if d.Year() < 1970 || d.Year() > 2069 {
		return 0, fmt.Errorf("the year of %q is not between 1970 and 2069", text)
	}
	digits := func(n int) int { return n/10<<4 | n%10 }
	return float64(digits(int(d.Month()))<<16 | digits(d.Day())<<8 | digits(d.Year()%100)), nil
}

func readEpochDate(_ *conversion, v Value) (string, error) {
	return time.Unix(int64(v.Number), 0).Format("2006/01/02"), nil
}

func readEpochTime(_ *conversion, v Value) (string, error) {
	return time.Unix(int64(v.Number), 0).Format("15:04:05"), nil
}

func writeEpochDate(c *conversion, text string) (float64, error) {
	clock, ok := c.lookup("ups.time")
	if !ok {
		return 0, errors.New("ups.time is unknown")
	}
	return epoch(text, clock)
}

func writeEpochTime(c *conversion, text string) (float64, error) {
	date, ok := c.lookup("ups.date")
	if !ok {
		return 0, errors.New("ups.date is unknown")
	}
	return epoch(date, text)
}

func epoch(date, clock string) (float64, error) {
	t, err := time.ParseInLocation("2006/01/02 15:04:05", date+" "+clock, time.Local)
	if err != nil {
		return 0, fmt.Errorf("%q is not a date and time like 2024/12/31 23:59:59", date+" "+clock)
	}
	return float64(t.Unix()), nil
}

func readUSDate(_ *conversion, v Value) (string, error) {
	for _, layout := range []string{"1/2/2006", "1/2/06"} {
		if d, err := time.Parse(layout, strings.TrimSpace(v.Text)); err == nil {
			return d.Format("2006/01/02"), nil
		}
	}
	return readText(nil, v)
}

func readMAC(_ *conversion, v Value) (string, error) {
	if len(v.Bytes) == 0 {
		return "", errNoValue
	}
	bytes := v.Bytes[:min(6, len(v.Bytes))] // reports may be longer than what they hold
	parts := make([]string, len(bytes))
	for i, b := range bytes {
		parts[i] = fmt.Sprintf("%02x", b)
	}
	return strings.Join(parts, ":"), nil
}

func readIP(_ *conversion, v Value) (string, error) {
	if len(v.Bytes) < 4 {
		return "", errNoValue
	}
	return netip.AddrFrom4([4]byte(v.Bytes[:4])).String(), nil
}

func readCount32(_ *conversion, v Value) (string, error) {
	if len(v.Bytes) < 4 {
		return "", errNoValue
	}
	b := v.Bytes
	return strconv.FormatUint(uint64(b[0])|uint64(b[1])<<8|uint64(b[2])<<16|uint64(b[3])<<24, 10), nil
}

func readASCIINumber(_ *conversion, v Value) (string, error) {
	for _, w := range strings.FieldsFunc(string(v.Bytes), func(r rune) bool { return (r < '0' || r > '9') && r != '.' }) {
		if _, err := strconv.ParseFloat(w, 64); err == nil && strings.Contains(w, ".") {
			return w, nil
		}
	}
	return "", errNoValue
}

func readVersion(_ *conversion, v Value) (string, error) {
	n := uint16(int64(v.Number))
	return fmt.Sprintf("v%X.%Xb%02d", n>>12, n>>8&15, n&255), nil
}

func readRevision(_ *conversion, v Value) (string, error) {
	n := uint16(int64(v.Number))
	letter := "0"
	switch hi := n >> 8; {
	case hi > 26:
		return "", errNoValue
	case hi > 0:
		letter = string(rune('A' + hi - 1))
	}
	return fmt.Sprintf("rev.%sv%02d", letter, n&255), nil
}

// wordsOf joins the texts of all bits that are set; entries hold masks.
func wordsOf(e *Enum, raw int64) string {
	var ws []string
	for _, p := range e.Entries {
		if raw&p.Raw != 0 && !slices.Contains(ws, p.Text) {
			ws = append(ws, p.Text)
		}
	}
	return strings.Join(ws, " ")
}

// The delays of PowerCOM devices share their word with two flags in the upper
// bits of the seconds; those are not part of the time.
func readMinSec(_ *conversion, v Value) (string, error) {
	n := int64(v.Number)
	return strconv.FormatInt(n>>8&255*60+n&0x3F, 10), nil
}

func writeMinSec(_ *conversion, text string) (float64, error) {
	n, err := delay(text, 255*60+59)
	return float64(n/60<<8 | n%60), err
}

func readSecMin(_ *conversion, v Value) (string, error) {
	n := int64(v.Number)
	return strconv.FormatInt(n&255*60+n>>8&0x3F, 10), nil
}

func writeSecMin(_ *conversion, text string) (float64, error) {
	n, err := delay(text, 255*60+59)
	return float64(n%60<<8 | n/60), err
}

func readSwapMin(_ *conversion, v Value) (string, error) {
	n := int64(v.Number)
	return strconv.FormatInt(60*(n&255<<8|n>>8&255), 10), nil
}

func writeSwapMin(_ *conversion, text string) (float64, error) {
	n, err := delay(text, 65535*60)
	n /= 60
	return float64(n&255<<8 | n>>8&255), err
}

// delay reads a number of seconds.
func delay(text string, limit int) (int, error) {
	v, err := parseNumber(text)
	if err != nil {
		return 0, err
	}
	if v < 0 || v > float64(limit) {
		return 0, fmt.Errorf("%s seconds are not between 0 and %d", text, limit)
	}
	return int(v), nil
}
