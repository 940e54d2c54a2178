package hid

import (
	"log/slog"
	"testing"

	"golang.org/x/sys/windows"
)

// What is plugged in must be described so that every field is within its report. A
// machine without HID devices tests nothing.
func TestFieldsOfWhatIsPluggedIn(t *testing.T) {
	s := NewSystem(slog.New(slog.DiscardHandler))
	cs, err := s.collections()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range cs {
		h, err := openPath(c.path, 0)
		if err != nil {
			t.Errorf("open %s: %v", c.path, err)
			continue
		}
		defer windows.CloseHandle(h)
		p, err := s.parser(h)
		if err != nil {
			t.Errorf("parse %s: %v", c.path, err)
			continue
		}
		defer p.close()
		fields, err := p.fields()
		if err != nil {
			t.Errorf("fields of %s: %v", c.path, err)
		}
		t.Logf("%v: %+v", c.info, p.caps)
		lengths := map[ReportType]uint16{Input: p.caps.inputLength, Output: p.caps.outputLength, Feature: p.caps.featLength}
		for _, f := range fields {
			t.Logf("  %+v", f)
			if f.Size < 1 || f.Offset < 0 || 8+f.Offset+f.Size > 8*int(lengths[f.Type]) {
				t.Errorf("%v: field %+v is not within a report of %d bytes", c.info, f, lengths[f.Type])
			}
		}
	}
}
