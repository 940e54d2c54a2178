package conf

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// seed adds our sample file and all bad lines of that file.
func seed(f *testing.F, file string) {
	f.Helper()
	sample, err := os.ReadFile(filepath.Join("..", "..", "conf", file))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(sample))
	for _, c := range badLines {
		if c.file == file {
			f.Add(c.text)
		}
	}
}

// checkProblems makes sure that every problem points into the text.
func checkProblems(t *testing.T, text string, problems []Problem, err error) {
	t.Helper()
	lines := strings.Count(text, "\n") + 1
	for _, p := range problems {
		if p.File != "f" || p.Line < 1 || p.Line > lines || p.Text == "" {
			t.Errorf("problem %+v in a text of %d lines: %q", p, lines, text)
		}
	}
	if p, ok := err.(Problem); err != nil && (!ok || p.Line < 1 || p.Line > lines) {
		t.Errorf("error %v in a text of %d lines: %q", err, lines, text)
	}
}

func FuzzUPSConf(f *testing.F) {
	seed(f, "ups.conf")
	f.Add(upsConfText)
	f.Fuzz(func(t *testing.T, text string) {
		c, problems, err := ParseUPSConf("f", strings.NewReader(text))
		checkProblems(t, text, problems, err)
		seen := make(map[string]bool)
		for _, s := range c.Sections {
			key := strings.ToLower(s.Name)
			if seen[key] || s.Name == "" || len(s.Settings) == 0 {
				t.Errorf("section %+v of %q is empty or comes twice", s, text)
			}
			seen[key] = true
			if got, ok := c.SectionFold(s.Name); !ok || got.Name != s.Name {
				t.Errorf("SectionFold(%q) = %q, %v; want itself", s.Name, got.Name, ok)
			}
			for _, set := range s.Final() {
				if got, ok := s.Setting(set.Name); !ok || got != set {
					t.Errorf("Setting(%q) = %+v, %v; want %+v as in Final", set.Name, got, ok, set)
				}
			}
		}
	})
}

func FuzzUPSD(f *testing.F) {
	seed(f, "upsd.conf")
	f.Fuzz(func(t *testing.T, text string) {
		c, problems, err := ParseUPSD("f", strings.NewReader(text))
		checkProblems(t, text, problems, err)
		if c.MaxAge < 0 || c.TrackingDelay < 0 || c.MaxConn < 0 || c.CertRequest < 0 || c.CertRequest > 2 || c.DebugMin < -1 {
			t.Errorf("ParseUPSD(%q) = %+v, out of range", text, c)
		}
	})
}

func FuzzUsers(f *testing.F) {
	seed(f, "upsd.users")
	f.Fuzz(func(t *testing.T, text string) {
		us, problems, err := ParseUsers("f", strings.NewReader(text))
		checkProblems(t, text, problems, err)
		seen := make(map[string]bool)
		for _, u := range us {
			if seen[u.Name] {
				t.Errorf("user %q of %q comes twice", u.Name, text)
			}
			seen[u.Name] = true
		}
	})
}

func FuzzUPSMon(f *testing.F) {
	seed(f, "upsmon.conf")
	f.Fuzz(func(t *testing.T, text string) {
		c, problems, err := ParseUPSMon("f", strings.NewReader(text))
		checkProblems(t, text, problems, err)
		if c.MinSupplies < 0 || c.PollFreq <= 0 || c.PollFreqAlert <= 0 || c.FinalDelay < 0 || c.OBLBDuration < 0 {
			t.Errorf("ParseUPSMon(%q) = %+v, out of range", text, c)
		}
		seen := make(map[string]bool)
		for _, m := range c.Monitors {
			if seen[m.System] || m.PowerValue < 0 {
				t.Errorf("MONITOR %+v of %q comes twice or has no power", m, text)
			}
			seen[m.System] = true
		}
	})
}

func FuzzUPSSched(f *testing.F) {
	seed(f, "upssched.conf")
	f.Fuzz(func(t *testing.T, text string) {
		c, problems, err := ParseUPSSched("f", strings.NewReader(text))
		checkProblems(t, text, problems, err)
		if c.DebugMin < -1 {
			t.Errorf("ParseUPSSched(%q) = %+v, out of range", text, c)
		}
		for _, a := range c.At {
			s := a.Settings
			if a.Name == "" || a.Starts() == a.Cancels() && a.Command != "EXECUTE" || len(s.CmdScript) == 0 || s.PipeFN == "" || s.LockFN == "" {
				t.Errorf("ParseUPSSched(%q) has the line %+v; want it complete", text, a)
			}
		}
	})
}

func FuzzNUTConf(f *testing.F) {
	seed(f, "nut.conf")
	f.Add("A=\"b\\\nc\"'d\n'\nB=\\")
	f.Fuzz(func(t *testing.T, text string) {
		c, problems, err := ParseNUTConf("f", strings.NewReader(text))
		checkProblems(t, text, problems, err)
		for name := range c.Vars {
			if !isName(name) {
				t.Errorf("ParseNUTConf(%q) has a variable %q", text, name)
			}
		}
	})
}
