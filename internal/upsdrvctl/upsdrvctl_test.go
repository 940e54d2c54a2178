//go:build unix

package upsdrvctl

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"gonut/internal/daemon"
)

func TestStartStatusAndStop(t *testing.T) {
	r := newRig(t, section("good1")+section("good2")).install()
	r.want(0, "good1      \t    fakedrv\tN/A\t-3\tNOT_RESPONSIVE\tN/A\t\n", "", "status")
	r.want(0, "", "", "start")
	r.wantCalls("-a_good1", "-a_good2")
	pid, err := daemon.ReadPID(r.pidFile("good1"))
	if err != nil || !r.running("good1") || !r.running("good2") {
		t.Fatalf("after start: %v; want two running drivers", err)
	}
	p := strconv.Itoa(pid)
	r.want(0, header()+"good1      \t    fakedrv\tRUNNING\t"+p+"\tRESPONSIVE\t"+p+"\t\"OL CHRG\"\n", "", "status", "good1")
	r.want(0, "good1\ngood2\n", "", "list")
	r.want(0, "good2\n", "", "-l", "good2")
	r.want(0, "ups.mfr: fake\nups.status: OL CHRG\n", "", "-c", "dump", "good1")
	r.want(1, "", "command UPS good1: reload: the driver answers that this needs a restart", "-c", "reload", "good1")
	r.want(0, "", "", "stop", "good1")
	if r.running("good1") || !r.running("good2") {
		t.Error("after stop good1: want good2 alone running")
	}
	r.want(0, "", "", "-c", "exit", "good2")
	if r.running("good2") {
		t.Error("after -c exit: good2 still runs")
	}
	r.want(1, "", "stop UPS good1: its driver is not running", "stop")
	r.want(1, "", "command UPS good2: its driver is not running", "-c", "exit")
}

// A driver that belongs to this binary is started where there is no file.
func TestStartsItself(t *testing.T) {
	r := newRig(t, section("good"))
	r.want(0, "", "", "start")
	if !r.running("good") {
		t.Error("the built-in driver does not run")
	}
	r.want(0, "", "", "stop")
	if r.running("good") {
		t.Error("the built-in driver was not stopped")
	}
}

// C's upsdrvctl does not start any driver that follows a missing one.
func TestMissingProgramDoesNotStopTheOthers(t *testing.T) {
	r := newRig(t, "maxretry = 3\n[a]\ndriver = fakedvr\nport = x\n[b]\ndriver = "+fakeName+"\n[c]\nport = x\n[noport]\ndriver = "+fakeName+"\nport = \"\"\n"+section("good")).install()
	const missing = "start UPS a: there is no driver fakedvr in "
	_, _, text := r.run("start")
	if strings.Count(text, missing) != 1 || !strings.Contains(text, "; did you mean fakedrv?; nut doctor drivers a tells more") {
		t.Errorf("start of a missing driver says %q; want %q once, and what is there", text, missing)
	}
	if !r.running("good") {
		t.Error("good was not started")
	}
	if !r.running("noport") {
		t.Error("noport, whose port is empty, was not started")
	}
	r.want(1, "", "ups.conf:7: section [b] has no line port = …", "start", "b")
	r.want(1, "", "ups.conf:9: section [c] has no line driver = …", "start", "c")
}

func TestStartTriesAgain(t *testing.T) {
	r := newRig(t, "maxretry = 3\n"+section("flaky")+section("bad", "maxretry = 2")+section("none", "maxretry = 0")).install()
	r.want(1, "", "start UPS bad: driver failed to start (exit status=1)", "start")
	r.wantCalls("-a_flaky", "-a_flaky", "-a_bad", "-a_bad")
	if !r.running("flaky") {
		t.Error("flaky does not run after its second try")
	}
	r.want(0, "", "maxretry = 0", "start", "none")
}

func TestStartTimer(t *testing.T) {
	r := newRig(t, "maxstartdelay = 1\n"+section("slow")+section("hang")).install()
	// hang takes as long as slow needs to become ready after all.
	r.want(1, "", "start UPS hang: its driver is not ready yet", "start")
	_, _, stderr := r.run("stop", "slow")
	if strings.Contains(stderr, "slow") {
		t.Errorf("stop slow says %q; want it to have been started", stderr)
	}
}

func TestNowait(t *testing.T) {
	r := newRig(t, "nowait\n"+section("slow")).install()
	began := time.Now()
	r.want(0, "", "", "start")
	if d := time.Since(began); d > time.Second {
		t.Errorf("start with nowait took %v; want no wait", d)
	}
	until(t, "the driver", func() bool { return r.running("slow") })
	r.want(0, "", "", "stop")
	t.Setenv("NUT_IGNORE_NOWAIT", "true")
	r.want(0, "", "", "start")
	if !r.running("slow") {
		t.Error("start returned before the driver was ready although nowait is ignored")
	}
}

