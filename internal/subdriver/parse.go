package subdriver

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"gonut/internal/words"
)

// Parse reads a table. family is the folder that it belongs to, name the file's
// name without its ending, origin what messages call it. include finds the tables
// that it uses; nil if there are none. A table with problems other than warnings
// must not be used.
func Parse(family, name, origin string, r io.Reader, include func(name string) (*Table, error)) (*Table, []Problem) {
	p := &parser{
		t: &Table{
			Name: name, Family: family, Origin: origin, Defaults: map[string]string{},
			enums: map[string]*Enum{}, curves: map[string]*Curve{}, rules: map[string]*Rule{},
			codes: map[string]uint32{}, names: map[uint32]string{},
		},
		include: include,
	}
	b, err := io.ReadAll(r)
	if err != nil {
		return p.t, []Problem{{File: origin, Line: 1, Col: 1, Text: "read: " + err.Error()}}
	}
	p.lines = strings.Split(string(b), "\n")
	s := words.NewScanner(strings.NewReader(string(b)))
	for s.Scan() {
		p.line = s.Line()
		if len(p.problems) >= maxProblems {
			p.fail(0, "", "there are many mistakes before this line, which is the last that is read")
			return p.t, p.problems
		}
		if err := s.Problem(); err != nil {
			p.fail(0, "", "%v", err)
			continue
		}
		p.words = s.Words()
		if len(p.words) == words.MaxWords {
			p.fail(words.MaxWords-1, "write it on two lines", "more than %d words", words.MaxWords-1)
			continue
		}
		p.record()
	}
	if p.group != nil {
		p.fail(0, "each part that begins with each ends with end", "end is missing")
	}
	p.t.rows, p.t.text = len(p.t.Rows), string(b)
	p.t.own = slices.Concat(slices.Collect(maps.Keys(p.t.enums)), slices.Collect(maps.Keys(p.t.curves)), slices.Collect(maps.Keys(p.t.rules)))
	p.includes()
	p.resolve()
	slices.SortStableFunc(p.problems, func(a, b Problem) int { return a.Line - b.Line })
	return p.t, p.problems
}

// maxProblems is how many mistakes are told of one file, which may be no table at all.
const maxProblems = 50

type parser struct {
	t        *Table
	include  func(string) (*Table, error)
	lines    []string
	line     int
	words    []string
	uses     []useLine
	group    *group
	problems []Problem
}

type useLine struct {
	name string
	line int
}

// verbs are the words that a line may begin with.
var verbs = map[string]func(*parser){
	"name": (*parser).name, "maker": (*parser).maker, "quirk": (*parser).quirk, "match": (*parser).match, "refuse": (*parser).refuse, "model": (*parser).model,
	"use": (*parser).use, "usage": (*parser).usage, "option": (*parser).option,
	"enum": (*parser).enum, "bits": (*parser).bits, "curve": (*parser).curve, "rule": (*parser).rule,
	"var": (*parser).variable, "reg": (*parser).variable, "setting": (*parser).variable,
	"flag": (*parser).variable, "status": (*parser).variable, "alarm": (*parser).variable, "cmd": (*parser).variable,
	"then": (*parser).then, "each": (*parser).each, "end": (*parser).end,
}

func (p *parser) record() {
	do, ok := verbs[p.words[0]]
	if !ok {
		p.fail(0, mean(p.words[0], slices.Sorted(maps.Keys(verbs))), "no row begins with %q", p.words[0])
		return
	}
	do(p)
}

// mean is the hint for a word that is not known.
func mean(word string, known []string) string {
	if n := words.Nearest(word, known); n != "" {
		return "did you mean " + n + "?"
	}
	if len(known) > 0 && len(known) <= 32 {
		return "known are " + strings.Join(known, ", ")
	}
	return ""
}

// fail notes a problem at a word of the current line.
func (p *parser) fail(word int, hint, format string, args ...any) {
	col := column(p.lines, p.line, word)
	p.problems = append(p.problems, Problem{File: p.t.Origin, Line: p.line, Col: col, Text: fmt.Sprintf(format, args...), Hint: hint})
}

// column returns where a word of a line begins, from 1.
func column(lines []string, line, word int) int {
	if line >= 1 && line <= len(lines) {
		if cols := columns(lines[line-1]); word < len(cols) {
			return cols[word]
		}
	}
	return 1
}

