//go:build unix

package interop

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// TestUPSLogWritesWhatCWrites compares lines of the log, format by format.
func TestUPSLogWritesWhatCWrites(t *testing.T) {
	h := clientsHost(t, false)
	ups := h.system("ups")
	for _, format := range []string{
		"", "%%|%HOST%|%HOSTX%|%host%", "%UPSHOST%|%UPSHOSTNAME%", "%VAR ups.mfr%|%VARX ups.mfr%|%var ups.mfr%",
		"%VAR%|%VAR nodot%|%VAR no.such%|%VAR  ups.mfr%|%VAR ups.mfr %|%VAR ups.mfr extra%", "a %foo% b", "a %foo b", "x%",
		"%TIME @Y-@m@%", "%TIME  @Y  @m%", "%%%HOST%%", "% HOST%", "%H%|%HOS%", "%VAR ups.mfr% %bad", "%TIME @a@A@b@B@C@d@D@e@F@g@G@h@j@u@U@V@w@W@x@y@Z%",
		"%TIME @-d.@-m.@Y|@_d|@^a@^10B|@#Z|@10Y|@Oy|@Ed|@5%", "%TIME @5%",
		"%VAR ups.model%", "%VAR ups.serial%|%VAR ups.status%", strings.Repeat("%VAR ups.mfr%", 100),
	} {
		theirs, ours := oneLogLine(h, false, ups, format), oneLogLine(h, true, ups, format)
		if ours != theirs {
			t.Errorf("upslog -f %.60q writes %q; want what C's writes: %q", format, ours, theirs)
		}
	}
}

// oneLogLine runs a upslog until it has written a line.
func oneLogLine(h *host, ours bool, ups, format string) string {
	h.t.Helper()
	path := filepath.Join(h.dir, "log")
	p := cProgram("upslog", asRoot("-F", "-s", ups, "-l", path, "-i", "1", "-f", format)...)
	p.ours = ours
	if format == "" {
		p.args = p.args[:len(p.args)-2]
	}
	pr := h.start(p)
	var line string
	h.eventually("upslog has written a line", func() error {
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		var whole bool
		if line, _, whole = strings.Cut(string(text), "\n"); !whole {
			return errors.New("no line yet")
		}
		return nil
	})
	pr.stop()
	if !ours || pr.cmd.ProcessState.ExitCode() == 0 {
		os.Remove(path)
	} else {
		h.t.Errorf("upslog ended with %v; want 0", pr.cmd.ProcessState)
	}
	if format == "" { // begins with the time
		_, line, _ = strings.Cut(line, " ")
		_, line, _ = strings.Cut(line, " ")
	}
	return line
}

// TestUPSLogEndsAsC compares exit codes, and what is printed where scripts read it.
func TestUPSLogEndsAsC(t *testing.T) {
	h := newHost(t, nil)
	for _, args := range [][]string{
		{"-h"}, {"-V"}, {}, {"-s", "ups@h"}, {"-l", "x"}, {"ups@h"}, {"ups@h", "x"}, {"-s", "ups@127.0.0.1:1", "-l", "/no/such/folder/x"},
	} {
		theirs, ours := h.run(cProgram("upslog", asRoot(append([]string{"-F"}, args...)...)...)), h.run(ourProgram("upslog", asRoot(append([]string{"-F"}, args...)...)...))
		if ours.code != theirs.code {
			t.Errorf("upslog %q ends with %d; want %d as C's", args, ours.code, theirs.code)
		}
		if first := firstLine(theirs.stderr); strings.HasPrefix(first, "No ") && firstLine(ours.stderr) != first {
			t.Errorf("upslog %q says %q; want %q", args, ours.stderr, first)
		}
	}
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}

