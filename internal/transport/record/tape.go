package record

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// DefaultLimit is how long a recording may become unless its maker says otherwise.
const DefaultLimit = 16 << 20

// A Tape is a recording that is being made or played. It is safe for use by several
// goroutines. Methods of a nil Tape do what they would do without one.
type Tape struct {
	log   *slog.Logger
	start time.Time

	playing *player // nil: recording
	dial    DialFunc
	private bool // serial numbers stay
	patterns

	mu       sync.Mutex // guards what follows
	w        io.WriteCloser
	left     int64 // bytes that may still be written; below 0: it is over
	last     map[string]Event
	conns    int // connections so far
	hidFacts bool
	held     []Event // not written yet, see Release
	holding  bool
	secrets  []secret
}

// Options are how a recording is made.
type Options struct {
	Limit   int64 // bytes; 0: DefaultLimit
	Private bool  // serial numbers are not left out
	Secrets []string
}

// Create begins a recording in a new file, see CreateFile.
func Create(path string, head *Recording, o Options, log *slog.Logger) (*Tape, error) {
	f, err := CreateFile(path, 0o600)
	if err != nil {
		return nil, err
	}
	return NewTape(f, head, o, log), nil
}

// NewTape begins a recording. w belongs to the Tape, which closes it.
func NewTape(w io.WriteCloser, head *Recording, o Options, log *slog.Logger) *Tape {
	t := &Tape{log: log, w: w, start: time.Now(), left: o.Limit, private: o.Private, last: make(map[string]Event), holding: true, patterns: newPatterns()}
	if t.left <= 0 {
		t.left = DefaultLimit
	}
	t.Secret(o.Secrets...)
	t.write([]byte(head.header() + "# recorded " + t.start.UTC().Format(time.RFC3339) + "\n"))
	return t
}

