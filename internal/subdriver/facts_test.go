package subdriver

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A fact is what C's driver knows of one usage path, as a line of the folder
// facts/hid of GONUT_SHARED tells it.
type fact struct {
	line                                                 int
	kind, name, access, length, path, text, poll, lookup string
}

// facts are those of one file.
type facts struct {
	rows      []fact
	enums     map[string][]Entry
	functions map[string]string // by lookup, of those that read
	usages    map[string]uint32
}

// conversions are C's functions for values and what a row of ours has for each: an
// option, or the condition that it sets.
var conversions = map[string]string{
	"stringid_conversion_fun": "as=string-index", "kelvin_celsius_conversion_fun": "as=kelvin", "date_conversion_fun": "as=date",
	"apc_date_conversion_fun": "as=bcd-date", "divide_by_10_conversion_fun": "scale=0.1", "divide_by_100_conversion_fun": "scale=0.01",

	"belkin_sensitivity_conversion_fun": "as=sensitivity", "belkin_firmware_conversion_fun": "shift=4", "belkin_upstype_conversion_fun": "as=ups-type",
	"liebert_line_voltage_fun": "fix=liebert-line,liebert-psi5", "liebert_config_voltage_fun": "fix=liebert-config",
	"liebert_discharging_fun": "discharging", "liebert_charging_fun": "charging", "liebert_shutdownimm_fun": "shutdown-imminent",
	"liebert_online_fun": "online", "liebert_replacebatt_fun": "replacebatt", "liebert_lowbatt_fun": "lowbatt",
	"belkin_overload_conversion_fun": "overload", "belkin_overheat_conversion_fun": "overheat", "belkin_commfault_conversion_fun": "commfault",
	"belkin_awaitingpower_conversion_fun": "awaiting-power", "belkin_online_conversion_fun": "offline", "belkin_depleted_conversion_fun": "depleted",
	"belkin_replacebatt_conversion_fun": "replacebatt", "belkin_lowbatt_conversion_fun": "lowbatt",

	"cps_battcharge_fun": "expr=min(value, 100)", "cps_battvolt_fun": "fix=two-thirds", "cps_battstatus_fun": "as=percent",
	"cps_input_freq_fun": "fix=tenth-of-hertz", "cps_output_freq_fun": "fix=tenth-of-hertz",
	"delta_ups_type_fun": "as=ups-type", "ecoflow_battery_runtime_conversion": "as=minutes",

	"ever_format_version_fun": "as=version", "ever_format_hardware_fun": "as=revision", "ever_mac_address_fun": "as=mac",
	"ever_ip_address_fun": "as=ip", "ever_packets_fun": "as=count32",
	"legrand_times10": "scale=10", "legrand_times100k": "scale=100000", "legrand_times1M": "scale=1e+06", "legrand_times10M": "scale=1e+07",

	"mge_battery_capacity_fun": "scale=0.0002777777777777778", "mge_battery_voltage_fun": "class=evolution,pulsar-m,5p,9e",
	"mge_battery_voltage_nominal_fun": "class=evolution,pulsar-m,5p,9e", "eaton_abm_status_fun": "as=charger",
	"eaton_compute_realpower_fun": "expr=round({ups.load} * 0.01 * {ups.power.nominal} * {output.powerfactor:0.8})",
	"mge_date_conversion_fun":     "as=epoch-date", "mge_time_conversion_fun": "as=epoch-time", "mge_powerfactor_conversion_fun": "scale=0.01",
	"eaton_abm_check_dischrg_fun": "discharging", "eaton_abm_check_chrg_fun": "charging", "eaton_abm_chrg_dischrg_fun": "charging",
	"eaton_converter_online_fun": "online", "eaton_input_bypass_check_range": "as=bypass-on", "nominal_output_voltage_fun": "as=nominal-high",
	"eaton_check_pegasus_fun": "as=pegasus-threshold", "pegasus_yes_no_info_fun": "as=yes-no", "eaton_input_buzzwordmode_report": "as=eco-mode",
	"eaton_input_eco_mode_auto_on_off_fun": "cmd",

	"openups_temperature_fun": "as=thermistor", "openups_scale_vout_fun": "scale=$output-voltage", "openups_scale_cdischarge_fun": "scale=$output-current",
	"openups_scale_vin_fun": "scale=$input-voltage", "openups_scale_ccharge_fun": "scale=$input-current",
	"openups_off_fun": "!off", "openups_charging_fun": "charging", "openups_discharging_fun": "discharging", "openups_online_fun": "online",

	"powercom_startup_fun": "as=swapmin", "powercom_shutdown_fun": "as=minsec", "powercom_voltage_conversion_fun": "scale=4",
	"powercom_upsfail_conversion_fun": "fan-failure", "powercom_replacebatt_conversion_fun": "replacebatt", "powercom_test_conversion_fun": "calibrating",
	"powercom_shutdownimm_conversion_fun": "shutdown-imminent", "powercom_online_conversion_fun": "offline", "powercom_lowbatt_conversion_fun": "lowbatt",
	"powercom_trim_conversion_fun": "trim", "powercom_boost_conversion_fun": "boost", "powercom_overload_conversion_fun": "overload",

	"tripplite_battvolt_fun": "scale=$battery", "tripplite_chemistry_fun": "as=string-index", "tripplite_iovolt_fun": "scale=$voltage",
	"tripplite_iofreq_fun": "scale=$frequency", "tripplite_ioamp_fun": "scale=$current",
}

