package subdriver

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"gonut/internal/ups"
)

// text turns what was read into the value of a variable. It reports false if that
// stands for nothing that is known.
func (w *Walker) text(a *active, v Value) (string, bool) {
	if v.IsText || len(v.Bytes) > 0 {
		return w.textual(a, v)
	}
	if v.Unknown && !a.AnyBit && a.Mask == 0 && w.t.enums[a.As] == nil && (a.Expr == nil || a.Expr.value) {
		return "", false
	}
	n := v.Number
	if a.Mask != 0 || a.Shift != 0 {
		a.raw = int64(n)
		n = float64(a.bits(int64(n)))
	}
	n = n*a.scale + a.offset
	if a.Expr != nil {
		n = a.Expr.eval(w.env(n))
	}
	n = w.correct(a, n)
	if math.IsNaN(n) || math.IsInf(n, 0) || !a.plausible(n) {
		return "", false
	}
	switch e, c := w.t.enums[a.As], w.t.curves[a.As]; {
	case e != nil && e.Bits:
		return wordsOf(e, int64(n)), true
	case e != nil:
		if text, ok := e.text(int64(n)); ok {
			return text, true
		}
		return a.Default, a.Default != ""
	case c != nil:
		n = c.at(n)
	case a.As != "":
		v.Number = n
		return w.converted(a, v)
	}
	return a.format(n), true
}

// textual is text for what is not a number.
func (w *Walker) textual(a *active, v Value) (string, bool) {
	if a.As == "" {
		v.Text = strings.TrimRight(v.Text, "\x00")
		return v.Text, strings.TrimSpace(v.Text) != ""
	}
	if e := w.t.enums[a.As]; e != nil { // a number that came as text
		n, err := strconv.ParseInt(strings.TrimSpace(v.Text), 10, 64)
		if err != nil {
			return a.Default, a.Default != ""
		}
		return w.text(a, Value{Number: float64(n)})
	}
	return w.converted(a, v)
}

func (w *Walker) converted(a *active, v Value) (string, bool) {
	c := a.conv
	if c.read == nil {
		return "", false
	}
	text, err := c.read(w.conversion(a), v)
	if err != nil {
		return a.Default, a.Default != ""
	}
	if a.IsDate && !looksLikeDate(text) {
		return "", false
	}
	return text, true
}

func (w *Walker) conversion(a *active) *conversion {
	return &conversion{row: a.Row, now: time.Now, lookup: w.lookup}
}

// looksLikeDate accepts what has at least a year in it: devices that know no date
// send the vendor's name.
func looksLikeDate(text string) bool {
	digits := 0
	for _, c := range text {
		if c >= '0' && c <= '9' {
			digits++
		}
	}
	return digits >= 4
}

func (a *active) format(n float64) string {
	switch a.Format {
	case "":
	case "%.0f":
		return strconv.FormatFloat(n, 'f', 0, 64)
	case "%.1f":
		return strconv.FormatFloat(n, 'f', 1, 64)
	case "%.2f":
		return strconv.FormatFloat(n, 'f', 2, 64)
	default:
		return fmt.Sprintf(a.Format, n)
	}
	return strconv.FormatFloat(math.Round(n*1e6)/1e6, 'f', -1, 64)
}

// correct applies the first rule of the row that holds.
func (w *Walker) correct(a *active, n float64) float64 {
	for i, name := range a.Fix {
		rule := w.t.rules[name]
		e := w.env(n)
		if a.decided[i] == 0 {
			switch {
			case rule.When.holds(e):
				a.decided[i] = 1
				w.corrected[a.name] = name
				if w.o.Log != nil {
					w.o.Log.Info("values are corrected", "variable", a.name, "rule", name, "value", n, "becomes", n*rule.Scale.eval(e))
				}
			case rule.Right != nil && rule.Right.holds(e), rule.Right == nil && known(rule.When, e) && n != 0:
				a.decided[i] = 2
			}
		}
		if a.decided[i] == 1 {
			return n * rule.Scale.eval(e)
		}
	}
	return n
}

func known(x *Expr, e *env) bool { return !math.IsNaN(x.eval(e)) }

