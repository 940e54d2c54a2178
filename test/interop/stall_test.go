//go:build unix

package interop

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// fill writes to a pipe until it takes no more: from then on it is a terminal that was
// stopped, for whoever has it as standard error.
func fill(t *testing.T, w *os.File) {
	t.Helper()
	raw, err := w.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	err = raw.Control(func(fd uintptr) {
		syscall.SetNonblock(int(fd), true)
		defer syscall.SetNonblock(int(fd), false)
		for size := 4096; size > 0; size /= 64 {
			for err == nil {
				_, err = syscall.Write(int(fd), make([]byte, size))
			}
			if !errors.Is(err, syscall.EAGAIN) {
				return
			}
			err = nil
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A driver, upsd and upsmon whose terminals are stopped go on: a log that nobody reads
// must not cost a host its shutdown.
func TestStoppedTerminalsDelayNoShutdown(t *testing.T) {
	t.Parallel()
	files := driverFiles(t, "ups.status: OL\nbattery.charge: 100\n")
	files["upsd.users"] += "[pri]\n password = one\n upsmon master\n"
	h := newHost(t, files)
	for name, text := range upsmonFiles("MONITOR " + h.system("rec") + " 1 pri one master\n") {
		h.write(name, text)
	}
	if err := os.Chmod(filepath.Join(h.dir, "conf", "notify"), 0o755); err != nil {
		t.Fatal(err)
	}
	var terminals []*os.File
	for _, p := range []program{ourDriver("dummy-ups", "rec"), ourUPSD(), ourUPSMon()} {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { r.Close(); w.Close() })
		terminals = append(terminals, w)
		h.startOn(p, w)
	}
	h.awaitLogins("rec", 1)
	for _, w := range terminals {
		fill(t, w)
	}
	// Each has something to say of this, upsmon of what follows.
	h.run(ourProgram("sockdebug", "dummy-ups-rec").with("NONSENSE\n"))
	h.run(ourProgram("upscmd", "-u", "pri", "-p", "wrong", h.system("rec"), "load.off"))
	h.write("rec.dev", "ups.status: OB LB\nbattery.charge: 5\n")
	h.eventually("the host is shut down", func() error {
		if h.downAt() == 0 {
			return errIs("it is up")
		}
		return nil
	})
}
