package hidups

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"gonut/internal/hid"
	"gonut/internal/subdriver"
	transport "gonut/internal/transport/hid"
	"gonut/internal/words"
)

// A Lesson is what was learned of a device that no table knows.
type Lesson struct {
	Recording *transport.Recording
	Fields    []FieldValue
}

// Learn asks a device for everything that its descriptor declares and listens to
// its interrupt pipe for as long as listen says. It writes nothing to the device.
// names is a table for the names of usages, such as explore.
func Learn(ctx context.Context, conn transport.Conn, names *subdriver.Table, listen time.Duration, log *slog.Logger) (*Lesson, error) {
	d, err := New(conn, names, nil, Options{PollOnly: true, MaxReport: true, KeepDescriptor: true}, log)
	if err != nil {
		return nil, err
	}
	rec := &transport.Recording{
		Info: conn.Info(), Descriptor: slices.Clone(conn.Descriptor()),
		Strings: map[int]string{}, Features: map[byte][]byte{},
	}
	l := &Lesson{Recording: rec, Fields: d.Fields(ctx)}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("read reports: %w", err)
	}
	for _, v := range l.Fields {
		data := d.source.cache.Last(v.Field.Report)
		if data == nil || v.Err != nil {
			continue
		}
		rec.Features[v.Field.Report] = slices.Clone(data)
		if n, ok := v.Field.Logical(data); ok && isTextIndex(v.Path) && n > 0 && n < 256 {
			if s, err := conn.String(ctx, int(n)); err == nil {
				rec.Strings[int(n)] = s
			}
		}
	}
	rec.Inputs = listenFor(ctx, conn, listen)
	for _, in := range rec.Inputs {
		d.source.remember(in)
	}
	for i := range l.Fields {
		if v := &l.Fields[i]; v.Err != nil && v.Field.Kind == hid.Input {
			if n, ok := v.Field.Value(d.source.inputs.Last(v.Field.Report)); ok {
				v.Value, v.Err = n, nil
			}
		}
	}
	return l, nil
}

// Redact removes serial numbers: that of the device, those of its parts, and the
// numbers that batteries have for one.
func (l *Lesson) Redact() {
	l.Recording.Redact(l.Recording.Info.Serial)
	for i := range l.Fields {
		v := &l.Fields[i]
		for _, data := range l.reports(v.Field) {
			switch last := v.Path[strings.LastIndexByte(v.Path, '.')+1:]; {
			case last == "SerialNumber" && v.Field.Put(data, 0):
				v.Value = 0
			case last == "iSerialNumber":
				if n, ok := v.Field.Logical(data); ok {
					l.Recording.Redact(l.Recording.Strings[int(n)])
				}
			}
		}
	}
}

// reports are those of the recording that a field may be in. Asked for a feature report
// that it has not, a device may answer with its input report of that id.
func (l *Lesson) reports(f hid.Field) [][]byte {
	feature := l.Recording.Features[f.Report]
	if f.Kind == hid.Feature {
		return [][]byte{feature}
	}
	var all [][]byte
	if !slices.ContainsFunc(l.Fields, func(v FieldValue) bool { return v.Field.Kind == hid.Feature && v.Field.Report == f.Report }) {
		all = append(all, feature)
	}
	for _, in := range l.Recording.Inputs {
		if in[0] == f.Report {
			all = append(all, in)
		}
	}
	return all
}

// isTextIndex reports whether a path ends in a usage that is the index of a text.
func isTextIndex(path string) bool {
	last := path[strings.LastIndexByte(path, '.')+1:]
	return len(last) > 1 && last[0] == 'i' && last[1] >= 'A' && last[1] <= 'Z'
}