// plausible reports whether a number can be what it is said to be. A range of the
// row decides; without one nothing is below 0 that has no direction, a charge no more
// than overcharged, a temperature none that no device survives, and a runtime neither
// 65535 nor the largest number of 32 bits.
func (a *active) plausible(n float64) bool {
	switch {
	case a.AnyBit:
		return true
	case a.Valid != nil:
		return a.Valid.holds(n)
	case a.Kind != Var:
		return true
	}
	switch a.As {
	case "", "percent", "minutes", "ticks":
	default: // what it converts to is no quantity, or checked there
		return true
	}
	if a.name == ups.RuntimeName && (n == 65535 || n == math.MaxInt32) {
		return false
	}
	least, most := limits(a.name)
	if a.name == ups.ChargeName {
		most = overcharged
	}
	return n >= least && (n <= most || a.name != quantity(a.name)) // what was set wrong is shown
}

// overcharged is the highest battery.charge that is shown: the gauge of a battery that
// has become better than it was thought to be goes beyond 100.
const overcharged = 110

// settable reports why a variable may not be set to a text: it could not be what the
// variable is said to be.
func (a *active) settable(text string) error {
	n, err := parseNumber(text)
	if err != nil || a.As != "" || a.Valid != nil || a.AnyBit {
		return nil // the rest is the converter's business
	}
	if least, most := limits(a.name); n < least || n > most {
		return fmt.Errorf("%s cannot be %s", a.name, text)
	}
	return nil
}

// quantity cuts off what makes a variable a limit of another one.
func quantity(name string) string {
	for _, limit := range [...]string{".nominal", ".low", ".high", ".warning", ".restart"} {
		name = strings.TrimSuffix(name, limit)
	}
	return name
}

// limits returns what a variable may be at all. A current may flow either way, and a
// timer of -1 does not run.
func limits(name string) (least, most float64) {
	name = quantity(name)
	switch name[strings.LastIndexByte(name, '.')+1:] {
	case "charge", "humidity":
		return 0, 100
	case "temperature":
		return -100, 200
	case "voltage", "frequency", "runtime", "load", "power", "realpower", "capacity", "transfer":
		return 0, math.Inf(1)
	}
	return math.Inf(-1), math.Inf(1)
}

// number is the inverse of text: what has to be written so that the row shows
// text.
func (w *Walker) number(a *active, text string) (float64, error) {
	n, err := w.inverse(a, a.As, text)
	if err != nil {
		return 0, err
	}
	n = (n - a.offset) / a.scale
	if a.Mask != 0 || a.Shift != 0 {
		mask := a.Mask
		if mask == 0 {
			mask = -1
		}
		bits := int64(math.Round(n)) << a.Shift
		if bits&^mask != 0 || bits>>a.Shift != int64(math.Round(n)) {
			return 0, fmt.Errorf("%s does not fit into the bits that the device has for it", text)
		}
		n = float64(a.raw&^mask | bits)
	}
	return float64Or(n, a.Or), nil
}

// inverse turns text into the number that as= made it of.
func (w *Walker) inverse(a *active, as, text string) (float64, error) {
	switch e, c := w.t.enums[as], w.t.curves[as]; {
	case e != nil:
		n, ok := e.raw(text)
		if !ok {
			return 0, fmt.Errorf("%q is none of %s", text, strings.Join(e.texts(), ", "))
		}
		return float64(n), nil
	case c != nil:
		n, err := parseNumber(text)
		if err != nil {
			return 0, err
		}
		if n < 0 && !slices.ContainsFunc(c.Points, func(p Point) bool { return p.Y < 0 }) {
			return 0, fmt.Errorf("%s is below 0, which the device has no number for", text)
		}
		return math.Ceil(c.inverse(n)), nil
	case as == "":
		return parseNumber(text)
	}
	c := converters()[as]
	if c.write == nil {
		return 0, fmt.Errorf("as=%s has no inverse", as)
	}
	return c.write(w.conversion(a), text)
}

func float64Or(n float64, bits int64) float64 {
	if bits == 0 {
		return n
	}
	return float64(int64(n) | bits)
}
