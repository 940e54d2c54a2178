package upsmon

import (
	"bufio"
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
)

// privateBus starts a message bus for one test and returns its address.
func privateBus(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("dbus-daemon")
	if err != nil {
		t.Skip("dbus-daemon is not installed")
	}
	cmd := exec.Command(path, "--session", "--nofork", "--print-address=1", "--nopidfile", "--address=unix:dir="+t.TempDir())
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(line)
}

// A fakeLogind is a login manager that knows who holds a lock.
type fakeLogind struct {
	conn  *dbus.Conn
	taken chan struct{} // one for each lock

	mu    sync.Mutex
	locks []*os.File // our ends; the other's end is open as long as the lock is held
}

func startLogind(t *testing.T, addr string) *fakeLogind {
	t.Helper()
	conn, err := dbus.Connect(addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	f := &fakeLogind{conn: conn, taken: make(chan struct{}, 10)}
	if err := conn.Export(f, logindPath, logindManager); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.RequestName(logindName, dbus.NameFlagDoNotQueue); err != nil {
		t.Fatal(err)
	}
	return f
}

// Inhibit is the method of the bus.
func (f *fakeLogind) Inhibit(what, who, why, mode string) (dbus.UnixFD, *dbus.Error) {
	if what != "sleep" || who != "upsmon" || why == "" || mode != "delay" {
		return 0, dbus.MakeFailedError(errors.New("unexpected arguments"))
	}
	r, w, err := os.Pipe()
	if err != nil {
		return 0, dbus.MakeFailedError(err)
	}
	f.mu.Lock()
	f.locks = append(f.locks, r)
	f.mu.Unlock()
	f.taken <- struct{}{}
	fd := dbus.UnixFD(w.Fd())
	time.AfterFunc(time.Second, func() { w.Close() }) // it has been sent by then
	return fd, nil
}

func (f *fakeLogind) sleep(t *testing.T, asleep bool) {
	t.Helper()
	if err := f.conn.Emit(logindPath, logindManager+"."+logindSignal, asleep); err != nil {
		t.Fatal(err)
	}
}

// released waits until lock number i is let go.
func (f *fakeLogind) released(i int) error {
	f.mu.Lock()
	r := f.locks[i]
	f.mu.Unlock()
	r.SetReadDeadline(time.Now().Add(5 * time.Second))
	_, err := r.Read(make([]byte, 1))
	if err.Error() == "EOF" {
		return nil
	}
	return err
}

func TestLogind(t *testing.T) {
	addr := privateBus(t)
	f := startLogind(t, addr)
	ctx, cancel := context.WithCancel(t.Context())
	told, done := make(chan bool), make(chan error, 1)
	s := logind{func(ctx context.Context) (*dbus.Conn, error) { return dbus.Connect(addr, dbus.WithContext(ctx)) }}
	go func() { done <- s.Watch(ctx, func(asleep bool) { told <- asleep }) }()
	<-f.taken
	f.sleep(t, true)
	if got := <-told; !got {
		t.Errorf("told = %t; want true", got)
	}
	if err := f.released(0); err != nil {
		t.Errorf("the lock is still held while the system wants to sleep: %v", err)
	}
	f.sleep(t, false)
	if got := <-told; got {
		t.Errorf("told = %t; want false", got)
	}
	f.mu.Lock()
	if n := len(f.locks); n != 2 {
		t.Errorf("locks taken = %d; want a second one after waking up", n)
	}
	f.mu.Unlock()
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("Watch() = %v; want context.Canceled", err)
	}
	if err := f.released(1); err != nil {
		t.Errorf("the lock is still held after the end: %v", err)
	}
}

func TestNoLogind(t *testing.T) {
	addr := privateBus(t)
	s := logind{func(ctx context.Context) (*dbus.Conn, error) { return dbus.Connect(addr, dbus.WithContext(ctx)) }}
	if err := s.Watch(t.Context(), func(bool) {}); err == nil {
		t.Error("Watch() without a login manager = nil; want an error")
	}
}
