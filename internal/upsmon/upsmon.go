// Package upsmon is the shutdown controller: it polls the UPSes that its
// configuration names, tells people what happens to them and shuts this host down
// before the power is gone.
//
// What to do is decided by package monitor; this package does it: connections,
// notifications, the privileged parent, signals, files. It never decides that a
// UPS is critical, and it knows no device.
package upsmon

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"gonut/internal/conf"
	"gonut/internal/daemon"
	"gonut/internal/program"
	"gonut/internal/upsmon/monitor"
)

// ErrAbandon as the cause of Run's context ends it at once, even in the middle of
// a shutdown. Any other cause lets a shutdown that has begun come to its end.
var ErrAbandon = errors.New("upsmon: abandoned")

// Deps is what a Daemon needs of the world. Each field may be left out.
type Deps struct {
	// Dial makes connections to servers; nil means net.Dialer's.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// ConnectTimeout is the time for a connection; 0 means ten seconds, negative no
	// limit.
	ConnectTimeout time.Duration
	// PollOnly keeps from asking servers to tell of changes.
	PollOnly bool
	// Notifiers deliver notifications, each those whose NOTIFYFLAG chooses it, in
	// this order. NotifySyslog needs none: the logger does it.
	Notifiers []Notifier
	// Shutdowner shuts this host down; nil only logs that it would have been.
	Shutdowner Shutdowner
	// Hook sees each step: what happened and what follows. It is called by the loop
	// and must neither block nor keep the slice.
	Hook func(now time.Time, ev monitor.Event, as []monitor.Action)
	// Record keeps the reasons of a shutdown. Nothing waits for it but the end.
	Record func(monitor.Decision) error
	// Reload reads the configuration again; nil means that it cannot change. Nothing
	// waits for it.
	Reload func() (conf.UPSMon, error)
	Logger *slog.Logger // nil: no log
	// Service hears of readiness, reloads, the end, and that the loop is alive.
	Service *daemon.ServiceNotifier
	// ParentGone is closed when the privileged parent has ended; nil: there is none.
	ParentGone <-chan struct{}
	// Sleep tells of the operating system's sleep; nil: nobody tells.
	Sleep Sleeper
}

// A Shutdowner shuts this host down. powerDown says whether the flag is to be
// written by which the UPS is switched off late in the shutdown.
type Shutdowner interface {
	Shutdown(ctx context.Context, powerDown bool) error
}

// A Daemon is one upsmon.
type Daemon struct {
	deps   Deps
	log    *slog.Logger
	conf   conf.UPSMon // to begin with
	orders chan order
	done   chan struct{} // closed when Run returns
}

// An order is something that somebody wants of a running Daemon.
type order struct {
	ev     monitor.Event // FSD, Stop; nil with the others
	reload bool
	report chan<- Report
}

// New returns a Daemon for the configuration. It starts nothing.
func New(c conf.UPSMon, d Deps) *Daemon {
	if d.Logger == nil {
		d.Logger = slog.New(slog.DiscardHandler)
	}
	if d.Dial == nil {
		d.Dial = new(net.Dialer).DialContext
	}
	return &Daemon{deps: d, log: d.Logger, conf: c, orders: make(chan order), done: make(chan struct{})}
}

// FSD begins a forced shutdown, as upsmon -c fsd does. It returns when the order
// is taken, or at once after Run's end. Run must have been called.
func (d *Daemon) FSD() { d.give(order{ev: monitor.UserFSD{}}) }

// Reload reads the configuration again, as upsmon -c reload does.
func (d *Daemon) Reload() { d.give(order{reload: true}) }

// Stop ends Run unless a shutdown is under way, which comes to its end first.
func (d *Daemon) Stop() { d.give(order{ev: monitor.Stop{}}) }

// Report returns what the Daemon knows now; false after Run's end.
func (d *Daemon) Report() (Report, bool) {
	c := make(chan Report, 1)
	if !d.give(order{report: c}) {
		return Report{}, false
	}
	select {
	case r := <-c:
		return r, true
	case <-d.done:
		return Report{}, false
	}
}

func (d *Daemon) give(o order) bool {
	select {
	case d.orders <- o:
		return true
	case <-d.done:
		return false
	}
}

