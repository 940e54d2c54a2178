package ups

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
)

func change(op Op, name string, args ...string) Change { return Change{op, name, args} }

// apply performs the changes one by one and returns those that changed something.
func apply(s *State, cs ...Change) []Change {
	_, w := s.Watch()
	defer w.Stop()
	var done []Change
	for _, c := range cs {
		s.Apply(c)
		select {
		case got := <-w.Changes():
			done = append(done, got...)
		default:
		}
	}
	return done
}

// TestApply has a row for each rule of the state store: changes made before, the
// change, whether it counts and what the variable is then.
func TestApply(t *testing.T) {
	v := change(SetInfo, "ups.id", "x")
	enum := []Change{v, change(AddEnum, "ups.id", "One"), change(AddEnum, "ups.id", "two")}
	ranges := []Change{v, change(AddRange, "ups.id", "1", "10"), change(AddRange, "ups.id", "20", "30")}
	for _, c := range []struct {
		rule   string
		before []Change
		change Change
		counts bool
		want   Variable
	}{
		{"a new variable", nil, v, true, Variable{Name: "ups.id", Value: "x"}},
		{"the first spelling is kept", []Change{v}, change(SetInfo, "UPS.ID", "y"), true, Variable{Name: "ups.id", Value: "y"}},
		{"the same value", []Change{v}, v, false, Variable{Name: "ups.id", Value: "x"}},
		{"only the case differs", []Change{v}, change(SetInfo, "ups.id", "X"), false, Variable{Name: "ups.id", Value: "x"}},
		{"an empty value", []Change{v}, change(SetInfo, "ups.id", ""), true, Variable{Name: "ups.id"}},
		{"more words than a value", nil, change(SetInfo, "ups.id", "x", "y"), true, Variable{Name: "ups.id", Value: "x"}},
		{"no value", []Change{v}, change(SetInfo, "ups.id"), false, Variable{Name: "ups.id", Value: "x"}},
		{"no value of a new variable", nil, change(SetInfo, "ups.id"), false, Variable{}},
		{"delete", []Change{v}, change(DelInfo, "Ups.Id"), true, Variable{}},
		{"delete what is not there", nil, change(DelInfo, "ups.id"), false, Variable{}},

		{"enum of an unknown variable", nil, change(AddEnum, "ups.id", "a"), false, Variable{}},
		{"enum in order", enum, change(AddEnum, "ups.id", "a"), true, Variable{Name: "ups.id", Value: "x", Enum: []string{"One", "two", "a"}}},
		{"enum twice", enum, change(AddEnum, "ups.id", "two"), false, Variable{Name: "ups.id", Value: "x", Enum: []string{"One", "two"}}},
		{"enum in another case", enum, change(AddEnum, "ups.id", "Two"), true, Variable{Name: "ups.id", Value: "x", Enum: []string{"One", "two", "Two"}}},
		{"enum without value", enum, change(AddEnum, "ups.id"), false, Variable{Name: "ups.id", Value: "x", Enum: []string{"One", "two"}}},
		{"enum leaves in any case", enum, change(DelEnum, "ups.id", "ONE"), true, Variable{Name: "ups.id", Value: "x", Enum: []string{"two"}}},
		{"enum that is not there leaves", enum, change(DelEnum, "ups.id", "three"), false, Variable{Name: "ups.id", Value: "x", Enum: []string{"One", "two"}}},

		{"range in order", ranges, change(AddRange, "ups.id", "11", "19"), true, Variable{Name: "ups.id", Value: "x", Ranges: []Range{{1, 10}, {20, 30}, {11, 19}}}},
		{"range with a known lower bound", ranges, change(AddRange, "ups.id", "1", "15"), false, Variable{Name: "ups.id", Value: "x", Ranges: []Range{{1, 10}, {20, 30}}}},
		{"range with a known upper bound", ranges, change(AddRange, "ups.id", "15", "30"), false, Variable{Name: "ups.id", Value: "x", Ranges: []Range{{1, 10}, {20, 30}}}},
		{"range upside down", ranges, change(AddRange, "ups.id", "50", "40"), false, Variable{Name: "ups.id", Value: "x", Ranges: []Range{{1, 10}, {20, 30}}}},
		{"range of one number", ranges, change(AddRange, "ups.id", "50", "50"), true, Variable{Name: "ups.id", Value: "x", Ranges: []Range{{1, 10}, {20, 30}, {50, 50}}}},
		{"range of an unknown variable", nil, change(AddRange, "ups.id", "1", "2"), false, Variable{}},
		{"range leaves by one bound", ranges, change(DelRange, "ups.id", "7", "10"), true, Variable{Name: "ups.id", Value: "x", Ranges: []Range{{20, 30}}}},
		{"range that is not there leaves", ranges, change(DelRange, "ups.id", "7", "8"), false, Variable{Name: "ups.id", Value: "x", Ranges: []Range{{1, 10}, {20, 30}}}},

		{"length", []Change{v}, change(SetAux, "ups.id", "8"), true, Variable{Name: "ups.id", Value: "x", MaxLen: 8}},
		{"length with junk", []Change{v}, change(SetAux, "ups.id", "8 bytes"), true, Variable{Name: "ups.id", Value: "x", MaxLen: 8}},
		{"the same length", []Change{v, change(SetAux, "ups.id", "8")}, change(SetAux, "ups.id", "8"), false, Variable{Name: "ups.id", Value: "x", MaxLen: 8}},
		{"length of an unknown variable", nil, change(SetAux, "ups.id", "8"), false, Variable{}},

		{"flags", []Change{v}, change(SetFlags, "ups.id", "RW", "string"), true, Variable{Name: "ups.id", Value: "x", Flags: RW | String}},
		{"flags are a set", []Change{v, change(SetFlags, "ups.id", "RW", "STRING")}, change(SetFlags, "ups.id", "NUMBER"), true, Variable{Name: "ups.id", Value: "x", Flags: Number}},
		{"unknown flags", []Change{v}, change(SetFlags, "ups.id", "RW", "MAGIC"), true, Variable{Name: "ups.id", Value: "x", Flags: RW}},
		{"the same flags", []Change{v, change(SetFlags, "ups.id", "RW", "STRING")}, change(SetFlags, "ups.id", "STRING", "RW"), false, Variable{Name: "ups.id", Value: "x", Flags: RW | String}},
		{"flags of an unknown variable", nil, change(SetFlags, "ups.id", "RW"), false, Variable{}},
		{"nobody becomes immutable by a flag", []Change{v}, change(SetFlags, "ups.id", "IMMUTABLE"), false, Variable{Name: "ups.id", Value: "x"}},
		{"an operation that does not exist", []Change{v}, change(Op(99), "ups.id", "y"), false, Variable{Name: "ups.id", Value: "x"}},
	} {
		s := NewState()
		s.Apply(c.before...)
		before := s.Snapshot()
		kept := fmt.Sprint(*before)
		done := apply(s, c.change)
		if counts := len(done) == 1; counts != c.counts {
			t.Errorf("%s: Apply(%v) tells watchers %v; want it to count: %v", c.rule, c.change, done, c.counts)
		}
		got, ok := s.Variable("ups.id")
		if !reflect.DeepEqual(got, c.want) || ok != (c.want.Name != "") {
			t.Errorf("%s: after %v the variable is %+v, %v; want %+v", c.rule, c.change, got, ok, c.want)
		}
		if now := fmt.Sprint(*before); now != kept {
			t.Errorf("%s: the earlier snapshot was changed from %s to %s", c.rule, kept, now)
		}
	}
}