func TestShutdownOrder(t *testing.T) {
	r := newRig(t, "nowait\nmaxstartdelay = 20\n"+section("late", "sdorder = 2")+section("a")+section("never", "sdorder = -1")+section("b", "sdorder = 1")+section("c")).install()
	r.want(0, "", "", "shutdown")
	r.wantCalls("-a_a_-k", "-a_c_-k", "-a_b_-k", "-a_late_-k")
	r.want(0, "", "", "-r", "/x", "shutdown", "never")
	r.wantCalls("-a_never_-k_-r_/x")
}

func TestShutdownGoesOn(t *testing.T) {
	r := newRig(t, "maxstartdelay = 1\n"+section("bad")+section("hang")+section("good", "sdorder = 1")).install()
	began := time.Now()
	code, _, stderr := r.run("shutdown")
	if d := time.Since(began); d > 5*time.Second {
		t.Errorf("shutdown took %v; want not to wait for a hanging driver", d)
	}
	r.wantCalls("-a_bad_-k", "-a_hang_-k", "-a_good_-k")
	for _, want := range []string{
		"bad: no power to cut",
		"shutdown UPS bad: the driver could not cut the power (exit status=1)",
		"shutdown UPS hang: its driver takes longer than maxstartdelay",
	} {
		if code != 1 || !strings.Contains(stderr, want) {
			t.Errorf("shutdown = %d, %q; want 1 and %q", code, stderr, want)
		}
	}
}

// C shows the sequence only with -DD.
func TestTestModeShowsTheSequence(t *testing.T) {
	r := newRig(t, section("b", "sdorder = 1")+section("a")).install()
	program := filepath.Join(r.dir, "drivers", fakeName)
	code, stdout, stderr := r.run("-t", "shutdown")
	first, second := "exec:  "+program+" -a a -k\n", "exec:  "+program+" -a b -k\n"
	if code != 0 || stdout != "*** Testing mode: not calling exec/kill/signal\n" ||
		!strings.Contains(stderr, first) || strings.Index(stderr, second) < strings.Index(stderr, first) {
		t.Errorf("-t shutdown = %d, %q, %q; want %q, then %q", code, stdout, stderr, first, second)
	}
	for _, args := range []string{"-t start", "-tF start", "-t stop", "-t -c exit"} {
		r.want(0, "*** Testing mode", "", strings.Fields(args)...)
	}
	r.wantCalls()
}

func TestStopKillsTheStubborn(t *testing.T) {
	r := newRig(t, section("stubborn")).install()
	r.want(0, "", "", "start")
	began := time.Now()
	r.want(0, "", "was killed", "stop")
	if d := time.Since(began); d < endWait || d > endWait+3*time.Second {
		t.Errorf("stop took %v; want a little more than %v", d, endWait)
	}
	if _, err := os.Stat(r.pidFile("stubborn")); err == nil {
		t.Error("the PID file of the killed driver is still there")
	}
}

func TestStopBySocket(t *testing.T) {
	r := newRig(t, section("nopid")).install()
	r.want(0, "", "", "start")
	r.want(0, "\tRUNNING\t-3\tRESPONSIVE\t", "", "status")
	r.want(0, "", "", "stop")
	r.want(0, "\tN/A\t-3\tNOT_RESPONSIVE\tN/A\t\n", "", "status")
}

// A number that is another process's by now must not be signalled.
func TestStopLeavesOthersAlone(t *testing.T) {
	r := newRig(t, section("good")).install()
	sleep := exec.Command("sleep", "60")
	if err := sleep.Start(); err != nil {
		t.Skip("no sleep program on this system")
	}
	defer func() { sleep.Process.Kill(); sleep.Wait() }()
	if err := os.WriteFile(r.pidFile("good"), fmt.Append(nil, sleep.Process.Pid), 0o644); err != nil {
		t.Fatal(err)
	}
	r.want(1, "", "it is sleep, not fakedrv", "stop")
	r.want(0, "\tN/A\t"+strconv.Itoa(sleep.Process.Pid)+"\tNOT_RESPONSIVE\t", "", "status")
	if err := sleep.Process.Signal(syscall.Signal(0)); err != nil {
		t.Error("another process was ended")
	}
	if err := os.WriteFile(r.pidFile("good"), []byte("junk"), 0o644); err != nil {
		t.Fatal(err)
	}
	r.want(0, "\tN/A\t-2\tNOT_RESPONSIVE\t", "", "status")
}

