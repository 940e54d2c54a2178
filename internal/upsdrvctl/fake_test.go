//go:build unix

package upsdrvctl

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"gonut/internal/conf"
	"gonut/internal/daemon"
	"gonut/internal/program"
)

// fakeName is the driver that the test binary plays when it is called by that name.
const fakeName = "fakedrv"

// logVar names the file in which fake drivers note how they were called.
const logVar = "GONUT_TEST_DRIVER_LOG"

func TestMain(m *testing.M) {
	e := program.Env{
		Args: os.Args, Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.Getenv,
		Dial: (&net.Dialer{}).DialContext,
	}
	switch filepath.Base(os.Args[0]) {
	case fakeName:
		os.Exit(program.Code(fakeDriver(context.Background(), e), os.Stderr))
	case "upsdrvctl":
		os.Exit(program.Code(run(context.Background(), e, owns), os.Stderr))
	}
	os.Exit(m.Run())
}

func owns(name string) bool { return name == fakeName }

// note appends a line to the log of all fake drivers.
func note(line string) {
	f, err := os.OpenFile(os.Getenv(logVar), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		panic(err)
	}
	defer f.Close()
	fmt.Fprintln(f, line)
}

// fakeDriver plays a driver. The beginning of the ups' name chooses how well.
func fakeDriver(ctx context.Context, e program.Env) error {
	opts, _, err := program.Getopt(e.Args[1:], "DdFBka:r:u:")
	if err != nil {
		return err
	}
	upsName, foreground, kill := "", false, false
	for _, o := range opts {
		switch o.Letter {
		case 'a':
			upsName = o.Arg
		case 'F', 'D':
			foreground = true
		case 'k':
			kill = true
		}
	}
	first := e.Getenv("NUT_DETACHED") == ""
	if first {
		note(strings.Join(e.Args[1:], " "))
	}
	kind := strings.TrimRight(upsName, "0123456789")
	if kill {
		if kind == "bad" {
			return fmt.Errorf("%s: no power to cut", upsName)
		}
		if kind == "hang" {
			time.Sleep(3 * time.Second)
		}
		return nil
	}
	var bg *daemon.Background
	if !foreground {
		if bg, err = daemon.Detach(ctx, e); bg == nil {
			return err
		}
	}
	switch kind {
	case "bad":
		return fmt.Errorf("%s: no such device", upsName)
	case "flaky":
		mark := os.Getenv(logVar) + "." + upsName
		if _, err := os.Stat(mark); err != nil {
			os.WriteFile(mark, nil, 0o644)
			return fmt.Errorf("%s: not yet", upsName)
		}
	case "slow":
		time.Sleep(1500 * time.Millisecond)
	case "hang":
		time.Sleep(10 * time.Second)
	case "crash":
		fmt.Fprintln(os.Stderr, "about to crash")
		syscall.Kill(os.Getpid(), syscall.SIGSEGV)
		time.Sleep(time.Second)
	}
	return serveFake(ctx, e, upsName, kind, bg)
}

func serveFake(ctx context.Context, e program.Env, upsName, kind string, bg *daemon.Background) error {
	paths := conf.FindPaths(e.Getenv)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ctx, signals, stop := daemon.ListenSignals(ctx)
	defer stop()
	if kind == "stubborn" {
		signal.Ignore(syscall.SIGTERM)
	}
	socket := filepath.Join(paths.State, fakeName+"-"+upsName)
	os.Remove(socket)
	l, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	context.AfterFunc(ctx, func() { l.Close() })
	var wg sync.WaitGroup
	defer func() { cancel(); wg.Wait() }()
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer conn.Close()
				context.AfterFunc(ctx, func() { conn.Close() })
				answerFake(conn, cancel)
			})
		}
	})
	if kind != "nopid" {
		pidFile := daemon.AltPIDPath(paths, fakeName+"-"+upsName)
		if err := daemon.WritePID(pidFile); err != nil {
			return err
		}
		defer daemon.RemovePID(pidFile)
	}
	bg.Ready(nil)
	select {
	case <-ctx.Done():
	case sig := <-signals.Reload:
		note(upsName + " got " + sig.String())
	case sig := <-signals.User1:
		note(upsName + " got " + sig.String())
		if kind == "changed" && sig == syscall.SIGUSR1 {
			return program.Exit(exitReload)
		}
	case <-time.After(30 * time.Second):
	}
	<-ctx.Done()
	return nil
}

