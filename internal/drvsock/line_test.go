package drvsock

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"gonut/internal/netproto"
	"gonut/internal/ups"
	"gonut/internal/words"
)

var lines = []struct {
	change ups.Change
	line   string
}{
	{ups.Set("ups.status", "OL CHRG"), `SETINFO ups.status "OL CHRG"`},
	{ups.Set("ups.mfr", `abc " \ # q`), `SETINFO ups.mfr "abc \" \\ \# q"`},
	{ups.Set("ups.id", ""), `SETINFO ups.id ""`},
	{ups.Change{Op: ups.DelInfo, Name: "ups.id"}, `DELINFO ups.id`},
	{ups.Change{Op: ups.AddEnum, Name: "a", Args: []string{"th#ree"}}, `ADDENUM a "th\#ree"`},
	{ups.Change{Op: ups.DelEnum, Name: "a", Args: []string{"one two"}}, `DELENUM a "one two"`},
	{ups.Change{Op: ups.AddRange, Name: "a", Args: []string{"-1", "10"}}, `ADDRANGE a -1 10`},
	{ups.Change{Op: ups.DelRange, Name: "a", Args: []string{"1", "10"}}, `DELRANGE a 1 10`},
	{ups.Change{Op: ups.SetAux, Name: "a", Args: []string{"8"}}, `SETAUX a 8`},
	{ups.Change{Op: ups.SetFlags, Name: "a", Args: []string{"RW", "STRING"}}, `SETFLAGS a RW STRING`},
	{ups.Change{Op: ups.AddCmd, Name: "load.off"}, `ADDCMD load.off`},
	{ups.Change{Op: ups.DelCmd, Name: "load.off"}, `DELCMD load.off`},
	{ups.Change{Op: ups.DataOK}, `DATAOK`},
	{ups.Change{Op: ups.DataStale}, `DATASTALE`},
}

func TestAppendAndParse(t *testing.T) {
	for _, c := range lines {
		if got := string(Append([]byte("x"), c.change)); got != "x"+c.line+"\n" {
			t.Errorf("Append(%v) = %q; want %q", c.change, got, c.line+"\n")
		}
		ws, err := words.Split(c.line)
		if err != nil {
			t.Fatal(err)
		}
		for _, verb := range []string{ws[0], strings.ToLower(ws[0])} {
			got := Parse(slices.Concat([]string{verb}, ws[1:]))
			if got.Kind != Change || !sameChange(got.Change, c.change) {
				t.Errorf("Parse(%s %s) = %+v; want %v", verb, c.line, got, c.change)
			}
		}
	}
}

func sameChange(a, b ups.Change) bool {
	return a.Op == b.Op && a.Name == b.Name && slices.Equal(a.Args, b.Args)
}

func TestAppendCutsValues(t *testing.T) {
	got := string(Append(nil, ups.Set("a", strings.Repeat("x", 254)+`"`)))
	if want := `SETINFO a "` + strings.Repeat("x", 254) + "\"\n"; got != want {
		t.Errorf("Append of a long value = %q; want %q", got, want)
	}
}

func TestParseOther(t *testing.T) {
	for line, want := range map[string]Message{
		"PONG": {Kind: PongReply}, "pong": {Kind: PongReply}, "DUMPDONE": {Kind: DumpEnd},
		"TRACKING abc 0":     {Kind: TrackingDone, ID: "abc"},
		"TRACKING abc 3 x":   {Kind: TrackingDone, ID: "abc", Result: netproto.Failed},
		"TRACKING abc -1":    {Kind: TrackingDone, ID: "abc", Result: netproto.Pending},
		"PID 123":            {Kind: PIDReply, ID: "123"},
		"OK Goodbye":         {Kind: GoodbyeReply},
		"SETINFO a b c":      {Kind: Change, Change: ups.Change{Op: ups.SetInfo, Name: "a", Args: []string{"b", "c"}}},
		"DATAOK and more":    {Kind: Change, Change: ups.Change{Op: ups.DataOK}},
		"":                   {},
		"TRACKING abc":       {},
		"PID":                {},
		"SETINFO a":          {},
		"SETINFO":            {},
		"DELINFO":            {},
		"ADDENUM a":          {},
		"DELENUM a":          {},
		"ADDRANGE a 1":       {},
		"DELRANGE a 1":       {},
		"SETAUX a":           {},
		"SETFLAGS a":         {}, // so flags cannot be cleared, as in C
		"ADDCMD":             {},
		"DELCMD":             {},
		"SOMETHING new here": {},
		"PING":               {},
	} {
		ws, err := words.Split(line)
		if err != nil {
			t.Fatal(err)
		}
		if got := Parse(ws); !reflect.DeepEqual(got, want) {
			t.Errorf("Parse(%q) = %+v; want %+v", line, got, want)
		}
	}
}

