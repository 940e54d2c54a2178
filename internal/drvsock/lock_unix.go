//go:build unix

package drvsock

import (
	"context"
	"os"
	"syscall"
	"time"
)

// How long a program that holds the lock is waited for: it needs some milliseconds.
const (
	lockLimit  = 2 * time.Second
	lockPeriod = 5 * time.Millisecond
)

// lockFolder keeps other programs from opening sockets in the folder until unlock is
// called. It locks the folder itself, so that no file is left behind. A folder that
// cannot be locked is used without.
func lockFolder(ctx context.Context, dir string) (unlock func()) {
	f, err := os.Open(dir)
	if err != nil {
		return func() {}
	}
	for end := time.Now().Add(lockLimit); syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil && time.Now().Before(end); {
		select {
		case <-ctx.Done():
		case <-time.After(lockPeriod):
			continue
		}
		break
	}
	return func() { f.Close() }
}
