//go:build !unix

package upssched

import (
	"errors"
	"io/fs"
	"os"
	"time"
)

// takeLock makes the lock file. One that is old was left behind: nobody holds it
// longer than the start of a timer process takes.
func takeLock(path string) (*lock, error) {
	if err := checkLockFile(path); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if errors.Is(err, fs.ErrExist) {
		if fi, err := os.Lstat(path); err == nil && time.Since(fi.ModTime()) > 3*lockStale {
			os.Remove(path)
		}
		return nil, errLocked
	}
	if err != nil {
		return nil, explainLock(path, err)
	}
	return &lock{f, path}, nil
}

func removeLock(l *lock) {
	l.file.Close()
	os.Remove(l.path)
}
