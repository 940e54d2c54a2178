package subdriver

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func parse(t testing.TB, text string) (*Table, []Problem) {
	t.Helper()
	return Parse("hid", "test", "test.def", strings.NewReader(text), func(name string) (*Table, error) {
		if name == "common" {
			o, ps := Parse("hid", "common", "common.def", strings.NewReader("usage 00840004 UPS\nenum on-off 0=off 1=on\nvar ups.load UPS.Load\n"), nil)
			if len(ps) > 0 {
				return nil, ps[0]
			}
			return o, nil
		}
		return nil, errors.New("there is no such table")
	})
}

func TestParseErrorsTellPlaceAndRemedy(t *testing.T) {
	tests := []struct{ text, want string }{
		{"vra battery.charge X", `test.def:1:1: no row begins with "vra" (did you mean var?)`},
		{"# fine\n\nvar battery.charge", "test.def:3:5: var needs more words (write var NAME SOURCE [options])"},
		{"var battery.charge X fromat=%.0f", `test.def:1:22: no option is called "fromat" (did you mean format?)`},
		{"var battery.charge X format=%s", "test.def:1:29: format=%s: not a printf format"},
		{"var battery.charge X format=", "test.def:1:28: format= has no value"},
		{"var battery.charge X quick", `test.def:1:22: "quick" is one word too many (options are written name=value`},
		{"var battery.charge X poll=often", "test.def:1:27: poll=often: want full, quick, written or once"},
		{"var battery.charge X as=kelvim", "as=kelvim is neither a converter nor an enum or curve of this table (did you mean kelvin?)"},
		{"var battery.charge X rw=sometimes", "rw=sometimes: want enum, number, MIN..MAX or the longest text's length"},
		{"var battery.charge X rw=9..1", "not a range of whole numbers"},
		{"var battery.type X as=string-index rw=5", "1:39: battery.type cannot be written, for as=string-index cannot be turned round"},
		{"var battery.type X rw=enum", "rw=enum without an enum"},
		{"var battery.voltage X fix=none", "there is no rule none (write a line rule for it)"},
		{"setting ups.delay.shutdown X default=1 step=6-0", `test.def:1:45: step=6-0: "6-0" is not a whole number`},
		{"setting ups.delay.shutdown X default=1 step=0", "a step is at least 1"},
		{"cmd load.off X send=1 wait=NaN", `wait=NaN: "NaN" is not a number`},
		{"var battery.voltage X shift=x", `shift=x: "x" is not a whole number`},
		{"var battery.voltage X valid=1..x", `valid=1..x: "x" is not a number`},
		{"match usb 1234:5678 battery=NaN", "battery=NaN is neither a condition nor a constant"},
		{"each x from=a to=3\nend", `from=a: "a" is not a whole number`},
		{"flag onlin X", "did you mean online?"},
		{"flag zzzzzz X", "known are online, offline,"},
		{`var battery.voltage X expr="1 +"`, `test.def:1:28: expr=1 +: expression "1 +": want a number`},
		{"var battery.voltage X scale=fast", "scale=fast: neither a number nor $NAME"},
		{"var battery.voltage X valid=maybe", "valid=maybe: want any, date, MIN..MAX"},
		{"var battery.voltage X bit=70", "bits are numbered from 0 to 62"},
		{"flag onlien X", `test.def:1:6: no condition is called "onlien" (did you mean online?)`},
		{"cmd load.off X", "test.def:1:1: the command says nothing that could be sent (write send=VALUE)"},
		{"cmd load.off X send=0 wait=99", "a wait is from 0 to 10 seconds"},
		{"then X send=1", "then follows no command"},
		{"match usb 51d:2", `test.def:1:11: "51d:2" is not a pair of USB ids (write it as 051d:0002)`},
		{"match bus 1", `nothing is found by "bus" (known are usb, sysoid`},
		{"match usb 051d:0002 product=(", "error parsing regexp"},
		{"match usb 051d:0002 colour=red", "colour=red is neither a condition nor a constant"},
		{"usage xyz Name", `"xyz" is not a usage`},
		{"usage ff01004 Name", `test.def:1:7: "ff01004" is not a usage (write eight hexadecimal digits: page and usage)`},
		{"usage 00840001 A\nusage 00840002 a", "test.def:2:16: usage a has a code already"},
		{"enum e one=1", `"one" is not a whole number`},
		{"enum e 1=a 1=b", "1 is in enum e already"},
		{"enum e word", `"word" is not a pair`},
		{"curve c 2=1 1=2", "1 is not right of the point before it"},
		{"curve c", "the curve has no points"},
		{"rule r when=1", "the rule lacks when= or scale="},
		{"rule r when=1 scale=2\nrule r when=1 scale=2", "there is a rule r already"},
		{"each outlet from=1", "each does not say where it ends"},
		{"each outlet from=1 to=3\nvar a b", "end is missing"},
		{"end", "end without each"},
		{"each outlet from=3 to=1", "test.def:1:23: each ends before it begins"},
		{"each outlet from=1 to=2000", "to 1000 at most"},
		{`name Two Words 1`, "test.def:1:16: \"1\" is one word too many (a title of several words needs quotes)"},
		{"var battery.charge X scale=1 scale=2", "test.def:1:30: scale= is given twice"},
		{"var battery.charge X scale=0", "test.def:1:28: scale=0: nothing is left"},
		{"var battery.charge X scale=0/3", "scale=0/3: nothing is left"},
		{"var battery.charge X mask=0", "test.def:1:27: mask=0: no bits are left"},
		{"var battery.charge X valid=9..1", "test.def:1:28: valid=9..1: no number is in there"},
		{"var battery.charge X send=1", "test.def:1:22: send= has no effect in a row var (it takes allow, as, bit,"},
		{"cmd load.off X send=1 bit=3", "test.def:1:23: bit= has no effect in a row cmd (it takes allow, as, class, or, say,"},
		{"cmd load.off X send=1\nthen Y send=0 rw=5", "test.def:2:15: rw= has no effect in a row then"},
		{"setting ups.delay.start X default=1 if=1", "if= has no effect in a row setting"},
		{"status X", "test.def:1:1: the row does not say what words the values stand for (write status SOURCE as=ENUM)"},
		{"refuse usb 051d:0002", `test.def:1:1: the line does not say why (write reason="…"`},
		{"flag online X on=yes", `test.def:1:18: on=yes: "yes" is not a whole number`},
		{"use nonsense", "test.def:1:5: use nonsense: there is no such table"},
		{`name "a # b"`, "test.def:1:1: unbalanced word"},
		{"model X", "model needs more words"},
		{"var a b " + strings.Repeat("poll=once ", 12), "more than 31 words"},
	}
	for _, test := range tests {
		_, problems := parse(t, test.text)
		if len(problems) == 0 || !strings.Contains(problems[0].Error(), test.want) {
			t.Errorf("Parse(%q) = %v; want %q", test.text, problems, test.want)
		}
	}
}

