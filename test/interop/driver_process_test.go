//go:build unix

package interop

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"gonut/internal/drvsock"
)

// Driver programs end as C's do, but for what docs/differences.md lists.
func TestDriverExitsAsC(t *testing.T) {
	t.Parallel()
	files := driverFiles(t, "ups.status: OL\n")
	files["ups.conf"] += "[gone]\n driver = dummy-ups\n port = gone.dev\n[other]\n driver = clone\n port = x\n[noport]\n driver = dummy-ups\n"
	h := newHost(t, files)
	for _, tt := range []struct {
		args string
		our  int // exit code, if it is another one than C's
	}{
		{"-V", 0}, {"-h", 0}, {"-L", 0}, {"-Z", 0}, {"", 0}, {"-a", 0}, {"-a nope", 0}, {"-a rec extra", 0}, {"-s x", 0},
		{"-a gone", 0}, {"-a other", 0}, {"-a noport", 0}, {"-a rec -i 0", 0}, {"-a rec -k", 0}, {"-a rec -d 1", 0},
		{"-a rec -x mode=nonsense -d 1", 0}, {"-s y -x port=@DIR@/conf/rec.dev -d 1", 0},
		{"-a rec -x foo=1", 1}, // in C an unknown option is success
	} {
		args := asRoot(strings.Fields(strings.ReplaceAll(tt.args, "@DIR@", h.dir))...)
		want := h.run(cProgram("dummy-ups", args...)).code
		if tt.our != 0 {
			want = tt.our
		}
		if r := h.run(ourProgram("dummy-ups", args...)); r.code != want {
			t.Errorf("dummy-ups %s = %d; C ends with %d\n%s%s", tt.args, r.code, want, r.stdout, r.stderr)
		}
	}
}

// -L lists what C's driver lists, in its form.
func TestDriverListsOptionsAsC(t *testing.T) {
	t.Parallel()
	h := newHost(t, nil)
	for _, driver := range []string{"dummy-ups", "clone", "clone-outlet", "apcupsd-ups"} {
		names := func(p program) []string {
			var ns []string
			for line := range strings.Lines(h.run(p).stdout) {
				ws := strings.SplitN(line, " ", 3)
				if len(ws) == 3 && (ws[0] == "VALUE" || ws[0] == "FLAG") && strings.HasPrefix(ws[2], `"`) {
					ns = append(ns, ws[0]+" "+ws[1])
				}
			}
			return ns
		}
		ours := names(ourProgram(driver, "-L"))
		for _, want := range names(cProgram(driver, "-L")) {
			if !slices.Contains(ours, want) {
				t.Errorf("%s -L lists %q; want %s too", driver, ours, want)
			}
		}
	}
}

// background starts a driver as scripts do and returns its process number.
func (h *host) background(p program) int {
	h.t.Helper()
	r := h.run(p)
	if r.code != 0 {
		h.t.Fatalf("%s %q = %d\n%s%s", p.name, p.args, r.code, r.stdout, r.stderr)
	}
	// C's driver writes its number once more after it left the terminal.
	pid := 0
	h.eventually("a PID file of "+p.name+" names a process", func() error {
		b, err := os.ReadFile(filepath.Join(h.dir, "state", p.name+"-rec.pid"))
		if err != nil {
			return err
		}
		pid, err = strconv.Atoi(strings.TrimSpace(string(b)))
		if err == nil && !alive(pid) {
			err = errIs("that of a process that has ended")
		}
		return err
	})
	h.t.Cleanup(func() { syscall.Kill(pid, syscall.SIGKILL) })
	return pid
}

func alive(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(b), ") Z ")
}

