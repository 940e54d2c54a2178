package usbhidups_test

import (
	"bufio"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gonut/internal/driver"
	"gonut/internal/drivers/usbhidups"
	"gonut/internal/drvsock"
	"gonut/internal/hid"
	"gonut/internal/netproto"
	"gonut/internal/subdriver"
	transport "gonut/internal/transport/hid"
	"gonut/internal/words"
)

// A model is a device that a test wrote, with what it has to look like through the
// driver. The file has a line for each:
//
//	table NAME                        whose usage names the paths have
//	device, manufacturer, product, serial, string   as in a recording
//	option NAME [VALUE]               of ups.conf
//	field REPORT PATH BITS MIN..MAX [volt|watt|… EXPONENT] [input|constant|null] = VALUE
//	pad REPORT BITS                   bits without a meaning
//	var NAME VALUE                    is published; "no NAME": is not
//	enum NAME VALUE …                 may be set to these
//	rw NAME LENGTH                    may be set to a text
//	commands NAME …                   exist, and no others but the session's own
//	do COMMAND [PARAM] : WRITES       what arrives: "feature 15 14 00 | feature …"
//	refuse COMMAND [PARAM]            is refused, and nothing arrives
//	set NAME VALUE : WRITES
//	put BYTES, push BYTES             a feature report changes, an input report comes
//	wait SECONDS                      time passes
//
// Lines from the first "var" on happen in order.
type model struct {
	rec     transport.Recording
	table   *subdriver.Table
	options map[string]string
	fields  []modelField
	steps   []step
}

type step struct {
	line  int
	words []string
	text  string
}

type modelField struct {
	report   byte
	path     hid.Path
	size     int
	min, max int64
	unit     uint32
	exponent int
	kind     hid.Kind
	flags    byte
	value    int64
	pad      bool
}

var units = map[string]uint32{
	"volt": 0x00F0D121, "watt": 0xD121, "ampere": 0x00100001, "second": 0x1001, "kelvin": 0x10001, "hertz": 0xF001, "ampere-second": 0x101001,
}

func readModel(t *testing.T, path string, lib *subdriver.Library) *model {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	m := &model{options: map[string]string{}}
	var head strings.Builder
	s := bufio.NewScanner(strings.NewReader(string(b)))
	for line := 1; s.Scan(); line++ {
		text := strings.TrimSpace(s.Text())
		ws, err := words.Split(text)
		if err != nil {
			t.Fatalf("%s:%d: %v", path, line, err)
		}
		if len(ws) == 0 {
			continue
		}
		switch ws[0] {
		case "device", "manufacturer", "product", "serial", "string", "interface":
			fmt.Fprintln(&head, text)
		case "feature":
			fmt.Fprintln(&head, text)
		case "table":
			if m.table = lib.Table(ws[1]); m.table == nil {
				t.Fatalf("%s:%d: no table %s", path, line, ws[1])
			}
		case "option":
			m.options[ws[1]] = strings.Join(ws[2:], " ")
		case "field", "pad":
			f, err := m.field(ws)
			if err != nil {
				t.Fatalf("%s:%d: %v", path, line, err)
			}
			m.fields = append(m.fields, f)
		default:
			m.steps = append(m.steps, step{line, ws, text})
		}
	}
	rec, err := transport.ReadRecording(path, strings.NewReader(head.String()))
	if err != nil {
		t.Fatal(err)
	}
	m.rec = *rec
	m.build(t, path)
	return m
}

func (m *model) field(ws []string) (modelField, error) {
	id, err := strconv.ParseUint(ws[1], 16, 8)
	f := modelField{report: byte(id), kind: hid.Feature, flags: 0xA2, pad: ws[0] == "pad"}
	if f.pad {
		f.size, _ = strconv.Atoi(ws[2])
		return f, err
	}
	f.path, _ = hid.ParsePath(ws[2], func(n string) (hid.Usage, bool) { c, ok := m.table.Code(n); return hid.Usage(c), ok })
	if f.path == nil {
		return f, fmt.Errorf("no path %s", ws[2])
	}
	f.size, _ = strconv.Atoi(ws[3])
	low, high, _ := strings.Cut(ws[4], "..")
	var e1, e2 error
	f.min, e1 = strconv.ParseInt(low, 0, 64)
	f.max, e2 = strconv.ParseInt(high, 0, 64)
	err = errors.Join(err, e1, e2)
	for i := 5; i < len(ws); i++ {
		switch ws[i] {
		case "input":
			f.kind = hid.Input
		case "constant":
			f.flags = 0x01
		case "null":
			f.flags |= 0x40
		case "=":
			var e error
			f.value, e = strconv.ParseInt(ws[i+1], 0, 64)
			err = errors.Join(err, e)
			i++
		default:
			u, ok := units[ws[i]]
			if !ok {
				return f, fmt.Errorf("what is %q?", ws[i])
			}
			f.unit = u
			f.exponent, _ = strconv.Atoi(ws[i+1])
			i++
		}
	}
	return f, err
}

