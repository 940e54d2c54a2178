package hidups

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"gonut/internal/driver"
	"gonut/internal/hid"
	"gonut/internal/subdriver"
	transport "gonut/internal/transport/hid"
)

// A source reads and writes the fields of one device for the walk. Fields of one
// report cost one transfer.
type source struct {
	conn  transport.Conn
	desc  *hid.Descriptor
	table *subdriver.Table
	log   *slog.Logger

	cache         hid.Cache // feature reports
	inputs        hid.Cache // what came over the interrupt pipe
	refs          []ref
	index         map[refKey]subdriver.Ref
	interruptOnly bool
	maxReport     bool // ask for more than the report is long
	skip          map[byte]bool
	texts         map[int]string     // of string descriptors, by index
	wrote         map[byte]time.Time // when a report was last written
	answers       [256]answer        // of the last walk
	lengths       [256]int           // of reports
	gets          []transport.Get    // of the last walk
	rooms         [256][]byte        // for answers
	failures      int                // reports that could not be read in the last walk
	successes     int
}

// An answer is what came of asking for a report.
type answer struct {
	asked bool
	ahead []byte // it came with others, and was not looked at yet
	data  []byte
	err   error
}

type refKey struct {
	text string
	form subdriver.Form
}

// A ref is a field, in the form that a row wants it.
type ref struct {
	field hid.Field
	form  subdriver.Form
	raw   bool // by report and bits, not by the descriptor
	whole bool // all bytes of the report
}

var errPending = errors.New("the device has not said it yet")

func newSource(conn transport.Conn, desc *hid.Descriptor, table *subdriver.Table, log *slog.Logger) *source {
	s := &source{
		conn: conn, desc: desc, table: table, log: log,
		index: map[refKey]subdriver.Ref{}, skip: map[byte]bool{}, texts: map[int]string{}, wrote: map[byte]time.Time{},
	}
	for id := range s.lengths {
		s.lengths[id] = desc.Length(byte(id))
	}
	return s
}

// Resolve implements subdriver.Source. Texts are usage paths, or "report:4a" for a
// whole report and "report:4a@8+16" for 16 bits at bit 8 of one.
func (s *source) Resolve(text string, form subdriver.Form) (subdriver.Ref, error) {
	key := refKey{text, form}
	if r, ok := s.index[key]; ok {
		return r, nil
	}
	r, err := s.find(text)
	if err != nil {
		return 0, err
	}
	if r.whole && form != subdriver.Bytes {
		return 0, fmt.Errorf("%s: all of a report is no number; write %s@BIT+BITS, or name a converter for bytes with as=", text, text)
	}
	r.form = form
	s.refs = append(s.refs, r)
	n := subdriver.Ref(len(s.refs) - 1)
	s.index[key] = n
	return n, nil
}

func (s *source) find(text string) (ref, error) {
	if where, ok := strings.CutPrefix(text, "report:"); ok {
		return findReport(where)
	}
	path, err := hid.ParsePath(text, s.usage)
	if err != nil {
		return ref{}, err
	}
	kinds := [...]hid.Kind{hid.Feature, hid.Input, hid.Output}
	if s.interruptOnly {
		kinds = [...]hid.Kind{hid.Input, hid.Feature, hid.Output}
	}
	for _, k := range kinds {
		if f, ok := s.desc.Find(path, k); ok {
			return ref{field: f}, nil
		}
	}
	return ref{}, fmt.Errorf("%s: %w", text, subdriver.ErrAbsent)
}

func (s *source) usage(name string) (hid.Usage, bool) {
	c, ok := s.table.Code(name)
	return hid.Usage(c), ok
}

