// Package subdriver is what we know of devices as data: tables of rows that say
// where a device keeps a variable, a condition of ups.status or an instant
// command, and the one walk that reads and writes them. HID, SNMP, Qx and Modbus
// drivers bring a Source that moves values; the rows, the conversions, what is
// read when, who provides a variable and what a command does are the same for all.
//
// A table is a text file in NUT's own word grammar, one row a line; docs/subdrivers.md
// teaches it. Package subdriver does no I/O with devices and has no special case
// for any of them.
package subdriver

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// A Table is one parsed file. It is immutable and shared between devices.
type Table struct {
	Name     string // of the file without its ending: "apc"
	Family   string // of the folder: "hid"
	Origin   string // where it was loaded from, for messages
	Title    string // with Version the value of driver.version.data
	Version  string
	Maker    string    // of devices that do not say who made them
	Quirks   []Mention // of all devices of the table
	Matches  []Match
	Refusals []Match // devices that another driver is for; Reason says which
	Models   []Model
	Defaults map[string]string // options of the driver that devices of this table need otherwise
	Rows     []Row

	enums   map[string]*Enum
	curves  map[string]*Curve
	rules   map[string]*Rule
	codes   map[string]uint32 // usages by lower-case name
	names   map[uint32]string
	used    []string  // tables that were included
	own     []string  // enums, curves and rules of the file itself
	options []Mention // where the file sets defaults
	rows    int       // rows of the file itself
	layer   int       // where it was found, from 0
	text    string    // the file
}

// Data returns the value of driver.version.data: "APC HID 0.101".
func (t *Table) Data() string { return strings.TrimSpace(t.Title + " " + t.Version) }

// Text returns the file as it was read.
func (t *Table) Text() string { return t.text }

// Code returns the number of a named usage.
func (t *Table) Code(name string) (uint32, bool) {
	c, ok := t.codes[strings.ToLower(name)]
	return c, ok
}

// CodeName returns the name of a usage, empty if it has none.
func (t *Table) CodeName(code uint32) string { return t.names[code] }

// CodeNames returns the names of all usages, sorted.
func (t *Table) CodeNames() []string { return slices.Sorted(maps.Values(t.names)) }

// A Mention is the name of something that only the driver knows, where a table has it:
// a quirk, or an option.
type Mention struct {
	Name       string
	Line, Word int
}

// A Match is a line that says which devices a table is for.
type Match struct {
	Kind string   // "usb", "sysoid", "answer" or "model"
	IDs  []string // "051d:0002" in lower case, an OID, a request
	Vendor, Product, Text,
	Answer *regexp.Regexp // conditions on strings; nil ones hold. Text is tried on "vendor product".
	Quirks []string
	Consts map[string]float64 // what $name means in rows
	Reason string             // of a refusal
	Line   int
}

// conditions counts what the line asks for besides the id.
func (m *Match) conditions() int {
	n := 0
	for _, re := range []*regexp.Regexp{m.Vendor, m.Product, m.Text} {
		if re != nil {
			n++
		}
	}
	return n
}

func (m *Match) accepts(id, vendor, product string) bool {
	for _, own := range m.IDs {
		if own == id {
			return (m.Vendor == nil || m.Vendor.MatchString(vendor)) &&
				(m.Product == nil || m.Product.MatchString(product)) &&
				(m.Text == nil || m.Text.MatchString(vendor+" "+product))
		}
	}
	return false
}

// A Model is a line that names a model of a device and puts it into a class.
type Model struct {
	Product, Model string // what the device calls itself
	Name           string // what we call it; empty: product and model
	Class          string
}

// A Kind says what a row is for.
type Kind uint8

// The kinds of rows.
const (
	Var     Kind = iota // a variable
	Reg                 // a value that only expressions see
	Setting             // a variable that the driver keeps; the source only has to exist
	Flag                // a condition
	Status              // words for ups.status
	Alarm               // a sentence for ups.alarm
	Cmd                 // an instant command
)

var kindWords = map[Kind]string{Var: "var", Reg: "reg", Setting: "setting", Flag: "flag", Status: "status", Alarm: "alarm", Cmd: "cmd"}

// String returns the word that begins a row of this kind.
func (k Kind) String() string { return kindWords[k] }

// A Poll says when a row is read.
type Poll uint8

// The poll classes.
const (
	PollFull    Poll = iota // with everything
	PollQuick               // at each poll
	PollWritten             // at the beginning and after something was written
	PollOnce                // at the beginning
)