func answerFake(conn net.Conn, end func()) {
	lines := bufio.NewScanner(conn)
	for lines.Scan() {
		line, id, _ := strings.Cut(lines.Text(), " TRACKING ")
		switch line {
		case "PING":
			fmt.Fprintln(conn, "PONG")
		case "GETPID":
			fmt.Fprintln(conn, "PID", os.Getpid())
		case "DUMPSTATUS":
			fmt.Fprint(conn, "SETINFO ups.status \"OL CHRG\"\nDATAOK\nDUMPDONE\n")
		case "DUMPALL":
			fmt.Fprint(conn, "SETINFO ups.mfr \"fake\"\nSETINFO ups.status \"OL CHRG\"\nADDCMD x\nDATAOK\nDUMPDONE\n")
		case "INSTCMD driver.reload-or-error":
			fmt.Fprintln(conn, "TRACKING", id, 2)
		case "INSTCMD driver.exit":
			fmt.Fprintln(conn, "TRACKING", id, 0)
			end()
		}
	}
}

// A rig is a host with a ups.conf, fake drivers and nothing running.
type rig struct {
	t   *testing.T
	dir string
}

// newRig makes a host; conf is its ups.conf, in which "driver = fake" is implied
// for sections that have a port.
func newRig(t *testing.T, upsConf string) *rig {
	t.Helper()
	r := &rig{t: t, dir: t.TempDir()}
	for _, d := range []string{"conf", "state", "drivers"} {
		if err := os.Mkdir(filepath.Join(r.dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("NUT_CONFPATH", filepath.Join(r.dir, "conf"))
	t.Setenv("NUT_STATEPATH", filepath.Join(r.dir, "state"))
	t.Setenv("NUT_ALTPIDPATH", filepath.Join(r.dir, "state"))
	t.Setenv("NUT_QUIET_INIT_BANNER", "1")
	t.Setenv("NUT_DEBUG_LEVEL", "")
	t.Setenv("NUT_IGNORE_NOWAIT", "")
	t.Setenv("NOTIFY_SOCKET", "")
	t.Setenv(logVar, filepath.Join(r.dir, "log"))
	upsConf = "driverpath = " + filepath.Join(r.dir, "drivers") + "\nretrydelay = 0\n" + upsConf
	if err := os.WriteFile(filepath.Join(r.dir, "conf", "ups.conf"), []byte(upsConf), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.killAll)
	return r
}

// install puts the fake driver into the folder of drivers.
func (r *rig) install() *rig {
	r.t.Helper()
	self, err := os.Executable()
	if err != nil {
		r.t.Fatal(err)
	}
	if err := os.Symlink(self, filepath.Join(r.dir, "drivers", fakeName)); err != nil {
		r.t.Fatal(err)
	}
	return r
}

// killAll ends every driver that a test left.
func (r *rig) killAll() {
	files, _ := filepath.Glob(filepath.Join(r.dir, "state", "*.pid"))
	for _, f := range files {
		if pid, err := daemon.ReadPID(f); err == nil && daemon.CheckProcess(pid, fakeName) == nil {
			syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}

// run runs upsdrvctl in this process.
func (r *rig) run(args ...string) (code int, stdout, stderr string) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), 30*time.Second)
	defer cancel()
	var out, errs lockedBuffer
	err := run(ctx, program.Env{
		Args: append([]string{"upsdrvctl"}, args...), Stdout: &out, Stderr: &errs,
		Getenv: os.Getenv, Dial: (&net.Dialer{}).DialContext,
	}, owns)
	code = program.Code(err, &errs)
	return code, out.String(), errs.String()
}

// want runs upsdrvctl and checks its exit code and that it said no less.
func (r *rig) want(code int, stdout, stderr string, args ...string) {
	r.t.Helper()
	gotCode, gotOut, gotErr := r.run(args...)
	if gotCode != code || !strings.Contains(gotOut, stdout) || !strings.Contains(gotErr, stderr) {
		r.t.Errorf("upsdrvctl %q = %d\nstdout %q\nstderr %q\nwant %d, %q, %q", args, gotCode, gotOut, gotErr, code, stdout, stderr)
	}
}

// calls returns how drivers were called since the last time.
func (r *rig) calls() []string {
	b, _ := os.ReadFile(os.Getenv(logVar))
	os.Remove(os.Getenv(logVar))
	return strings.Fields(strings.ReplaceAll(strings.ReplaceAll(string(b), " ", "_"), "\n", " "))
}

func (r *rig) wantCalls(want ...string) {
	r.t.Helper()
	if got := r.calls(); !slices.Equal(got, want) {
		r.t.Errorf("drivers were called as %q; want %q", got, want)
	}
}

// running reports whether the driver of a ups lives.
func (r *rig) running(upsName string) bool {
	pid, err := daemon.ReadPID(r.pidFile(upsName))
	return err == nil && daemon.SignalPID(pid, 0, []string{fakeName}, os.Getenv) == nil
}

func (r *rig) pidFile(upsName string) string {
	return filepath.Join(r.dir, "state", fakeName+"-"+upsName+".pid")
}

// A lockedBuffer is a bytes.Buffer for several writers.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// section is a section of ups.conf for the fake driver.
func section(name string, lines ...string) string {
	return "[" + name + "]\n" + strings.Join(append(lines, "driver = "+fakeName, "port = auto"), "\n") + "\n"
}
