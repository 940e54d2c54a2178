package subdriver

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// An Expr is a small expression over the value that was read, other variables and
// constants of the profile: numbers, value, $name, {variable}, {variable:otherwise};
// + - * / % & | >> << == != < <= > >= && || ! ?: and min max abs round floor, and known(a, b), which is
// the first that is known. What
// is unknown makes the whole unknown (NaN), except behind "otherwise".
type Expr struct {
	text   string
	node   node
	names  []string // of variables
	consts []string
	value  bool // it looks at the value that was read
}

// Env is what an expression sees.
type env struct {
	value  float64
	lookup func(name string) (string, bool)
	consts map[string]float64
}

type node func(e *env) float64

// String returns the text of the expression.
func (x *Expr) String() string { return x.text }

// Names returns the variables that the expression mentions.
func (x *Expr) Names() []string { return x.names }

func (x *Expr) eval(e *env) float64 { return x.node(e) }

// holds reports whether the expression is known and not 0. A nil one holds.
func (x *Expr) holds(e *env) bool {
	if x == nil {
		return true
	}
	v := x.node(e)
	return v != 0 && !math.IsNaN(v)
}

// ParseExpr reads an expression.
func ParseExpr(text string) (*Expr, error) {
	p := exprParser{rest: text, x: &Expr{text: text}}
	n, err := p.ternary(0)
	if err == nil {
		p.space()
		if p.rest != "" {
			err = fmt.Errorf("%q makes no sense here", p.rest)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("expression %q: %w", text, err)
	}
	p.x.node = n
	return p.x, nil
}

type exprParser struct {
	rest string
	x    *Expr
}

const maxExprDepth = 50

func (p *exprParser) space() { p.rest = strings.TrimLeft(p.rest, " \t") }

func (p *exprParser) take(token string) bool {
	p.space()
	if !strings.HasPrefix(p.rest, token) {
		return false
	}
	p.rest = p.rest[len(token):]
	return true
}

func (p *exprParser) ternary(depth int) (node, error) {
	if depth > maxExprDepth {
		return nil, fmt.Errorf("too deep")
	}
	cond, err := p.binary(0, depth)
	if err != nil || !p.take("?") {
		return cond, err
	}
	yes, err := p.ternary(depth + 1)
	if err != nil {
		return nil, err
	}
	if !p.take(":") {
		return nil, fmt.Errorf("want ':' before %q", p.rest)
	}
	no, err := p.ternary(depth + 1)
	if err != nil {
		return nil, err
	}
	return func(e *env) float64 {
		c := cond(e)
		switch {
		case math.IsNaN(c):
			return c
		case c != 0:
			return yes(e)
		}
		return no(e)
	}, nil
}

type operator struct {
	token string
	do    func(a, b float64) float64
}

// levels are the binary operators, those that bind least first. Longer tokens
// stand before their own beginnings.
var levels = [...][]operator{
	{{"||", func(a, b float64) float64 { return truth(a != 0 || b != 0) }}},
	{{"&&", func(a, b float64) float64 { return truth(a != 0 && b != 0) }}},
	{{"|", func(a, b float64) float64 { return float64(int64(a) | int64(b)) }}},
	{{"&", func(a, b float64) float64 { return float64(int64(a) & int64(b)) }}},
	{
		{"==", func(a, b float64) float64 { return truth(a == b) }},
		{"!=", func(a, b float64) float64 { return truth(a != b) }},
		{"<=", func(a, b float64) float64 { return truth(a <= b) }},
		{">=", func(a, b float64) float64 { return truth(a >= b) }},
		{"<", func(a, b float64) float64 { return truth(a < b) }},
		{">", func(a, b float64) float64 { return truth(a > b) }},
	},
	{
		{"<<", func(a, b float64) float64 { return float64(int64(a) << (uint64(b) & 63)) }},
		{">>", func(a, b float64) float64 { return float64(int64(a) >> (uint64(b) & 63)) }},
	},
	{
		{"+", func(a, b float64) float64 { return a + b }},
		{"-", func(a, b float64) float64 { return a - b }},
	},
	{
		{"*", func(a, b float64) float64 { return a * b }},
		{"/", func(a, b float64) float64 { return a / b }},
		{"%", math.Mod},
	},
}

func (p *exprParser) binary(level, depth int) (node, error) {
	if level == len(levels) {
		return p.unary(depth + 1)
	}
	left, err := p.binary(level+1, depth)
	for err == nil {
		op := p.operator(level)
		if op == nil {
			return left, nil
		}
		var right node
		right, err = p.binary(level+1, depth)
		a, do := left, op.do
		left = func(e *env) float64 {
			x, y := a(e), right(e)
			if math.IsNaN(x) || math.IsNaN(y) {
				return math.NaN()
			}
			return do(x, y)
		}
	}
	return nil, err
}

func (p *exprParser) operator(level int) *operator {
	p.space()
	for i, op := range levels[level] {
		if !strings.HasPrefix(p.rest, op.token) {
			continue
		}
		next := strings.TrimPrefix(p.rest, op.token)
		// A longer operator of another level is not this one twice.
		if len(op.token) == 1 && strings.ContainsAny(op.token, "|&<>") && strings.HasPrefix(next, op.token) {
			continue
		}
		p.rest = next
		return &levels[level][i]
	}
	return nil
}

func (p *exprParser) unary(depth int) (node, error) {
	if depth > maxExprDepth {
		return nil, fmt.Errorf("too deep")
	}
	switch {
	case p.take("-"):
		n, err := p.unary(depth + 1)
		return func(e *env) float64 { return -n(e) }, err
	case p.take("!"):
		n, err := p.unary(depth + 1)
		return func(e *env) float64 {
			v := n(e)
			if math.IsNaN(v) {
				return v
			}
			return truth(v == 0)
		}, err
	case p.take("("):
		n, err := p.ternary(depth + 1)
		if err == nil && !p.take(")") {
			err = fmt.Errorf("want ')' before %q", p.rest)
		}
		return n, err
	case p.take("{"):
		return p.variable()
	case p.take("$"):
		name := p.word()
		if name == "" {
			return nil, fmt.Errorf("'$' without a name")
		}
		p.x.consts = append(p.x.consts, name)
		return func(e *env) float64 {
			if v, ok := e.consts[name]; ok {
				return v
			}
			return math.NaN()
		}, nil
	}
	return p.atom(depth)
}

// word takes letters, digits, '.' and '_' that look like a name. A '-' is none of it,
// for it subtracts.
func (p *exprParser) word() string {
	i := strings.IndexFunc(p.rest, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '_')
	})
	if i < 0 {
		i = len(p.rest)
	}
	w := p.rest[:i]
	p.rest = p.rest[i:]
	return w
}

