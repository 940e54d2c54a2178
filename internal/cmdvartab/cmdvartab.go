// Package cmdvartab knows what variables and instant commands mean, in one line of
// prose for people. It has texts of its own and reads files in the form of NUT's
// cmdvartab; it says nothing about values or about what a device has.
package cmdvartab

import (
	_ "embed"
	"io"
	"maps"
	"strings"

	"gonut/internal/words"
)

//go:embed texts.tab
var builtin string

// A Table holds texts by name. It is not changed after it was made.
type Table struct {
	vars, cmds map[string]string // by name in lower case, any number written as n
}

// Builtin returns the texts that come with the program.
func Builtin() Table {
	t := Table{vars: map[string]string{}, cmds: map[string]string{}}
	t.read(strings.NewReader(builtin)) // a string has no read errors
	return t
}

// With returns a Table in which the lines of a cmdvartab file beat those of t.
// Lines of any other form are ignored, as in C.
func (t Table) With(r io.Reader) (Table, error) {
	t = Table{vars: maps.Clone(t.vars), cmds: maps.Clone(t.cmds)}
	return t, t.read(r)
}

func (t Table) read(r io.Reader) error {
	s := words.NewScanner(r)
	for s.Scan() {
		ws := s.Words()
		if s.Problem() != nil || len(ws) < 3 {
			continue
		}
		// A reply carries the text as it is, between quotes.
		text := strings.ReplaceAll(ws[2], `"`, "'")
		switch ws[0] {
		case "VARDESC":
			t.vars[strings.ToLower(ws[1])] = text
		case "CMDDESC":
			t.cmds[strings.ToLower(ws[1])] = text
		}
	}
	return s.Err()
}

// Variable returns the meaning of a variable. What the text of outlet.n.current
// says holds for every outlet; a phase, a numbered sensor or a device in a chain
// is named behind the text of the whole.
func (t Table) Variable(name string) (string, bool) { return find(t.vars, name) }

// Command returns the meaning of an instant command.
func (t Table) Command(name string) (string, bool) { return find(t.cmds, name) }

func find(texts map[string]string, name string) (string, bool) {
	name = strings.TrimPrefix(name, "upstream.")
	key := strings.ToLower(name)
	if text, ok := texts[key]; ok {
		return text, true
	}
	parts := strings.Split(key, ".")
	if len(parts) > 2 && parts[0] == "device" && number(parts[1]) {
		return suffixed(texts, parts[2:], "device "+parts[1])
	}
	for i, p := range parts {
		if !number(p) {
			continue
		}
		numbered := strings.Join(parts[:i], ".") + ".n." + strings.Join(parts[i+1:], ".")
		if text, ok := texts[strings.Trim(numbered, ".")]; ok {
			return strings.ReplaceAll(text, "%n", p), true
		}
		if i == 1 && parts[0] == "ambient" {
			return suffixed(texts, append([]string{parts[0]}, parts[2:]...), "sensor "+p)
		}
	}
	for i, p := range parts {
		if phase(p) && i > 0 && len(parts) > 2 {
			rest := append(append([]string{}, parts[:i]...), parts[i+1:]...)
			return suffixed(texts, rest, strings.ToUpper(p))
		}
	}
	return "", false
}

// suffixed finds the text of the name without one of its components, which it
// names in brackets.
func suffixed(texts map[string]string, parts []string, what string) (string, bool) {
	text, ok := find(texts, strings.Join(parts, "."))
	if !ok {
		return "", false
	}
	return text + " (" + what + ")", true
}

func number(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// phase reports a context of the three-phase names: l1, n, l1-n, l2-l3.
func phase(s string) bool {
	a, b, two := strings.Cut(s, "-")
	single := func(s string) bool { return s == "l1" || s == "l2" || s == "l3" || s == "n" }
	return single(a) && (!two || single(b))
}
