package schedule

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gonut/internal/conf"
	"gonut/internal/words"
)

var update = flag.Bool("update", false, "rewrite the expected actions in testdata")

// A transcript is a file in testdata. "= title" begins a story; the lines of
// upssched.conf below it come without CMDSCRIPT, PIPEFN and LOCKFN. Lines that begin
// with '+' are notifications and the time since the one before:
//
//	+5s ONBATT ups@host "UPS ups@host on battery"
//	+5s tick
//
// The indented lines below one are what follows, with its time where it is later. A
// schedule that quits starts over with the next order, as upssched does.
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
			got := play(t, f, string(text))
			if *update {
				if err := os.WriteFile(f, []byte(got), 0o666); err != nil {
					t.Fatal(err)
				}
				return
			}
			ws, gs := strings.Split(string(text), "\n"), strings.Split(got, "\n")
			for i := range max(len(ws), len(gs)) {
				if i >= len(ws) || i >= len(gs) || ws[i] != gs[i] {
					t.Fatalf("%s:%d: %q; want %q; rewrite it with -update and look at the difference",
						f, i+1, strings.Join(gs[min(i, len(gs)):min(i+1, len(gs))], ""), strings.Join(ws[min(i, len(ws)):min(i+1, len(ws))], ""))
				}
			}
		})
	}
}

// play runs every story of a file and returns the file with the actions that came.
func play(t *testing.T, name, text string) string {
	var out bytes.Buffer
	var s *story
	for i, l := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		where := fmt.Sprintf("%s:%d", name, i+1)
		switch {
		case strings.HasPrefix(l, "  "):
			continue
		case strings.HasPrefix(l, "= "):
			fmt.Fprintln(&out, l)
			s = &story{t: t, out: &out, config: "CMDSCRIPT script\nPIPEFN pipe\nLOCKFN lock\n", now: time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)}
		case strings.HasPrefix(l, "+"):
			fmt.Fprintln(&out, l)
			s.notification(where, l[1:])
		case l == "" || l[0] == '#':
			if l == "" {
				s.settle()
			}
			fmt.Fprintln(&out, l)
		default:
			fmt.Fprintln(&out, l)
			s.config += l + "\n"
		}
	}
	s.settle()
	return out.String()
}

type story struct {
	t      *testing.T
	out    *bytes.Buffer
	config string
	now    time.Time
	lineAt time.Time
	s      *Schedule // nil: no timer process
}

func (s *story) notification(where, l string) {
	after, l, _ := strings.Cut(l, " ")
	d, err := time.ParseDuration(after)
	if err != nil {
		s.t.Fatalf("%s: %v", where, err)
	}
	until := s.now.Add(d)
	s.advance(until, false)
	s.now, s.lineAt = until, until
	if l == "tick" {
		s.step(Tick{})
		return
	}
	c, problems, err := conf.ParseUPSSched(where, strings.NewReader(s.config))
	if err != nil || len(problems) > 0 {
		s.t.Fatalf("%s: %v %v", where, problems, err)
	}
	ws, err := words.Split(l + ` "" ""`)
	if err != nil {
		s.t.Fatalf("%s: %v", where, err)
	}
	for _, o := range Orders(c, Origin{ws[0], ws[1], ws[2]}) {
		if c, ok := o.Event.(Cancel); ok && s.s == nil && c.Else == "" {
			continue // upssched starts no timer process for this
		}
		s.step(o.Event)
	}
}

// settle lets time pass until nothing happens any more.
func (s *story) settle() {
	if s != nil {
		s.advance(s.now.Add(24*time.Hour), true)
	}
}

// advance lets the timers end that are due before a time.
func (s *story) advance(until time.Time, last bool) {
	for s.s != nil {
		d := s.s.Deadline()
		if !d.Before(until) {
			if last {
				s.t.Errorf("nothing happens until %v", d)
			}
			return
		}
		s.now = d
		s.step(Tick{})
	}
}

func (s *story) step(e Event) {
	if s.s == nil {
		s.s = New(s.now)
	}
	for _, a := range s.s.Step(s.now, e) {
		at := ""
		if d := s.now.Sub(s.lineAt); d > 0 {
			at = "@" + d.String() + " "
		}
		fmt.Fprintf(s.out, "  %s%s\n", at, s.text(a))
		if _, ok := a.(Quit); ok {
			s.s = nil
			return
		}
	}
}

func (s *story) text(a Action) string {
	switch a := a.(type) {
	case Run:
		return fmt.Sprintf("run %s %q", a.Command, Environ(a.Origins))
	case Started:
		return fmt.Sprintf("started %s, due in %v", a.Name, a.Due.Sub(s.now))
	case Joined:
		return fmt.Sprintf("joined %s, due in %v, by %s", a.Name, a.Due.Sub(s.now), a.By.UPS)
	case Left:
		return fmt.Sprintf("left %s by %s, still wanted by %s", a.Name, a.By.UPS, UPSes(a.Origins))
	case Cancelled:
		return fmt.Sprintf("cancelled %s, due in %v", a.Name, a.Due.Sub(s.now))
	case Refused:
		return fmt.Sprintf("refused %s: %s", a.Name, a.Why)
	case Quit:
		return "quit"
	}
	return fmt.Sprintf("unknown action %T", a)
}
