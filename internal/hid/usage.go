// Package hid understands USB HID power devices: it reads a report descriptor into
// a list of fields, takes values out of reports and puts them back, in physical
// units, and knows the faults of real firmware in both. It does no I/O and knows
// no variable names; transports are below it, device tables above.
package hid

import (
	"fmt"
	"strconv"
	"strings"
)

// A Usage is what a field or collection means: the usage page in the upper and
// the usage in the lower 16 bits.
type Usage uint32

// indexPage is where numbered collections live in a path: a collection whose
// argument is 0x80+n adds the element [n].
const indexPage = 0x00FF0000

// Index returns the path element [n].
func Index(n int) Usage { return Usage(indexPage | n&0x7F) }

// index returns n if u is the path element [n].
func (u Usage) index() (int, bool) {
	if u&^0x7F == indexPage {
		return int(u & 0x7F), true
	}
	return 0, false
}

// String returns the usage as eight hexadecimal digits, or as "[n]".
func (u Usage) String() string {
	if n, ok := u.index(); ok {
		return "[" + strconv.Itoa(n) + "]"
	}
	return fmt.Sprintf("%08x", uint32(u))
}

// A Path names a field: the usages of the collections around it, outermost first,
// and its own.
type Path []Usage

// ParsePath reads a path such as "UPS.Flow.[4].ConfigVoltage". Elements are names
// that lookup knows, eight hexadecimal digits, or [n].
func ParsePath(text string, lookup func(name string) (Usage, bool)) (Path, error) {
	var p Path
	for _, name := range strings.Split(text, ".") {
		u, err := parseElement(name, lookup)
		if err != nil {
			return nil, fmt.Errorf("usage path %q: %w", text, err)
		}
		p = append(p, u)
	}
	return p, nil
}

func parseElement(name string, lookup func(string) (Usage, bool)) (Usage, error) {
	if n, ok := strings.CutPrefix(name, "["); ok {
		i, err := strconv.ParseUint(strings.TrimSuffix(n, "]"), 10, 7)
		if err != nil || !strings.HasSuffix(n, "]") {
			return 0, fmt.Errorf("%q is not an index from [0] to [127]", name)
		}
		return Index(int(i)), nil
	}
	if u, ok := lookup(name); ok {
		return u, nil
	}
	if len(name) == 8 {
		if v, err := strconv.ParseUint(name, 16, 32); err == nil {
			return Usage(v), nil
		}
	}
	return 0, UnknownUsageError(name)
}

// An UnknownUsageError is the name of a usage that nobody has defined.
type UnknownUsageError string

func (e UnknownUsageError) Error() string { return fmt.Sprintf("no usage is called %q", string(e)) }

// Text returns the path with dots between its elements. name returns the name of
// a usage, or "" if it has none.
func (p Path) Text(name func(Usage) string) string {
	var b strings.Builder
	for i, u := range p {
		if i > 0 {
			b.WriteByte('.')
		}
		if n := name(u); n != "" {
			b.WriteString(n)
		} else {
			b.WriteString(u.String())
		}
	}
	return b.String()
}

// HasPrefix reports whether p begins with the elements of q.
func (p Path) HasPrefix(q Path) bool {
	if len(p) < len(q) {
		return false
	}
	for i := range q {
		if p[i] != q[i] {
			return false
		}
	}
	return true
}

// Equal reports whether p and q are the same path.
func (p Path) Equal(q Path) bool { return len(p) == len(q) && p.HasPrefix(q) }
