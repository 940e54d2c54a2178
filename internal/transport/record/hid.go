package record

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"gonut/internal/transport/hid"
)

// What the recording of a HID device is about.
const (
	keyOpen  = "open hid"
	keyInput = "input" // what comes over the interrupt pipe
)

func keyGet(t hid.ReportType, id byte) string { return fmt.Sprintf("get %s %02x", t, id) }
func keySet(t hid.ReportType, id byte, data []byte) string {
	return fmt.Sprintf("set %s %02x: % x", t, id, data)
}
func keyString(index int) string { return fmt.Sprintf("string %d", index) }

// hidClasses are the errors that drivers of HID devices tell apart.
func hidClasses() []struct {
	name string
	err  error
} {
	return []struct {
		name string
		err  error
	}{
		{"gone", hid.ErrGone}, {"stall", hid.ErrStall}, {"timeout", hid.ErrTimeout}, {"permission", hid.ErrPermission},
		{"busy", hid.ErrBusy}, {"overflow", hid.ErrOverflow}, {"unsupported", hid.ErrUnsupported},
	}
}

func hidFailure(key string, err error) Event {
	e := Event{Key: key, Op: Fail, Data: []byte(err.Error())}
	for _, c := range hidClasses() {
		if errors.Is(err, c.err) {
			e.Class = c.name
			break
		}
	}
	return e
}

// hidError is the inverse of hidFailure.
func hidError(e Event) error {
	for _, c := range hidClasses() {
		if c.name == e.Class {
			if len(e.Data) == 0 {
				return c.err
			}
			return fmt.Errorf("%w: %w", e.failure(), c.err)
		}
	}
	return e.failure()
}

// HID returns o, recorded, or what stands for it while playing.
func (t *Tape) HID(o hid.Opener) hid.Opener {
	switch {
	case t == nil:
		return o
	case t.playing == nil:
		return &recordedOpener{Opener: o, tape: t}
	}
	return &playedOpener{tape: t}
}

// HIDConn returns the HID device that open opens, recorded, or a recorded one in its
// place.
func (t *Tape) HIDConn(open func() (hid.Conn, error)) (hid.Conn, error) {
	switch {
	case t == nil:
		return open()
	case t.playing == nil:
		return t.openedHID(open())
	}
	return t.playHID(hid.Matcher{}, hid.DefaultTuning())
}

type recordedOpener struct {
	hid.Opener
	tape *Tape
}

func (o *recordedOpener) Open(ctx context.Context, m hid.Matcher, t hid.Tuning) (hid.Conn, error) {
	return o.tape.openedHID(o.Opener.Open(ctx, m, t))
}

// openedHID begins the recording of a HID device.
func (t *Tape) openedHID(c hid.Conn, err error) (hid.Conn, error) {
	if err != nil {
		t.exchange(hidFailure(keyOpen, err))
		return nil, err
	}
	info := c.Info()
	t.Serial(info.Serial)
	// The same device once more has told all that yet.
	facts := (&hid.Recording{Info: info, Descriptor: c.Descriptor()}).Facts()
	t.mu.Lock()
	known := t.hidFacts
	t.hidFacts = true
	t.mu.Unlock()
	if !known {
		for _, f := range facts {
			t.fact(f)
		}
	}
	t.exchange(Event{Key: keyOpen, Op: Answer})
	return &recordedHID{Conn: c, tape: t}, nil
}

type recordedHID struct {
	hid.Conn
	tape *Tape
}

func (c *recordedHID) note(key string, answer []byte, err error) {
	e := Event{Key: key, Op: Answer, Data: answer, form: asBytes}
	if err != nil {
		e = hidFailure(key, err)
	}
	c.tape.exchange(e)
}

func (c *recordedHID) Get(ctx context.Context, t hid.ReportType, id byte, buf []byte) (int, error) {
	n, err := c.Conn.Get(ctx, t, id, buf)
	c.note(keyGet(t, id), append([]byte(nil), buf[:max(n, 0)]...), err)
	return n, err
}

