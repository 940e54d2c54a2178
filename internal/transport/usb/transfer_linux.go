package usb

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A transfer is one URB. While it is pending the kernel has the addresses of urb
// and buffer.
type transfer struct {
	urb    urb
	buffer []byte
	pinner runtime.Pinner
	next   func() bool   // called with h.mu held when it succeeded: it may make it another one
	began  time.Time     // of the last one, guarded by h.mu
	done   chan struct{} // gets one token when reaped or lost
	err    error         // valid after that
}

// How much room a transfer has at least, so that most can be used again, and how
// many are kept for that.
const (
	usualSize = 8 + 256
	maxSpare  = 4
)

// Control performs a control transfer: data is sent, or filled with what the
// device sends if the setup packet says In. It returns how many bytes were
// moved. It ends with ctx and after limit.
func (h *Handle) Control(ctx context.Context, limit time.Duration, s Setup, data []byte) (int, error) {
	t := h.prepare(urbControl, 0, 8+len(data))
	defer h.release(t)
	t.control(s, data)
	_, err := h.transfer(ctx, limit, t)
	n := t.result(s, data)
	if err != nil {
		return n, fmt.Errorf("control transfer %v of %s: %w", s, h.device.Path, err)
	}
	return n, nil
}

// control makes t a control transfer; there is room enough in it.
func (t *transfer) control(s Setup, data []byte) {
	t.buffer = t.buffer[:8+len(data)]
	t.urb.length = int32(len(t.buffer))
	p := t.buffer
	p[0], p[1] = s.RequestType, s.Request
	binary.LittleEndian.PutUint16(p[2:], s.Value)
	binary.LittleEndian.PutUint16(p[4:], s.Index)
	binary.LittleEndian.PutUint16(p[6:], uint16(len(data)))
	if s.RequestType&In == 0 {
		copy(p[8:], data)
	}
}

// result copies what a control transfer brought to data, and returns how many bytes
// were moved.
func (t *transfer) result(s Setup, data []byte) int {
	n := min(max(int(t.urb.actual), 0), len(data))
	if s.RequestType&In != 0 {
		copy(data, t.buffer[8:8+n])
	}
	return n
}

// Controls performs control transfers one after the other until one fails. It does
// what as many calls of Control would, but wakes the caller only once. It returns how
// many succeeded; the error is that of the one after them.
func (h *Handle) Controls(ctx context.Context, limit time.Duration, rs []Request) (int, error) {
	if len(rs) == 0 {
		return 0, nil
	}
	room := 0
	for _, r := range rs {
		room = max(room, len(r.Data))
	}
	t := h.prepare(urbControl, 0, 8+room)
	defer h.release(t)
	done := 0
	t.control(rs[0].Setup, rs[0].Data)
	t.next = func() bool {
		rs[done].N = t.result(rs[done].Setup, rs[done].Data)
		if done++; done == len(rs) {
			return false
		}
		t.control(rs[done].Setup, rs[done].Data)
		return true
	}
	_, err := h.transfer(ctx, limit, t)
	if done < len(rs) {
		return done, fmt.Errorf("control transfer %v of %s: %w", rs[done].Setup, h.device.Path, err)
	}
	return done, nil
}

// Interrupt moves one interrupt transfer on an endpoint, whose bit 7 says in
// which direction. It ends with ctx and after limit.
func (h *Handle) Interrupt(ctx context.Context, limit time.Duration, endpoint uint8, p []byte) (int, error) {
	return h.stream(ctx, limit, urbInterrupt, endpoint, p)
}

// Bulk moves one bulk transfer on an endpoint, whose bit 7 says in which
// direction. It ends with ctx and after limit.
func (h *Handle) Bulk(ctx context.Context, limit time.Duration, endpoint uint8, p []byte) (int, error) {
	return h.stream(ctx, limit, urbBulk, endpoint, p)
}

func (h *Handle) stream(ctx context.Context, limit time.Duration, kind, endpoint uint8, p []byte) (int, error) {
	t := h.prepare(kind, endpoint, len(p))
	defer h.release(t)
	if endpoint&In == 0 {
		copy(t.buffer, p)
	}
	n, err := h.transfer(ctx, limit, t)
	if endpoint&In != 0 {
		copy(p, t.buffer[:n])
	}
	if err != nil {
		return n, fmt.Errorf("transfer on endpoint %02x of %s: %w", endpoint, h.device.Path, err)
	}
	return n, nil
}

// prepare returns a transfer with room for size bytes, a new one or one that was
// released.
func (h *Handle) prepare(kind, endpoint uint8, size int) *transfer {
	h.mu.Lock()
	defer h.mu.Unlock()
	var t *transfer
	if n := len(h.spare); n > 0 && size <= usualSize {
		t, h.spare = h.spare[n-1], h.spare[:n-1]
	} else {
		t = &transfer{buffer: make([]byte, max(size, usualSize)), done: make(chan struct{}, 1)}
		t.pinner.Pin(&t.urb)
		t.pinner.Pin(&t.buffer[0])
	}
	t.buffer = t.buffer[:size]
	t.urb = urb{kind: kind, endpoint: endpoint, length: int32(size), buffer: unsafe.Pointer(unsafe.SliceData(t.buffer))}
	t.err, t.next = nil, nil
	return t
}

