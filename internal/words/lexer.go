// Package words is NUT's word grammar: how bytes become records (lists of
// words) and how text becomes a word again. Every configuration file, both
// directions of the network protocol and the driver socket use it, and nothing
// else in this project splits or quotes text.
//
// It does not know what any word means, and it does no I/O except in Scanner,
// which reads from the io.Reader it is given.
package words

import "errors"

// Limits of the grammar, as C NUT's lexer has them. Bytes and words beyond them
// are dropped silently.
const (
	MaxWord  = 512 // bytes in a word
	MaxWords = 32  // words in a record
)

// ErrUnescapedHash reports a '#' inside a quoted word that no backslash
// precedes. It ends the record.
var ErrUnescapedHash = errors.New(`unbalanced word: '#' inside quotes needs a '\' before it`)

// ErrUnclosedQuote reports text that ended inside a quoted word.
var ErrUnclosedQuote = errors.New("unbalanced word: the closing '\"' is missing")

type state uint8

const (
	start state = iota
	word
	wordEscape
	quoted
	quotedEscape
	comment
)

// A Lexer turns a stream of bytes, in pieces of any size, into records. The zero
// value is ready for use. A Lexer must not be used from two goroutines at once.
type Lexer struct {
	state   state
	ended   bool   // the record is complete; the next byte starts a new one
	n       int    // words completed
	begin   int    // where the current word starts in buf
	dropped int    // bytes refused in this record
	cut     bool   // a limit was exceeded in this record
	lines   int    // line feeds within this record
	opened  int    // of those, before the last quoted word
	spanned bool   // a quoted word held a line feed; opened stays with the first such word
	glued   bool   // a comment began right behind a word
	buf     []byte // the words of the record, end to end
	ends    [MaxWords]uint16
}

// Feed consumes bytes of p until a record ends or p is used up. It returns how
// many bytes it took and whether a record is complete; the record's words can
// then be read until the next call. On ErrUnescapedHash the bytes up to and
// including the '#' were taken, done is true and the record holds the words
// found so far, the broken one included.
func (l *Lexer) Feed(p []byte) (n int, done bool, err error) {
	if l.ended {
		l.clear()
	}
	for i := 0; i < len(p); i++ {
		if l.state == word { // most bytes of most records
			n := plain(p[i:])
			l.putAll(p[i : i+n])
			if i += n; i == len(p) {
				break
			}
		}
		done, err := l.step(p[i])
		if done {
			l.ended = true
			return i + 1, true, err
		}
	}
	return len(p), false, nil
}

// Flush ends the input: a pending record is completed and done reports whether
// there was one. A word that is still inside quotes gives ErrUnclosedQuote.
func (l *Lexer) Flush() (done bool, err error) {
	if l.ended {
		l.clear()
	}
	switch l.state {
	case quoted, quotedEscape:
		err = ErrUnclosedQuote
		l.emit()
	case word, wordEscape:
		l.emit()
	}
	l.state = start
	l.ended = true
	return l.n > 0, err
}

// Reset forgets everything, as if no byte had been seen.
func (l *Lexer) Reset() {
	l.clear()
	l.state = start
	l.ended = false
}

// Idle reports whether the lexer stands between two records.
func (l *Lexer) Idle() bool {
	return l.ended || l.state == start && l.n == 0
}

// Len is the number of words in the record.
func (l *Lexer) Len() int { return l.n }

// Bytes returns word i of the record; it is valid until the next call of Feed.
func (l *Lexer) Bytes(i int) []byte {
	from := 0
	if i > 0 {
		from = int(l.ends[i-1])
	}
	return l.buf[from:l.ends[i]:l.ends[i]]
}

// Words returns a copy of the record.
func (l *Lexer) Words() []string {
	ws := make([]string, l.n)
	for i := range ws {
		ws[i] = string(l.Bytes(i))
	}
	return ws
}

// Dropped is the number of bytes of the record that the grammar refuses: control
// bytes, the line feed apart, and bytes above 0x7F.
func (l *Lexer) Dropped() int { return l.dropped }

// Cut reports whether the record lost bytes or words to the limits of the grammar.
func (l *Lexer) Cut() bool { return l.cut }

// step handles one byte, as C's state machine does, cell for cell.
func (l *Lexer) step(c byte) (done bool, err error) {
	switch l.state {
	case start:
		switch {
		case c == '\n':
			return true, nil
		case c == '#':
			l.state = comment
		case space(c):
		case c == '\\':
			l.state = wordEscape
		case c == '"':
			l.state = quoted
			if !l.spanned {
				l.opened = l.lines
			}
		case c == '=':
			l.put(c)
			l.emit()
		default:
			l.put(c)
			l.state = word
		}
	case word:
		switch {
		case c == '\n':
			l.emit()
			l.state = start
			return true, nil
		case c == '#':
			l.emit()
			l.state = comment
			l.glued = true
		case space(c):
			l.emit()
			l.state = start
		case c == '\\':
			l.state = wordEscape
		case c == '=':
			l.emit()
			l.put(c)
			l.emit()
			l.state = start
		default:
			l.put(c)
		}
	case wordEscape:
		if c == '\n' {
			l.lines++
		} else {
			l.put(c)
		}
		l.state = word
	case quoted:
		switch c {
		case '#':
			l.emit()
			l.state = start
			return true, ErrUnescapedHash
		case '\\':
			l.state = quotedEscape
		case '"':
			l.emit()
			l.state = start
		case '\n':
			l.lines++
			l.spanned = true
		default:
			l.put(c)
		}
	case quotedEscape:
		if c == '\n' { // wanted, so not a sign of a forgotten quote
			l.lines++
		} else {
			l.put(c)
		}
		l.state = quoted
	case comment:
		if c == '\n' {
			l.state = start
			return true, nil
		}
	}
	return false, nil
}

func (l *Lexer) put(c byte) {
	if c < 0x20 || c > 0x7F {
		l.dropped++
		return
	}
	if l.n == MaxWords || len(l.buf)-l.begin >= MaxWord {
		l.cut = true
		return
	}
	l.buf = append(l.buf, c)
}

// putAll is put for bytes that the grammar takes.
func (l *Lexer) putAll(p []byte) {
	room := MaxWord - (len(l.buf) - l.begin)
	if l.n == MaxWords {
		room = 0
	}
	if len(p) > room {
		l.cut = true
		p = p[:room]
	}
	l.buf = append(l.buf, p...)
}

func (l *Lexer) emit() {
	if l.n == MaxWords {
		l.cut = true
		return
	}
	l.ends[l.n] = uint16(len(l.buf))
	l.begin = len(l.buf)
	l.n++
}

func (l *Lexer) clear() {
	l.ended = false
	l.n, l.begin, l.dropped, l.cut = 0, 0, 0, false
	l.lines, l.opened, l.spanned, l.glued = 0, 0, false, false
	l.buf = l.buf[:0]
}

// space reports the blanks of the grammar; the line feed is not one of them.
func space(c byte) bool {
	return c == ' ' || c == '\t' || c == '\v' || c == '\f' || c == '\r'
}

// plain returns how many bytes p begins with that simply extend a word.
func plain(p []byte) int {
	for i, c := range p {
		if !extends[c] {
			return i
		}
	}
	return len(p)
}

// extends says which bytes simply extend a word.
var extends = func() (t [256]bool) {
	for c := '!'; c <= 0x7F; c++ {
		t[c] = c != '#' && c != '\\' && c != '='
	}
	return t
}()