// elsewhere are the facts that a table has in another form, or not at all, by table,
// name and path, with the reason.
var elsewhere = map[string]string{
	"ever BOOL UPS.EVER1.EVER97.EVER102":                                 "of raw reports, by report:4a",
	"ever experimental.status.workmode UPS.EVER1.EVER97.EVER98":          "of raw reports, by report:4a",
	"ever experimental.status.messages UPS.EVER1.EVER18.EVER28":          "of raw reports, by report:4b",
	"ever experimental.status.alarms UPS.EVER1.EVER32.EVER33":            "of raw reports, by report:4c",
	"mge battery.charger.abm.status UPS.BatterySystem.Charger.ABMEnable": "C uses it and publishes nothing: reg abm",
	"mge device.country UPS.PowerSummary.Country":                        "C uses it and publishes nothing: reg country",
	"mge battery.charger.mode.status UPS.BatterySystem.Charger.Mode":     "C notes that the path exists and publishes nothing",
	"mge battery.charger.type.status UPS.BatterySystem.Charger.Status":   "C notes that the path exists and publishes nothing",
	"powercom battery.voltage UPS.PowerSummary.PresentStatus.ACPresent":  "C asks for another report than the path's: report:a4",
	"powervar BOOL UPS.PowerSummary.PresentStatus.InternalFailure":       "C reads yes or no, which is no condition of its own",
	"powervar BOOL UPS.PowerSummary.PresentStatus.Good":                  "C reads yes or no, which is no condition of its own",
}

// otherwise are the differences in a row that are meant, by table and what the test
// would say.
var otherwise = map[string]string{
	`mge outlet.3.desc begins with "PowerShare Outlet 3", not "PowerShare Outlet 2"`:                           "C numbers two outlets 2",
	`powercom load.off sends "1", not "0"`:                                                                     "C makes at least a second of it",
	`powercom load.on.delay sends "known({arg}, {ups.delay.start})", not "-"`:                                  "what C's function does without a parameter",
	`powercom shutdown.return sends "{arg:0} < 0 ? -1 : max(1, known({arg}, {ups.delay.shutdown}))", not "-"`:  "what C's function does without a parameter",
	`powercom shutdown.stayoff sends "{arg:0} < 0 ? -1 : max(1, known({arg}, {ups.delay.shutdown}))", not "-"`: "what C's function does without a parameter",
}

