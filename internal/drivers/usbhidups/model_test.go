package usbhidups_test

import (
	"context"
	"encoding/hex"
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
	"gonut/internal/netproto"
	"gonut/internal/subdriver"
	transport "gonut/internal/transport/hid"
	"gonut/internal/words"
	"gonut/test/devices/model"
)

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

func (b *bench) step(st model.Step) {
	b.t.Helper()
	ws := st.Words
	before, wire, _ := strings.Cut(st.Text, " : ")
	request, _ := words.Split(before)
	switch ws[0] {
	case "var":
		if got := b.s.State().Value(ws[1]); got != ws[2] {
			b.t.Errorf("%s:%d: %s = %q; want %q", b.name, st.Line, ws[1], got, ws[2])
		}
	case "no":
		if v, ok := b.s.State().Variable(ws[1]); ok {
			b.t.Errorf("%s:%d: %s = %q; want it to be unknown", b.name, st.Line, ws[1], v.Value)
		}
	case "enum":
		if v, _ := b.s.State().Variable(ws[1]); !slices.Equal(v.Enum, ws[2:]) {
			b.t.Errorf("%s:%d: %s may be %q; want %q", b.name, st.Line, ws[1], v.Enum, ws[2:])
		}
	case "rw":
		if v, _ := b.s.State().Variable(ws[1]); strings.Join(v.Flags.Words(), " ") != "RW STRING" || strconv.Itoa(v.MaxLen) != ws[2] {
			b.t.Errorf("%s:%d: %s is %q of %d bytes; want RW STRING of %s", b.name, st.Line, ws[1], v.Flags.Words(), v.MaxLen, ws[2])
		}
	case "commands":
		b.commands(st)
	case "do", "refuse":
		r := drvsock.Request{Name: request[1]}
		if len(request) > 2 {
			r.Value, r.HasValue = request[2], true
		}
		if got := b.do(st.Line, r); (got == netproto.Handled) != (ws[0] == "do") {
			b.t.Errorf("%s:%d: %s ended with %v", b.name, st.Line, strings.TrimSpace(before), got)
		}
		b.arrived(st.Line, wire)
	case "set", "deny":
		r := drvsock.Request{Set: true, Name: request[1], Value: request[2], HasValue: true}
		if got := b.do(st.Line, r); (got == netproto.Handled) != (ws[0] == "set") {
			b.t.Errorf("%s:%d: %s ended with %v", b.name, st.Line, strings.TrimSpace(before), got)
		}
		b.arrived(st.Line, wire)
	case "put", "push":
		data, err := hex.DecodeString(strings.Join(ws[1:], ""))
		if err != nil {
			b.t.Fatalf("%s:%d: %v", b.name, st.Line, err)
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
		b.t.Fatalf("%s:%d: what is %q?", b.name, st.Line, ws[0])
	}
}

func (b *bench) commands(st model.Step) {
	b.t.Helper()
	var got []string
	for _, c := range b.s.State().Snapshot().Commands {
		if !strings.HasPrefix(c, "driver.") && c != driver.ShutdownDefault {
			got = append(got, c)
		}
	}
	slices.Sort(got)
	want := slices.Clone(st.Words[1:])
	slices.Sort(want)
	if !slices.Equal(got, want) {
		b.t.Errorf("%s:%d: commands are %q; want %q", b.name, st.Line, got, want)
	}
}

func readModel(t *testing.T, path string, lib *subdriver.Library) *model.Model {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	m, err := model.Read(path, f, lib)
	if err != nil {
		t.Fatal(err)
	}
	return m
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
			tested[m.Table.Name] = true
			synctest.Test(t, func(t *testing.T) {
				b := start(t, name, &m.Recording, m.Options)
				if got, want := b.s.State().Value("driver.version.data"), m.Table.Data(); got != want {
					t.Errorf("driver.version.data = %q; want %q", got, want)
				}
				for _, st := range m.Steps {
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
