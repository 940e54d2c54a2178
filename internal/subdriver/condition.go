package subdriver

import (
	"math"
	"slices"
	"strings"
)

// condition applies a flag, status or alarm row.
func (w *Walker) condition(a *active, v Value) {
	if a.If != nil && !a.If.holds(w.env(v.Number)) {
		a.words, a.on = "", false
		return
	}
	switch a.Kind {
	case Flag:
		on, known := w.truth(a, v)
		if !known {
			return
		}
		switch {
		case on:
			w.setFlag(a.name)
		case a.Off != "":
			w.setFlag(a.Off)
		default:
			w.turnFlag(a.name, false)
		}
	case Status:
		a.words = ""
		if text, ok := w.text(a, v); ok {
			a.words = text
		}
	case Alarm:
		if a.As != "" {
			text, ok := w.text(a, v)
			a.words, a.on = text, ok && text != ""
			return
		}
		a.on, _ = w.truth(a, v)
		a.words = a.name
	}
}

// truth decides a condition by on=, off= or whether the value is 0. known is false
// if the value is in neither list.
func (w *Walker) truth(a *active, v Value) (on, known bool) {
	if v.IsText {
		if a.OnText == "" {
			return false, false
		}
		return v.Text == a.OnText, true
	}
	// All bits set is no condition, unless the row looks at bits or names the value.
	if v.Unknown && a.Mask == 0 && len(a.On) == 0 && a.Expr == nil {
		return false, false
	}
	raw := a.bits(int64(v.Number))
	if a.Expr != nil {
		x := a.Expr.eval(w.env(float64(raw)))
		return x != 0, !math.IsNaN(x)
	}
	switch {
	case slices.Contains(a.On, raw):
		return true, true
	case slices.Contains(a.OffOn, raw):
		return false, true
	case len(a.OffOn) > 0:
		return raw != 0 && len(a.On) == 0, len(a.On) == 0
	case len(a.On) > 0:
		return false, true
	}
	return raw != 0, true
}

func (a *active) bits(raw int64) int64 {
	if a.Mask != 0 {
		raw &= a.Mask
	}
	return raw >> a.Shift
}

// exclusive are conditions that end another one.
var exclusive = map[string]string{
	"online": "offline", "offline": "online",
	"fully-charged": "not-fully-charged", "not-fully-charged": "fully-charged",
}

func (w *Walker) setFlag(name string) { w.turnFlag(name, true) }

// turnFlag takes note of a condition; one whose name begins with '!' is the opposite.
func (w *Walker) turnFlag(name string, on bool) {
	if n, ok := strings.CutPrefix(name, "!"); ok {
		name, on = n, !on
	}
	w.flags[name] = on
	if other, ok := exclusive[name]; ok && on {
		w.flags[other] = false
	}
}

// Flag reports whether a condition is known to hold.
func (w *Walker) Flag(name string) bool { return w.flags[name] }

// StatusWords returns the words of the status rows, in the order of the table.
func (w *Walker) StatusWords() []string {
	var ws []string
	for _, a := range w.rows {
		if a.Kind == Status && a.words != "" {
			ws = append(ws, strings.Fields(a.words)...)
		}
	}
	return ws
}

// Alarms returns the sentences of the alarm rows that hold.
func (w *Walker) Alarms() []string {
	var as []string
	for _, a := range w.rows {
		if a.Kind == Alarm && a.on {
			as = append(as, a.words)
		}
	}
	return as
}