// Run works until it is told to stop, ctx ends or this host is shut down, and
// until all that it started has ended. Commands that were started for
// notifications may live longer, and so may a Record or Reload that hangs. Run may be
// called once.
func (d *Daemon) Run(ctx context.Context) error {
	defer close(d.done)
	if d.conf.MinSupplies > monitor.Total(d.conf) {
		return program.Exitf(1, "start upsmon: the power values add up to %d and MINSUPPLIES is %d", monitor.Total(d.conf), d.conf.MinSupplies)
	}
	l := newLoop(d)
	err := l.run(ctx)
	l.end()
	if err == nil && l.failure != nil {
		err = program.Exitf(1, "upsmon has ended, and this host may stay up")
	}
	return err
}

// A loop is what one Run works with. Its goroutine owns all of it.
type loop struct {
	*Daemon
	m       *monitor.Monitor
	now     atomic.Pointer[conf.UPSMon] // the configuration in force, for pollers too; never changed, only replaced
	events  chan monitor.Event
	pollers map[string]*poller
	inner   context.Context // of everything that outlives Run's own context
	cancel  context.CancelFunc
	wg      sync.WaitGroup
	notices *dispatcher
	asked   bool          // for the shutdown of this host
	result  chan error    // of that; nil when there is none to come
	failure error         // of the same
	kept    chan struct{} // closed when the reasons of the shutdown are kept; nil: none are
	loaded  chan loaded
	loading bool // the configuration is being read
	again   bool // and has to be read once more after that
	every   time.Duration
	beatAt  time.Time
	orphan  bool      // the privileged part has ended
	asleep  bool      // the system sleeps, and said so
	since   time.Time // when it said so
	exit    *monitor.Exit
}

func newLoop(d *Daemon) *loop {
	l := &loop{
		Daemon: d, m: monitor.New(d.conf), events: make(chan monitor.Event), pollers: make(map[string]*poller), loaded: make(chan loaded, 1),
	}
	l.now.Store(&d.conf)
	l.inner, l.cancel = context.WithCancel(context.Background())
	l.notices = newDispatcher(d.deps.Notifiers, d.log)
	return l
}

func (l *loop) run(ctx context.Context) error {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	watch := newClockWatch(time.Now())
	sleep, stopSleep := l.watchSleep()
	defer stopSleep()
	parentGone, stopped := l.deps.ParentGone, ctx.Done()
	l.step(monitor.Started{})
	l.deps.Service.Ready("")
	for l.exit == nil {
		l.schedule(timer)
		select {
		case ev := <-l.events:
			l.step(ev)
		case <-timer.C:
			l.step(monitor.Tick{})
		case o := <-l.orders:
			l.take(o)
		case <-stopped:
			if errors.Is(context.Cause(ctx), ErrAbandon) {
				return context.Cause(ctx)
			}
			stopped = nil
			l.step(monitor.Stop{})
		case <-parentGone:
			parentGone = l.parentGone()
		case asleep := <-sleep:
			l.slept(asleep)
			watch = newClockWatch(time.Now())
		case err := <-l.result:
			l.shutdownDone(err)
		case c := <-l.loaded:
			l.reloaded(c)
		}
		now := time.Now()
		if by, set := watch.look(now); by != 0 && !l.asleep {
			l.step(monitor.ClockJump{By: by, Set: set})
		}
		l.beat(now)
	}
	l.deps.Service.Stopping("")
	if l.exit.Code != 0 {
		return program.Exit(l.exit.Code)
	}
	return nil
}

// turnAtLeast is how often the loop turns if nobody wants anything of it. It is more
// than the default POLLFREQ: a poll is a turn, and no timer wakes the processor beside
// it.
const turnAtLeast = 6 * time.Second

// pulse is how often the loop turns at least: for the watchdog of the service
// manager, and to see that the clock was set.
func (l *loop) pulse() time.Duration {
	if w := l.deps.Service.WatchdogInterval(); w > 0 {
		return min(w/3, turnAtLeast)
	}
	return turnAtLeast
}

// beat does what is due now and again, however often the loop turns: at most one and a
// half pulses lie between two.
func (l *loop) beat(now time.Time) {
	if now.Sub(l.beatAt) < l.pulse()/2 {
		return
	}
	l.beatAt = now
	l.deps.Service.Watchdog()
	l.wakeUp()
}

