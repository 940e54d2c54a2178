//go:build unix

package serial

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// A lock keeps other drivers, C's too, away from a line.
type lock struct{ file *os.File }

// take opens a line a second time, because the lock belongs to an open file.
func take(name string, shared bool) (lock, error) {
	f, err := os.OpenFile(name, os.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	if err != nil {
		var p *os.PathError
		if errors.As(err, &p) {
			err = p.Err
		}
		if errors.Is(err, unix.EBUSY) {
			err = ErrLocked
		}
		return lock{}, err
	}
	if shared {
		return lock{f}, nil
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return lock{}, ErrLocked
		}
		return lock{}, fmt.Errorf("lock: %w", err)
	}
	return lock{f}, nil
}

// admit takes back that only one may open the line: the lock is enough for drivers,
// and "-k" has to cut the power although a driver hangs.
func (l lock) admit() {
	// What does not know the request never shut anybody out.
	_ = unix.IoctlSetInt(int(l.file.Fd()), unix.TIOCNXCL, 0)
}

func (l lock) release() { l.file.Close() }