// findReport reads "4a" and "4a@8+16".
func findReport(where string) (ref, error) {
	id, bits, partial := strings.Cut(where, "@")
	n, err := strconv.ParseUint(id, 16, 8)
	r := ref{raw: true, whole: !partial, field: hid.Field{Report: byte(n), Kind: hid.Feature, Size: 8}}
	if f := &r.field; partial {
		offset, size, _ := strings.Cut(bits, "+")
		var e1, e2 error
		f.Offset, e1 = strconv.Atoi(offset)
		f.Size, e2 = strconv.Atoi(size)
		err = errors.Join(err, e1, e2)
		if f.Size < 1 || f.Size > 32 || f.Offset < 0 || f.Offset > 2048 {
			err = errors.Join(err, strconv.ErrRange)
		}
		f.LogMax = 1<<min(max(f.Size, 1), 32) - 1
	}
	if err != nil {
		return ref{}, fmt.Errorf("report:%s: want report:ID or report:ID@BIT+BITS, the id in hexadecimal and at most 32 bits", where)
	}
	return r, nil
}

// Read implements subdriver.Source. Every report is asked for once; in a walk in
// which none of them answers the device is gone.
func (s *source) Read(ctx context.Context, refs []subdriver.Ref) ([]subdriver.Value, error) {
	s.askAhead(ctx, refs)
	defer s.forgetAhead()
	s.failures, s.successes = 0, 0
	values := make([]subdriver.Value, len(refs))
	for i, n := range refs {
		r := &s.refs[n]
		a := &s.answers[r.field.Report]
		if !a.asked {
			a.asked = true
			a.data, a.err = s.report(ctx, r)
			if err := s.fatal(ctx, a.err); err != nil {
				return nil, err
			}
		}
		if a.err != nil {
			values[i].Err = a.err
			continue
		}
		values[i] = s.value(ctx, r, a.data)
	}
	if s.failures > 0 && s.successes == 0 {
		return nil, fmt.Errorf("read %d reports: not one of them was answered: %w", s.failures, driver.ErrGone)
	}
	return values, nil
}

// fatal returns an error if the walk is over: nothing of the device can be had any
// more.
func (s *source) fatal(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, transport.ErrGone), errors.Is(err, transport.ErrPermission), errors.Is(err, transport.ErrBusy):
		return fmt.Errorf("%w: %w", driver.ErrGone, err)
	case ctx.Err() != nil:
		return fmt.Errorf("read reports: %w", ctx.Err())
	}
	return nil
}

// report reads one report and stores it.
func (s *source) report(ctx context.Context, r *ref) ([]byte, error) {
	f := &r.field
	if s.unasked(f) {
		if data := s.inputs.Last(f.Report); data != nil {
			return data, nil
		}
		if s.skip[f.Report] {
			return nil, subdriver.ErrAbsent
		}
		return nil, errPending
	}
	return s.fetch(ctx, f.Report)
}

// unasked reports whether a field's report is known only from the interrupt pipe.
func (s *source) unasked(f *hid.Field) bool {
	return s.interruptOnly || f.Kind == hid.Input || s.skip[f.Report]
}

// fetch asks the device for a feature report. A report that it refuses does not
// exist.
func (s *source) fetch(ctx context.Context, id byte) ([]byte, error) {
	buf := s.answers[id].ahead
	n, err := len(buf), error(nil)
	if s.answers[id].ahead = nil; buf == nil {
		buf = s.room(id)
		n, err = s.get(ctx, id, buf)
	}
	switch {
	case errors.Is(err, transport.ErrStall):
		s.successes++ // it answered, if only by refusing
		return nil, fmt.Errorf("%w: %w", subdriver.ErrAbsent, err)
	case err != nil:
		s.failures++
		s.log.Debug("a report could not be read", "report", fmt.Sprintf("%#02x", id), "error", err)
		return nil, err
	}
	s.successes++
	return s.cache.Store(id, buf[:n], cmp.Or(s.lengths[id], n)), nil
}

