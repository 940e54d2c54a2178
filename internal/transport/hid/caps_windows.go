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
		_                  [4]uint16
		dataMin, dataMax   uint16
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
	hidpData struct {
		index uint16
		_     uint16
		value uint32
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
	l.each(c.hidpHead, c.hidpRange, func(f Field, index uint16) {
		f.LogMin, f.LogMax = int64(c.logMin), int64(c.logMax)
		f.PhysMin, f.PhysMax = int64(c.physMin), int64(c.physMax)
		f.Unit, f.Exponent = c.unit, int(int8(c.exponent<<4))>>4
		f.Size = int(c.size)
		var ok bool
		if c.count > 1 && c.isRange == 0 {
			f.Offset, ok = l.findArray(c)
		} else {
			f.Offset, _, ok = l.find(c.report, index)
		}
		if ok {
			l.fields = append(l.fields, f)
		}
	})
}

func (l *layout) buttons(c hidpButton) {
	l.each(c.hidpHead, c.hidpRange, func(f Field, index uint16) {
		var ok bool
		f.LogMax = 1
		if f.Offset, f.Size, ok = l.find(c.report, index); ok {
			l.fields = append(l.fields, f)
		}
	})
}

// each calls add for every usage of a range.
func (l *layout) each(h hidpHead, r hidpRange, add func(f Field, index uint16)) {
	last := r.usageMin
	if h.isRange != 0 {
		last = max(r.usageMax, r.usageMin)
	}
	types := [...]ReportType{Input, Output, Feature}
	for u := uint32(r.usageMin); u <= uint32(last); u++ {
		f := Field{Type: types[l.kind], Report: h.report, Flags: byte(h.flags), Path: append(l.path(h.node), uint32(h.usagePage)<<16|u)}
		add(f, r.dataMin+uint16(u)-r.usageMin)
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

// find returns the bits of a report that a value is in: those that differ between
// its least and its greatest.
func (l *layout) find(report uint8, index uint16) (offset, size int, ok bool) {
	return l.probe(report, func(p []byte, ones bool) error {
		d, n := hidpData{index: index}, uint32(1)
		if ones {
			d.value = ^uint32(0)
		}
		return l.call(l.dll.setData, l.kind, uintptr(unsafe.Pointer(&d)), uintptr(unsafe.Pointer(&n)), l.data,
			uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)))
	})
}

// findArray is find for a value that a report has several times.
func (l *layout) findArray(c hidpValue) (offset int, ok bool) {
	offset, _, ok = l.probe(c.report, func(p []byte, ones bool) error {
		values := make([]byte, (int(c.size)*int(c.count)+7)/8)
		for i := range values {
			if ones {
				values[i] = 0xff
			}
		}
		return l.call(l.dll.setArray, l.kind, uintptr(c.usagePage), uintptr(c.node), uintptr(c.usageMin),
			uintptr(unsafe.Pointer(&values[0])), uintptr(len(values)), l.data, uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)))
	})
	return offset, ok
}

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
