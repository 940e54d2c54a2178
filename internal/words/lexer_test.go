package words

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// A record is what a test compares: the words, or the error with the words before it.
type record struct {
	words []string
	err   error
}

// lex returns all records of text, fed in pieces of the sizes that next returns.
func lex(text string, next func() int) []record {
	var l Lexer
	var out []record
	for b := []byte(text); len(b) > 0; {
		piece := b[:min(len(b), max(1, next()))]
		b = b[len(piece):]
		for len(piece) > 0 {
			n, done, err := l.Feed(piece)
			piece = piece[n:]
			if done {
				out = append(out, record{l.Words(), err})
			}
		}
	}
	if done, err := l.Flush(); done {
		out = append(out, record{l.Words(), err})
	}
	return out
}

func whole(text string) []record { return lex(text, func() int { return len(text) }) }

func (r record) String() string { return fmt.Sprintf("%q %v", r.words, r.err) }

func sameRecords(a, b []record) bool {
	return slices.EqualFunc(a, b, func(a, b record) bool { return slices.Equal(a.words, b.words) && a.err == b.err })
}

func rec(ws ...string) record { return record{words: ws} }

// stateTable has a row for each cell of the grammar's state machine: a text that
// brings the lexer into the state, the input, and what must come of these two and a
// rest of "z y" (with a closing quote where the state is within quotes).
var stateTable = []struct {
	state, before, input, after string
	want                        []record
}{
	{"start", "", "\n", "z y\n", []record{rec(), rec("z", "y")}},
	{"start", "", "#", "z y\n", []record{rec()}},
	{"start", "", " ", "z y\n", []record{rec("z", "y")}},
	{"start", "", "\t", "z y\n", []record{rec("z", "y")}},
	{"start", "", "\v", "z y\n", []record{rec("z", "y")}},
	{"start", "", "\f", "z y\n", []record{rec("z", "y")}},
	{"start", "", "\r", "z y\n", []record{rec("z", "y")}},
	{"start", "", `\`, "\"z y\n", []record{rec(`"z`, "y")}},
	{"start", "", `"`, "z y\"\n", []record{rec("z y")}},
	{"start", "", "=", "z y\n", []record{rec("=", "z", "y")}},
	{"start", "", "x", "z y\n", []record{rec("xz", "y")}},

	{"word", "a", "\n", "z y\n", []record{rec("a"), rec("z", "y")}},
	{"word", "a", "#", "z y\n", []record{rec("a")}},
	{"word", "a", " ", "z y\n", []record{rec("a", "z", "y")}},
	{"word", "a", "\t", "z y\n", []record{rec("a", "z", "y")}},
	{"word", "a", "\v", "z y\n", []record{rec("a", "z", "y")}},
	{"word", "a", "\f", "z y\n", []record{rec("a", "z", "y")}},
	{"word", "a", "\r", "z y\n", []record{rec("a", "z", "y")}},
	{"word", "a", `\`, "#z y\n", []record{rec("a#z", "y")}},
	{"word", "a", `"`, "z y\n", []record{rec(`a"z`, "y")}},
	{"word", "a", "=", "z y\n", []record{rec("a", "=", "z", "y")}},
	{"word", "a", "x", "z y\n", []record{rec("axz", "y")}},

	{"word, escaped", `a\`, "\n", "z y\n", []record{rec("az", "y")}},
	{"word, escaped", `a\`, "#", "z y\n", []record{rec("a#z", "y")}},
	{"word, escaped", `a\`, " ", "z y\n", []record{rec("a z", "y")}},
	{"word, escaped", `a\`, "\t", "z y\n", []record{rec("az", "y")}},
	{"word, escaped", `a\`, `\`, "z y\n", []record{rec(`a\z`, "y")}},
	{"word, escaped", `a\`, `"`, "z y\n", []record{rec(`a"z`, "y")}},
	{"word, escaped", `a\`, "=", "z y\n", []record{rec("a=z", "y")}},
	{"word, escaped", `a\`, "x", "z y\n", []record{rec("axz", "y")}},

	{"quoted", `"a`, "\n", "z y\"\n", []record{rec("az y")}},
	{"quoted", `"a`, "#", "z y\"\n", []record{{[]string{"a"}, ErrUnescapedHash}, rec("z", `y"`)}},
	{"quoted", `"a`, " ", "z y\"\n", []record{rec("a z y")}},
	{"quoted", `"a`, "\t", "z y\"\n", []record{rec("az y")}},
	{"quoted", `"a`, "\r", "z y\"\n", []record{rec("az y")}},
	{"quoted", `"a`, `\`, "#z y\"\n", []record{rec("a#z y")}},
	{"quoted", `"a`, `"`, "z y\n", []record{rec("a", "z", "y")}},
	{"quoted", `"a`, "=", "z y\"\n", []record{rec("a=z y")}},
	{"quoted", `"a`, "x", "z y\"\n", []record{rec("axz y")}},

	{"quoted, escaped", `"a\`, "\n", "z y\"\n", []record{rec("az y")}},
	{"quoted, escaped", `"a\`, "#", "z y\"\n", []record{rec("a#z y")}},
	{"quoted, escaped", `"a\`, " ", "z y\"\n", []record{rec("a z y")}},
	{"quoted, escaped", `"a\`, "\t", "z y\"\n", []record{rec("az y")}},
	{"quoted, escaped", `"a\`, `\`, "z y\"\n", []record{rec(`a\z y`)}},
	{"quoted, escaped", `"a\`, `"`, "z y\"\n", []record{rec(`a"z y`)}},
	{"quoted, escaped", `"a\`, "=", "z y\"\n", []record{rec("a=z y")}},
	{"quoted, escaped", `"a\`, "x", "z y\"\n", []record{rec("axz y")}},

	{"comment", "a #", "\n", "z y\n", []record{rec("a"), rec("z", "y")}},
	{"comment", "a #", "#", "z y\n", []record{rec("a")}},
	{"comment", "a #", " ", "z y\n", []record{rec("a")}},
	{"comment", "a #", `\`, "\nz\n", []record{rec("a"), rec("z")}},
	{"comment", "a #", `"`, "z y\n", []record{rec("a")}},
	{"comment", "a #", "=", "z y\n", []record{rec("a")}},
	{"comment", "a #", "x", "z y\n", []record{rec("a")}},
}

func TestStateTable(t *testing.T) {
	for _, c := range stateTable {
		text := c.before + c.input + c.after
		if got := whole(text); !sameRecords(got, c.want) {
			t.Errorf("%s, %q: lex(%q) = %v; want %v", c.state, c.input, text, got, c.want)
		}
	}
}

// consequences are what the state machine comes down to, and the bytes and words
// that it refuses.
var consequences = []struct {
	text string
	want []record
}{
	{"a \"b c\" d\n", []record{rec("a", "b c", "d")}},
	{"x=y\n", []record{rec("x", "=", "y")}},
	{"x =y\n", []record{rec("x", "=", "y")}},
	{"x= y\n", []record{rec("x", "=", "y")}},
	{"\"x=y\"\n", []record{rec("x=y")}},
	{"x\\=y\n", []record{rec("x=y")}},
	{"a\"b c\"\n", []record{rec(`a"b`, `c"`)}},
	{"\"ab\"cd\n", []record{rec("ab", "cd")}},
	{"\"\"\n", []record{rec("")}},
	{"a#b\n", []record{rec("a")}},
	{"\"a\nb\"\n", []record{rec("ab")}},
	{"\"a\tb\"\n", []record{rec("ab")}},
	{"a \\\n b\n", []record{rec("a", "", "b")}},
	{"a\\\nb\n", []record{rec("ab")}},
	{"VER \x00\n", []record{rec("VER", "")}},
	{"\n", []record{rec()}},
	{" \t\v\f\r\n", []record{rec()}},
	{"# only a comment\n", []record{rec()}},
	{"a b\r\n\r\nc\r\n", []record{rec("a", "b"), rec(), rec("c")}},
	{"NET\x01VER\n", []record{rec("NETVER")}},
	{"a\x1fb\x7fc\x80d\xffe\n", []record{rec("ab\x7fcde")}},
	{"caf\u00e9\n", []record{rec("caf")}},
	{"\x80\n", []record{rec("")}},
	{"===\n", []record{rec("=", "=", "=")}},
	{"\"a\"\"b\"\"\"\n", []record{rec("a", "b", "")}},
	{"\"a\"=\"b\"\n", []record{rec("a", "=", "b")}},
	{"\"a\\\"b\\\\\"\n", []record{rec(`a"b\`)}},

	// A parse error ends the record, the broken word included; what follows is new.
	{"NETVER \"a#b\" x\nNETVER\n", []record{{[]string{"NETVER", "a"}, ErrUnescapedHash}, rec(`b"`, "x"), rec("NETVER")}},
	{"desc = \"a # b\"\n", []record{{[]string{"desc", "=", "a "}, ErrUnescapedHash}, rec(`b"`)}},
	{"\"#\n", []record{{[]string{""}, ErrUnescapedHash}, rec()}},

	// The end of the text ends the record; a word that is all of it is not lost.
	{"a", []record{rec("a")}},
	{"a = b", []record{rec("a", "=", "b")}},
	{"a ", []record{rec("a")}},
	{"a\\", []record{rec("a")}},
	{"a #b", []record{rec("a")}},
	{"", nil},
	{" ", nil},
	{"#a", nil},
	{"a \"b c", []record{{[]string{"a", "b c"}, ErrUnclosedQuote}}},
	{"\"b\\", []record{{[]string{"b"}, ErrUnclosedQuote}}},
	{"a \"b\nc\nd", []record{{[]string{"a", "bcd"}, ErrUnclosedQuote}}},

	// Limits.
	{strings.Repeat("w", 600) + " x\n", []record{rec(strings.Repeat("w", 512), "x")}},
	{"\"" + strings.Repeat("w", 600) + "\" x\n", []record{rec(strings.Repeat("w", 512), "x")}},
	{strings.Repeat("w ", 40) + "\nx\n", []record{rec(slices.Repeat([]string{"w"}, 32)...), rec("x")}},
	{strings.Repeat("w ", 32) + "=\"x\" y#z\nx\n", []record{rec(slices.Repeat([]string{"w"}, 32)...), rec("x")}},
	{strings.Repeat(" ", 100000) + "x\n", []record{rec("x")}},
}

func TestConsequences(t *testing.T) {
	for _, c := range consequences {
		if got := whole(c.text); !sameRecords(got, c.want) {
			t.Errorf("lex(%.60q) = %v; want %v", c.text, got, c.want)
		}
		if got := lex(c.text, func() int { return 1 }); !sameRecords(got, c.want) {
			t.Errorf("lex(%.60q), byte by byte = %v; want %v", c.text, got, c.want)
		}
	}
}

func TestFeedStopsAtTheRecordsEnd(t *testing.T) {
	var l Lexer
	text := []byte("a b\nc d\n")
	if n, done, err := l.Feed(text); n != 4 || !done || err != nil {
		t.Errorf("Feed = %d, %v, %v; want 4, true, nil", n, done, err)
	}
	if n, done, err := l.Feed(text[4:]); n != 4 || !done || err != nil || !slices.Equal(l.Words(), []string{"c", "d"}) {
		t.Errorf("Feed = %d, %v, %v with %q; want 4, true, nil with c d", n, done, err, l.Words())
	}
	if n, done, err := l.Feed([]byte("x \"y#z")); n != 5 || !done || !errors.Is(err, ErrUnescapedHash) {
		t.Errorf("Feed = %d, %v, %v; want 5, true, ErrUnescapedHash", n, done, err)
	}
}

func TestIdleAndReset(t *testing.T) {
	for text, want := range map[string]bool{
		"": true, "a\n": true, " ": true, "\"a#": true, "a": false, "a ": false, "#": false, "\"": false, "\\": false, "=": false,
	} {
		var l Lexer
		for b := []byte(text); len(b) > 0; {
			n, _, _ := l.Feed(b)
			b = b[n:]
		}
		if got := l.Idle(); got != want {
			t.Errorf("Idle after %q = %v; want %v", text, got, want)
		}
		l.Reset()
		if !l.Idle() || l.Len() != 0 || l.Dropped() != 0 {
			t.Errorf("after Reset: Idle %v, Len %d, Dropped %d; want true, 0, 0", l.Idle(), l.Len(), l.Dropped())
		}
		if _, done, err := l.Feed([]byte("x\n")); !done || err != nil || !slices.Equal(l.Words(), []string{"x"}) {
			t.Errorf("after %q and Reset: Words = %q; want x", text, l.Words())
		}
	}
}

func TestDroppedAndCut(t *testing.T) {
	for _, c := range []struct {
		text    string
		dropped int
		cut     bool
	}{
		{"abc\n", 0, false},
		{"\"a\nb\"\n", 0, false}, // the line feed is told by Scanner.Spans
		{"\"a\tb\"\n", 1, false},
		{"a\tb\r\n", 0, false}, // blanks
		{"B\u00fcro \x00\n", 3, false},
		{"a # \u00fc\n", 0, false},
		{strings.Repeat("w", 512) + "\n", 0, false},
		{strings.Repeat("w", 513) + "\n", 0, true},
		{strings.Repeat("w ", 32) + "\n", 0, false},
		{strings.Repeat("w ", 33) + "\n", 0, true},
		{strings.Repeat("w ", 32) + "\"\"\n", 0, true},
		{strings.Repeat("w ", 32) + "=\n", 0, true},
	} {
		var l Lexer
		if _, done, err := l.Feed([]byte(c.text)); !done || err != nil {
			t.Fatalf("Feed(%.40q) = %v, %v; want true, nil", c.text, done, err)
		}
		if l.Dropped() != c.dropped || l.Cut() != c.cut {
			t.Errorf("%.40q: Dropped %d, Cut %v; want %d, %v", c.text, l.Dropped(), l.Cut(), c.dropped, c.cut)
		}
	}
}

func TestBytesOfOneWordDoNotReachIntoTheNext(t *testing.T) {
	var l Lexer
	l.Feed([]byte("ab cd\n"))
	_ = append(l.Bytes(0), "XY"...)
	if got := string(l.Bytes(1)); got != "cd" {
		t.Errorf("Bytes(1) after an append to Bytes(0) = %q; want cd", got)
	}
}

func TestFeedDoesNotAllocate(t *testing.T) {
	var l Lexer
	line := []byte("SETINFO battery.charge \"100\"\n")
	l.Feed(line)
	if n := testing.AllocsPerRun(100, func() { l.Feed(line) }); n != 0 {
		t.Errorf("Feed allocates %v times a record; want 0", n)
	}
}

// FuzzPieces checks that it does not matter in which pieces bytes arrive.
func FuzzPieces(f *testing.F) {
	for _, c := range stateTable {
		f.Add([]byte(c.before+c.input+c.after), uint64(1))
	}
	for _, c := range consequences {
		if len(c.text) < 1000 {
			f.Add([]byte(c.text), uint64(2))
		}
	}
	f.Fuzz(func(t *testing.T, text []byte, seed uint64) {
		r := rand.New(rand.NewPCG(seed, 0))
		want := whole(string(text))
		if got := lex(string(text), func() int { return r.IntN(9) }); !sameRecords(got, want) {
			t.Errorf("lex(%q) in pieces = %v; want %v as in one", text, got, want)
		}
		for _, r := range want {
			if len(r.words) > MaxWords {
				t.Errorf("lex(%q) has a record of %d words", text, len(r.words))
			}
			for _, w := range r.words {
				if len(w) > MaxWord || strings.ContainsFunc(w, func(c rune) bool { return c < 0x20 || c > 0x7F }) {
					t.Errorf("lex(%q) has the word %q", text, w)
				}
			}
		}
	})
}
