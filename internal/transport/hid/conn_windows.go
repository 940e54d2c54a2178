package hid

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sys/windows"
)

// A winConn is one open collection of a HID device.
type winConn struct {
	system     *System
	handle     windows.Handle
	info       Info
	descriptor []byte
	caps       hidpCaps
	closed     atomic.Bool
}

// The requests of hidclass.h.
const (
	ioctlSetFeature = 0x000b0191
	ioctlGetFeature = 0x000b0192
	ioctlSetOutput  = 0x000b0195
	ioctlGetInput   = 0x000b01a2
)

// cancelGrace is how long the system gets to end what was taken back.
const cancelGrace = time.Second

// explain adds the meaning of a system call's error to it.
func explain(err error) error {
	var meaning error
	switch {
	case errors.Is(err, windows.ERROR_FILE_NOT_FOUND), errors.Is(err, windows.ERROR_PATH_NOT_FOUND),
		errors.Is(err, windows.ERROR_NO_SUCH_DEVICE), errors.Is(err, windows.ERROR_DEVICE_NOT_CONNECTED):
		meaning = ErrGone
	case errors.Is(err, windows.ERROR_GEN_FAILURE), errors.Is(err, windows.ERROR_INVALID_FUNCTION):
		meaning = ErrStall // so it says what a device refuses
	case errors.Is(err, windows.ERROR_SEM_TIMEOUT):
		meaning = ErrTimeout
	case errors.Is(err, windows.ERROR_ACCESS_DENIED):
		meaning = ErrPermission
	case errors.Is(err, windows.ERROR_SHARING_VIOLATION):
		meaning = ErrBusy
	default:
		return err
	}
	return fmt.Errorf("%w (%w)", meaning, err)
}

// overlapped starts something and waits for it until ctx ends or limit is over. p is
// what the system reads or fills meanwhile. It returns how many bytes were moved.
func (c *winConn) overlapped(ctx context.Context, limit time.Duration, p []byte, start func(*windows.Overlapped) error) (int, error) {
	event, err := windows.CreateEvent(nil, 1, 0, nil)
	if err != nil {
		return 0, err
	}
	o := &windows.Overlapped{HEvent: event}
	if err := start(o); err != nil && !errors.Is(err, windows.ERROR_IO_PENDING) {
		windows.CloseHandle(event)
		return 0, c.explain(err)
	}
	ended := wait(ctx, event, limit)
	if ended != nil {
		windows.CancelIoEx(c.handle, o)
		if wait(context.Background(), event, cancelGrace) != nil {
			go func() { // it may end at any time, and needs its memory until then
				windows.WaitForSingleObject(event, windows.INFINITE)
				windows.CloseHandle(event)
				runtime.KeepAlive(o)
				runtime.KeepAlive(p)
			}()
			return 0, ended
		}
	}
	defer windows.CloseHandle(event)
	var n uint32
	err = windows.GetOverlappedResult(c.handle, o, &n, false)
	switch {
	case err == nil: // it may have come just in time
		return int(n), nil
	case ended != nil && errors.Is(err, windows.ERROR_OPERATION_ABORTED):
		return int(n), ended
	}
	return int(n), c.explain(err)
}

func (c *winConn) explain(err error) error {
	if c.closed.Load() {
		return os.ErrClosed
	}
	return explain(err)
}

// wait waits for an event. The error says what came first instead.
func wait(ctx context.Context, event windows.Handle, limit time.Duration) error {
	stop, err := windows.CreateEvent(nil, 1, 0, nil)
	if err != nil {
		return err
	}
	defer windows.CloseHandle(stop)
	told := make(chan struct{})
	cancel := context.AfterFunc(ctx, func() {
		windows.SetEvent(stop)
		close(told)
	})
	defer func() {
		if !cancel() {
			<-told
		}
	}()
	first, err := windows.WaitForMultipleObjects([]windows.Handle{event, stop}, false, uint32(max(limit.Milliseconds(), 1)))
	switch {
	case err != nil:
		return err
	case first == windows.WAIT_OBJECT_0:
		return nil
	case first == uint32(windows.WAIT_TIMEOUT):
		return ErrTimeout
	}
	return timeoutOr(context.Cause(ctx))
}

