package ptytest

import (
	"fmt"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// Open returns the far end of a new line and the name of ours. The test is skipped
// where there are no pseudo-terminals.
func Open(t testing.TB) (far *os.File, name string) {
	t.Helper()
	far, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("no pseudo-terminals here: %v", err)
	}
	t.Cleanup(func() { far.Close() })
	raw, err := far.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	// Not by Fd, which would make reads of the file block beyond its Close.
	var failure error
	err = raw.Control(func(fd uintptr) {
		var n int
		if n, failure = unix.IoctlGetInt(int(fd), unix.TIOCGPTN); failure == nil {
			failure = unix.IoctlSetPointerInt(int(fd), unix.TIOCSPTLCK, 0)
		}
		name = fmt.Sprintf("/dev/pts/%d", n)
	})
	if err == nil {
		err = failure
	}
	if err != nil {
		t.Fatal(err)
	}
	return far, name
}