// columns returns where each word of a line begins, from 1.
func columns(line string) []int {
	var cols []int
	in, quoted := false, false
	for i := 0; i < len(line); i++ {
		c := line[i]
		switch {
		case quoted:
			switch c {
			case '\\':
				i++
			case '"':
				in, quoted = false, false
			}
		case c == '#':
			return cols
		case c == ' ' || c == '\t' || c == '\r':
			in = false
		case c == '=':
			cols, in = append(cols, i+1), false
		case c == '"' && !in:
			cols, in, quoted = append(cols, i+1), true, true
		default:
			if !in {
				cols, in = append(cols, i+1), true
			}
			if c == '\\' {
				i++
			}
		}
	}
	return cols
}

// value returns the word of the current line that is the value of an option, 0 if
// the line has no such option.
func (p *parser) value(key string) int { return optionWord(p.lines, p.line, key) }

// optionWord returns the word of a line that is the value of an option, 0 if the line
// has no such option.
func optionWord(lines []string, line int, key string) int {
	if line < 1 || line > len(lines) {
		return 0
	}
	ws, _ := words.Split(lines[line-1]) // it was split before
	for i := 0; i+2 < len(ws); i++ {
		if ws[i] == key && ws[i+1] == "=" {
			return i + 2
		}
	}
	return 0
}

// need checks that the line has at least n words before its options.
func (p *parser) need(n int, what string) bool {
	if len(p.words) >= n && !slices.Contains(p.words[1:n], "=") {
		return true
	}
	p.fail(len(p.words)-1, "write "+what, "%s needs more words", p.words[0])
	return false
}

// A setting is one "key = value" of a line.
type setting struct {
	key, value string
	word       int // of the key
}

// settings splits the rest of the line, from word on, into plain words and
// "key=value".
func (p *parser) settings(from int) (plain []setting, given []setting) {
	for i := from; i < len(p.words); i++ {
		switch {
		case i+2 < len(p.words) && p.words[i+1] == "=":
			given = append(given, setting{p.words[i], p.words[i+2], i})
			i += 2
		case i+1 < len(p.words) && p.words[i+1] == "=":
			p.fail(i+1, "write one behind it, or leave it out", "%s= has no value", p.words[i])
			i++
		case p.words[i] == "=":
			p.fail(i, "put the name before it", "'=' stands alone")
		default:
			plain = append(plain, setting{"", p.words[i], i})
		}
	}
	return plain, given
}

func (p *parser) name() {
	if p.need(2, `name "TITLE" VERSION`) {
		p.t.Title = p.words[1]
		if len(p.words) > 2 {
			p.t.Version = p.words[2]
		}
		if len(p.words) > 3 {
			p.fail(3, "a title of several words needs quotes", "%q is one word too many", p.words[3])
		}
	}
}

func (p *parser) maker() {
	if p.need(2, "maker TEXT") {
		p.t.Maker = strings.Join(p.words[1:], " ")
	}
}

func (p *parser) quirk() {
	if p.need(2, "quirk NAME …") {
		for i, name := range p.words[1:] {
			p.t.Quirks = append(p.t.Quirks, Mention{name, p.line, i + 1})
		}
	}
}

func (p *parser) use() {
	if p.need(2, "use TABLE") {
		p.uses = append(p.uses, useLine{p.words[1], p.line})
	}
}

func (p *parser) usage() {
	if !p.need(3, "usage CODE NAME") {
		return
	}
	digits := strings.TrimPrefix(p.words[1], "0x")
	code, err := strconv.ParseUint(digits, 16, 32)
	if err != nil || len(digits) != 8 {
		p.fail(1, "write eight hexadecimal digits: page and usage", "%q is not a usage", p.words[1])
		return
	}
	name := p.words[2]
	if _, ok := p.t.codes[strings.ToLower(name)]; ok {
		p.fail(2, "leave one of them out", "usage %s has a code already", name)
		return
	}
	p.t.codes[strings.ToLower(name)] = uint32(code)
	if _, ok := p.t.names[uint32(code)]; !ok {
		p.t.names[uint32(code)] = name
	}
}

func (p *parser) option() {
	if p.need(2, "option NAME [VALUE]") {
		p.t.Defaults[p.words[1]] = strings.Join(p.words[2:], " ")
		p.t.options = append(p.t.options, Mention{p.words[1], p.line, 1})
	}
}

func (p *parser) match() {
	if m, ok := p.matchLine(); ok {
		p.t.Matches = append(p.t.Matches, m)
	}
}