// padded returns a buffer with a report's id and room for the longest of its type,
// as the system wants it.
func padded(id byte, data []byte, longest uint16) []byte {
	if id == 0 {
		data = append([]byte{0}, data...)
	}
	p := make([]byte, max(int(longest), len(data)))
	copy(p, data)
	p[0] = id
	return p
}

// take copies what came to buf, without the id where reports have none.
func take(buf, p []byte, n int) int {
	n = min(n, len(p))
	if n > 0 && p[0] == 0 {
		return copy(buf, p[1:n])
	}
	return copy(buf, p[:n])
}

// Descriptor implements pipe. It has the fields of the device's own.
func (c *winConn) Descriptor() []byte { return c.descriptor }

// Info implements pipe.
func (c *winConn) Info() Info { return c.info }

// Get implements pipe.
func (c *winConn) Get(ctx context.Context, limit time.Duration, t ReportType, id byte, buf []byte) (int, error) {
	request, longest := uint32(ioctlGetFeature), c.caps.featLength
	switch t {
	case Input:
		request, longest = ioctlGetInput, c.caps.inputLength
	case Output:
		return 0, fmt.Errorf("get %v report %#02x: %w", t, id, ErrUnsupported)
	}
	p := padded(id, buf, longest)
	n, err := c.control(ctx, limit, request, p)
	if err != nil {
		return 0, fmt.Errorf("get %v report %#02x: %w", t, id, err)
	}
	if id == 0 {
		n++ // the id that is none does not count
	}
	return take(buf, p, n), nil
}

// Set implements pipe.
func (c *winConn) Set(ctx context.Context, limit time.Duration, t ReportType, id byte, data []byte) error {
	request, longest := uint32(ioctlSetFeature), c.caps.featLength
	switch t {
	case Output:
		request, longest = ioctlSetOutput, c.caps.outputLength
	case Input:
		return fmt.Errorf("set %v report %#02x: %w", t, id, ErrUnsupported)
	}
	if _, err := c.control(ctx, limit, request, padded(id, data, longest)); err != nil {
		return fmt.Errorf("set %v report %#02x: %w", t, id, err)
	}
	return nil
}

func (c *winConn) control(ctx context.Context, limit time.Duration, request uint32, p []byte) (int, error) {
	return c.overlapped(ctx, limit, p, func(o *windows.Overlapped) error {
		var n uint32
		return windows.DeviceIoControl(c.handle, request, &p[0], uint32(len(p)), &p[0], uint32(len(p)), &n, o)
	})
}

// Input implements pipe.
func (c *winConn) Input(ctx context.Context, buf []byte) (int, error) {
	p := make([]byte, max(int(c.caps.inputLength), len(buf)+1))
	n, err := c.overlapped(ctx, inputTimeout, p, func(o *windows.Overlapped) error {
		var n uint32
		return windows.ReadFile(c.handle, p, &n, o)
	})
	if err != nil {
		return 0, fmt.Errorf("read reports of %v: %w", c.info, err)
	}
	return take(buf, p, n), nil
}

// String implements pipe. The system has its own limit.
func (c *winConn) String(_ context.Context, _ time.Duration, index int) (string, error) {
	if index <= 0 || index > 255 {
		return "", fmt.Errorf("read string %d: index out of range", index)
	}
	text := c.system.indexed(c.handle, index)
	if text == "" {
		return "", fmt.Errorf("read string %d: %w", index, ErrStall)
	}
	return text, nil
}

// ClearHalt implements pipe: the system does it itself.
func (c *winConn) ClearHalt() error { return fmt.Errorf("clear halt: %w", ErrUnsupported) }

// Reset implements pipe: programs cannot.
func (c *winConn) Reset() error { return fmt.Errorf("reset: %w", ErrUnsupported) }

// Abandon implements pipe.
func (c *winConn) Abandon() { c.Close() }

// Close implements pipe. What is under way ends.
func (c *winConn) Close() error {
	if c.closed.Swap(true) {
		return nil
	}
	windows.CancelIoEx(c.handle, nil)
	return windows.CloseHandle(c.handle)
}
