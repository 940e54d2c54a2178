package dummyups_test

import (
	"context"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gonut/internal/driver"
	"gonut/internal/drivers/dummyups"
	"gonut/internal/drvsock"
	"gonut/internal/netproto"
	"gonut/internal/ups"
)

// play starts dummy-ups on a file in a synctest bubble.
func play(t *testing.T, path string, change func(*driver.Config)) *driver.Session {
	t.Helper()
	c := driver.NewConfig("dummy", path)
	if change != nil {
		change(&c)
	}
	s := driver.NewSession(dummyups.Driver(), c, driver.Hooks{}, slog.New(slog.NewTextHandler(t.Output(), nil)))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v; want nil", err)
		}
	})
	synctest.Wait()
	return s
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func want(t *testing.T, s *driver.Session, name, want string) {
	t.Helper()
	if got := s.State().Value(name); got != want {
		t.Errorf("%s = %q; want %q", name, got, want)
	}
}

func TestValuesAreThoseThatUpscPrinted(t *testing.T) {
	tests := []struct{ line, name, want string }{
		{"battery.charge: 91", "battery.charge", "91"},
		{"battery.charge:91", "battery.charge", "91"},
		{"battery.charge 91", "battery.charge", "91"},
		{"  battery.charge: 91", "battery.charge", "91"},
		{"battery.charge:  91", "battery.charge", " 91"},
		{"ups.model: A   B  c", "ups.model", "A   B  c"},
		{"ups.model: trailing  ", "ups.model", "trailing  "},
		{"ups.model: text # comment", "ups.model", "text"},
		{"ups.model: text\t\t#BAD: wrong", "ups.model", "text"},
		{"ups.model: x#y", "ups.model", "x#y"},
		{"ups.model: # nothing", "ups.model", ""},
		{"ups.model:", "ups.model", ""},
		{"ups.model: ", "ups.model", ""},
		{"ups.model: a=b: c", "ups.model", "a=b: c"},
		{`ups.model: back \ slash`, "ups.model", `back \ slash`},
		{`ups.model: "Exide`, "ups.model", `"Exide`},
		{`ups.model: "two  words"`, "ups.model", "two  words"},
		{`ups.model: "with \" and \\ and \# in"`, "ups.model", `with " and \ and # in`},
		{`ups.model: "a" and "b"`, "ups.model", `"a" and "b"`},
		{"ups.model: a\tb\r", "ups.model", "a b"},
		{"ups.model: caf\xc3\xa9\x01", "ups.model", "caf"},
		{"UPS.Load: 5", "ups.load", "5"},
		{"driver.name: usbhid-ups", "driver.name", "dummy-ups"},
		{"ups.status: OL  OL CHRG", "ups.status", "OL CHRG"},
		{"ups.status: OL ALARM", "ups.status", "ALARM OL"},
		{"ups.alarm: Replace battery!", "ups.alarm", "Replace battery!"},
		{"", "ups.mfr", "Dummy Manufacturer"},
		{"", "device.model", "Dummy UPS"},
		{"", "ups.status", "OL"},
		{"ups.mfr: X", "device.mfr", "X"},
	}
	for _, tt := range tests {
		path := write(t, "x.dev", tt.line+"\n")
		synctest.Test(t, func(t *testing.T) {
			s := play(t, path, nil)
			if got := s.State().Value(tt.name); got != tt.want {
				t.Errorf("%q gives %s = %q; want %q", tt.line, tt.name, got, tt.want)
			}
		})
	}
}

