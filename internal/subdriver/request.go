package subdriver

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"

	"gonut/internal/driver"
	"gonut/internal/ups"
)

func rangeOf(a *Access) ups.Range { return ups.Range{Min: a.Min, Max: a.Max} }

// commands makes known which commands the device has.
func (w *Walker) commands(u *driver.Update) {
	seen := map[string]bool{}
	for _, a := range w.rows {
		if a.Kind == Cmd && !seen[a.name] {
			seen[a.name] = true
			u.Command(a.name)
		}
	}
}

// HasCommand reports whether the device has a command of the table.
func (w *Walker) HasCommand(name string) bool { return w.command(name) != nil }

func (w *Walker) command(name string) *active {
	for _, a := range w.rows {
		if a.Kind == Cmd && a.name == name && !a.dropped {
			return a
		}
	}
	return nil
}

// Command performs an instant command: the first row of that name that the device
// has, with all its steps.
func (w *Walker) Command(ctx context.Context, name, param string) error {
	a := w.command(name)
	if a == nil {
		return fmt.Errorf("command %s: %w", name, driver.ErrUnknown)
	}
	for i, s := range a.Steps {
		if err := wait(ctx, s.Wait); err != nil {
			return fmt.Errorf("command %s: %w: %w", name, driver.ErrFailed, err)
		}
		v, err := w.sent(a, s, i == 0, param)
		if err != nil {
			return fmt.Errorf("command %s: %w: %w", name, driver.ErrInvalid, err)
		}
		if err := w.allowed(a, v.Number); err != nil {
			return fmt.Errorf("command %s: %w", name, err)
		}
		w.dirty = true
		if err := w.s.Write(ctx, a.steps[i], v); err != nil {
			return fmt.Errorf("command %s: %w", name, failed(err))
		}
	}
	return nil
}

// allowed reports why a number must not be written now.
func (w *Walker) allowed(a *active, n float64) error {
	if a.Allow.holds(w.env(n)) {
		return nil
	}
	return fmt.Errorf("%w: the table allows it only if %s", driver.ErrFailed, a.Allow)
}

// failed marks an error of a Source as one of the device, unless it says already
// what it is.
func failed(err error) error {
	for _, known := range []error{driver.ErrGone, driver.ErrFailed, driver.ErrInvalid, driver.ErrUnknown} {
		if errors.Is(err, known) {
			return err
		}
	}
	return fmt.Errorf("%w: %w", driver.ErrFailed, err)
}

// sent computes what a step writes. A parameter replaces the value of the first
// step unless that says by {arg} what to do with it.
func (w *Walker) sent(a *active, s Step, first bool, param string) (Value, error) {
	if s.Send.Expr == nil {
		if first && param != "" && s.Send.Text == "" {
			return Value{IsText: true, Text: param}, nil
		}
		return Value{IsText: true, Text: s.Send.Text}, nil
	}
	usesArg := false
	for _, n := range s.Send.Expr.Names() {
		usesArg = usesArg || n == "arg"
	}
	text := param
	if !first || param == "" || usesArg {
		n, err := w.evaluate(s.Send.Expr, param)
		if err != nil {
			return Value{}, err
		}
		text = strconv.FormatFloat(n, 'f', -1, 64)
	}
	text, err := a.round(text)
	if err != nil {
		return Value{}, err
	}
	n, err := w.inverse(a, s.As, text)
	if err != nil {
		return Value{}, err
	}
	return Value{Number: float64Or(n, s.Or)}, nil
}

func (w *Walker) evaluate(x *Expr, param string) (float64, error) {
	if param != "" {
		if _, err := parseNumber(param); err != nil {
			return 0, err
		}
	}
	e := w.env(0)
	variables := e.lookup
	e.lookup = func(name string) (string, bool) {
		if name == "arg" {
			return param, param != ""
		}
		return variables(name)
	}
	n := x.eval(e)
	if math.IsNaN(n) || math.IsInf(n, 0) {
		return 0, fmt.Errorf("what to send, %s, depends on a value that is unknown", x)
	}
	return n, nil
}

// Set gives a variable a value: it writes to the row that provides it, or keeps a
// setting.
func (w *Walker) Set(ctx context.Context, name, text string) error {
	if a := w.settings[name]; a != nil && a.RW != nil {
		return w.keep(a, text)
	}
	a := w.winner[name]
	if a == nil || a.RW == nil || !w.s.Writable(a.ref) {
		return fmt.Errorf("set %s: %w", name, driver.ErrUnknown)
	}
	if err := a.RW.check(text); err != nil {
		return fmt.Errorf("set %s: %w: %w", name, driver.ErrInvalid, err)
	}
	if err := a.settable(text); err != nil {
		return fmt.Errorf("set %s: %w: %w", name, driver.ErrInvalid, err)
	}
	n, err := w.number(a, text)
	if err != nil {
		return fmt.Errorf("set %s: %w: %w", name, driver.ErrInvalid, err)
	}
	if err := w.allowed(a, n); err != nil {
		return fmt.Errorf("set %s: %w", name, err)
	}
	w.dirty = true
	if err := w.s.Write(ctx, a.ref, Value{Number: n}); err != nil {
		return fmt.Errorf("set %s: %w", name, failed(err))
	}
	return nil
}

// keep changes a setting.
func (w *Walker) keep(a *active, text string) error {
	if err := a.RW.check(text); err != nil {
		return fmt.Errorf("set %s: %w: %w", a.name, driver.ErrInvalid, err)
	}
	rounded, err := a.round(text)
	if _, noNumber := parseNumber(a.Default); noNumber == nil && err == nil {
		_, err = parseNumber(text) // what was a number is sent as one, when power is to be cut
	}
	if err != nil {
		return fmt.Errorf("set %s: %w: %w", a.name, driver.ErrInvalid, err)
	}
	w.values[a.name] = rounded
	w.reset = append(w.reset, a.name)
	return nil
}

// check reports whether a client may set the text at all.
func (x *Access) check(text string) error {
	if x.MaxLen > 0 && len(text) > x.MaxLen {
		return fmt.Errorf("%q is longer than %d bytes", text, x.MaxLen)
	}
	if !x.Number {
		return nil
	}
	n, err := parseNumber(text)
	if err == nil && x.Max > x.Min && (n < float64(x.Min) || n > float64(x.Max)) {
		err = fmt.Errorf("%s is not between %d and %d", text, x.Min, x.Max)
	}
	return err
}