// schedule sets the timer to the Monitor's next deadline, or to the next turn that
// there has to be.
func (l *loop) schedule(timer *time.Timer) {
	d := l.pulse()
	if t := l.m.Deadline(); !t.IsZero() {
		d = min(d, max(time.Until(t), 0))
	}
	timer.Reset(d)
}

func (l *loop) take(o order) {
	switch {
	case o.report != nil:
		o.report <- l.report(time.Now())
	case o.reload:
		l.reload()
	default:
		l.step(o.ev)
	}
}

// loaded is a configuration that was read, or why it could not be.
type loaded struct {
	conf conf.UPSMon
	err  error
}

// reload has the configuration read again. The disk may be slow, so the loop goes on
// meanwhile; whoever asks for another reload gets one when this is done.
func (l *loop) reload() {
	if l.deps.Reload == nil {
		l.log.Warn("reload ignored: this configuration cannot change")
		return
	}
	if l.loading {
		l.again = true
		return
	}
	l.loading = true
	l.deps.Service.Reloading()
	go func() {
		c, err := l.deps.Reload()
		l.loaded <- loaded{c, err}
	}()
}

// reloaded takes over a configuration that was read.
func (l *loop) reloaded(c loaded) {
	l.loading = false
	if c.err != nil {
		l.log.Error("Reload failed, the old configuration stays", "err", c.err)
	} else {
		l.step(monitor.Reloaded{Config: c.conf})
		now := l.m.Conf()
		l.now.Store(&now)
	}
	l.deps.Service.Ready("")
	if l.again {
		l.again = false
		l.reload()
	}
}

// parentGone says so now and again, for as long as nobody restarts upsmon.
func (l *loop) parentGone() <-chan struct{} {
	l.orphan = true
	l.step(monitor.ParentGone{})
	again := make(chan struct{})
	l.wg.Go(func() {
		select {
		case <-time.After(2 * time.Minute):
			close(again)
		case <-l.inner.Done():
		}
	})
	return again
}

// step hands an event to the Monitor and does what it says.
func (l *loop) step(ev monitor.Event) {
	now := time.Now()
	as := l.m.Step(now, ev)
	if l.deps.Hook != nil {
		l.deps.Hook(now, ev, as)
	}
	if l.log.Enabled(context.Background(), daemon.Debug(2)) && (len(as) > 0 || !routine(ev)) {
		l.log.Log(context.Background(), daemon.Debug(2), "step", "event", ev.String(), "actions", list(as))
	}
	for _, a := range as {
		l.do(a)
	}
}

// routine reports events that come all the time.
func routine(ev monitor.Event) bool {
	switch ev.(type) {
	case monitor.Tick, monitor.Status, monitor.Logins:
		return true
	}
	return false
}

func list(as []monitor.Action) string {
	ss := make([]string, len(as))
	for i, a := range as {
		ss[i] = a.String()
	}
	return strings.Join(ss, "; ")
}

// do performs one action. Nothing here waits for anybody.
func (l *loop) do(a monitor.Action) {
	switch a := a.(type) {
	case monitor.Watch:
		l.watch(a.Monitor)
	case monitor.Unwatch:
		if p := l.pollers[a.UPS]; p != nil {
			p.cancel(errLogout)
			delete(l.pollers, a.UPS)
		}
	case monitor.Reconnect:
		l.order(a.Monitor.System, func(o *orders) { o.line, o.reconnect = &a.Monitor, true })
	case monitor.Redefine:
		l.order(a.Monitor.System, func(o *orders) { o.line = &a.Monitor })
	case monitor.Poll:
		l.order(a.UPS, func(o *orders) { o.poll = true })
	case monitor.PollEvery:
		l.every = a.D
		for _, p := range l.pollers {
			p.give(func(o *orders) { o.every = a.D })
		}
	case monitor.SetFSD:
		l.order(a.UPS, func(o *orders) { o.fsd = true })
	case monitor.AskLogins:
		if p := l.pollers[a.UPS]; p != nil {
			p.askLogins(a.UPS)
		}
	case monitor.Notify:
		l.notify(a)
	case monitor.Wall:
		l.notices.send("", Notification{Text: a.Text}, conf.NotifyWall)
	case monitor.Log:
		l.logAction(a)
	case monitor.Decide:
		l.wg.Go(func() { // a manager that hangs may take a second
			l.deps.Service.Stopping("shutting down this host")
			l.deps.Service.Extend(-1)
		})
		l.record(a.Decision)
	case monitor.Shutdown:
		l.shutDown(a)
	case monitor.Exit:
		l.exit = &a
	}
}