// The types are those that C's dummy-ups 2.8.0 gives the same variables.
func TestTypes(t *testing.T) {
	tests := []struct{ file, name, want string }{
		{"battery.charge: 1", "battery.charge", "RW NUMBER"},
		{"ups.id: 1", "ups.id", "RW STRING:16"},
		{"input.sensitivity: L", "input.sensitivity", "RW STRING:1"},
		{"foo.bar: 1", "foo.bar", "RW STRING:32"},
		{"", "ups.status", "RW STRING:32"},
		{"battery.charge: 1\n#RW:battery.charge:STRING:5", "battery.charge", "RW STRING:5"},
		{"battery.charge: 1\n#RW:battery.charge:STRING", "battery.charge", "RW STRING:32"},
		{"ups.delay.start: 1\n#RW:ups.delay.start:RANGE:\"0\" \"60\"\n#RW:ups.delay.start:RANGE:\"100\" \"200\"", "ups.delay.start", "RW NUMBER 0-60 100-200"},
		{"output.voltage.nominal: 1\n#RW:output.voltage.nominal:ENUM:\"208 V\"\n#RW:output.voltage.nominal:ENUM:\"230\"\t#BAD", "output.voltage.nominal", "RW STRING:32 208 V,230"},
	}
	for _, tt := range tests {
		// Comments may stand in front of what they are about.
		for _, file := range []string{tt.file, reverse(tt.file)} {
			path := write(t, "x.dev", file+"\n")
			synctest.Test(t, func(t *testing.T) {
				v, _ := play(t, path, nil).State().Variable(tt.name)
				if got, rev := typeOf(v), reverseType(tt.want); got != tt.want && got != rev {
					t.Errorf("type of %s in %q = %s; want %s", tt.name, file, got, tt.want)
				}
			})
		}
	}
}

func reverse(s string) string {
	ls := strings.Split(s, "\n")
	slices.Reverse(ls)
	return strings.Join(ls, "\n")
}

// reverseType is the type when the lines of its values came in reverse.
func reverseType(s string) string {
	return strings.NewReplacer("0-60 100-200", "100-200 0-60", "208 V,230", "230,208 V").Replace(s)
}

func typeOf(v ups.Variable) string {
	var b strings.Builder
	b.WriteString("RW ")
	if v.Flags&ups.RW == 0 {
		b.Reset()
	}
	if v.Flags&ups.String != 0 {
		b.WriteString("STRING:" + strconv.Itoa(v.MaxLen))
	} else {
		b.WriteString("NUMBER")
	}
	for _, r := range v.Ranges {
		b.WriteString(" " + strconv.Itoa(r.Min) + "-" + strconv.Itoa(r.Max))
	}
	if len(v.Enum) > 0 {
		b.WriteString(" " + strings.Join(v.Enum, ","))
	}
	return b.String()
}

func TestCommandsAndSet(t *testing.T) {
	path := write(t, "x.dev", "ups.id: a\n#CMD:test.panel.start\t#BAD\n#CMD:beeper.mute\n")
	synctest.Test(t, func(t *testing.T) {
		s := play(t, path, nil)
		for _, c := range []string{"load.off", "test.panel.start", "beeper.mute"} {
			if !s.State().HasCommand(c) {
				t.Errorf("command %s is missing", c)
			}
		}
		for _, tt := range []struct {
			r    drvsock.Request
			want netproto.Result
		}{
			{drvsock.Request{Name: "load.off"}, netproto.Handled},
			{drvsock.Request{Name: "BEEPER.mute"}, netproto.Handled},
			{drvsock.Request{Name: "beeper.on"}, netproto.Unknown},
			{drvsock.Request{Name: "shutdown.default"}, netproto.Failed},
			{drvsock.Request{Set: true, Name: "ups.id", Value: "b"}, netproto.Handled},
			{drvsock.Request{Set: true, Name: "UPS.STATUS", Value: "OB LB"}, netproto.Handled},
			{drvsock.Request{Set: true, Name: "no.such", Value: "1"}, netproto.Unknown},
		} {
			if got, err := s.Do(t.Context(), tt.r); got != tt.want || err != nil {
				t.Errorf("Do(%+v) = %d, %v; want %d", tt.r, got, err, tt.want)
			}
		}
		want(t, s, "ups.id", "b")
		want(t, s, "ups.status", "OB LB")
	})
}