// listenFor collects different input reports.
func listenFor(ctx context.Context, conn transport.Conn, long time.Duration) [][]byte {
	ctx, cancel := context.WithTimeout(ctx, long)
	defer cancel()
	var seen [][]byte
	buf := make([]byte, 256)
	for len(seen) < 200 {
		n, err := conn.Input(ctx, buf)
		if ctx.Err() != nil || errors.Is(err, transport.ErrGone) {
			return seen
		}
		if err != nil && !errors.Is(err, transport.ErrTimeout) {
			return seen
		}
		if n > 0 && !slices.ContainsFunc(seen, func(b []byte) bool { return string(b) == string(buf[:n]) }) {
			seen = append(seen, slices.Clone(buf[:n]))
		}
	}
	return seen
}

// IsPowerDevice reports whether a descriptor is that of a power device: one of its
// collections is on the Power Device page.
func IsPowerDevice(descriptor []byte) bool {
	d, _ := hid.Parse(descriptor)
	return slices.ContainsFunc(d.Fields, func(f hid.Field) bool { return f.Path[0]>>16 == 0x84 })
}

// A guess is what the standard means by a path; "*" stands for any elements.
type guess struct {
	kind, name, path, options string
}

// guesses are the rows that most tables have, the first for a path counts.
var guesses = []guess{
	{"flag", "online/offline", "*.PresentStatus.ACPresent", "poll=quick"},
	{"flag", "charging", "*.PresentStatus.Charging", "poll=quick"},
	{"flag", "discharging", "*.PresentStatus.Discharging", "poll=quick"},
	{"flag", "lowbatt", "*.PresentStatus.BelowRemainingCapacityLimit", "poll=quick"},
	{"flag", "fully-charged/not-fully-charged", "*.PresentStatus.FullyCharged", ""},
	{"flag", "depleted", "*.PresentStatus.FullyDischarged", "poll=quick"},
	{"flag", "overload", "*.PresentStatus.Overload", ""},
	{"flag", "replacebatt", "*.PresentStatus.NeedReplacement", ""},
	{"flag", "shutdown-imminent", "*.PresentStatus.ShutdownImminent", ""},
	{"flag", "time-limit-expired", "*.PresentStatus.RemainingTimeLimitExpired", ""},
	{"flag", "!no-battery", "*.PresentStatus.BatteryPresent", ""},
	{"flag", "!off", "*.PresentStatus.Good", ""},
	{"flag", "commfault", "*.PresentStatus.InternalFailure", ""},
	{"flag", "overheat", "*.PresentStatus.OverTemperature", ""},
	{"flag", "trim", "*.PresentStatus.Buck", ""},
	{"flag", "boost", "*.PresentStatus.Boost", ""},
	{"flag", "awaiting-power", "*.PresentStatus.AwaitingPower", ""},
	{"flag", "voltage-range", "*.PresentStatus.VoltageOutOfRange", ""},
	{"flag", "frequency-range", "*.PresentStatus.FrequencyOutOfRange", ""},
	{"flag", "online/offline", "*.ACPresent", "poll=quick"},
	{"flag", "charging", "*.Charging", "poll=quick"},
	{"flag", "discharging", "*.Discharging", "poll=quick"},
	{"flag", "lowbatt", "*.BelowRemainingCapacityLimit", "poll=quick"},
	{"var", "battery.charge", "*.RemainingCapacity", "format=%.0f"},
	{"var", "battery.charge.low", "*.RemainingCapacityLimit", "format=%.0f poll=written"},
	{"var", "battery.charge.warning", "*.WarningCapacityLimit", "format=%.0f"},
	{"var", "battery.runtime", "*.RunTimeToEmpty", "format=%.0f"},
	{"var", "battery.runtime.low", "*.RemainingTimeLimit", "format=%.0f poll=written"},
	{"var", "battery.type", "*.iDeviceChemistry", "as=string-index poll=once"},
	{"var", "battery.mfr.date", "UPS.Battery*.ManufacturerDate", "as=date"},
	{"var", "battery.temperature", "UPS.Battery*.Temperature", "as=kelvin"},
	{"var", "battery.voltage", "UPS.Battery*.Voltage", "format=%.1f"},
	{"var", "battery.voltage.nominal", "UPS.Battery*.ConfigVoltage", "format=%.1f poll=once"},
	{"var", "input.voltage", "*Input*.Voltage", "format=%.1f"},
	{"var", "input.voltage.nominal", "*Input*.ConfigVoltage", "format=%.0f poll=once"},
	{"var", "input.frequency", "*Input*.Frequency", "format=%.1f"},
	{"var", "input.current", "*Input*.Current", "format=%.2f"},
	{"var", "input.transfer.low", "*.LowVoltageTransfer", "format=%.0f poll=written"},
	{"var", "input.transfer.high", "*.HighVoltageTransfer", "format=%.0f poll=written"},
	{"var", "output.voltage", "*Output*.Voltage", "format=%.1f"},
	{"var", "output.voltage.nominal", "*Output*.ConfigVoltage", "format=%.0f poll=once"},
	{"var", "output.voltage.nominal", "UPS.Flow.[4].ConfigVoltage", "format=%.0f poll=once"},
	{"var", "output.frequency", "*Output*.Frequency", "format=%.1f"},
	{"var", "output.frequency.nominal", "UPS.Flow.[4].ConfigFrequency", "format=%.0f poll=once"},
	{"var", "output.current", "*Output*.Current", "format=%.2f"},
	{"var", "battery.voltage", "*.Voltage", "format=%.1f"},
	{"var", "battery.voltage.nominal", "*.ConfigVoltage", "format=%.1f poll=once"},
	{"var", "ups.load", "*.PercentLoad", "format=%.0f"},
	{"var", "ups.temperature", "*.Temperature", "as=kelvin"},
	{"var", "ups.power", "*.ApparentPower", "format=%.0f"},
	{"var", "ups.realpower", "*.ActivePower", "format=%.0f"},
	{"var", "ups.power.nominal", "*.ConfigApparentPower", "format=%.0f poll=once"},
	{"var", "ups.realpower.nominal", "*.ConfigActivePower", "format=%.0f poll=once"},
	{"var", "ups.mfr.date", "*.ManufacturerDate", "as=date poll=once"},
	{"var", "ups.beeper.status", "*.AudibleAlarmControl", "as=beeper"},
	{"var", "ups.test.result", "*.Test", "as=test-result"},
	{"var", "ups.timer.shutdown", "*.DelayBeforeShutdown", "format=%.0f poll=quick"},
	{"var", "ups.timer.start", "*.DelayBeforeStartup", "format=%.0f poll=quick"},
	{"var", "ups.timer.reboot", "*.DelayBeforeReboot", "format=%.0f poll=quick"},
}

