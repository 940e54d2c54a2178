package shut

import (
	"encoding/binary"
	"errors"
	"io"
	"sync"

	"gonut/internal/transport/hid"
)

// A Fake is a UPS at the other end of a line, which answers as a recording says.
type Fake struct {
	names [3]byte // indices of manufacturer, product and serial number

	mu     sync.Mutex
	rec    *hid.Recording
	writes []hid.Written
	mutilate,
	refuse,
	mute int // packets to damage, to refuse, to leave unanswered
	silent bool
}

// NewFake returns a UPS that answers as rec says. Manufacturer, product and serial
// number are strings with indices that the recording does not use otherwise.
func NewFake(rec *hid.Recording) *Fake {
	f := &Fake{rec: rec}
	next := 1
	for i, text := range []string{rec.Info.Manufacturer, rec.Info.Product, rec.Info.Serial} {
		if text == "" {
			continue
		}
		for rec.Strings[next] != "" {
			next++
		}
		f.names[i] = byte(next)
		next++
	}
	return f
}

// Put changes what a feature report answers; data[0] is its id.
func (f *Fake) Put(data ...byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rec.Features[data[0]] = data
}

// Lose makes the UPS refuse a report from now on.
func (f *Fake) Lose(id byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.rec.Features, id)
}

// Writes returns the reports that were written since the last call.
func (f *Fake) Writes() []hid.Written {
	f.mu.Lock()
	defer f.mu.Unlock()
	w := f.writes
	f.writes = nil
	return w
}

// Disturb damages the next packets, one in two by cutting them short, refuses the
// next requests, or leaves them unanswered.
func (f *Fake) Disturb(mutilate, refuse, mute int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mutilate, f.refuse, f.mute = mutilate, refuse, mute
}

// Silence makes the UPS hear nothing, as if the cable were pulled out of it, until it
// is called with false.
func (f *Fake) Silence(silent bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.silent = silent
}

func (f *Fake) hears() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return !f.silent
}

// take counts down, and returns what n was.
func (f *Fake) take(n *int) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	was := *n
	*n = max(0, was-1)
	return was
}

// Serve is the UPS until the line ends.
func (f *Fake) Serve(line io.ReadWriter) error {
	var request []byte
	for {
		head, err := readByte(line)
		if err != nil {
			return endOfLine(err)
		}
		if !f.hears() {
			request = nil
			continue
		}
		if head == syncAll || head == syncPartial || head == syncOff {
			request = nil
			if _, err := line.Write([]byte{head}); err != nil {
				return endOfLine(err)
			}
			continue
		}
		if head&^lastPacket != typeRequest {
			continue
		}
		data, ok, err := readRest(line)
		if err != nil {
			return endOfLine(err)
		}
		if f.take(&f.mute) > 0 {
			continue
		}
		if !ok || f.take(&f.refuse) > 0 {
			if _, err := line.Write([]byte{tokenNOK}); err != nil {
				return endOfLine(err)
			}
			continue
		}
		if _, err := line.Write([]byte{tokenOK}); err != nil {
			return endOfLine(err)
		}
		request = append(request, data...)
		if head&lastPacket == 0 {
			continue
		}
		if err := f.answer(line, request); err != nil {
			return endOfLine(err)
		}
		request = nil
	}
}

func endOfLine(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrClosedPipe) {
		return nil
	}
	return err
}

func readByte(r io.Reader) (byte, error) {
	var b [1]byte
	_, err := io.ReadFull(r, b[:])
	return b[0], err
}

// readRest reads a packet behind its first byte.
func readRest(r io.Reader) (data []byte, ok bool, err error) {
	size, err := readByte(r)
	if err != nil {
		return nil, false, err
	}
	data = make([]byte, int(size&15)+1)
	if _, err := io.ReadFull(r, data); err != nil {
		return nil, false, err
	}
	n := len(data) - 1
	return data[:n], size>>4 == size&15 && data[n] == checksum(data[:n]), nil
}

// answer performs a request.
func (f *Fake) answer(line io.ReadWriter, r []byte) error {
	if len(r) < 8 {
		return nil
	}
	value, length := binary.LittleEndian.Uint16(r[2:]), int(binary.LittleEndian.Uint16(r[6:]))
	var data []byte
	switch r[1] {
	case setReport:
		f.mu.Lock()
		f.writes = append(f.writes, hid.Written{Type: hid.ReportType(value >> 8), Data: r[8:]})
		f.rec.Features[byte(value)] = r[8:]
		f.mu.Unlock()
		return nil
	case getReport:
		f.mu.Lock()
		data = f.rec.Features[byte(value)]
		f.mu.Unlock()
	case getDescriptor:
		data = f.descriptor(byte(value>>8), byte(value))
	}
	if data == nil {
		_, err := line.Write([]byte{tokenNOK})
		return err
	}
	return f.respond(line, data[:min(len(data), length)])
}

// respond sends an answer, each packet until it is acknowledged.
func (f *Fake) respond(line io.ReadWriter, data []byte) error {
	for {
		n := min(len(data), maxPayload)
		p := packet(typeResponse, data[:n], n == len(data))
		if n := f.take(&f.mutilate); n%2 == 1 {
			p[len(p)-1] ^= 0xFF
		} else if n > 0 {
			p = p[:len(p)-1]
		}
		if _, err := line.Write(p); err != nil {
			return err
		}
		ack, err := readByte(line)
		if err != nil {
			return err
		}
		switch ack {
		case syncAll, syncPartial, syncOff: // the other side begins anew
			_, err := line.Write([]byte{ack})
			return err
		case tokenOK:
		default:
			continue
		}
		if data = data[n:]; len(data) == 0 {
			return nil
		}
	}
}

func (f *Fake) descriptor(kind, index byte) []byte {
	i := f.rec.Info
	switch kind {
	case descriptorDevice:
		d := []byte{18, 1, 0x10, 1, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, f.names[0], f.names[1], f.names[2], 1}
		binary.LittleEndian.PutUint16(d[8:], i.VendorID)
		binary.LittleEndian.PutUint16(d[10:], i.ProductID)
		binary.LittleEndian.PutUint16(d[12:], i.Release)
		return d
	case descriptorHID:
		d := []byte{9, descriptorHID, 0, 1, 0x21, 1, descriptorReport, 0, 0}
		binary.LittleEndian.PutUint16(d[7:], uint16(len(f.rec.Descriptor)))
		return d
	case descriptorReport:
		return f.rec.Descriptor
	case descriptorString:
		text, ok := f.rec.Strings[int(index)]
		for k, own := range []string{i.Manufacturer, i.Product, i.Serial} {
			if !ok && index != 0 && index == f.names[k] {
				text, ok = own, true
			}
		}
		if !ok {
			return nil
		}
		d := []byte{byte(2 + 2*len(text)), descriptorString}
		for _, c := range []byte(text) {
			d = append(d, c, 0)
		}
		return d
	}
	return nil
}