// release takes back a transfer that is not pending.
func (h *Handle) release(t *transfer) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.lost != nil || cap(t.buffer) != usualSize || len(h.spare) == maxSpare {
		t.pinner.Unpin()
		return
	}
	h.spare = append(h.spare, t)
}

// transfer submits a URB, waits for it and returns how many bytes it moved.
func (h *Handle) transfer(ctx context.Context, limit time.Duration, t *transfer) (int, error) {
	if err := h.submit(t); err != nil {
		return 0, Explain(err)
	}
	ended := h.wait(ctx, limit, t)
	if ended != nil {
		h.discard(t)
	}
	n := max(int(t.urb.actual), 0)
	switch {
	case t.err == nil: // it may have come just in time
		return n, nil
	case ended != nil && errors.Is(t.err, unix.ENOENT):
		return n, ended
	}
	return n, Explain(t.err)
}

// wait waits for a transfer. An error says why it has to be taken back.
func (h *Handle) wait(ctx context.Context, limit time.Duration, t *transfer) error {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for {
		select {
		case <-t.done:
			return nil
		case <-timer.C:
			h.mu.Lock()
			left := limit - time.Since(t.began)
			h.mu.Unlock()
			if left <= 0 {
				return ErrTimeout
			}
			timer.Reset(left)
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return ErrTimeout
			}
			return context.Cause(ctx)
		}
	}
}

func (h *Handle) submit(t *transfer) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.lost != nil {
		return h.lost
	}
	t.began = time.Now()
	err := h.with(func(fd uintptr) error { return h.quick(fd, h.ioctls.submitURB, unsafe.Pointer(&t.urb)) })
	if err == nil {
		h.pending[&t.urb] = t
	}
	return err
}

// reap collects transfers that have ended until the handle is closed or the device
// is gone.
func (h *Handle) reap() {
	h.raw.Write(func(fd uintptr) bool { return !h.collect(fd) })
	h.lose(os.ErrClosed)
}

// collect takes all URBs that have ended from the kernel, and reports whether more
// may come. The poller reports only changes, so none may be left behind.
func (h *Handle) collect(fd uintptr) bool {
	for h.waiting() {
		var u *urb
		switch err := h.quick(fd, h.ioctls.reapURBNoDelay, unsafe.Pointer(&u)); {
		case err == nil:
			h.finish(fd, u)
		case errors.Is(err, unix.EAGAIN):
			return true
		default:
			h.lose(err)
			return false
		}
	}
	return true
}

func (h *Handle) waiting() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.pending) > 0
}

// finish takes a URB that has ended, and submits it once more if it is to become
// another transfer.
func (h *Handle) finish(fd uintptr, u *urb) {
	h.mu.Lock()
	defer h.mu.Unlock()
	t := h.pending[u]
	if t == nil {
		return
	}
	switch u.status {
	case 0:
		h.careful.Store(false)
		if t.next == nil || !t.next() {
			h.end(t, nil)
			return
		}
		err := h.lost
		if t.began = time.Now(); err == nil {
			err = h.quick(fd, h.ioctls.submitURB, unsafe.Pointer(u))
		}
		if err != nil {
			h.end(t, err)
		}
	case -int32(unix.EPIPE): // an answer
		h.end(t, unix.EPIPE)
	default:
		h.careful.Store(true)
		h.end(t, syscall.Errno(-u.status))
	}
}

// end lets go of a pending transfer; h.mu is held.
func (h *Handle) end(t *transfer, err error) {
	delete(h.pending, &t.urb)
	t.err = err
	t.done <- struct{}{}
}

// lose ends all transfers because the device or the handle is gone. The kernel
// writes into a URB only when it is reaped, which happens no more.
func (h *Handle) lose(why error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.lost == nil {
		h.lost = why
	}
	for _, t := range h.pending {
		h.end(t, why)
	}
	for _, t := range h.spare {
		t.pinner.Unpin()
	}
	h.spare = nil
}

// discard takes a transfer back from the kernel, which ends it with ENOENT, or
// with its result if that came first.
func (h *Handle) discard(t *transfer) {
	h.do(h.ioctls.discardURB, unsafe.Pointer(&t.urb)) // an error means: ended already
	limit := time.NewTimer(time.Second)
	defer limit.Stop()
	select {
	case <-t.done:
	case <-limit.C: // the host controller kept it: nothing will work any more
		h.lose(unix.ESHUTDOWN)
		<-t.done
	}
}
