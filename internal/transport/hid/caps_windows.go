package hid

import (
	"fmt"
	"math/bits"
	"slices"
	"unsafe"

	"golang.org/x/sys/windows"
)

// The structures of hidpi.h. Windows keeps the report descriptor for itself and tells
// of its fields.
type (
	hidpCaps struct {
		usage, usagePage                      uint16
		inputLength, outputLength, featLength uint16
		_                                     [17]uint16
		nodes                                 uint16
		kinds                                 [3]struct{ buttons, values, data uint16 } // input, output, feature
	}
	// hidpRange ends both kinds of capabilities. A single usage stands in the place
	// of the least.
	hidpRange struct {
		usageMin, usageMax uint16
		_                  [6]uint16
	}
	hidpHead struct {
		usagePage uint16
		report    uint8
		_         uint8
		flags     uint16
		node      uint16
		_         [2]uint16
		isRange   uint8
		_         [3]uint8
	}
	hidpButton struct {
		hidpHead
		count uint16
		_     uint16
		_     [9]uint32
		hidpRange
	}
	hidpValue struct {
		hidpHead
		_                [2]uint8
		size, count      uint16
		_                [5]uint16
		exponent, unit   uint32
		logMin, logMax   int32
		physMin, physMax int32
		hidpRange
	}
	hidpNode struct {
		usage, usagePage, parent uint16
		_                        [3]uint16
		kind                     uint32 // in the lowest byte
		_                        uintptr
	}
)

const hidpSuccess = 0x00110000

// A parser asks hid.dll about the reports of one device.
type parser struct {
	dll  *hidDLL
	data uintptr // what HidD_GetPreparsedData returned
	caps hidpCaps
}

// call calls one of the functions that return a status.
//
//go:uintptrescapes
func (p *parser) call(proc *windows.LazyProc, args ...uintptr) error {
	if r, _, _ := proc.Call(args...); uint32(r) != hidpSuccess {
		return fmt.Errorf("%s: status %#x", proc.Name, uint32(r))
	}
	return nil
}

// fields returns the fields of all reports, those of one report in the order of
// their bits.
func (p *parser) fields() ([]Field, error) {
	nodes := make([]hidpNode, max(int(p.caps.nodes), 1))
	n := uint32(len(nodes))
	if err := p.call(p.dll.linkNodes, uintptr(unsafe.Pointer(&nodes[0])), uintptr(unsafe.Pointer(&n)), p.data); err != nil {
		return nil, err
	}
	lengths := [...]uint16{p.caps.inputLength, p.caps.outputLength, p.caps.featLength}
	var fs []Field
	for kind, k := range p.caps.kinds {
		l := layout{parser: p, kind: uintptr(kind), length: int(lengths[kind]), nodes: nodes}
		if k.values > 0 {
			caps, n := make([]hidpValue, k.values), k.values
			if err := p.call(p.dll.valueCaps, l.kind, uintptr(unsafe.Pointer(&caps[0])), uintptr(unsafe.Pointer(&n)), p.data); err != nil {
				return nil, err
			}
			for _, c := range caps[:n] {
				l.values(c)
			}
		}
		if k.buttons > 0 {
			caps, n := make([]hidpButton, k.buttons), k.buttons
			if err := p.call(p.dll.buttonCaps, l.kind, uintptr(unsafe.Pointer(&caps[0])), uintptr(unsafe.Pointer(&n)), p.data); err != nil {
				return nil, err
			}
			for _, c := range caps[:n] {
				l.buttons(c)
			}
		}
		slices.SortStableFunc(l.fields, func(a, b Field) int { return a.Offset - b.Offset })
		fs = append(fs, l.fields...)
	}
	return fs, nil
}

// A layout collects the fields of one type of report.
type layout struct {
	*parser
	kind   uintptr
	length int // of the longest report
	nodes  []hidpNode
	fields []Field
}

