//go:build unix

// Package interop runs our programs and C NUT's side by side and against each
// other. Its tests need Debian's packages nut-server and nut-client; without them
// they are skipped, or fail if GONUT_REQUIRE_INTEROP=1.
//
// A test sets up one or more hosts, each with folders and a port of its own:
//
//	h := newHost(t, map[string]string{
//		"ups.conf":   "[ups]\n driver = dummy-ups\n port = ups.dev\n",
//		"ups.dev":    "ups.status: OL\n",
//		"upsd.conf":  "LISTEN 127.0.0.1 @PORT@\n",
//		"upsd.users": "[admin]\n password = secret\n actions = SET\n instcmds = ALL\n",
//	})
//	h.start(cDriver("dummy-ups", "ups"))  // or ourDriver("dummy-ups", "ups")
//	h.start(cUPSD())                      // or ourUPSD(); waits until it listens
//	h.await("ups", "ups.status", "OL")    // until upsd serves that value
//	r := h.run(cProgram("upsc", h.system("ups")))    // or ourProgram(…)
//
// Processes end with the test, by their process numbers; their output is shown if
// the test fails. @PORT@ in a file is the host's port, @DIR@ its folder, which has
// the folders conf and state, and @NUT@ the path of our binary.
package interop

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
	"sync"
	"syscall"
	"testing"
	"time"

	"gonut/test/built"
	"gonut/upsclient"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if dir := binary.dir; dir != "" {
		os.RemoveAll(dir)
	}
	os.Exit(code)
}

// cFolders are where Debian's packages put programs. The upsd and upsmon of
// /usr/sbin are wrappers that ask nut.conf, so they come last.
var cFolders = []string{"/lib/nut", "/usr/lib/nut", "/usr/bin", "/usr/sbin"}

// cPath returns the path of one of C NUT's programs. Without it the test is
// skipped, or fails in CI.
func cPath(t *testing.T, name string) string {
	t.Helper()
	for _, dir := range cFolders {
		if path := filepath.Join(dir, name); isFile(path) {
			return path
		}
	}
	missing(t, fmt.Sprintf("C NUT's %s is not installed (apt-get install nut-server nut-client)", name))
	return ""
}

// missing skips the test for want of a peer, or fails it in CI.
func missing(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("GONUT_REQUIRE_INTEROP") == "1" {
		t.Fatal(what + " and GONUT_REQUIRE_INTEROP=1")
	}
	t.Skip(what)
}

func isFile(path string) bool {
	fi, err := os.Stat(path)
	return err == nil && fi.Mode().IsRegular()
}

// binary is our one binary, built by the first test that needs it.
var binary struct {
	once sync.Once
	dir  string
	path string
	err  error
}

// nutPath returns the path of our binary.
func nutPath(t *testing.T) string {
	t.Helper()
	binary.once.Do(func() {
		if binary.dir, binary.err = os.MkdirTemp("", "gonut"); binary.err == nil {
			binary.path, binary.err = built.Build(binary.dir)
		}
	})
	if binary.err != nil {
		t.Fatal(binary.err)
	}
	return binary.path
}

// A program is one that a host can start or run.
type program struct {
	name  string
	ours  bool
	args  []string
	stdin string
	// ready says when a program that was started is at work; nil: at once.
	ready func(h *host) error
}

// cProgram is one of C NUT's programs.
func cProgram(name string, args ...string) program { return program{name: name, args: args} }

// ourProgram is the same of ours.
func ourProgram(name string, args ...string) program {
	return program{name: name, ours: true, args: args}
}

// with returns the program with text on its standard input.
func (p program) with(stdin string) program {
	p.stdin = stdin
	return p
}

// cUPSD is C's upsd in the foreground, ours the same; ready when it listens.
func cUPSD() program   { return upsd(cProgram("upsd", asRoot("-F")...)) }
func ourUPSD() program { return upsd(ourProgram("upsd", asRoot("-F")...)) }

func upsd(p program) program {
	p.ready = (*host).listening
	return p
}

// cDriver is C's driver of that name for a section of ups.conf, in the foreground;
// ready when its socket is there.
func cDriver(driver, ups string, args ...string) program {
	return withSocket(cProgram(driver, asRoot(append([]string{"-F", "-a", ups}, args...)...)...), ups)
}

