//go:build unix

package daemon

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"gonut/internal/program"
)

// roleVar makes the test binary play a daemon.
const roleVar = "GONUT_DAEMON_TEST_ROLE"

func TestMain(m *testing.M) {
	role := os.Getenv(roleVar)
	if role == "" {
		os.Exit(m.Run())
	}
	e := program.Env{Args: os.Args, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.Getenv}
	os.Exit(program.Code(play(role, e), os.Stderr))
}

// play is what the test binary does as a daemon.
func play(role string, e program.Env) error {
	ctx := context.Background()
	switch role {
	case "becomes":
		return playBecomes()
	case "signals":
		return playSignals(ctx)
	case "inherits":
		return playInherits(e)
	case "sleeps":
		time.Sleep(time.Minute)
		return nil
	}
	log := NewLog("testd", e)
	bg, err := Detach(ctx, e)
	if bg == nil {
		return err
	}
	fmt.Fprintln(e.Stderr, "initialising")
	switch role {
	case "fails":
		return program.Exitf(3, "testd: no such device")
	case "ends well":
		return nil
	case "dies":
		p, _ := os.FindProcess(os.Getpid())
		p.Kill()
		time.Sleep(time.Minute)
	case "hangs":
		time.Sleep(time.Minute)
	}
	ctx, _, stop := ListenSignals(ctx)
	defer stop()
	if err := WritePID(os.Getenv("TEST_PIDFILE")); err != nil {
		return err
	}
	if err := bg.Ready(log); err != nil {
		return err
	}
	fmt.Fprintln(e.Stderr, "nobody may see this")
	log.Logger().Info("nor this")
	select {
	case <-ctx.Done():
	case <-time.After(20 * time.Second):
	}
	return RemovePID(os.Getenv("TEST_PIDFILE"))
}

// reenter returns a command that plays a role.
func reenter(t *testing.T, role string, extra ...string) *exec.Cmd {
	t.Helper()
	cmd, err := Self("testd")
	if err != nil {
		t.Fatal(err)
	}
	cmd.Env = append(append(os.Environ(), roleVar+"="+role), extra...)
	return cmd
}

