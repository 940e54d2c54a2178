package serial

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gonut/internal/transport/serial/ptytest"
)

func open(t *testing.T, name string, m Mode) *Port {
	t.Helper()
	p, err := Open(name, m)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

func TestBytesTravel(t *testing.T) {
	far, name := ptytest.Open(t)
	p := open(t, name, Mode{Baud: 2400})
	want := []byte{0, 1, 0x11, 0x13, '\r', '\n', 3, 4, 0xFF} // what a terminal would change
	if n, err := p.Write(want); n != len(want) || err != nil {
		t.Fatalf("Write = %d, %v; want %d", n, err, len(want))
	}
	got := make([]byte, len(want))
	if _, err := io.ReadFull(far, got); err != nil || string(got) != string(want) {
		t.Errorf("the far end reads % x, %v; want % x", got, err, want)
	}
	if _, err := far.Write(want); err != nil {
		t.Fatal(err)
	}
	p.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.ReadFull(p, got); err != nil || string(got) != string(want) {
		t.Errorf("Read gives % x, %v; want % x", got, err, want)
	}
}

// A pseudo-terminal always has eight bits and no parity; the rest it keeps.
func TestModes(t *testing.T) {
	for _, test := range []struct {
		mode        Mode
		set, absent uint32
	}{
		{Mode{Baud: 2400}, unix.CS8 | unix.B2400 | unix.CREAD, unix.CSTOPB},
		{Mode{Baud: 9600, Parity: EvenParity}, unix.B9600, unix.PARODD | unix.CSTOPB},
		{Mode{Baud: 1200, Parity: OddParity, TwoStops: true}, unix.B1200 | unix.PARODD | unix.CSTOPB, 0},
	} {
		_, name := ptytest.Open(t)
		open(t, name, test.mode)
		f, err := os.OpenFile(name, os.O_RDWR|unix.O_NOCTTY, 0)
		if err != nil {
			t.Fatal(err)
		}
		s, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
		if s.Cflag&test.set != test.set || s.Cflag&test.absent != 0 || s.Lflag&(unix.ICANON|unix.ECHO) != 0 {
			t.Errorf("%+v makes control flags %#o and local flags %#o", test.mode, s.Cflag, s.Lflag)
		}
	}
}

func TestReadDeadline(t *testing.T) {
	far, name := ptytest.Open(t)
	p := open(t, name, Mode{Baud: 2400})
	buf := make([]byte, 8)
	for _, within := range []time.Duration{-time.Second, time.Millisecond} {
		p.SetReadDeadline(time.Now().Add(within))
		if n, err := p.Read(buf); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("Read of nothing within %v = %d, %v; want ErrDeadlineExceeded", within, n, err)
		}
	}
	// A deadline of before does not hold for the next one.
	if _, err := far.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	p.SetReadDeadline(time.Time{})
	if n, err := p.Read(buf); n != 1 || err != nil {
		t.Errorf("Read without a deadline = %d, %v; want 1", n, err)
	}
}

// Pseudo-terminals and some adapters have no modem lines.
func TestLinesThatAreNotThere(t *testing.T) {
	far, name := ptytest.Open(t)
	p := open(t, name, Mode{Baud: 2400})
	if err := p.Lines(false, true); err == nil {
		t.Error("a pseudo-terminal has modem lines; this test shows nothing")
	}
	if _, err := p.Write([]byte("x")); err != nil {
		t.Errorf("Write after that = %v", err)
	}
	if n, err := far.Read(make([]byte, 8)); n != 1 || err != nil {
		t.Errorf("the far end reads %d, %v; want 1", n, err)
	}
}

func TestDiscard(t *testing.T) {
	far, name := ptytest.Open(t)
	p := open(t, name, Mode{Baud: 2400})
	if _, err := far.Write([]byte("old")); err != nil {
		t.Fatal(err)
	}
	if err := p.Discard(); err != nil {
		t.Fatal(err)
	}
	if _, err := far.Write([]byte("n")); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 8)
	p.SetReadDeadline(time.Now().Add(10 * time.Second))
	if n, err := p.Read(buf); string(buf[:n]) != "n" || err != nil {
		t.Errorf("Read after Discard = %q, %v; want n", buf[:n], err)
	}
}

// An adapter that is pulled out ends a Read at once, with an error that is no
// deadline.
func TestHangUp(t *testing.T) {
	far, name := ptytest.Open(t)
	p := open(t, name, Mode{Baud: 2400})
	result := make(chan error, 1)
	p.SetReadDeadline(time.Now().Add(time.Minute))
	go func() {
		_, err := p.Read(make([]byte, 8))
		result <- err
	}()
	far.Close()
	if err := <-result; err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("Read of a line that hung up = %v; want an error", err)
	}
	if _, err := p.Write([]byte("x")); err == nil {
		t.Error("Write to a line that hung up gives no error")
	}
}

func TestCloseEndsARead(t *testing.T) {
	_, name := ptytest.Open(t)
	p := open(t, name, Mode{Baud: 2400})
	result := make(chan error, 1)
	go func() {
		_, err := p.Read(make([]byte, 8))
		result <- err
	}()
	p.Close()
	if err := <-result; err == nil {
		t.Error("Read of a closed line gives no error")
	}
}

func TestLock(t *testing.T) {
	_, name := ptytest.Open(t)
	p := open(t, name, Mode{Baud: 2400})
	if _, err := Open(name, Mode{Baud: 2400}); !errors.Is(err, ErrLocked) {
		t.Errorf("Open of a line that is in use = %v; want ErrLocked", err)
	}
	shared := open(t, name, Mode{Baud: 2400, Shared: true})
	if err := shared.Close(); err != nil {
		t.Error(err)
	}
	if _, err := Open(name, Mode{Baud: 2400}); !errors.Is(err, ErrLocked) {
		t.Errorf("Open after another one was closed = %v; want ErrLocked", err)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	open(t, name, Mode{Baud: 2400})
}

func TestOpenErrors(t *testing.T) {
	dir := t.TempDir()
	if _, err := Open(filepath.Join(dir, "none"), Mode{Baud: 2400}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Open of nothing = %v; want ErrNotExist", err)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(file, Mode{Baud: 2400}); err == nil {
		t.Error("Open of a file gives no error")
	}
}
