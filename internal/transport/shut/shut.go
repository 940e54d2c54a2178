// Package shut carries HID reports over a serial line, as MGE's and Eaton's UPSes
// do: Serial HID UPS Transfer. Packets of up to eight bytes with a check sum, each
// acknowledged, hold what would be control transfers on USB. It knows no reports.
package shut

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"gonut/internal/transport/hid"
)

// Tokens of one byte, and what the first byte of a packet says.
const (
	tokenOK      = 0x06
	tokenNOK     = 0x15
	syncAll      = 0x16
	syncPartial  = 0x17
	syncOff      = 0x18 // no notifications: we ask
	typeRequest  = 0x01
	typeResponse = 0x04
	typeNotify   = 0x05
	lastPacket   = 0x80
	maxPayload   = 8
)

// How long and how often to wait for the device. At 2400 baud a packet takes 50 ms.
const (
	tries      = 4
	answerTime = time.Second
	byteTime   = 500 * time.Millisecond
)

// maxPackets is how many packets may come besides those of an answer.
const maxPackets = 32

// Requests of the USB and HID classes.
const (
	getDescriptor    = 0x06
	getReport        = 0x01
	setReport        = 0x09
	descriptorDevice = 0x01
	descriptorString = 0x03
	descriptorHID    = 0x21
	descriptorReport = 0x22
)

// A Line is a serial line, or something like it.
type Line interface {
	io.ReadWriteCloser
	SetReadDeadline(t time.Time) error
}

// A Conn is a device at the other end of a line. It implements hid.Conn; the
// interrupt pipe never brings anything, because the device is told to keep silent.
type Conn struct {
	line       Line
	info       hid.Info
	descriptor []byte

	mu     sync.Mutex
	one    [1]byte
	closed chan struct{}
	once   sync.Once
}