func (p *parser) refuse() {
	m, ok := p.matchLine()
	if !ok {
		return
	}
	if m.Reason == "" {
		p.fail(0, `write reason="…": users read it`, "the line does not say why")
	}
	p.t.Refusals = append(p.t.Refusals, m)
}

func (p *parser) matchLine() (Match, bool) {
	if !p.need(3, p.words[0]+" usb VENDOR:PRODUCT, or sysoid OID, or model TEXT") {
		return Match{}, false
	}
	m := Match{Kind: p.words[1], Line: p.line, Consts: map[string]float64{}}
	if known := []string{"usb", "sysoid", "answer", "model", "serial"}; !slices.Contains(known, m.Kind) {
		p.fail(1, mean(m.Kind, known), "nothing is found by %q", m.Kind)
		return m, false
	}
	ids, given := p.settings(2)
	for _, id := range ids {
		text := strings.ToLower(id.value)
		if m.Kind == "usb" && !usbID.MatchString(text) {
			p.fail(id.word, "write it as 051d:0002", "%q is not a pair of USB ids", id.value)
			return m, false
		}
		m.IDs = append(m.IDs, text)
	}
	for _, s := range given {
		p.matchSetting(&m, s)
	}
	return m, true
}

var usbID = regexp.MustCompile(`^[0-9a-f]{4}:[0-9a-f]{4}$`)

func (p *parser) matchSetting(m *Match, s setting) {
	var re **regexp.Regexp
	switch s.key {
	case "vendor":
		re = &m.Vendor
	case "product":
		re = &m.Product
	case "text":
		re = &m.Text
	case "answer":
		re = &m.Answer
	case "quirk":
		m.Quirks = append(m.Quirks, strings.Split(s.value, ",")...)
		return
	case "reason":
		m.Reason = s.value
		return
	default:
		v, err := parseLiteral(s.value)
		if err != nil {
			p.fail(s.word, "a match line takes vendor= product= text= answer= quirk= and constants, which are numbers", "%s=%s is neither a condition nor a constant", s.key, s.value)
			return
		}
		m.Consts[s.key] = v
		return
	}
	compiled, err := regexp.Compile(s.value)
	if err != nil {
		p.fail(s.word+2, "", "%s=%s: %v", s.key, s.value, err)
		return
	}
	*re = compiled
}

func (p *parser) model() {
	if !p.need(3, "model PRODUCT MODEL [name=TEXT] [class=WORD]") {
		return
	}
	m := Model{Product: p.words[1], Model: p.words[2]}
	_, given := p.settings(3)
	for _, s := range given {
		switch s.key {
		case "name":
			m.Name = s.value
		case "class":
			m.Class = s.value
		default:
			p.fail(s.word, mean(s.key, []string{"name", "class"}), "a model has no %s", s.key)
		}
	}
	p.t.Models = append(p.t.Models, m)
}

func (p *parser) enum() { p.lookup(false) }
func (p *parser) bits() { p.lookup(true) }

// lookup reads an enum; lines of the same name continue it.
func (p *parser) lookup(bits bool) {
	if !p.need(2, p.words[0]+" NAME NUMBER=TEXT …") {
		return
	}
	e := p.t.enums[p.words[1]]
	if e == nil {
		e = &Enum{Name: p.words[1], Bits: bits, Line: p.line}
		p.t.enums[e.Name] = e
	}
	plain, given := p.settings(2)
	for _, s := range plain {
		p.fail(s.word, "write NUMBER=TEXT, with quotes if the text has blanks", "%q is not a pair", s.value)
	}
	for _, s := range given {
		raw, err := strconv.ParseInt(s.key, 0, 64)
		if err != nil {
			p.fail(s.word, "", "%q is not a whole number", s.key)
			continue
		}
		if _, ok := e.text(raw); ok && !bits {
			p.fail(s.word, "leave one of them out", "%d is in enum %s already", raw, e.Name)
			continue
		}
		e.Entries = append(e.Entries, Entry{raw, s.value})
	}
}

func (p *parser) curve() {
	if !p.need(2, "curve NAME X=Y …") {
		return
	}
	c := p.t.curves[p.words[1]]
	if c == nil {
		c = &Curve{Name: p.words[1], Line: p.line}
		p.t.curves[c.Name] = c
	}
	_, given := p.settings(2)
	for _, s := range given {
		x, err1 := parseLiteral(s.key)
		y, err2 := parseLiteral(s.value)
		if err1 != nil || err2 != nil {
			p.fail(s.word, "write X=Y, two numbers", "%s=%s is not a point", s.key, s.value)
			continue
		}
		if n := len(c.Points); n > 0 && x <= c.Points[n-1].X {
			p.fail(s.word, "write the points from left to right", "%s is not right of the point before it", s.key)
			continue
		}
		c.Points = append(c.Points, Point{x, y})
	}
	if len(c.Points) == 0 {
		p.fail(1, "write curve NAME X=Y …", "the curve has no points")
		delete(p.t.curves, c.Name)
	}
}

