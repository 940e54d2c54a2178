package daemon

import (
	"bytes"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gonut/internal/program"
)

func testLog(vars map[string]string) (*Log, *bytes.Buffer) {
	var out bytes.Buffer
	return NewLog("upsd", program.Env{Args: []string{"/usr/sbin/nut"}, Stderr: &out, Getenv: env(vars)}), &out
}

func TestLogLineShapes(t *testing.T) {
	pid := strconv.Itoa(os.Getpid())
	for _, c := range []struct {
		name      string
		vars      map[string]string
		verbosity int
		log       func(*slog.Logger)
		want      string
	}{
		{"bare", nil, 0, func(l *slog.Logger) { l.Info("listening", "address", "127.0.0.1") }, "listening address=127.0.0.1\n"},
		{"debug 0 always", nil, 0, func(l *slog.Logger) { l.Log(t.Context(), Debug(0), "hello") }, "hello\n"},
		{"debug 1 hidden", nil, 0, func(l *slog.Logger) { l.Debug("hello") }, ""},
		{"debug 1", nil, 1, func(l *slog.Logger) { l.Debug("hello") }, "   0.000000\t[D1:upsd] hello\n"},
		{"debug 3 of 2", nil, 2, func(l *slog.Logger) { l.Log(t.Context(), Debug(3), "hello") }, ""},
		{"info when verbose", nil, 2, func(l *slog.Logger) { l.Info("a"); time.Sleep(12345678 * time.Microsecond); l.Info("b") },
			"   0.000000\ta\n  12.345678\tb\n"},
		{"pid", map[string]string{"NUT_DEBUG_PID": "x"}, 1, func(l *slog.Logger) { l.Debug("a") }, "   0.000000\t[D1:" + pid + ":upsd] a\n"},
		{"procname", map[string]string{"NUT_DEBUG_PROCNAME": "x"}, 1, func(l *slog.Logger) { l.Debug("a") }, "   0.000000\t[D1:upsd:nut] a\n"},
		{"quoting", nil, 0, func(l *slog.Logger) { l.Warn("m", "a", "x y", "b", "", "c", "q\"\n", "d", "é") }, "m a=\"x y\" b=\"\" c=\"q\\\"\\n\" d=é\n"},
		{"error value", nil, 0, func(l *slog.Logger) { l.Error("m", "err", errors.New("open x: denied")) }, "m err=\"open x: denied\"\n"},
		{"with", nil, 0, func(l *slog.Logger) { l.With("ups", "a").WithGroup("g").With("k", 1).Info("m", "n", 2) }, "m ups=a g.k=1 g.n=2\n"},
		{"group value", nil, 0, func(l *slog.Logger) { l.Info("m", slog.Group("g", "a", 1, "b", 2)) }, "m g.a=1 g.b=2\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, out := testLog(c.vars)
				l.SetVerbosity(c.verbosity)
				c.log(l.Logger())
				if got := out.String(); got != c.want {
					t.Errorf("wrote %q; want %q", got, c.want)
				}
			})
		})
	}
}

func TestLogRejectsUnknownSyslogMode(t *testing.T) {
	_, out := testLog(map[string]string{"NUT_DEBUG_SYSLOG": "maybe"})
	if !strings.Contains(out.String(), `"maybe"`) {
		t.Errorf("NewLog wrote %q; want a complaint about maybe", out)
	}
}

