// Package ups is the vocabulary that everything else speaks: variables, changes
// and the state of one device, with a feed of its changes. The words are NUT's.
//
// It does no I/O, knows no protocol and no program, and imports nothing of this
// project. A State serves the driver that fills it and the server that mirrors
// it alike.
package ups

import (
	"slices"
	"strings"
)

// Flags say what kind of value a variable holds and what may be done with it.
type Flags uint8

// The flags of a variable. Immutable never leaves a driver.
const (
	RW        Flags = 1 << iota // a client may set it
	String                      // text of at most MaxLen bytes
	Number                      // a decimal number
	Immutable                   // frozen by override.* in ups.conf
)

// Words returns the flags as the words of a SETFLAGS line, in C's order.
func (f Flags) Words() []string {
	var ws []string
	for _, e := range flagWords {
		if f&e.flag != 0 {
			ws = append(ws, e.word)
		}
	}
	return ws
}

// ParseFlags is the inverse of Words. Unknown words are ignored, as in C.
func ParseFlags(ws []string) Flags {
	var f Flags
	for _, w := range ws {
		for _, e := range flagWords {
			if strings.EqualFold(w, e.word) {
				f |= e.flag
			}
		}
	}
	return f
}

var flagWords = [...]struct {
	flag Flags
	word string
}{{RW, "RW"}, {String, "STRING"}, {Number, "NUMBER"}}

// A Range is a closed interval of allowed whole numbers.
type Range struct{ Min, Max int }

// A Variable is one named value of a device. Values are text, as on the wire,
// without quotes or escapes. Enum and Ranges must not be changed: they are shared.
type Variable struct {
	Name, Value string
	Flags       Flags
	MaxLen      int      // longest value in bytes that a client may set, for String
	Enum        []string // values that a client may set; empty means any
	Ranges      []Range  // intervals that a client may set; empty means any
}

// Exceeds reports whether clients may do something with v that they may not do with
// o. What is true of o cannot be told by adding to v, then.
func (v Variable) Exceeds(o Variable) bool {
	return v.Flags&^o.Flags != 0 ||
		slices.ContainsFunc(v.Enum, func(e string) bool { return !slices.Contains(o.Enum, e) }) ||
		slices.ContainsFunc(v.Ranges, func(r Range) bool { return !slices.Contains(o.Ranges, r) })
}

// An Op is what a Change does.
type Op uint8

// The operations, one for each line of the driver socket protocol that changes
// something.
const (
	SetInfo   Op = iota // Name becomes Args[0]
	DelInfo             // Name is unknown from now on
	AddEnum             // Args[0] joins the allowed values
	DelEnum             // Args[0] leaves them
	AddRange            // Args[0] to Args[1] joins the allowed intervals
	DelRange            // Args[0] to Args[1] leaves them
	SetAux              // MaxLen becomes Args[0]
	SetFlags            // Args are all flags from now on
	AddCmd              // Name is an instant command
	DelCmd              // Name is one no longer
	DataOK              // the values are current
	DataStale           // the values must not be trusted
)

// A Change is one step in what is known about a device.
type Change struct {
	Op   Op
	Name string   // of the variable or command; empty for DataOK and DataStale
	Args []string // see Op
}

// Set returns the Change that gives a variable a value.
func Set(name, value string) Change {
	return Change{Op: SetInfo, Name: name, Args: []string{value}}
}
