package hidups

import (
	"context"
	"log/slog"
	"path/filepath"
	"slices"
	"testing"

	"gonut/internal/driver"
	"gonut/internal/subdriver"
	transport "gonut/internal/transport/hid"
	"gonut/test/devices/bench"
)

// FuzzDevice: whatever a device declares and answers, reading it through any table,
// commanding it and learning of it ends without a panic.
func FuzzDevice(f *testing.F) {
	lib := subdriver.Load("hid", subdriver.Embedded())
	files, err := filepath.Glob("../../test/devices/hid/*.model")
	if err != nil || len(files) == 0 {
		f.Fatalf("no models: %v", err)
	}
	for _, file := range files {
		m := bench.ReadModel(f, file, lib)
		var reports []byte
		for id, r := range m.Recording.Features {
			reports = append(append(reports, id, byte(len(r))), r...)
		}
		f.Add(uint8(slices.Index(lib.Tables, m.Table)), uint8(0), m.Recording.Descriptor, reports, "30")
	}
	f.Fuzz(func(t *testing.T, table, line uint8, descriptor, reports []byte, param string) {
		tab := lib.Tables[int(table)%len(lib.Tables)]
		var match *subdriver.Match
		if n := len(tab.Matches); n > 0 {
			match = &tab.Matches[int(line)%n]
		}
		rec := &transport.Recording{
			Info:       transport.Info{VendorID: 0x0463, Manufacturer: "A", Product: "Evolution", Serial: param},
			Descriptor: descriptor, Features: map[byte][]byte{}, Strings: map[int]string{1: param, 2: "650"},
		}
		for len(reports) >= 2 {
			n := min(int(reports[1]), len(reports)-2)
			if data := slices.Clone(reports[2 : 2+n]); n > 0 && reports[0]%5 == 4 {
				rec.Inputs = append(rec.Inputs, data)
			} else if n > 0 {
				rec.Features[reports[0]] = data
			}
			reports = reports[2+n:]
		}
		exercise(t.Context(), t, tab, match, rec, param)
	})
}

func exercise(ctx context.Context, t *testing.T, table *subdriver.Table, match *subdriver.Match, rec *transport.Recording, param string) {
	inputs := slices.Clone(rec.Inputs)
	d, err := New(transport.NewFake(rec), table, match, Options{PollOnly: true}, slog.New(slog.DiscardHandler))
	if err != nil {
		return
	}
	for _, in := range inputs {
		d.source.remember(in)
	}
	var u driver.Update
	if err := d.Poll(ctx, driver.Init, &u); err != nil {
		return
	}
	for _, in := range inputs {
		d.walker.Push(d.source.pushed(ctx, in), &u)
	}
	for _, depth := range []driver.Depth{driver.Quick, driver.Full} {
		if err := d.Poll(ctx, depth, &u); err != nil {
			t.Errorf("the first poll worked, the next one ended with %v", err)
		}
	}
	for i := range table.Rows {
		switch r := &table.Rows[i]; {
		case len(r.Steps) > 0 && len(r.Steps) == 1:
			_ = d.walker.Command(ctx, r.Name, param) // most devices have it not
		case r.RW != nil:
			_ = d.Set(ctx, r.Name, param)
		}
	}
	names := d.table
	if l, err := Learn(ctx, transport.NewFake(rec), names, 0, d.log); err == nil {
		l.Redact()
		l.Table()
	}
}