func TestDetach(t *testing.T) {
	path := filepath.Join(t.TempDir(), "testd.pid")
	cmd := reenter(t, "serves", "TEST_PIDFILE="+path, "NUT_DEBUG_SYSLOG=none")
	// Output ends only when every holder of the pipe has let go of it.
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = w, w
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	pid, err := ReadPID(path)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Kill(pid, syscall.SIGKILL)
	r.SetReadDeadline(time.Now().Add(5 * time.Second))
	out, err := io.ReadAll(r)
	if err != nil {
		t.Fatalf("reading the daemon's output: %v (it holds the terminal?)", err)
	}
	if string(out) != "initialising\n" {
		t.Errorf("printed %q; want what it says before it is ready", out)
	}
	if sid, _, errno := syscall.Syscall(syscall.SYS_GETSID, uintptr(pid), 0, 0); errno != 0 || int(sid) != pid {
		t.Errorf("session of the daemon = %d (%v); want its own, %d", sid, errno, pid)
	}
	if err := SignalPID(pid, syscall.SIGTERM, []string{"testd"}, os.Getenv); err != nil {
		t.Fatal(err)
	}
	for range 500 {
		if _, err = os.Stat(path); err != nil {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if err == nil {
		t.Error("the daemon did not end on SIGTERM, or left its PID file")
	}
}

func TestDetachFails(t *testing.T) {
	for role, want := range map[string]struct {
		code int
		text string
	}{
		"fails":     {3, "initialising\ntestd: no such device\n"},
		"ends well": {0, "initialising\n"},
		"dies":      {1, "initialising\ntestd was ended by signal: killed before it was ready\n"},
	} {
		cmd := reenter(t, role)
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		cmd.Run()
		if got := cmd.ProcessState.ExitCode(); got != want.code || out.String() != want.text {
			t.Errorf("%s: exit code %d, output %q; want %d, %q", role, got, &out, want.code, want.text)
		}
	}
}

func TestStartBackgroundEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := StartBackground(ctx, reenter(t, "hangs")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("StartBackground of a hanging program = %v; want deadline exceeded", err)
	}
}

func TestBackgroundMarkWithoutPipeIsIgnored(t *testing.T) {
	t.Setenv(detachMark, "1")
	if bg := detached(os.Getenv); bg != nil {
		bg.ready.Close()
		t.Skip("descriptor 3 of this test happens to be a pipe")
	}
	if os.Getenv(detachMark) != "" {
		t.Error("the mark stays in the environment; children would see it")
	}
}

func TestForegroundBackgroundDoesNothing(t *testing.T) {
	var bg *Background
	if err := bg.Ready(nil); err != nil {
		t.Errorf("Ready of nil = %v; want nil", err)
	}
}

func TestLookup(t *testing.T) {
	a, err := LookupAccount("root")
	if err != nil || a.UID != 0 || a.Name != "root" {
		t.Errorf("LookupAccount(root) = %+v, %v; want number 0", a, err)
	}
	if b, err := LookupAccount("0"); err != nil || b.Name != "root" {
		t.Errorf("LookupAccount(0) = %+v, %v; want root", b, err)
	}
	if _, err := LookupAccount("no-such-user"); err == nil || !strings.Contains(err.Error(), "no-such-user") {
		t.Errorf("LookupAccount(no-such-user) = %v; want an error that names it", err)
	}
	if gid, err := LookupGroup("0"); gid != 0 || err != nil {
		t.Errorf("LookupGroup(0) = %d, %v; want 0", gid, err)
	}
	if _, err := LookupGroup("no-such-group"); err == nil {
		t.Error("LookupGroup(no-such-group) = nil; want an error")
	}
}

func playBecomes() error {
	a, err := LookupAccount("nobody")
	if err != nil {
		return err
	}
	if err := a.Become(); err != nil {
		return err
	}
	groups, _ := os.Getgroups()
	fmt.Println(os.Getuid(), os.Geteuid(), os.Getgid(), len(groups))
	if err := syscall.Setuid(0); err == nil {
		return errors.New("root came back")
	}
	return a.Become() // once more is allowed and does nothing
}

func TestBecome(t *testing.T) {
	nobody, err := LookupAccount("nobody")
	if os.Getuid() != 0 || err != nil {
		t.Skip("only root can become nobody")
	}
	out, err := reenter(t, "becomes").CombinedOutput()
	want := fmt.Sprintf("%d %d %d %d\n", nobody.UID, nobody.UID, nobody.GID, len(nobody.Groups))
	if err != nil || string(out) != want {
		t.Errorf("after Become: %q, %v; want %q", out, err, want)
	}
}

func TestChrootFails(t *testing.T) {
	if err := Chroot("/no/such/folder"); err == nil {
		t.Error("Chroot(/no/such/folder) = nil; want an error")
	}
}

func playSignals(ctx context.Context) error {
	ctx, s, stop := ListenSignals(ctx)
	defer stop()
	for _, step := range []struct {
		sig syscall.Signal
		c   <-chan os.Signal
	}{{syscall.SIGHUP, s.Reload}, {syscall.SIGUSR1, s.User1}, {syscall.SIGUSR2, s.User2}} {
		syscall.Kill(os.Getpid(), syscall.SIGPIPE)
		syscall.Kill(os.Getpid(), step.sig)
		<-step.c
	}
	// A command that we run must not inherit that signals are ignored.
	err := exec.Command("/bin/sh", "-c", "kill -PIPE $$; kill -HUP $$").Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGPIPE {
		return fmt.Errorf("a command that sends itself SIGPIPE ended with %v; want that signal", err)
	}
	syscall.Kill(os.Getpid(), syscall.SIGTERM)
	<-ctx.Done()
	var e *SignalError
	if !errors.As(context.Cause(ctx), &e) || e.Signal != syscall.SIGTERM {
		return fmt.Errorf("cause = %v; want SIGTERM", context.Cause(ctx))
	}
	return program.Exit(7)
}

func TestSignals(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	cmd := reenter(t, "signals")
	c := exec.CommandContext(ctx, cmd.Path)
	c.Env = cmd.Env
	text, _ := c.CombinedOutput()
	if c.ProcessState.ExitCode() != 7 {
		t.Errorf("exit code %d, output %q; want 7", c.ProcessState.ExitCode(), text)
	}
}

func TestServiceNotifier(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	pid := strconv.Itoa(os.Getpid())
	n := NewServiceNotifier(env(map[string]string{"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "3000000", "WATCHDOG_PID": pid}))
	if got := n.WatchdogInterval(); got != 3*time.Second {
		t.Errorf("WatchdogInterval = %v; want 3s", got)
	}
	for _, step := range []struct {
		do   func()
		want string
	}{
		{func() { n.Ready("all is well") }, "READY=1\nMAINPID=" + pid + "\n*STATUS=all is well\n"},
		{n.Reloading, "RELOADING=1\n*"},
		{func() { n.Stopping("") }, "STOPPING=1\n"},
		{func() { n.Status("x") }, "STATUS=x\n"},
		{n.Watchdog, "WATCHDOG=1\n"},
		{func() { n.Extend(-1) }, "EXTEND_TIMEOUT_USEC=infinity\n"},
		{func() { n.Extend(2 * time.Second) }, "EXTEND_TIMEOUT_USEC=2000000\n"},
	} {
		step.do()
		got := nextLine(t, c)
		head, tail, star := strings.Cut(step.want, "*")
		if star && !(strings.HasPrefix(got, head) && strings.HasSuffix(got, tail)) || !star && got != step.want {
			t.Errorf("manager got %q; want %q", got, step.want)
		}
	}
}

func TestServiceNotifierWithoutManager(t *testing.T) {
	for _, addr := range []string{"", "/no/such/socket", "vsock:2:1"} {
		n := NewServiceNotifier(env(map[string]string{"NOTIFY_SOCKET": addr, "WATCHDOG_USEC": "x"}))
		n.Ready("")
		n.Watchdog()
		if n.WatchdogInterval() != 0 {
			t.Errorf("WatchdogInterval with %q = %v; want 0", addr, n.WatchdogInterval())
		}
	}
	other := NewServiceNotifier(env(map[string]string{"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "5", "WATCHDOG_PID": "1"}))
	if other.WatchdogInterval() != 0 {
		t.Error("WatchdogInterval for another process = not 0; want 0")
	}
	var n *ServiceNotifier
	n.Ready("")
	if n.Enabled() {
		t.Error("a nil notifier is enabled; want not")
	}
}

func playInherits(e program.Env) error {
	ls, err := InheritedListeners(func(name string) string {
		if name == "LISTEN_PID" {
			return strconv.Itoa(os.Getpid())
		}
		return e.Getenv(name)
	})
	if err != nil || len(ls) != 1 {
		return fmt.Errorf("inherited %d listeners: %w", len(ls), err)
	}
	c, err := ls[0].Accept()
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = io.WriteString(c, "hello")
	return err
}

func TestInheritedListeners(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	f, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	cmd := reenter(t, "inherits", "LISTEN_FDS=1")
	cmd.ExtraFiles = []*os.File{f}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	c.SetReadDeadline(time.Now().Add(5 * time.Second))
	if got, err := io.ReadAll(c); string(got) != "hello" {
		t.Errorf("over the inherited socket came %q, %v; want hello", got, err)
	}
}

func TestInheritedListenersOfOthers(t *testing.T) {
	if ls, err := InheritedListeners(env(map[string]string{"LISTEN_FDS": "2", "LISTEN_PID": "1"})); ls != nil || err != nil {
		t.Errorf("InheritedListeners for another process = %v, %v; want none", ls, err)
	}
}
