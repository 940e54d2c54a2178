//go:build unix

package interop

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// splitHost makes a host whose upsmon has a privileged part and a child that is nobody.
func splitHost(t *testing.T, more string) *host {
	t.Helper()
	if os.Geteuid() != 0 {
		missing(t, "this test needs root")
	}
	if err := os.Chmod(filepath.Dir(nutPath(t)), 0o755); err != nil { // for the child
		t.Fatal(err)
	}
	h := newHost(t, map[string]string{"upsmon.conf": `
MONITOR ups@127.0.0.1:1 1 u p secondary
RUN_AS_USER nobody
FINALDELAY 0
SHUTDOWNCMD "id -u >@DIR@/who"
POWERDOWNFLAG @DIR@/killpower
NOTIFYFLAG NOPARENT EXEC
NOTIFYFLAG COMMBAD IGNORE
NOTIFYFLAG NOCOMM IGNORE
NOTIFYFLAG SHUTDOWN IGNORE
NOTIFYCMD @DIR@/conf/notify
` + more, "notify": "#!/bin/sh\necho $NOTIFYTYPE $(id -un) >>@DIR@/open/notified\n"})
	for dir, mode := range map[string]os.FileMode{"": 0o755, "conf": 0o755, "conf/upsmon.conf": 0o600, "conf/notify": 0o755} {
		if err := os.Chmod(filepath.Join(h.dir, dir), mode); err != nil {
			t.Fatal(err)
		}
	}
	open := filepath.Join(h.dir, "open")
	if err := os.Mkdir(open, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(open, 0o777); err != nil {
		t.Fatal(err)
	}
	h.env = append(h.env, "NUT_DEBUG_SYSLOG=none")
	return h
}

// pid returns the process number in the PID file of upsmon.
func (h *host) pid() (int, error) {
	b, err := os.ReadFile(filepath.Join(h.dir, "state", "upsmon.pid"))
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(b)))
}

// startSplit starts upsmon and returns its privileged part and the child's number.
func (h *host) startSplit() (*process, int) {
	h.t.Helper()
	pr := h.start(ourProgram("upsmon", "-F"))
	child := 0
	h.eventually("the child runs", func() (err error) {
		child, err = h.pid()
		return err
	})
	if child == pr.cmd.Process.Pid {
		h.t.Errorf("the PID file names the privileged part; want the child")
	}
	if fi, err := os.Stat(fmt.Sprintf("/proc/%d", child)); err != nil || fi.Sys().(*syscall.Stat_t).Uid == 0 {
		h.t.Errorf("child: %v, %v; want it to be nobody's", fi, err)
	}
	return pr, child
}

// The privileged part and its child: who does what, and what becomes of one without
// the other.
func TestUPSMonSplit(t *testing.T) {
	t.Parallel()
	t.Run("shutdown", func(t *testing.T) {
		t.Parallel()
		h := splitHost(t, "")
		pr, _ := h.startSplit()
		if r := h.run(ourProgram("upsmon", "-c", "fsd")); r.code != 0 {
			t.Errorf("upsmon -c fsd = %+v; want code 0", r)
		}
		<-pr.done
		who, err := os.ReadFile(filepath.Join(h.dir, "who"))
		if pr.cmd.ProcessState.ExitCode() != 0 || string(who) != "0\n" {
			t.Errorf("privileged part ended with %v, SHUTDOWNCMD was run by %q, %v; want 0 and root", pr.cmd.ProcessState, who, err)
		}
		if r := h.run(ourProgram("upsmon", "-K")); r.code != 0 {
			t.Errorf("upsmon -K after a shutdown = %+v; want code 0", r)
		}
	})
	t.Run("a command that fails", func(t *testing.T) {
		t.Parallel()
		h := splitHost(t, "SHUTDOWNCMD \"exit 3\"\n")
		pr, _ := h.startSplit()
		h.run(ourProgram("upsmon", "-c", "fsd"))
		<-pr.done
		if out := pr.output(); pr.cmd.ProcessState.ExitCode() != 1 || !strings.Contains(out, "exit status 3") {
			t.Errorf("privileged part ended with %v and wrote %q; want 1 and what went wrong", pr.cmd.ProcessState, out)
		}
	})
	t.Run("the child does not end before the command", func(t *testing.T) {
		t.Parallel()
		h := splitHost(t, "SHUTDOWNCMD \"sleep 2; id -u >@DIR@/who\"\n")
		_, child := h.startSplit()
		h.run(ourProgram("upsmon", "-c", "fsd"))
		h.eventually("the child has ended", func() error { return ended(child) })
		if !h.exists("who") {
			t.Error("the child has ended before SHUTDOWNCMD, which its service manager would kill")
		}
	})
	t.Run("a reload makes it a host that only watches", func(t *testing.T) {
		t.Parallel()
		h := splitHost(t, "")
		file := filepath.Join(h.dir, "conf", "upsmon.conf")
		for name, mode := range map[string]os.FileMode{file: 0o644, filepath.Join(h.dir, "state"): 0o777} { // for the child
			if err := os.Chmod(name, mode); err != nil {
				t.Fatal(err)
			}
		}
		pr, _ := h.startSplit()
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, append(text, "MINSUPPLIES 0\n"...), 0o644); err != nil {
			t.Fatal(err)
		}
		h.run(ourProgram("upsmon", "-c", "reload"))
		h.eventually("the reload is done", func() error {
			if r := h.run(ourProgram("upsmon", "-c", "status")); !strings.Contains(r.stdout, "needed: 0") {
				return errIs(r.stdout + r.stderr)
			}
			return nil
		})
		h.run(ourProgram("upsmon", "-c", "fsd"))
		<-pr.done
		if !h.exists("who") || h.exists("killpower") {
			t.Errorf("command run: %t, flag: %t; want the command only", h.exists("who"), h.exists("killpower"))
		}
	})
	t.Run("the child is killed", func(t *testing.T) {
		t.Parallel()
		h := splitHost(t, "")
		pr, child := h.startSplit()
		syscall.Kill(child, syscall.SIGKILL)
		<-pr.done
		if pr.cmd.ProcessState.ExitCode() != 1 || h.exists("who") || h.exists("killpower") {
			t.Errorf("after the child's death the privileged part ended with %v, command run: %t; want 1 and false", pr.cmd.ProcessState, h.exists("who"))
		}
	})
	t.Run("the parent is killed", func(t *testing.T) {
		t.Parallel()
		h := splitHost(t, "")
		pr, child := h.startSplit()
		pr.cmd.Process.Kill()
		<-pr.done
		h.eventually("NOPARENT is told", func() error {
			b, err := os.ReadFile(filepath.Join(h.dir, "open", "notified"))
			if err == nil && string(b) != "NOPARENT nobody\n" {
				err = errIs(string(b))
			}
			return err
		})
		if r := h.run(ourProgram("upsmon", "-c", "stop", "-P", strconv.Itoa(child))); r.code != 0 {
			t.Errorf("upsmon -c stop = %+v; want code 0", r)
		}
		h.eventually("the child has ended", func() error { return ended(child) })
	})
}