func TestOnceReadsAChangedFileAgain(t *testing.T) {
	path := write(t, "x.dev", "ups.status: OL\nbattery.charge: 100\n")
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(path, old, old); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		s := play(t, path, nil)
		want(t, s, "ups.status", "OL")
		if err := os.WriteFile(path, []byte("ups.status: OB\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Second)
		want(t, s, "ups.status", "OB")
		want(t, s, "battery.charge", "100") // what is not mentioned stays
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		time.Sleep(8 * time.Second)
		if !s.State().Stale() {
			t.Error("the file is gone and the data are not stale")
		}
		if err := os.WriteFile(path, []byte("ups.status: OL\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		want(t, s, "ups.status", "OL")
	})
}

func TestLoopFollowsItsTimers(t *testing.T) {
	path := write(t, "x.seq", `
ups.status: OL
battery.charge: 100
TIMER 5
ups.status: OB
ALARM on battery
TIMER 3
battery.charge: 40
ups.status: OB LB
TIMER 0
ALARM low  battery  # really
TIMER 4
`)
	synctest.Test(t, func(t *testing.T) {
		s := play(t, path, func(c *driver.Config) { c.PollInterval = time.Minute })
		want(t, s, "driver.parameter.mode", "dummy-loop")
		begin := time.Now()
		// One round takes 5 + 3 + 4 s, whatever the poll interval is.
		for _, tt := range []struct {
			at            float64
			status, alarm string
		}{
			{0.1, "OL", ""},
			{4.9, "OL", ""},
			{5.1, "ALARM OB", "on battery"},
			{8.1, "ALARM OB LB DISCHRG", "on battery low  battery"},
			{11.9, "ALARM OB LB DISCHRG", "on battery low  battery"},
			{12.1, "OL", ""},
			{17.1, "ALARM OB", "on battery"},
			{24.1, "OL", ""},
		} {
			time.Sleep(time.Until(begin.Add(time.Duration(tt.at * float64(time.Second)))))
			if got, alarm := s.State().Value("ups.status"), s.State().Value("ups.alarm"); got != tt.status || alarm != tt.alarm {
				t.Errorf("after %v s: ups.status = %q, ups.alarm = %q; want %q, %q", tt.at, got, alarm, tt.status, tt.alarm)
			}
		}
	})
}

func TestAlarmCleared(t *testing.T) {
	path := write(t, "x.seq", "ALARM one\nALARM: two\nTIMER 5\nALARM\nTIMER 5\n")
	synctest.Test(t, func(t *testing.T) {
		s := play(t, path, nil)
		want(t, s, "ups.alarm", "one two")
		time.Sleep(6 * time.Second)
		want(t, s, "ups.alarm", "")
		want(t, s, "ups.status", "OL")
	})
}

func TestEmptyValueTakesAVariableBack(t *testing.T) {
	path := write(t, "x", "ups.alarm: hot\nups.serial:\nTIMER 5\nups.alarm:\nTIMER 5\n")
	synctest.Test(t, func(t *testing.T) {
		s := play(t, path, nil)
		want(t, s, "ups.alarm", "hot")
		if _, ok := s.State().Variable("ups.serial"); !ok {
			t.Error("an empty value that was never anything else is missing")
		}
		time.Sleep(5100 * time.Millisecond)
		if _, ok := s.State().Variable("ups.alarm"); ok {
			t.Error("ups.alarm is still there")
		}
		time.Sleep(5 * time.Second)
		want(t, s, "ups.alarm", "hot")
		if got, err := s.Do(t.Context(), drvsock.Request{Set: true, Name: "ups.alarm"}); got != netproto.Handled || err != nil {
			t.Errorf("SET ups.alarm to nothing = %d, %v", got, err)
		}
		if _, ok := s.State().Variable("ups.alarm"); ok {
			t.Error("ups.alarm is still there after it was set to nothing")
		}
	})
}

func TestModeFollowsThePort(t *testing.T) {
	for _, tt := range []struct {
		name, mode string
		loops      bool
	}{
		{"x.dev", "", false}, {"x.seq", "", true}, {"x.txt", "", true}, {"x.dev", "dummy-loop", true}, {"x.dev", "dummy", true}, {"x.seq", "dummy-once", false},
	} {
		path := write(t, tt.name, "ups.id: a\nTIMER 5\nups.id: b\nTIMER 5\n")
		synctest.Test(t, func(t *testing.T) {
			s := play(t, path, func(c *driver.Config) {
				if tt.mode != "" {
					c.Values.Set["mode"] = tt.mode
				}
			})
			time.Sleep(11 * time.Second)
			if got := s.State().Value("ups.id") == "a"; got != tt.loops {
				t.Errorf("%s with mode %q starts over = %v; want %v", tt.name, tt.mode, got, tt.loops)
			}
		})
	}
}

func TestGarbageIsToldAndTheRestServed(t *testing.T) {
	path := write(t, "x.dev", "ups.status: OB\ngarbage\n\x00\xff\n:x\nTIMER soon\n#RW:x:FOO\n#CMD:!\nups load: 5\nups.load: 7\nTIMER 9223372037\n")
	var told strings.Builder
	synctest.Test(t, func(t *testing.T) {
		c := driver.NewConfig("dummy", path)
		s := driver.NewSession(dummyups.Driver(), c, driver.Hooks{}, slog.New(slog.NewTextHandler(&told, nil)))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- s.Run(ctx) }()
		<-s.Ready()
		want(t, s, "ups.status", "OB")
		want(t, s, "ups.load", "7")
		cancel()
		<-done
	})
	for _, line := range []string{":2: ", ":4: ", ":5: ", ":6: ", ":7: ", ":8: ", ":10: "} {
		if !strings.Contains(told.String(), path+line) {
			t.Errorf("no message about %s%s in:\n%s", path, line, told.String())
		}
	}
}

// However much of a file is no recording, the log is not filled.
func TestMuchGarbage(t *testing.T) {
	var told strings.Builder
	v := driver.Values{Port: write(t, "x.dev", strings.Repeat("garbage\n", 1000)), Set: map[string]string{}}
	if _, err := dummyups.Driver().Open(t.Context(), v, slog.New(slog.NewTextHandler(&told, nil))); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(told.String(), "\n"); n != 21 || !strings.Contains(told.String(), "x.dev:21: there are more lines like those") {
		t.Errorf("said in %d lines\n%s\nwant 21, of which the last says that there are more", n, told.String())
	}
}

func TestOpenErrors(t *testing.T) {
	long := write(t, "x.dev", "ups.status: OL\nups.mfr: "+strings.Repeat("x", 1<<20)+"\n")
	tests := []struct{ port, mode, want string }{
		{"/nowhere/x.dev", "", "read recording /nowhere/x.dev: no such file or directory"},
		{"recording:none", "", "recording:none"},
		{long, "", "line 2 has more than 1048576 bytes"},
		{"x.dev", "dummy-twice", "read recording"}, // a word that is no mode is passed over
	}
	for _, tt := range tests {
		v := driver.Values{Port: tt.port, Set: map[string]string{}, ConfPath: "/nowhere"}
		if tt.mode != "" {
			v.Set["mode"] = tt.mode
		}
		_, err := dummyups.Driver().Open(t.Context(), v, slog.New(slog.DiscardHandler))
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("Open(%s, mode %q) = %v; want %q in it", tt.port, tt.mode, err, tt.want)
		}
	}
}

