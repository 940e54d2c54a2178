package subdriver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"gonut/internal/driver"
	"gonut/internal/ups"
)

// A Ref is a Source's handle of a value that it has found.
type Ref int

// ErrAbsent means that a device does not have a value: a row of its table is
// dropped for this device.
var ErrAbsent = errors.New("the device does not have it")

// A Source moves values between a device and the walk. Each family of tables has
// one.
type Source interface {
	// Resolve finds what the text of a row means to this device. An error drops
	// the row; it wraps ErrAbsent unless the row itself is wrong.
	Resolve(text string, form Form) (Ref, error)
	// Read reads values. What concerns one value alone is in its Err; an error
	// ends the walk.
	Read(ctx context.Context, refs []Ref) ([]Value, error)
	// Writable reports whether there is a way to write a value. Commands and settings
	// of what cannot be written do not exist.
	Writable(r Ref) bool
	// Write writes one value.
	Write(ctx context.Context, r Ref, v Value) error
}

// Options are what a Walker needs besides table and source.
type Options struct {
	Class  []string           // of the model; rows with class= hold only for theirs
	Consts map[string]float64 // values of $NAME
	Log    *slog.Logger
	// Setting returns what the user wants a setting row to begin with, empty if
	// he did not say. It may be nil.
	Setting func(variable string) string
	// Facts are values that expressions may use besides those of the table.
	Facts map[string]string
}

// A Walker is the walk through one table for one open device: which row provides
// each variable, what was read last, which conditions hold. It has no lock; the
// device's goroutine owns it.
type Walker struct {
	t *Table
	s Source
	o Options

	rows      []*active
	quick     []*active // those of a quick poll
	groups    []*pending
	winner    map[string]*active
	values    map[string]string // by variable: published ones, regs, settings, facts
	flags     map[string]bool   // known ones
	corrected map[string]string // rule by variable
	dirty     bool              // something was written since written rows were read
	settings  map[string]*active
	reset     []string // settings to publish again
	scratch   scratch
}

// A scratch is what a walk needs while it goes on. It is kept for the next one.
type scratch struct {
	rows     []*active
	refs     []Ref
	values   map[Ref]Value
	provided map[string]bool
	lost     map[string]bool
	vital    map[string]bool // by condition: whether a row for it was read
}

// An active row is a row that exists for this device.
type active struct {
	*Row
	name    string // with indices filled in
	ref     Ref
	conv    converter // of as=, if that names one
	steps   []Ref
	scale   float64
	offset  float64
	decided []int8 // per rule: 0 not yet, 1 correct, 2 leave
	raw     int64  // last read, for masked writes
	words   string // of a status row
	on      bool   // of an alarm
	dropped bool
	nothing bool // had no value when it was last asked
	said    bool // of a condition: was read at least once
}

// A pending group waits for the variable that says how long it is.
type pending struct {
	g       *group
	rows    []*Row
	indices []index // of the groups around it
}

// NewWalker returns a walk of t over s.
func NewWalker(t *Table, s Source, o Options) *Walker {
	w := &Walker{
		t: t, s: s, o: o,
		winner: map[string]*active{}, values: map[string]string{}, flags: map[string]bool{},
		corrected: map[string]string{}, settings: map[string]*active{},
		scratch: scratch{values: map[Ref]Value{}, provided: map[string]bool{}, lost: map[string]bool{}, vital: map[string]bool{}},
	}
	for k, v := range o.Facts {
		w.values[k] = v
	}
	for i := range t.Rows {
		r := &t.Rows[i]
		if n := len(w.groups); n > 0 && w.groups[n-1].ready() && outermost(r) != w.groups[n-1].g {
			w.expandLast()
		}
		w.add(r)
	}
	if n := len(w.groups); n > 0 && w.groups[n-1].ready() {
		w.expandLast()
	}
	return w
}

// ready reports whether a group waits for no variable. Such a group takes its place in
// the order of the table, for of several rows for one variable the first wins.
func (p *pending) ready() bool { return p.g.toName == "" && p.g.cond == nil }

// outermost returns the group around all others of a row, nil if there is none.
func outermost(r *Row) *group { return childOf(r.group, nil) }

// expandLast expands the group that was added last. Groups inside it wait.
func (w *Walker) expandLast() {
	n := len(w.groups) - 1
	p := w.groups[n]
	w.groups = w.groups[:n]
	w.expand(p)
}

