// Package usbip connects a USB device that is a Go value to the kernel's vhci_hcd
// by the USB/IP protocol, so that the kernel finds, drives and loses it like one
// that is plugged in. Control, interrupt and bulk transfers work; isochronous ones
// do not. It is for tests.
package usbip

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
)

// A Setup is the packet that begins a control transfer.
type Setup struct {
	RequestType, Request byte
	Value, Index, Length uint16
}

// A Device answers transfers. Several may be under way at once. An error that is
// a syscall.Errno becomes the transfer's status, any other EPROTO; ctx ends when
// the host takes the transfer back or the device is unplugged.
type Device interface {
	// Control performs a control transfer on endpoint 0.
	Control(ctx context.Context, s Setup, out []byte) (in []byte, err error)
	// In waits for a report or data of at most max bytes on an endpoint.
	In(ctx context.Context, endpoint, max int) ([]byte, error)
	// Out takes data that was sent to an endpoint.
	Out(ctx context.Context, endpoint int, data []byte) error
}

// The speeds of a device.
const (
	LowSpeed  = 1
	FullSpeed = 2
	HighSpeed = 3
)

// Commands of the protocol and their answers; a header is 48 bytes, big endian.
const (
	commandSubmit, commandUnlink = 1, 2
	answerSubmit, answerUnlink   = 3, 4
	headerSize                   = 48
	deviceID                     = 1<<16 | 1
)

// A Plug is a device that is plugged in.
type Plug struct {
	conn net.Conn
	done chan struct{} // closed when all transfers have ended
}

// Unplug pulls the device out and waits until its transfers have ended.
func (p *Plug) Unplug() {
	p.conn.Close()
	<-p.done
}

// A host is the kernel's end of a connection.
type host struct {
	conn   net.Conn
	device Device

	mu      sync.Mutex // guards pending and writes to conn
	pending map[uint32]context.CancelFunc
}

// A header is what precedes a command.
type header struct {
	command, number, direction, endpoint uint32
	length                               uint32 // of the data
	setup                                Setup
	unlink                               uint32 // the number of the command to take back
}

func parseHeader(p []byte) header {
	be := binary.BigEndian
	return header{
		command: be.Uint32(p), number: be.Uint32(p[4:]), direction: be.Uint32(p[12:]), endpoint: be.Uint32(p[16:]),
		unlink: be.Uint32(p[20:]), length: be.Uint32(p[24:]),
		setup: Setup{p[40], p[41], binary.LittleEndian.Uint16(p[42:]), binary.LittleEndian.Uint16(p[44:]), binary.LittleEndian.Uint16(p[46:])},
	}
}

// serve answers until the connection ends, and returns when all transfers have.
func serve(conn net.Conn, d Device) {
	h := &host{conn: conn, device: d, pending: map[uint32]context.CancelFunc{}}
	ctx, cancel := context.WithCancel(context.Background())
	var transfers sync.WaitGroup
	defer transfers.Wait()
	defer cancel()
	defer conn.Close()
	p := make([]byte, headerSize)
	for {
		if _, err := io.ReadFull(conn, p); err != nil {
			return
		}
		c := parseHeader(p)
		switch c.command {
		case commandSubmit:
			var out []byte
			if c.direction == 0 {
				if c.length > 1<<20 {
					return
				}
				out = make([]byte, c.length)
				if _, err := io.ReadFull(conn, out); err != nil {
					return
				}
			}
			one, end := context.WithCancel(ctx)
			h.mu.Lock()
			h.pending[c.number] = end
			h.mu.Unlock()
			transfers.Go(func() { h.transfer(one, c, out) })
		case commandUnlink:
			h.unlink(c)
		default:
			return
		}
	}
}

// transfer performs one command and answers it, unless it was taken back.
func (h *host) transfer(ctx context.Context, c header, out []byte) {
	var in []byte
	var err error
	switch {
	case c.endpoint == 0:
		in, err = h.device.Control(ctx, c.setup, out)
	case c.direction == 1:
		in, err = h.device.In(ctx, int(c.endpoint), int(c.length))
	default:
		err = h.device.Out(ctx, int(c.endpoint), out)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	end, mine := h.pending[c.number]
	if !mine {
		return
	}
	delete(h.pending, c.number)
	if ctx.Err() == nil {
		in = in[:min(len(in), int(c.length))]
		moved := len(in)
		if c.direction == 0 {
			in, moved = nil, len(out)
		}
		h.answer(answerSubmit, c.number, status(err), moved, in)
	}
	end()
}

// unlink takes a transfer back. One that was answered already is no error.
func (h *host) unlink(c header) {
	h.mu.Lock()
	defer h.mu.Unlock()
	end, found := h.pending[c.unlink]
	result := int32(0)
	if found {
		delete(h.pending, c.unlink)
		end()
		result = -int32(syscall.ECONNRESET)
	}
	h.answer(answerUnlink, c.number, result, 0, nil)
}

func status(err error) int32 {
	if err == nil {
		return 0
	}
	errno := syscall.EPROTO
	errors.As(err, &errno)
	return -int32(errno)
}

// answer writes one answer; h.mu is held. A connection that does not take it is
// about to end.
func (h *host) answer(command, number uint32, status int32, moved int, data []byte) {
	p := make([]byte, headerSize, headerSize+len(data))
	be := binary.BigEndian
	be.PutUint32(p, command)
	be.PutUint32(p[4:], number)
	be.PutUint32(p[20:], uint32(status))
	be.PutUint32(p[24:], uint32(moved))
	h.conn.Write(append(p, data...))
}
