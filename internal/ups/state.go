package ups

import (
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
)

// A State is all that is known about one device. It is safe for use by several
// goroutines; nothing slow happens under its lock. Names are compared without
// regard to case and keep the spelling that came first.
type State struct {
	mu       sync.RWMutex
	vars     map[string]*Variable // by lower-case name; a *Variable is never changed, only replaced
	cmds     map[string]string    // lower-case name to name
	stale    bool
	watchers map[*Watcher]struct{}

	snapshot atomic.Pointer[Snapshot] // nil after a change; set under mu, read without it
}

// NewState returns the State of a device of which nothing is known yet; its data
// are stale.
func NewState() *State {
	return &State{
		vars:     make(map[string]*Variable),
		cmds:     make(map[string]string),
		stale:    true,
		watchers: make(map[*Watcher]struct{}),
	}
}

// Apply performs the changes in one step: no reader sees half of them. Watchers
// are told only of those that changed something, and so is the caller.
func (s *State) Apply(cs ...Change) (done []Change) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range cs {
		if s.apply(c) {
			done = append(done, c)
		}
	}
	if len(done) == 0 {
		return nil
	}
	s.snapshot.Store(nil)
	s.tell(done)
	return done
}

// tell hands changes to the watchers.
func (s *State) tell(cs []Change) {
	for w := range s.watchers {
		select {
		case w.ch <- cs:
		default: // too slow: it has to start over
			s.remove(w)
		}
	}
}

// Clear forgets all variables and commands and makes the data stale, as when a
// driver has gone. Watchers are cut off and have to start over.
func (s *State) Clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.vars)
	clear(s.cmds)
	s.stale = true
	s.snapshot.Store(nil)
	for w := range s.watchers {
		s.remove(w)
	}
}

// Variable returns the variable of that name.
func (s *State) Variable(name string) (v Variable, ok bool) {
	key := strings.ToLower(name)
	s.mu.RLock()
	defer s.mu.RUnlock()
	if p := s.vars[key]; p != nil {
		return *p, true
	}
	return Variable{}, false
}

// Value returns the value of a variable, empty if there is none.
func (s *State) Value(name string) string {
	v, _ := s.Variable(name)
	return v.Value
}

// HasCommand reports whether the device has the instant command.
func (s *State) HasCommand(name string) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	_, ok := s.cmds[strings.ToLower(name)]
	return ok
}

// Stale reports whether the data must not be trusted.
func (s *State) Stale() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.stale
}

// Snapshot returns all that is known now. Until something changes, the same
// pointer is returned, and many readers do not get into each other's way.
func (s *State) Snapshot() *Snapshot {
	if p := s.snapshot.Load(); p != nil {
		return p
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.snap()
}

// Watch returns what is known now and a Watcher of everything after it, without
// a gap between the two. The caller must Stop the Watcher.
func (s *State) Watch() (*Snapshot, *Watcher) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := &Watcher{state: s, ch: make(chan []Change, watchBuffer)}
	s.watchers[w] = struct{}{}
	return s.snap(), w
}

func (s *State) snap() *Snapshot {
	if p := s.snapshot.Load(); p != nil {
		return p
	}
	p := &Snapshot{Stale: s.stale}
	p.Variables = make([]Variable, 0, len(s.vars))
	for _, v := range s.vars {
		p.Variables = append(p.Variables, *v)
	}
	slices.SortFunc(p.Variables, func(a, b Variable) int { return compareFold(a.Name, b.Name) })
	p.Commands = make([]string, 0, len(s.cmds))
	for _, c := range s.cmds {
		p.Commands = append(p.Commands, c)
	}
	slices.SortFunc(p.Commands, compareFold)
	s.snapshot.Store(p)
	return p
}

// apply performs one change and reports whether anything is different now. What
// makes no sense (an enum of an unknown variable, say) is ignored, as in C.
func (s *State) apply(c Change) bool {
	switch c.Op {
	case DataOK, DataStale:
		was := s.stale
		s.stale = c.Op == DataStale
		return s.stale != was
	case AddCmd:
		key := strings.ToLower(c.Name)
		if _, ok := s.cmds[key]; ok {
			return false
		}
		s.cmds[key] = c.Name
		return true
	case DelCmd:
		key := strings.ToLower(c.Name)
		_, ok := s.cmds[key]
		delete(s.cmds, key)
		return ok
	}
	return s.applyVariable(c)
}

func (s *State) applyVariable(c Change) bool {
	key := strings.ToLower(c.Name)
	old := s.vars[key]
	if old == nil {
		if c.Op != SetInfo || len(c.Args) < 1 {
			return false
		}
		s.vars[key] = &Variable{Name: c.Name, Value: c.Args[0]}
		return true
	}
	if c.Op == DelInfo {
		if old.Flags&Immutable != 0 {
			return false
		}
		delete(s.vars, key)
		return true
	}
	if c.Op == SetInfo && len(c.Args) > 0 && old.Value == c.Args[0] {
		return false // by far the most frequent case, without a copy
	}
	v := *old
	if !v.change(c) {
		return false
	}
	s.vars[key] = &v
	return true
}