// add makes a row active, or lets it wait with its group.
func (w *Walker) add(r *Row) {
	if !classHolds(r.Class, w.o.Class) {
		return
	}
	outer := outermost(r)
	if outer == nil {
		w.activate(r, r.Name, r.Source, nil)
		return
	}
	if n := len(w.groups); n == 0 || w.groups[n-1].g != outer {
		w.groups = append(w.groups, &pending{g: outer})
	}
	last := w.groups[len(w.groups)-1]
	last.rows = append(last.rows, r)
}

// classHolds reports whether a row's classes, some with '!', fit the model's.
func classHolds(want, have []string) bool {
	positive, found := false, false
	for _, c := range want {
		if n, ok := strings.CutPrefix(c, "!"); ok {
			if slices.Contains(have, n) {
				return false
			}
			continue
		}
		positive = true
		found = found || slices.Contains(have, c)
	}
	return !positive || found
}

// fill replaces the marks of indices; source counts from shift.
func fillIndices(text string, indices []index, source bool) string {
	for _, x := range indices {
		n := x.n
		if source {
			n += x.g.shift
		}
		text = strings.ReplaceAll(text, x.g.mark, strconv.Itoa(n))
	}
	return text
}

type index struct {
	g *group
	n int
}

// activate resolves a row and keeps it if the device has it.
func (w *Walker) activate(r *Row, name, source string, indices []index) *active {
	a := &active{Row: r, name: name, scale: r.Scale.in(w.o.Consts, 1), offset: r.Offset.in(w.o.Consts, 0), conv: converters()[r.As], decided: make([]int8, len(r.Fix))}
	if len(indices) > 0 && r.Default != "" {
		own := *r
		own.Default = fillIndices(r.Default, indices, false)
		a.Row = &own
	}
	form := w.t.form(r)
	var err error
	if r.Kind == Cmd {
		for _, s := range r.Steps {
			ref, e := w.s.Resolve(fillIndices(s.Source, indices, true), w.stepForm(s))
			a.steps = append(a.steps, ref)
			if e == nil && !w.s.Writable(ref) {
				e = ErrAbsent
			}
			err = errors.Join(err, e)
		}
		if len(a.steps) > 0 {
			a.ref = a.steps[0]
		}
	} else {
		a.ref, err = w.s.Resolve(source, form)
		if r.Kind == Setting && err == nil && !w.s.Writable(a.ref) {
			err = ErrAbsent
		}
	}
	if err != nil {
		if !errors.Is(err, ErrAbsent) && w.o.Log != nil {
			w.o.Log.Warn("a row of the table cannot be used", "table", w.t.Origin, "line", r.Line, "error", err)
		}
		return nil
	}
	w.rows = append(w.rows, a)
	return a
}

func (w *Walker) stepForm(s Step) Form {
	r := Row{As: s.As}
	if s.Or != 0 {
		return Raw
	}
	return w.t.form(&r)
}

// Poll reads what depth asks for and adds it to u. Conditions, words and alarms
// are not added: the driver composes ups.status of Flag, StatusWords and Alarms.
func (w *Walker) Poll(ctx context.Context, depth driver.Depth, u *driver.Update) error {
	switch depth {
	case driver.Init:
		return w.init(ctx, u)
	case driver.Quick:
		return w.read(ctx, u, w.quick, func(*active) bool { return true }, false)
	}
	written := w.dirty
	for _, name := range w.reset {
		u.Set(name, w.values[name])
	}
	w.reset = nil
	err := w.read(ctx, u, w.rows, func(a *active) bool {
		return a.Poll != PollOnce && (a.Poll != PollWritten || written)
	}, false)
	if err == nil {
		w.dirty = false
	}
	return err
}

// init reads everything, decides which row provides what, and then does the same
// for the groups whose length is known by now.
func (w *Walker) init(ctx context.Context, u *driver.Update) error {
	if err := w.read(ctx, u, w.rows, func(*active) bool { return true }, true); err != nil {
		return err
	}
	for len(w.groups) > 0 {
		p := w.groups[0]
		w.groups = w.groups[1:]
		from := len(w.rows)
		w.expand(p)
		fresh := w.rows[from:]
		err := w.read(ctx, u, w.rows, func(a *active) bool { return slices.Contains(fresh, a) }, true)
		if err != nil {
			return err
		}
	}
	w.rows = slices.DeleteFunc(w.rows, func(a *active) bool { return a.dropped })
	w.quick = slices.DeleteFunc(slices.Clone(w.rows), func(a *active) bool { return a.Poll != PollQuick })
	w.commands(u)
	return nil
}

