package hid

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
)

// A Field is one value in a report.
type Field struct {
	Path   Path
	Kind   Kind
	Report byte
	Offset int // in bits, behind the byte of the report's id
	Size   int // in bits
	Flags  uint32

	Unit           uint32
	Exponent       int // of ten, as declared
	LogMin, LogMax int64
	PhyMin, PhyMax int64
	HasPhysical    bool // both limits were declared
	AssumedMax     bool // LogMax was below LogMin and is now what it says without a sign
}

// Flags of a main item.
const (
	flagConstant = 0x01
	flagNull     = 0x40 // values out of range mean "no value"
)

// Writable reports whether the device takes the field.
func (f Field) Writable() bool { return f.Flags != flagConstant }

// Bits takes the field out of a report, whose byte 0 is the id, as it is. It
// reports false if the report is too short.
func (f Field) Bits(report []byte) (uint64, bool) {
	from := f.Offset + 8
	if f.Size <= 0 || f.Offset < 0 || from+f.Size > len(report)*8 {
		return 0, false
	}
	var v uint64
	for i := range min(f.Size, 64) {
		at := from + i
		v |= uint64(report[at/8]>>(at%8)&1) << i
	}
	return v, true
}

// AllOnes reports whether all bits of the field are set although it has no negative
// numbers, which is how devices say that they do not know. Fields of less than eight
// bits are flags and choices, and never say it.
func (f Field) AllOnes(report []byte) bool {
	v, ok := f.Bits(report)
	return ok && f.Size >= 8 && !f.signed() && bits.OnesCount64(v) == min(f.Size, 64)
}

// signed reports whether the field has negative numbers: its range begins below 0,
// and the largest number of the range leaves a bit for the sign.
func (f Field) signed() bool { return f.LogMin < 0 && f.width() < f.Size }

// width is how many bits the numbers of the field's range need besides a sign.
func (f Field) width() int { return max(magnitude(f.LogMin), magnitude(f.LogMax)) }

// Null reports whether the device says by a value out of its range that it has
// none, which it may only if the descriptor announced that.
func (f Field) Null(report []byte) bool {
	v, ok := f.Bits(report)
	if !ok || f.Flags&flagNull == 0 || f.Size > 32 {
		return false
	}
	n := int64(v)
	if f.LogMin < 0 && v>>(f.Size-1)&1 == 1 {
		n -= 1 << f.Size
	}
	return n < f.LogMin || n > f.LogMax
}

// Logical takes the field out of a report as the number that it stands for: only
// as many bits as its range needs, because some devices leave rubbish in the
// others, with a sign if the range has negative numbers, and within the range.
func (f Field) Logical(report []byte) (int64, bool) {
	raw, ok := f.Bits(report)
	if !ok {
		return 0, false
	}
	width := f.width()
	v := int64(raw & (1<<width - 1))
	if f.signed() && raw>>width&1 == 1 {
		v -= 1 << width
	}
	if f.LogMax >= f.LogMin {
		v = min(max(v, f.LogMin), f.LogMax)
	}
	return v, true
}

// magnitude is how many bits n needs besides a sign.
func magnitude(n int64) int {
	if n < 0 {
		n = -(n + 1)
	}
	return min(bits.Len64(uint64(n)), 62)
}

// baseExponents are the powers of ten between the units of the HID class, which
// counts in centimetres and grams, and ours.
func baseExponent(unit uint32) (int, bool) {
	switch unit {
	case 0x00F0D121: // volt
		return 7, true
	case 0x0000D121: // watt, volt-ampere
		return 7, true
	case 0, 0x00100001, 0x00001001, 0x00010001, 0x0000F001, 0x00101001: // none, ampere, second, kelvin, hertz, ampere-second
		return 0, true
	}
	return 0, false
}

// scale returns the power of ten between logical and physical numbers. What has a
// unit that nobody knows keeps its declared exponent.
func (f Field) scale() int {
	base, ok := baseExponent(f.Unit)
	if !ok {
		return f.Exponent
	}
	return f.Exponent - base
}

// Value takes the field out of a report in volts, watts, seconds and so on.
func (f Field) Value(report []byte) (float64, bool) {
	v, ok := f.Logical(report)
	if !ok {
		return 0, false
	}
	return f.Physical(v), true
}

// Physical converts a logical number into physical units.
func (f Field) Physical(logical int64) float64 {
	v := float64(logical)
	if f.ranges() {
		v = (v-float64(f.LogMin))*float64(f.PhyMax-f.PhyMin)/float64(f.LogMax-f.LogMin) + float64(f.PhyMin)
		v = min(max(v, float64(f.PhyMin)), float64(f.PhyMax))
	}
	return shift(v, f.scale())
}

// ranges reports whether the physical range says more than the logical one.
func (f Field) ranges() bool {
	return f.HasPhysical && (f.PhyMin != 0 || f.PhyMax != 0) && f.PhyMax > f.PhyMin && f.LogMax > f.LogMin
}

// ErrReadOnly means that the device does not take a field.
var ErrReadOnly = errors.New("the device declares this value constant")

// ToLogical is the inverse of Physical: the number to put into a report, rounded
// to the nearest. It has to fit into the bits of the field; the declared range is
// not held against it, because devices take -1 for "stop" and delays beyond the
// maximum that they declare. That -1 has no unit, and must not become the 0 of "now"
// as the nearest number of the range or of the exponent.
func (f Field) ToLogical(v float64) (int64, error) {
	n := shift(v, -f.scale())
	if v == -1 && (!f.signed() || math.Round(n) == 0) {
		return f.Fit(-1)
	}
	if f.ranges() && (v >= 0 || f.PhyMin < 0) {
		n = min(max(n, float64(f.PhyMin)), float64(f.PhyMax))
		n = (n-float64(f.PhyMin))*float64(f.LogMax-f.LogMin)/float64(f.PhyMax-f.PhyMin) + float64(f.LogMin)
	}
	return f.Fit(n)
}

// Fit rounds a logical number and checks that the field can hold it.
func (f Field) Fit(v float64) (int64, error) {
	if !f.Writable() {
		return 0, ErrReadOnly
	}
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return 0, fmt.Errorf("%v is not a number", v)
	}
	v = math.Round(v)
	size := min(f.Size, 62)
	half := float64(int64(1) << max(size-1, 0))
	limit := 2 * half
	least := -1.0 // all bits set, which stops timers
	if f.signed() {
		limit, least = half, -half // what is above would be taken for a negative number
	}
	if v >= limit || v < least {
		return 0, fmt.Errorf("%.0f does not fit into the %d bits that the device has for it", v, f.Size)
	}
	return int64(v), nil
}

// Put writes a logical number into a report, whose byte 0 is the id. It reports
// false if the report is too short.
func (f Field) Put(report []byte, logical int64) bool {
	from := f.Offset + 8
	if f.Size <= 0 || f.Offset < 0 || from+f.Size > len(report)*8 {
		return false
	}
	for i := range f.Size {
		at := from + i
		bit := byte(uint64(logical) >> min(i, 63) & 1)
		report[at/8] = report[at/8]&^(1<<(at%8)) | bit<<(at%8)
	}
	return true
}

// shift multiplies by a power of ten. It does so as C's drivers do, by tenths of
// tenths: what lies in the middle between two numbers that can be shown, such as
// 13.35 V with one decimal, then becomes the same one of them.
func shift(v float64, exponent int) float64 {
	f := 1.0
	for ; exponent < 0; exponent++ {
		f *= 0.1
	}
	for ; exponent > 0; exponent-- {
		f *= 10
	}
	return v * f
}