// change alters v and reports whether it did. Slices are replaced, never altered.
func (v *Variable) change(c Change) bool {
	arg := func(i int) string {
		if i < len(c.Args) {
			return c.Args[i]
		}
		return ""
	}
	switch c.Op {
	case SetInfo:
		// C takes a change of case for none; clients depend on nothing else.
		if len(c.Args) < 1 || v.Flags&Immutable != 0 || strings.EqualFold(v.Value, c.Args[0]) {
			return false
		}
		v.Value = c.Args[0]
	case AddEnum:
		if len(c.Args) < 1 || slices.Contains(v.Enum, c.Args[0]) {
			return false
		}
		v.Enum = append(slices.Clip(v.Enum), c.Args[0])
	case DelEnum:
		i := slices.IndexFunc(v.Enum, func(e string) bool { return strings.EqualFold(e, arg(0)) })
		if i < 0 {
			return false
		}
		v.Enum = slices.Delete(slices.Clone(v.Enum), i, i+1)
	case AddRange:
		r := Range{Atoi(arg(0)), Atoi(arg(1))}
		if r.Min > r.Max || slices.ContainsFunc(v.Ranges, r.touches) {
			return false
		}
		v.Ranges = append(slices.Clip(v.Ranges), r)
	case DelRange:
		i := slices.IndexFunc(v.Ranges, Range{Atoi(arg(0)), Atoi(arg(1))}.touches)
		if i < 0 {
			return false
		}
		v.Ranges = slices.Delete(slices.Clone(v.Ranges), i, i+1)
	case SetAux:
		n := Atoi(arg(0))
		if n == v.MaxLen {
			return false
		}
		v.MaxLen = n
	case SetFlags:
		f := ParseFlags(c.Args)
		if f == v.Flags || v.Flags&Immutable != 0 {
			return false
		}
		v.Flags = f
	default:
		return false
	}
	return true
}

// touches is how C tells ranges apart: two are the same if either bound is.
func (r Range) touches(o Range) bool { return r.Min == o.Min || r.Max == o.Max }

// Freeze gives a variable a value that nothing but Freeze can change or delete any
// more, as override.* in ups.conf asks for. No client may set it.
func (s *State) Freeze(name, value string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := strings.ToLower(name)
	v := Variable{Name: name}
	if old := s.vars[key]; old != nil {
		v = *old
	}
	changed := v.Value != value || s.vars[key] == nil
	v.Value, v.Flags = value, Immutable
	s.vars[key] = &v
	s.snapshot.Store(nil)
	if changed {
		s.tell([]Change{Set(name, value)})
	}
}

// A Snapshot is all that was known about a device at one moment. It is never
// changed and may be shared.
type Snapshot struct {
	Variables []Variable // sorted by name without regard to case
	Commands  []string   // likewise
	Stale     bool
}

// Variable returns the variable of that name.
func (p *Snapshot) Variable(name string) (Variable, bool) {
	i, ok := slices.BinarySearchFunc(p.Variables, name, func(v Variable, n string) int { return compareFold(v.Name, n) })
	if !ok {
		return Variable{}, false
	}
	return p.Variables[i], true
}

// Changes returns the steps that build the snapshot from nothing, in the order of
// a dump on the driver socket.
func (p *Snapshot) Changes() []Change {
	var cs []Change
	if p.Stale {
		cs = append(cs, Change{Op: DataStale})
	}
	for i := range p.Variables {
		cs = p.Variables[i].appendChanges(cs)
	}
	for _, c := range p.Commands {
		cs = append(cs, Change{Op: AddCmd, Name: c})
	}
	if !p.Stale {
		cs = append(cs, Change{Op: DataOK})
	}
	return cs
}

// Changes returns the steps that make the variable from nothing.
func (v Variable) Changes() []Change { return v.appendChanges(nil) }

func (v *Variable) appendChanges(cs []Change) []Change {
	cs = append(cs, Set(v.Name, v.Value))
	for _, e := range v.Enum {
		cs = append(cs, Change{AddEnum, v.Name, []string{e}})
	}
	for _, r := range v.Ranges {
		cs = append(cs, Change{AddRange, v.Name, []string{strconv.Itoa(r.Min), strconv.Itoa(r.Max)}})
	}
	if v.MaxLen != 0 {
		cs = append(cs, Change{SetAux, v.Name, []string{strconv.Itoa(v.MaxLen)}})
	}
	if ws := v.Flags.Words(); ws != nil {
		cs = append(cs, Change{SetFlags, v.Name, ws})
	}
	return cs
}

// watchBuffer is how many steps a Watcher may fall behind before it is cut off.
const watchBuffer = 64

// A Watcher receives the changes of one State.
type Watcher struct {
	state *State
	ch    chan []Change
}

// Changes delivers each step's changes in order. It is closed by Stop and when
// the reader fell too far behind: then only a new Watch tells the truth. The
// slices are shared and must not be changed.
func (w *Watcher) Changes() <-chan []Change { return w.ch }

// Stop ends the feed. It may be called more than once.
func (w *Watcher) Stop() {
	w.state.mu.Lock()
	defer w.state.mu.Unlock()
	w.state.remove(w)
}

func (s *State) remove(w *Watcher) {
	if _, ok := s.watchers[w]; ok {
		delete(s.watchers, w)
		close(w.ch)
	}
}

// compareFold orders names as C does: byte by byte, upper case as lower case.
func compareFold(a, b string) int {
	for i := range min(len(a), len(b)) {
		if x, y := lower(a[i]), lower(b[i]); x != y {
			return int(x) - int(y)
		}
	}
	return len(a) - len(b)
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}

// Atoi reads the whole number that s begins with, as C's atoi does: blanks and a
// sign may come first, what follows is ignored and no digit at all means 0.
func Atoi(s string) int {
	s = strings.TrimLeft(s, " \t\n\v\f\r")
	end := 0
	if end < len(s) && (s[end] == '-' || s[end] == '+') {
		end++
	}
	for end < len(s) && '0' <= s[end] && s[end] <= '9' {
		end++
	}
	n, err := strconv.Atoi(s[:end])
	if err != nil && n == 0 {
		return 0
	}
	return n // at the limit of the type when out of range
}
