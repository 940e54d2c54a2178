// Package serial opens serial lines. It moves bytes and modem lines; what the bytes
// mean is the business of the drivers above it.
package serial

import (
	"errors"
	"fmt"
	"os"
	"time"

	"go.bug.st/serial"
)

// A Mode is how the bytes travel. Zero values mean eight data bits, one stop bit
// and no parity.
type Mode struct {
	Baud     int
	DataBits int
	Parity   Parity
	TwoStops bool
	Shared   bool // do not lock the line, as the option nolock asks
}

// A Parity is how the parity bit is made.
type Parity uint8

// The parities.
const (
	NoParity Parity = iota
	OddParity
	EvenParity
)

// A Port is an open serial line. Reads and writes may come from different
// goroutines, reads from one at a time.
type Port struct {
	port     serial.Port
	lock     lock
	name     string
	deadline time.Time
}

// ErrLocked means that another program, most likely a driver, has a line.
var ErrLocked = errors.New("another program has locked it; is a driver running on it already?")

// Open opens a serial line by the system's name for it, and locks it.
func Open(name string, m Mode) (*Port, error) {
	mode := &serial.Mode{BaudRate: m.Baud, DataBits: m.DataBits}
	if mode.DataBits == 0 {
		mode.DataBits = 8
	}
	switch m.Parity {
	case OddParity:
		mode.Parity = serial.OddParity
	case EvenParity:
		mode.Parity = serial.EvenParity
	}
	if m.TwoStops {
		mode.StopBits = serial.TwoStopBits
	}
	l, err := take(name, m.Shared)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", name, err)
	}
	p, err := serial.Open(name, mode)
	if err != nil {
		l.release()
		return nil, fmt.Errorf("open %s: %w", name, explain(err))
	}
	l.admit()
	return &Port{port: p, lock: l, name: name}, nil
}

// explain turns what users can change into the errors that everybody knows.
func explain(err error) error {
	var e *serial.PortError
	if !errors.As(err, &e) {
		return err
	}
	switch e.Code() {
	case serial.PortNotFound:
		return os.ErrNotExist
	case serial.PermissionDenied:
		return os.ErrPermission
	}
	return err
}

// Read reads what has arrived, at least one byte. With a deadline it ends with
// os.ErrDeadlineExceeded when none came in time.
func (p *Port) Read(b []byte) (int, error) {
	timeout := time.Duration(serial.NoTimeout)
	if !p.deadline.IsZero() {
		if timeout = time.Until(p.deadline); timeout <= 0 {
			return 0, os.ErrDeadlineExceeded
		}
	}
	if err := p.port.SetReadTimeout(timeout); err != nil {
		return 0, fmt.Errorf("read %s: %w", p.name, err)
	}
	n, err := p.port.Read(b)
	if err != nil {
		return n, fmt.Errorf("read %s: %w", p.name, err)
	}
	if n == 0 {
		return 0, os.ErrDeadlineExceeded
	}
	return n, nil
}

// SetReadDeadline sets when reads end without a byte; the zero time means never. It
// counts from the next Read on.
func (p *Port) SetReadDeadline(t time.Time) error {
	p.deadline = t
	return nil
}

// Write writes all bytes.
func (p *Port) Write(b []byte) (int, error) {
	written := 0
	for written < len(b) {
		n, err := p.port.Write(b[written:])
		written += n
		if err != nil {
			return written, fmt.Errorf("write %s: %w", p.name, err)
		}
	}
	return written, nil
}

// Lines sets the two lines that power cables and wake devices. Ports without them
// refuse it.
func (p *Port) Lines(dtr, rts bool) error {
	return errors.Join(p.port.SetDTR(dtr), p.port.SetRTS(rts))
}

// Discard forgets what arrived and was not read.
func (p *Port) Discard() error { return p.port.ResetInputBuffer() }

// Close gives the line back; a Read that waits ends.
func (p *Port) Close() error {
	err := p.port.Close()
	p.lock.release()
	return err
}
