// Package record writes down what a driver and its device tell each other, and plays
// it back to a driver in place of the device: a recording that came with a report is
// a test as it is. docs/recordings.md describes the files.
//
// A Tape stands for both: while recording it passes everything on, while playing
// there is no device at all. Drivers ask their Tape for connections (Dialer, Line),
// HID devices (HID, HIDConn) or single answers (Ask), and a nil Tape gives them the
// real ones. The package knows bytes and no variables; secrets are kept out of what
// it writes.
package record

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"gonut/internal/transport/hid"
)

// MaxFile is the size beyond which no file is taken for a recording.
const MaxFile = 256 << 20

// A Recording is the content of a file.
type Recording struct {
	Driver  string // the program that made it
	Port    string // where its device was
	Options []Option
	Facts   []Fact // what was known of the device before anything happened
	Events  []Event
}

// An Option is one option of the driver.
type Option struct{ Name, Value string }

// A Fact is a line without a time. Its transport knows what it means.
type Fact struct {
	Line int // in the file
	Text string
}

// An Op is what an Event is.
type Op byte

// The operations, as they stand in a line.
const (
	Answer   Op = '='
	Fail     Op = '!'
	Sent     Op = '>' // to the device
	Received Op = '<'
)

// An Event is one line with a time.
type Event struct {
	At   time.Duration // since the start
	Key  string        // what it is about: a question, or the number of a connection
	Op   Op
	Data []byte
	// Class is the kind of a failure that drivers tell apart, Data its text.
	Class string
	form  form
}

// A form is how Data is written.
type form byte

const (
	best form = iota // as is easier to read
	asText
	asBytes
)

// End is when the last event was.
func (r *Recording) End() time.Duration {
	if len(r.Events) == 0 {
		return 0
	}
	return r.Events[len(r.Events)-1].At
}

// Read reads a recording. Errors name the file and the line.
func Read(name string, from io.Reader) (*Recording, error) {
	rec := new(Recording)
	s := bufio.NewScanner(io.LimitReader(from, MaxFile))
	s.Buffer(nil, 1<<20)
	no := 0
	begun := false
	for s.Scan() {
		no++
		text := strings.TrimSpace(s.Text())
		switch {
		case text == "" || strings.HasPrefix(text, "#"):
			continue
		case !begun && text != hid.Magic:
			return nil, fmt.Errorf("%s:%d: this is no recording, which begins with %q", name, no, hid.Magic)
		case !begun:
			begun = true
			continue
		}
		if err := rec.line(no, text); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", name, no, err)
		}
	}
	if err := s.Err(); err != nil {
		return nil, fmt.Errorf("%s:%d: %w", name, no+1, err)
	}
	if !begun {
		return nil, fmt.Errorf("%s: this is no recording, it is empty", name)
	}
	// Bytes are written down when it is clear that no more of them come.
	slices.SortStableFunc(rec.Events, func(a, b Event) int { return cmp.Compare(a.At, b.At) })
	return rec, nil
}

func (r *Recording) line(no int, text string) error {
	if '0' <= text[0] && text[0] <= '9' {
		e, err := parseEvent(text)
		if err != nil {
			return err
		}
		r.Events = append(r.Events, e)
		return nil
	}
	word, rest, _ := strings.Cut(text, " ")
	var err error
	switch word {
	case "driver":
		r.Driver, err = unquote(rest)
	case "port":
		r.Port, err = unquote(rest)
	case "option":
		name, value, _ := strings.Cut(strings.TrimSpace(rest), " ")
		if value, err = unquote(value); err == nil {
			r.Options = append(r.Options, Option{name, value})
		}
	default:
		r.Facts = append(r.Facts, Fact{no, text})
	}
	return err
}

func unquote(text string) (string, error) {
	s, err := strconv.Unquote(strings.TrimSpace(text))
	if err != nil {
		return "", fmt.Errorf("%s is not a text in quotes", text)
	}
	return s, nil
}

