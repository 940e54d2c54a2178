package upsd

import (
	"slices"
	"strings"
	"sync"
	"time"

	"gonut/internal/netproto"
	"gonut/internal/ups"
)

// maxUntold is how many bytes may wait for a watching client. What is beyond it is
// not kept: the client is told everything anew once it has taken those.
const maxUntold = 64 << 10

// A wish is what WATCH asked for.
type wish struct {
	device   *device // nil for all
	spelling string  // the device's name as the client knows it; empty for all
	prefixes []string
}

// A feed tells a client what it watches. Its own goroutine writes, so that neither
// a driver's mirror nor the session waits for the client.
type feed struct {
	session *session
	wake    chan struct{}
	done    chan struct{} // closed when the goroutine has ended

	mu      sync.Mutex // guards what follows; may be taken under device.pushing
	watches map[*device]*watch
	all     *wish    // of WATCH *
	queue   []byte   // whole steps
	behind  []*watch // those that have to be told everything
	ended   bool
}

// A watch is one device that a client watches. What is not constant is guarded by
// feed.mu.
type watch struct {
	feed     *feed
	device   *device
	name     string
	prefixes []string // in lower case; empty for all variables
	behind   bool     // is in feed.behind
	over     bool     // another took its place, or the device is gone
}

// watch answers WATCH: from now on the client is told. The telling begins behind
// the reply.
func (s *session) watch(r request, out []byte) ([]byte, netproto.Error) {
	if r.Len() < 2 {
		return nil, netproto.ErrInvalidArgument
	}
	w := wish{}
	if string(r.Bytes(1)) != netproto.All {
		if w.device = s.server.device(r.Bytes(1)); w.device == nil {
			return nil, netproto.ErrUnknownUPS
		}
		w.spelling = string(r.Bytes(1))
	}
	for i := 2; i < r.Len(); i++ {
		w.prefixes = append(w.prefixes, strings.ToLower(string(r.Bytes(i))))
	}
	s.wish, s.wants = w, wantPush
	return appendLine(out, netproto.OK), ""
}

// unwatch answers UNWATCH: behind the reply the client is told no more.
func (s *session) unwatch(r request, out []byte) ([]byte, netproto.Error) {
	if r.Len() != 1 {
		return nil, netproto.ErrInvalidArgument
	}
	s.endFeed()
	return appendLine(out, netproto.OK), ""
}

// fulfil begins to tell what WATCH asked for.
func (s *session) fulfil(w wish) {
	if s.feed == nil {
		s.feed = &feed{
			session: s,
			wake:    make(chan struct{}, 1),
			done:    make(chan struct{}),
			watches: make(map[*device]*watch),
		}
		go s.feed.run()
	}
	s.server.mu.Lock() // no device comes or goes meanwhile
	defer s.server.mu.Unlock()
	if w.device != nil {
		if s.server.table.Load().byName[w.device.key] == w.device {
			s.feed.add(w.device, w)
		} else { // it was removed since WATCH was read
			s.feed.mu.Lock()
			s.feed.queueGone(w.spelling)
			s.feed.mu.Unlock()
		}
		return
	}
	s.feed.mu.Lock()
	s.feed.all = &w
	s.feed.mu.Unlock()
	s.server.feeds[s.feed] = struct{}{}
	for _, d := range s.server.table.Load().list {
		s.feed.add(d, w)
	}
}

// endFeed ends all telling and waits until it has ended.
func (s *session) endFeed() {
	f := s.feed
	if f == nil {
		return
	}
	s.feed = nil
	s.server.mu.Lock()
	delete(s.server.feeds, f)
	s.server.mu.Unlock()
	f.mu.Lock()
	f.ended = true
	watches := f.watches
	f.watches, f.queue, f.behind = nil, nil, nil
	f.mu.Unlock()
	for d, w := range watches {
		d.unwatch(w)
	}
	f.poke()
	<-f.done
}

// add begins a watch, in place of one of the same device.
func (f *feed) add(d *device, wish wish) {
	w := &watch{feed: f, device: d, name: wish.spelling, prefixes: wish.prefixes}
	if w.name == "" {
		w.name = d.name
	}
	// It is behind before the device knows it, and gets its turn only then: what
	// happens until that is in the snapshot, what happens after it is told.
	w.behind = true
	d.watchedBy(w)
	f.mu.Lock()
	old := f.watches[d]
	if old != nil {
		old.over = true
	}
	f.watches[d] = w
	f.behind = append(f.behind, w)
	f.mu.Unlock()
	if old != nil {
		d.unwatch(old)
	}
	f.poke()
}