// build encodes the descriptor and the reports.
func (m *model) build(t *testing.T, path string) {
	t.Helper()
	var d []byte
	item := func(tag byte, v int64, size int) {
		code := map[int]byte{0: 0, 1: 1, 2: 2, 4: 3}[size]
		d = append(d, tag|code)
		for i := range size {
			d = append(d, byte(v>>(8*i)))
		}
	}
	var open hid.Path
	closeTo := func(n int) {
		for len(open) > n {
			if open[len(open)-1]>>7 != 0x00FF0000>>7 {
				item(0xC0, 0, 0)
			}
			open = open[:len(open)-1]
		}
	}
	for _, f := range m.fields {
		if f.pad {
			item(0x84, int64(f.report), 1)
			item(0x74, int64(f.size), 1)
			item(0x94, 1, 1)
			item(0xB0, 1, 1)
			continue
		}
		dir := f.path[:len(f.path)-1]
		n := 0
		for n < len(open) && n < len(dir) && open[n] == dir[n] {
			n++
		}
		if n > 0 && n < len(dir) && dir[n]>>7 == 0x00FF0000>>7 || n < len(open) && open[n]>>7 == 0x00FF0000>>7 {
			n-- // an index belongs to the collection before it
		}
		closeTo(n)
		for ; n < len(dir); n++ {
			item(0x08, int64(dir[n]), 4)
			if n+1 < len(dir) && dir[n+1]>>7 == 0x00FF0000>>7 {
				item(0xA0, 0x80|int64(dir[n+1]&0x7F), 1)
				open = append(open, dir[n], dir[n+1])
				n++
				continue
			}
			item(0xA0, 1, 1)
			open = append(open, dir[n])
		}
		item(0x84, int64(f.report), 1)
		item(0x14, f.min, 4)
		item(0x24, f.max, 4)
		item(0x64, int64(f.unit), 4)
		item(0x54, int64(f.exponent&15), 1)
		item(0x74, int64(f.size), 1)
		item(0x94, 1, 1)
		item(0x08, int64(f.path[len(f.path)-1]), 4)
		tag := byte(0xB0)
		if f.kind == hid.Input {
			tag = 0x80
		}
		item(tag, int64(f.flags), 1)
	}
	closeTo(0)
	m.rec.Descriptor = d
	desc, err := hid.Parse(d)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	if len(desc.Fields) != len(slices.DeleteFunc(slices.Clone(m.fields), func(f modelField) bool { return f.pad })) {
		t.Fatalf("%s: the descriptor has %d fields", path, len(desc.Fields))
	}
	i := 0
	for _, f := range m.fields {
		if f.pad {
			continue
		}
		parsed := desc.Fields[i]
		i++
		if f.kind == hid.Input {
			continue
		}
		if m.rec.Features[f.report] == nil {
			m.rec.Features[f.report] = make([]byte, desc.Length(f.report))
			m.rec.Features[f.report][0] = f.report
		}
		parsed.Put(m.rec.Features[f.report], f.value)
	}
}

// A bench is a device and the driver that runs it.
type bench struct {
	t    *testing.T
	name string
	fake *transport.Fake
	s    *driver.Session
}

func start(t *testing.T, name string, rec *transport.Recording, options map[string]string) *bench {
	t.Helper()
	b := &bench{t: t, name: name, fake: transport.NewFake(rec)}
	c := driver.NewConfig("ups", "auto")
	c.Values.Set = maps.Clone(options)
	if c.Values.Set == nil {
		c.Values.Set = map[string]string{}
	}
	c.Values.ConfPath = t.TempDir()
	b.s = driver.NewSession(usbhidups.With(func(*slog.Logger) transport.Opener { return b.fake }), c, driver.Hooks{},
		slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug})))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- b.s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v; want nil", err)
		}
	})
	synctest.Wait()
	b.fake.Writes()
	return b
}

func (b *bench) do(line int, r drvsock.Request) netproto.Result {
	b.t.Helper()
	got, err := b.s.Do(b.t.Context(), r)
	if err != nil {
		b.t.Fatalf("%s:%d: %v", b.name, line, err)
	}
	synctest.Wait()
	return got
}

