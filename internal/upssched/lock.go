package upssched

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

const (
	// lockWait is how long the start of a timer process waits for another's.
	lockWait = 10 * time.Second
	lockPoll = 50 * time.Millisecond
	// lockStale is how old a lock must be that C's upssched, which does not hold it
	// open, has left behind.
	lockStale = 10 * time.Second
)

// errLocked is a lock that another process holds.
var errLocked = errors.New("another upssched holds the lock file")

// A lock is a file that one process at a time has. It exists only as long.
type lock struct {
	file *os.File
	path string
}

// waitLock takes the lock, waiting a while for its owner.
func waitLock(ctx context.Context, path string) (*lock, error) {
	ctx, cancel := context.WithTimeout(ctx, lockWait)
	defer cancel()
	for {
		l, err := takeLock(path)
		if !errors.Is(err, errLocked) {
			return l, err
		}
		select {
		case <-time.After(lockPoll):
		case <-ctx.Done():
			return nil, fmt.Errorf("take %s: %w for %v", path, err, lockWait)
		}
	}
}

// release gives the lock back and removes the file.
func (l *lock) release() {
	removeLock(l)
}

// checkLockFile refuses a file that is no lock, which would be removed later on, and
// one that C's upssched holds: that has mode 0 and is young.
func checkLockFile(path string) error {
	fi, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("take lock file: %w", err)
	case !fi.Mode().IsRegular() || fi.Size() > 0:
		return fmt.Errorf("take lock file %s: this is a file with another purpose; LOCKFN must name one that nothing else uses", path)
	case fi.Mode().Perm() != 0:
		return nil
	case time.Since(fi.ModTime()) < lockStale:
		return errLocked
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove stale lock file: %w", err)
	}
	return nil
}

// explainLock adds what to do to the error of a lock file that cannot be made.
func explainLock(path string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("take lock file: %w; create the folder %s and give it to the account that upsmon runs as", err, filepath.Dir(path))
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("take lock file: %w; the folder must be writable for user id %d, which this program runs as", err, os.Geteuid())
	}
	return fmt.Errorf("take lock file: %w", err)
}