func TestCommandsBySignal(t *testing.T) {
	r := newRig(t, section("good")).install()
	r.want(0, "", "", "start")
	r.calls()
	r.want(0, "", "", "-c", "reload-or-exit")
	for range 200 {
		if _, err := os.Stat(os.Getenv(logVar)); err == nil {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	r.wantCalls("good_got_user_defined_signal_1")
}

func TestWrongUse(t *testing.T) {
	r := newRig(t, section("good")).install()
	r.want(1, "", "UPS god not found in ups.conf; did you mean good?", "start", "god")
	r.want(1, "", "Error: unrecognized command [frob]", "frob")
	r.want(1, "", "one ups at most", "start", "a", "b")
	r.want(0, "usage: upsdrvctl", "invalid option -- 'x'", "-x")
	r.want(0, "usage: upsdrvctl", "")
	r.want(0, "Network UPS Tools upsdrvctl - UPS driver controller", "", "-V")
	if err := os.WriteFile(filepath.Join(r.dir, "conf", "ups.conf"), []byte("# nothing\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	r.want(1, "", "no UPS definitions found", "status")
	if err := os.Remove(filepath.Join(r.dir, "conf", "ups.conf")); err != nil {
		t.Fatal(err)
	}
	r.want(1, "", "ups.conf", "status")
}

// process starts upsdrvctl as a process of its own.
func (r *rig) process(args ...string) (*exec.Cmd, *lockedBuffer) {
	r.t.Helper()
	cmd, err := daemon.Self(append([]string{"upsdrvctl"}, args...)...)
	if err != nil {
		r.t.Fatal(err)
	}
	out := new(lockedBuffer)
	cmd.Stdout, cmd.Stderr = io.Discard, out
	if err := cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { cmd.Process.Kill() })
	return cmd, out
}

// until waits for a condition.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for range 1000 {
		if ok() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("waited in vain for: %s", what)
}

func TestForegroundOneTakesOurPlace(t *testing.T) {
	r := newRig(t, section("good")).install()
	cmd, out := r.process("-FF", "start")
	until(t, "the driver", func() bool { return r.running("good") })
	if pid, err := daemon.ReadPID(r.pidFile("good")); pid != cmd.Process.Pid || err != nil {
		t.Errorf("the driver is process %d (%v); want upsdrvctl's own, %d", pid, err, cmd.Process.Pid)
	}
	cmd.Process.Signal(syscall.SIGTERM)
	if err := cmd.Wait(); err != nil {
		t.Errorf("the driver ended with %v, output %q; want 0", err, out)
	}
	r.wantCalls("-FF_-a_good")
}

func TestSupervise(t *testing.T) {
	r := newRig(t, section("good1")+section("good2")+section("crash")+section("changed")).install()
	cmd, out := r.process("-F", "start")
	both := func() bool { return r.running("good1") && r.running("good2") && r.running("changed") }
	until(t, "three drivers", both)
	before, _ := daemon.ReadPID(r.pidFile("good1"))
	syscall.Kill(before, syscall.SIGKILL)
	until(t, "a new good1", func() bool {
		now, err := daemon.ReadPID(r.pidFile("good1"))
		return err == nil && now != before && r.running("good1")
	})
	// A driver that somebody asked to end stays away.
	r.want(0, "", "", "stop", "good2")
	until(t, "the report of good2", func() bool {
		return strings.Contains(out.String(), "UPS good2: driver ended: it was told to end; it is not started again")
	})
	before, _ = daemon.ReadPID(r.pidFile("changed"))
	cmd.Process.Signal(syscall.SIGUSR1)
	until(t, "a new changed", func() bool {
		now, err := daemon.ReadPID(r.pidFile("changed"))
		return err == nil && now != before && r.running("changed")
	})
	cmd.Process.Signal(syscall.SIGTERM)
	if err := cmd.Wait(); err != nil {
		t.Errorf("the supervisor ended with %v; want 0", err)
	}
	if both() || r.running("good1") || r.running("changed") {
		t.Error("a driver outlives its supervisor")
	}
	for _, want := range []string{
		"UPS good1: driver ended: killed by SIGKILL, by somebody or for want of memory; starting it again",
		"UPS changed: driver ended: a setting was changed that only a restart applies; starting it again",
		"passing signal to all drivers: user defined signal 1",
		"UPS crash: driver ended: it crashed: SIGSEGV: segmentation violation; starting it again",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the supervisor said\n%s\nwant %q in it", out, want)
		}
	}
	// The signal that is passed on may end it as well, if it has just begun.
	if n := strings.Count(out.String(), "UPS crash: driver ended: it crashed"); n != 1 {
		t.Errorf("the same crash was reported %d times; want once: %s", n, out)
	}
}
