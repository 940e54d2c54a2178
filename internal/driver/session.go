package driver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"gonut/internal/drvsock"
	"gonut/internal/netproto"
	"gonut/internal/program"
	"gonut/internal/transport/record"
	"gonut/internal/ups"
)

// What the session allows itself and its device.
const (
	// reopenDelay is the longest pause between two attempts to open a device, and
	// reopenSoon that between the first reopenTries ones.
	reopenDelay = 2 * time.Second
	reopenSoon  = time.Second
	reopenTries = 60
	// staleAfter is how long a poll may take before its data are called stale. C's
	// upsd would do it at about the same time for want of a PONG.
	staleAfter = 12 * time.Second
	// holdOver is how long values are held, with their age for all to see, after a
	// poll failed or the device was lost. Most losses are over by then.
	holdOver = 5 * time.Second
	// ageEvery is how often the age of held and stale values is told.
	ageEvery = 5 * time.Second
	// callGrace is what a call gets to notice that its time is up.
	callGrace = time.Second
	// closeGrace is how long a device may take to close before another one is
	// opened beside it.
	closeGrace = 3 * time.Second
	// maxHung is how many hung calls may be left behind; with more the session
	// only waits for one of them to return.
	maxHung = 4
	// maxFailures is how many polls in a row may fail before the device is opened
	// anew although it never said that it is gone.
	maxFailures = 5
	// maxQueue is how many requests may wait for the device.
	maxQueue = 64
	// cutGrace is how long a poll may go on when the power has to be cut, and then
	// again until it is given up.
	cutGrace = 3 * time.Second
)

// What common requests are called.
const (
	// ShutdownDefault is the command that every device has.
	ShutdownDefault   = "shutdown.default"
	cmdKillpower      = "driver.killpower"
	cmdReload         = "driver.reload"
	cmdReloadOrExit   = "driver.reload-or-exit"
	cmdReloadOrError  = "driver.reload-or-error"
	cmdExit           = "driver.exit"
	exitReload        = 138 // 128 + SIGUSR1, as C's drivers exit
	dataAgeName       = "experimental.driver.data.age"
	dataHeldName      = "experimental.driver.data.held"
	reconnectCount    = "driver.reconnect_count"
	reconnectMaxTries = "driver.reconnect_max_tries"
)

// A Session keeps one device open and its State current for as long as Run runs.
// It is the only loop that polls, marks stale, backs off, reopens and performs
// requests, for every driver there is. No call of the device can stop it: one
// that does not return in time is left behind.
type Session struct {
	driver   Driver
	log      *slog.Logger
	hooks    Hooks
	config   Config // changed by the loop only
	state    *ups.State
	requests chan request
	ready    chan struct{}
	tried    chan struct{} // closed after the first attempt to open the device
	over     chan struct{} // closed when Run returns
	tape     *record.Tape
	played   *record.Recording // what is played; nil: nothing

	mu     sync.Mutex
	readAt map[string]time.Time // by lower-case name; when the device last reported it
}

// Hooks connect a Session with the process that it runs in. Each may be nil.
type Hooks struct {
	// Reload reads the configuration again.
	Reload func() (Config, error)
	// SetDebug makes logging as verbose as level says.
	SetDebug func(level int)
	// Polled is called after each poll that succeeded.
	Polled func()
	// Beat is called every BeatEvery, if that is above 0, for as long as the session
	// can do anything for its device.
	Beat      func()
	BeatEvery time.Duration
}

// A request is something for the loop to do.
type request struct {
	drvsock.Request
	ping  bool
	reply func(netproto.Result) // must not block
}

// NewSession returns a Session that does nothing until Run.
func NewSession(d Driver, c Config, h Hooks, log *slog.Logger) *Session {
	if c.PollInterval <= 0 {
		c.PollInterval = DefaultPollInterval
	}
	s := &Session{
		driver:   d,
		config:   c,
		hooks:    h,
		log:      log,
		state:    ups.NewState(),
		requests: make(chan request),
		ready:    make(chan struct{}),
		tried:    make(chan struct{}),
		over:     make(chan struct{}),
		readAt:   make(map[string]time.Time),
	}
	s.state.Apply(ups.Set(ups.DriverState, "init.starting"))
	s.state.Apply(commonCommands()...)
	s.publishConfig()
	s.publishDebug(c.Debug)
	return s
}

// State is what is known of the device. It may be watched at any time.
func (s *Session) State() *ups.State { return s.state }