// parseEvent reads "SECONDS KEY OP VALUE".
func parseEvent(text string) (Event, error) {
	seconds, rest, _ := strings.Cut(text, " ")
	x, err := strconv.ParseFloat(seconds, 64)
	if err != nil || !(x >= 0 && x < 1e9) {
		return Event{}, fmt.Errorf("%q is no time in seconds", seconds)
	}
	e := Event{At: time.Duration(x*1e3+0.5) * time.Millisecond}
	at, op := findOp(rest)
	if at < 0 {
		return Event{}, fmt.Errorf("there is no =, !, > or < between blanks")
	}
	e.Key, e.Op = strings.TrimSpace(rest[:at]), op
	value := strings.TrimSpace(rest[at+1:])
	if op == Fail {
		if value != "" && value[0] != '"' {
			e.Class, value, _ = strings.Cut(value, " ")
		}
		if value == "" {
			return e, nil
		}
	}
	e.Data, e.form, err = parseValue(value)
	return e, err
}

// findOp returns the place of the first operation that stands alone, outside of
// quotes.
func findOp(s string) (at int, op Op) {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case strings.IndexByte("=!><", c) >= 0 && (i == 0 || s[i-1] == ' ') && (i+1 == len(s) || s[i+1] == ' '):
			return i, Op(c)
		}
	}
	return -1, 0
}

// parseValue reads bytes in hexadecimal, or a text in quotes.
func parseValue(s string) ([]byte, form, error) {
	if strings.HasPrefix(s, `"`) {
		t, err := unquote(s)
		return []byte(t), asText, err
	}
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		return nil, best, fmt.Errorf("%q are no bytes in hexadecimal", s)
	}
	return b, asBytes, nil
}

// appendEvent appends the line of an event.
func appendEvent(dst []byte, e Event) []byte {
	dst = fmt.Appendf(dst, "%d.%03d ", e.At/time.Second, e.At%time.Second/time.Millisecond)
	if e.Key != "" {
		dst = append(dst, e.Key...)
		dst = append(dst, ' ')
	}
	dst = append(dst, byte(e.Op))
	if e.Class != "" {
		dst = append(dst, ' ')
		dst = append(dst, e.Class...)
	}
	switch {
	case len(e.Data) == 0 && (e.Op == Fail || e.form != asText):
	case e.form == asText, e.Op == Fail, e.form == best && mostlyText(e.Data):
		dst = append(dst, ' ')
		dst = strconv.AppendQuoteToASCII(dst, string(e.Data))
	default:
		dst = fmt.Appendf(dst, " % x", e.Data)
	}
	return append(dst, '\n')
}

// mostlyText reports whether bytes are easier to read as text.
func mostlyText(b []byte) bool {
	n := 0
	for _, c := range b {
		if ' ' <= c && c <= '~' || c == '\n' || c == '\r' || c == '\t' {
			n++
		}
	}
	return n*4 >= len(b)*3 && len(b) > 1
}

// Write writes the recording as a file.
func (r *Recording) Write(w io.Writer) error {
	b := bufio.NewWriter(w)
	b.WriteString(r.header())
	for _, f := range r.Facts {
		fmt.Fprintln(b, f.Text)
	}
	var line []byte
	for _, e := range r.Events {
		line = appendEvent(line[:0], e)
		b.Write(line)
	}
	return b.Flush()
}

func (r *Recording) header() string {
	var b strings.Builder
	fmt.Fprintln(&b, hid.Magic)
	if r.Driver != "" {
		fmt.Fprintf(&b, "driver %q\n", r.Driver)
	}
	if r.Port != "" {
		fmt.Fprintf(&b, "port %q\n", r.Port)
	}
	for _, o := range r.Options {
		fmt.Fprintf(&b, "option %s %q\n", o.Name, o.Value)
	}
	return b.String()
}

// same reports whether two events say the same, whenever.
func (e Event) same(o Event) bool {
	return e.Key == o.Key && e.Op == o.Op && e.Class == o.Class && bytes.Equal(e.Data, o.Data)
}

// upTo returns the last of some events in order that had happened at a time, or the
// first one if none had; ok is false if there are none.
func upTo(events []Event, at time.Duration) (e Event, ok bool) {
	if len(events) == 0 {
		return Event{}, false
	}
	i, _ := slices.BinarySearchFunc(events, at, func(e Event, at time.Duration) int {
		if e.At <= at {
			return -1
		}
		return 1
	})
	return events[max(i-1, 0)], true
}