func (l *layout) values(c hidpValue) {
	l.each(c.hidpHead, c.hidpRange, func(f Field, usage uint16) {
		f.LogMin, f.LogMax = int64(c.logMin), int64(c.logMax)
		f.PhysMin, f.PhysMax = int64(c.physMin), int64(c.physMax)
		f.Unit, f.Exponent = c.unit, int(int8(c.exponent<<4))>>4
		f.Size = int(c.size)
		var ok bool
		f.Offset, _, ok = l.probe(c.report, func(p []byte, ones bool) error {
			if c.count > 1 && c.isRange == 0 {
				return l.setArray(c, p, ones)
			}
			value := uintptr(0)
			if ones {
				value = 1<<32 - 1
			}
			return l.inNode(c.node, func(node uintptr) error {
				return l.call(l.dll.setValue, l.kind, uintptr(c.usagePage), node, uintptr(usage), value, l.data, uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)))
			})
		})
		if ok {
			l.fields = append(l.fields, f)
		}
	})
}

// setArray sets all bits of a value that a report has several times, or none.
func (l *layout) setArray(c hidpValue, p []byte, ones bool) error {
	values := make([]byte, (int(c.size)*int(c.count)+7)/8)
	for i := range values {
		if ones {
			values[i] = 0xff
		}
	}
	return l.inNode(c.node, func(node uintptr) error {
		return l.call(l.dll.setArray, l.kind, uintptr(c.usagePage), node, uintptr(c.usageMin), uintptr(unsafe.Pointer(&values[0])), uintptr(len(values)),
			l.data, uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)))
	})
}

func (l *layout) buttons(c hidpButton) {
	l.each(c.hidpHead, c.hidpRange, func(f Field, usage uint16) {
		var ok bool
		f.LogMax = 1
		f.Offset, f.Size, ok = l.probe(c.report, func(p []byte, ones bool) error {
			if !ones {
				return nil
			}
			return l.inNode(c.node, func(node uintptr) error {
				one, n := usage, uint32(1)
				return l.call(l.dll.setButtons, l.kind, uintptr(c.usagePage), node, uintptr(unsafe.Pointer(&one)), uintptr(unsafe.Pointer(&n)),
					l.data, uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)))
			})
		})
		if ok {
			l.fields = append(l.fields, f)
		}
	})
}

// inNode calls set for a collection. To the system number 0 is any of them, and the
// outermost has a number of its own, which older ones do not know.
func (l *layout) inNode(node uint16, set func(node uintptr) error) error {
	const outermost = 0xffff
	if node == 0 && set(outermost) == nil {
		return nil
	}
	return set(uintptr(node))
}

// each calls add for every usage of a range.
func (l *layout) each(h hidpHead, r hidpRange, add func(f Field, usage uint16)) {
	last := r.usageMin
	if h.isRange != 0 {
		last = max(r.usageMax, r.usageMin)
	}
	types := [...]ReportType{Input, Output, Feature}
	for u := uint32(r.usageMin); u <= uint32(last); u++ {
		f := Field{Type: types[l.kind], Report: h.report, Flags: byte(h.flags), Path: append(l.path(h.node), uint32(h.usagePage)<<16|u)}
		add(f, uint16(u))
	}
}

// path returns the usages of a collection and those around it.
func (l *layout) path(node uint16) []uint32 {
	var path []uint32
	for range l.nodes { // no more, whatever their parents are
		if int(node) >= len(l.nodes) {
			break
		}
		n := l.nodes[node]
		if kind := byte(n.kind); kind >= 0x80 {
			path = append(path, IndexUsage(kind))
		}
		path = append(path, uint32(n.usagePage)<<16|uint32(n.usage))
		if node == 0 {
			break
		}
		node = n.parent
	}
	slices.Reverse(path)
	return path
}

// probe returns which bits of a report a field is in: those that differ between a
// report with none of them and one with all.
func (l *layout) probe(report uint8, set func(p []byte, ones bool) error) (offset, size int, ok bool) {
	if l.length < 2 {
		return 0, 0, false
	}
	var reports [2][]byte
	for i := range reports {
		p := make([]byte, l.length)
		if l.call(l.dll.initialize, l.kind, uintptr(report), l.data, uintptr(unsafe.Pointer(&p[0])), uintptr(len(p))) != nil || set(p, i == 1) != nil {
			return 0, 0, false
		}
		reports[i] = p
	}
	offset = -1
	for i := 1; i < l.length; i++ { // byte 0 is the id
		differ := reports[0][i] ^ reports[1][i]
		if differ != 0 && offset < 0 {
			offset = (i-1)*8 + bits.TrailingZeros8(differ)
		}
		size += bits.OnesCount8(differ)
	}
	return offset, size, offset >= 0
}