// Ready is closed when the first complete poll has been published. Before, there
// is nothing worth serving.
func (s *Session) Ready() <-chan struct{} { return s.ready }

// Tried is closed when the first attempt to open the device is over, whatever came
// of it, unless that ended Run.
func (s *Session) Tried() <-chan struct{} { return s.tried }

// ReadAt returns when the device last reported a variable; ok is false if it
// never did.
func (s *Session) ReadAt(name string) (at time.Time, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at, ok = s.readAt[strings.ToLower(name)]
	return at, ok
}

// Do performs a request and returns its result, as if it had come through the
// socket.
func (s *Session) Do(ctx context.Context, r drvsock.Request) (netproto.Result, error) {
	result := make(chan netproto.Result, 1)
	select {
	case s.requests <- request{Request: r, reply: func(n netproto.Result) { result <- n }}:
	case <-s.over:
		return netproto.Pending, errOver
	case <-ctx.Done():
		return netproto.Pending, ctx.Err()
	}
	select {
	case n := <-result:
		return n, nil
	case <-s.over:
	case <-ctx.Done():
		return netproto.Pending, ctx.Err()
	}
	select {
	case n := <-result: // the request itself may have ended Run
		return n, nil
	default:
		return netproto.Pending, errOver
	}
}

var errOver = errors.New("the session has ended")

// Reload asks for a new look at the configuration, as SIGHUP does; orExit ends
// Run with exit code 138 if a change cannot be made while running.
func (s *Session) Reload(ctx context.Context, orExit bool) {
	r := drvsock.Request{Name: cmdReload}
	if orExit {
		r.Name = cmdReloadOrExit
	}
	if _, err := s.Do(ctx, r); err != nil {
		s.log.Warn("reload did not take place", "error", err)
	}
}

// Run opens the device and keeps it and the State current until ctx ends, a
// request ends it or, if so configured, the device is lost too often. The error
// is nil if the end was asked for. Hung calls of the device are waited for only
// briefly. Run must be called once only.
func (s *Session) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	l := &loop{
		Session: s,
		ctx:     ctx,
		ended:   make(chan *worker, maxHung+2),
		known:   make(map[string]bool),

		hasTried: sync.OnceFunc(func() { close(s.tried) }),
	}
	err := s.openTape(true)
	if err == nil {
		if s.driver.Hotplug != nil && !s.tape.Playing() {
			l.hotplug = s.driver.Hotplug(ctx, s.config.Values, s.log)
		}
		err = l.run()
	}
	l.close(cancel)
	if closeErr := s.tape.Close(); closeErr != nil {
		s.log.Error("close the recording", "error", closeErr)
	}
	close(s.over)
	return err
}

// A loop is what Run's goroutine owns.
type loop struct {
	*Session
	ctx     context.Context // of Run; a loop lives no longer
	hotplug <-chan struct{}

	worker  *worker // nil while there is no device
	open    bool    // the worker has a device and it was read once
	wake    <-chan struct{}
	call    *call // nil while the worker is idle
	ended   chan *worker
	retired int // workers that have not ended yet

	woken    bool // the device has spoken
	nextPoll time.Time
	nextFull time.Time
	nextOpen time.Time
	lostAt   time.Time

	held held

	queue    []request // for the device
	replies  []func()  // due after the next poll
	reload   []request // wait for the worker to be idle
	done     bool
	err      error // of Run
	beatAt   time.Time
	tries    int // attempts since the device was lost
	failures int // polls that failed in a row
	lastErr  string
	lastRead time.Time
	last     Update          // status, alarms and buzzwords for a poll that keeps them
	known    map[string]bool // variables that the device reported, in lower case
	overdue  []string        // variables that the last poll missed
	debugSet int             // SET driver.debug; -1: not set
	warning  string          // the last of Status
	serving  bool            // ready is closed
	hasTried func()          // closes tried
}

func (l *loop) run() error {
	l.debugSet = -1
	l.applyDefaults()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for !l.done {
		now := time.Now()
		l.begin(now)
		timer.Reset(l.next(now).Sub(now))
		var callDone chan outcome
		if l.call != nil {
			callDone = l.call.done
		}
		select {
		case <-l.ctx.Done():
			l.done = true
		case o := <-callDone:
			c := l.call
			l.call = nil
			c.then(o)
		case r := <-l.requests:
			l.take(r)
		case _, ok := <-l.wake:
			l.woken = ok
			if !ok {
				l.wake = nil
			}
		case _, ok := <-l.hotplug:
			l.nextOpen = time.Time{}
			if !ok {
				l.hotplug = nil
			}
		case <-l.ended:
			l.retired--
		case <-timer.C:
		}
		now = time.Now()
		l.checkCall(now)
		l.checkHeld(now)
		l.beat(now)
	}
	return l.err
}

