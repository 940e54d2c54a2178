package words

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

// scanAll returns "line: words problem" for every record.
func scanAll(s *Scanner) []string {
	var out []string
	for s.Scan() {
		text := fmt.Sprintf("%d: %q", s.Line(), s.Words())
		if err := s.Problem(); err != nil {
			text += fmt.Sprintf(" %v, quote on %d", err, s.QuoteLine())
		} else if s.Spans() {
			text += fmt.Sprintf(" spans from %d", s.QuoteLine())
		}
		out = append(out, text)
	}
	return out
}

func TestScanner(t *testing.T) {
	hash, open := ErrUnescapedHash.Error(), ErrUnclosedQuote.Error()
	long := strings.Repeat("x", 10000) // longer than any buffer
	for _, c := range []struct {
		text string
		want []string
	}{
		{"", nil},
		{"\n\n# comment\n   \n", nil},
		{"a\nb c\n\nd\n", []string{`1: ["a"]`, `2: ["b" "c"]`, `4: ["d"]`}},
		{"a\nlast", []string{`1: ["a"]`, `2: ["last"]`}},
		{"[last]", []string{`1: ["[last]"]`}},
		{"a \\\nb\nc\n", []string{`1: ["a" "b"]`, `3: ["c"]`}},
		{"a \"b\nc\" d\ne\n", []string{`1: ["a" "bc" "d"] spans from 1`, `3: ["e"]`}},
		{"a \"b\\\nc\" d\ne\n", []string{`1: ["a" "bc" "d"]`, `3: ["e"]`}},
		{"a\\\nb \"c\nd\" \"e\n\"\nf\n", []string{`1: ["ab" "cd" "e"] spans from 2`, `5: ["f"]`}},
		// After an error the rest of its line is passed over.
		{"a \"b # c\" d\ne\n", []string{`1: ["a" "b "] ` + hash + `, quote on 1`, `2: ["e"]`}},
		{"a \"b\nc # d\" x\ne\n", []string{`1: ["a" "bc "] ` + hash + `, quote on 1`, `3: ["e"]`}},
		{"\"#\ne\n", []string{`1: [""] ` + hash + `, quote on 1`, `2: ["e"]`}},
		{"\"#", []string{`1: [""] ` + hash + `, quote on 1`}},
		{"\"#" + long + "\ne\n", []string{`1: [""] ` + hash + `, quote on 1`, `2: ["e"]`}},
		{"\"#" + long, []string{`1: [""] ` + hash + `, quote on 1`}},
		{"x\na \"b\nc\nd\n", []string{`1: ["x"]`, `2: ["a" "bcd"] ` + open + `, quote on 2`}},
		{"a\\\n \"b\nc", []string{`1: ["a" "bc"] ` + open + `, quote on 2`}},
		{"# " + long + "\ne\n", []string{`2: ["e"]`}},
		{strings.Repeat(" ", 10000) + "\ne\n", []string{`2: ["e"]`}},
		{long + " y\ne\n", []string{`1: ["` + long[:512] + `" "y"]`, `2: ["e"]`}},
		{"a\r\n\r\nb\r\n", []string{`1: ["a"]`, `3: ["b"]`}},
		{"=\n", []string{`1: ["="]`}},
	} {
		for name, r := range map[string]io.Reader{
			"at once": strings.NewReader(c.text), "byte by byte": iotest.OneByteReader(strings.NewReader(c.text)),
			"with the end": iotest.DataErrReader(strings.NewReader(c.text)),
		} {
			s := NewScanner(r)
			got := scanAll(s)
			if !slices.Equal(got, c.want) || s.Err() != nil {
				t.Errorf("scan(%.60q) %s = %q, %v; want %q", c.text, name, got, s.Err(), c.want)
			}
			if s.Scan() {
				t.Errorf("scan(%.60q) %s goes on after its end", c.text, name)
			}
		}
	}
}

func TestScannerKeepsTheReadError(t *testing.T) {
	broken := errors.New("cable pulled")
	for _, text := range []string{"", "a\n", "a", "\"a", "\"a # b", "\"#" + strings.Repeat("x", 10000), "# "} {
		s := NewScanner(io.MultiReader(strings.NewReader(text), iotest.ErrReader(broken)))
		scanAll(s)
		if s.Err() != broken {
			t.Errorf("Err after %.20q and a read error = %v; want %v", text, s.Err(), broken)
		}
	}
}

func TestScannerTellsWhatWasLost(t *testing.T) {
	s := NewScanner(strings.NewReader("a\nB\u00fcro\n" + strings.Repeat("x", 513) + "\nb\n"))
	var got []string
	for s.Scan() {
		got = append(got, fmt.Sprint(s.Line(), " ", s.Dropped(), " ", s.Cut()))
	}
	if want := []string{"1 0 false", "2 2 false", "3 0 true", "4 0 false"}; !slices.Equal(got, want) {
		t.Errorf("line, Dropped, Cut = %q; want %q", got, want)
	}
}

// FuzzScanner checks that lines are counted right and nothing hangs.
func FuzzScanner(f *testing.F) {
	f.Add("a \"b\nc\" d\ne\n")
	f.Add("\"# x\n\\\n\"open")
	f.Fuzz(func(t *testing.T, text string) {
		lines := strings.Count(text, "\n") + 1
		s := NewScanner(strings.NewReader(text))
		before := 0
		for s.Scan() {
			if s.Line() <= before || s.Line() > lines || s.QuoteLine() < s.Line() || s.QuoteLine() > lines {
				t.Fatalf("scan(%q): a record on line %d after one on %d, quote on %d, of %d lines", text, s.Line(), before, s.QuoteLine(), lines)
			}
			if s.Problem() == nil && len(s.Words()) == 0 {
				t.Fatalf("scan(%q): an empty record on line %d", text, s.Line())
			}
			before = s.Line()
		}
		if s.Err() != nil {
			t.Errorf("scan(%q): error %v", text, s.Err())
		}
	})
}