// followers are the settings and commands that come with a variable.
var followers = map[string][]guess{
	"ups.beeper.status":  {{"cmd", "beeper.enable", "", "send=2"}, {"cmd", "beeper.disable", "", "send=1"}, {"cmd", "beeper.mute", "", "send=3"}},
	"ups.test.result":    {{"cmd", "test.battery.start.quick", "", "send=1"}, {"cmd", "test.battery.start.deep", "", "send=2"}, {"cmd", "test.battery.stop", "", "send=3"}},
	"ups.timer.shutdown": {{"setting", "ups.delay.shutdown", "", "default=20 rw=10"}, {"cmd", "load.off.delay", "", "send=20"}, {"cmd", "shutdown.stop", "", "send=-1"}},
	"ups.timer.start":    {{"setting", "ups.delay.start", "", "default=30 rw=10"}, {"cmd", "load.on.delay", "", "send=30"}},
	"ups.timer.reboot":   {{"cmd", "shutdown.reboot", "", "send=10"}},
}

// matches reports whether a path fits a guess.
func (g guess) matches(path string) bool {
	parts := strings.Split(g.path, "*")
	if !strings.HasPrefix(path, parts[0]) {
		return false
	}
	path = path[len(parts[0]):]
	for i, p := range parts[1:] {
		if i == len(parts)-2 {
			return strings.HasSuffix(path, p)
		}
		at := strings.Index(path, p)
		if at < 0 {
			return false
		}
		path = path[at+len(p):]
	}
	return path == ""
}