// A driver in the background serves when its start returns, is known by the PID file
// of C's name, and leaves nothing behind.
func TestDriverInBackground(t *testing.T) {
	t.Parallel()
	h := newHost(t, driverFiles(t, "ups.status: OL\n"))
	pid := h.background(ourProgram("dummy-ups", asRoot("-a", "rec")...))
	socket := filepath.Join(h.dir, "state", "dummy-ups-rec")
	fi, err := os.Stat(socket)
	if err != nil || fi.Mode().Perm() != 0o660 {
		t.Errorf("socket %v, %v; want mode 0660", fi, err)
	}
	h.start(cUPSD())
	h.await("rec", "ups.status", "OL")
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	h.eventually("the driver has ended", func() error {
		if alive(pid) {
			return errIs("alive")
		}
		return nil
	})
	if names, _ := filepath.Glob(filepath.Join(h.dir, "state", "dummy-ups-*")); len(names) != 0 {
		t.Errorf("left behind: %q; want nothing", names)
	}
	// What cannot start says so with its exit code, in the foreground still.
	h.write("rec.dev", "")
	os.Remove(filepath.Join(h.dir, "conf", "rec.dev"))
	if r := h.run(ourProgram("dummy-ups", asRoot("-a", "rec")...)); r.code != 1 || !strings.Contains(r.stderr, "no such file") {
		t.Errorf("start without the file = %d, %q; want 1 and the reason", r.code, r.stderr)
	}
}

// Of two drivers for one UPS the second replaces the first, whoever is C's.
func TestDriversReplaceEachOther(t *testing.T) {
	for _, test := range []struct {
		name          string
		first, second program
	}{
		{"ours replaces C's", cProgram("dummy-ups", asRoot("-a", "rec")...), ourProgram("dummy-ups", asRoot("-a", "rec")...)},
		{"C's replaces ours", ourProgram("dummy-ups", asRoot("-a", "rec")...), cProgram("dummy-ups", asRoot("-a", "rec")...)},
		{"ours replaces ours", ourProgram("dummy-ups", asRoot("-a", "rec")...), ourProgram("dummy-ups", asRoot("-a", "rec")...)},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h := newHost(t, driverFiles(t, "ups.status: OL\n"))
			first := h.background(test.first)
			second := h.background(test.second)
			if first == second {
				t.Fatalf("both drivers have the process number %d", first)
			}
			h.eventually("the first driver has ended", func() error {
				if alive(first) {
					return errIs("alive")
				}
				return nil
			})
			h.start(ourUPSD())
			h.await("rec", "ups.status", "OL")
			if r := h.run(ourProgram("dummy-ups", "-a", "rec", "-c", "exit")); test.second.ours && r.code != 0 {
				t.Errorf("-c exit = %d, %s", r.code, r.stderr)
			}
		})
	}
}

// Of drivers that are started at once over the socket of one that was killed, one is
// left, and the PID file names it.
func TestDriversStartedAtOnce(t *testing.T) {
	t.Parallel()
	h := newHost(t, driverFiles(t, "ups.status: OL\n"))
	for range 10 {
		killed := h.background(ourProgram("dummy-ups", asRoot("-a", "rec")...))
		if err := syscall.Kill(killed, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for range 3 {
			cmd := h.cmd(t.Context(), ourProgram("dummy-ups", asRoot("-a", "rec")...))
			wg.Go(func() { cmd.Run() }) // those that are replaced may fail
		}
		wg.Wait()
		said := 0
		h.eventually("the process that serves is that of the PID file", func() error {
			b, err := os.ReadFile(filepath.Join(h.dir, "state", "dummy-ups-rec.pid"))
			if err != nil {
				return err
			}
			link, err := drvsock.Connect(t.Context(), drvsock.DialPath(filepath.Join(h.dir, "state", "dummy-ups-rec")))
			if err != nil {
				return err
			}
			defer link.Close()
			pid, _, err := link.PIDAndStatus(t.Context())
			if err == nil && pid != strings.TrimSpace(string(b)) {
				err = errIs(fmt.Sprintf("process %s serves; the PID file says %s", pid, b))
			}
			said, _ = strconv.Atoi(pid)
			return err
		})
		if err := syscall.Kill(said, syscall.SIGKILL); err != nil {
			t.Error(err)
		}
	}
}

// A driver that is stopped cannot keep -k from cutting the power, nor a second driver
// from starting.
func TestStoppedDriverIsReplaced(t *testing.T) {
	t.Parallel()
	files := driverFiles(t, "ups.status: OL\n")
	files["ups.conf"] = "[rec]\n driver = dummy-ups\n port = simulator\n"
	h := newHost(t, files)
	pid := h.background(ourProgram("dummy-ups", asRoot("-a", "rec")...))
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	cmd := h.cmd(t.Context(), ourProgram("dummy-ups", asRoot("-a", "rec", "-k")...))
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "the power of the load is being cut") {
		t.Errorf("-k beside a stopped driver: %v\n%s", err, out)
	}
	t.Logf("-k beside a stopped driver took %v", time.Since(begin).Round(time.Second))
	if alive(pid) {
		t.Error("the stopped driver still has the device")
	}
}

