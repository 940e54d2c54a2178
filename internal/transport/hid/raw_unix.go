//go:build linux || freebsd

package hid

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"gonut/internal/transport/usb"
)

// A rawConn is one open hidraw node.
type rawConn struct {
	info       Info
	descriptor []byte
	text       texts
	file       *os.File
	raw        syscall.RawConn
	busy       chan struct{} // one token: whose ioctl is under way
}

// texts reads a string descriptor, which hidraw has no way to.
type texts func(ctx context.Context, index int) (string, error)

// openRaw opens a node and locks it unless it is to be shared, for the system lets any
// number of programs do so: two drivers would take each other's reports and undo each
// other's writes.
func openRaw(node string, descriptor []byte, info Info, text texts, shared bool) (*rawConn, error) {
	f, err := os.OpenFile(node, os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("open %v by hidraw: %w", info, usb.Explain(err))
	}
	raw, err := f.SyscallConn()
	if err == nil {
		err = f.SetReadDeadline(time.Time{})
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("open %v: node %s is not of hidraw: %w", info, node, err)
	}
	var locked error
	if !shared {
		_ = raw.Control(func(fd uintptr) { locked = unix.Flock(int(fd), unix.LOCK_EX|unix.LOCK_NB) }) // it is open
	}
	if errors.Is(locked, unix.EWOULDBLOCK) {
		f.Close()
		return nil, fmt.Errorf("open %v by hidraw: %w: another program has locked %s; \"nut doctor\" tells which", info, ErrBusy, node)
	}
	return &rawConn{info: info, descriptor: descriptor, text: text, file: f, raw: raw, busy: make(chan struct{}, 1)}, nil
}

// Descriptor implements pipe.
func (c *rawConn) Descriptor() []byte { return c.descriptor }

// Info implements pipe.
func (c *rawConn) Info() Info { return c.info }

// Get implements pipe. The kernel's own deadline is 5 s.
func (c *rawConn) Get(ctx context.Context, limit time.Duration, t ReportType, id byte, buf []byte) (int, error) {
	nr, ok := rawGetters()[t]
	if !ok {
		return 0, fmt.Errorf("get %v report %#02x: %w", t, id, ErrUnsupported)
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	p := numbered(id, buf)
	n, err := c.control(ctx, nr, p)
	if err != nil {
		return 0, fmt.Errorf("get %v report %#02x: %w", t, id, err)
	}
	if id == 0 { // the kernel puts a number before a report that has none
		return copy(buf, p[1:max(n, 1)]), nil
	}
	return copy(buf, p[:n]), nil
}

// numbered returns a copy of p with the report's number where the kernel wants it.
func numbered(id byte, p []byte) []byte {
	if id == 0 {
		return append([]byte{0}, p...)
	}
	q := append([]byte(nil), p...)
	if len(q) > 0 {
		q[0] = id
	}
	return q
}

// Set implements pipe.
func (c *rawConn) Set(ctx context.Context, limit time.Duration, t ReportType, id byte, data []byte) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var err error
	switch t {
	case Feature:
		_, err = c.control(ctx, rawSetFeature, numbered(id, data))
	case Output:
		deadline, _ := ctx.Deadline()
		c.file.SetWriteDeadline(deadline)
		_, err = c.file.Write(numbered(id, data))
		err = explainRaw(err)
	default:
		err = ErrUnsupported
	}
	if err != nil {
		return fmt.Errorf("set %v report %#02x: %w", t, id, err)
	}
	return nil
}

// control performs an ioctl that waits in the kernel. If ctx ends first, the
// ioctl goes on alone, with a buffer of its own, and the next one waits for it.
func (c *rawConn) control(ctx context.Context, nr byte, p []byte) (int, error) {
	select {
	case c.busy <- struct{}{}:
	case <-ctx.Done():
		return 0, timeoutOr(ctx.Err())
	}
	type result struct {
		n   int
		err error
	}
	done := make(chan result, 1)
	own := append([]byte(nil), p...)
	go func() {
		n, err := c.ioctl(nr, own)
		<-c.busy
		done <- result{n, err}
	}()
	select {
	case r := <-done:
		copy(p, own)
		return r.n, r.err
	case <-ctx.Done():
		return 0, timeoutOr(ctx.Err())
	}
}

func (c *rawConn) ioctl(nr byte, p []byte) (int, error) {
	if len(p) == 0 {
		return 0, errors.New("no room for a report")
	}
	n, err := 0, error(nil)
	closed := c.raw.Control(func(fd uintptr) {
		n, err = rawIoctl(fd, nr, p)
	})
	if closed != nil {
		return 0, os.ErrClosed
	}
	if err != nil {
		return 0, usb.Explain(err)
	}
	return min(n, len(p)), nil
}

// Input implements pipe.
func (c *rawConn) Input(ctx context.Context, buf []byte) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, inputTimeout)
	defer cancel()
	deadline, _ := ctx.Deadline()
	c.file.SetReadDeadline(deadline)
	stop := context.AfterFunc(ctx, func() { c.file.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	for {
		n, err := c.file.Read(buf)
		if errors.Is(err, os.ErrDeadlineExceeded) && ctx.Err() == nil {
			c.file.SetReadDeadline(deadline) // a deadline of the call before, set late
			continue
		}
		if err != nil {
			if ctx.Err() != nil {
				err = ctx.Err()
			}
			return n, fmt.Errorf("read %s: %w", c.file.Name(), explainRaw(err))
		}
		return n, nil
	}
}

// explainRaw is usb.Explain for reads and writes: hidraw says EIO when the device
// is gone.
func explainRaw(err error) error {
	if errors.Is(err, unix.EIO) {
		return fmt.Errorf("%w (%w)", ErrGone, err)
	}
	if err == nil {
		return nil
	}
	return usb.Explain(timeoutOr(err))
}

// String implements pipe.
func (c *rawConn) String(ctx context.Context, limit time.Duration, index int) (string, error) {
	if index <= 0 || index > 255 {
		return "", fmt.Errorf("read string %d: index out of range", index)
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return c.text(ctx, index)
}

// ClearHalt implements pipe: the kernel does it itself.
func (c *rawConn) ClearHalt() error { return fmt.Errorf("clear halt by hidraw: %w", ErrUnsupported) }

// Reset implements pipe: hidraw cannot.
func (c *rawConn) Reset() error { return fmt.Errorf("reset by hidraw: %w", ErrUnsupported) }

// Abandon implements pipe.
func (c *rawConn) Abandon() { c.file.Close() }

// Close implements pipe. It waits for an ioctl that waits in the kernel, so that the
// lock is gone when it returns.
func (c *rawConn) Close() error { return c.file.Close() }