// Table returns a table to begin with: rows for what the standard explains, and
// comments for the rest.
func (l *Lesson) Table() string {
	i := l.Recording.Info
	b := &strings.Builder{}
	fmt.Fprintf(b, "# %s: guessed from the standard; compare it with what the device shows\n", printable(i.Manufacturer+" "+i.Product))
	fmt.Fprintf(b, "name    %s 0.1\nuse     pdc\nmatch   usb %04x:%04x\n", words.Quote(title(i)), i.VendorID, i.ProductID)
	var rows, rest []string
	seen := map[string]bool{}
	for _, v := range l.Fields {
		if seen[v.Path] {
			continue
		}
		seen[v.Path] = true
		row, more := l.rows(v)
		if row == "" {
			rest = append(rest, "# "+v.String())
			continue
		}
		rows = append(rows, row)
		rows = append(rows, more...)
	}
	slices.Sort(rows)
	for _, kind := range []string{"var", "setting", "flag", "cmd"} {
		blank := "\n"
		for _, r := range rows {
			if strings.HasPrefix(r, kind) {
				b.WriteString(blank + r + "\n")
				blank = ""
			}
		}
	}
	if len(rest) > 0 {
		b.WriteString("\n# What the device has besides. A row \"var experimental.NAME PATH\" shows it.\n")
		b.WriteString(strings.Join(rest, "\n") + "\n")
	}
	return b.String()
}

func title(i transport.Info) string {
	name := printable(i.Manufacturer)
	if name == "" {
		name = fmt.Sprintf("%04x", i.VendorID)
	}
	return name + " HID"
}

// printable is a text of the device as one line.
func printable(text string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7F {
			return -1
		}
		return r
	}, text))
}

// rows returns the row for a field and those that follow from it.
func (l *Lesson) rows(v FieldValue) (string, []string) {
	for _, g := range guesses {
		if !g.matches(v.Path) {
			continue
		}
		var more []string
		if v.Field.Writable() && v.Field.Kind == hid.Feature {
			for _, f := range followers[g.name] {
				more = append(more, strings.TrimSpace(fmt.Sprintf("%-7s %-26s %-50s %s", f.kind, f.name, v.Path, f.options)))
			}
		}
		options, note := l.now(v, g)
		return strings.TrimSpace(fmt.Sprintf("%-7s %-26s %-50s %-26s %s", g.kind, g.name, v.Path, options, note)), more
	}
	return "", nil
}

// now returns the options of a row and a comment about what it gives. A line voltage
// or frequency that is off by a power of ten gets a scale.
func (l *Lesson) now(v FieldValue, g guess) (options, note string) {
	if v.Err != nil {
		return g.options, ""
	}
	n := v.Value
	if strings.Contains(g.options, "as=string-index") {
		return g.options, strings.TrimSpace("# now " + printable(l.Recording.Strings[int(n)]))
	}
	text := strconv.FormatFloat(n, 'g', 6, 64)
	if k := tenfold(g.name, n); k != 0 {
		return fmt.Sprintf("%s scale=1e%d", g.options, k), fmt.Sprintf("# now %s, without the scale", text)
	}
	return g.options, "# now " + text
}

// tenfold returns the power of ten that makes a line voltage or frequency of a number
// which is none, 0 if it is right or nothing helps.
func tenfold(name string, n float64) int {
	name = strings.TrimSuffix(name, ".nominal")
	var low, high float64
	switch {
	case name == "input.voltage", name == "output.voltage":
		low, high = 80, 280
	case name == "input.frequency", name == "output.frequency":
		low, high = 45, 66
	default:
		return 0
	}
	if n <= 0 || n >= low && n <= high {
		return 0
	}
	for k := -7; k <= 7; k++ {
		if x := n * math.Pow10(k); x >= low && x <= high {
			return k
		}
	}
	return 0
}