// arrived compares what was written with "feature 15 14 00 | feature …".
func (b *bench) arrived(line int, want string) {
	b.t.Helper()
	var got []string
	for _, w := range b.fake.Writes() {
		got = append(got, w.String())
	}
	if text := strings.Join(got, " | "); text != strings.TrimSpace(want) {
		b.t.Errorf("%s:%d: the device got %q; want %q", b.name, line, text, want)
	}
}

func (b *bench) step(st step) {
	b.t.Helper()
	ws := st.words
	before, wire, _ := strings.Cut(st.text, " : ")
	request, _ := words.Split(before)
	switch ws[0] {
	case "var":
		if got := b.s.State().Value(ws[1]); got != ws[2] {
			b.t.Errorf("%s:%d: %s = %q; want %q", b.name, st.line, ws[1], got, ws[2])
		}
	case "no":
		if v, ok := b.s.State().Variable(ws[1]); ok {
			b.t.Errorf("%s:%d: %s = %q; want it to be unknown", b.name, st.line, ws[1], v.Value)
		}
	case "enum":
		if v, _ := b.s.State().Variable(ws[1]); !slices.Equal(v.Enum, ws[2:]) {
			b.t.Errorf("%s:%d: %s may be %q; want %q", b.name, st.line, ws[1], v.Enum, ws[2:])
		}
	case "rw":
		if v, _ := b.s.State().Variable(ws[1]); strings.Join(v.Flags.Words(), " ") != "RW STRING" || strconv.Itoa(v.MaxLen) != ws[2] {
			b.t.Errorf("%s:%d: %s is %q of %d bytes; want RW STRING of %s", b.name, st.line, ws[1], v.Flags.Words(), v.MaxLen, ws[2])
		}
	case "commands":
		b.commands(st)
	case "do", "refuse":
		r := drvsock.Request{Name: request[1]}
		if len(request) > 2 {
			r.Value, r.HasValue = request[2], true
		}
		if got := b.do(st.line, r); (got == netproto.Handled) != (ws[0] == "do") {
			b.t.Errorf("%s:%d: %s ended with %v", b.name, st.line, strings.TrimSpace(before), got)
		}
		b.arrived(st.line, wire)
	case "set", "deny":
		r := drvsock.Request{Set: true, Name: request[1], Value: request[2], HasValue: true}
		if got := b.do(st.line, r); (got == netproto.Handled) != (ws[0] == "set") {
			b.t.Errorf("%s:%d: %s ended with %v", b.name, st.line, strings.TrimSpace(before), got)
		}
		b.arrived(st.line, wire)
	case "put", "push":
		data, err := hex.DecodeString(strings.Join(ws[1:], ""))
		if err != nil {
			b.t.Fatalf("%s:%d: %v", b.name, st.line, err)
		}
		if ws[0] == "put" {
			b.fake.Put(data...)
		} else {
			b.fake.Push(data...)
		}
		synctest.Wait()
	case "wait":
		n, _ := strconv.ParseFloat(ws[1], 64)
		time.Sleep(time.Duration(n * float64(time.Second)))
		synctest.Wait()
	default:
		b.t.Fatalf("%s:%d: what is %q?", b.name, st.line, ws[0])
	}
}

func (b *bench) commands(st step) {
	b.t.Helper()
	var got []string
	for _, c := range b.s.State().Snapshot().Commands {
		if !strings.HasPrefix(c, "driver.") && c != driver.ShutdownDefault {
			got = append(got, c)
		}
	}
	slices.Sort(got)
	want := slices.Clone(st.words[1:])
	slices.Sort(want)
	if !slices.Equal(got, want) {
		b.t.Errorf("%s:%d: commands are %q; want %q", b.name, st.line, got, want)
	}
}

// TestModels runs every device model against the driver: variables, commands, and
// what arrives at the device.
func TestModels(t *testing.T) {
	lib := subdriver.Load("hid", subdriver.Embedded())
	files, err := filepath.Glob("../../../test/devices/hid/*.model")
	if err != nil || len(files) == 0 {
		t.Fatalf("no models: %v", err)
	}
	tested := map[string]bool{"explore": true}
	for _, file := range files {
		name := filepath.Base(file)
		t.Run(strings.TrimSuffix(name, ".model"), func(t *testing.T) {
			m := readModel(t, file, lib)
			tested[m.table.Name] = true
			synctest.Test(t, func(t *testing.T) {
				b := start(t, name, &m.rec, m.options)
				if got, want := b.s.State().Value("driver.version.data"), m.table.Data(); got != want {
					t.Errorf("driver.version.data = %q; want %q", got, want)
				}
				for _, st := range m.steps {
					b.step(st)
				}
			})
		})
	}
	for _, table := range lib.Tables {
		if !tested[table.Name] {
			t.Errorf("table %s has no device model", table.Name)
		}
	}
}
