package subdriver

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"gonut/internal/words"
)

// mentions looks for constants, variables and options that nobody has or nobody uses.
// What the file has of other files was looked at there; it only uses constants.
func (c *checker) mentions() {
	used := map[string]bool{}
	for i := range c.t.Rows {
		r := &c.t.Rows[i]
		own := i < c.t.rows
		c.constant(used, r.Scale.Const, place{r.Line, "scale", own})
		c.constant(used, r.Offset.Const, place{r.Line, "offset", own})
		c.expression(used, r.Expr, place{r.Line, "expr", own})
		c.expression(used, r.If, place{r.Line, "if", own})
		c.expression(used, r.Allow, place{r.Line, "allow", own})
		for _, s := range r.Steps {
			c.expression(used, s.Send.Expr, place{s.Line, "send", own})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.t.rules)) {
		r := c.t.rules[name]
		own := slices.Contains(c.t.own, name)
		c.expression(used, r.When, place{r.Line, "when", own})
		c.expression(used, r.Right, place{r.Line, "right", own})
		c.expression(used, r.Scale, place{r.Line, "scale", own})
	}
	c.unusedConstants(used)
	c.options()
}

// A place is an option of a line.
type place struct {
	line int
	key  string
	own  bool // the line is of the file itself
}

// warnAt warns of the value of an option.
func (c *checker) warnAt(at place, hint, format string, args ...any) {
	c.warn(at.line, optionWord(c.lines, at.line, at.key), hint, format, args...)
}

func (c *checker) options() {
	for _, o := range c.t.options {
		value := c.t.Defaults[o.Name]
		switch _, err := strconv.Atoi(value); {
		case !slices.Contains(c.family.Options, o.Name):
			c.warn(o.Line, o.Word, mean(o.Name, c.family.Options), "tables do not set an option %s", o.Name)
		case err != nil:
			c.warn(o.Line, o.Word+1, "", "option %s: %q is not a whole number", o.Name, value)
		}
	}
}

// expression checks the names in an expression.
func (c *checker) expression(used map[string]bool, x *Expr, at place) {
	if x == nil {
		return
	}
	for _, n := range x.consts {
		c.constant(used, n, at)
	}
	for _, n := range x.names {
		if at.own {
			c.variable(n, at)
		}
	}
}

// constant checks that $NAME is on a match line, if the table has any.
func (c *checker) constant(used map[string]bool, name string, at place) {
	if name == "" {
		return
	}
	used[name] = true
	if !at.own || len(c.t.Matches) == 0 {
		return
	}
	var known []string
	for _, m := range c.t.Matches {
		known = slices.AppendSeq(known, maps.Keys(m.Consts))
	}
	if !slices.Contains(known, name) {
		slices.Sort(known)
		c.warnAt(at, mean(name, slices.Compact(known)), "no match line has a constant %s", name)
	}
}

// variable checks that {NAME} is what a row of the table reads, a condition, or the
// parameter of a command.
func (c *checker) variable(name string, at place) {
	if flag, ok := strings.CutPrefix(name, "flag."); ok {
		if !slices.Contains(Flags(), flag) {
			c.warnAt(at, mean(flag, Flags()), "no condition is called %q", flag)
		}
		return
	}
	var known []string
	for i := range c.t.Rows {
		if r := &c.t.Rows[i]; r.Kind == Var || r.Kind == Reg || r.Kind == Setting {
			known = append(known, normal(r.Name))
		}
	}
	if name == "arg" || slices.Contains(known, normal(name)) {
		return
	}
	hint := ""
	if n := words.Nearest(name, known); n != "" {
		hint = "did you mean " + n + "?"
	}
	c.warnAt(at, hint, "{%s} is read by no row of the table, and so unknown", name)
}

// unusedConstants looks for those of match lines that nobody looks at.
func (c *checker) unusedConstants(used map[string]bool) {
	for _, m := range c.t.Matches {
		for _, name := range slices.Sorted(maps.Keys(m.Consts)) {
			if _, ok := c.family.Consts[name]; !ok && !used[name] {
				known := slices.Sorted(maps.Keys(c.family.Consts))
				c.warn(m.Line, max(0, optionWord(c.lines, m.Line, name)-2), mean(name, known), "no row uses the constant %s", name)
			}
		}
	}
}