// joinAll makes the feed watch a new device if it watches all.
func (f *feed) joinAll(d *device) {
	f.mu.Lock()
	all := f.all
	known := f.watches[d] != nil
	f.mu.Unlock()
	if all != nil && !known {
		f.add(d, *all)
	}
}

func (f *feed) poke() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// run writes what there is to tell until the feed ends or the client takes no
// more.
func (f *feed) run() {
	err := f.write()
	// To close the connection means to wait for the session, which may be waiting
	// for the feed.
	close(f.done)
	if err != nil {
		f.session.conn.Close()
	}
}

func (f *feed) write() error {
	var out []byte
	for range f.wake {
		f.mu.Lock()
		if f.ended {
			f.mu.Unlock()
			return nil
		}
		out = f.take(out)
		f.mu.Unlock()
		if len(out) == 0 {
			continue
		}
		if err := f.session.write(out); err != nil {
			return err
		}
		if cap(out) > maxKept {
			out = nil
		}
	}
	return nil
}

// take returns what there is to tell, and begins a new queue in empty. The caller
// holds mu.
func (f *feed) take(empty []byte) []byte {
	out := f.queue
	f.queue = empty[:0]
	for len(f.behind) > 0 && len(out) < maxUntold {
		w := f.behind[0]
		f.behind = f.behind[1:]
		if w.behind = false; !w.over {
			out = w.appendAll(out)
		}
	}
	if len(f.behind) > 0 {
		f.poke()
	}
	return out
}

// fallBehind notes that the watch has to be told everything. The caller holds
// feed.mu.
func (w *watch) fallBehind() {
	if !w.behind {
		w.behind = true
		w.feed.behind = append(w.feed.behind, w)
	}
}

// appendAll appends a step that tells everything. The caller holds feed.mu.
func (w *watch) appendAll(out []byte) []byte {
	p := w.device.state.Snapshot()
	fsd := w.device.fsd.Load()
	gate := w.device.gate.Load()
	out = appendPushEdge(out, netproto.PushBegin, w.name)
	for i := range p.Variables {
		if v := &p.Variables[i]; w.wants(v.Name) && gate != gateClosed {
			out = appendPushVar(out, w.name, v, fsd)
		}
	}
	out = netproto.PushLine{Kind: netproto.PushState, UPS: w.name, Value: gateWord(gate)}.Append(out)
	return appendPushEdge(out, netproto.PushEnd, w.name)
}

// wants reports whether the client wants to know of a variable.
func (w *watch) wants(name string) bool {
	return len(w.prefixes) == 0 || slices.ContainsFunc(w.prefixes, func(p string) bool {
		return len(name) >= len(p) && equalFold([]byte(name[:len(p)]), p)
	})
}

// post queues one step. lines appends what it consists of.
func (w *watch) post(lines func(w *watch, out []byte) []byte) {
	f := w.feed
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ended || w.over || w.behind {
		return
	}
	before := len(f.queue)
	f.queue = lines(w, f.queue)
	if len(f.queue) == before {
		return
	}
	f.queue = appendPushEdge(f.queue, netproto.PushEnd, w.name)
	if len(f.queue) > maxUntold {
		f.queue = f.queue[:before]
		w.fallBehind()
	}
	f.poke()
}

// queueGone queues a step that tells that a device is removed. The caller holds mu.
func (f *feed) queueGone(name string) {
	f.queue = appendPushEdge(appendGone(f.queue, name), netproto.PushEnd, name)
	f.poke()
}

func appendGone(out []byte, name string) []byte {
	return netproto.PushLine{Kind: netproto.PushState, UPS: name, Value: string(netproto.ErrUnknownUPS)}.Append(out)
}

func appendPushEdge(out []byte, k netproto.PushKind, name string) []byte {
	return append(netproto.AppendPush(out, k, name), '\n')
}

func appendPushVar(out []byte, name string, v *ups.Variable, fsd bool) []byte {
	out = append(netproto.AppendPush(out, netproto.PushVar, name), ' ')
	out = append(append(out, v.Name...), ' ')
	return append(appendValue(out, v, fsd), '\n')
}