func (p *exprParser) variable() (node, error) {
	inside, rest, ok := strings.Cut(p.rest, "}")
	if !ok {
		return nil, fmt.Errorf("'{' without '}'")
	}
	p.rest = rest
	name, text, given := strings.Cut(inside, ":")
	otherwise := math.NaN()
	if given {
		v, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return nil, fmt.Errorf("%q is not a number", text)
		}
		otherwise = v
	}
	if name == "" {
		return nil, fmt.Errorf("'{}' names no variable")
	}
	p.x.names = append(p.x.names, name)
	return func(e *env) float64 {
		if text, ok := e.lookup(name); ok {
			if v, err := strconv.ParseFloat(strings.TrimSpace(text), 64); err == nil {
				return v
			}
		}
		return otherwise
	}, nil
}

func (p *exprParser) atom(depth int) (node, error) {
	p.space()
	w := p.word()
	switch {
	case w == "":
		return nil, fmt.Errorf("want a number or a name before %q", p.rest)
	case w == "value":
		p.x.value = true
		return func(e *env) float64 { return e.value }, nil
	case w[0] >= '0' && w[0] <= '9' || w[0] == '.':
		return p.number(w)
	}
	do, ok := functions[w]
	if !ok {
		return nil, fmt.Errorf("no function is called %q", w)
	}
	if !p.take("(") {
		return nil, fmt.Errorf("want '(' behind %s", w)
	}
	var args []node
	for {
		n, err := p.ternary(depth + 1)
		if err != nil {
			return nil, err
		}
		args = append(args, n)
		if p.take(")") {
			break
		}
		if !p.take(",") {
			return nil, fmt.Errorf("want ',' or ')' before %q", p.rest)
		}
	}
	return func(e *env) float64 {
		v := args[0](e)
		for _, a := range args[1:] {
			v = do(v, a(e))
		}
		return do(v, v)
	}, nil
}

// functions fold their arguments; with one argument they get it twice.
var functions = map[string]func(a, b float64) float64{
	"min":   math.Min,
	"max":   math.Max,
	"abs":   func(_, b float64) float64 { return math.Abs(b) },
	"round": func(_, b float64) float64 { return math.Round(b) },
	"floor": func(_, b float64) float64 { return math.Floor(b) },
	"known": func(a, b float64) float64 {
		if math.IsNaN(a) {
			return b
		}
		return a
	},
}

// number reads what word took; "1e-7" needs its exponent's sign as well.
func (p *exprParser) number(w string) (node, error) {
	if last := w[len(w)-1]; (last == 'e' || last == 'E') && !strings.HasPrefix(w, "0x") && strings.IndexAny(p.rest, "+-") == 0 {
		sign := p.rest[:1]
		p.rest = p.rest[1:]
		w += sign + p.word()
	}
	if i, err := strconv.ParseInt(w, 0, 64); err == nil {
		return func(*env) float64 { return float64(i) }, nil
	}
	v, err := strconv.ParseFloat(w, 64)
	if err != nil {
		return nil, fmt.Errorf("%q is not a number", w)
	}
	return func(*env) float64 { return v }, nil
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// A Template is what a command sends: an expression, which may be a plain number.
// {arg} is the parameter of the command.
type Template struct {
	Expr *Expr
	Text string // a text that is sent as it is, if Expr is nil
}