// beat tells the watchdog that the session makes progress.
func (l *loop) beat(now time.Time) {
	if l.hooks.BeatEvery <= 0 || l.stuck() || now.Before(l.beatAt) {
		return
	}
	l.beatAt = now.Add(l.hooks.BeatEvery)
	l.hooks.Beat()
}

// stuck reports whether nothing more can be done for the device: so many of its
// calls hang that no further one is begun. Only a new process can help then, so
// neither PING nor the watchdog is answered.
func (l *loop) stuck() bool { return l.worker == nil && l.retired > maxHung }

// next is when the loop has to turn if nothing happens.
func (l *loop) next(now time.Time) time.Time {
	at := now.Add(time.Hour)
	sooner := func(t time.Time) {
		if !t.IsZero() && t.Before(at) {
			at = t
		}
	}
	if l.hooks.BeatEvery > 0 && !l.stuck() {
		sooner(l.beatAt)
	}
	sooner(l.held.next())
	switch {
	case l.call != nil:
		sooner(l.call.limit)
		if l.call.poll && !l.call.late {
			sooner(l.call.started.Add(staleAfter))
		}
		if !l.call.cut {
			sooner(l.call.cutAt)
		}
	case l.open:
		sooner(l.nextPoll)
	case l.stuck():
	case l.retired > 0:
		sooner(latest(l.nextOpen, l.lostAt.Add(closeGrace)))
	default:
		sooner(latest(l.nextOpen, now))
	}
	return at
}

// begin starts the next call of the device if none is under way.
func (l *loop) begin(now time.Time) {
	if l.call != nil || l.done {
		return
	}
	l.reloadNow()
	switch {
	case l.done:
	case l.worker == nil:
		if l.mayOpen(now) {
			l.beginOpen()
		}
	case !l.open:
		l.beginPoll(now, Init)
	case len(l.queue) > 0 && len(l.replies) == 0:
		r := l.queue[0]
		l.queue = l.queue[1:]
		l.beginRequest(r)
	case len(l.replies) > 0 || !now.Before(l.nextPoll):
		depth := Quick
		if len(l.replies) > 0 || !now.Before(l.nextFull) {
			depth = Full
		}
		l.beginPoll(now, depth)
	case l.woken:
		l.beginPoll(now, Quick)
	}
}

// mayOpen reports whether it is time to open the device. The one before should be
// closed by then, but if it never will be, it is not waited for.
func (l *loop) mayOpen(now time.Time) bool {
	if now.Before(l.nextOpen) || l.stuck() {
		return false
	}
	return l.retired == 0 || !now.Before(l.lostAt.Add(closeGrace))
}

func (l *loop) beginOpen() {
	if l.serving {
		now := time.Now()
		l.hold(now, now.Add(staleAfter))
		l.setState("reconnect.trying")
	} else {
		l.setState("init.device")
	}
	l.nextOpen = time.Now().Add(reopenDelay)
	l.worker = newWorker(l.log, l.ended)
	l.call = l.worker.beginOpen(l.ctx, &l.driver, l.values(), l.driver.callLimit())
	l.call.then = func(o outcome) {
		if o.err != nil {
			l.lose(fmt.Errorf("open device: %w", o.err))
			return
		}
		l.wake = o.wake
		l.hasTried()
	}
}

func (l *loop) beginPoll(now time.Time, depth Depth) {
	if depth == Init {
		if l.serving {
			l.setState("reconnect.updateinfo")
		} else {
			l.setState("init.updateinfo")
		}
	}
	l.woken = false
	if depth != Quick || !now.Before(l.nextPoll) {
		l.nextPoll = now.Add(l.config.pause(now))
	}
	if depth != Quick {
		l.nextFull = now.Add(l.config.fullEvery(&l.driver))
	}
	c := l.worker.beginPoll(l.ctx, depth, l.driver.callLimit())
	l.call = c
	c.then = func(o outcome) {
		// A poll that made way for something else says nothing of the device.
		if !c.cut || o.err == nil || errors.Is(o.err, ErrGone) {
			l.polled(depth, c.started, o)
		}
		for _, reply := range l.replies {
			reply()
		}
		l.replies = nil
	}
}

