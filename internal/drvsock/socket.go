package drvsock

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
)

// A Dialer connects to the driver of a ups. Its connection is a unix socket
// between processes and memory within one.
type Dialer func(ctx context.Context) (net.Conn, error)

// Path returns where the socket of a driver lives.
func Path(statePath, driver, upsName string) string {
	return filepath.Join(statePath, driver+"-"+upsName)
}

// DialPath returns a Dialer for the unix socket at path.
func DialPath(path string) Dialer {
	return func(ctx context.Context) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	}
}

// shortPath is how many bytes the path of a socket may have on every system.
const shortPath = 103

// ErrServed means that another program serves the socket.
var ErrServed = errors.New("somebody serves this socket already; stop that program")

// Listen opens the socket at path with mode 0660, as C's drivers do, in place of
// a file of that name that nobody serves. A socket that somebody does serve is an
// error that wraps ErrServed.
func Listen(ctx context.Context, path string) (net.Listener, error) {
	// Of two programs that find an abandoned socket at the same time, the second must
	// not remove the socket that the first has just made.
	defer lockFolder(ctx, filepath.Dir(path))()
	if fi, err := os.Lstat(path); err == nil {
		if fi.Mode()&os.ModeSocket == 0 {
			return nil, fmt.Errorf("listen on %s: the file is in the way and is not a socket; remove it", path)
		}
		if c, err := DialPath(path)(ctx); err == nil {
			c.Close()
			return nil, fmt.Errorf("listen on %s: %w", path, ErrServed)
		}
		if err := os.Remove(path); err != nil {
			return nil, forbidden(path, fmt.Errorf("remove stale socket: %w", err))
		}
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "unix", path)
	if errors.Is(err, syscall.EINVAL) && len(path) > shortPath {
		return nil, fmt.Errorf("%w: the path has %d bytes, which is too long for a socket; choose a shorter statepath or ups name", err, len(path))
	}
	if err != nil {
		return nil, forbidden(path, err)
	}
	if err := os.Chmod(path, 0o660); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// forbidden adds to an error that the system gave for want of permission who needs
// which.
func forbidden(path string, err error) error {
	if !errors.Is(err, fs.ErrPermission) {
		return err
	}
	return fmt.Errorf("%w; the folder %s must be writable for user id %d, which this program runs as, "+
		"and an old socket in it that user's own", err, filepath.Dir(path), os.Geteuid())
}