// askAhead begins a walk: it asks for all of its reports in one go, as far as the
// connection has a way to. What fails is asked for again by itself.
func (s *source) askAhead(ctx context.Context, refs []subdriver.Ref) {
	gets := s.gets[:0]
	for _, n := range refs {
		s.answers[s.refs[n].field.Report] = answer{}
	}
	for _, n := range refs {
		f := &s.refs[n].field
		a := &s.answers[f.Report]
		if f.Report != 0 && a.ahead == nil && !s.unasked(f) {
			a.ahead = s.room(f.Report)
			gets = append(gets, transport.Get{Type: transport.Feature, ID: f.Report, Buf: a.ahead})
		}
	}
	s.gets = gets
	answered := 0
	if len(gets) > 1 {
		answered = transport.GetAll(ctx, s.conn, gets)
	}
	for i, g := range gets {
		a := &s.answers[g.ID]
		a.ahead = nil
		if i < answered {
			a.ahead = g.Buf[:g.N]
		}
	}
}

// forgetAhead drops what a walk that ended early has not looked at.
func (s *source) forgetAhead() {
	for _, g := range s.gets {
		s.answers[g.ID].ahead = nil
	}
}

// room is what an answer to a request for a report is put in, until it is stored.
func (s *source) room(id byte) []byte {
	if s.rooms[id] == nil {
		length := s.lengths[id]
		if s.maxReport || length == 0 {
			length = max(length, 64)
		}
		s.rooms[id] = make([]byte, length)
	}
	return s.rooms[id]
}

// get reads a report so that byte 0 is the id even if reports have none.
func (s *source) get(ctx context.Context, id byte, buf []byte) (int, error) {
	if id != 0 {
		return s.conn.Get(ctx, transport.Feature, id, buf)
	}
	if len(buf) < 2 {
		return 0, transport.ErrStall
	}
	n, err := s.conn.Get(ctx, transport.Feature, 0, buf[1:])
	return n + 1, err
}

// value takes a field out of its report.
func (s *source) value(ctx context.Context, r *ref, data []byte) subdriver.Value {
	switch r.form {
	case subdriver.Bytes:
		if len(data) < 2 {
			return subdriver.Value{Err: errPending}
		}
		return subdriver.Value{Bytes: append([]byte(nil), data[1:]...)}
	case subdriver.Index:
		return s.text(ctx, r, data)
	}
	logical, ok := r.field.Logical(data)
	if !ok {
		return subdriver.Value{Err: subdriver.ErrAbsent}
	}
	v := subdriver.Value{Unknown: r.field.AllOnes(data) || r.field.Null(data)}
	if r.form == subdriver.Raw || r.raw {
		v.Number = float64(logical)
	} else {
		v.Number = r.field.Physical(logical)
	}
	return v
}

// text reads the string descriptor that a field names. Strings do not change while
// a device is plugged in.
func (s *source) text(ctx context.Context, r *ref, data []byte) subdriver.Value {
	n, ok := r.field.Logical(data)
	if !ok || n <= 0 || n > 255 {
		return subdriver.Value{IsText: true}
	}
	if t, ok := s.texts[int(n)]; ok {
		return subdriver.Value{IsText: true, Text: t}
	}
	t, err := s.conn.String(ctx, int(n))
	if err != nil {
		s.log.Debug("a text could not be read", "index", n, "error", err)
		if !errors.Is(err, transport.ErrStall) {
			return subdriver.Value{Err: err}
		}
	}
	s.texts[int(n)] = t
	return subdriver.Value{IsText: true, Text: t}
}

// Writable implements subdriver.Source. What a device tells only by itself cannot be
// written, unless there is no other way to it.
func (s *source) Writable(n subdriver.Ref) bool {
	return s.interruptOnly || s.refs[n].field.Kind != hid.Input
}

