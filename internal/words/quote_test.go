package words

import (
	"slices"
	"strings"
	"testing"
)

func TestAppendEscaped(t *testing.T) {
	for _, c := range []struct {
		text string
		max  int
		want string
	}{
		{"", -1, ""},
		{"a b=c'd", -1, "a b=c'd"},
		{`#\"`, -1, `\#\\\"`},
		{`say "hi"`, -1, `say \"hi\"`},
		{"abcdef", 3, "abc"},
		{"abc", 3, "abc"},
		{"abc", 0, ""},
		{`"abc`, 0, ""},
		{`ab"c`, 3, "ab"}, // the pair would be split
		{`ab"c`, 4, `ab\"`},
		{`ab"c`, 5, `ab\"c`},
		{`""`, 3, `\"`},
	} {
		if got := string(AppendEscaped([]byte("x"), c.text, c.max)); got != "x"+c.want {
			t.Errorf("AppendEscaped(x, %q, %d) = %q; want %q", c.text, c.max, got, "x"+c.want)
		}
	}
}

func TestQuote(t *testing.T) {
	for text, want := range map[string]string{
		"abc": "abc", "": `""`, "a b": `"a b"`, "a\tb": "\"a\tb\"", "a=b": `"a=b"`, "a#b": `"a\#b"`,
		`a"b`: `"a\"b"`, `a\b`: `"a\\b"`, "[a]": "[a]", "a\nb": "\"a\nb\"",
	} {
		if got := Quote(text); got != want {
			t.Errorf("Quote(%q) = %s; want %s", text, got, want)
		}
	}
	if got, want := string(AppendQuoted([]byte("x "), `a"`)), `x "a\""`; got != want {
		t.Errorf("AppendQuoted = %s; want %s", got, want)
	}
	if got, want := Join("SET", "VAR", "a b", ""), `SET VAR "a b" ""`; got != want {
		t.Errorf("Join = %s; want %s", got, want)
	}
	if got := Join(); got != "" {
		t.Errorf("Join() = %q; want nothing", got)
	}
}

func TestSplit(t *testing.T) {
	for _, c := range []struct {
		line string
		want []string
		err  error
	}{
		{"", []string{}, nil},
		{"VAR ups ups.status \"OL\"", []string{"VAR", "ups", "ups.status", "OL"}, nil},
		{"OK\n", []string{"OK"}, nil},
		{"OK\r\n", []string{"OK"}, nil},
		{"a \"b#c\" d", []string{"a", "b"}, ErrUnescapedHash},
		{"a \"b", []string{"a", "b"}, ErrUnclosedQuote},
		{"a\nb", []string{"a"}, nil},
	} {
		if got, err := Split(c.line); !slices.Equal(got, c.want) || err != c.err {
			t.Errorf("Split(%q) = %q, %v; want %q, %v", c.line, got, err, c.want, c.err)
		}
	}
}

// kept returns what the grammar can carry of a word.
func kept(word string) string {
	var b []byte
	for _, c := range []byte(word) {
		if c >= 0x20 && c <= 0x7F && len(b) < MaxWord {
			b = append(b, c)
		}
	}
	return string(b)
}

// FuzzJoinSplit checks that words come out as they went in.
func FuzzJoinSplit(f *testing.F) {
	f.Add("SET\x00VAR\x00a b\x00")
	f.Add("#\x00\\\x00\"\x00=\x00 \x00[a]")
	f.Add("tab\there\x00B\u00fcro\x00a\\")
	f.Fuzz(func(t *testing.T, text string) {
		in := strings.Split(text, "\x00")
		want := make([]string, 0, len(in))
		for _, w := range in[:min(len(in), MaxWords)] {
			want = append(want, kept(w))
		}
		got, err := Split(Join(in...))
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("Split(Join(%q)) = %q, %v; want %q", in, got, err, want)
		}
	})
}

// FuzzEscapedIsCutCleanly checks that a cut text reads as the beginning of the whole.
func FuzzEscapedIsCutCleanly(f *testing.F) {
	f.Add(`a"b\c#d`, 4)
	f.Add("plain", 3)
	f.Fuzz(func(t *testing.T, text string, max int) {
		cut := string(AppendEscaped(nil, text, max))
		if max >= 0 && len(cut) > max {
			t.Fatalf("AppendEscaped(%q, %d) has %d bytes", text, max, len(cut))
		}
		if max < 0 && len(cut) < len(text) {
			t.Fatalf("AppendEscaped(%q, %d) = %q has lost bytes", text, max, cut)
		}
		ws, err := Split(`"` + cut + `"`)
		if err != nil || len(ws) != 1 || !strings.HasPrefix(kept(text), ws[0]) {
			t.Errorf("AppendEscaped(%q, %d) = %q reads as %q, %v; want the beginning of the text", text, max, cut, ws, err)
		}
	})
}