// expand makes the rows of a group active once per index. Groups inside it wait
// for what these rows will say.
func (w *Walker) expand(p *pending) {
	to := p.g.to
	if p.g.toName != "" {
		n, err := strconv.ParseFloat(w.values[fillIndices(p.g.toName, p.indices, false)], 64)
		if err != nil {
			return
		}
		to = int(min(n, 1000))
	}
	if !p.g.cond.holds(w.env(0)) {
		return
	}
	for i := p.g.from; i <= to; i++ {
		now := append(slices.Clone(p.indices), index{p.g, i})
		for k := 0; k < len(p.rows); k++ {
			r := p.rows[k]
			if r.group == p.g {
				w.activate(r, fillIndices(r.Name, now, false), fillIndices(r.Source, now, true), now)
				continue
			}
			inner := childOf(r.group, p.g)
			end := k
			for end < len(p.rows) && p.rows[end].group != p.g && childOf(p.rows[end].group, p.g) == inner {
				end++
			}
			if q := (&pending{g: inner, rows: p.rows[k:end], indices: now}); q.ready() {
				w.expand(q)
			} else {
				w.groups = append(w.groups, q)
			}
			k = end - 1
		}
	}
}

// childOf returns the group on the way from outer down to g that is next to outer.
func childOf(g, outer *group) *group {
	for g != nil && g.outer != outer {
		g = g.outer
	}
	return g
}

// read reads the chosen ones of some rows in one go and applies them in order.
func (w *Walker) read(ctx context.Context, u *driver.Update, some []*active, chosen func(*active) bool, first bool) error {
	refs, rows, values := w.scratch.refs[:0], w.scratch.rows[:0], w.scratch.values
	clear(values)
	for _, a := range some {
		if a.dropped || !chosen(a) || !first && w.skip(a) {
			continue
		}
		rows = append(rows, a)
		if _, seen := values[a.ref]; a.Kind != Setting && !seen {
			values[a.ref] = Value{}
			refs = append(refs, a.ref)
		}
	}
	w.scratch.refs, w.scratch.rows = refs, rows
	vs, err := w.s.Read(ctx, refs)
	if err != nil {
		return err
	}
	for i, r := range refs {
		values[r] = vs[i]
	}
	w.apply(rows, values, u, first)
	return nil
}

// skip reports rows that nothing is to be learned from any more.
func (w *Walker) skip(a *active) bool {
	if a.Kind == Cmd || a.Kind == Setting {
		return true
	}
	return a.Kind == Var && w.taken(a)
}

// taken reports whether another row provides a variable for good.
func (w *Walker) taken(a *active) bool {
	win := w.winner[a.name]
	return w.settings[a.name] != nil || win != nil && win != a && a.If == nil && win.If == nil
}

// Push applies values that the device sent on its own.
func (w *Walker) Push(values map[Ref]Value, u *driver.Update) {
	var rows []*active
	for _, a := range w.rows {
		if _, ok := values[a.ref]; ok && !a.dropped && !w.skip(a) {
			rows = append(rows, a)
		}
	}
	w.apply(rows, values, u, false)
}

// apply takes over what was read, in the order of the table.
func (w *Walker) apply(rows []*active, values map[Ref]Value, u *driver.Update, first bool) {
	provided, lost := w.scratch.provided, w.scratch.lost
	vital := w.scratch.vital
	clear(provided)
	clear(lost)
	clear(vital)
	for _, a := range rows {
		if a.Kind == Setting {
			w.seed(a, u)
			continue
		}
		v := values[a.ref]
		if v.Err != nil {
			if first && errors.Is(v.Err, ErrAbsent) {
				a.dropped = true
			}
			w.failed(a, u, vital)
			continue
		}
		switch a.Kind {
		case Cmd:
		case Var, Reg:
			w.variable(a, v, u, provided, lost)
		default:
			a.said = true
			vital[a.vital()] = true
			w.condition(a, v)
		}
	}
	for name := range lost {
		if !provided[name] {
			u.Delete(name)
			delete(w.values, name)
		}
	}
	for condition, read := range vital {
		if condition != "" && !read {
			u.Missed(ups.StatusName)
		}
	}
}

