//go:build unix

package upssched

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gonut/internal/conf"
	"gonut/internal/daemon"
	"gonut/internal/program"
)

// A timer process with real files and sockets: it listens, has a PID file, takes
// orders, lists, and leaves nothing behind.
func TestTimerProcess(t *testing.T) {
	dir, err := os.MkdirTemp("", "us") // not t.TempDir: the paths of sockets have to be short
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	s := newSite(t)
	s.dir = dir
	for k := range s.env {
		if k != "NUT_DEBUG_SYSLOG" {
			s.env[k] = dir
		}
	}
	s.write(t, "script", "#!/bin/sh\necho \"$NOTIFYTYPE|$UPSNAME|$NOTIFYMSG|$*\" >>@DIR@/ran\n")
	s.write(t, "upssched.conf", settings+"AT ONBATT * START-TIMER one 0\nAT ONBATT * START-TIMER two 3600\nAT ONLINE * CANCEL-TIMER none else\n")
	e := program.Env{
		Args: []string{"upssched"}, Stdout: &s.stdout, Stderr: os.Stderr, Getenv: func(k string) string { return s.env[k] },
		Listen: (&net.ListenConfig{}).Listen, Dial: (&net.Dialer{}).DialContext,
	}
	p := process{env: e, paths: conf.FindPaths(e.Getenv), log: daemon.NewLog("upssched", e)}
	sched := settingsOf(t, strings.ReplaceAll(settings, "@DIR@", dir))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ready, done := make(chan struct{}), make(chan error, 1)
	go func() { done <- p.serve(ctx, sched, func() error { close(ready); return nil }) }()
	select {
	case <-ready:
	case err := <-done:
		t.Fatalf("serve() = %v; want it to listen", err)
	}
	fi, err := os.Stat(s.path("pipe"))
	if err != nil || fi.Mode().Perm() != 0o660 || fi.Mode()&os.ModeSocket == 0 {
		t.Errorf("socket = %v, %v; want one with mode 0660", fi, err)
	}
	if _, err := daemon.ReadPID(s.path("upssched.pid")); err != nil {
		t.Errorf("PID file: %v", err)
	}
	if err := p.serve(ctx, sched, func() error { return nil }); !errors.Is(err, errServed) {
		t.Errorf("a second timer process = %v; want errServed", err)
	}
	s.env["UPSNAME"] = "a@h"
	for _, kind := range []string{"ONBATT", "ONLINE"} {
		s.env["NOTIFYTYPE"] = kind
		if code := s.run(t, "msg of "+kind); code != 0 {
			t.Errorf("upssched for %s = %d, %s; want 0", kind, code, &s.stderr)
		}
	}
	if code := s.run(t, "-l"); code != 0 || !strings.HasPrefix(s.stdout.String(), "two\t") || !strings.HasSuffix(s.stdout.String(), "\tONBATT\ta@h\tmsg of ONBATT\n") {
		t.Errorf("upssched -l = %d, %q; want the timer two", code, &s.stdout)
	}
	awaitFile(t, s.path("ran"), "ONBATT|a@h|msg of ONBATT|one one\nONLINE|a@h|msg of ONLINE|one else\n")
	cancel()
	if err := <-done; err != nil {
		t.Errorf("serve() = %v; want nil", err)
	}
	left, err := filepath.Glob(dir + "/*")
	if err != nil || len(left) != 3 { // the script, its output, the configuration
		t.Errorf("left behind: %q, %v", left, err)
	}
}

// awaitFile waits until a file has as many bytes as are wanted, in lines that may have
// come in another order.
func awaitFile(t *testing.T, path, want string) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		got, _ := os.ReadFile(path)
		if len(got) == len(want) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s = %q; want the lines of %q", path, got, want)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// The lock file is held while it is locked, whoever made it; what C left behind is
// removed, what is something else is not.
func TestLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	l, err := takeLock(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := takeLock(path); !errors.Is(err, errLocked) {
		t.Errorf("takeLock() of a held lock = %v; want errLocked", err)
	}
	l.release()
	if _, err := os.Stat(path); err == nil {
		t.Error("the lock file is there after its release")
	}
	for _, tt := range []struct {
		name string
		text string
		mode os.FileMode
		age  time.Duration
		want string // in the error; empty: the lock is taken
	}{
		{"C's, of one that is just starting", "", 0, time.Second, errLocked.Error()},
		{"C's, left behind", "", 0, time.Hour, ""},
		{"ours, left behind", "", 0o600, time.Second, ""},
		{"something else", "precious", 0o600, time.Hour, "another purpose"},
	} {
		leaveFile(t, path, tt.text, tt.mode, tt.age)
		l, err := takeLock(path)
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: takeLock() = %v; want %q", tt.name, err, tt.want)
		}
		if err == nil {
			l.release()
		}
		if text, err := os.ReadFile(path); tt.text != "" && (err != nil || string(text) != tt.text) {
			t.Errorf("%s: the file = %q, %v; want it untouched", tt.name, text, err)
		}
	}
	os.Remove(path)
	if err := os.Symlink("elsewhere", path); err != nil {
		t.Fatal(err)
	}
	if _, err := takeLock(path); err == nil {
		t.Error("takeLock() of a link = nil; want an error")
	}
	if _, err := takeLock("/no/such/folder/lock"); err == nil || !strings.Contains(err.Error(), "create the folder /no/such/folder") {
		t.Errorf("takeLock() without a folder = %v; want it to name the folder", err)
	}
}

// leaveFile makes a file that is as old as that.
func leaveFile(t *testing.T, path, text string, mode os.FileMode, age time.Duration) {
	t.Helper()
	os.Remove(path)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	then := time.Now().Add(-age)
	if err := errors.Join(os.Chtimes(path, then, then), os.Chmod(path, mode)); err != nil {
		t.Fatal(err)
	}
}