func TestRecordingsArePlayed(t *testing.T) {
	names, err := fs.Glob(dummyups.Recordings(), "*.dev")
	if err != nil || len(names) == 0 {
		t.Fatalf("recordings = %v, %v; want some", names, err)
	}
	for _, name := range names {
		synctest.Test(t, func(t *testing.T) {
			s := play(t, "recording:"+strings.TrimSuffix(name, ".dev"), nil)
			if s.State().Stale() || s.State().Value("ups.mfr") == "Dummy Manufacturer" {
				t.Errorf("%s: stale %v, ups.mfr %q", name, s.State().Stale(), s.State().Value("ups.mfr"))
			}
		})
	}
}

// Every dump of the device dump library is served through the driver socket and
// read back as it was written.
func TestDumpLibrary(t *testing.T) {
	shared := os.Getenv("GONUT_SHARED")
	if shared == "" {
		t.Skip("GONUT_SHARED is not set: the device dump library is not there")
	}
	files, err := filepath.Glob(filepath.Join(shared, "ddl", "*", "*.dev"))
	if err != nil || len(files) == 0 {
		t.Fatalf("dumps = %d, %v; want some", len(files), err)
	}
	for _, path := range files {
		d := readDump(t, path)
		synctest.Test(t, func(t *testing.T) {
			s := play(t, path, nil)
			mirror := throughSocket(t, s)
			for name, value := range d.values {
				v, ok := mirror.Variable(name)
				if !ok || v.Value != value {
					t.Errorf("%s: %s = %q, %v; want %q", filepath.Base(path), name, v.Value, ok, value)
				}
			}
			for name, lines := range d.writable {
				if v, ok := mirror.Variable(name); ok && !slices.Equal(rwLines(v, lines), lines) {
					t.Errorf("%s: %s can be set as %q; want %q", filepath.Base(path), name, rwLines(v, lines), lines)
				}
			}
			for _, c := range d.commands {
				if !mirror.HasCommand(c) {
					t.Errorf("%s: command %s is missing", filepath.Base(path), c)
				}
			}
		})
	}
	t.Logf("%d dumps", len(files))
}