// ourDriver is the same of ours.
func ourDriver(driver, ups string, args ...string) program {
	return withSocket(ourProgram(driver, asRoot(append([]string{"-F", "-a", ups}, args...)...)...), ups)
}

func withSocket(p program, ups string) program {
	p.ready = func(h *host) error {
		// Not by a connection: C's driver of 2.8.0 may die of one that was closed.
		_, err := os.Stat(filepath.Join(h.dir, "state", p.name+"-"+ups))
		return err
	}
	return p
}

// cUPSMon is C's upsmon in the foreground and in one process, ours the same. C's has
// a single place for its PID file; -P keeps it from looking there for another one.
func cUPSMon() program   { return cProgram("upsmon", "-F", "-p", "-P", "4194304") }
func ourUPSMon() program { return ourProgram("upsmon", "-F", "-p") }

// asRoot adds what keeps root's programs from becoming another user, who could not
// enter the test's folder.
func asRoot(args ...string) []string {
	if os.Geteuid() == 0 {
		return append([]string{"-u", "root"}, args...)
	}
	return args
}

// A host is a set of folders and a port for one upsd.
type host struct {
	t    *testing.T
	dir  string
	port int
	env  []string // in addition to the process's own
	// netns is the network namespace in which its programs run; empty: the test's.
	netns string
}

// newHost makes a host whose configuration folder has the given files.
func newHost(t *testing.T, files map[string]string) *host {
	t.Helper()
	// Not t.TempDir: the paths of sockets have to be short.
	dir, err := os.MkdirTemp("", "nut")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	h := &host{t: t, dir: dir, port: freePort(t)}
	for _, sub := range []string{"conf", "state"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o770); err != nil {
			t.Fatal(err)
		}
	}
	state := filepath.Join(dir, "state")
	h.env = []string{
		"NUT_CONFPATH=" + filepath.Join(dir, "conf"),
		"NUT_STATEPATH=" + state, "NUT_ALTPIDPATH=" + state, "NUT_PIDPATH=" + state,
		"HOME=" + dir,
	}
	h.write("upsd.users", "") // C's upsd insists on it
	for name, text := range files {
		h.write(name, text)
	}
	return h
}

// freePort returns a port of 127.0.0.1 that nobody listens on.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// write puts a file into the host's configuration folder. Every version has a second of
// its own, for C's dummy-ups does not see a change within the second in which it has
// read, be it half of a file.
func (h *host) write(name, text string) {
	h.t.Helper()
	marks := []string{"@PORT@", strconv.Itoa(h.port), "@DIR@", h.dir}
	if strings.Contains(text, "@NUT@") {
		marks = append(marks, "@NUT@", nutPath(h.t))
	}
	text = strings.NewReplacer(marks...).Replace(text)
	path := filepath.Join(h.dir, "conf", name)
	before, err := os.Stat(path)
	if err := os.WriteFile(path, []byte(text), 0o640); err != nil {
		h.t.Fatal(err)
	}
	if err != nil {
		return // it is new
	}
	at := time.Now()
	if before.ModTime().After(at) {
		at = before.ModTime()
	}
	at = at.Add(time.Second)
	if err := os.Chtimes(path, at, at); err != nil {
		h.t.Fatal(err)
	}
}

// addr is where the host's upsd listens.
func (h *host) addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(h.port)) }

// system is how clients name one of the host's devices.
func (h *host) system(ups string) string { return ups + "@" + h.addr() }

func (h *host) listening() error {
	c, err := net.Dial("tcp", h.addr())
	if err == nil {
		c.Close()
	}
	return err
}

// cmd returns the command of a program on this host.
func (h *host) cmd(ctx context.Context, p program) *exec.Cmd {
	h.t.Helper()
	var cmd *exec.Cmd
	if p.ours {
		cmd = exec.CommandContext(ctx, nutPath(h.t), p.args...)
		cmd.Args[0] = p.name
	} else {
		cmd = exec.CommandContext(ctx, cPath(h.t, p.name), p.args...)
	}
	if h.netns != "" {
		h.enter(cmd, p)
	}
	cmd.Env = append(os.Environ(), h.env...)
	cmd.Dir = h.dir
	cmd.Stdin = strings.NewReader(p.stdin)
	return cmd
}