func (c *recordedHID) Set(ctx context.Context, t hid.ReportType, id byte, data []byte) error {
	err := c.Conn.Set(ctx, t, id, data)
	e := Event{Key: keySet(t, id, data), Op: Answer}
	if err != nil {
		e = hidFailure(e.Key, err)
	}
	c.tape.event(e)
	return err
}

func (c *recordedHID) Input(ctx context.Context, buf []byte) (int, error) {
	n, err := c.Conn.Input(ctx, buf)
	switch {
	case err == nil:
		c.tape.event(Event{Key: keyInput, Op: Answer, Data: append([]byte(nil), buf[:n]...), form: asBytes})
	case ctx.Err() == nil && !errors.Is(err, hid.ErrTimeout):
		c.tape.event(hidFailure(keyInput, err))
	}
	return n, err
}

func (c *recordedHID) String(ctx context.Context, index int) (string, error) {
	s, err := c.Conn.String(ctx, index)
	e := Event{Key: keyString(index), Op: Answer, Data: []byte(s), form: asText}
	if err != nil {
		e = hidFailure(e.Key, err)
	}
	c.tape.exchange(e)
	return s, err
}

// A playedOpener finds the one device that was recorded.
type playedOpener struct{ tape *Tape }

func (o *playedOpener) Open(_ context.Context, m hid.Matcher, t hid.Tuning) (hid.Conn, error) {
	return o.tape.playHID(m, t)
}

func (o *playedOpener) List(context.Context) ([]hid.Info, error) {
	d, err := o.tape.playing.rec.facts()
	if err != nil {
		return nil, err
	}
	return []hid.Info{d.Info}, nil
}

// Changed implements hid.Opener; a recording does not tell.
func (o *playedOpener) Changed(context.Context) <-chan struct{} { return nil }

// facts are what the recording says of its HID device without a time.
func (r *Recording) facts() (*hid.Recording, error) {
	d := hid.NewRecording()
	for _, f := range r.Facts {
		if err := d.Fact(f.Text); err != nil {
			return nil, fmt.Errorf("line %d of the recording: %w", f.Line, err)
		}
	}
	if len(d.Descriptor) == 0 {
		return nil, fmt.Errorf("the recording has no HID device: %w", hid.ErrGone)
	}
	return d, nil
}