// Close ends the recording.
func (t *Tape) Close() error {
	if t == nil {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.release()
	t.left = -1
	if t.w == nil {
		return nil
	}
	w := t.w
	t.w = nil
	return w.Close()
}

// Playing reports whether there is no device but a recording of one.
func (t *Tape) Playing() bool { return t != nil && t.playing != nil }

// Private reports whether a recording is made in which serial numbers may be.
func (t *Tape) Private() bool { return t != nil && t.playing == nil && t.private }

// write appends to the file. The caller holds mu, or is the only one to know t.
func (t *Tape) write(line []byte) {
	if t.left < 0 || t.w == nil {
		return
	}
	if t.left -= int64(len(line)); t.left < 0 {
		t.log.Warn("the recording is as long as it may become and ends here; record_limit allows for more")
		line = []byte("# as long as it may become; record_limit allows for more\n")
	}
	if _, err := t.w.Write(line); err != nil {
		t.log.Error("the recording ends here: it cannot be written", "error", err)
		t.left = -1
	}
}

// event writes down that something happens now.
func (t *Tape) event(e Event) { t.eventAt(time.Now(), e) }

// eventAt writes down that something has happened.
func (t *Tape) eventAt(at time.Time, e Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.eventLocked(at, e)
}

func (t *Tape) eventLocked(at time.Time, e Event) {
	if t.left < 0 {
		return
	}
	e.At = at.Sub(t.start)
	if t.holding {
		if e.At < holdFor && len(t.held) < maxHeld {
			e.Data = bytes.Clone(e.Data)
			t.held = append(t.held, e)
			return
		}
		t.release()
	}
	t.writeEvent(e)
}

func (t *Tape) writeEvent(e Event) {
	e.Data = t.mask(e.Data)
	t.write(appendEvent(nil, e))
}

// How much is held back until Release.
const (
	holdFor = 10 * time.Second
	maxHeld = 10000
)

// Release lets what was recorded so far be written. Until it is called the beginning
// is held back for a while: it is where a device tells its serial number, which is
// known as one only when the driver has understood it.
func (t *Tape) Release() {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.release()
}

func (t *Tape) release() {
	if !t.holding {
		return
	}
	t.holding = false
	for _, e := range t.held { // what one line reveals counts for all
		t.mask(e.Data)
	}
	for _, e := range t.held {
		t.writeEvent(e)
	}
	t.held = nil
}

// fact writes down something that is true from the start.
func (t *Tape) fact(text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.write([]byte(strings.TrimSpace(string(t.mask([]byte(text)))) + "\n"))
}

// exchange writes an answer down unless the question was answered the same way
// before: playing it, the last answer stands until there is another one.
func (t *Tape) exchange(e Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if last, known := t.last[e.Key]; known && last.same(e) && e.Op != Fail {
		return
	}
	t.last[e.Key] = e
	t.eventLocked(time.Now(), e)
}

// A Failure is an error of a device, as a recording has it.
type Failure struct {
	Class string // of the transport; empty if it does not matter to drivers
	Text  string
}

func (f *Failure) Error() string {
	if f.Text == "" {
		return f.Class
	}
	return f.Text
}

// errNotRecorded means that the recording has no answer to a question.
var errNotRecorded = errors.New("the recording has no answer to this")

// Ask returns what ask returns, and records it as the answer to a question. When
// playing, the answer that was the latest at this time of the recording is
// returned; a failure is a *Failure then, with the class of the one that ask
// returned. A question is words without quotes, or with whole quoted texts.
func (t *Tape) Ask(question string, ask func() (string, error)) (string, error) {
	if t == nil {
		return ask()
	}
	if t.playing == nil {
		answer, err := ask()
		e := Event{Key: question, Op: Answer, Data: []byte(answer), form: asText}
		if err != nil {
			e = Event{Key: question, Op: Fail, Data: []byte(err.Error())}
			if f, ok := errors.AsType[*Failure](err); ok {
				e.Class = f.Class
			}
		}
		t.exchange(e)
		return answer, err
	}
	e, ok := upTo(t.playing.exchanges[question], t.now())
	switch {
	case !ok:
		return "", fmt.Errorf("%s: %w", question, errNotRecorded)
	case e.Op == Fail:
		return "", fmt.Errorf("%s: %w", question, e.failure())
	}
	return string(e.Data), nil
}

func (e Event) failure() *Failure { return &Failure{e.Class, string(e.Data)} }

// slack is how much too early something may be asked for: a recording answers faster
// than a device does.
const slack = 250 * time.Millisecond

// now is the time of a recording that is being played, up to which all has happened.
func (t *Tape) now() time.Duration { return t.elapsed() + slack }

func (t *Tape) elapsed() time.Duration { return time.Since(t.start) }

// Pushed records that the device spoke first. When playing, see Pushes.
func (t *Tape) Pushed(key string, data []byte) {
	if t != nil && t.playing == nil {
		t.event(Event{Key: key, Op: Answer, Data: data})
	}
}

// A player is a recording that is being played.
type player struct {
	rec       *Recording
	exchanges map[string][]Event // by key
	streams   []*stream
}

// Play begins to play a recording; its time begins now.
func (r *Recording) Play(log *slog.Logger) (*Tape, error) {
	p := &player{rec: r, exchanges: make(map[string][]Event)}
	if err := p.sort(); err != nil {
		return nil, err
	}
	return &Tape{log: log, start: time.Now(), playing: p, private: true, patterns: newPatterns()}, nil
}

// sort puts the events in the order in which they are asked for.
func (p *player) sort() error {
	byConn := make(map[string]*stream)
	for _, e := range p.rec.Events {
		number, what, _ := strings.Cut(e.Key, " ")
		if number == "" || strings.Trim(number, "0123456789") != "" {
			p.exchanges[e.Key] = append(p.exchanges[e.Key], e)
			continue
		}
		s := byConn[number]
		if addr, ok := strings.CutPrefix(what, "open "); ok && s == nil {
			s = &stream{addr: addr, opened: e}
			byConn[number] = s
			p.streams = append(p.streams, s)
			continue
		}
		if s == nil {
			return fmt.Errorf("connection %s of the recording is used before it is opened", number)
		}
		s.add(what, e)
	}
	return nil
}

// wait returns what the device does next by itself after a time of the recording,
// when it does it. ok is false if stop or end received before.
func (t *Tape) wait(key string, after time.Duration, stop, end <-chan struct{}) (e Event, ok bool) {
	for _, e := range t.playing.exchanges[key] {
		if e.At <= after {
			continue
		}
		timer := time.NewTimer(e.At - t.elapsed())
		defer timer.Stop()
		select {
		case <-timer.C:
			return e, true
		case <-stop:
		case <-end:
		}
		return Event{}, false
	}
	select {
	case <-stop:
	case <-end:
	}
	return Event{}, false
}

// Pushes calls f with what the device does by itself when playing, until stop
// closes. While recording, or without a Tape, it returns at once.
func (t *Tape) Pushes(key string, stop <-chan struct{}, f func(data []byte)) {
	if !t.Playing() {
		return
	}
	for at := t.elapsed(); ; {
		e, ok := t.wait(key, at, stop, nil)
		if !ok {
			return
		}
		at = e.At
		f(e.Data)
	}
}