func TestAppendTracking(t *testing.T) {
	if got, want := string(AppendTracking(nil, "id-1", netproto.ConversionFailed)), "TRACKING id-1 4\n"; got != want {
		t.Errorf("AppendTracking = %q; want %q", got, want)
	}
}

// TestParseRequest has C's table of how many words mean what. A malformed request
// with an id keeps it, so that the asker is told.
func TestParseRequest(t *testing.T) {
	for _, c := range []struct {
		line string
		want Request
		ok   bool
		err  bool
	}{
		{"", Request{}, false, false},
		{"PING", Request{}, false, false},
		{"SETINFO a b", Request{}, false, false},

		{"INSTCMD", Request{}, true, true},
		{"INSTCMD load.off", Request{Name: "load.off"}, true, false},
		{"instcmd load.off 5", Request{Name: "load.off", Value: "5", HasValue: true}, true, false},
		{`INSTCMD load.off "1 2"`, Request{Name: "load.off", Value: "1 2", HasValue: true}, true, false},
		{`INSTCMD load.off ""`, Request{Name: "load.off", HasValue: true}, true, false},
		{"INSTCMD load.off TRACKING id", Request{Name: "load.off", ID: "id"}, true, false},
		{"INSTCMD load.off 5 tracking id", Request{Name: "load.off", Value: "5", HasValue: true, ID: "id"}, true, false},
		{"INSTCMD TRACKING id", Request{Name: "TRACKING", Value: "id", HasValue: true}, true, false},
		{"INSTCMD load.off a b", Request{}, true, true},
		{"INSTCMD load.off 5 TRACKING", Request{}, true, true},
		{"INSTCMD load.off a b TRACKING id", Request{ID: "id"}, true, true},
		{"INSTCMD load.off a b c", Request{}, true, true},

		{"SET", Request{Set: true}, true, true},
		{"SET a", Request{Set: true}, true, true},
		{"SET a b", Request{Set: true, Name: "a", Value: "b", HasValue: true}, true, false},
		{`set a ""`, Request{Set: true, Name: "a", HasValue: true}, true, false},
		{"SET a b TRACKING id", Request{Set: true, Name: "a", Value: "b", HasValue: true, ID: "id"}, true, false},
		{"SET a TRACKING", Request{Set: true, Name: "a", Value: "TRACKING", HasValue: true}, true, false},
		{"SET a TRACKING id", Request{Set: true}, true, true},
		{"SET a b c", Request{Set: true}, true, true}, // C sets a to b
		{"SET a b c d", Request{Set: true}, true, true},
		{"SET a b c TRACKING id", Request{Set: true, ID: "id"}, true, true},
	} {
		ws, err := words.Split(c.line)
		if err != nil {
			t.Fatal(err)
		}
		got, ok, err := ParseRequest(ws)
		if got != c.want || ok != c.ok || (err != nil) != c.err {
			t.Errorf("ParseRequest(%q) = %+v, %v, %v; want %+v, %v, error %v", c.line, got, ok, err, c.want, c.ok, c.err)
		}
	}
}

