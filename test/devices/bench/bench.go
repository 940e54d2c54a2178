// Package bench runs a driver over a device that a test holds, in a bubble of synctest,
// and performs what device models say. Only tests import it.
package bench

import (
	"context"
	"encoding/hex"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gonut/internal/driver"
	"gonut/internal/drvsock"
	"gonut/internal/netproto"
	"gonut/internal/subdriver"
	transport "gonut/internal/transport/hid"
	"gonut/internal/words"
	"gonut/test/devices/model"
)

// ReadModel reads a model from a file.
func ReadModel(t testing.TB, path string, lib *subdriver.Library) *model.Model {
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

// ReadRecording reads a recording of a HID device from a file.
func ReadRecording(t testing.TB, path string) *transport.Recording {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rec, err := transport.ReadRecording(path, f)
	if err != nil {
		t.Fatal(err)
	}
	return rec
}

// A Device is the other end of a connection, which a test holds.
type Device interface {
	// Writes returns the reports that were written since the last call.
	Writes() []transport.Written
	// Put changes what a feature report answers; data[0] is its id.
	Put(data ...byte)
	// Push lets an input report come.
	Push(data ...byte)
}

// A Bench is a device and the session of the driver that runs it.
type Bench struct {
	Session *driver.Session
	t       *testing.T
	name    string
	device  Device
}

// Start runs a driver over a device until the test ends, and returns when it has read
// everything once. name is what messages call it.
func Start(t *testing.T, name string, d driver.Driver, dev Device, c driver.Config) *Bench {
	t.Helper()
	log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
	b := &Bench{Session: driver.NewSession(d, c, driver.Hooks{}, log), t: t, name: name, device: dev}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- b.Session.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v; want nil", err)
		}
	})
	select {
	case <-b.Session.Ready():
	case <-time.After(time.Minute):
	}
	synctest.Wait()
	dev.Writes()
	return b
}

// Config is a configuration with options, and no tables but the embedded ones.
func Config(t *testing.T, options map[string]string) driver.Config {
	c := driver.NewConfig("ups", "auto")
	c.Values.Set = maps.Clone(options)
	if c.Values.Set == nil {
		c.Values.Set = map[string]string{}
	}
	c.Values.ConfPath = t.TempDir()
	return c
}

// Run performs what a model says.
func (b *Bench) Run(m *model.Model) {
	b.t.Helper()
	if got, want := b.Session.State().Value("driver.version.data"), m.Table.Data(); got != want {
		b.t.Errorf("%s: driver.version.data = %q; want %q", b.name, got, want)
	}
	for _, st := range m.Steps {
		b.step(st)
	}
}

// Line performs one line of a model, such as "commands load.off load.on".
func (b *Bench) Line(text string) {
	b.t.Helper()
	ws, err := words.Split(text)
	if err != nil {
		b.t.Fatal(err)
	}
	b.step(model.Step{Words: ws, Text: text})
}

func (b *Bench) do(line int, r drvsock.Request) netproto.Result {
	b.t.Helper()
	got, err := b.Session.Do(b.t.Context(), r)
	if err != nil {
		b.t.Fatalf("%s:%d: %v", b.name, line, err)
	}
	synctest.Wait()
	return got
}

// arrived compares what was written with "feature 15 14 00 | feature …".
func (b *Bench) arrived(line int, want string) {
	b.t.Helper()
	var got []string
	for _, w := range b.device.Writes() {
		got = append(got, w.String())
	}
	if text := strings.Join(got, " | "); text != strings.TrimSpace(want) {
		b.t.Errorf("%s:%d: the device got %q; want %q", b.name, line, text, want)
	}
}

func (b *Bench) step(st model.Step) {
	b.t.Helper()
	ws := st.Words
	before, wire, _ := strings.Cut(st.Text, " : ")
	request, _ := words.Split(before)
	switch ws[0] {
	case "var":
		if got := b.Session.State().Value(ws[1]); got != ws[2] {
			b.t.Errorf("%s:%d: %s = %q; want %q", b.name, st.Line, ws[1], got, ws[2])
		}
	case "no":
		if v, ok := b.Session.State().Variable(ws[1]); ok {
			b.t.Errorf("%s:%d: %s = %q; want it to be unknown", b.name, st.Line, ws[1], v.Value)
		}
	case "enum":
		if v, _ := b.Session.State().Variable(ws[1]); !slices.Equal(v.Enum, ws[2:]) {
			b.t.Errorf("%s:%d: %s may be %q; want %q", b.name, st.Line, ws[1], v.Enum, ws[2:])
		}
	case "rw":
		if v, _ := b.Session.State().Variable(ws[1]); strings.Join(v.Flags.Words(), " ") != "RW STRING" || strconv.Itoa(v.MaxLen) != ws[2] {
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
			b.device.Put(data...)
		} else {
			b.device.Push(data...)
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

func (b *Bench) commands(st model.Step) {
	b.t.Helper()
	var got []string
	for _, c := range b.Session.State().Snapshot().Commands {
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