// A file that is no table at all does not fill the log.
func TestMistakesThatAreTold(t *testing.T) {
	_, problems := parse(t, strings.Repeat("rubbish\n", 5000))
	if n := len(problems); n != maxProblems+1 || !strings.Contains(problems[n-1].Error(), "test.def:51:1: there are many mistakes before this line") {
		t.Errorf("%d problems, the last is %v; want %d and that there are more", n, problems[n-1], maxProblems+1)
	}
}

func TestParse(t *testing.T) {
	tab, problems := parse(t, `name "Test HID" 1.0 # a comment
use common
match usb 1234:ABCD 1234:0001 product="^X" quirk=a,b scale=0.5
refuse usb 1234:0002 reason="it is none"
option offdelay 60
var battery.charge UPS.Charge format=%.0f valid=0..100 rw=0..50
flag online/offline UPS.AC poll=quick
alarm "Fan!" UPS.Fan
cmd load.off UPS.Off send=0
then UPS.On send=1 wait=0.5
`)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	if tab.Data() != "Test HID 1.0" || tab.Defaults["offdelay"] != "60" {
		t.Errorf("Data, offdelay = %q, %q; want Test HID 1.0, 60", tab.Data(), tab.Defaults["offdelay"])
	}
	if m := tab.Matches[0]; len(m.IDs) != 2 || m.IDs[0] != "1234:abcd" || !slices.Contains(m.Quirks, "b") || m.Consts["scale"] != 0.5 || !m.Product.MatchString("X1") {
		t.Errorf("match = %+v", m)
	}
	if r := tab.Rows[1]; r.Name != "online" || r.Off != "offline" || r.Poll != PollQuick {
		t.Errorf("flag = %+v", r)
	}
	if r := tab.Rows[3]; len(r.Steps) != 2 || r.Steps[1].Wait != 0.5 {
		t.Errorf("cmd = %+v", r)
	}
	if len(tab.Rows) != 5 || tab.Rows[4].Name != "ups.load" {
		t.Errorf("%d rows, the last is %s; want 5 with ups.load of the used table last", len(tab.Rows), tab.Rows[len(tab.Rows)-1].Name)
	}
	if c, ok := tab.Code("ups"); !ok || c != 0x840004 || tab.CodeName(c) != "UPS" {
		t.Errorf("Code(ups) = %#x, %t; want 0x840004 of the used table", c, ok)
	}
}

