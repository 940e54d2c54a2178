package subdriver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gonut/internal/driver"
	"gonut/internal/drvsock"
	"gonut/internal/netproto"
	"gonut/internal/ups"
)

// A shelf is a Source of named values.
type shelf struct {
	names []string

	mu     sync.Mutex
	values map[string]Value
	reads  [][]string
	writes []string
	err    error
}

// set changes a value.
func (s *shelf) set(name string, v Value) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.values[name] = v
}

// fail makes reads fail, or not if err is nil.
func (s *shelf) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

// seen returns the names of all reads so far.
func (s *shelf) seen() [][]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.reads)
}

// last returns the names of the last read.
func (s *shelf) last() []string {
	all := s.seen()
	return all[len(all)-1]
}

func (s *shelf) Resolve(text string, form Form) (Ref, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.values[text]; !ok {
		return 0, fmt.Errorf("%s: %w", text, ErrAbsent)
	}
	if i := slices.Index(s.names, text); i >= 0 {
		return Ref(i), nil
	}
	s.names = append(s.names, text)
	return Ref(len(s.names) - 1), nil
}

func (s *shelf) Read(_ context.Context, refs []Ref) ([]Value, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return nil, s.err
	}
	var names []string
	vs := make([]Value, len(refs))
	for i, r := range refs {
		names = append(names, s.names[r])
		vs[i] = s.values[s.names[r]]
	}
	s.reads = append(s.reads, names)
	return vs, nil
}

// What is called told… is only told.
func (s *shelf) Writable(r Ref) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !strings.HasPrefix(s.names[r], "told")
}

func (s *shelf) Write(_ context.Context, r Ref, v Value) error {
	text := v.Text
	if !v.IsText {
		text = strconv.FormatFloat(v.Number, 'f', -1, 64)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writes = append(s.writes, s.names[r]+"="+text)
	s.values[s.names[r]] = v
	return nil
}

func (s *shelf) taken() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.writes
	s.writes = nil
	return w
}

// A walked device is a walker as a driver.Device.
type walked struct{ w *Walker }

func (d walked) Poll(ctx context.Context, depth driver.Depth, u *driver.Update) error {
	err := d.w.Poll(ctx, depth, u)
	u.Status(d.w.StatusWords()...)
	for _, a := range d.w.Alarms() {
		u.Alarm(a)
	}
	return err
}
func (d walked) Wake() <-chan struct{} { return nil }
func (d walked) Command(ctx context.Context, name, param string) error {
	return d.w.Command(ctx, name, param)
}
func (d walked) Set(ctx context.Context, name, value string) error { return d.w.Set(ctx, name, value) }
func (d walked) Close() error                                      { return nil }

// run walks a table over a shelf, below a session, in a bubble of fake time.
func run(t *testing.T, table string, o Options, s *shelf, f func(t *testing.T, session *driver.Session, w *Walker)) {
	t.Helper()
	tab, problems := Parse("test", "test", "test.def", strings.NewReader(table), nil)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	synctest.Test(t, func(t *testing.T) {
		o.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
		w := NewWalker(tab, s, o)
		d := driver.Driver{Name: "test", FullEvery: 30 * time.Second, Open: func(context.Context, driver.Values, *slog.Logger) (driver.Device, error) { return walked{w}, nil }}
		session := driver.NewSession(d, driver.NewConfig("u", "auto"), driver.Hooks{}, o.Log)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- session.Run(ctx) }()
		synctest.Wait()
		f(t, session, w)
		cancel()
		<-done
	})
}

func numbers(ns map[string]float64) *shelf {
	s := &shelf{values: map[string]Value{}}
	for n, v := range ns {
		s.values[n] = Value{Number: v}
	}
	return s
}

func expect(t *testing.T, s *driver.Session, want map[string]string) {
	t.Helper()
	for name, value := range want {
		v, ok := s.State().Variable(name)
		if value == "-" && ok {
			t.Errorf("%s = %q; want it to be unknown", name, v.Value)
		} else if value != "-" && v.Value != value {
			t.Errorf("%s = %q; want %q", name, v.Value, value)
		}
	}
}