// failed notes what a row that could not be read leaves unknown. What the device never
// said is missed by nobody.
func (w *Walker) failed(a *active, u *driver.Update, vital map[string]bool) {
	switch a.Kind {
	case Var:
		if w.winner[a.name] == a {
			u.Missed(a.name)
		}
	case Flag, Status:
		if name := a.vital(); name != "" && a.said && !vital[name] {
			vital[name] = false
		}
	}
}

// vital returns what a row tells of the power and the battery: without that ups.status
// is worth nothing. It is empty for all other conditions.
func (a *active) vital() string {
	switch name := strings.TrimPrefix(a.name, "!"); {
	case a.Kind == Status:
		return "status"
	case a.Kind != Flag:
		return ""
	case name == "offline":
		return "online"
	case name == "online", name == "lowbatt", name == "discharging":
		return name
	}
	return ""
}

// variable publishes what a row gives, if it is its turn.
func (w *Walker) variable(a *active, v Value, u *driver.Update, provided, lost map[string]bool) {
	win := w.winner[a.name]
	if provided[a.name] || a.Kind == Var && w.taken(a) {
		return
	}
	if a.If != nil && !a.If.holds(w.env(v.Number)) {
		if win == a {
			delete(w.winner, a.name)
			lost[a.name] = true
		}
		return
	}
	text, ok := w.text(a, v)
	if !ok {
		if win == a {
			lost[a.name] = true
			a.nothing = true
		}
		return
	}
	provided[a.name] = true
	w.values[a.name] = text
	if a.Kind == Reg {
		return
	}
	u.Set(a.name, text)
	if a.RW != nil && (win != a || a.nothing) && w.s.Writable(a.ref) {
		u.Writable(a.name, w.access(a))
	}
	w.winner[a.name] = a
	a.nothing = false
}

func (w *Walker) access(a *active) driver.Writable {
	x := driver.Writable{String: !a.RW.Number, MaxLen: a.RW.MaxLen}
	if e := w.t.enums[a.As]; e != nil && a.RW.Enum {
		x.Enum = e.texts()
		for _, t := range x.Enum {
			x.MaxLen = max(x.MaxLen, len(t))
		}
	}
	if a.RW.Max > a.RW.Min {
		x.Ranges = append(x.Ranges, rangeOf(a.RW))
	}
	return x
}

// seed gives a setting its first value.
func (w *Walker) seed(a *active, u *driver.Update) {
	if w.settings[a.name] != nil || w.winner[a.name] != nil {
		return
	}
	text := a.Default
	if w.o.Setting != nil {
		if own := w.o.Setting(a.name); own != "" {
			text = own
		}
	}
	if rounded, err := a.round(text); err == nil && rounded != text {
		if w.o.Log != nil {
			w.o.Log.Warn("the device counts in larger steps", "variable", a.name, "wanted", text, "becomes", rounded)
		}
		text = rounded
	}
	w.settings[a.name] = a
	w.values[a.name] = text
	u.Set(a.name, text)
	if a.RW != nil {
		u.Writable(a.name, w.access(a))
	}
}

// round rounds a setting up to its step.
func (a *active) round(text string) (string, error) {
	if a.Step <= 1 {
		return text, nil
	}
	n, err := parseNumber(text)
	if err != nil || n <= 0 {
		return text, err
	}
	return strconv.FormatFloat(math.Ceil(n/float64(a.Step))*float64(a.Step), 'f', 0, 64), nil
}

// Value returns what is known of a variable, a reg or a setting.
func (w *Walker) Value(name string) (string, bool) {
	v, ok := w.values[name]
	return v, ok
}

// Corrected returns the rules by which values are corrected, by variable.
func (w *Walker) Corrected() map[string]string { return w.corrected }

func (w *Walker) env(value float64) *env {
	return &env{value: value, consts: w.o.Consts, lookup: w.lookup}
}

// lookup is what {name} means in expressions: a value, or with flag.NAME whether a
// condition holds.
func (w *Walker) lookup(name string) (string, bool) {
	if f, ok := strings.CutPrefix(name, "flag."); ok {
		on, known := w.flags[f]
		return strconv.Itoa(int(truth(on))), known
	}
	v, ok := w.values[name]
	return v, ok
}

// wait pauses between the steps of a command.
func wait(ctx context.Context, seconds float64) error {
	if seconds <= 0 {
		return nil
	}
	t := time.NewTimer(time.Duration(seconds * float64(time.Second)))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait between two steps: %w", ctx.Err())
	}
}