type dump struct {
	values   map[string]string
	writable map[string][]string
	commands []string
}

// readDump reads a dump by other means than the driver does.
func readDump(t *testing.T, path string) dump {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	d := dump{values: make(map[string]string), writable: make(map[string][]string)}
	for _, line := range strings.Split(string(text), "\n") {
		line = strings.Map(func(r rune) rune {
			if r == '\t' {
				return ' '
			}
			if r < ' ' || r > '~' {
				return -1
			}
			return r
		}, line)
		if rest, ok := strings.CutPrefix(line, "#CMD:"); ok {
			d.commands = append(d.commands, strings.Fields(rest)[0])
			continue
		}
		if rest, ok := strings.CutPrefix(line, "#RW:"); ok {
			name, kind, _ := strings.Cut(rest, ":")
			kind, _, _ = strings.Cut(kind, " #")
			d.writable[name] = append(d.writable[name], strings.TrimRight(kind, " "))
			continue
		}
		name, value, ok := strings.Cut(line, ":")
		if !ok || strings.HasPrefix(line, "#") || strings.HasPrefix(name, "driver.") || strings.Contains(name, " ") {
			continue
		}
		if i := strings.Index(value, " #"); i >= 0 {
			value = strings.TrimRight(value[:i], " ")
		}
		value = strings.TrimPrefix(value, " ")
		if name == "ups.status" {
			value = strings.Join(strings.Fields(value), " ")
		}
		d.values[name] = value
	}
	return d
}

// rwLines writes what a variable can be set to as dumps do. A length is left out
// where the dump has none.
func rwLines(v ups.Variable, like []string) []string {
	var ls []string
	for _, e := range v.Enum {
		ls = append(ls, `ENUM:"`+e+`"`)
	}
	for _, r := range v.Ranges {
		ls = append(ls, `RANGE:"`+strconv.Itoa(r.Min)+`" "`+strconv.Itoa(r.Max)+`"`)
	}
	if ls == nil && slices.Contains(like, "STRING") {
		return []string{"STRING"}
	}
	if ls == nil {
		ls = append(ls, "STRING:"+strconv.Itoa(v.MaxLen))
	}
	return ls
}

// throughSocket returns what a client of the driver socket makes of a dump.
func throughSocket(t *testing.T, s *driver.Session) *ups.State {
	t.Helper()
	ours, theirs := net.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error)
	go func() { served <- s.Serve(ctx, &oneConn{conn: theirs, done: make(chan struct{})}) }()
	defer func() {
		cancel()
		<-served
	}()
	link, err := drvsock.Connect(ctx, func(context.Context) (net.Conn, error) { return ours, nil })
	if err != nil {
		t.Fatal(err)
	}
	defer link.Close()
	cs, err := link.Dump(ctx)
	if err != nil {
		t.Fatal(err)
	}
	mirror := ups.NewState()
	mirror.Apply(cs...)
	return mirror
}

// A oneConn is a listener that has one connection to give.
type oneConn struct {
	conn net.Conn
	done chan struct{}
}

func (l *oneConn) Accept() (net.Conn, error) {
	if c := l.conn; c != nil {
		l.conn = nil
		return c, nil
	}
	<-l.done
	return nil, net.ErrClosed
}

func (l *oneConn) Close() error   { close(l.done); return nil }
func (l *oneConn) Addr() net.Addr { return &net.UnixAddr{} }