func (l *loop) watch(mc conf.Monitor) {
	p := newPoller(mc, l)
	l.pollers[mc.System] = p
	l.wg.Go(p.run)
}

func (l *loop) order(system string, set func(*orders)) {
	if p := l.pollers[system]; p != nil {
		p.give(set)
	}
}

func (l *loop) notify(a monitor.Notify) {
	flags, ok := l.now.Load().NotifyFlag[a.Type.String()]
	if !ok {
		flags = defaultFlags
	}
	if flags&conf.NotifyIgnore != 0 {
		return
	}
	if flags&conf.NotifySyslog != 0 {
		l.log.Log(context.Background(), daemon.LevelNotice, a.Text)
	}
	l.notices.send(a.UPS, Notification{Type: a.Type.String(), UPS: a.UPS, Text: a.Text, Command: l.now.Load().NotifyCmd}, flags)
}

var levels = [...]slog.Level{
	monitor.LevelDebug: slog.LevelDebug, monitor.LevelInfo: slog.LevelInfo, monitor.LevelNotice: daemon.LevelNotice,
	monitor.LevelWarn: slog.LevelWarn, monitor.LevelError: slog.LevelError, monitor.LevelCrit: daemon.LevelCritical,
	monitor.LevelAlert: daemon.LevelAlert,
}

func (l *loop) logAction(a monitor.Log) {
	var attrs []any
	if a.Why != "" {
		attrs = append(attrs, "why", a.Why)
	}
	l.log.Log(context.Background(), levels[a.Level], a.Text, attrs...)
}

// record keeps the reasons of a shutdown, which does not wait for the disk.
func (l *loop) record(d monitor.Decision) {
	l.log.Log(context.Background(), daemon.LevelCritical, "shutdown decided: "+d.Cause, "otherwise", strings.Join(d.Otherwise, "; "))
	if l.deps.Record == nil {
		return
	}
	kept := make(chan struct{})
	l.kept = kept
	go func() {
		defer close(kept)
		if err := l.deps.Record(d); err != nil {
			l.log.Error("keep the reasons of the shutdown", "err", err)
		}
	}()
}

// shutDown asks for the shutdown of this host. It may take long, so the loop goes
// on meanwhile.
func (l *loop) shutDown(a monitor.Shutdown) {
	l.asked = true
	if l.deps.Shutdowner == nil {
		l.log.Warn("shutdown requested, but nobody is there to do it")
		return
	}
	result := make(chan error, 1)
	l.result = result
	l.wg.Go(func() { result <- l.deps.Shutdowner.Shutdown(l.inner, a.PowerDown) })
}

// shutdownDone takes in how the shutdown went. If it failed, people are what is left;
// and whoever restarts upsmon, which then tries again.
func (l *loop) shutdownDone(err error) {
	l.result, l.failure = nil, err
	if err != nil {
		l.log.Log(context.Background(), daemon.LevelAlert, "shut down this host", "err", err)
		l.notices.send("", Notification{Text: "upsmon could not shut this host down: " + err.Error()}, conf.NotifyWall)
	}
}

// end waits for what the loop started. It says goodbye to the servers, in a shutdown
// too: a host that only hangs up may be taken for one that was lost.
func (l *loop) end() {
	cause := error(errDrop)
	if l.exit != nil {
		cause = errLogout
	}
	for _, p := range l.pollers {
		p.cancel(cause)
	}
	for l.exit != nil && l.result != nil {
		select {
		case err := <-l.result:
			l.shutdownDone(err)
		case o := <-l.orders:
			l.take(o) // only a question is answered: it is all over
		case <-time.After(l.pulse()):
			l.deps.Service.Watchdog()
		}
	}
	l.notices.close()
	if l.kept != nil {
		select {
		case <-l.kept:
		case <-time.After(recordWait):
			l.log.Warn("the reasons of the shutdown may not be kept: the disk does not answer")
		}
	}
	l.cancel()
	l.wg.Wait()
}

// recordWait is how long the end of upsmon waits for the reasons of the shutdown to
// be on the disk.
const recordWait = 2 * time.Second