// TestUPSLogTakesSignalsAsC runs C's and ours through a life: three words in place of
// options, a line at USR1, a new file at HUP, the end at TERM.
func TestUPSLogTakesSignalsAsC(t *testing.T) {
	h := clientsHost(t, false)
	for _, ours := range []bool{false, true} {
		name := map[bool]string{false: "C's", true: "our"}[ours]
		path := filepath.Join(h.dir, "log-"+name)
		var pr *process
		// C's forgets a signal that comes just before it begins to wait.
		again := func(sig syscall.Signal) {
			if !ours && sig != 0 {
				pr.signal(sig)
			}
		}
		lines := func(path string, want int, sig syscall.Signal) {
			t.Helper()
			h.eventually(name+" upslog has written "+strconv.Itoa(want)+" lines to "+path, func() error {
				text, err := os.ReadFile(path)
				if err != nil {
					return err
				}
				const line = "OL CHRG and more \n"
				n := strings.Count(string(text), line)
				// C's may write twice for a signal that comes while it writes.
				if len(text) != n*len(line) || n < want || n > want && ours {
					again(sig)
					return errors.New(string(text))
				}
				return nil
			})
		}
		p := cProgram("upslog", asRoot("-F", h.system("ups"), path, "500", "%VAR", "ups.status%", "and", "more")...)
		p.ours = ours
		pr = h.start(p)
		lines(path, 1, 0)
		for n := 2; n < 5; n++ {
			pr.signal(syscall.SIGUSR1)
			lines(path, n, syscall.SIGUSR1)
		}
		if err := os.Rename(path, path+".1"); err != nil {
			t.Fatal(err)
		}
		pr.signal(syscall.SIGHUP)
		h.eventually(name+" upslog has opened the file anew", func() error {
			_, err := os.Stat(path)
			if err != nil {
				again(syscall.SIGHUP)
			}
			return err
		})
		pr.signal(syscall.SIGUSR1)
		lines(path, 1, syscall.SIGUSR1)
		lines(path+".1", 4, 0)
		pr.signal(syscall.SIGTERM)
		<-pr.done
		if pr.cmd.ProcessState.ExitCode() != 0 {
			t.Errorf("%s upslog ended with %v; want 0", name, pr.cmd.ProcessState)
		}
		want := "logging status of " + h.system("ups") + " to " + path + " (500s intervals)\n"
		if out := pr.output(); !strings.Contains(out, want) {
			t.Errorf("%s upslog printed %q; want %q in it", name, out, want)
		}
	}
}

// TestUPSLogInBackground checks that our upslog leaves the terminal with a PID file
// and removes that when it is told to end.
func TestUPSLogInBackground(t *testing.T) {
	h := clientsHost(t, false)
	log := filepath.Join(h.dir, "log")
	r := h.run(ourProgram("upslog", asRoot("-s", h.system("ups"), "-l", log, "-i", "1", "-f", "%PID%", "-p", "mylog")...))
	if r.code != 0 || !strings.Contains(r.stdout, "logging status of "+h.system("ups")+" to "+log+" (1s intervals)\n") {
		t.Fatalf("upslog = %+v; want it to say what it does", r)
	}
	pidFile := filepath.Join(h.dir, "state", "mylog.pid")
	pid, err := os.ReadFile(pidFile)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(pid)))
	if err != nil {
		t.Fatal(err)
	}
	process, err := os.FindProcess(n)
	if err != nil {
		t.Fatal(err)
	}
	ended := false
	defer func() {
		if !ended {
			process.Kill()
		}
	}()
	h.eventually("the process of the PID file logs", func() error {
		text, err := os.ReadFile(log)
		if err == nil && !strings.HasPrefix(string(text), string(pid)) {
			err = errors.New(string(text))
		}
		return err
	})
	if err := process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	h.eventually("the PID file is gone", func() error {
		if _, err := os.Stat(pidFile); err == nil {
			return errors.New("it is there")
		}
		return nil
	})
	ended = true
}

// TestSockDebugShowsADriver talks to C's driver.
func TestSockDebugShowsADriver(t *testing.T) {
	h := newHost(t, map[string]string{
		"ups.conf": "[ups]\n driver = dummy-ups\n port = ups.dev\n",
		"ups.dev":  "ups.status: OL\nups.model: a \"b\"\n",
	})
	h.start(cDriver("dummy-ups", "ups"))
	// The answers are read while standard input is still open.
	stdin, writer := io.Pipe()
	cmd := h.cmd(t.Context(), ourProgram("sockdebug", "dummy-ups-ups"))
	var out lockedBuffer
	cmd.Stdin, cmd.Stdout = stdin, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	io.WriteString(writer, "DUMPALL\n")
	h.eventually("the dump is done", func() error {
		if !strings.Contains(out.String(), "DUMPDONE") {
			return errors.New(out.String())
		}
		return nil
	})
	writer.Close()
	if err := cmd.Wait(); cmd.ProcessState.ExitCode() != 1 {
		t.Errorf("sockdebug after the end of its input = %v; want exit code 1", err)
	}
	for _, want := range []string{"connected: fd ", "numarg=3 : [SETINFO] [ups.status] [OL] \n", "numarg=1 : [DUMPDONE] \n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("sockdebug printed %q; want %q in it", out.String(), want)
		}
	}
}
