// Package model reads device models: devices that a test wrote, with what they have
// to look like through a driver. Where there is no recording of a real device a model
// stands in for it, in memory and on a virtual bus alike.
package model

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"gonut/internal/hid"
	"gonut/internal/subdriver"
	transport "gonut/internal/transport/hid"
	"gonut/internal/words"
)

// A Model is a device that a test wrote. Its file has a line for each:
//
//	table NAME                        whose usage names the paths have
//	device, manufacturer, product, serial, string   as in a recording
//	option NAME [VALUE]               of ups.conf
//	field REPORT PATH BITS MIN..MAX [volt|watt|… EXPONENT] [physical MIN..MAX] [input|constant|null] = VALUE
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
type Model struct {
	Recording transport.Recording
	Table     *subdriver.Table
	Options   map[string]string // of ups.conf
	Steps     []Step

	fields []field
}

// A Step is one line from the first "var" on.
type Step struct {
	Line  int
	Words []string
	Text  string
}

type field struct {
	report   byte
	path     hid.Path
	size     int
	min, max int64
	physical [2]int64
	unit     uint32
	exponent int
	kind     hid.Kind
	flags    byte
	value    int64
	pad      bool
}

// units returns the code of a unit in a report descriptor by its name.
func units(name string) (uint32, bool) {
	code, ok := map[string]uint32{
		"volt": 0x00F0D121, "watt": 0xD121, "ampere": 0x00100001, "second": 0x1001, "kelvin": 0x10001, "hertz": 0xF001, "ampere-second": 0x101001,
	}[name]
	return code, ok
}

// Read reads a model; name is what errors call it. The usage names of its paths are
// those of a table in lib.
func Read(name string, r io.Reader, lib *subdriver.Library) (*Model, error) {
	m := &Model{Options: map[string]string{}}
	var head strings.Builder
	s := bufio.NewScanner(r)
	for line := 1; s.Scan(); line++ {
		text := strings.TrimSpace(s.Text())
		ws, err := words.Split(text)
		if err == nil && len(ws) > 0 {
			err = m.line(lib, &head, line, text, ws)
		}
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", name, line, err)
		}
	}
	if err := s.Err(); err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	rec, err := transport.ReadRecording(name, strings.NewReader(head.String()))
	if err != nil {
		return nil, err
	}
	m.Recording = *rec
	if err := m.build(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return m, nil
}

// line takes one line of the file; what recordings have too is collected in head.
func (m *Model) line(lib *subdriver.Library, head *strings.Builder, number int, text string, ws []string) error {
	switch ws[0] {
	case "device", "manufacturer", "product", "serial", "string", "interface", "feature":
		fmt.Fprintln(head, text)
	case "table":
		if m.Table = lib.Table(ws[1]); m.Table == nil {
			return fmt.Errorf("no table %s", ws[1])
		}
	case "option":
		m.Options[ws[1]] = strings.Join(ws[2:], " ")
	case "field", "pad":
		f, err := m.field(ws)
		if err != nil {
			return err
		}
		m.fields = append(m.fields, f)
	default:
		m.Steps = append(m.Steps, Step{number, ws, text})
	}
	return nil
}

func (m *Model) field(ws []string) (field, error) {
	id, err := strconv.ParseUint(ws[1], 16, 8)
	f := field{report: byte(id), kind: hid.Feature, flags: 0xA2, pad: ws[0] == "pad"}
	if f.pad {
		f.size, _ = strconv.Atoi(ws[2])
		return f, err
	}
	f.path, _ = hid.ParsePath(ws[2], func(n string) (hid.Usage, bool) { c, ok := m.Table.Code(n); return hid.Usage(c), ok })
	if f.path == nil {
		return f, fmt.Errorf("no path %s", ws[2])
	}
	f.size, _ = strconv.Atoi(ws[3])
	var e error
	f.min, f.max, e = limits(ws[4])
	err = errors.Join(err, e)
	for i := 5; i < len(ws); i++ {
		switch ws[i] {
		case "input":
			f.kind = hid.Input
		case "constant":
			f.flags = 0x01
		case "physical":
			f.physical[0], f.physical[1], e = limits(ws[i+1])
			err = errors.Join(err, e)
			i++
		case "null":
			f.flags |= 0x40
		case "=":
			f.value, e = strconv.ParseInt(ws[i+1], 0, 64)
			err = errors.Join(err, e)
			i++
		default:
			u, ok := units(ws[i])
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

// limits reads "MIN..MAX".
func limits(text string) (low, high int64, err error) {
	a, b, _ := strings.Cut(text, "..")
	low, e1 := strconv.ParseInt(a, 0, 64)
	high, e2 := strconv.ParseInt(b, 0, 64)
	return low, high, errors.Join(e1, e2)
}

// build encodes the descriptor and the reports.
func (m *Model) build() error {
	m.Recording.Descriptor = transport.EncodeDescriptor(m.layout())
	desc, err := hid.Parse(m.Recording.Descriptor)
	if err != nil {
		return err
	}
	i := 0
	for _, f := range m.fields {
		if f.pad {
			continue
		}
		if i == len(desc.Fields) {
			return fmt.Errorf("the descriptor has only %d fields", i)
		}
		parsed := desc.Fields[i]
		i++
		if f.kind == hid.Input {
			continue
		}
		if m.Recording.Features[f.report] == nil {
			m.Recording.Features[f.report] = make([]byte, desc.Length(f.report))
			m.Recording.Features[f.report][0] = f.report
		}
		parsed.Put(m.Recording.Features[f.report], f.value)
	}
	if i != len(desc.Fields) {
		return fmt.Errorf("the descriptor has %d fields, the file %d", len(desc.Fields), i)
	}
	return nil
}

// layout puts the fields one behind the other.
func (m *Model) layout() []transport.Field {
	var fs []transport.Field
	used := map[[2]byte]int{}
	for _, f := range m.fields {
		kind := transport.Feature
		if f.kind == hid.Input {
			kind = transport.Input
		}
		x := transport.Field{
			Type: kind, Report: f.report, Offset: used[[2]byte{byte(kind), f.report}], Size: f.size, Flags: f.flags,
			LogMin: f.min, LogMax: f.max, PhysMin: f.physical[0], PhysMax: f.physical[1], Unit: f.unit, Exponent: f.exponent,
		}
		for _, u := range f.path {
			x.Path = append(x.Path, uint32(u))
		}
		used[[2]byte{byte(kind), f.report}] += f.size
		fs = append(fs, x)
	}
	return fs
}