func TestApplyCommandsAndStale(t *testing.T) {
	s := NewState()
	got := apply(s,
		change(DataStale, ""), // already
		change(AddCmd, "load.off"), change(AddCmd, "Beeper.mute"), change(AddCmd, "LOAD.OFF"),
		change(DelCmd, "nope"), change(DelCmd, "LOAD.off"), change(AddCmd, "test.panel.start"),
		change(DataOK, ""), change(DataOK, ""), change(DataStale, ""),
	)
	want := []Change{
		change(AddCmd, "load.off"), change(AddCmd, "Beeper.mute"), change(DelCmd, "LOAD.off"),
		change(AddCmd, "test.panel.start"), change(DataOK, ""), change(DataStale, ""),
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("what counted = %v; want %v", got, want)
	}
	if !s.Stale() || !s.HasCommand("beeper.MUTE") || s.HasCommand("load.off") {
		t.Errorf("Stale %v, beeper.MUTE %v, load.off %v; want true, true, false", s.Stale(), s.HasCommand("beeper.MUTE"), s.HasCommand("load.off"))
	}
}

// TestOrder checks the order of lists: upper case as lower case, and '-' before '.'
// before digits before letters.
func TestOrder(t *testing.T) {
	s := NewState()
	names := []string{"ups.b", "ups-a", "ups.1", "UPS.Mixed", "ups.a.b", "ups", "ups.a", "upsa", "ups._"}
	for _, n := range names {
		s.Apply(Set(n, "1"), change(AddCmd, n))
	}
	p := s.Snapshot()
	want := []string{"ups", "ups-a", "ups.1", "ups._", "ups.a", "ups.a.b", "ups.b", "UPS.Mixed", "upsa"}
	var got []string
	for _, v := range p.Variables {
		got = append(got, v.Name)
	}
	if !slices.Equal(got, want) || !slices.Equal(p.Commands, want) {
		t.Errorf("variables %q, commands %q; want %q", got, p.Commands, want)
	}
	for _, n := range names {
		if v, ok := p.Variable(strings.ToUpper(n)); !ok || v.Name != n {
			t.Errorf("Snapshot.Variable(%s) = %+v, %v; want %s", strings.ToUpper(n), v, ok, n)
		}
	}
	if _, ok := p.Variable("ups.c"); ok {
		t.Error("Snapshot.Variable(ups.c) is there")
	}
}

