package upsd

import (
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"syscall"
	"time"
	"unsafe"
)

// converse serves the client until something else has to happen. On a socket the
// whole conversation takes place inside calls of RawConn.Read, for the sake of
// speed: the runtime parks this goroutine until there is something to read, and
// the read and the write are then one plain system call each.
func (s *session) converse() error {
	var raw syscall.RawConn
	var err error
	switch c := s.stream.(type) {
	case *net.TCPConn:
		raw, err = c.SyscallConn()
	case *net.UnixConn:
		raw, err = c.SyscallConn()
	default:
		return s.converseOver()
	}
	if err != nil {
		return err
	}
	p := &pump{s: s}
	ready := func(fd uintptr) bool { return p.ready(int(fd)) }
	for {
		if err := s.conn.SetReadDeadline(s.last().Add(idleTimeout)); err != nil {
			return err
		}
		err := raw.Read(ready)
		switch {
		case p.done:
			return p.err
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return err
		case time.Since(s.last()) >= idleTimeout:
			return errIdle
		}
		p.quick = 0
	}
}

// A pump moves bytes between a socket and a session.
type pump struct {
	s     *session
	quick int       // short reads since began, if they follow each other quickly
	began time.Time // of the first of them
	done  bool
	err   error
}

// Reading again until the kernel has nothing more costs a system call per request.
// A connection that is this busy is spared it. What that may overlook is the end
// of the stream if it came together with the last bytes, so a busy connection is
// looked at once in a while all the same.
const (
	busyReads = 16                     // short reads in a row within busyTime make a connection busy
	busyTime  = 250 * time.Millisecond // after which a busy connection is looked at
)

// ready is called when there may be something to read, and first of all. It reports
// whether the conversation is over.
func (p *pump) ready(fd int) bool {
	d := p.s.server.desk()
	defer p.s.server.putDesk(d)
	n, err := readNow(fd, d.in[:])
	for {
		switch {
		case err == syscall.EAGAIN:
			return false
		case err == syscall.EINTR:
		case err != nil:
			return p.end(err)
		case n == 0:
			return p.end(io.EOF)
		default:
			if err := p.reply(fd, d, d.in[:n]); err != nil || p.s.wants != wantNothing {
				return p.end(err)
			}
			if n == len(d.in) {
				runtime.Gosched() // others have questions as well
			} else if p.busy() {
				return false
			}
		}
		n, err = readNow(fd, d.in[:])
	}
}

func (p *pump) end(err error) bool {
	p.done, p.err = true, err
	return true
}

// busy reports whether to wait without looking whether there is more to read.
func (p *pump) busy() bool {
	p.quick++
	switch {
	case p.quick == 1:
		p.began = p.s.last()
	case p.quick == busyReads:
		if p.s.last().Sub(p.began) > busyTime {
			p.quick = 0
			return false
		}
		p.s.conn.SetReadDeadline(p.s.last().Add(busyTime))
	}
	return p.quick >= busyReads
}

func (p *pump) reply(fd int, d *desk, in []byte) error {
	for len(in) > 0 {
		in = p.s.answer(d, in)
		if len(d.out) == 0 {
			continue
		}
		if err := p.write(fd, d.out); err != nil {
			return err
		}
	}
	return nil
}

// write sends whole lines: at once if the kernel takes them, and otherwise as any
// session does.
func (p *pump) write(fd int, out []byte) error {
	p.s.mu.Lock()
	defer p.s.mu.Unlock()
	n, err := writeNow(fd, out)
	if n == len(out) {
		return nil
	}
	if err != nil && err != syscall.EAGAIN && err != syscall.EINTR {
		return err
	}
	return p.s.send(out[n:])
}

// readNow and writeNow are for sockets that do not block: the scheduler need not
// be told, as they return at once.
func readNow(fd int, p []byte) (int, error) {
	n, _, e := syscall.RawSyscall(syscall.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
	if e != 0 {
		return 0, e
	}
	return int(n), nil
}

func writeNow(fd int, p []byte) (int, error) {
	n, _, e := syscall.RawSyscall(syscall.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
	if e != 0 {
		return 0, e
	}
	return int(n), nil
}
