package hid

// A Field is one field of a report. Operating systems that keep the report
// descriptor for themselves tell of fields instead.
type Field struct {
	Type   ReportType
	Report byte // id
	// Path has the usages (page in the upper half) from the outermost collection to
	// the field's own. IndexUsage makes one the number of the collection before it.
	// An empty path means bits without a meaning.
	Path             []uint32
	Offset, Size     int  // bits from the first after the id
	Flags            byte // of the main item
	LogMin, LogMax   int64
	PhysMin, PhysMax int64
	Unit             uint32
	Exponent         int // of ten, from -8 to 7
}

const indexUsage = 0x00ff0000

// IndexUsage is the node of a path that numbers the collection before it.
func IndexUsage(n byte) uint32 { return indexUsage | uint32(n&0x7f) }

func isIndex(usage uint32) bool { return usage>>7 == indexUsage>>7 }

// EncodeDescriptor writes a report descriptor that has these fields, in this order.
// Those of one report have to be in the order of their bits; between them it leaves
// room.
func EncodeDescriptor(fields []Field) []byte {
	e := encoder{used: map[[2]byte]int{}}
	for _, f := range fields {
		e.numbered = e.numbered || f.Report != 0
		e.physical = e.physical || f.PhysMin != 0 || f.PhysMax != 0
	}
	for _, f := range fields {
		e.field(f)
	}
	e.closeTo(0)
	return e.items
}

// An encoder writes a report descriptor.
type encoder struct {
	items    []byte
	open     []uint32        // the collections that are open
	used     map[[2]byte]int // bits, by type and id of report
	numbered bool            // reports have ids
	physical bool            // some fields have physical limits, which those that follow must not inherit
}

// Items of a descriptor, without their size.
const (
	itemInput, itemOutput, itemFeature   = 0x80, 0x90, 0xb0
	itemCollection, itemEnd, itemUsage   = 0xa0, 0xc0, 0x08
	itemLogMin, itemLogMax               = 0x14, 0x24
	itemPhysMin, itemPhysMax             = 0x34, 0x44
	itemExponent, itemUnit               = 0x54, 0x64
	itemSize, itemReport, itemCount      = 0x74, 0x84, 0x94
	collectionApplication, flagsConstant = 1, 1
)

func (e *encoder) item(tag byte, v int64, size int) {
	code := map[int]byte{0: 0, 1: 1, 2: 2, 4: 3}[size]
	e.items = append(e.items, tag|code)
	for i := range size {
		e.items = append(e.items, byte(v>>(8*i)))
	}
}

// closeTo ends collections until n nodes are open.
func (e *encoder) closeTo(n int) {
	for len(e.open) > n {
		if !isIndex(e.open[len(e.open)-1]) {
			e.item(itemEnd, 0, 0)
		}
		e.open = e.open[:len(e.open)-1]
	}
}

// enter closes and opens collections until those of path are open.
func (e *encoder) enter(path []uint32) {
	n := 0
	for n < len(e.open) && n < len(path) && e.open[n] == path[n] {
		n++
	}
	if n > 0 && n < len(path) && isIndex(path[n]) || n < len(e.open) && isIndex(e.open[n]) {
		n-- // an index belongs to the collection before it
	}
	e.closeTo(n)
	for ; n < len(path); n++ {
		e.item(itemUsage, int64(path[n]), 4)
		e.open = append(e.open, path[n])
		kind := int64(collectionApplication)
		if n+1 < len(path) && isIndex(path[n+1]) {
			n++
			kind = 0x80 | int64(path[n]&0x7f)
			e.open = append(e.open, path[n])
		}
		e.item(itemCollection, kind, 1)
	}
}

func (e *encoder) field(f Field) {
	report := [2]byte{byte(f.Type), f.Report}
	if gap := f.Offset - e.used[report]; gap > 0 {
		e.pad(f, gap)
	}
	e.used[report] = max(f.Offset, e.used[report]) + f.Size
	if len(f.Path) == 0 {
		e.pad(f, f.Size)
		return
	}
	e.enter(f.Path[:len(f.Path)-1])
	e.report(f)
	e.item(itemLogMin, f.LogMin, 4)
	e.item(itemLogMax, f.LogMax, 4)
	if e.physical {
		e.item(itemPhysMin, f.PhysMin, 4)
		e.item(itemPhysMax, f.PhysMax, 4)
	}
	e.item(itemUnit, int64(f.Unit), 4)
	e.item(itemExponent, int64(f.Exponent&15), 1)
	e.item(itemSize, int64(f.Size), 1)
	e.item(itemCount, 1, 1)
	e.item(itemUsage, int64(f.Path[len(f.Path)-1]), 4)
	e.item(mainItem(f.Type), int64(f.Flags), 1)
}

// pad leaves room in a field's report.
func (e *encoder) pad(f Field, bits int) {
	e.report(f)
	e.item(itemSize, 1, 1)
	e.item(itemCount, int64(bits), 2)
	e.item(mainItem(f.Type), flagsConstant, 1)
}

func (e *encoder) report(f Field) {
	if e.numbered {
		e.item(itemReport, int64(f.Report), 1)
	}
}

func mainItem(t ReportType) byte {
	switch t {
	case Input:
		return itemInput
	case Output:
		return itemOutput
	}
	return itemFeature
}