// gateWord is how a state of the gate is pushed.
func gateWord(gate int32) string {
	switch gate {
	case gateOpen:
		return netproto.StateOK
	case gateStale:
		return string(netproto.ErrDataStale)
	}
	return string(netproto.ErrDriverNotConnected)
}

// watchedBy and unwatch enter a watch at the device and remove it.
func (d *device) watchedBy(w *watch) {
	d.pushing.Lock()
	defer d.pushing.Unlock()
	d.watches = append(slices.Clip(d.watches), w)
}

func (d *device) unwatch(w *watch) {
	d.pushing.Lock()
	defer d.pushing.Unlock()
	d.watches = slices.DeleteFunc(slices.Clone(d.watches), func(o *watch) bool { return o == w })
}

// tell posts a step to all who watch the device. The caller holds pushing.
func (d *device) tell(lines func(w *watch, out []byte) []byte) {
	for _, w := range d.watches {
		w.post(lines)
	}
}

// apply performs changes that the driver announced.
func (d *device) apply(cs []ups.Change) {
	d.pushing.Lock()
	defer d.pushing.Unlock()
	done := d.state.Apply(cs...)
	if len(done) == 0 || len(d.watches) == 0 {
		return
	}
	d.tell(func(w *watch, out []byte) []byte {
		for i := range done {
			out = w.appendChange(out, &done[i])
		}
		return out
	})
}

// appendChange appends the line that tells a change, if it concerns a value.
func (w *watch) appendChange(out []byte, c *ups.Change) []byte {
	if c.Op != ups.SetInfo && c.Op != ups.DelInfo || !w.wants(c.Name) {
		return out
	}
	if c.Op == ups.DelInfo {
		return netproto.PushLine{Kind: netproto.PushDel, UPS: w.name, Name: c.Name}.Append(out)
	}
	v := ups.Variable{Name: c.Name, Value: c.Args[0]}
	if now, ok := w.device.state.Variable(c.Name); ok {
		v.Name = now.Name // as it was spelled first
	}
	return appendPushVar(out, w.name, &v, w.device.fsd.Load())
}

// setGate says whether the data can be served from now on, and what was before.
func (d *device) setGate(gate int32) (was int32) {
	d.pushing.Lock()
	defer d.pushing.Unlock()
	if was = d.gate.Swap(gate); was != gate {
		d.tell(func(w *watch, out []byte) []byte {
			return netproto.PushLine{Kind: netproto.PushState, UPS: w.name, Value: gateWord(gate)}.Append(out)
		})
	}
	return was
}

// begin is what a new connection to the driver starts with; C has the same. All
// that was known is void, and whoever watches is told so.
func (d *device) begin() {
	d.pushing.Lock()
	defer d.pushing.Unlock()
	d.state.Clear()
	d.state.Apply(ups.Set(ups.StatusName, ups.WAIT))
	d.gate.Store(gateOpen)
	for _, w := range d.watches {
		w.startOver()
	}
}

func (w *watch) startOver() {
	w.feed.mu.Lock()
	defer w.feed.mu.Unlock()
	if !w.feed.ended && !w.over {
		w.fallBehind()
		w.feed.poke()
	}
}

// setFSD sets the latch.
func (d *device) setFSD() {
	d.pushing.Lock()
	defer d.pushing.Unlock()
	if d.fsd.Swap(true) {
		return
	}
	d.mu.Lock()
	d.fsdAt = time.Now()
	d.mu.Unlock()
	v, ok := d.state.Variable(ups.StatusName)
	if !ok {
		return
	}
	d.tell(func(w *watch, out []byte) []byte {
		if !w.wants(v.Name) {
			return out
		}
		return appendPushVar(out, w.name, &v, true)
	})
}

// forgetWatches tells all who watch a device that it is removed.
func (d *device) forgetWatches() {
	d.pushing.Lock()
	watches := d.watches
	d.tell(func(w *watch, out []byte) []byte { return appendGone(out, w.name) })
	d.watches = nil
	d.pushing.Unlock()
	for _, w := range watches {
		f := w.feed
		f.mu.Lock()
		if w.behind { // its turn to be told everything will not come
			f.queueGone(w.name)
		}
		w.over = true
		if f.watches[d] == w {
			delete(f.watches, d)
		}
		f.mu.Unlock()
	}
}
