package subdriver

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Flags are the conditions that a flag row may name.
func Flags() []string {
	return []string{
		"online", "offline", "charging", "discharging", "fully-charged", "not-fully-charged", "depleted",
		"lowbatt", "replacebatt", "no-battery", "battery-voltage-low", "battery-voltage-high", "charger-failure",
		"time-limit-expired", "shutdown-imminent", "overload", "overheat", "commfault", "fan-failure",
		"awaiting-power", "off", "trim", "boost", "bypass-auto", "bypass-manual", "calibrating",
		"voltage-range", "frequency-range", "eco", "ess",
	}
}

// variable reads the lines that make a row: var, reg, setting, flag, status, alarm
// and cmd.
func (p *parser) variable() {
	kind := Var
	for k, w := range kindWords {
		if w == p.words[0] {
			kind = k
		}
	}
	row := Row{Kind: kind, Line: p.line, group: p.group}
	from := 3
	if kind == Status {
		row.Name, from = "ups.status", 2
		if !p.need(2, "status SOURCE as=ENUM") {
			return
		}
	} else {
		if !p.need(3, p.words[0]+" NAME SOURCE [options]") {
			return
		}
		row.Name = p.words[1]
	}
	row.Source = p.words[from-1]
	if kind == Flag {
		row.Name, row.Off, _ = strings.Cut(row.Name, "/")
		p.flagName(row.Name)
		p.flagName(row.Off)
	}
	step := Step{Source: row.Source, Line: p.line}
	p.rowOptions(&row, &step, from)
	if kind == Status && row.As == "" {
		p.fail(0, "write status SOURCE as=ENUM", "the row does not say what words the values stand for")
	}
	if kind == Cmd {
		if step.Send.Expr == nil && step.Send.Text == "" && p.t.Family == "hid" {
			p.fail(0, "write send=VALUE", "the command says nothing that could be sent")
		}
		step.As, step.Or = row.As, row.Or
		row.Steps = []Step{step}
	}
	p.t.Rows = append(p.t.Rows, row)
}

func (p *parser) flagName(name string) {
	if n := strings.TrimPrefix(name, "!"); n != "" && !slices.Contains(Flags(), n) {
		p.fail(1, mean(n, Flags()), "no condition is called %q", n)
	}
}

// then reads a further step of the command above.
func (p *parser) then() {
	n := len(p.t.Rows)
	if !p.need(2, "then SOURCE send=VALUE [wait=SECONDS]") {
		return
	}
	if n == 0 || p.t.Rows[n-1].Kind != Cmd {
		p.fail(0, "write it below the cmd that it continues", "then follows no command")
		return
	}
	row, step := Row{Kind: Cmd}, Step{Source: p.words[1], Line: p.line}
	p.rowOptions(&row, &step, 2)
	step.As, step.Or = row.As, row.Or
	cmd := &p.t.Rows[n-1]
	cmd.Steps = append(cmd.Steps, step)
}

// options are those that have an effect, by the word that begins a row.
var options = func() map[string][]string {
	read := []string{"as", "bit", "class", "expr", "if", "mask", "poll", "shift"}
	shown := append([]string{"default", "fix", "format", "offset", "scale", "valid"}, read...)
	sent := []string{"as", "or", "say", "send", "wait"}
	return map[string][]string{
		"var": append([]string{"allow", "or", "rw"}, shown...), "reg": shown, "status": shown,
		"setting": {"class", "default", "rw", "step"},
		"flag":    append([]string{"off", "on"}, read...), "alarm": append([]string{"off", "on"}, shown...),
		"cmd": append([]string{"allow", "class", "step"}, sent...), "then": sent,
	}
}()

// allOptions returns those that any row has; not to be changed.
var allOptions = sync.OnceValue(func() []string {
	var all []string
	for _, names := range options {
		all = append(all, names...)
	}
	slices.Sort(all)
	return slices.Compact(all)
})

// rowOptions reads the options of a row, which begin at a word.
func (p *parser) rowOptions(row *Row, step *Step, from int) {
	plain, given := p.settings(from)
	for _, s := range plain {
		p.fail(s.word, "options are written name=value; a source with blanks or '=' needs quotes", "%q is one word too many", s.value)
	}
	seen := map[string]bool{}
	for _, s := range given {
		known := options[p.words[0]]
		switch {
		case !slices.Contains(allOptions(), s.key):
			p.fail(s.word, mean(s.key, allOptions()), "no option is called %q", s.key)
			continue
		case !slices.Contains(known, s.key):
			p.fail(s.word, "it takes "+strings.Join(slices.Sorted(slices.Values(known)), ", "), "%s= has no effect in a row %s", s.key, p.words[0])
			continue
		case seen[s.key]:
			p.fail(s.word, "leave one of them out", "%s= is given twice", s.key)
			continue
		}
		seen[s.key] = true
		if err := p.rowOption(row, step, s); err != nil {
			p.fail(s.word+2, "", "%s=%s: %v", s.key, s.value, err)
		}
	}
}

