package hid

import (
	"errors"
	"fmt"
	"slices"
)

// A Kind is the type of a report. The numbers are those of the HID class.
type Kind uint8

// The kinds of reports.
const (
	Input   Kind = 1
	Output  Kind = 2
	Feature Kind = 3
)

// String returns "Input", "Output" or "Feature".
func (k Kind) String() string {
	switch k {
	case Input:
		return "Input"
	case Output:
		return "Output"
	}
	return "Feature"
}

// Limits that no sane descriptor reaches. They keep a broken or malicious one from
// taking memory; what exceeds them is an error.
const (
	maxDescriptor = 64 << 10 // bytes
	maxDepth      = 32       // collections within each other, or pushed states
	maxFields     = 8 << 10
	maxReportBits = 64 << 13 // 64 KiB
)

// A Descriptor is a parsed report descriptor. Fields may be repaired before it is
// used; after that it must not change.
type Descriptor struct {
	Fields []Field
	bits   map[reportKey]int
}

type reportKey struct {
	report byte
	kind   Kind
}

// Parse reads a report descriptor. A descriptor that ends early or leaves
// collections open still gives the fields found so far together with an error
// that wraps ErrTruncated: real devices do this and work.
func Parse(b []byte) (*Descriptor, error) {
	p := parser{d: &Descriptor{bits: map[reportKey]int{}}}
	if len(b) > maxDescriptor {
		return p.d, fmt.Errorf("report descriptor: %d bytes are too many", len(b))
	}
	for at := 0; at < len(b); {
		tag, data, n, ok := nextItem(b[at:])
		if !ok {
			return p.d, fmt.Errorf("report descriptor: item at byte %d: %w", at, ErrTruncated)
		}
		if err := p.item(tag, data); err != nil {
			return p.d, fmt.Errorf("report descriptor: item %#02x at byte %d: %w", tag, at, err)
		}
		at += n
	}
	if len(p.depths) > 0 {
		return p.d, fmt.Errorf("report descriptor: %d collections are not ended: %w", len(p.depths), ErrTruncated)
	}
	return p.d, nil
}

// ErrTruncated means that a descriptor ends before it should.
var ErrTruncated = errors.New("descriptor ends early")

// nextItem cuts one item off. Long items have tag 0xFE and are for nobody.
func nextItem(b []byte) (tag byte, data []byte, n int, ok bool) {
	if b[0] == 0xFE {
		if len(b) < 3 || len(b) < 3+int(b[1]) {
			return 0, nil, 0, false
		}
		return 0xFE, nil, 3 + int(b[1]), true
	}
	size := int(b[0] & 3)
	if size == 3 {
		size = 4
	}
	if len(b) < 1+size {
		return 0, nil, 0, false
	}
	return b[0] &^ 3, b[1 : 1+size], 1 + size, true
}

// Tags of items, without their size bits.
const (
	tagInput         = 0x80
	tagOutput        = 0x90
	tagFeature       = 0xB0
	tagCollection    = 0xA0
	tagEnd           = 0xC0
	tagUsagePage     = 0x04
	tagLogMin        = 0x14
	tagLogMax        = 0x24
	tagPhyMin        = 0x34
	tagPhyMax        = 0x44
	tagUnitExp       = 0x54
	tagUnit          = 0x64
	tagReportSize    = 0x74
	tagReportID      = 0x84
	tagReportCount   = 0x94
	tagPush          = 0xA4
	tagPop           = 0xB4
	tagUsage         = 0x08
	tagUsageMin      = 0x18
	tagUsageMax      = 0x28
	tagDelimiter     = 0xA8
	maxUsagesPerItem = 1024
)

// globals are the items that hold until they are replaced, pushed or popped.
type globals struct {
	page                   uint32
	logMin, logMax, phyMin int64
	phyMax                 int64
	logMaxUnsigned         int64
	hasPhyMin, hasPhyMax   bool
	exponent               int
	unit                   uint32
	size, count            int
	report                 byte
}

type parser struct {
	d      *Descriptor
	g      globals
	stack  []globals
	path   Path
	depths []int // length of path before each open collection
	usages []Usage
	min    Usage
	hasMin bool
	set    int // where in usages a delimited set begins, plus 1; 0: none is open
}

func (p *parser) item(tag byte, data []byte) error {
	u, s := unsigned(data), signed(data)
	switch tag {
	case tagInput:
		return p.field(Input, uint32(u))
	case tagOutput:
		return p.field(Output, uint32(u))
	case tagFeature:
		return p.field(Feature, uint32(u))
	case tagCollection:
		return p.open(uint32(u))
	case tagEnd:
		p.close()
	case tagUsagePage:
		p.g.page = uint32(u) & 0xFFFF
	case tagLogMin:
		p.g.logMin = s
	case tagLogMax:
		p.g.logMax, p.g.logMaxUnsigned = s, u
	case tagPhyMin:
		p.g.phyMin, p.g.hasPhyMin = s, true
	case tagPhyMax:
		p.g.phyMax, p.g.hasPhyMax = s, true
	case tagUnitExp:
		// Four bits in two's complement, whatever the size of the item.
		p.g.exponent = int(u & 0xF)
		if p.g.exponent > 7 {
			p.g.exponent -= 16
		}
	case tagUnit:
		p.g.unit = uint32(u)
	case tagReportSize:
		p.g.size = int(u)
	case tagReportID:
		p.g.report = byte(u)
	case tagReportCount:
		p.g.count = int(u)
	case tagPush:
		if len(p.stack) == maxDepth {
			return errors.New("too many states are pushed")
		}
		p.stack = append(p.stack, p.g)
	case tagPop:
		if n := len(p.stack); n > 0 {
			p.g, p.stack = p.stack[n-1], p.stack[:n-1]
		}
	case tagUsage:
		p.usages = append(p.usages, p.usage(data))
	case tagUsageMin:
		p.min, p.hasMin = p.usage(data), true
	case tagUsageMax:
		p.usageRange(p.usage(data))
	case tagDelimiter:
		p.delimit(u == 1)
	}
	if len(p.usages) > maxUsagesPerItem {
		return errors.New("too many usages for one item")
	}
	return nil
}

