// Package model reads device models: devices that a test wrote, with what they have
// to look like through a driver. Where there is no recording of a real device a model
// stands in for it, in memory and on a virtual bus alike.
package model

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
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
	e := encoder{physical: slices.ContainsFunc(m.fields, func(f field) bool { return f.physical != [2]int64{} })}
	for _, f := range m.fields {
		e.field(f)
	}
	e.closeTo(0)
	m.Recording.Descriptor = e.items
	desc, err := hid.Parse(e.items)
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

// An encoder writes a report descriptor.
type encoder struct {
	items    []byte
	open     hid.Path // the collections that are open
	physical bool     // some fields have physical limits; those that follow must not inherit them
}

func (e *encoder) item(tag byte, v int64, size int) {
	code := map[int]byte{0: 0, 1: 1, 2: 2, 4: 3}[size]
	e.items = append(e.items, tag|code)
	for i := range size {
		e.items = append(e.items, byte(v>>(8*i)))
	}
}

// isIndex reports whether a node of a path is the number of a collection.
func isIndex(u hid.Usage) bool { return u>>7 == 0x00FF0000>>7 }

// closeTo ends collections until n nodes are open.
func (e *encoder) closeTo(n int) {
	for len(e.open) > n {
		if !isIndex(e.open[len(e.open)-1]) {
			e.item(0xC0, 0, 0)
		}
		e.open = e.open[:len(e.open)-1]
	}
}

// enter closes and opens collections until those of dir are open.
func (e *encoder) enter(dir hid.Path) {
	n := 0
	for n < len(e.open) && n < len(dir) && e.open[n] == dir[n] {
		n++
	}
	if n > 0 && n < len(dir) && isIndex(dir[n]) || n < len(e.open) && isIndex(e.open[n]) {
		n-- // an index belongs to the collection before it
	}
	e.closeTo(n)
	for ; n < len(dir); n++ {
		e.item(0x08, int64(dir[n]), 4)
		if n+1 < len(dir) && isIndex(dir[n+1]) {
			e.item(0xA0, 0x80|int64(dir[n+1]&0x7F), 1)
			e.open = append(e.open, dir[n], dir[n+1])
			n++
			continue
		}
		e.item(0xA0, 1, 1)
		e.open = append(e.open, dir[n])
	}
}

func (e *encoder) field(f field) {
	if f.pad {
		e.item(0x84, int64(f.report), 1)
		e.item(0x74, int64(f.size), 1)
		e.item(0x94, 1, 1)
		e.item(0xB0, 1, 1)
		return
	}
	e.enter(f.path[:len(f.path)-1])
	e.item(0x84, int64(f.report), 1)
	e.item(0x14, f.min, 4)
	e.item(0x24, f.max, 4)
	if e.physical {
		e.item(0x34, f.physical[0], 4)
		e.item(0x44, f.physical[1], 4)
	}
	e.item(0x64, int64(f.unit), 4)
	e.item(0x54, int64(f.exponent&15), 1)
	e.item(0x74, int64(f.size), 1)
	e.item(0x94, 1, 1)
	e.item(0x08, int64(f.path[len(f.path)-1]), 4)
	tag := byte(0xB0)
	if f.kind == hid.Input {
		tag = 0x80
	}
	e.item(tag, int64(f.flags), 1)
}
