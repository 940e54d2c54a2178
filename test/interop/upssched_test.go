//go:build unix

package interop

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// cUPSSched is C's upssched for one notification, ourUPSSched the same of ours.
func cUPSSched(message string) program   { return cProgram("upssched", message) }
func ourUPSSched(message string) program { return ourProgram("upssched", message) }

// schedHost makes a host with a upssched.conf whose script writes down its calls.
func schedHost(t *testing.T, at string) *host {
	t.Helper()
	h := newHost(t, map[string]string{
		"upssched.conf": "CMDSCRIPT @DIR@/conf/script\nPIPEFN @DIR@/state/pipe\nLOCKFN @DIR@/state/lock\n" + at,
		"script":        "#!/bin/sh\necho \"$1\" >>@DIR@/ran\n",
	})
	if err := os.Chmod(filepath.Join(h.dir, "conf", "script"), 0o755); err != nil {
		t.Fatal(err)
	}
	h.env = append(h.env, "NUT_DEBUG_SYSLOG=none")
	h.endTimers()
	return h
}

// endTimers ends the host's timer process with the test; by itself it would take 15 s.
func (h *host) endTimers() {
	h.t.Cleanup(func() {
		dirs, err := filepath.Glob("/proc/[0-9]*")
		if err != nil {
			h.t.Error(err)
		}
		for _, d := range dirs {
			name, _ := os.ReadFile(filepath.Join(d, "comm"))
			env, _ := os.ReadFile(filepath.Join(d, "environ"))
			if pid, err := strconv.Atoi(filepath.Base(d)); err == nil && string(name) == "upssched\n" && bytes.Contains(env, []byte(h.dir+"/")) {
				syscall.Kill(pid, syscall.SIGKILL)
			}
		}
	})
}

// notify hands a notification to a upssched.
func (h *host) notify(p program, kind, ups string) result {
	h.t.Helper()
	env := h.env
	defer func() { h.env = env }()
	h.env = append(slices.Clone(env), "NOTIFYTYPE="+kind, "UPSNAME="+ups)
	r := h.run(p)
	if r.code != 0 {
		h.t.Errorf("upssched for %s = %+v; want code 0", kind, r)
	}
	return r
}

// ran returns what the script was called with.
func (h *host) ran() []string {
	b, err := os.ReadFile(filepath.Join(h.dir, "ran"))
	if err != nil {
		return nil
	}
	return strings.Fields(string(b))
}

// schedStories are notifications, one after the other, and what comes of them. In the
// lines and names @ is the story's number, so that all can be told at once.
var schedStories = []struct {
	name, lines string
	kinds       string
	want        string // what the script is called with, in this order
	ours        bool   // C 2.8.0 does it wrong: it cancels one timer only, and asks a shell
}{
	{"a timer ends", "AT ONBATT u@ START-TIMER late@ 3\nAT ONBATT u@ START-TIMER soon@ 1\nAT ONBATT u@ EXECUTE now@\n", "ONBATT", "now@ soon@ late@", false},
	{"mains is back", "AT ONBATT u@ START-TIMER t@ 7\nAT ONLINE u@ CANCEL-TIMER t@\n", "ONBATT ONLINE", "", false},
	{"nothing to cancel, but something to do", "AT ONLINE u@ CANCEL-TIMER t@ else@\n", "ONLINE ONLINE", "else@ else@", false},
	{"something to cancel, so nothing to do", "AT ONBATT u@ START-TIMER t@ 7\nAT ONLINE u@ CANCEL-TIMER t@ else@\n", "ONBATT ONLINE", "", false},
	{"nothing to cancel, nothing to do", "AT ONLINE u@ CANCEL-TIMER t@\n", "ONLINE ONLINE", "", false},
	{"two of one name", "AT LOWBATT u@ START-TIMER t@ 1\n", "LOWBATT LOWBATT", "t@ t@", false},
	{"both are cancelled", "AT LOWBATT u@ START-TIMER t@ 7\nAT FSD u@ CANCEL-TIMER t@\n", "LOWBATT LOWBATT FSD", "", true},
	{"started anew", "AT COMMBAD u@ CANCEL-TIMER t@\nAT COMMBAD u@ START-TIMER t@ 7\n", "COMMBAD COMMBAD COMMBAD", "t@", false},
	{"for another UPS", "AT COMMBAD other START-TIMER t@ 1\nAT COMMBAD u EXECUTE x@\n", "COMMBAD", "", false},
	{"names and types in any case", "AT onbatt u@ EXECUTE x@\nAT ONBATT U@ EXECUTE y@\n", "onbatt", "x@", false},
	{"no time, and less than none", "AT ONBATT u@ START-TIMER zero@ 0\nAT ONBATT u@ START-TIMER less@ -5\n", "ONBATT", "zero@", false},
	{"words in quotes", "AT ONBATT u@ START-TIMER \"t\\\"@\" 1\n", "ONBATT", "t\"@", true},
}