// usage completes a usage with the current page unless it brings its own.
func (p *parser) usage(data []byte) Usage {
	if len(data) == 4 {
		return Usage(unsigned(data))
	}
	return Usage(p.g.page<<16 | uint32(unsigned(data)))
}

func (p *parser) usageRange(last Usage) {
	if !p.hasMin || last < p.min || int64(last)-int64(p.min) >= maxUsagesPerItem {
		return
	}
	for u := p.min; ; u++ {
		p.usages = append(p.usages, u)
		if u == last {
			break
		}
	}
	p.hasMin = false
}

// delimit begins or ends a set of usages that are names for one and the same field. The
// first is the one that the device likes best.
func (p *parser) delimit(begins bool) {
	switch {
	case begins:
		p.set = len(p.usages) + 1
	case p.set > 0:
		p.usages = p.usages[:min(p.set, len(p.usages))]
		p.set = 0
	}
}

func (p *parser) open(argument uint32) error {
	if len(p.depths) == maxDepth {
		return errors.New("collections are too deep")
	}
	p.depths = append(p.depths, len(p.path))
	var u Usage
	if len(p.usages) > 0 {
		u = p.usages[0]
	}
	p.path = append(p.path, u)
	if argument >= 0x80 {
		p.path = append(p.path, Index(int(argument&0x7F)))
	}
	p.clearLocals()
	return nil
}

func (p *parser) close() {
	if n := len(p.depths); n > 0 {
		p.path = p.path[:p.depths[n-1]]
		p.depths = p.depths[:n-1]
	}
	p.clearLocals()
}

func (p *parser) clearLocals() {
	p.usages = p.usages[:0]
	p.hasMin, p.set = false, 0
}

// field emits one field for each usage of the main item. Fields beyond the usages
// carry no meaning of their own: they only take room in the report.
func (p *parser) field(k Kind, flags uint32) error {
	defer p.clearLocals()
	g := &p.g
	key := reportKey{g.report, k}
	start := p.d.bits[key]
	total := int64(g.size) * int64(g.count)
	if g.size < 0 || g.count < 0 || g.size > maxReportBits || g.count > maxReportBits || int64(start)+total > maxReportBits {
		return fmt.Errorf("report %#02x is too long", g.report)
	}
	for i := 0; i < min(g.count, len(p.usages)); i++ {
		if p.usages[i] == 0 {
			continue
		}
		if len(p.d.Fields) == maxFields {
			return errors.New("too many fields")
		}
		f := Field{
			Path: append(slices.Clone(p.path), p.usages[i]), Kind: k, Report: g.report,
			Offset: start + i*g.size, Size: g.size, Flags: flags,
			Unit: g.unit, Exponent: g.exponent, LogMin: g.logMin, LogMax: g.logMax,
			PhyMin: g.phyMin, PhyMax: g.phyMax, HasPhysical: g.hasPhyMin && g.hasPhyMax,
		}
		if f.LogMax < f.LogMin {
			// A very common fault: the maximum was meant without a sign.
			f.LogMax, f.AssumedMax = g.logMaxUnsigned, true
		}
		p.d.Fields = append(p.d.Fields, f)
	}
	p.d.bits[key] = start + int(total)
	return nil
}

// Find returns the first field of kind k whose path begins with p, and whether
// there is one. Vendors repeat usages; the first one counts.
func (d *Descriptor) Find(p Path, k Kind) (Field, bool) {
	for _, f := range d.Fields {
		if f.Kind == k && f.Path.HasPrefix(p) {
			return f, true
		}
	}
	return Field{}, false
}

// InReport returns the first field of a report whose last path element is u, so
// that it can be repaired; nil if there is none.
func (d *Descriptor) InReport(report byte, u Usage) *Field {
	for i := range d.Fields {
		f := &d.Fields[i]
		if f.Report == report && f.Path[len(f.Path)-1] == u {
			return f
		}
	}
	return nil
}

// Length returns how many bytes a report has, the byte of its id included, and 0
// if the descriptor has no such report. Kinds that share an id share the longest
// length, because devices answer with whichever they like.
func (d *Descriptor) Length(report byte) int {
	longest := -1
	for _, k := range [...]Kind{Input, Output, Feature} {
		if n, ok := d.bits[reportKey{report, k}]; ok {
			longest = max(longest, n)
		}
	}
	if longest < 0 {
		return 0
	}
	return 1 + (longest+7)/8
}

// Numbered reports whether reports begin with their id on the wire. A device with
// only one report may leave it out.
func (d *Descriptor) Numbered() bool {
	for key := range d.bits {
		if key.report != 0 {
			return true
		}
	}
	return false
}

// unsigned reads up to four bytes, the least significant first.
func unsigned(data []byte) int64 {
	var v int64
	for i, b := range data {
		v |= int64(b) << (8 * i)
	}
	return v
}

// signed reads up to four bytes in two's complement of their own size.
func signed(data []byte) int64 {
	v := unsigned(data)
	if n := len(data) * 8; n > 0 && v>>(n-1)&1 == 1 {
		v -= 1 << n
	}
	return v
}
