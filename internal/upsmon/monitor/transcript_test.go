package monitor

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"gonut/internal/conf"
)

var update = flag.Bool("update", false, "rewrite the expected actions in testdata")

// A transcript is a file in testdata. Lines that begin with '+' are events and the
// time since the one before; indented lines below an event are the actions that
// follow, with their time where it is later. "= title" starts over with the
// configuration lines below it. The words after the event:
//
//	start                         the first event; happens by itself at +0s
//	status UPS TOKENS… [alarm=TEXT] [name=value…] [partial]
//	lost UPS [waited=TIME] [ERROR], fsd, stop, suspend, resume, parentgone, clockjump TIME, clockset TIME, tick
//	fsdset UPS [ERROR], logins UPS N, connected UPS [login] [primary] [error…]
//	reload, followed by its configuration on lines that begin with '|'
//
// "+5s*7 status …" is seven times the same at intervals of 5 s. In a story with the
// line "auto" has servers that take FSD and count one login. "want shutdown FROM
// TO" and "want no shutdown" are checked.
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("transcripts: %v, %v", files, err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			compare(t, f, string(text), play(t, f, string(text), ""))
		})
	}
}

// Every story is also played under C's rule for a UPS that was lost in trouble. What
// then goes another way is in testdata/nut, story by story; all others are the same.
// What the story wants is not checked: that is the point of our own rule.
func TestTranscriptsUnderCsRule(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("transcripts: %v, %v", files, err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			ours, theirs := stories(string(text)), stories(play(t, f, string(text), "LOSTCOMMS nut"))
			if len(ours) != len(theirs) {
				t.Fatalf("%s: %d stories under C's rule; want %d", f, len(theirs), len(ours))
			}
			var others strings.Builder
			for i, s := range theirs {
				if s != ours[i] {
					others.WriteString(strings.TrimRight(s, "\n") + "\n\n")
				}
			}
			golden := filepath.Join("testdata", "nut", filepath.Base(f))
			want, err := os.ReadFile(golden)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				t.Fatal(err)
			}
			if len(want) == 0 && others.Len() == 0 {
				return
			}
			compare(t, golden, string(want), others.String())
		})
	}
}

// stories splits a transcript at the lines that begin with "= ".
func stories(text string) []string {
	parts := strings.Split("\n"+text, "\n= ")[1:]
	for i, p := range parts {
		parts[i] = "= " + strings.TrimRight(p, "\n")
	}
	return parts
}

// compare compares a golden file with what came, or rewrites it.
func compare(t *testing.T, file, want, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o666); err != nil {
			t.Fatal(err)
		}
		return
	}
	if got != want {
		t.Errorf("%s: %s\nrewrite it with -update and look at the difference", file, firstDifference(want, got))
	}
}

func firstDifference(want, got string) string {
	ws, gs := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range min(len(ws), len(gs)) {
		if ws[i] != gs[i] {
			return fmt.Sprintf("line %d = %q; want %q", i+1, gs[i], ws[i])
		}
	}
	return fmt.Sprintf("%d lines; want %d", len(gs), len(ws))
}

// play runs every story of a file and returns the file with the actions that came.
// rule is a line of configuration for those that do not choose it themselves; with one
// it is not checked what the stories want.
func play(t *testing.T, name, text, rule string) string {
	var out bytes.Buffer
	var s *story
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	for i, l := range lines {
		if strings.HasPrefix(l, "  ") {
			continue // an action
		}
		if strings.HasPrefix(l, "= ") {
			s.finish()
			s = &story{t: t, where: fmt.Sprintf("%s:%d", name, i+1), title: l[2:], out: &out, rule: rule}
		}
		var more []string
		for j := i + 1; j < len(lines) && (strings.HasPrefix(lines[j], "|") || strings.HasPrefix(lines[j], "  ")); j++ {
			if strings.HasPrefix(lines[j], "|") {
				more = append(more, lines[j][1:])
			}
		}
		if strings.HasPrefix(l, "+") {
			s.where = fmt.Sprintf("%s:%d", name, i+1)
			if strings.HasSuffix(l, "reload") {
				fmt.Fprintln(&out, l)
				for _, m := range more {
					fmt.Fprintln(&out, "|"+m)
				}
				s.event(l, strings.Join(more, "\n"))
				continue
			}
			fmt.Fprintln(&out, l)
			s.event(l, "")
			continue
		}
		if strings.HasPrefix(l, "|") {
			continue // printed with its reload
		}
		if l == "" {
			s.settle()
		}
		fmt.Fprintln(&out, l)
		if s != nil {
			s.header(l)
		}
	}
	s.finish()
	return out.String()
}