func (p *parser) rowOption(row *Row, step *Step, s setting) (err error) {
	switch s.key {
	case "format":
		row.Format = s.value
		err = checkFormat(s.value)
	case "as":
		row.As = s.value
	case "scale":
		row.Scale, err = parseConstant(s.value)
		if err == nil && row.Scale.Const == "" && row.Scale.Value == 0 {
			err = fmt.Errorf("nothing is left of a value times 0")
		}
	case "offset":
		row.Offset, err = parseConstant(s.value)
	case "bit":
		var n int64
		n, err = whole(s.value)
		if err == nil && (n < 0 || n > 62) {
			err = fmt.Errorf("bits are numbered from 0 to 62")
		} else {
			row.Mask, row.Shift = 1<<n, int(n)
		}
	case "mask":
		row.Mask, err = whole(s.value)
		if err == nil && row.Mask == 0 {
			err = fmt.Errorf("no bits are left")
		}
	case "shift":
		var n int64
		n, err = whole(s.value)
		if err == nil && (n < 0 || n > 62) {
			err = fmt.Errorf("a shift is from 0 to 62")
		}
		row.Shift = int(n)
	case "or":
		row.Or, err = whole(s.value)
	case "on":
		row.On, err = parseList(s.value)
		if err != nil && p.t.Family != "hid" { // whose sources are numbers
			row.OnText, err = s.value, nil
		}
	case "off":
		row.OffOn, err = parseList(s.value)
	case "step":
		var n int64
		n, err = whole(s.value)
		if err == nil && (n < 1 || n > math.MaxInt32) {
			err = fmt.Errorf("a step is at least 1, and a number of 32 bits")
		}
		row.Step = int(n)
	case "valid":
		err = row.valid(s.value)
	case "fix":
		row.Fix = strings.Split(s.value, ",")
	case "expr":
		row.Expr, err = ParseExpr(s.value)
	case "if":
		row.If, err = ParseExpr(s.value)
	case "allow":
		row.Allow, err = ParseExpr(s.value)
	case "class":
		row.Class = strings.Split(s.value, ",")
	case "default":
		row.Default = s.value
	case "poll":
		row.Poll, err = parsePoll(s.value)
	case "rw":
		row.RW, err = parseAccess(s.value)
	case "send":
		step.Send.Expr, err = ParseExpr(s.value)
		step.Send.Text = s.value
	case "say":
		step.Send.Text = s.value
	case "wait":
		step.Wait, err = parseLiteral(s.value)
		if err == nil && !(step.Wait >= 0 && step.Wait <= 10) {
			err = fmt.Errorf("a wait is from 0 to 10 seconds")
		}
	}
	return err
}

// whole reads a whole number, decimal or with 0x.
func whole(text string) (int64, error) {
	n, err := strconv.ParseInt(text, 0, 64)
	if err != nil {
		return 0, fmt.Errorf("%q is not a whole number", text)
	}
	return n, nil
}

func parseConstant(text string) (Number, error) {
	if name, ok := strings.CutPrefix(text, "$"); ok {
		return Number{Const: name, Given: true}, nil
	}
	if a, b, ok := strings.Cut(text, "/"); ok {
		x, err1 := parseLiteral(a)
		y, err2 := parseLiteral(b)
		if err1 != nil || err2 != nil || y == 0 {
			return Number{}, fmt.Errorf("not a fraction")
		}
		return Number{Value: x / y, Given: true}, nil
	}
	v, err := parseLiteral(text)
	if err != nil {
		return Number{}, fmt.Errorf("neither a number nor $NAME")
	}
	return Number{Value: v, Given: true}, nil
}

func parseList(text string) ([]int64, error) {
	var list []int64
	for _, w := range strings.Split(text, ",") {
		n, err := whole(w)
		if err != nil {
			return nil, err
		}
		list = append(list, n)
	}
	return list, nil
}

