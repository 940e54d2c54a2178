package hid

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// A Fake is a device in memory that plays a recording back. Reports that were
// written are what is read afterwards. It is an Opener that finds this one device,
// and the Conn to it.
type Fake struct {
	mu      sync.Mutex
	rec     *Recording
	writes  []Written
	reads   int
	gone    bool
	failing map[byte]error
	keep    map[byte]bool // reports that writes do not change
	inputs  chan []byte
	pulled  chan struct{} // closed while the device is gone
	opened  int
}

// A Written is a report that was written to a Fake, or a request for one.
type Written struct {
	Type ReportType
	Data []byte // byte 0 is the id
}

// String returns the type and the bytes: "feature 15 14 00".
func (w Written) String() string { return fmt.Sprintf("%s % x", w.Type, w.Data) }

// NewFake returns a device that answers as rec says. The recording belongs to the
// Fake from now on. Inputs of the recording come first from Input.
func NewFake(rec *Recording) *Fake {
	f := &Fake{rec: rec, failing: map[byte]error{}, keep: map[byte]bool{}, inputs: make(chan []byte, 64+len(rec.Inputs)), pulled: make(chan struct{})}
	for _, in := range rec.Inputs {
		f.inputs <- in
	}
	return f
}

// Open implements Opener.
func (f *Fake) Open(_ context.Context, m Matcher, t Tuning) (Conn, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.gone || !m.Match(f.rec.Info) {
		return nil, fmt.Errorf("open device: %w", ErrGone)
	}
	t.of(f.rec.Info)
	f.opened++
	return openFake{f}, nil
}

// An openFake is a Fake that was opened: it is a Conn that can be asked for several
// reports in one go.
type openFake struct{ *Fake }

// GetAll asks until one report fails.
func (f openFake) GetAll(ctx context.Context, gs []Get) int {
	for i, g := range gs {
		n, err := f.Get(ctx, g.Type, g.ID, g.Buf)
		if err != nil {
			return i
		}
		gs[i].N = n
	}
	return len(gs)
}

// List implements Opener.
func (f *Fake) List(context.Context) ([]Info, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.gone {
		return nil, nil
	}
	return []Info{f.rec.Info}, nil
}

// Changed implements Opener; a Fake never tells.
func (f *Fake) Changed(context.Context) <-chan struct{} { return nil }

// Descriptor implements Conn.
func (f *Fake) Descriptor() []byte { return f.rec.Descriptor }

// Info implements Conn.
func (f *Fake) Info() Info { return f.rec.Info }

// Get implements Conn. Reports that the recording lacks stall.
func (f *Fake) Get(ctx context.Context, t ReportType, id byte, buf []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reads++
	if err := f.trouble(ctx, id); err != nil {
		return 0, fmt.Errorf("get %s report %#02x: %w", t, id, err)
	}
	data, ok := f.rec.Features[id]
	if !ok || t != Feature {
		return 0, fmt.Errorf("get %s report %#02x: %w", t, id, ErrStall)
	}
	return copy(buf, data), nil
}

// Set implements Conn.
func (f *Fake) Set(ctx context.Context, t ReportType, id byte, data []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.trouble(ctx, id); err != nil {
		return fmt.Errorf("set %s report %#02x: %w", t, id, err)
	}
	if t == Feature && f.rec.Features[id] == nil {
		return fmt.Errorf("set %s report %#02x: %w", t, id, ErrStall)
	}
	f.writes = append(f.writes, Written{t, append([]byte(nil), data...)})
	if t == Feature && !f.keep[id] {
		f.rec.Features[id] = append([]byte(nil), data...)
	}
	return nil
}

func (f *Fake) trouble(ctx context.Context, id byte) error {
	if f.gone {
		return ErrGone
	}
	if err := ctx.Err(); err != nil {
		return errors.Join(ErrTimeout, err)
	}
	return f.failing[id]
}

// Input implements Conn. Without a report it waits until ctx ends, which is
// ErrTimeout, or the device is unplugged.
func (f *Fake) Input(ctx context.Context, buf []byte) (int, error) {
	f.mu.Lock()
	pulled := f.pulled
	f.mu.Unlock()
	select {
	case <-pulled:
		return 0, fmt.Errorf("read interrupt pipe: %w", ErrGone)
	default:
	}
	select {
	case in := <-f.inputs:
		return copy(buf, in), nil
	case <-pulled:
		return 0, fmt.Errorf("read interrupt pipe: %w", ErrGone)
	case <-ctx.Done():
		return 0, fmt.Errorf("read interrupt pipe: %w", ErrTimeout)
	}
}

// String implements Conn.
func (f *Fake) String(_ context.Context, index int) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if s, ok := f.rec.Strings[index]; ok && !f.gone {
		return s, nil
	}
	return "", fmt.Errorf("get string %d: %w", index, ErrStall)
}

// Close implements Conn. A Fake can be opened again.
func (f *Fake) Close() error { return nil }

// Put changes what a feature report answers; data[0] is its id.
func (f *Fake) Put(data ...byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rec.Features[data[0]] = data
}

// Keep makes a report answer what it answers now, whatever is written to it, as
// the reports of commands do.
func (f *Fake) Keep(id byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.keep[id] = true
}

// Push lets a report come over the interrupt pipe. It drops the report if 64 wait
// already.
func (f *Fake) Push(data ...byte) {
	select {
	case f.inputs <- data:
	default:
	}
}

// Fail makes transfers of a report end with err; nil heals it.
func (f *Fake) Fail(id byte, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.failing[id] = err
}

// Unplug makes the device gone until Plug.
func (f *Fake) Unplug() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.gone {
		f.gone = true
		close(f.pulled)
	}
}

// Plug undoes Unplug.
func (f *Fake) Plug() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.gone {
		f.gone = false
		f.pulled = make(chan struct{})
	}
}

// Writes returns the reports that were written since the last call.
func (f *Fake) Writes() []Written {
	f.mu.Lock()
	defer f.mu.Unlock()
	w := f.writes
	f.writes = nil
	return w
}

// Reads returns how many reports were asked for since the last call.
func (f *Fake) Reads() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := f.reads
	f.reads = 0
	return n
}
