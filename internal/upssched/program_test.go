package upssched

import (
	"bytes"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gonut/internal/program"
)

// A site is a folder with configuration files, and what a program wrote.
type site struct {
	dir            string
	env            map[string]string
	stdout, stderr bytes.Buffer
}

func newSite(t *testing.T) *site {
	t.Helper()
	dir := t.TempDir()
	return &site{dir: dir, env: map[string]string{
		"NUT_CONFPATH": dir, "NUT_STATEPATH": dir, "NUT_PIDPATH": dir, "NUT_ALTPIDPATH": dir, "NUT_DEBUG_SYSLOG": "none",
	}}
}

func (s *site) path(name string) string { return filepath.Join(s.dir, name) }

// write puts a file there, "@DIR@" being the folder. A script can be run.
func (s *site) write(t *testing.T, name, text string) {
	t.Helper()
	mode := os.FileMode(0o600)
	if strings.HasPrefix(text, "#!") {
		mode = 0o700
	}
	if err := os.WriteFile(s.path(name), []byte(strings.ReplaceAll(text, "@DIR@", s.dir)), mode); err != nil {
		t.Fatal(err)
	}
}

func (s *site) run(t *testing.T, args ...string) int {
	t.Helper()
	s.stdout.Reset()
	s.stderr.Reset()
	err := Program().Run(t.Context(), program.Env{
		Args: append([]string{"upssched"}, args...), Stdin: strings.NewReader(""), Stdout: &s.stdout, Stderr: &s.stderr,
		Getenv: func(k string) string { return s.env[k] },
		Listen: (&net.ListenConfig{}).Listen, Dial: (&net.Dialer{}).DialContext,
	})
	return program.Code(err, &s.stderr)
}

const settings = "CMDSCRIPT @DIR@/script one\nPIPEFN @DIR@/pipe\nLOCKFN @DIR@/lock\n"

func TestCommandLine(t *testing.T) {
	for _, tt := range []struct {
		name, config, args string
		code               int
		stdout, stderr     string // in what it wrote
	}{
		{"help", "", "-h", 0, "usage: upssched", ""},
		{"long help", "", "--help", 0, "usage: upssched", ""},
		{"version", "", "-V", 0, "Network UPS Tools upssched ", ""},
		{"unknown option", "", "-Z", 1, "", "invalid option -- 'Z'"},
		{"not run by upsmon", settings, "message", 1, "Error: UPSNAME and NOTIFYTYPE must be set.", ""},
		{"list without a timer process", settings, "-l", 1, "", "upssched timer is not running"},
		{"list without PIPEFN", "LOCKFN x\n", "-l", 1, "", "does not set PIPEFN"},
		{"list without a file", "", "-l", 1, "", "upssched.conf"},
		{"check without a file", "", "-t", 1, "upssched.conf", ""},
		{"check: nothing to complain about", settings + "AT SHUTDOWN * EXECUTE x\n", "-t", 0, "1 AT lines, nothing to complain about", ""},
		{"check: nothing cancels", settings + "AT ONBATT * START-TIMER x 30\n", "-t", 1, "upssched.conf:4: nothing cancels the timer x", ""},
		{"check: a broken line", settings + "AT ONBATT * START x 30\n", "-t", 1, "upssched.conf:4: AT: there is no command START", ""},
		{"check: too early", "AT ONBATT * EXECUTE x\n", "-t", 1, "upssched.conf:1: CMDSCRIPT must be set above the first AT line", ""},
		{"check: no script, no folder", "CMDSCRIPT @DIR@/none\nPIPEFN @DIR@/no/pipe\nLOCKFN @DIR@/script/lock\n", "-t", 1, "PIPEFN: there is no folder", ""},
		{"check: another file", "", "-t @DIR@/none.conf", 1, "none.conf", ""},
	} {
		s := newSite(t)
		s.write(t, "script", "#!/bin/sh\n")
		if tt.config != "" {
			s.write(t, "upssched.conf", tt.config)
		}
		code := s.run(t, strings.Fields(strings.ReplaceAll(tt.args, "@DIR@", s.dir))...)
		if code != tt.code || !strings.Contains(s.stdout.String(), tt.stdout) || !strings.Contains(s.stderr.String(), tt.stderr) {
			t.Errorf("%s: upssched %s = %d, %q, %q; want %d, %q, %q", tt.name, tt.args, code, &s.stdout, &s.stderr, tt.code, tt.stdout, tt.stderr)
		}
	}
}