func TestRequestAppend(t *testing.T) {
	for _, c := range []struct {
		request Request
		want    string
	}{
		{Request{Name: "load.off"}, "INSTCMD load.off"},
		{Request{Name: "load.off", Value: "5", HasValue: true}, "INSTCMD load.off 5"},
		{Request{Name: "load.off", Value: "1 2", HasValue: true}, `INSTCMD load.off "1 2"`},
		{Request{Name: "load.off", HasValue: true}, `INSTCMD load.off ""`},
		{Request{Name: "load.off", ID: "id"}, "INSTCMD load.off TRACKING id"},
		{Request{Set: true, Name: "a", Value: "5", HasValue: true}, `SET a "5"`},
		{Request{Set: true, Name: "a"}, `SET a ""`},
		{Request{Set: true, Name: "a", Value: `x "y"`, HasValue: true, ID: "id"}, `SET a "x \"y\"" TRACKING id`},
	} {
		if got := string(c.request.Append(nil)); got != c.want+"\n" {
			t.Errorf("%+v.Append = %q; want %q", c.request, got, c.want+"\n")
		}
	}
}

// carried returns what a word of the grammar can hold of the text.
func carried(text string) string {
	ws, err := words.Split(string(words.AppendQuoted(nil, text)))
	if err != nil || len(ws) != 1 {
		return ""
	}
	return ws[0]
}

// FuzzChange checks that a change survives the socket, but for what the grammar
// does not carry.
func FuzzChange(f *testing.F) {
	for _, c := range lines {
		f.Add(uint8(c.change.Op), c.change.Name, strings.Join(c.change.Args, "\x00"))
	}
	f.Fuzz(func(t *testing.T, op uint8, name, args string) {
		c := ups.Change{Op: ups.Op(op % uint8(len(verbs)))}
		if least[c.Op] > 0 {
			if c.Name = carried(name); c.Name == "" {
				return
			}
			for _, a := range strings.Split(args, "\x00")[:min(strings.Count(args, "\x00")+1, 30)] {
				if a = carried(a); len(a) < MaxValue/2 {
					c.Args = append(c.Args, a)
				}
			}
		}
		line := Append(nil, c)
		ws, err := words.Split(string(line))
		if err != nil {
			t.Fatalf("Append(%v) = %q is no line: %v", c, line, err)
		}
		got := Parse(ws)
		if len(ws)-1 < least[c.Op] {
			if got.Kind != None {
				t.Errorf("Parse(%q) = %+v; want it ignored", line, got)
			}
			return
		}
		if got.Kind != Change || !sameChange(got.Change, c) {
			t.Errorf("Parse(Append(%v)) = %+v by %q", c, got, line)
		}
	})
}

// FuzzRequest checks that requests survive the socket.
func FuzzRequest(f *testing.F) {
	f.Add(true, "ups.id", "a b", true, "id")
	f.Add(false, "load.off", "", false, "")
	f.Add(false, "TRACKING", "TRACKING", true, "")
	f.Fuzz(func(t *testing.T, set bool, name, value string, has bool, id string) {
		r := Request{Set: set, Name: carried(name), Value: carried(value), HasValue: has || set, ID: carried(id)}
		if !r.HasValue {
			r.Value = ""
		}
		if strings.EqualFold(r.Name, "TRACKING") || strings.EqualFold(r.Value, "TRACKING") {
			return // the protocol has no way to tell these from the keyword
		}
		line := r.Append(nil)
		ws, err := words.Split(string(line))
		if err != nil {
			t.Fatalf("%+v.Append = %q is no line: %v", r, line, err)
		}
		got, ok, err := ParseRequest(ws)
		if err != nil || !ok || got != r {
			t.Errorf("ParseRequest(%q) = %+v, %v, %v; want %+v", line, got, ok, err, r)
		}
	})
}

// FuzzParse checks that no line from a driver does harm.
func FuzzParse(f *testing.F) {
	for _, c := range lines {
		f.Add(c.line)
	}
	f.Add("TRACKING x 1")
	f.Fuzz(func(t *testing.T, line string) {
		ws, _ := words.Split(line)
		m := Parse(ws)
		if m.Kind == Change {
			ups.NewState().Apply(ups.Set(m.Change.Name, "x"), m.Change)
		}
		if r, ok, err := ParseRequest(ws); ok && err == nil && len(ws) < 2 {
			t.Errorf("ParseRequest(%q) = %+v from %d words", line, r, len(ws))
		}
	})
}