// parseLiteral reads a number, also in hexadecimal.
func parseLiteral(text string) (float64, error) {
	if i, err := strconv.ParseInt(text, 0, 64); err == nil {
		return float64(i), nil
	}
	v, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
		return 0, fmt.Errorf("%q is not a number", text)
	}
	return v, nil
}

func (p *parser) rule() {
	if !p.need(2, "rule NAME when=EXPR scale=EXPR [right=EXPR]") {
		return
	}
	r := &Rule{Name: p.words[1], Line: p.line}
	_, given := p.settings(2)
	for _, s := range given {
		x, err := ParseExpr(s.value)
		if err != nil {
			p.fail(s.word+2, "", "%v", err)
			return
		}
		switch s.key {
		case "when":
			r.When = x
		case "right":
			r.Right = x
		case "scale":
			r.Scale = x
		default:
			p.fail(s.word, mean(s.key, []string{"when", "right", "scale"}), "a rule has no %s", s.key)
		}
	}
	if r.When == nil || r.Scale == nil {
		p.fail(1, "write rule NAME when=EXPR scale=EXPR", "the rule lacks when= or scale=")
		return
	}
	if p.t.rules[r.Name] != nil {
		p.fail(1, "", "there is a rule %s already", r.Name)
		return
	}
	p.t.rules[r.Name] = r
}

func (p *parser) each() {
	if !p.need(2, "each WORD from=1 to=NUMBER|VARIABLE") {
		return
	}
	g := &group{outer: p.group, mark: "%i", from: 1, to: -1}
	_, given := p.settings(2)
	for _, s := range given {
		var err error
		var n int64
		switch s.key {
		case "from":
			n, err = whole(s.value)
			g.from = int(n)
		case "to":
			if g.to, err = strconv.Atoi(s.value); err != nil {
				g.to, g.toName, err = -1, s.value, nil
			}
		case "mark":
			g.mark = s.value
		case "shift":
			n, err = whole(s.value)
			g.shift = int(n)
		case "if":
			g.cond, err = ParseExpr(s.value)
		default:
			p.fail(s.word, mean(s.key, []string{"from", "to", "mark", "shift", "if"}), "each has no %s", s.key)
		}
		if err != nil {
			p.fail(s.word+2, "", "%s=%s: %v", s.key, s.value, err)
		}
	}
	switch {
	case g.toName != "":
	case g.to < 0:
		p.fail(0, "write to=NUMBER or to=VARIABLE", "each does not say where it ends")
	case g.from < 0 || g.to > 1000:
		p.fail(0, "", "each counts from 0 at least and to 1000 at most")
	case g.to < g.from:
		p.fail(p.value("to"), "", "each ends before it begins")
	}
	p.group = g
}

func (p *parser) end() {
	if p.group == nil {
		p.fail(0, "leave it out, or begin the part with each", "end without each")
		return
	}
	p.group = p.group.outer
}

// includes appends what the tables that this one uses bring. What is here already
// stays: a table may replace an enum of the table that it uses.
func (p *parser) includes() {
	for _, u := range p.uses {
		p.line = u.line
		if p.include == nil {
			p.fail(1, "", "table %s cannot be found", u.name)
			continue
		}
		o, err := p.include(u.name)
		if err != nil {
			p.fail(1, "", "use %s: %v", u.name, err)
			continue
		}
		p.t.used = append(p.t.used, u.name)
		p.t.Rows = append(p.t.Rows, o.Rows...)
		for _, q := range o.Quirks {
			p.t.Quirks = append(p.t.Quirks, Mention{q.Name, u.line, 1})
		}
		p.t.Maker = cmp.Or(p.t.Maker, o.Maker)
		fill(p.t.enums, o.enums)
		fill(p.t.curves, o.curves)
		fill(p.t.rules, o.rules)
		fill(p.t.codes, o.codes)
		fill(p.t.names, o.names)
		fill(p.t.Defaults, o.Defaults)
	}
}

func fill[K comparable, V any](to, from map[K]V) {
	for k, v := range from {
		if _, ok := to[k]; !ok {
			to[k] = v
		}
	}
}