func TestSnapshotIsMadeOnce(t *testing.T) {
	s := NewState()
	s.Apply(Set("a", "1"))
	p := s.Snapshot()
	if s.Snapshot() != p {
		t.Error("two snapshots without a change between them differ")
	}
	s.Apply(Set("a", "1"))
	if s.Snapshot() != p {
		t.Error("a change that changes nothing makes a new snapshot")
	}
	s.Apply(Set("a", "2"))
	if q := s.Snapshot(); q == p || q.Variables[0].Value != "2" || p.Variables[0].Value != "1" {
		t.Errorf("after a change the snapshot is %+v and the old one %+v", q, p)
	}
}

func TestSnapshotChanges(t *testing.T) {
	s := NewState()
	s.Apply(
		Set("b", "x"), change(AddEnum, "b", "x"), change(AddEnum, "b", "y"), change(AddRange, "b", "1", "2"),
		change(SetAux, "b", "8"), change(SetFlags, "b", "NUMBER", "RW"), Set("a", ""), change(AddCmd, "c"),
	)
	want := []Change{
		change(DataStale, ""),
		Set("a", ""),
		Set("b", "x"), change(AddEnum, "b", "x"), change(AddEnum, "b", "y"), change(AddRange, "b", "1", "2"),
		change(SetAux, "b", "8"), change(SetFlags, "b", "RW", "NUMBER"),
		change(AddCmd, "c"),
	}
	if got := s.Snapshot().Changes(); !reflect.DeepEqual(got, want) {
		t.Errorf("Changes = %v; want %v", got, want)
	}
	s.Apply(change(DataOK, ""))
	want = append(want[1:], change(DataOK, ""))
	if got := s.Snapshot().Changes(); !reflect.DeepEqual(got, want) {
		t.Errorf("Changes = %v; want %v", got, want)
	}
	v, _ := s.Variable("b")
	if got := v.Changes(); !reflect.DeepEqual(got, want[1:7]) {
		t.Errorf("Variable.Changes = %v; want %v", got, want[1:7])
	}
}

func TestFreeze(t *testing.T) {
	s := NewState()
	s.Apply(Set("battery.charge.low", "10"), change(SetFlags, "battery.charge.low", "RW", "NUMBER"))
	_, w := s.Watch()
	defer w.Stop()
	s.Freeze("Battery.Charge.Low", "30")
	s.Freeze("ups.delay", "5")
	s.Freeze("ups.delay", "5")
	if got := [][]Change{<-w.Changes(), <-w.Changes()}; !reflect.DeepEqual(got, [][]Change{{Set("Battery.Charge.Low", "30")}, {Set("ups.delay", "5")}}) {
		t.Errorf("watchers hear %v; want the two new values", got)
	}
	done := apply(s, Set("battery.charge.low", "10"), change(DelInfo, "battery.charge.low"), change(SetFlags, "battery.charge.low", "RW"))
	if v, _ := s.Variable("battery.charge.low"); len(done) > 0 || v.Value != "30" || v.Flags != Immutable || v.Name != "battery.charge.low" {
		t.Errorf("after Freeze %v counted and the variable is %+v; want nothing and 30", done, v)
	}
	if cs := s.Snapshot().Changes(); !reflect.DeepEqual(cs[1:3], []Change{Set("battery.charge.low", "30"), Set("ups.delay", "5")}) {
		t.Errorf("Changes = %v; want the values and no flags", cs)
	}
}

// TestFreezeIsOneStep guards against a variable that is deleted while it is frozen.
func TestFreezeIsOneStep(t *testing.T) {
	s := NewState()
	var wg sync.WaitGroup
	wg.Go(func() {
		for range 2000 {
			s.Apply(change(DelInfo, "a"))
		}
	})
	for i := range 2000 {
		s.Freeze("a", fmt.Sprint(i))
	}
	wg.Wait()
	if got := s.Value("a"); got != "1999" {
		t.Errorf("Value(a) = %q; want 1999", got)
	}
}

