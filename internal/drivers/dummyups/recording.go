package dummyups

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"

	"gonut/internal/conf"
	"gonut/internal/driver"
	"gonut/internal/ups"
	"gonut/internal/words"
)

// A stepKind tells what a line of a recording does.
type stepKind uint8

const (
	setValue stepKind = iota // name becomes value
	raise                    // value is one more alarm; empty: there is none any more
	pause                    // nothing happens for a while
)

// A step is one line of a recording that does something.
type step struct {
	kind  stepKind
	name  string
	value string
	wait  time.Duration
}

// A recording is the content of a .dev or .seq file.
type recording struct {
	steps    []step
	writable map[string]driver.Writable // by lower-case name; from #RW: lines
	commands []string                   // from #CMD: lines
	problems []conf.Problem             // lines that mean nothing
}

const (
	// maxProblems is how many bad lines are told; a file with more is no recording.
	maxProblems = 20
	// maxLine and maxFile are how many bytes a line and a file may have. Weeks of a
	// UPS fit; devices that never end do not.
	maxLine = 1 << 20
	maxFile = 256 << 20
	// maxPause is the longest time of TIMER.
	maxPause = math.MaxInt64 / time.Second
)

// parse reads a recording: what upsc prints, one "name: value" a line, with TIMER
// and ALARM lines between and, in the comments, what may be set (#RW:) and what
// commands there are (#CMD:). Unlike C's driver it takes the value as upsc printed
// it: blanks, backslashes and quotes stay. Lines that mean nothing become problems
// and the rest is used; only what cannot be read or has more than limit bytes is an
// error.
func parse(name string, r io.Reader, limit int64) (*recording, error) {
	rec := &recording{writable: make(map[string]driver.Writable)}
	limited := &io.LimitedReader{R: r, N: limit + 1}
	s := bufio.NewScanner(limited)
	s.Buffer(nil, maxLine)
	no := 1
	for ; s.Scan(); no++ {
		line := clean(s.Bytes())
		switch problem := rec.line(line); {
		case problem == "" || len(rec.problems) > maxProblems:
			continue
		case len(rec.problems) == maxProblems:
			rec.problems = append(rec.problems, conf.Problem{File: name, Line: no, Text: "there are more lines like those; is the file a recording?"})
		default:
			rec.problems = append(rec.problems, conf.Problem{File: name, Line: no, Text: problem})
		}
	}
	if errors.Is(s.Err(), bufio.ErrTooLong) {
		return nil, fmt.Errorf("line %d has more than %d bytes, so this is no recording", no, maxLine)
	}
	if limited.N == 0 {
		return nil, fmt.Errorf("it has more than %d bytes, so this is no recording", limit)
	}
	return rec, s.Err()
}

// clean drops the bytes that no NUT program can pass on: those outside ASCII and
// control characters. A tabulator is a blank.
func clean(b []byte) string {
	return string(bytes.Map(func(c rune) rune {
		switch {
		case c == '\t':
			return ' '
		case c < ' ' || c > '~':
			return -1
		}
		return c
	}, b))
}

// line takes one line; what is wrong with it is returned.
func (rec *recording) line(line string) (problem string) {
	text := strings.TrimLeft(line, " ")
	if text == "" {
		return ""
	}
	if text[0] == '#' {
		return rec.comment(text)
	}
	word, rest, _ := strings.Cut(text, " ")
	switch {
	case word == "TIMER":
		return rec.timer(stripComment(rest))
	case word == "ALARM" || word == "ALARM:":
		rec.steps = append(rec.steps, step{kind: raise, value: strings.TrimSpace(stripComment(rest))})
		return ""
	}
	return rec.value(text)
}

func (rec *recording) timer(arg string) (problem string) {
	n, err := strconv.Atoi(strings.TrimSpace(arg))
	if err != nil || n < 0 || int64(n) > int64(maxPause) {
		return "TIMER wants a number of seconds, not " + words.Quote(strings.TrimSpace(arg))
	}
	rec.steps = append(rec.steps, step{kind: pause, wait: time.Duration(n) * time.Second})
	return ""
}

// value takes a line "name: value". The colon may be missing, as in C.
func (rec *recording) value(text string) (problem string) {
	end := strings.IndexAny(text, ": ")
	if end < 0 {
		end = len(text)
	}
	name, value := text[:end], text[end:]
	hasColon := strings.HasPrefix(value, ":")
	if !validName(name) || !hasColon && (!strings.Contains(name, ".") || strings.TrimSpace(value) == "") {
		return "this is no line of a recording, which says NAME: VALUE, TIMER SECONDS or ALARM TEXT"
	}
	if strings.HasPrefix(strings.ToLower(name), "driver.") {
		return "" // of the driver that made the recording
	}
	value = strings.TrimPrefix(value, ":")
	value = stripComment(value)
	value = strings.TrimPrefix(value, " ")
	rec.steps = append(rec.steps, step{kind: setValue, name: name, value: unquote(value)})
	return ""
}