// polled takes what a poll came to.
func (l *loop) polled(depth Depth, started time.Time, o outcome) {
	if o.err == nil {
		l.publish(depth, started, o.update)
		return
	}
	if l.ctx.Err() != nil {
		return
	}
	if !errors.Is(o.err, ErrStale) { // else another connection would bring nothing
		l.failures++
	}
	if depth == Init || errors.Is(o.err, ErrGone) || l.failures >= maxFailures {
		l.lose(fmt.Errorf("poll device: %w", o.err))
		return
	}
	l.complain("poll device", o.err)
	l.holdAfter(o.err, started)
	// A device that failed is not left alone for longer than usual.
	if again := time.Now().Add(DefaultPollInterval); again.Before(l.nextPoll) {
		l.nextPoll = again
	}
}

// complain logs an error once, not at each repetition.
func (l *loop) complain(what string, err error) {
	text := what + ": " + err.Error()
	if text == l.lastErr {
		l.log.Debug(text)
		return
	}
	l.lastErr = text
	l.log.Warn(text)
}

// lose gives the device up and arranges for it to be opened again.
func (l *loop) lose(err error) {
	if l.ctx.Err() != nil {
		return
	}
	l.drop()
	l.holdAfter(err, l.lostAt)
	switch {
	case errors.Is(err, ErrConfig), !l.serving && l.config.OpenOnce:
		l.end(err)
		return
	}
	l.hasTried()
	l.tries++
	// The first attempts come quickly: most losses are short.
	pause := reopenSoon
	if l.tries > reopenTries {
		pause = reopenDelay
	}
	l.nextOpen = time.Now().Add(min(pause, 250*time.Millisecond<<min(l.tries-1, 8)))
	l.complain("device lost, trying to open it again", err)
	if n := l.config.ReportEvery; n > 0 && l.tries%n == 0 {
		l.log.Warn("device is still lost", "tries", l.tries, "error", err)
	}
	l.setState("reconnect.trying")
	l.state.Apply(ups.Set(reconnectCount, fmt.Sprint(l.tries)), ups.Set(reconnectMaxTries, fmt.Sprint(l.config.MaxTries)))
	if n := l.config.MaxTries; n >= 0 && l.tries > n {
		l.end(program.Exitf(1, "device is lost and reconnect_max_tries = %d is used up: %w", n, err))
	}
}

// drop lets go of the device and answers those who wait for it.
func (l *loop) drop() {
	if l.worker != nil {
		l.worker.retire()
		l.retired++
		l.worker = nil
	}
	l.open, l.wake, l.woken = false, nil, false
	l.failures = 0
	l.lostAt = time.Now()
	for _, r := range l.queue {
		r.answer(netproto.Failed)
	}
	l.queue = nil
}

// checkCall looks after a call that takes too long.
func (l *loop) checkCall(now time.Time) {
	c := l.call
	if c == nil || l.done {
		return
	}
	if c.poll && !c.late && now.Sub(c.started) >= staleAfter {
		c.late = true
		l.setState("updateinfo")
		l.log.Warn("device is slow to answer; its data are stale until it does", "seconds", int(now.Sub(c.started).Seconds()))
		l.hold(c.started, now)
	}
	if !c.cut && !c.cutAt.IsZero() && !now.Before(c.cutAt) {
		c.cut = true
		c.cancel()
	}
	if now.Before(c.limit) {
		return
	}
	select {
	case o := <-c.done: // it ended just in time
		l.call = nil
		c.then(o)
		return
	default:
	}
	// The worker stays behind with its call; if that ever returns, the worker
	// closes the device and ends.
	c.cancel()
	l.call = nil
	c.then(outcome{err: fmt.Errorf("%s hangs for %v and was given up: %w", c.what, now.Sub(c.started).Round(time.Second), ErrGone)})
}

// end makes Run return err.
func (l *loop) end(err error) {
	l.done = true
	l.err = err
}

// close gives the device back and waits for what can be waited for.
func (l *loop) close(cancel context.CancelFunc) {
	l.setState("cleanup.upsdrv")
	cancel()
	for _, reply := range l.replies {
		reply()
	}
	l.drop()
	limit := time.NewTimer(closeGrace)
	defer limit.Stop()
	for l.retired > 0 {
		select {
		case <-l.ended:
			l.retired--
		case <-limit.C:
			l.log.Warn("device did not close in time", "calls", l.retired)
			return
		}
	}
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func (r request) answer(n netproto.Result) {
	if r.reply != nil {
		r.reply(n)
	}
}
