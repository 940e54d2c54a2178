//go:build unix

package upssched

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// takeLock makes the lock file and locks it. The kernel frees it with its owner, so
// a file that was left behind is in nobody's way, and a living owner's stays.
func takeLock(path string) (*lock, error) {
	for range 10 {
		if err := checkLockFile(path); err != nil {
			return nil, err
		}
		f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|syscall.O_NOFOLLOW, 0o600)
		if err != nil {
			return nil, explainLock(path, err)
		}
		if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
			f.Close()
			if errors.Is(err, syscall.EWOULDBLOCK) {
				return nil, errLocked
			}
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		if stillAt(f, path) {
			return &lock{f, path}, nil
		}
		f.Close() // its last owner removed it in the meantime
	}
	return nil, errLocked
}

func stillAt(f *os.File, path string) bool {
	ours, err1 := f.Stat()
	there, err2 := os.Lstat(path)
	return err1 == nil && err2 == nil && os.SameFile(ours, there)
}

func removeLock(l *lock) {
	if stillAt(l.file, l.path) {
		os.Remove(l.path)
	}
	l.file.Close()
}