// EXECUTE runs the script at once, with all that is known, for every line that matches
// and in their order; what fails keeps nothing else from being done.
func TestExecute(t *testing.T) {
	s := newSite(t)
	s.write(t, "script", "#!/bin/sh\necho \"$NOTIFYTYPE|$UPSNAME|$NOTIFYMSG|$*\" >>@DIR@/ran\nexit 3\n")
	s.write(t, "upssched.conf", settings+`AT onbatt * EXECUTE first
AT ONBATT a@h EXECUTE second
AT ONBATT b@h EXECUTE other
AT ONLINE * EXECUTE other
AT ONBATT * CANCEL-TIMER none
CMDSCRIPT "@DIR@/script two"
AT ONBATT * EXECUTE third
CMDSCRIPT @DIR@/none
AT ONBATT * EXECUTE fourth
`)
	s.env["UPSNAME"], s.env["NOTIFYTYPE"] = "a@h", "ONBATT"
	if code := s.run(t, "the message"); code != 0 {
		t.Errorf("upssched = %d, %s; want 0", code, &s.stderr)
	}
	ran, err := os.ReadFile(s.path("ran"))
	want := "ONBATT|a@h|the message|one first\nONBATT|a@h|the message|one second\nONBATT|a@h|the message|two third\n"
	if err != nil || string(ran) != want {
		t.Errorf("ran %q, %v; want %q", ran, err, want)
	}
	if !strings.Contains(s.stderr.String(), "CMDSCRIPT has ended command=first code=3") || !strings.Contains(s.stderr.String(), "command=fourth") {
		t.Errorf("log = %s; want the exit code of one and the failure of another", &s.stderr)
	}
}

// A notification about no UPS has an empty name, which is not a missing one.
func TestNotificationWithoutUPS(t *testing.T) {
	s := newSite(t)
	s.write(t, "script", "#!/bin/sh\necho \"$NOTIFYTYPE|$UPSNAME|$*\" >>@DIR@/ran\n")
	s.write(t, "upssched.conf", settings+"AT SHUTDOWN * EXECUTE any\nAT SHUTDOWN \"\" EXECUTE none\nAT SHUTDOWN a@h EXECUTE other\n")
	t.Setenv("UPSNAME", "")
	s.env["NOTIFYTYPE"] = "SHUTDOWN"
	if code := s.run(t); code != 0 {
		t.Errorf("upssched = %d, %s; want 0", code, &s.stderr)
	}
	if ran, err := os.ReadFile(s.path("ran")); err != nil || string(ran) != "SHUTDOWN||one any\nSHUTDOWN||one none\n" {
		t.Errorf("ran %q, %v; want any and none", ran, err)
	}
}

func TestMark(t *testing.T) {
	s := settingsOf(t, "CMDSCRIPT ab \"c \\\"d\\\"\"\nPIPEFN \"p q\"\nLOCKFN l\n")
	n, got, err := decodeMark(encodeMark(3, s))
	if err != nil || n != 3 || got.PipeFN != "p q" || got.LockFN != "l" || strings.Join(got.CmdScript, "|") != `ab|c "d"` {
		t.Errorf("decodeMark(encodeMark()) = %d, %+v, %v; want what went in", n, got, err)
	}
	for _, bad := range []string{"", "x", "1 a b", `1 "a`, "x a b c"} {
		if _, _, err := decodeMark(bad); err == nil {
			t.Errorf("decodeMark(%q) = nil; want an error", bad)
		}
	}
}