func TestCheckWarnsOfWhatIsProbablyWrong(t *testing.T) {
	tab, problems := parse(t, `name T 1
match usb 1234:0001 quirk=fast
var batery.charge UPS.A
var battery.charge UPS.B
var battery.charge UPS.B
var experimental.anything UPS.C
var outlet.7.status UPS.D
var ups.test.result UPS.E as=on-off format=%.0f
cmd lode.off UPS.F send=1
enum on-off 0=off 1=on
enum unused 0=off
curve unused-curve 0=1 1=2
rule unused-rule when=1 scale=2
setting ups.delay.start UPS.G
option offdelya 20
option ondelay soon
match usb 1234:0002 interface=1 intreface=1 volt=0.1
var input.voltage UPS.H scale=$vlot
var output.voltage UPS.I if="$volt < 1 && {flag.onlien} == 0"
var ups.realpower UPS.J expr="value * {ups.laod} / {outlet.3.status} / {ups.test.result}"
cmd load.on UPS.K send="{arg} + {none}"
`)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	var got []string
	for _, p := range tab.Check(Family{Quirks: map[string]string{"slow": ""}, Consts: map[string]string{"interface": ""}, Options: []string{"offdelay", "ondelay"}}) {
		got = append(got, p.Error())
		if !p.Warning {
			t.Errorf("%v is not a warning", p)
		}
	}
	all := strings.Join(got, "\n")
	for _, want := range []string{
		"test.def:3:5: batery.charge is no name of a variable that NUT knows (did you mean battery.charge?)",
		"test.def:5:1: the row of line 4 provides battery.charge of the same source already",
		"test.def:8:44: format= has no effect beside as=on-off",
		"test.def:9:5: lode.off is no name of a command that NUT knows (did you mean load.off?)",
		"enum unused is not used", "curve unused-curve is not used", "rule unused-rule is not used",
		`test.def:2:27: no quirk is called "fast"`, "ups.delay.start begins without a value",
		"test.def:15:8: tables do not set an option offdelya (did you mean offdelay?)",
		`test.def:16:16: option ondelay: "soon" is not a whole number`,
		"test.def:17:33: no row uses the constant intreface (did you mean interface?)",
		"test.def:18:31: no match line has a constant vlot (did you mean volt?)",
		`test.def:19:29: no condition is called "onlien" (did you mean online?)`,
		"test.def:20:30: {ups.laod} is read by no row of the table, and so unknown",
		"test.def:21:24: {none} is read by no row",
	} {
		if !strings.Contains(all, want) {
			t.Errorf("Check lacks %q; it has:\n%s", want, all)
		}
	}
	if len(got) != 16 {
		t.Errorf("Check has %d warnings; want 16:\n%s", len(got), all)
	}
}

// FuzzParse: no table may crash the parser, and one that it accepts can be checked.
func FuzzParse(f *testing.F) {
	lib := Load("hid", Embedded())
	for _, t := range lib.Tables {
		f.Add(t.Text())
	}
	f.Add("each a from=1 to=3\neach b to=x mark=%j\nvar outlet.%i.%j X\nend\nend\n")
	f.Add("cmd a b send={arg} as=e or=1\nenum e 1=x\n")
	f.Fuzz(func(t *testing.T, text string) {
		tab, problems := Parse("hid", "fuzz", "fuzz.def", strings.NewReader(text), nil)
		if usable(problems) {
			tab.Check(Family{})
		}
	})
}