// Write implements subdriver.Source: it changes the bits of the field in its
// report and sends all of it.
func (s *source) Write(ctx context.Context, n subdriver.Ref, v subdriver.Value) error {
	r := &s.refs[n]
	f := &r.field
	if r.whole || v.IsText {
		return fmt.Errorf("report %#02x: %w: only numbers can be written to a field", f.Report, driver.ErrInvalid)
	}
	logical, err := f.ToLogical(v.Number)
	if r.form == subdriver.Raw || r.raw {
		logical, err = f.Fit(v.Number)
	}
	if err != nil {
		return fmt.Errorf("report %#02x: %w: %w", f.Report, driver.ErrInvalid, err)
	}
	last, err := s.before(ctx, r)
	if err != nil {
		return err
	}
	data := make([]byte, max(s.desc.Length(f.Report), (f.Offset+8+f.Size+7)/8))
	copy(data, last)
	data[0] = f.Report
	f.Put(data, logical)
	if err := s.put(ctx, f.Report, data); err != nil {
		if e := s.fatal(ctx, err); e != nil {
			return e
		}
		return err
	}
	s.cache.Store(f.Report, data, len(data))
	s.wrote[f.Report] = time.Now()
	return nil
}

// holdsFor is how long a report is taken to hold what was written to it. Devices
// show a new timer only after a while, and what they show until then would undo it
// when its neighbour in the report is written.
const holdsFor = 2 * time.Second

// before returns what a report holds, so that a write changes only its own bits;
// nil if it cannot be known, as of reports that can only be written.
func (s *source) before(ctx context.Context, r *ref) ([]byte, error) {
	id := r.field.Report
	last := s.cache.Last(id)
	if s.interruptOnly || s.skip[id] || s.alone(r) || last != nil && time.Since(s.wrote[id]) < holdsFor {
		return last, nil
	}
	data, err := s.fetch(ctx, id)
	switch {
	case err == nil:
		return data, nil
	case errors.Is(err, subdriver.ErrAbsent):
		return last, nil
	}
	if e := s.fatal(ctx, err); e != nil {
		return nil, e
	}
	if last == nil {
		return nil, fmt.Errorf("report %#02x holds more than what is to be written, and cannot be read: %w", id, err)
	}
	return last, nil
}

// alone reports whether nothing but a field's own bits is in its report.
func (s *source) alone(r *ref) bool {
	if r.raw {
		return false
	}
	for i := range s.desc.Fields {
		f := &s.desc.Fields[i]
		if f.Report == r.field.Report && f.Kind == hid.Feature && (f.Offset != r.field.Offset || f.Size != r.field.Size) {
			return false
		}
	}
	return true
}

func (s *source) put(ctx context.Context, id byte, data []byte) error {
	if id == 0 {
		data = data[1:]
	}
	return s.conn.Set(ctx, transport.Feature, id, data)
}

// remember stores a report that came over the interrupt pipe. It returns it with its
// id, and as all of what is known of it; nil if the device cannot have such a report.
func (s *source) remember(data []byte) (withID, whole []byte) {
	if !s.desc.Numbered() {
		data = append([]byte{0}, data...)
	}
	if len(data) < 2 || s.desc.Length(data[0]) == 0 {
		return nil, nil
	}
	return data, s.inputs.Store(data[0], data, s.desc.Length(data[0]))
}

// pushed stores a report that came over the interrupt pipe and returns the values
// of all rows that it concerns: those of the same path, whichever kind of report
// they are read from otherwise.
func (s *source) pushed(ctx context.Context, data []byte) map[subdriver.Ref]subdriver.Value {
	data, whole := s.remember(data)
	if whole == nil {
		return nil
	}
	have := len(data) * 8
	values := map[subdriver.Ref]subdriver.Value{}
	for i := range s.desc.Fields {
		f := &s.desc.Fields[i]
		if f.Kind != hid.Input || f.Report != data[0] || f.Offset+8+f.Size > have {
			continue
		}
		for n := range s.refs {
			r := &s.refs[n]
			if _, ok := values[subdriver.Ref(n)]; ok || r.raw || !r.field.Path.Equal(f.Path) {
				continue
			}
			values[subdriver.Ref(n)] = s.value(ctx, &ref{field: *f, form: r.form}, whole)
		}
	}
	return values
}
