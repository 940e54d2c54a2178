package subdriver

import (
	_ "embed" // names.txt
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"gonut/internal/words"
)

//go:embed names.txt
var knownNames string

// Check looks for what is allowed in a table and yet probably wrong.
func (t *Table) Check(f Family) []Problem {
	c := checker{t: t, family: f, lines: strings.Split(t.text, "\n"), used: map[string]bool{}}
	c.variables, c.commands = names()
	for i := range t.Rows[:t.rows] {
		c.row(&t.Rows[i])
	}
	if !t.common() {
		c.unused()
	}
	c.mentions()
	for _, q := range t.Quirks {
		c.quirk(q.Name, q.Line, q.Word)
	}
	for _, m := range slices.Concat(t.Matches, t.Refusals) {
		for _, q := range m.Quirks {
			c.quirk(q, m.Line, optionWord(c.lines, m.Line, "quirk"))
		}
	}
	slices.SortStableFunc(c.problems, func(a, b Problem) int { return a.Line - b.Line })
	return c.problems
}

type checker struct {
	t                   *Table
	family              Family
	lines               []string // of the file
	variables, commands []string
	used                map[string]bool
	problems            []Problem
}

// warn notes something about a word of a line.
func (c *checker) warn(line, word int, hint, format string, args ...any) {
	col := column(c.lines, line, word)
	c.problems = append(c.problems, Problem{File: c.t.Origin, Line: line, Col: col, Warning: true, Text: fmt.Sprintf(format, args...), Hint: hint})
}

func (c *checker) quirk(name string, line, word int) {
	if _, ok := c.family.Quirks[name]; !ok {
		c.warn(line, word, mean(name, slices.Sorted(maps.Keys(c.family.Quirks))), "no quirk is called %q", name)
	}
}

// unused looks for names of the file that no row uses.
func (c *checker) unused() {
	for _, name := range c.t.own {
		if c.used[name] {
			continue
		}
		if e := c.t.enums[name]; e != nil {
			c.warn(e.Line, 1, "", "enum %s is not used", name)
		}
		if v := c.t.curves[name]; v != nil {
			c.warn(v.Line, 1, "", "curve %s is not used", name)
		}
		if r := c.t.rules[name]; r != nil {
			c.warn(r.Line, 1, "", "rule %s is not used", name)
		}
	}
}

func (c *checker) row(r *Row) {
	c.used[r.As] = true
	for _, f := range r.Fix {
		c.used[f] = true
	}
	for _, s := range r.Steps {
		c.used[s.As] = true
	}
	c.sources(r)
	switch r.Kind {
	case Var, Setting:
		c.known(r, c.variables, "variable")
	case Cmd:
		c.known(r, c.commands, "command")
	}
	if r.Kind == Setting && r.Default == "" {
		c.warn(r.Line, 0, "write default=", "%s begins without a value", r.Name)
	}
	if r.Format != "" && r.As != "" && c.t.curves[r.As] == nil {
		c.warn(r.Line, optionWord(c.lines, r.Line, "format"), "leave one of them out", "format= has no effect beside as=%s", r.As)
	}
	for i := range c.t.Rows[:c.t.rows] {
		o := &c.t.Rows[i]
		if o == r {
			break
		}
		if o.Kind == r.Kind && o.Name == r.Name && o.Source == r.Source && o.If == nil && r.If == nil && o.Kind == Var &&
			slices.Equal(o.Class, r.Class) && o.group == r.group {
			c.warn(r.Line, 0, "leave it out", "the row of line %d provides %s of the same source already", o.Line, r.Name)
		}
	}
}

// sources looks whether devices can have what a row reads and writes.
func (c *checker) sources(r *Row) {
	if c.family.Source == nil {
		return
	}
	check := func(source string, line, word int) {
		for g := r.group; g != nil; g = g.outer {
			source = strings.ReplaceAll(source, g.mark, "1")
		}
		if err := c.family.Source(c.t, source); err != nil {
			c.warn(line, word, "", "%v", err)
		}
	}
	switch {
	case r.Kind == Status:
		check(r.Source, r.Line, 1)
	case len(r.Steps) == 0:
		check(r.Source, r.Line, 2)
	}
	for i, s := range r.Steps {
		word := 2
		if i > 0 {
			word = 1
		}
		check(s.Source, s.Line, word)
	}
}

// known warns of a name that nobody else uses.
func (c *checker) known(r *Row, known []string, what string) {
	name := normal(r.Name)
	if strings.HasPrefix(name, "experimental.") || slices.Contains(known, name) {
		return
	}
	hint := "if it is new, begin it with experimental."
	if n := words.Nearest(name, known); n != "" {
		hint = "did you mean " + n + "?"
	}
	c.warn(r.Line, 1, hint, "%s is no name of a %s that NUT knows", r.Name, what)
}

var (
	phasePart  = regexp.MustCompile(`\bL([123]|%i)(-N|-L[123])?\b`)
	numberPart = regexp.MustCompile(`\.(%[a-z]|\d+)(\.|$)`)
)

// normal replaces indices and phases as names.txt does.
func normal(name string) string {
	name = phasePart.ReplaceAllString(name, "Lx")
	return numberPart.ReplaceAllString(name, ".N$2")
}

// names returns the names of variables and commands that NUT knows.
func names() (variables, commands []string) {
	for line := range strings.Lines(knownNames) {
		kind, name, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch kind {
		case "var":
			variables = append(variables, name)
		case "cmd":
			commands = append(commands, name)
		}
	}
	return variables, commands
}

// Check looks for devices that two tables claim without anything to choose by, and
// for what is wrong with each table.
func (l *Library) Check(f Family) []Problem {
	problems := slices.Clone(l.Problems)
	type claim struct {
		t *Table
		m *Match
	}
	claims := map[string][]claim{}
	for _, t := range l.Tables {
		problems = append(problems, t.Check(f)...)
		for i := range t.Matches {
			m := &t.Matches[i]
			for _, id := range m.IDs {
				claims[m.Kind+" "+id] = append(claims[m.Kind+" "+id], claim{t, m})
			}
		}
	}
	for id, cs := range claims {
		for i, a := range cs {
			for _, b := range cs[:i] {
				if a.m.conditions() == 0 && b.m.conditions() == 0 && a.t.layer == b.t.layer {
					problems = append(problems, Problem{File: a.t.Origin, Line: a.m.Line, Col: 1,
						Text: fmt.Sprintf("%s is matched by %s:%d as well", id, b.t.Origin, b.m.Line), Hint: "add vendor=, product= or text="})
				}
			}
		}
	}
	return problems
}