// ReadHID reads a recording of a HID device and returns it as it was in the
// beginning: the first answer to each question, and everything that came by itself.
// The head may be missing, as in those that somebody wrote by hand.
func ReadHID(name string, from io.Reader) (*hid.Recording, error) {
	b, err := io.ReadAll(io.LimitReader(from, MaxFile))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if !bytes.Contains(b, []byte(hid.Magic)) {
		return hid.ReadRecording(name, bytes.NewReader(b))
	}
	r, err := Read(name, bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	d, err := r.facts()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	for _, e := range r.Events {
		var n int
		word, rest, _ := strings.Cut(e.Key, " ")
		switch {
		case e.Op != Answer:
		case e.Key == keyInput && len(e.Data) > 0:
			d.Inputs = append(d.Inputs, e.Data)
		case word == "string":
			if _, err := fmt.Sscanf(rest, "%d", &n); err == nil && d.Strings[n] == "" {
				d.Strings[n] = string(e.Data)
			}
		case word == "get":
			if _, err := fmt.Sscanf(rest, "feature %x", &n); err == nil && d.Features[byte(n)] == nil && len(e.Data) > 0 {
				d.Features[byte(n)] = e.Data
			}
		}
	}
	return d, nil
}

func (t *Tape) playHID(m hid.Matcher, tuning hid.Tuning) (hid.Conn, error) {
	if e, ok := upTo(t.playing.exchanges[keyOpen], t.now()); ok && e.Op == Fail {
		return nil, hidError(e)
	}
	d, err := t.playing.rec.facts()
	if err != nil {
		return nil, err
	}
	if !m.Match(d.Info) {
		return nil, fmt.Errorf("the recorded device %s is not the one that is asked for: %w", d.Info, hid.ErrGone)
	}
	if tuning.Preset != nil {
		tuning.Preset(d.Info, tuning)
	}
	c := &playedHID{tape: t, device: d, written: make(map[byte]writtenReport), closed: make(chan struct{}), heard: -1}
	if t.elapsed() > 0 {
		c.heard = t.elapsed()
	}
	return c, nil
}

// A playedHID is the recorded device. Reports that were written are what is read,
// until the recording says otherwise.
type playedHID struct {
	tape   *Tape
	device *hid.Recording
	closed chan struct{}
	once   sync.Once

	mu      sync.Mutex
	written map[byte]writtenReport
	heard   time.Duration // up to then Input has returned everything
}

type writtenReport struct {
	at   time.Duration
	data []byte
}

func (c *playedHID) Descriptor() []byte { return c.device.Descriptor }
func (c *playedHID) Info() hid.Info     { return c.device.Info }

func (c *playedHID) Get(_ context.Context, t hid.ReportType, id byte, buf []byte) (int, error) {
	c.mu.Lock()
	w, wrote := c.written[id]
	c.mu.Unlock()
	e, known := upTo(c.tape.playing.exchanges[keyGet(t, id)], c.tape.now())
	fact, isFact := c.device.Features[id]
	switch {
	case t == hid.Feature && wrote && (!known || e.At <= w.at):
		return copy(buf, w.data), nil
	case known && e.Op == Fail:
		return 0, fmt.Errorf("get %s report %#02x: %w", t, id, hidError(e))
	case known:
		return copy(buf, e.Data), nil
	case t == hid.Feature && isFact:
		return copy(buf, fact), nil
	}
	return 0, fmt.Errorf("get %s report %#02x: %w: %w", t, id, errNotRecorded, hid.ErrStall)
}

func (c *playedHID) Set(_ context.Context, t hid.ReportType, id byte, data []byte) error {
	if e, known := upTo(c.tape.playing.exchanges[keySet(t, id, data)], c.tape.now()); known && e.Op == Fail {
		return fmt.Errorf("set %s report %#02x: %w", t, id, hidError(e))
	}
	if t == hid.Feature {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.written[id] = writtenReport{c.tape.elapsed(), append([]byte(nil), data...)}
	}
	return nil
}

func (c *playedHID) Input(ctx context.Context, buf []byte) (int, error) {
	if n, ok := c.factInput(buf); ok {
		return n, nil
	}
	c.mu.Lock()
	after := c.heard
	c.mu.Unlock()
	e, ok := c.tape.wait(keyInput, after, ctx.Done(), c.closed)
	if !ok {
		select {
		case <-c.closed:
			return 0, fmt.Errorf("read interrupt pipe: %w", hid.ErrGone)
		default:
			return 0, fmt.Errorf("read interrupt pipe: %w", hid.ErrTimeout)
		}
	}
	c.mu.Lock()
	c.heard = e.At
	c.mu.Unlock()
	if e.Op == Fail {
		return 0, fmt.Errorf("read interrupt pipe: %w", hidError(e))
	}
	return copy(buf, e.Data), nil
}

// factInput returns reports that came at no known time; they come first.
func (c *playedHID) factInput(buf []byte) (int, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.device.Inputs) == 0 {
		return 0, false
	}
	n := copy(buf, c.device.Inputs[0])
	c.device.Inputs = c.device.Inputs[1:]
	return n, true
}

func (c *playedHID) String(_ context.Context, index int) (string, error) {
	if e, known := upTo(c.tape.playing.exchanges[keyString(index)], c.tape.now()); known {
		if e.Op == Fail {
			return "", fmt.Errorf("get string %d: %w", index, hidError(e))
		}
		return string(e.Data), nil
	}
	if s, ok := c.device.Strings[index]; ok {
		return s, nil
	}
	return "", fmt.Errorf("get string %d: %w: %w", index, errNotRecorded, hid.ErrStall)
}

func (c *playedHID) Close() error {
	c.once.Do(func() { close(c.closed) })
	return nil
}
