package hid_test

import (
	"cmp"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"gonut/internal/hid"
	transport "gonut/internal/transport/hid"
	"gonut/test/devices/bench"
)

// The descriptor of a real device, told field by field as Windows does, has to come
// out with the same fields in the same places.
func TestEncodeDescriptorOfRealDevices(t *testing.T) {
	files, err := filepath.Glob("../../../test/devices/hid/*.rec")
	if err != nil || len(files) == 0 {
		t.Fatalf("no recordings: %v", err)
	}
	for _, name := range files {
		want := fieldsOf(t, bench.ReadRecording(t, name).Descriptor)
		var told []transport.Field
		for _, f := range want {
			told = append(told, tell(f))
		}
		got := fieldsOf(t, transport.EncodeDescriptor(told))
		if len(got) != len(want) {
			t.Errorf("%s: %d fields; want %d", name, len(got), len(want))
			continue
		}
		for i := range want {
			if !reflect.DeepEqual(got[i], want[i]) {
				t.Errorf("%s: field %d = %+v; want %+v", name, i, got[i], want[i])
			}
		}
	}
}

// fieldsOf parses a descriptor, its fields in the order of reports and bits. What does
// not outlive the way is left out: whether limits were guessed or given.
func fieldsOf(t *testing.T, descriptor []byte) []hid.Field {
	t.Helper()
	d, err := hid.Parse(descriptor)
	if err != nil {
		t.Fatal(err)
	}
	fs := slices.Clone(d.Fields)
	slices.SortStableFunc(fs, func(a, b hid.Field) int {
		return cmp.Or(int(a.Report)-int(b.Report), int(a.Kind)-int(b.Kind), a.Offset-b.Offset)
	})
	for i := range fs {
		fs[i].AssumedMax, fs[i].HasPhysical = false, false
	}
	return fs
}

func tell(f hid.Field) transport.Field {
	types := map[hid.Kind]transport.ReportType{hid.Input: transport.Input, hid.Output: transport.Output, hid.Feature: transport.Feature}
	x := transport.Field{
		Type: types[f.Kind], Report: f.Report, Offset: f.Offset, Size: f.Size, Flags: byte(f.Flags),
		LogMin: f.LogMin, LogMax: f.LogMax, PhysMin: f.PhyMin, PhysMax: f.PhyMax, Unit: f.Unit, Exponent: f.Exponent,
	}
	for _, u := range f.Path {
		x.Path = append(x.Path, uint32(u))
	}
	return x
}

func TestEncodeDescriptorLeavesRoom(t *testing.T) {
	got := fieldsOf(t, transport.EncodeDescriptor([]transport.Field{
		{Type: transport.Feature, Path: []uint32{0x840004, 0x840020, transport.IndexUsage(2), 0x840057}, Offset: 3, Size: 5, LogMax: 31},
		{Type: transport.Feature, Path: []uint32{0x840004, 0x840020, transport.IndexUsage(1), 0x840057}, Offset: 16, Size: 16, LogMin: -1, LogMax: 32767},
		{Type: transport.Input, Path: []uint32{0x840004, 0x850066}, Offset: 8, Size: 8, LogMax: 100},
	}))
	if len(got) != 3 {
		t.Fatalf("%d fields; want 3", len(got))
	}
	for i, want := range []struct {
		report       byte
		offset, size int
	}{{0, 8, 8}, {0, 3, 5}, {0, 16, 16}} {
		if got[i].Report != want.report || got[i].Offset != want.offset || got[i].Size != want.size {
			t.Errorf("field %d = %+v; want %+v", i, got[i], want)
		}
	}
	if p := got[1].Path; len(p) != 4 || uint32(p[2]) != transport.IndexUsage(2) {
		t.Errorf("path = %v; want the number of the collection in it", p)
	}
}
