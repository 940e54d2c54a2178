package upssched

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"

	"gonut/internal/program"
)

// shortPath is how many bytes the path of a socket may have on every system.
const shortPath = 103

// errServed is a socket that a timer process serves.
var errServed = errors.New("a timer process is running already")

// listen opens the socket of a timer process, with mode 0660 as C's. A file of that
// name that nobody serves is replaced, one that somebody does is errServed. Whoever
// calls it holds the lock.
func listen(ctx context.Context, e program.Env, path string) (net.Listener, error) {
	c, err := e.Dial(ctx, "unix", path)
	if err == nil {
		c.Close()
		return nil, errServed
	}
	if errors.Is(err, syscall.EAGAIN) { // many are waiting for it
		return nil, errServed
	}
	if fi, statErr := os.Lstat(path); statErr == nil {
		if fi.Mode()&fs.ModeSocket == 0 {
			return nil, fmt.Errorf("listen on %s: the file is in the way and is not a socket; remove it or choose another PIPEFN", path)
		}
		if !absent(err) {
			return nil, fmt.Errorf("reach the timer process: %w", err)
		}
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("remove stale socket: %w", err)
		}
	}
	l, err := e.Listen(ctx, "unix", path)
	switch {
	case errors.Is(err, syscall.EINVAL) && len(path) > shortPath:
		return nil, fmt.Errorf("%w: the path has %d bytes, which is too long for a socket; choose a shorter PIPEFN", err, len(path))
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%w; create the folder %s and give it to the account that upsmon runs as", err, filepath.Dir(path))
	case err != nil:
		return nil, err
	}
	if u, ok := l.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(false) // by then the name may be another's
		if err := os.Chmod(path, 0o660); err != nil {
			l.Close()
			return nil, err
		}
	}
	return l, nil
}

// leaving returns what removes the socket at path before it is closed, unless it is
// another process's by then. The lock keeps a new one from being made in between; if
// somebody has it, he replaces the file himself.
func leaving(path, lockPath string) func() {
	ours, err := os.Lstat(path)
	return func() {
		if err != nil {
			return // it is not a file, or gone
		}
		l, err := takeLock(lockPath)
		if err != nil {
			return
		}
		defer l.release()
		if there, err := os.Lstat(path); err == nil && os.SameFile(ours, there) {
			os.Remove(path)
		}
	}
}