// A Row is one line of a table.
type Row struct {
	Kind   Kind
	Name   string // of the variable, flag or command; the text of an alarm
	Off    string // of a flag "a/b": b, what holds if a does not
	Source string
	Line   int

	Format string // of printf for one number, empty for text
	As     string // converter, enum or curve
	Scale  Number
	Offset Number
	Mask   int64 // 0 means all bits
	Shift  int
	Or     int64   // bits that are set in what is written
	On     []int64 // of a flag: values that set it; empty: all but 0
	OffOn  []int64 // of a flag: values that clear it; empty: all others
	OnText string  // of a flag: text that sets it, for sources of texts
	Valid  *Range  // what is not a value; nil means the usual
	AnyBit bool    // valid=any: even all bits set is a value
	IsDate bool    // valid=date
	Fix    []string
	Expr   *Expr // replaces the value that was read
	If     *Expr // the row holds only if it is true
	Allow  *Expr // what must hold to write value
	Class  []string
	Step   int // of a setting or command: what is written is rounded up to a multiple

	Default string
	Poll    Poll
	RW      *Access
	Steps   []Step // of a command

	group *group // of a row between each and end
}

// An Access says how a client may set a variable.
type Access struct {
	MaxLen int  // of a text
	Number bool // a number, not a text
	Enum   bool // one of the texts of the enum
	Min    int
	Max    int // with Min a range of numbers, if Max is above Min
}

// A Step is one write of a command.
type Step struct {
	Source string
	Send   Template
	As     string
	Or     int64
	Wait   float64 // seconds before it
	Line   int
}

// A group is a part of a table that is repeated.
type group struct {
	outer  *group
	mark   string // what is replaced, "%i"
	from   int
	to     int
	toName string // variable that holds to
	shift  int    // added to the index in sources
	cond   *Expr
}

// A Number is a constant of a row: a number or the name of a profile's constant.
type Number struct {
	Value float64
	Const string
	Given bool
}

func (n Number) in(consts map[string]float64, otherwise float64) float64 {
	if !n.Given {
		return otherwise
	}
	if n.Const != "" {
		if v, ok := consts[n.Const]; ok {
			return v
		}
		return otherwise
	}
	return n.Value
}

// A Range is a closed interval; either end may be open.
type Range struct{ Min, Max float64 }

func (r Range) holds(v float64) bool { return v >= r.Min && v <= r.Max }

// An Enum is a two-way lookup between numbers and words.
type Enum struct {
	Name    string
	Bits    bool // numbers are masks: the texts of all that are set are joined
	Entries []Entry
	Line    int
}

// An Entry is one pair of an Enum.
type Entry struct {
	Raw  int64
	Text string
}

func (e *Enum) text(raw int64) (string, bool) {
	for _, p := range e.Entries {
		if p.Raw == raw {
			return p.Text, true
		}
	}
	return "", false
}

func (e *Enum) raw(text string) (int64, bool) {
	for _, p := range e.Entries {
		if strings.EqualFold(p.Text, text) {
			return p.Raw, true
		}
	}
	return 0, false
}

func (e *Enum) texts() []string {
	var ts []string
	for _, p := range e.Entries {
		ts = append(ts, p.Text)
	}
	return ts
}

// A Curve is a function given by points, straight between them and flat beyond.
type Curve struct {
	Name   string
	Points []Point // X rises
	Line   int
}

// A Point of a Curve.
type Point struct{ X, Y float64 }

func (c *Curve) at(x float64) float64 {
	p := c.Points
	if x <= p[0].X {
		return p[0].Y
	}
	for i := 1; i < len(p); i++ {
		if x <= p[i].X {
			return p[i-1].Y + (x-p[i-1].X)*(p[i].Y-p[i-1].Y)/(p[i].X-p[i-1].X)
		}
	}
	return p[len(p)-1].Y
}

// inverse returns the smallest X whose value reaches y: settings that know only
// steps get the next longer one.
func (c *Curve) inverse(y float64) float64 {
	p := c.Points
	for i := range p {
		if p[i].Y >= y {
			if i == 0 || p[i].Y == y {
				return p[i].X
			}
			return p[i-1].X + (y-p[i-1].Y)*(p[i].X-p[i-1].X)/(p[i].Y-p[i-1].Y)
		}
	}
	return p[len(p)-1].X
}

// A Rule is a named correction of values that are off by a known factor. It is
// decided once per row, by the first value for which either condition holds.
type Rule struct {
	Name  string
	When  *Expr // the value has to be corrected
	Right *Expr // the value is right; nil: whenever When does not hold
	Scale *Expr
	Line  int
}

// A Problem is something wrong with a table.
type Problem struct {
	File      string
	Line, Col int
	Warning   bool // the table can be used nevertheless
	Text      string
	Hint      string
}

// Error returns "file:line:column: text (hint)".
func (p Problem) Error() string {
	s := fmt.Sprintf("%s:%d:%d: %s", p.File, p.Line, p.Col, p.Text)
	if p.Hint != "" {
		s += " (" + p.Hint + ")"
	}
	return s
}