func ended(pid int) error {
	if b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err == nil && !strings.Contains(string(b), ") Z ") {
		return errIs("alive")
	}
	return nil
}

// A start in the background has succeeded when it says so: the process of the PID file
// takes commands at once. What keeps it from starting is said on the terminal.
func TestUPSMonBackground(t *testing.T) {
	t.Parallel()
	h := splitHost(t, "")
	r := h.run(ourProgram("upsmon"))
	child, err := h.pid()
	if r.code != 0 || err != nil {
		t.Fatalf("upsmon = %+v, PID file: %v; want code 0 and a number", r, err)
	}
	t.Cleanup(func() { syscall.Kill(child, syscall.SIGKILL) })
	for _, command := range []string{"reload", "stop"} {
		if r := h.run(ourProgram("upsmon", "-c", command)); r.code != 0 {
			t.Errorf("upsmon -c %s = %+v; want code 0", command, r)
		}
		if command == "reload" && ended(child) == nil {
			t.Fatal("the reload ended upsmon")
		}
	}
	h.eventually("upsmon has ended", func() error { return ended(child) })
	if r := h.run(ourProgram("upsmon", "-c", "stop")); r.code != 1 {
		t.Errorf("upsmon -c stop without one = %+v; want code 1", r)
	}
	for _, tt := range []struct{ more, want string }{
		{"CERTVERIFY 1\n", "CERTVERIFY needs CERTPATH"},
		{"CERTFILE @DIR@/conf/upsmon.conf\n", "permission denied"}, // not for the child
	} {
		h := splitHost(t, tt.more)
		if r := h.run(ourProgram("upsmon")); r.code != 1 || !strings.Contains(r.stderr, tt.want) {
			t.Errorf("upsmon with %s = %+v; want code 1 and %q", tt.more, r, tt.want)
		}
		if _, err := h.pid(); err == nil {
			t.Errorf("upsmon with %s left a PID file", tt.more)
		}
	}
}

// The service manager hears of the child: that it is ready and the main process, that
// it is alive, of reloads, and that the end may take its time.
func TestUPSMonTellsTheServiceManager(t *testing.T) {
	t.Parallel()
	h := splitHost(t, "FINALDELAY 2\n")
	path := filepath.Join(h.dir, "manager")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := os.Chmod(path, 0o777); err != nil {
		t.Fatal(err)
	}
	h.env = append(h.env, "NOTIFY_SOCKET="+path, "WATCHDOG_USEC=200000")
	// The manager names the process that it starts as the one to watch.
	wrapper := cProgram("sh", "-c", "WATCHDOG_PID=$$ exec "+nutPath(t)+" upsmon -F")
	cmd := h.cmd(t.Context(), program{name: wrapper.name, ours: true, args: wrapper.args})
	cmd.Path = "/bin/sh"
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	heard := func(want ...string) string {
		t.Helper()
		c.SetReadDeadline(time.Now().Add(20 * time.Second))
		for {
			b := make([]byte, 1000)
			n, err := c.Read(b)
			if err != nil {
				t.Fatalf("waited in vain for %q: %v", want, err)
			}
			lines := strings.Split(string(b[:n]), "\n")
			if !slices.ContainsFunc(want, func(w string) bool { return !slices.Contains(lines, w) }) {
				return string(b[:n])
			}
		}
	}
	ready := heard("READY=1")
	child, err := h.pid()
	if err != nil || !strings.Contains(ready, fmt.Sprintf("MAINPID=%d\n", child)) {
		t.Errorf("the manager heard %q; want the child %d as the main process, %v", ready, child, err)
	}
	heard("WATCHDOG=1")
	if r := h.run(ourProgram("upsmon", "-c", "reload")); r.code != 0 {
		t.Fatalf("upsmon -c reload = %+v", r)
	}
	heard("RELOADING=1")
	heard("READY=1")
	h.run(ourProgram("upsmon", "-c", "fsd"))
	heard("STOPPING=1")
	heard("EXTEND_TIMEOUT_USEC=infinity")
	heard("WATCHDOG=1") // FINALDELAY does not keep it from that
	if err := cmd.Wait(); err != nil {
		t.Errorf("upsmon ended with %v; want nil", err)
	}
}