func fakeSyslog(t *testing.T, dir string) *net.UnixConn {
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dir, "log"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func nextLine(t *testing.T, c *net.UnixConn) string {
	t.Helper()
	b := make([]byte, 1000)
	c.SetReadDeadline(time.Now().Add(2 * time.Second))
	n, err := c.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return string(b[:n])
}

func TestSyslogThresholdAndRestart(t *testing.T) {
	dir := t.TempDir()
	server := fakeSyslog(t, dir)
	l, out := testLog(nil)
	l.sys.paths = []string{filepath.Join(dir, "log")}
	log := l.Logger()
	log.Info("before") // to the terminal alone
	l.OpenSyslog()
	if err := l.SetSyslogThreshold(3); err != nil {
		t.Fatal(err)
	}
	log.Info("too chatty")
	log.Warn("first\nline", "ups", "a")
	got := nextLine(t, server)
	want := "upsd[" + strconv.Itoa(os.Getpid()) + "]: first line ups=a"
	if !strings.HasPrefix(got, "<28>") || !strings.HasSuffix(got, want) {
		t.Errorf("syslog got %q; want <28>time %s", got, want)
	}
	if want := "before\ntoo chatty\nfirst\nline ups=a\n"; out.String() != want {
		t.Errorf("standard error got %q; want %q", out, want)
	}

	server.Close()
	os.Remove(filepath.Join(dir, "log"))
	server = fakeSyslog(t, dir)
	log.Error("after the restart")
	if got := nextLine(t, server); !strings.HasPrefix(got, "<27>") || !strings.HasSuffix(got, "after the restart") {
		t.Errorf("after a restart syslog got %q; want <27>… after the restart", got)
	}
	if err := l.SetSyslogThreshold(8); err == nil {
		t.Error("SetSyslogThreshold(8) = nil; want an error")
	}
}

// A daemon must not hang because the system's logger does.
func TestSyslogThatNobodyReadsHoldsNobodyUp(t *testing.T) {
	dir := t.TempDir()
	fakeSyslog(t, dir)
	l, _ := testLog(nil)
	l.sys.paths = []string{filepath.Join(dir, "log")}
	l.OpenSyslog()
	began := time.Now()
	for range 3000 {
		l.Logger().Info(strings.Repeat("x", 200))
	}
	if d := time.Since(began); d > 5*time.Second {
		t.Errorf("3000 lines to a logger that does not read took %v; want less than 5 s", d)
	}
}

func TestLogInBackground(t *testing.T) {
	for mode, want := range map[string]struct{ stderr, syslog bool }{
		"": {false, true}, "stderr": {true, false}, "none": {false, false}, "false": {false, false}, "default": {false, true},
	} {
		l, out := testLog(map[string]string{"NUT_DEBUG_SYSLOG": mode})
		l.sys.paths = nil
		keep := l.background()
		l.Logger().Info("m")
		if stderr := out.Len() > 0; stderr != want.stderr || keep != want.stderr || l.sys.on != want.syslog {
			t.Errorf("NUT_DEBUG_SYSLOG=%q in the background: stderr %v, syslog %v; want %v, %v", mode, stderr, l.sys.on, want.stderr, want.syslog)
		}
	}
}

// A slowWriter takes a line only when a test lets it.
type slowWriter struct {
	let chan struct{}
	out bytes.Buffer
}

func (w *slowWriter) Write(p []byte) (int, error) {
	<-w.let
	return w.out.Write(p)
}

// Whoever logs does not wait for a reader that does not read.
func TestNeverWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &slowWriter{let: make(chan struct{})}
		l := NewLog("upsmon", program.Env{Stderr: w, Getenv: env(map[string]string{"NUT_DEBUG_SYSLOG": "none"})})
		flush := l.NeverWait()
		start := time.Now()
		for range queuedLines + 10 {
			l.Logger().Info("line")
		}
		flush(3 * time.Second) // in vain
		if d := time.Since(start); d != 3*time.Second {
			t.Errorf("logging and flushing took %s; want 3s, the patience of flush", d)
		}
		close(w.let)
		synctest.Wait()
		lines := strings.Split(strings.TrimSpace(w.out.String()), "\n")
		// One is on its way to the writer when the queue is full.
		if n := len(lines); n < queuedLines || n > queuedLines+2 || !strings.HasSuffix(lines[1], "messages are lost: nobody took them in time") {
			t.Errorf("%d lines were written, the second is %q; want those that found a place, and how many did not", n, lines[1])
		}
	})
}

// In the end everything is written, in order, and the log goes on as before.
func TestNeverWaitKeepsOrder(t *testing.T) {
	l, out := testLog(map[string]string{"NUT_DEBUG_SYSLOG": "none"})
	flush := l.NeverWait()
	var want strings.Builder
	for i := range 500 {
		l.Logger().Info(strconv.Itoa(i))
		want.WriteString(strconv.Itoa(i) + "\n")
	}
	flush(time.Minute)
	l.Logger().Info("end")
	if got := out.String(); got != want.String()+"end\n" {
		t.Errorf("wrote %q; want the numbers up to 499 in order, then end", got)
	}
}
