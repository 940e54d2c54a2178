package drvsock

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func TestPath(t *testing.T) {
	if got, want := Path("/run/nut", "dummy-ups", "My UPS"), filepath.Join("/run/nut", "dummy-ups-My UPS"); got != want {
		t.Errorf("Path = %q; want %q", got, want)
	}
}

// shortDir returns a folder whose name leaves room for the path of a socket.
func shortDir(t *testing.T) string {
	dir, err := os.MkdirTemp("", "nut")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func TestListen(t *testing.T) {
	path := Path(shortDir(t), "dummy-ups", "a")
	l, err := Listen(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	fi, err := os.Stat(path)
	if err != nil || fi.Mode().Perm() != 0o660 {
		t.Errorf("Stat(socket) = %v, %v; want mode 0660", fi.Mode(), err)
	}
	if c, err := DialPath(path)(t.Context()); err != nil {
		t.Errorf("DialPath gives %v", err)
	} else {
		c.Close()
	}
	if _, err := Listen(t.Context(), path); err == nil || !strings.Contains(err.Error(), "somebody serves this socket already") {
		t.Errorf("Listen on a served socket gives %v", err)
	}
	// A socket that a dead driver left behind makes way.
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	l.Close()
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("the socket of the dead driver is gone: %v", err)
	}
	l, err = Listen(t.Context(), path)
	if err != nil {
		t.Fatalf("Listen on an abandoned socket gives %v", err)
	}
	l.Close()
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("after Close the socket is still there (%v)", err)
	}
}

func TestListenErrors(t *testing.T) {
	dir := shortDir(t)
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(t.Context(), file); err == nil || !strings.Contains(err.Error(), "not a socket; remove it") {
		t.Errorf("Listen on a file gives %v", err)
	}
	if text, err := os.ReadFile(file); string(text) != "precious" || err != nil {
		t.Errorf("Listen changed the file to %q, %v", text, err)
	}
	if _, err := Listen(t.Context(), filepath.Join(dir, strings.Repeat("x", 120))); err == nil || !strings.Contains(err.Error(), "too long for a socket") {
		t.Errorf("Listen on a long path gives %v", err)
	}
	if _, err := Listen(t.Context(), filepath.Join(dir, "none", "x")); !os.IsNotExist(unwrapped(err)) {
		t.Errorf("Listen in a folder that is not there gives %v", err)
	}
	if _, err := DialPath(filepath.Join(dir, "none"))(t.Context()); !os.IsNotExist(unwrapped(err)) {
		t.Errorf("DialPath of nothing gives %v", err)
	}
}

// unwrapped returns the system's error within one of package net.
func unwrapped(err error) error {
	if op, ok := err.(*net.OpError); ok {
		return op.Err
	}
	return err
}

// Of several that find the same abandoned socket at once, one gets it and the others
// learn that it is served.
func TestListenAtOnce(t *testing.T) {
	dir := shortDir(t)
	for round := range 50 {
		path := Path(dir, "dummy-ups", "a")
		l, err := Listen(t.Context(), path)
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		l.(*net.UnixListener).SetUnlinkOnClose(false)
		l.Close()
		var wg sync.WaitGroup
		won := make(chan net.Listener, 4)
		for range cap(won) {
			wg.Go(func() {
				l, err := Listen(t.Context(), path)
				switch {
				case err == nil:
					won <- l
				case !errors.Is(err, ErrServed):
					t.Errorf("round %d: %v", round, err)
				}
			})
		}
		wg.Wait()
		if n := len(won); n != 1 {
			t.Fatalf("round %d: %d programs have the socket; want 1", round, n)
		}
		(<-won).Close()
	}
}