// A result is how a program ended.
type result struct {
	stdout, stderr string
	code           int
}

// run runs a program to its end, for at most half a minute.
func (h *host) run(p program) result {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), 30*time.Second)
	defer cancel()
	cmd := h.cmd(ctx, p)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) || ctx.Err() != nil {
		h.t.Fatalf("run %s %q: %v %v", p.name, p.args, err, ctx.Err())
	}
	return result{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// A process is a program that was started.
type process struct {
	h    *host
	name string
	cmd  *exec.Cmd
	out  string        // the file of both its streams
	done chan struct{} // closed when it has ended
}

// start starts a program, waits until it is ready and ends it with the test.
func (h *host) start(p program) *process {
	h.t.Helper()
	// A file and no pipe, whose end would be that of the process's children as well.
	out, err := os.CreateTemp(h.dir, p.name+"-*.out")
	if err != nil {
		h.t.Fatal(err)
	}
	defer out.Close()
	return h.startOn(p, out)
}

// startOn is start with out as both streams of the program.
func (h *host) startOn(p program, out *os.File) *process {
	h.t.Helper()
	pr := &process{h: h, name: p.name, cmd: h.cmd(context.Background(), p), out: out.Name(), done: make(chan struct{})}
	pr.cmd.Stdout, pr.cmd.Stderr = out, out
	if err := pr.cmd.Start(); err != nil {
		h.t.Fatalf("start %s: %v", p.name, err)
	}
	go func() {
		defer close(pr.done)
		pr.cmd.Wait()
	}()
	h.t.Cleanup(func() {
		pr.stop()
		if h.t.Failed() {
			h.t.Logf("output of %s %q (%v):\n%s", p.name, p.args, pr.cmd.ProcessState, pr.output())
		}
	})
	if p.ready != nil {
		h.eventually(p.name+" is ready", func() error {
			if pr.ended() {
				h.t.Fatalf("%s %q ended: %v", p.name, p.args, pr.cmd.ProcessState)
			}
			return p.ready(h)
		})
	}
	return pr
}

// stop ends the process: TERM, and KILL if that does not help. Stopping twice does
// nothing.
func (pr *process) stop() {
	if pr.ended() {
		return
	}
	pr.signal(syscall.SIGTERM)
	select {
	case <-pr.done:
	case <-time.After(5 * time.Second):
		pr.cmd.Process.Kill()
		<-pr.done
	}
}

// signal sends a signal to the process.
func (pr *process) signal(sig syscall.Signal) {
	pr.h.t.Helper()
	if err := pr.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		pr.h.t.Errorf("signal %s: %v", pr.name, err)
	}
}

func (pr *process) ended() bool {
	select {
	case <-pr.done:
		return true
	default:
		return false
	}
}

// output is what the process has written so far, both streams.
func (pr *process) output() string {
	b, err := os.ReadFile(pr.out)
	if err != nil {
		pr.h.t.Error(err)
	}
	return string(b)
}

// eventually waits for at most 40 seconds until check returns nil.
func (h *host) eventually(what string, check func() error) {
	h.t.Helper()
	deadline := time.Now().Add(40 * time.Second)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			h.t.Fatalf("waited in vain until %s: %v", what, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// await waits until the host's upsd serves a value of a variable.
func (h *host) await(ups, name, value string) {
	h.t.Helper()
	h.eventually(fmt.Sprintf("%s of %s is %q", name, ups, value), func() error {
		c, err := h.client()
		if err != nil {
			return err
		}
		defer c.Close()
		got, err := c.Get(h.t.Context(), ups, name)
		if err == nil && got != value {
			err = errIs(got)
		}
		return err
	})
}

// client connects to the host's upsd.
func (h *host) client() (*upsclient.Client, error) {
	return upsclient.Dial(h.t.Context(), h.addr(), upsclient.Options{Security: upsclient.NoTLS})
}

// errIs says what something is instead of what was expected.
func errIs(got any) error { return fmt.Errorf("it is %v", got) }

// A lockedBuffer takes a process's output while a test looks at it.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

var _ io.Writer = (*lockedBuffer)(nil)

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