// valid reads "any", "date", ">0", ">=0", "<9", "1..100".
func (r *Row) valid(text string) error {
	switch text {
	case "any":
		r.AnyBit = true
		return nil
	case "date":
		r.IsDate = true
		return nil
	}
	rg := Range{math.Inf(-1), math.Inf(1)}
	var err error
	set := func(to *float64, text string, toward float64) {
		*to, err = parseLiteral(text)
		if toward != 0 && err == nil {
			*to = math.Nextafter(*to, toward)
		}
	}
	switch a, b, ok := strings.Cut(text, ".."); {
	case ok:
		set(&rg.Min, a, 0)
		if err == nil {
			set(&rg.Max, b, 0)
		}
	case strings.HasPrefix(text, ">="):
		set(&rg.Min, text[2:], 0)
	case strings.HasPrefix(text, "<="):
		set(&rg.Max, text[2:], 0)
	case strings.HasPrefix(text, ">"):
		set(&rg.Min, text[1:], math.Inf(1))
	case strings.HasPrefix(text, "<"):
		set(&rg.Max, text[1:], math.Inf(-1))
	default:
		err = fmt.Errorf("want any, date, MIN..MAX, >N, >=N, <N or <=N")
	}
	if err == nil && rg.Min > rg.Max {
		err = fmt.Errorf("no number is in there")
	}
	r.Valid = &rg
	return err
}

func parsePoll(text string) (Poll, error) {
	switch text {
	case "full":
		return PollFull, nil
	case "quick":
		return PollQuick, nil
	case "written":
		return PollWritten, nil
	case "once":
		return PollOnce, nil
	}
	return 0, fmt.Errorf("want full, quick, written or once")
}

func parseAccess(text string) (*Access, error) {
	switch text {
	case "enum":
		return &Access{Enum: true}, nil
	case "number":
		return &Access{Number: true}, nil
	}
	if a, b, ok := strings.Cut(text, ".."); ok {
		lo, err1 := strconv.Atoi(a)
		hi, err2 := strconv.Atoi(b)
		if err1 == nil && err2 == nil && hi > lo {
			return &Access{Number: true, Min: lo, Max: hi}, nil
		}
		return nil, fmt.Errorf("not a range of whole numbers")
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > 256 {
		return nil, fmt.Errorf("want enum, number, MIN..MAX or the longest text's length")
	}
	return &Access{MaxLen: n}, nil
}

var numberFormat = regexp.MustCompile(`^[^%]*%[-+0 ]*\d*(\.\d+)?[efg][^%]*$`)

func checkFormat(text string) error {
	if !numberFormat.MatchString(text) {
		return fmt.Errorf("not a printf format for one number, such as %%.1f")
	}
	return nil
}

// resolve checks what the table's own rows refer to; those of tables that it uses
// were checked there.
func (p *parser) resolve() {
	for i := range p.t.rows {
		r := &p.t.Rows[i]
		p.line = r.Line
		for _, name := range r.Fix {
			if p.t.rules[name] == nil {
				p.fail(p.value("fix"), cmp.Or(mean(name, slices.Sorted(maps.Keys(p.t.rules))), "write a line rule for it"), "there is no rule %s", name)
			}
		}
		if p.refersTo(r.As) && r.RW != nil {
			p.settable(r)
		}
		for _, s := range r.Steps[min(1, len(r.Steps)):] {
			p.line = s.Line
			p.refersTo(s.As)
		}
	}
}

// settable checks that a row with rw= can be written.
func (p *parser) settable(r *Row) {
	if r.Kind == Var && !p.t.writable(r) {
		what := "as=" + r.As
		switch {
		case r.Expr != nil:
			what = "expr="
		case len(r.Fix) > 0:
			what = "fix="
		}
		p.fail(p.value("rw"), "leave rw= out", "%s cannot be written, for %s cannot be turned round", r.Name, what)
	}
	if r.RW.Enum && p.t.enums[r.As] == nil {
		p.fail(p.value("rw"), "name an enum with as=", "rw=enum without an enum")
	}
}

// refersTo checks the name of a converter, an enum or a curve.
func (p *parser) refersTo(as string) bool {
	if as == "" || p.t.enums[as] != nil || p.t.curves[as] != nil {
		return true
	}
	known := converterNames()
	if slices.Contains(known, as) {
		return true
	}
	known = slices.Concat(known, slices.Collect(maps.Keys(p.t.enums)), slices.Collect(maps.Keys(p.t.curves)))
	slices.Sort(known)
	p.fail(p.value("as"), cmp.Or(mean(as, known), "\"nut subdriver converters\" lists the converters"), "as=%s is neither a converter nor an enum or curve of this table", as)
	return false
}

// writable reports whether what a row shows can be turned back.
func (t *Table) writable(r *Row) bool {
	if r.Expr != nil || len(r.Fix) > 0 {
		return false
	}
	if e := t.enums[r.As]; e != nil {
		return !e.Bits
	}
	if t.curves[r.As] != nil || r.As == "" {
		return true
	}
	return converters()[r.As].write != nil
}

// form is how the source has to read a row.
func (t *Table) form(r *Row) Form {
	switch {
	case r.As != "" && t.enums[r.As] == nil && t.curves[r.As] == nil:
		return converters()[r.As].form
	case t.enums[r.As] != nil, r.Kind == Flag, r.Mask != 0, r.Shift != 0:
		return Raw
	}
	return Numeric
}