func do(t *testing.T, s *driver.Session, r drvsock.Request) netproto.Result {
	t.Helper()
	got, err := s.Do(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
	return got
}

func TestFirstProviderWins(t *testing.T) {
	s := numbers(map[string]float64{"b": 2, "c": 3})
	s.values["stalled"] = Value{Err: ErrAbsent}
	run(t, "var battery.charge a\nvar battery.charge stalled\nvar battery.charge b\nvar battery.charge c\n", Options{}, s, func(t *testing.T, session *driver.Session, _ *Walker) {
		expect(t, session, map[string]string{"battery.charge": "2"})
		time.Sleep(31 * time.Second)
		synctest.Wait()
		if last := s.last(); !slices.Equal(last, []string{"b"}) {
			t.Errorf("the last poll read %q; want only the row that won", last)
		}
	})
}

func TestPollClasses(t *testing.T) {
	s := numbers(map[string]float64{"once": 1, "written": 2, "quick": 3, "full": 4, "rw": 5})
	run(t, "var ups.a once poll=once\nvar ups.b written poll=written\nvar ups.c quick poll=quick\nvar ups.d full\nvar ups.e rw rw=10 poll=written\n", Options{}, s, func(t *testing.T, session *driver.Session, _ *Walker) {
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if last := s.last(); !slices.Equal(last, []string{"quick"}) {
			t.Errorf("a quick poll read %q; want quick", last)
		}
		time.Sleep(30 * time.Second)
		synctest.Wait()
		if !slices.ContainsFunc(s.seen(), func(r []string) bool { return slices.Equal(r, []string{"quick", "full"}) }) {
			t.Errorf("no full poll read exactly quick and full: %q", s.seen())
		}
		do(t, session, drvsock.Request{Set: true, Name: "ups.e", Value: "6", HasValue: true})
		if last := s.last(); !slices.Equal(last, []string{"written", "quick", "full", "rw"}) {
			t.Errorf("the poll after a write read %q; want all but once", last)
		}
		expect(t, session, map[string]string{"ups.e": "6"})
	})
}

func TestConversionsOfRows(t *testing.T) {
	s := numbers(map[string]float64{"n": 1234, "bits": 0b1011_0110, "neg": -1, "runtime": 65535, "odd": 7, "temp": 0x31})
	s.values["ones"] = Value{Number: 65535, Unknown: true}
	s.values["text"] = Value{Text: "CPS", IsText: true}
	s.values["digit"] = Value{Text: "2", IsText: true}
	table := `enum level 1=low 2=high
bits words 1=A 2=B 6=C
curve therm 0x31=-40 0x53=-30
var ups.a n format=%.2f scale=0.01 offset=1
var ups.b bits mask=0xf0 shift=4
var ups.c bits bit=2
var ups.d bits mask=0x07 as=words
var ups.e odd as=level default=other
var ups.f odd as=level
var ups.g temp as=therm format=%.1f
var ups.h n expr="value * 2 + {ups.b}"
var ups.i n scale=$factor
var ups.j text as=text valid=date
var ups.k digit as=level
var ups.l n scale=2/3 format=%.0f
var battery.runtime runtime
var battery.voltage neg
var output.current neg
var input.voltage ones
var input.frequency ones valid=any
var ups.load n valid=0..100
var ups.realpower neg
var battery.charge.low neg
var input.transfer.high neg
var battery.capacity.nominal neg
var outlet.1.power neg
var battery.charge ones expr="min(value, 100)"
var ups.m ones expr="{ups.b} + 1"
var ups.n ones expr="value - 1" valid=any
var battery.runtime runtime as=minutes
var ups.timer.shutdown neg
var battery.charge.warning n
var battery.charge.restart neg
var ambient.humidity n
var ups.temperature n
var ambient.temperature neg
`
	run(t, table, Options{Consts: map[string]float64{"factor": 0.5}}, s, func(t *testing.T, session *driver.Session, _ *Walker) {
		expect(t, session, map[string]string{
			"ups.a": "13.34", "ups.b": "11", "ups.c": "1", "ups.d": "B C", "ups.e": "other", "ups.f": "-", "ups.g": "-40.0",
			"ups.h": "2479", "ups.i": "617", "ups.j": "-", "ups.k": "high", "ups.l": "823",
			"battery.runtime": "-", "battery.voltage": "-", "output.current": "-1", "input.voltage": "-", "input.frequency": "65535", "ups.load": "-",
			"ups.realpower": "-", "battery.charge.low": "-", "input.transfer.high": "-", "battery.capacity.nominal": "-", "outlet.1.power": "-",
			"battery.charge": "-", "ups.m": "12", "ups.n": "65534", "ups.timer.shutdown": "-1",
			"battery.charge.warning": "1234", "battery.charge.restart": "-", "ambient.humidity": "-", "ups.temperature": "-", "ambient.temperature": "-1",
		})
	})
}

// A gauge may go a little beyond 100.
func TestChargeBeyondHundred(t *testing.T) {
	for n, want := range map[float64]string{100: "100", 107: "107", 110: "110", 111: "-", 144: "-"} {
		run(t, "var battery.charge n\n", Options{}, numbers(map[string]float64{"n": n}), func(t *testing.T, session *driver.Session, _ *Walker) {
			expect(t, session, map[string]string{"battery.charge": want})
		})
	}
}

func TestValueThatBecomesUnknownIsDeleted(t *testing.T) {
	s := numbers(map[string]float64{"v": 230})
	run(t, "var input.voltage v rw=10\n", Options{}, s, func(t *testing.T, session *driver.Session, _ *Walker) {
		expect(t, session, map[string]string{"input.voltage": "230"})
		s.set("v", Value{Number: 65535, Unknown: true})
		time.Sleep(31 * time.Second)
		synctest.Wait()
		expect(t, session, map[string]string{"input.voltage": "-"})
		s.set("v", Value{Number: 231})
		time.Sleep(31 * time.Second)
		synctest.Wait()
		expect(t, session, map[string]string{"input.voltage": "231"})
		if v, _ := session.State().Variable("input.voltage"); v.MaxLen != 10 {
			t.Errorf("after it came back input.voltage is %+v; want it to be writable again", v)
		}
	})
}

func TestRowsThatDependOnOthersTakeTurns(t *testing.T) {
	s := numbers(map[string]float64{"mode": 1, "a": 10, "b": 20})
	table := "reg mode mode\nvar ups.power a if=\"{mode} == 1\"\nvar ups.power b if=\"{mode} == 2\"\n"
	run(t, table, Options{}, s, func(t *testing.T, session *driver.Session, _ *Walker) {
		expect(t, session, map[string]string{"ups.power": "10", "mode": "-"})
		for mode, want := range map[float64]string{2: "20", 3: "-", 1: "10"} {
			s.set("mode", Value{Number: mode})
			time.Sleep(31 * time.Second)
			synctest.Wait()
			expect(t, session, map[string]string{"ups.power": want})
		}
	})
}

func TestRulesAreDecidedOnceAndShown(t *testing.T) {
	s := numbers(map[string]float64{"nominal": 24, "v": 40.5, "f": 0, "right": 25})
	table := `rule two-thirds when="value / {battery.voltage.nominal} > 1.4" scale=2/3
rule tenth when="value > 450 && value < 660" right="value > 45 && value < 66" scale=0.1
var battery.voltage.nominal nominal
var battery.voltage v fix=two-thirds format=%.1f
var ups.a right fix=two-thirds
var input.frequency f fix=tenth
`
	run(t, table, Options{}, s, func(t *testing.T, session *driver.Session, w *Walker) {
		expect(t, session, map[string]string{"battery.voltage": "27.0", "ups.a": "25", "input.frequency": "0"})
		s.set("v", Value{Number: 31})
		s.set("f", Value{Number: 499})
		s.set("right", Value{Number: 99})
		time.Sleep(31 * time.Second)
		synctest.Wait()
		expect(t, session, map[string]string{"battery.voltage": "20.7", "ups.a": "99", "input.frequency": "49.9"})
		if got := fmt.Sprint(w.Corrected()); got != "map[battery.voltage:two-thirds input.frequency:tenth]" {
			t.Errorf("Corrected = %s", got)
		}
	})
}

// A CyberPower battery that is empty when the driver begins does not hide that its
// voltage is half as much again.
func TestVoltageOfCyberPower(t *testing.T) {
	lib := Load("hid", Embedded())
	rows, rule := "", ""
	for line := range strings.Lines(lib.Table("cps").Text()) {
		switch f := strings.Fields(line); {
		case len(f) > 1 && f[0] == "var" && (f[1] == "battery.voltage" || f[1] == "battery.voltage.nominal"):
			rows += line
		case len(f) > 1 && f[0] == "rule" && f[1] == "two-thirds":
			rule = line
		}
	}
	for name, test := range map[string]struct {
		read []float64
		want []string
	}{
		"right":           {[]float64{25, 40}, []string{"25.0", "40.0"}},
		"wrong":           {[]float64{40.5, 31}, []string{"27.0", "20.7"}},
		"wrong and empty": {[]float64{31, 40.5, 31}, []string{"31.0", "27.0", "20.7"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := numbers(map[string]float64{"UPS.PowerSummary.ConfigVoltage": 24, "UPS.PowerSummary.Voltage": test.read[0]})
			run(t, rule+rows, Options{Consts: map[string]float64{"fix": 1}}, s, func(t *testing.T, session *driver.Session, _ *Walker) {
				for i, v := range test.read {
					s.set("UPS.PowerSummary.Voltage", Value{Number: v})
					time.Sleep(31 * time.Second)
					synctest.Wait()
					expect(t, session, map[string]string{"battery.voltage": test.want[i]})
				}
			})
		})
	}
}

func TestFlags(t *testing.T) {
	s := numbers(map[string]float64{"ac": 1, "cause": 4, "status": 0x18, "gone": 0, "good": 1})
	s.values["ones"] = Value{Number: 255, Unknown: true}
	table := `flag online/offline ac
flag voltage-range cause on=1,2,4 off=0
flag boost status mask=0x18 on=0x18
flag trim status mask=0x18 on=0x08
flag !off good
flag !no-battery gone
flag overload ac if="{flag.boost:0} == 0"
flag charging status expr="value > 100"
flag shutdown-imminent ones
flag frequency-range ones mask=0x80
alarm "Too hot!" cause on=4
status status as=mode
enum mode 0x18=BYPASS 0=OL
`
	run(t, table, Options{}, s, func(t *testing.T, session *driver.Session, w *Walker) {
		state := func() string {
			var on []string
			for _, f := range Flags() {
				if w.Flag(f) {
					on = append(on, f)
				}
			}
			return strings.Join(on, " ")
		}
		if got := state(); got != "online no-battery boost voltage-range frequency-range" {
			t.Errorf("conditions are %q; want online no-battery boost voltage-range frequency-range", got)
		}
		expect(t, session, map[string]string{"ups.status": "ALARM BYPASS", "ups.alarm": "Too hot!"})
		for name, v := range map[string]Value{"ac": {}, "cause": {Number: 7}, "status": {}, "good": {}} {
			s.set(name, v)
		}
		time.Sleep(31 * time.Second)
		synctest.Wait()
		// 7 is neither in on= nor in off=: nothing was learned
		if got := state(); got != "offline no-battery off voltage-range frequency-range" {
			t.Errorf("conditions are %q; want offline no-battery off voltage-range frequency-range", got)
		}
		expect(t, session, map[string]string{"ups.status": "OL", "ups.alarm": "-"})
	})
}

// What could not be read keeps its value, and it is told from when that is. Without
// what the power is, all of ups.status is worth nothing after a while.
func TestWhatCannotBeRead(t *testing.T) {
	s := numbers(map[string]float64{"ac": 1, "ac2": 1, "low": 0, "boost": 0, "load": 20, "charge": 90})
	trouble := Value{Err: errors.New("input/output error")}
	s.set("never", trouble)
	table := "flag online/offline ac poll=quick\nflag online/offline ac2 poll=quick\nflag lowbatt low poll=quick\nflag lowbatt never poll=quick\nflag boost boost poll=quick\n" +
		"var ups.load load format=%.0f\nvar battery.charge charge format=%.0f poll=quick\nvar ups.power never\n"
	run(t, table, Options{}, s, func(t *testing.T, session *driver.Session, _ *Walker) {
		for _, test := range []struct {
			failing []string
			held    string // the first of the variables that are told to be old
			stale   bool
		}{
			{nil, "-", false},
			{[]string{"load"}, "ups.load@", false},
			{[]string{"boost"}, "-", false}, // nothing depends on it
			{[]string{"ac"}, "-", false},    // another row tells it
			{[]string{"ac", "ac2"}, "-", true},
			{[]string{"low"}, "-", true},
			{nil, "-", false},
		} {
			good := map[string]Value{}
			for _, name := range test.failing {
				good[name] = Value{Number: 1}
				s.set(name, trouble)
			}
			time.Sleep(45 * time.Second)
			synctest.Wait()
			held := session.State().Value("experimental.driver.data.held")
			if held == "" {
				held = "-"
			}
			if !strings.HasPrefix(held, test.held) || session.State().Stale() != test.stale {
				t.Errorf("without %v held is %q, stale %t; want %s…, %t", test.failing, held, session.State().Stale(), test.held, test.stale)
			}
			for name, v := range good {
				if name == "low" || name == "boost" {
					v.Number = 0
				}
				s.set(name, v)
			}
			time.Sleep(45 * time.Second)
			synctest.Wait()
		}
	})
}

func TestGroupsRepeatTheirRows(t *testing.T) {
	s := numbers(map[string]float64{"count": 2, "phases": 3, "o1s": 1, "o2s": 0, "o3s": 1, "p1": 230, "p2": 231, "p3": 232, "d1o1": 5, "d1o2": 6, "d2o1": 7, "devices": 2, "c1": 2, "c2": 1, "x1": 1, "o1off": 0})
	table := `enum on-off 0=off 1=on
each device mark=%d from=1 to=device.count
var device.%d.outlet.count c%d
each outlet from=1 to=device.%d.outlet.count
var device.%d.outlet.%i.power d%do%i
end
end
var outlet.count count
var device.count devices
var input.phases phases
each outlet from=1 to=outlet.count
var outlet.%i.status o%is as=on-off
setting outlet.%i.desc o%is default="Outlet %i" rw=20
cmd outlet.%i.load.off o%ioff send=0
end
each phase from=1 to=input.phases if="{input.phases} == 3"
var input.L%i-N.voltage p%i
end
each never from=1 to=3 if="{input.phases} == 1"
var ups.%i x%i
end
each shifted from=0 to=1 shift=1
var ambient.%i.voltage p%i
end
`
	run(t, table, Options{}, s, func(t *testing.T, session *driver.Session, w *Walker) {
		expect(t, session, map[string]string{
			"outlet.1.status": "on", "outlet.2.status": "off", "outlet.3.status": "-", "outlet.2.desc": "Outlet 2",
			"input.L1-N.voltage": "230", "input.L3-N.voltage": "232", "ups.1": "-",
			"ambient.0.voltage": "230", "ambient.1.voltage": "231", "ambient.2.voltage": "-",
			"device.1.outlet.1.power": "5", "device.1.outlet.2.power": "6", "device.2.outlet.1.power": "7", "device.2.outlet.2.power": "-",
		})
		if !w.HasCommand("outlet.1.load.off") || w.HasCommand("outlet.2.load.off") {
			t.Error("commands of groups do not follow what the device has")
		}
	})
}

// A row between each and end has its place among those for the same variable, too.
func TestRowsOfGroupsComeFirstIfTheTableSaysSo(t *testing.T) {
	s := numbers(map[string]float64{"o1": 0, "o2": 1, "all": 1, "off2": 0, "p1x1": 5, "p": 6})
	table := `enum on-off 0=off 1=on
each outlet from=1 to=3
var outlet.%i.status o%i as=on-off
cmd outlet.%i.load.off off%i send=0
end
each outer mark=%o from=1 to=2
each inner from=1 to=2
var ups.%o%i p%ox%i
end
end
var ups.11 p
var ups.12 p
var outlet.1.status all as=on-off
var outlet.3.status all as=on-off
cmd outlet.2.load.off all send=7
`
	run(t, table, Options{}, s, func(t *testing.T, session *driver.Session, w *Walker) {
		expect(t, session, map[string]string{"outlet.1.status": "off", "outlet.2.status": "on", "outlet.3.status": "on", "ups.11": "5", "ups.12": "6"})
		if err := w.Command(t.Context(), "outlet.2.load.off", ""); err != nil {
			t.Fatal(err)
		}
		if got := s.taken(); !slices.Equal(got, []string{"off2=0"}) {
			t.Errorf("outlet.2.load.off wrote %v; want off2=0", got)
		}
	})
}

// A setting takes its turn among the rows for a variable, too: what the device has
// elsewhere must not change when the power is cut.
func TestSettingsTakeTheirTurn(t *testing.T) {
	s := numbers(map[string]float64{"timer": -1, "elsewhere": 5, "off": 0})
	table := `setting ups.delay.shutdown timer default=20 rw=10
var ups.delay.shutdown elsewhere
var ups.delay.start elsewhere
setting ups.delay.start timer default=30 rw=10
cmd load.off.delay off send="{ups.delay.shutdown}"
`
	run(t, table, Options{}, s, func(t *testing.T, session *driver.Session, w *Walker) {
		expect(t, session, map[string]string{"ups.delay.shutdown": "20", "ups.delay.start": "5"})
		time.Sleep(time.Minute)
		do(t, session, drvsock.Request{Name: "load.off.delay"})
		if got := s.taken(); !slices.Equal(got, []string{"off=20"}) {
			t.Errorf("load.off.delay wrote %v; want off=20", got)
		}
		if n := do(t, session, drvsock.Request{Set: true, Name: "ups.delay.start", Value: "7", HasValue: true}); n != netproto.Invalid {
			t.Errorf("SET of a variable whose setting came too late = %d; want %d", n, netproto.Invalid)
		}
	})
}

// What is rounded up to a step stays what it is: a delay that is too long must not
// become none.
func TestStepsOfLargeNumbers(t *testing.T) {
	s := numbers(map[string]float64{"off": 0})
	own := Options{Setting: func(string) string { return "1e30" }}
	run(t, "setting ups.delay.shutdown off default=20 rw=10 step=60\ncmd load.off.delay off send=20 step=60\n", own, s, func(t *testing.T, session *driver.Session, w *Walker) {
		expect(t, session, map[string]string{"ups.delay.shutdown": "1000000000000000019884624838656"})
		if err := w.Command(t.Context(), "load.off.delay", "1e20"); err != nil {
			t.Fatal(err)
		}
		if got := s.taken(); !slices.Equal(got, []string{"off=100000000000000000000"}) {
			t.Errorf("load.off.delay of 1e20 wrote %v; want that", got)
		}
	})
}

// What would be unknown when it is read again is not written.
func TestSetRefusesWhatCannotBe(t *testing.T) {
	s := numbers(map[string]float64{"n": 150, "c": 5})
	table := `curve steps 1=12 2=18
var battery.charge.low n rw=5
var input.transfer.low n rw=5
var ups.a n rw=5
var ups.b c as=steps rw=5
`
	run(t, table, Options{}, s, func(t *testing.T, session *driver.Session, w *Walker) {
		expect(t, session, map[string]string{"battery.charge.low": "150"}) // so that it can be set right
		for _, test := range []struct {
			name, value string
			ok          bool
		}{
			{"battery.charge.low", "101", false}, {"battery.charge.low", "100", true}, {"battery.charge.low", "-1", false},
			{"input.transfer.low", "-1", false}, {"input.transfer.low", "300", true}, {"ups.a", "-1", true},
			{"ups.b", "-1", false}, {"ups.b", "0", true},
		} {
			err := w.Set(t.Context(), test.name, test.value)
			if (err == nil) != test.ok || err != nil && !errors.Is(err, driver.ErrInvalid) {
				t.Errorf("Set %s to %s = %v; want it to work: %t", test.name, test.value, err, test.ok)
			}
		}
	})
}

func TestClasses(t *testing.T) {
	s := numbers(map[string]float64{"v": 1})
	table := "var ups.a v class=big\nvar ups.b v class=!big\nvar ups.c v class=small,big\nvar ups.d v class=big,!new\nvar ups.e v\n"
	run(t, table, Options{Class: []string{"big", "new"}}, s, func(t *testing.T, session *driver.Session, _ *Walker) {
		expect(t, session, map[string]string{"ups.a": "1", "ups.b": "-", "ups.c": "1", "ups.d": "-", "ups.e": "1"})
	})
}

func TestWrites(t *testing.T) {
	s := numbers(map[string]float64{"scaled": 10, "enum": 1, "masked": 0xF5, "number": 5, "text": 1, "date": 33, "guarded": 0, "steps": 1, "ro": 1})
	table := `enum level 1=low 2=high
curve steps 1=12 2=18 3=24
var ups.a scaled scale=0.1 format=%.1f rw=5
var ups.b enum as=level rw=enum
var ups.c masked mask=0x0f rw=number
var ups.d number rw=0..9
var ups.e date as=date rw=10
var ups.f guarded rw=number allow="value == 0 || {ups.d} > 7"
var ups.g steps as=steps rw=number
var ups.h ro
setting ups.delay.start ro default=30 rw=10 step=60
setting ups.delay.shutdown ro default=20 rw=10
setting outlet.desc ro default=Main rw=10
`
	own := Options{Setting: func(n string) string { return map[string]string{"ups.delay.start": "61"}[n] }}
	run(t, table, own, s, func(t *testing.T, session *driver.Session, _ *Walker) {
		expect(t, session, map[string]string{"ups.delay.start": "120"})
		for _, test := range []struct {
			name, value string
			want        netproto.Result
			wire        string
		}{
			{"ups.a", "2.5", netproto.Handled, "scaled=25"},
			{"ups.a", "much", netproto.Invalid, ""},
			{"ups.a", "123456", netproto.Invalid, ""},
			{"ups.b", "high", netproto.Handled, "enum=2"},
			{"ups.b", "HIGH", netproto.Handled, "enum=2"},
			{"ups.b", "medium", netproto.Invalid, ""},
			{"ups.c", "10", netproto.Handled, "masked=250"},
			{"ups.c", "16", netproto.Invalid, ""},
			{"ups.c", "-1", netproto.Invalid, ""},
			{"ups.d", "10", netproto.Invalid, ""},
			{"ups.f", "1", netproto.Failed, ""},
			{"ups.f", "0", netproto.Handled, "guarded=0"},
			{"ups.d", "9", netproto.Handled, "number=9"},
			{"ups.f", "1", netproto.Handled, "guarded=1"},
			{"ups.e", "2020/05/08", netproto.Handled, "date=20648"},
			{"ups.g", "13", netproto.Handled, "steps=2"},
			{"ups.h", "1", netproto.Invalid, ""},
			{"ups.none", "1", netproto.Unknown, ""},
			{"ups.delay.start", "45", netproto.Handled, ""},
			{"ups.delay.start", "never", netproto.Invalid, ""},
			{"ups.delay.shutdown", "never", netproto.Invalid, ""},
			{"ups.delay.shutdown", "-1", netproto.Handled, ""},
			{"outlet.desc", "Rack", netproto.Handled, ""},
		} {
			got := do(t, session, drvsock.Request{Set: true, Name: test.name, Value: test.value, HasValue: true})
			if wire := strings.Join(s.taken(), " "); got != test.want || wire != test.wire {
				t.Errorf("set %s %s = %v, %q; want %v, %q", test.name, test.value, got, wire, test.want, test.wire)
			}
		}
		expect(t, session, map[string]string{"ups.a": "2.5", "ups.b": "high", "ups.c": "10", "ups.delay.start": "60"})
	})
}

func TestCommands(t *testing.T) {
	s := numbers(map[string]float64{"off": 0, "on": 0, "timer": 0, "d": 20})
	table := `var ups.delay.shutdown d
cmd load.off off send=0
cmd load.off on send=9
cmd load.cycle off send=1
then on send={ups.delay.shutdown} wait=0.5
then timer send="{arg:7} + 1" wait=1
cmd load.off.delay timer send=20 step=60
cmd shutdown.return timer send="max(1, known({arg}, {ups.delay.shutdown}))" as=minsec or=0x40
cmd shutdown.stop timer send={ups.none}
cmd beeper.toggle on say=Q
cmd load.on absent send=1
`
	run(t, table, Options{}, s, func(t *testing.T, session *driver.Session, _ *Walker) {
		if session.State().HasCommand("load.on") || !session.State().HasCommand("load.cycle") {
			t.Error("commands are not those that the device has")
		}
		for _, test := range []struct {
			name, param string
			want        netproto.Result
			wire        string
			takes       time.Duration
		}{
			{"load.off", "", netproto.Handled, "off=0", 0},
			{"load.off", "5", netproto.Handled, "off=5", 0},
			{"load.off", "now", netproto.Invalid, "", 0},
			{"load.cycle", "", netproto.Handled, "off=1 on=20 timer=8", 1500 * time.Millisecond},
			{"load.off.delay", "", netproto.Handled, "timer=60", 0},
			{"load.off.delay", "61", netproto.Handled, "timer=120", 0},
			{"load.off.delay", "-1", netproto.Handled, "timer=-1", 0},
			{"shutdown.return", "", netproto.Handled, "timer=84", 0},
			{"shutdown.return", "0", netproto.Handled, "timer=65", 0},
			{"shutdown.stop", "", netproto.Invalid, "", 0},
			{"beeper.toggle", "", netproto.Handled, "on=Q", 0},
			{"load.on", "", netproto.Unknown, "", 0},
		} {
			begun := time.Now()
			got := do(t, session, drvsock.Request{Name: test.name, Value: test.param, HasValue: test.param != ""})
			if wire := strings.Join(s.taken(), " "); got != test.want || wire != test.wire || time.Since(begun) != test.takes {
				t.Errorf("%s %s = %v, %q after %v; want %v, %q after %v", test.name, test.param, got, wire, time.Since(begun), test.want, test.wire, test.takes)
			}
		}
	})
}

// What a device tells only by itself is a variable, and nothing that could be set or
// commanded.
func TestWhatCannotBeWritten(t *testing.T) {
	s := numbers(map[string]float64{"told": 7, "told2": 7, "timer": 1})
	table := `var ups.timer.start told rw=10
setting ups.delay.shutdown told2 default=20 rw=10
cmd load.off.delay told send=20
cmd load.off.delay timer send=21
cmd load.on.delay told2 send=30
cmd load.cycle timer send=1
then told send=2
`
	run(t, table, Options{}, s, func(t *testing.T, session *driver.Session, _ *Walker) {
		expect(t, session, map[string]string{"ups.timer.start": "7", "ups.delay.shutdown": "-"})
		if v, _ := session.State().Variable("ups.timer.start"); v.Flags&ups.RW != 0 {
			t.Error("ups.timer.start is writable")
		}
		if got := do(t, session, drvsock.Request{Set: true, Name: "ups.timer.start", Value: "1", HasValue: true}); got == netproto.Handled {
			t.Error("ups.timer.start was set")
		}
		for name, want := range map[string]bool{"load.off.delay": true, "load.on.delay": false, "load.cycle": false} {
			if got := session.State().HasCommand(name); got != want {
				t.Errorf("command %s exists: %t; want %t", name, got, want)
			}
		}
		do(t, session, drvsock.Request{Name: "load.off.delay"})
		if wire := strings.Join(s.taken(), " "); wire != "timer=21" {
			t.Errorf("load.off.delay wrote %q; want timer=21", wire)
		}
	})
}

func TestErrorOfTheSourceEndsTheWalk(t *testing.T) {
	s := numbers(map[string]float64{"v": 1})
	run(t, "var ups.a v\n", Options{}, s, func(t *testing.T, session *driver.Session, _ *Walker) {
		s.fail(errors.New("cable"))
		time.Sleep(31 * time.Second)
		synctest.Wait()
		if !session.State().Stale() {
			t.Error("data are not stale although the source failed")
		}
		s.fail(nil)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if session.State().Stale() {
			t.Error("data stay stale although the source works again")
		}
	})
}

func TestPushedValues(t *testing.T) {
	s := numbers(map[string]float64{"a": 1, "b": math.Pi})
	run(t, "var ups.a a\nflag online/offline b\nvar ups.c b format=%.2f\n", Options{}, s, func(t *testing.T, _ *driver.Session, w *Walker) {
		var u driver.Update
		w.Push(map[Ref]Value{1: {Number: 0}}, &u)
		if w.Flag("online") || !w.Flag("offline") {
			t.Error("a pushed value did not change the condition")
		}
		if v, _ := w.Value("ups.c"); v != "0.00" {
			t.Errorf("ups.c = %s; want 0.00", v)
		}
	})
}