// C's upssched and ours, each alone and both on one timer process, do the same.
func TestUPSSchedDoesWhatCDoes(t *testing.T) {
	for _, p := range []struct {
		name          string
		first, second func(string) program // they take turns
	}{
		{"C", cUPSSched, cUPSSched}, {"ours", ourUPSSched, ourUPSSched},
		{"C's timer process", cUPSSched, ourUPSSched}, {"our timer process", ourUPSSched, cUPSSched},
	} {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			lines := "AT FSD any START-TIMER end 20\n"
			for i, s := range schedStories {
				lines += strings.ReplaceAll(s.lines, "@", strconv.Itoa(i))
			}
			h := schedHost(t, lines)
			h.notify(p.first("message"), "FSD", "any") // now there is a timer process
			for i, s := range schedStories {
				for j, kind := range strings.Fields(s.kinds) {
					h.notify([]func(string) program{p.first, p.second}[j%2]("message"), kind, "u"+strconv.Itoa(i))
				}
			}
			h.eventually("all timers have ended", func() error {
				if got := h.ran(); !slices.Contains(got, "end") {
					return errIs(got)
				}
				return nil
			})
			for i, s := range schedStories {
				if s.ours && p.name != "ours" && p.name != "our timer process" {
					continue
				}
				var got []string
				for _, r := range h.ran() {
					if word := strings.TrimRight(r, "0123456789"); word != r && strings.TrimPrefix(r, word) == strconv.Itoa(i) {
						got = append(got, word+"@")
					}
				}
				if strings.Join(got, " ") != s.want {
					t.Errorf("%s: script called with %q; want %q", s.name, got, s.want)
				}
			}
		})
	}
}

// C's upsmon with our upssched, and ours with C's: the timed shutdown of the manuals.
func TestTimedShutdown(t *testing.T) {
	for _, tt := range []struct {
		name    string
		monitor program
		sched   string // a path, "@NUT@" is ours
	}{
		{"our upssched", cUPSMon(), "@DIR@/upssched"},
		{"C upssched", ourUPSMon(), "C"},
		{"all ours", ourUPSMon(), "@DIR@/upssched"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			files := driverFiles(t, "ups.status: OL\n")
			files["upsd.users"] += "[pri]\n password = one\n upsmon master\n"
			h := newHost(t, files)
			sched := tt.sched
			if sched == "C" {
				sched = cPath(t, "upssched")
			}
			if err := os.Symlink(nutPath(t), filepath.Join(h.dir, "upssched")); err != nil {
				t.Fatal(err)
			}
			for name, text := range upsmonFiles("MONITOR " + h.system("rec") + " 1 pri one master\n") {
				h.write(name, strings.ReplaceAll(text, "@DIR@/conf/notify", sched))
			}
			h.endTimers()
			h.write("upssched.conf", `CMDSCRIPT @DIR@/conf/script
PIPEFN @DIR@/state/pipe
LOCKFN @DIR@/state/lock
AT ONBATT * EXECUTE out
AT ONBATT * START-TIMER down 3
AT ONLINE * CANCEL-TIMER down
AT ONLINE * EXECUTE back
`)
			// The script does what -c fsd does; C's upsmon has its PID file elsewhere.
			h.write("script", "#!/bin/sh\necho \"$1\" >>@DIR@/ran\n[ $1 != down ] || kill -USR1 $(cat @DIR@/monitor)\n")
			if err := os.Chmod(filepath.Join(h.dir, "conf", "script"), 0o755); err != nil {
				t.Fatal(err)
			}
			h.start(ourDriver("dummy-ups", "rec"))
			h.start(ourUPSD())
			h.await("rec", "ups.status", "OL")
			monitor := h.start(tt.monitor)
			h.awaitLogins("rec", 1)
			pid := []byte(strconv.Itoa(monitor.cmd.Process.Pid))
			if err := os.WriteFile(filepath.Join(h.dir, "monitor"), pid, 0o600); err != nil {
				t.Fatal(err)
			}
			told := func(want ...string) {
				t.Helper()
				h.eventually("the script has run for "+strings.Join(want, ", "), func() error {
					if got := h.ran(); !slices.Equal(got, want) {
						return errIs(got)
					}
					return nil
				})
			}
			h.write("rec.dev", "ups.status: OB\n")
			told("out")
			h.write("rec.dev", "ups.status: OL\n")
			told("out", "back")
			time.Sleep(4 * time.Second)
			if h.downAt() != 0 {
				t.Fatal("shut down although mains was back")
			}
			h.write("rec.dev", "ups.status: OB\n")
			<-monitor.done
			told("out", "back", "out", "down")
			if h.downAt() == 0 {
				t.Error("not shut down by the timer")
			}
		})
	}
}