func validName(s string) bool {
	if s == "" {
		return false
	}
	for _, c := range []byte(s) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '.', c == '-', c == '_':
		default:
			return false
		}
	}
	return true
}

// stripComment cuts the text at a '#' that follows a blank, and the blanks before.
func stripComment(s string) string {
	if strings.HasPrefix(s, "#") {
		return ""
	}
	if i := strings.Index(s, " #"); i >= 0 {
		return strings.TrimRight(s[:i], " ")
	}
	return s
}

// unquote takes a value that stands between quotes for one that was written for
// C's lexer. A quote at one end only belongs to the value.
func unquote(s string) string {
	t := strings.TrimSpace(s)
	if len(t) < 2 || t[0] != '"' || t[len(t)-1] != '"' {
		return s
	}
	if ws, err := words.Split(t); err == nil && len(ws) == 1 {
		return ws[0]
	}
	return s
}

// comment takes the comments that say what may be set and done.
func (rec *recording) comment(text string) (problem string) {
	if arg, ok := strings.CutPrefix(text, "#CMD:"); ok {
		name, _, _ := strings.Cut(strings.TrimSpace(arg), " ")
		if !validName(name) {
			return "#CMD: names no command"
		}
		rec.commands = append(rec.commands, name)
		return ""
	}
	arg, ok := strings.CutPrefix(text, "#RW:")
	if !ok {
		return ""
	}
	name, kind, _ := strings.Cut(stripComment(arg), ":")
	kind, arg, _ = strings.Cut(kind, ":")
	key := strings.ToLower(name)
	w, known := rec.writable[key]
	if !known {
		w = typeOf(key)
	}
	ws, err := words.Split(arg)
	switch {
	case !validName(name) || err != nil:
		return "#RW: wants NAME:STRING[:LENGTH], NAME:ENUM:\"VALUE\" or NAME:RANGE:\"LOW\" \"HIGH\""
	case strings.TrimSpace(kind) == "STRING":
		w.String = true
		w.MaxLen = defaultLen
		if len(ws) > 0 {
			w.MaxLen = ups.Atoi(ws[0])
		}
	case kind == "ENUM" && len(ws) == 1:
		w.Enum = append(w.Enum, ws[0])
	case kind == "RANGE" && len(ws) == 2:
		w.String, w.MaxLen = false, 0
		w.Ranges = append(w.Ranges, ups.Range{Min: ups.Atoi(ws[0]), Max: ups.Atoi(ws[1])})
	default:
		return "#RW:" + name + " wants STRING[:LENGTH], ENUM:\"VALUE\" or RANGE:\"LOW\" \"HIGH\""
	}
	rec.writable[key] = w
	return ""
}

// defaultLen is the length of text that C's driver allows in most variables.
const defaultLen = 32

// typeOf returns what C's driver lets clients set a variable to: all can be set,
// so that anything may be tried out.
func typeOf(name string) driver.Writable {
	switch name {
	case "ups.date", "ups.time", "ups.firmware", "ups.firmware.aux", "ups.id", "ups.mfr.date", "ups.test.result":
		return driver.Writable{String: true, MaxLen: 16}
	case "input.quality":
		return driver.Writable{String: true, MaxLen: 6}
	case "input.sensitivity", "input.transfer.reason":
		return driver.Writable{String: true, MaxLen: 1}
	case "ambient.humidity", "ambient.humidity.high", "ambient.humidity.low",
		"ambient.temperature", "ambient.temperature.high", "ambient.temperature.low",
		"battery.charge", "battery.charge.low", "battery.charge.restart", "battery.current",
		"battery.runtime", "battery.runtime.low", "battery.temperature",
		"battery.voltage", "battery.voltage.nominal",
		"input.frequency", "input.transfer.boost.high", "input.transfer.boost.low",
		"input.transfer.high", "input.transfer.low", "input.transfer.trim.high", "input.transfer.trim.low",
		"input.voltage", "input.voltage.maximum", "input.voltage.minimum", "input.voltage.nominal",
		"output.current", "output.frequency", "output.voltage",
		"ups.delay.reboot", "ups.delay.shutdown", "ups.delay.start", "ups.load", "ups.temperature", "ups.test.interval":
		return driver.Writable{}
	}
	return driver.Writable{String: true, MaxLen: defaultLen}
}