// A story is one run of a Monitor.
type story struct {
	t         *testing.T
	where     string
	title     string
	out       *bytes.Buffer
	rule      string
	config    strings.Builder
	auto      bool
	showStart bool
	want      []time.Duration // empty with check: none at all
	check     bool

	m        *Monitor
	start    time.Time
	now      time.Time
	lineAt   time.Time        // of the event that the file tells of
	last     map[string]Event // what was last read from each UPS
	shutdown time.Duration    // -1: none
}

func (s *story) header(l string) {
	switch f := strings.Fields(l); {
	case len(f) == 0 || f[0] == "=" || strings.HasPrefix(l, "#"):
	case l == "show start":
		s.showStart = true
	case f[0] == "auto":
		s.auto = true
	case f[0] == "want":
		s.check = true
		if strings.Join(f, " ") == "want no shutdown" {
			return
		}
		for _, w := range f[2:] {
			s.want = append(s.want, s.duration(w))
		}
	default:
		s.config.WriteString(l + "\n")
	}
}

// ruled adds the rule to a configuration that has none.
func (s *story) ruled(config string) string {
	if strings.Contains(config, "LOSTCOMMS") {
		return config
	}
	return config + "\n" + s.rule + "\n"
}

func (s *story) duration(text string) time.Duration {
	d, err := time.ParseDuration(text)
	if err != nil {
		s.t.Fatalf("%s: %v", s.where, err)
	}
	return d
}

func (s *story) begin() {
	if s.m != nil {
		return
	}
	c, problems, err := conf.ParseUPSMon(s.where, strings.NewReader(s.ruled(s.config.String())))
	problems = slices.DeleteFunc(problems, func(p conf.Problem) bool { return strings.HasSuffix(p.Text, "nothing comes of this line") })
	if err != nil || len(problems) > 0 {
		s.t.Fatalf("%s: configuration: %v %v", s.where, problems, err)
	}
	s.start = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	s.now, s.lineAt, s.shutdown = s.start, s.start, -1
	s.last = make(map[string]Event)
	s.m = New(c)
	out := s.out
	if !s.showStart {
		s.out = new(bytes.Buffer)
	}
	s.step(Started{}, s.now)
	s.out = out
}

// event takes in one line of the file.
func (s *story) event(l, more string) {
	s.begin()
	after, words, _ := strings.Cut(strings.TrimPrefix(l, "+"), " ")
	after, times, repeated := strings.Cut(after, "*")
	n := 1
	if repeated {
		var err error
		if n, err = strconv.Atoi(times); err != nil {
			s.t.Fatalf("%s: %v", s.where, err)
		}
	}
	for i := range n {
		at := s.now.Add(s.duration(after))
		if i == 0 {
			s.lineAt = at
		}
		s.pass(at)
		s.now = at
		ev := s.parse(words, more)
		if a, ok := ev.(Status); ok {
			s.last[a.UPS] = ev
		} else if a, ok := ev.(Lost); ok {
			s.last[a.UPS] = ev
		}
		s.step(ev, at)
	}
}

// pass lets the Monitor's own timers run until at.
func (s *story) pass(at time.Time) {
	for i := 0; ; i++ {
		d := s.m.Deadline()
		if d.IsZero() || d.After(at) {
			return
		}
		if i > 10000 || d.Before(s.now) {
			s.t.Fatalf("%s: deadline %s at %s does not advance", s.where, d.Sub(s.start), s.now.Sub(s.start))
		}
		s.now = d
		s.step(Tick{}, d)
	}
}