func TestWatch(t *testing.T) {
	s := NewState()
	s.Apply(Set("a", "1"))
	p, w := s.Watch()
	if v, ok := p.Variable("a"); !ok || v.Value != "1" {
		t.Errorf("Watch's snapshot has %+v, %v; want 1", v, ok)
	}
	s.Apply(Set("a", "2"), Set("a", "2"), Set("b", "1")) // one step, of which two changes count
	if got, want := <-w.Changes(), []Change{Set("a", "2"), Set("b", "1")}; !reflect.DeepEqual(got, want) {
		t.Errorf("the feed gives %v; want %v", got, want)
	}
	s.Apply(Set("a", "2"))
	select {
	case got := <-w.Changes():
		t.Errorf("the feed gives %v for a change that changes nothing", got)
	default:
	}
	w.Stop()
	w.Stop()
	s.Apply(Set("a", "3"))
	if got, open := <-w.Changes(); open {
		t.Errorf("after Stop the feed gives %v; want it closed", got)
	}
}

// TestSlowWatcherIsCutOff makes sure that a reader that falls behind learns it
// instead of missing something.
func TestSlowWatcherIsCutOff(t *testing.T) {
	s := NewState()
	_, slow := s.Watch()
	_, quick := s.Watch()
	for i := range watchBuffer + 1 {
		s.Apply(Set("a", fmt.Sprint(i)))
		<-quick.Changes()
	}
	n := 0
	for range slow.Changes() {
		n++
	}
	if n != watchBuffer {
		t.Errorf("the slow watcher got %d steps before the end; want %d", n, watchBuffer)
	}
	slow.Stop()
	s.Apply(Set("a", "last"))
	if got := <-quick.Changes(); got[0].Args[0] != "last" {
		t.Errorf("the quick watcher gets %v; want last", got)
	}
	quick.Stop()
}

func TestClear(t *testing.T) {
	s := NewState()
	s.Apply(Set("a", "1"), change(AddCmd, "c"), change(DataOK, ""))
	old := s.Snapshot()
	_, w := s.Watch()
	s.Clear()
	if _, open := <-w.Changes(); open {
		t.Error("Clear leaves a watcher")
	}
	w.Stop()
	if p := s.Snapshot(); len(p.Variables) != 0 || len(p.Commands) != 0 || !p.Stale || !s.Stale() {
		t.Errorf("after Clear the snapshot is %+v; want nothing, stale", p)
	}
	if len(old.Variables) != 1 || old.Stale {
		t.Errorf("Clear changed an earlier snapshot to %+v", old)
	}
}

// TestMirror follows random changes with a second State, as upsd follows a driver:
// the first snapshot, then the feed. The two must agree at every step, and whoever
// reads on the side must not disturb them (for the race detector).
func TestMirror(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	word := func(ws ...string) string { return ws[r.IntN(len(ws))] }
	random := func() Change {
		c := Change{Op: Op(r.IntN(int(DataStale) + 1))}
		if c.Op < DataOK {
			c.Name = word("a", "A", "b", "c.d", "C.d")
		}
		for range r.IntN(4) {
			c.Args = append(c.Args, word("x", "X", "y", "1", "2", "3", "RW", "STRING", ""))
		}
		return c
	}
	source := NewState()
	for range 20 {
		source.Apply(random())
	}
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
				source.Snapshot().Variable("a")
				source.Value("b")
				source.HasCommand("a")
			}
		}
	})
	p, w := source.Watch()
	mirror := NewState()
	mirror.Apply(p.Changes()...)
	for step := range 5000 {
		cs := make([]Change, r.IntN(4))
		for i := range cs {
			cs[i] = random()
		}
		source.Apply(cs...)
		for len(w.Changes()) > 0 {
			mirror.Apply(<-w.Changes()...)
		}
		if a, b := source.Snapshot(), mirror.Snapshot(); !same(a, b) {
			t.Fatalf("step %d, %v: the mirror has\n%+v; want\n%+v", step, cs, b, a)
		}
	}
	close(done)
	wg.Wait()
	w.Stop()
}

// same compares snapshots; an empty list is as good as none.
func same(a, b *Snapshot) bool {
	return a.Stale == b.Stale && slices.Equal(a.Commands, b.Commands) &&
		slices.EqualFunc(a.Variables, b.Variables, func(a, b Variable) bool {
			return strings.EqualFold(a.Name, b.Name) && a.Value == b.Value && a.Flags == b.Flags && a.MaxLen == b.MaxLen &&
				slices.Equal(a.Enum, b.Enum) && slices.Equal(a.Ranges, b.Ranges)
		})
}

func TestApplyReturnsWhatChanged(t *testing.T) {
	s := NewState()
	s.Apply(Set("ups.load", "5"))
	done := s.Apply(Set("ups.load", "5"), Set("ups.status", "OL"), Change{Op: DelInfo, Name: "none"})
	if len(done) != 1 || done[0].Name != "ups.status" {
		t.Errorf("Apply() = %v; want only the change of ups.status", done)
	}
	if done = s.Apply(Set("UPS.Status", "ol")); done != nil {
		t.Errorf("Apply() of what is so already = %v; want nil", done)
	}
}