func readFacts(t *testing.T, file string) *facts {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	fs := &facts{enums: map[string][]Entry{}, functions: map[string]string{}, usages: map[string]uint32{}}
	s := bufio.NewScanner(f)
	for line := 1; s.Scan(); line++ {
		w := strings.Split(s.Text(), "\t")
		if strings.HasPrefix(w[0], "#") || w[0] == "" {
			continue
		}
		switch {
		case w[0] == "enum":
			n, err := strconv.ParseInt(w[2], 0, 64)
			if err != nil {
				t.Fatalf("%s:%d: %v", file, line, err)
			}
			fs.enums[w[1]] = append(fs.enums[w[1]], Entry{n, w[3]})
		case w[0] == "function":
			if w[2] == "read" {
				fs.functions[w[1]] = w[3]
			}
		case w[0] == "usage":
			n, err := strconv.ParseUint(w[2], 0, 32)
			if err != nil {
				t.Fatalf("%s:%d: %v", file, line, err)
			}
			fs.usages[w[1]] = uint32(n)
		case len(w) == 8:
			fs.rows = append(fs.rows, fact{line, w[0], w[1], w[2], w[3], w[4], w[5], w[6], w[7]})
		default:
			t.Fatalf("%s:%d: what is %q?", file, line, s.Text())
		}
	}
	return fs
}

// A flat row is one of a table with an index of its group filled in.
type flat struct {
	*Row
	name, source, fallback string
}

func flatten(t *Table) []flat {
	var all []flat
	for i := range t.Rows {
		r := &t.Rows[i]
		if r.group == nil {
			all = append(all, flat{r, r.Name, r.Source, r.Default})
			continue
		}
		for n := r.group.from; n <= r.group.to; n++ {
			ix := []index{{r.group, n}}
			all = append(all, flat{r, fillIndices(r.Name, ix, false), fillIndices(r.Source, ix, true), fillIndices(r.Default, ix, false)})
		}
	}
	return all
}

// Every usage path, variable, command, condition and word that C knows is in our
// tables, in the same order of preference, or listed above with the reason.
func TestTablesAgainstTheFacts(t *testing.T) {
	shared := os.Getenv("GONUT_SHARED")
	if shared == "" {
		t.Skip("GONUT_SHARED is not set: the facts of C's tables are not there")
	}
	names := map[string]string{"belkin-liebert": "belkin", "cyberpower": "cps", "delta-ups": "delta_ups", "phoenixtec-liebert": "liebert"}
	lib := Load("hid", Embedded())
	files, err := filepath.Glob(filepath.Join(shared, "facts/hid/[a-z]*.tsv"))
	if err != nil || len(files) != len(lib.Tables) {
		t.Errorf("there are facts of %d tables (%v); we have %d", len(files), err, len(lib.Tables))
	}
	used := map[string]bool{}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".tsv")
		if n, ok := names[name]; ok {
			name = n
		}
		t.Run(name, func(t *testing.T) {
			c := comparison{T: t, table: lib.Table(name), facts: readFacts(t, file), used: used}
			if c.table == nil {
				t.Fatal("there is no such table")
			}
			c.run()
		})
	}
	for _, list := range []map[string]string{elsewhere, otherwise} {
		for what := range list {
			if !used[what] {
				t.Errorf("%q is no difference any more", what)
			}
		}
	}
}

// Usages that all tables share, and the table that each device gets.
func TestUsagesAndIDsAgainstTheFacts(t *testing.T) {
	shared := os.Getenv("GONUT_SHARED")
	if shared == "" {
		t.Skip("GONUT_SHARED is not set: the facts of C's tables are not there")
	}
	lib := Load("hid", Embedded())
	first := map[string]bool{}
	for _, w := range columnsOf(t, filepath.Join(shared, "facts/hid/_usages-common.tsv"), 2) {
		if first[w[0]] { // two pages have the name: a path means the first
			continue
		}
		first[w[0]] = true
		code, err := strconv.ParseUint(w[1], 0, 32)
		if got, ok := lib.Table("explore").Code(w[0]); !ok || err != nil || got != uint32(code) {
			t.Errorf("usage %s = %08x, %t; want %s", w[0], got, ok, w[1])
		}
	}
	known := 0
	for _, w := range columnsOf(t, filepath.Join(shared, "facts/usb-ids.tsv"), 4) {
		vendor, err1 := strconv.ParseUint(w[0], 0, 16)
		product, err2 := strconv.ParseUint(w[1], 0, 16)
		if w[2] != "usbhid-ups" || err1 != nil || err2 != nil || w[3] == "-" {
			continue
		}
		known++
		id := fmt.Sprintf("%04x:%04x", vendor, product)
		if !slices.ContainsFunc(lib.Table(w[3]).Matches, func(m Match) bool { return slices.Contains(m.IDs, id) }) {
			t.Errorf("table %s does not match %s", w[3], id)
		}
	}
	if known < 100 {
		t.Errorf("only %d ids were compared", known)
	}
}