// Started by root, a driver becomes the user of -u, and its socket is for the group of
// -g, although the user is no member of it.
func TestDriverBecomesItsUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can become somebody else")
	}
	t.Parallel()
	h := newHost(t, driverFiles(t, "ups.status: OL\n"))
	nobody, err := user.Lookup("nobody")
	if err != nil {
		t.Skip(err)
	}
	games, err := user.LookupGroup("games")
	if err != nil {
		t.Skip(err)
	}
	uid, _ := strconv.Atoi(nobody.Uid)
	gid, _ := strconv.Atoi(games.Gid)
	for _, path := range []string{h.dir, filepath.Join(h.dir, "conf"), filepath.Join(h.dir, "state"), filepath.Join(h.dir, "conf", "ups.conf"), filepath.Join(h.dir, "conf", "rec.dev")} {
		if err := os.Chown(path, uid, -1); err != nil {
			t.Fatal(err)
		}
	}
	p := withSocket(ourProgram("dummy-ups", "-F", "-a", "rec", "-u", "nobody", "-g", "games"), "rec")
	pr := h.start(p)
	var st syscall.Stat_t
	h.eventually("the socket is the group's", func() error {
		if err := syscall.Stat(filepath.Join(h.dir, "state", "dummy-ups-rec"), &st); err != nil {
			return err
		}
		if int(st.Gid) != gid || int(st.Uid) != uid || st.Mode&0o777 != 0o660 {
			return errIs(fmt.Sprintf("of %d:%d, mode %o", st.Uid, st.Gid, st.Mode&0o777))
		}
		return nil
	})
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pr.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("Uid:\t%d\t%d\t%d\t%d\n", uid, uid, uid, uid); !strings.Contains(string(status), want) {
		t.Errorf("the process is not that of nobody:\n%s", status)
	}
}

// A driver that must not make its socket says who needs which permission, and who
// knows how to give it.
func TestForbiddenFolderOfSockets(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can become somebody else")
	}
	t.Parallel()
	h := newHost(t, driverFiles(t, "ups.status: OL\n"))
	for _, path := range []string{h.dir, filepath.Join(h.dir, "conf"), filepath.Join(h.dir, "state"), filepath.Join(h.dir, "conf", "ups.conf"), filepath.Join(h.dir, "conf", "rec.dev")} {
		if err := os.Chmod(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	r := h.run(ourProgram("dummy-ups", "-F", "-a", "rec", "-u", "nobody"))
	for _, want := range []string{"the folder " + filepath.Join(h.dir, "state") + " must be writable for user id ", "nut doctor drivers rec says"} {
		if r.code != 1 || !strings.Contains(r.stderr, want) {
			t.Errorf("exit code %d and\n%s\nwant 1 and %q in it", r.code, r.stderr, want)
		}
	}
}

// TERM, INT and QUIT end a driver with success and without a trace; PIPE and URG mean
// nothing to it.
func TestDriverSignals(t *testing.T) {
	t.Parallel()
	h := newHost(t, driverFiles(t, "ups.status: OL\n"))
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT} {
		p := h.start(ourDriver("dummy-ups", "rec"))
		p.signal(syscall.SIGPIPE)
		p.signal(syscall.SIGURG)
		look := h.lookAt("dummy-ups", "rec")
		if got := look.values()["ups.status"]; got != "OL" {
			t.Errorf("after PIPE and URG ups.status = %q; want OL", got)
		}
		p.signal(sig)
		<-p.done
		if code := p.cmd.ProcessState.ExitCode(); code != 0 {
			t.Errorf("%v: exit code %d; want 0", sig, code)
		}
		if names, _ := filepath.Glob(filepath.Join(h.dir, "state", "*")); len(names) != 0 {
			t.Errorf("%v: left behind %q", sig, names)
		}
	}
}