// New gets in touch with the device at the other end and reads who it is. The line
// belongs to the Conn, which closes it also if it fails.
func New(ctx context.Context, line Line) (*Conn, error) {
	c := &Conn{line: line, closed: make(chan struct{})}
	if err := c.begin(ctx); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

func (c *Conn) begin(ctx context.Context) error {
	if err := c.synchronise(ctx); err != nil {
		return err
	}
	device := make([]byte, 18)
	n, err := c.describe(ctx, descriptorDevice, 0, device)
	if err != nil || n < 18 {
		return fmt.Errorf("read device descriptor: %d bytes: %w", n, orShort(err))
	}
	c.info = hid.Info{
		VendorID: binary.LittleEndian.Uint16(device[8:]), ProductID: binary.LittleEndian.Uint16(device[10:]),
		Release: binary.LittleEndian.Uint16(device[12:]),
	}
	for i, to := range []*string{&c.info.Manufacturer, &c.info.Product, &c.info.Serial} {
		if index := int(device[14+i]); index != 0 {
			*to, _ = c.String(ctx, index) // a device without a name is a device
		}
	}
	head := make([]byte, 9)
	n, err = c.describe(ctx, descriptorHID, 0, head)
	if err != nil || n < 9 {
		return fmt.Errorf("read HID descriptor: %d bytes: %w", n, orShort(err))
	}
	c.descriptor = make([]byte, binary.LittleEndian.Uint16(head[7:]))
	n, err = c.describe(ctx, descriptorReport, 0, c.descriptor)
	if err != nil {
		return fmt.Errorf("read report descriptor: %w", err)
	}
	c.descriptor = c.descriptor[:n]
	return nil
}

func orShort(err error) error {
	if err == nil {
		return io.ErrUnexpectedEOF
	}
	return err
}

// Descriptor implements hid.Conn.
func (c *Conn) Descriptor() []byte { return c.descriptor }

// Info implements hid.Conn.
func (c *Conn) Info() hid.Info { return c.info }

// Get implements hid.Conn.
func (c *Conn) Get(ctx context.Context, t hid.ReportType, id byte, buf []byte) (int, error) {
	n, err := c.transfer(ctx, 0xA1, getReport, uint16(t)<<8|uint16(id), nil, buf)
	if err != nil {
		return n, fmt.Errorf("get %s report %#02x: %w", t, id, err)
	}
	return n, nil
}

// Set implements hid.Conn.
func (c *Conn) Set(ctx context.Context, t hid.ReportType, id byte, data []byte) error {
	if _, err := c.transfer(ctx, 0x21, setReport, uint16(t)<<8|uint16(id), data, nil); err != nil {
		return fmt.Errorf("set %s report %#02x: %w", t, id, err)
	}
	return nil
}

// Input implements hid.Conn: it waits for ctx or Close.
func (c *Conn) Input(ctx context.Context, _ []byte) (int, error) {
	select {
	case <-ctx.Done():
		return 0, hid.ErrTimeout
	case <-c.closed:
		return 0, hid.ErrGone
	}
}

// String implements hid.Conn.
func (c *Conn) String(ctx context.Context, index int) (string, error) {
	buf := make([]byte, 255)
	n, err := c.describe(ctx, descriptorString, byte(index), buf)
	if err != nil {
		return "", fmt.Errorf("read string %d: %w", index, err)
	}
	if n < 2 || buf[1] != descriptorString || int(buf[0]) > n {
		return "", fmt.Errorf("read string %d: %w", index, hid.ErrStall)
	}
	var s strings.Builder
	for i := 2; i+1 < int(buf[0]); i += 2 {
		if buf[i+1] != 0 {
			s.WriteByte('?')
		} else {
			s.WriteByte(buf[i])
		}
	}
	return s.String(), nil
}

// Close implements hid.Conn.
func (c *Conn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.line.Close()
}

func (c *Conn) describe(ctx context.Context, kind, index byte, buf []byte) (int, error) {
	requestType := byte(0x80)
	if kind >= descriptorHID {
		requestType = 0x81
	}
	return c.transfer(ctx, requestType, getDescriptor, uint16(kind)<<8|uint16(index), nil, buf)
}

// transfer sends one request, with data behind it or an answer to it.
func (c *Conn) transfer(ctx context.Context, requestType, request byte, value uint16, out, in []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	setup := []byte{requestType, request, byte(value), byte(value >> 8), 0, 0, 0, 0}
	binary.LittleEndian.PutUint16(setup[6:], uint16(max(len(out), len(in))))
	if err := c.send(ctx, setup, len(out) == 0); err != nil {
		return 0, err
	}
	for rest := out; len(rest) > 0; {
		n := min(len(rest), maxPayload)
		if err := c.send(ctx, rest[:n], n == len(rest)); err != nil {
			return 0, err
		}
		rest = rest[n:]
	}
	if in == nil {
		return 0, nil
	}
	return c.receive(ctx, in)
}

// send sends a packet until the device acknowledges it.
func (c *Conn) send(ctx context.Context, data []byte, last bool) error {
	p := packet(typeRequest, data, last)
	refused := 0
	for try := range tries {
		if err := c.write(ctx, p); err != nil {
			return err
		}
		b, err := c.byte(ctx, answerTime)
		switch {
		case err != nil && !errors.Is(err, hid.ErrTimeout):
			return err
		case err == nil && b == tokenOK:
			return nil
		case err == nil && b == tokenNOK:
			refused++
		case err == nil && b&^lastPacket == typeNotify:
			c.drain(ctx)
		case try < tries-1:
			// Silence or rubbish: one of us has lost the beginning of a packet. A
			// device that does not even echo a token is there no more; to ask it for
			// each of a hundred reports would take minutes.
			switch err := c.synchronise(ctx); {
			case errors.Is(err, hid.ErrTimeout) && ctx.Err() == nil:
				return fmt.Errorf("%w: %w", hid.ErrGone, err)
			case err != nil:
				return err
			}
		}
	}
	if refused == tries {
		return hid.ErrStall
	}
	return fmt.Errorf("no acknowledgement after %d tries: %w", tries, hid.ErrTimeout)
}

// receive collects the packets of an answer.
func (c *Conn) receive(ctx context.Context, buf []byte) (int, error) {
	got, bad := 0, 0
	for packets := 0; packets < maxPackets+len(buf); packets++ {
		data, head, err := c.packet(ctx)
		switch {
		case errors.Is(err, errDamaged) && bad < tries:
			bad++
			if err := c.write(ctx, []byte{tokenNOK}); err != nil {
				return got, err
			}
			continue
		case err != nil:
			return got, err
		}
		if err := c.write(ctx, []byte{tokenOK}); err != nil {
			return got, err
		}
		if head&^lastPacket == typeNotify {
			continue // sent before it was told not to
		}
		got += copy(buf[min(got, len(buf)):], data)
		if head&lastPacket != 0 || got >= len(buf) {
			return got, nil
		}
	}
	return got, fmt.Errorf("an answer has no end: %w", hid.ErrOverflow)
}

var errDamaged = errors.New("a packet was damaged")

// packet reads one packet.
func (c *Conn) packet(ctx context.Context) (data []byte, head byte, err error) {
	head, err = c.byte(ctx, answerTime)
	if err != nil {
		return nil, 0, err
	}
	switch head {
	case tokenNOK:
		return nil, 0, hid.ErrStall
	case syncAll, syncPartial, syncOff, tokenOK:
		return nil, 0, errDamaged
	}
	size, err := c.inside(ctx)
	if err != nil {
		return nil, 0, err
	}
	n := int(size & 15)
	if size>>4 != size&15 || n > maxPayload {
		c.drain(ctx)
		return nil, 0, errDamaged
	}
	data = make([]byte, n)
	for i := range data {
		if data[i], err = c.inside(ctx); err != nil {
			return nil, 0, err
		}
	}
	sum, err := c.inside(ctx)
	if err != nil {
		return nil, 0, err
	}
	if sum != checksum(data) {
		return nil, 0, errDamaged
	}
	return data, head, nil
}

// inside reads a byte within a packet. One that does not come was lost on the way.
func (c *Conn) inside(ctx context.Context) (byte, error) {
	b, err := c.byte(ctx, byteTime)
	if errors.Is(err, hid.ErrTimeout) && ctx.Err() == nil {
		return 0, errDamaged
	}
	return b, err
}

// synchronise makes both sides begin anew, and the device keep silent unless asked.
func (c *Conn) synchronise(ctx context.Context) error {
	for range tries {
		c.drain(ctx)
		if err := c.write(ctx, []byte{syncOff}); err != nil {
			return err
		}
		b, err := c.byte(ctx, answerTime)
		if err == nil && b == syncOff {
			return nil
		}
		if err != nil && !errors.Is(err, hid.ErrTimeout) {
			return err
		}
	}
	return fmt.Errorf("synchronise with the UPS: it does not answer; is it the right port and cable? %w", hid.ErrTimeout)
}

// drain throws away what is on its way, but waits for no end of a line that is never
// silent.
func (c *Conn) drain(ctx context.Context) {
	for begun := time.Now(); time.Since(begun) < answerTime; {
		if _, err := c.byte(ctx, 20*time.Millisecond); err != nil {
			return
		}
	}
}

// byte reads one byte within a time.
func (c *Conn) byte(ctx context.Context, within time.Duration) (byte, error) {
	if err := ctx.Err(); err != nil {
		return 0, fmt.Errorf("read from the UPS: %w: %w", hid.ErrTimeout, err)
	}
	end := time.Now().Add(within)
	if d, ok := ctx.Deadline(); ok && d.Before(end) {
		end = d
	}
	if err := c.line.SetReadDeadline(end); err != nil {
		return 0, fmt.Errorf("%w: %w", hid.ErrGone, err)
	}
	n, err := c.line.Read(c.one[:])
	switch {
	case n == 1:
		return c.one[0], nil
	case err == nil, errors.Is(err, os.ErrDeadlineExceeded):
		return 0, hid.ErrTimeout
	}
	return 0, fmt.Errorf("%w: %w", hid.ErrGone, err)
}

func (c *Conn) write(ctx context.Context, b []byte) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("write to the UPS: %w: %w", hid.ErrTimeout, err)
	}
	if _, err := c.line.Write(b); err != nil {
		return fmt.Errorf("%w: %w", hid.ErrGone, err)
	}
	return nil
}

// packet builds a packet: type, length in both halves of a byte, data, check sum.
func packet(kind byte, data []byte, last bool) []byte {
	if last {
		kind |= lastPacket
	}
	p := append([]byte{kind, byte(len(data))<<4 | byte(len(data))}, data...)
	return append(p, checksum(data))
}

func checksum(data []byte) byte {
	var sum byte
	for _, b := range data {
		sum ^= b
	}
	return sum
}