// columnsOf returns the lines of a file that have at least n columns.
func columnsOf(t *testing.T, file string, n int) (lines [][]string) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if w := strings.Split(strings.TrimRight(line, "\n"), "\t"); len(w) >= n && !strings.HasPrefix(line, "#") {
			lines = append(lines, w)
		}
	}
	return lines
}

// meant reports whether a list has a difference.
func (c *comparison) meant(list map[string]string, what string) bool {
	what = c.table.Name + " " + what
	c.used[what] = true
	return list[what] != ""
}

// A comparison holds a table against its facts.
type comparison struct {
	*testing.T
	table *Table
	facts *facts
	rows  []flat
	used  map[string]bool // of the lists above
}

func (c *comparison) run() {
	c.rows = flatten(c.table)
	for n, code := range c.facts.usages {
		if got, ok := c.table.Code(n); !ok || got != code {
			c.Errorf("usage %s = %08x, %t; want %08x", n, got, ok, code)
		}
	}
	last := map[string]int{} // by kind and name
	seen := map[fact]bool{}
	for _, f := range c.facts.rows {
		line := f.line
		f.line = 0
		if seen[f] {
			continue
		}
		seen[f] = true
		if c.meant(elsewhere, f.name+" "+f.path) {
			continue
		}
		found := c.find(f)
		if len(found) == 0 {
			c.Errorf("line %d of the facts: no %s %s of %s", line, f.kind, f.name, f.path)
			continue
		}
		if at := found[len(found)-1]; f.kind != "status-bit" && f.name != "ups.alarm" {
			if at < last[f.kind+f.name] {
				c.Errorf("line %d of the facts: %s of %s comes too late in our table", line, f.name, f.path)
			}
			last[f.kind+f.name] = at
		}
		c.compare(f, found)
	}
}

// find returns the rows for a fact, by their places.
func (c *comparison) find(f fact) (found []int) {
	kind := map[string]Kind{"var": Var, "cmd": Cmd, "status-bit": Flag}[f.kind]
	byName := f.kind != "status-bit"
	switch {
	case strings.Contains(f.poll, "absent"):
		kind = Setting
	case f.name == "ups.alarm":
		kind, byName = Alarm, false
	}
	path := c.codes(f.path)
	for i, r := range c.rows {
		if r.Kind == kind && (!byName || r.name == f.name) && c.codes(r.source) == path {
			found = append(found, i)
		}
	}
	return found
}

// codes makes two spellings of one path equal.
func (c *comparison) codes(path string) string {
	var b strings.Builder
	for _, e := range strings.Split(path, ".") {
		if code, ok := c.table.Code(e); ok {
			e = fmt.Sprintf("%08x", code)
		}
		b.WriteString("." + strings.ToLower(e))
	}
	return b.String()
}

// compare holds the rows for a fact against it. Of several rows, which hold for
// different models or bits, one has to be as C's.
func (c *comparison) compare(f fact, found []int) {
	var least []string
	for k, i := range found {
		var wrong []string
		for _, w := range c.differences(f, c.rows[i]) {
			if !c.meant(otherwise, w) {
				wrong = append(wrong, w)
			}
		}
		if k == 0 || len(wrong) < len(least) {
			least = wrong
		}
	}
	for _, w := range least {
		c.Errorf("%s (%s)", w, f.path)
	}
	if f.kind == "status-bit" {
		c.conditions(f, found)
	}
}

