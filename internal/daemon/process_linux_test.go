package daemon

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

func TestCheckProcessKnowsManyInOne(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		name string
		ok   bool
	}{
		{[]string{"upsd"}, "upsd", true},
		{[]string{"/usr/sbin/upsd", "-F"}, "upsd", true},
		{[]string{"nut", "upsd"}, "upsd", true},
		{[]string{"nut", "upsmon"}, "upsd", false},
		{[]string{"vi", "upsd"}, "upsd", false},
		{[]string{"lt-upsd"}, "upsd", true},
	} {
		cmd := &exec.Cmd{Path: self, Args: c.args, Env: append(os.Environ(), roleVar+"=sleeps")}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		// The kernel shows arguments only some microseconds after exec.
		for len(commandLine(cmd.Process.Pid)) == 0 {
			runtime.Gosched()
		}
		err := CheckProcess(cmd.Process.Pid, c.name)
		if ok := err == nil; ok != c.ok || !ok && !errors.Is(err, ErrOtherProcess) {
			t.Errorf("CheckProcess(%q, %s) = %v; want ok %v", c.args, c.name, err, c.ok)
		}
		cmd.Process.Kill()
		cmd.Wait()
	}
}

// In a container without a real init, daemons that have ended stay as zombies.
func TestZombiesAreGone(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := &exec.Cmd{Path: self, Args: []string{"up) Z (sd"}, Env: append(os.Environ(), roleVar+"=sleeps")}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	pid := cmd.Process.Pid
	if err := SignalPID(pid, 0, []string{"up) Z (sd", "daemon.test"}, os.Getenv); err != nil {
		t.Errorf("SignalPID of a living process = %v; want nil", err)
	}
	cmd.Process.Kill()
	for !isZombie(pid) {
		runtime.Gosched()
	}
	if err := SignalPID(pid, 0, []string{"up) Z (sd", "daemon.test"}, os.Getenv); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("SignalPID of a zombie = %v; want ErrProcessDone", err)
	}
}

func TestRelaxTimers(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	RelaxTimers()
	name := filepath.Join("/proc", strconv.Itoa(syscall.Gettid()), "timerslack_ns")
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.TrimSpace(string(b)); got != timerSlack {
		t.Errorf("%s: %s; want %s", name, got, timerSlack)
	}
}
