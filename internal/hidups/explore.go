package hidups

import (
	"context"
	"fmt"
	"strconv"

	"gonut/internal/hid"
)

// A FieldValue is a field with what it holds now.
type FieldValue struct {
	Field hid.Field
	Path  string // with the names that the table knows
	Value float64
	Err   error
}

// String returns the line that C's explore mode prints, which tools read.
func (v FieldValue) String() string {
	s := fmt.Sprintf("Path: %s, Type: %s, ReportID: 0x%02x, Offset: %d, Size: %d", v.Path, v.Field.Kind, v.Field.Report, v.Field.Offset, v.Field.Size)
	if v.Err == nil {
		s += ", Value: " + strconv.FormatFloat(v.Value, 'g', 6, 64)
	}
	return s
}

// Fields reads all fields of the descriptor, in its order. Reports that some
// devices do not survive being asked for are left out.
func (d *Device) Fields(ctx context.Context) []FieldValue {
	var vs []FieldValue
	reports := map[byte][]byte{}
	for _, f := range d.desc.Fields {
		v := FieldValue{Field: f, Path: f.Path.Text(func(u hid.Usage) string { return d.table.CodeName(uint32(u)) })}
		data, ok := reports[f.Report]
		if !ok {
			if !d.dangerous(f.Report) {
				data, v.Err = d.source.fetch(ctx, f.Report)
			}
			reports[f.Report] = data
		}
		value, ok := f.Value(data)
		switch {
		case ok:
			v.Value = value
		case v.Err == nil:
			v.Err = errPending
		}
		vs = append(vs, v)
	}
	return vs
}

// dangerous reports the reports that make some devices hang.
func (d *Device) dangerous(report byte) bool {
	vendor := d.conn.Info().VendorID
	return d.source.skip[report] || (vendor == 0x0463 || vendor == 0x047C) && report >= 254
}

// Explore logs all fields.
func (d *Device) Explore(ctx context.Context) {
	for _, v := range d.Fields(ctx) {
		d.log.Info(v.String())
	}
}