func (c *comparison) differences(f fact, r flat) (wrong []string) {
	differs := func(is bool, format string, args ...any) {
		if is {
			wrong = append(wrong, r.name+" "+fmt.Sprintf(format, args...))
		}
	}
	poll := PollFull
	for _, p := range strings.Split(f.poll, ",") {
		poll = max(poll, map[string]Poll{"quick": PollQuick, "semistatic": PollWritten, "static": PollOnce}[p])
	}
	differs(r.Kind != Cmd && r.Kind != Setting && r.Poll != poll, "is polled %d, not %d", r.Poll, poll)
	want, isFunction := conversions[c.facts.functions[f.lookup]], c.facts.functions[f.lookup] != ""
	switch {
	case r.Kind == Setting:
		differs(r.fallback != f.text, "begins with %q, not %q", r.fallback, f.text)
	case r.Kind == Cmd:
		differs(r.Steps[0].Send.Text != f.text, "sends %q, not %q", r.Steps[0].Send.Text, f.text)
	case isFunction:
		differs(!slices.Contains(r.traits(), want), "has %q, not %q", r.traits(), want)
	case r.Kind == Var && c.facts.enums[f.lookup] != nil:
		differs(!c.sameEnum(c.facts.enums[f.lookup], r.As), "has as=%s, not the texts of %s", r.As, f.lookup)
	case r.Kind == Var:
		differs(r.Format != f.text, "has format=%s, not %s", r.Format, f.text)
	}
	length, _ := strconv.Atoi(f.length)
	switch rw := strings.Contains(f.access, "rw"); {
	case rw != (r.RW != nil):
		differs(true, "can be set: %t, not %t", r.RW != nil, rw)
	case rw && !r.RW.Enum:
		differs(r.RW.MaxLen != length || r.RW.Number == strings.Contains(f.access, "string"), "is set by %+v, not %s of %d", *r.RW, f.access, length)
	}
	return wrong
}

// traits are what a row may have in the place of a function of C's.
func (r flat) traits() []string {
	number := func(name string, n Number) string {
		if n.Const != "" {
			return name + "=$" + n.Const
		}
		return name + "=" + strconv.FormatFloat(n.Value, 'g', -1, 64)
	}
	ts := []string{r.Kind.String(), "as=" + r.As, "shift=" + strconv.Itoa(r.Shift), number("scale", r.Scale), "fix=" + strings.Join(r.Fix, ","), "class=" + strings.Join(r.Class, ",")}
	if r.Expr != nil {
		ts = append(ts, "expr="+r.Expr.String())
	}
	if r.Kind == Flag {
		ts = append(ts, r.name)
	}
	return ts
}

func (c *comparison) sameEnum(want []Entry, as string) bool {
	e := c.table.enums[as]
	if e == nil || len(e.Entries) != len(want) {
		return false
	}
	for _, x := range want {
		if text, ok := e.text(x.Raw); !ok || text != x.Text {
			return false
		}
	}
	return true
}

// cNames are the conditions that C calls something else.
var cNames = map[string]string{
	"dischrg": "discharging", "chrg": "charging", "shutdownimm": "shutdown-imminent", "timelimitexp": "time-limit-expired",
	"nobattery": "no-battery", "fullycharged": "fully-charged", "notfullycharged": "not-fully-charged", "vrange": "voltage-range",
	"frange": "frequency-range", "awaitingpower": "awaiting-power", "bypassauto": "bypass-auto", "bypassman": "bypass-manual",
	"fanfail": "fan-failure", "chargerfail": "charger-failure", "battvolthi": "battery-voltage-high", "battvoltlo": "battery-voltage-low",
	"ecomode": "eco", "essmode": "ess",
}

// conditions compares what each value of an enum of conditions means.
func (c *comparison) conditions(f fact, found []int) {
	for _, x := range c.facts.enums[f.lookup] {
		w := &Walker{flags: map[string]bool{}}
		for _, i := range found {
			w.condition(&active{Row: c.rows[i].Row, name: c.rows[i].name}, Value{Number: float64(x.Raw)})
		}
		name, inverted := strings.CutPrefix(x.Text, "!")
		if n, ok := cNames[name]; ok {
			name = n
		}
		if name == "normal" { // neither of the others
			name, inverted = "eco", true
		}
		if got, ok := w.flags[name]; !ok || got == inverted {
			c.Errorf("%d at %s means %s; our rows set %v", x.Raw, f.path, x.Text, w.flags)
		}
	}
}