func (s *story) step(ev Event, at time.Time) {
	actions := append([]Action(nil), s.m.Step(at, ev)...)
	var next []Event
	for _, a := range actions {
		stamp := ""
		if !at.Equal(s.lineAt) {
			stamp = fmt.Sprintf("[%s] ", at.Sub(s.start))
		}
		if l, ok := a.(Log); !ok || l.Level != LevelDebug {
			fmt.Fprintf(s.out, "  %s%s\n", stamp, a)
		}
		switch a := a.(type) {
		case Shutdown:
			if s.shutdown >= 0 {
				s.t.Errorf("%s: a second shutdown", s.where)
			}
			s.shutdown = at.Sub(s.start)
		case SetFSD:
			next = append(next, FSDSet{UPS: a.UPS})
		case Poll:
			if ev := s.last[a.UPS]; ev != nil {
				next = append(next, ev)
			}
		case AskLogins:
			next = append(next, Logins{UPS: a.UPS, N: 1})
		}
	}
	if s.auto {
		for _, e := range next {
			s.step(e, at)
		}
	}
}

// settle lets a shutdown that is under way end.
func (s *story) settle() {
	if s != nil && s.m != nil && s.m.Phase() > Watching && s.auto {
		s.pass(s.now.Add(time.Hour))
	}
}

// finish checks what was wanted.
func (s *story) finish() {
	if s == nil || s.m == nil {
		return
	}
	s.settle()
	switch {
	case !s.check || s.rule != "":
	case len(s.want) == 0 && s.shutdown >= 0:
		s.t.Errorf("%s (%s): shutdown at %s; want none", s.where, s.title, s.shutdown)
	case len(s.want) == 0:
	case s.shutdown < 0:
		s.t.Errorf("%s (%s): no shutdown; want one at %s", s.where, s.title, s.want)
	case s.shutdown < s.want[0] || s.shutdown > s.want[len(s.want)-1]:
		s.t.Errorf("%s (%s): shutdown at %s; want %s", s.where, s.title, s.shutdown, s.want)
	}
}

func (s *story) parse(words, more string) Event {
	f := strings.Fields(words)
	arg := func(i int) string {
		if i < len(f) {
			return f[i]
		}
		return ""
	}
	rest := func(i int) string {
		if i < len(f) {
			return strings.Join(f[i:], " ")
		}
		return ""
	}
	switch arg(0) {
	case "status":
		return s.parseStatus(f)
	case "lost":
		if w, ok := strings.CutPrefix(arg(2), "waited="); ok {
			return Lost{UPS: arg(1), Err: rest(3), Waited: s.duration(w)}
		}
		return Lost{UPS: arg(1), Err: rest(2)}
	case "connected":
		ev := Connected{UPS: arg(1)}
		i := 2
		for ; arg(i) == "login" || arg(i) == "primary"; i++ {
			ev.LoggedIn = ev.LoggedIn || arg(i) == "login"
			ev.Primary = ev.Primary || arg(i) == "primary"
		}
		ev.Err = rest(i)
		return ev
	case "fsdset":
		return FSDSet{UPS: arg(1), Err: rest(2)}
	case "logins":
		n, err := strconv.Atoi(arg(2))
		if err != nil {
			return Logins{UPS: arg(1), Err: rest(2)}
		}
		return Logins{UPS: arg(1), N: n}
	case "reload":
		c, problems, err := conf.ParseUPSMon(s.where, strings.NewReader(s.ruled(more)))
		if err != nil || len(problems) > 0 {
			s.t.Fatalf("%s: configuration: %v %v", s.where, problems, err)
		}
		return Reloaded{Config: c}
	case "clockjump", "clockset":
		return ClockJump{By: s.duration(arg(1)), Set: arg(0) == "clockset"}
	}
	ev, ok := map[string]Event{
		"fsd": UserFSD{}, "stop": Stop{}, "suspend": Suspending{}, "resume": Resumed{}, "parentgone": ParentGone{}, "tick": Tick{},
	}[words]
	if !ok {
		s.t.Fatalf("%s: unknown event %q", s.where, words)
	}
	return ev
}

func (s *story) parseStatus(f []string) Event {
	ev := Status{UPS: f[1]}
	var tokens []string
	for i := 2; i < len(f); i++ {
		name, value, ok := strings.Cut(f[i], "=")
		switch {
		case f[i] == "partial":
			ev.Partial = true
		case !ok:
			tokens = append(tokens, f[i])
		case name == "alarm":
			ev.Alarm = strings.Join(append([]string{value}, f[i+1:]...), " ")
			i = len(f)
		case name == "buzzwords":
			ev.Buzzwords = value
		default:
			ev.Values = append(ev.Values, Value{name, value})
		}
	}
	ev.Status = strings.Join(tokens, " ")
	return ev
}
