package driver

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"gonut/internal/daemon"
	"gonut/internal/drvsock"
	"gonut/internal/netproto"
	"gonut/internal/program"
	"gonut/internal/ups"
)

// How long another driver of the same name is waited for.
const (
	endLimit     = 15 * time.Second // after it said that it ends, or after SIGTERM
	endLimitKill = 5 * time.Second  // the same when the power has to be cut
	endPeriod    = 100 * time.Millisecond

	// unservedLimit is how long one that has closed its connections may still answer.
	unservedLimit = time.Second
)

// maxReplace is how many drivers that are started at the same time as this one are
// replaced.
const maxReplace = 5

// patientStart is how long the first attempt to open a device may delay the start of
// a driver that does not need it.
const patientStart = 2 * time.Second

// serve is the normal life of a driver.
func (p *process) serve(ctx context.Context) error {
	var bg *daemon.Background
	if p.foreground <= 0 {
		var err error
		if bg, err = daemon.Detach(ctx, p.env); bg == nil {
			return err
		}
	}
	if !daemon.QuietBanner(p.env.Getenv) {
		p.banner()
	}
	ctx, signals, stop := daemon.ListenSignals(ctx)
	defer stop()
	if err := p.becomeUser(); err != nil {
		return err
	}
	if err := p.checkState(); err != nil {
		return err
	}
	if err := p.replaceSibling(ctx, endLimit); err != nil {
		return err
	}
	p.writePID(ctx)
	defer daemon.RemovePID(p.pidFile)
	return p.session(ctx, signals, bg)
}

// writePID tells others our process number, unless the driver just stays in the
// foreground.
func (p *process) writePID(ctx context.Context) {
	if p.foreground == 1 {
		return
	}
	if err := daemon.WritePID(p.pidFile); err != nil {
		p.log.Log(ctx, daemon.LevelNotice, err.Error())
	}
}

// session runs the session and, once there is something to serve, the socket.
func (p *process) session(ctx context.Context, signals *daemon.Signals, bg *daemon.Background) error {
	notify := daemon.NewServiceNotifier(p.env.Getenv)
	s := NewSession(*p.driver, *p.config(), Hooks{
		Reload:    p.reread,
		SetDebug:  p.logger.SetVerbosity,
		Beat:      notify.Watchdog,
		BeatEvery: notify.WatchdogInterval() / 2,
	}, p.log)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	var served error
	flush := func(time.Duration) {}
	defer func() { flush(daemon.LogFlush) }()
	wg.Go(func() { p.handleSignals(ctx, s, signals) })
	wg.Go(func() {
		if !p.awaitService(ctx, s) {
			return
		}
		if served = p.serveSocket(ctx, s, func() {
			// Of several that were started at once, one has the socket: the PID file
			// is that one's, whoever wrote it last.
			p.writePID(ctx)
			bg.Ready(p.logger)
			flush = p.logger.NeverWait() // a terminal that is stopped must not stop the polls
			notify.Ready(fmt.Sprintf("driver %s serves %s", p.driver.Name, p.config().Values.UPS))
		}); served != nil {
			cancel()
		}
	})
	err := s.Run(ctx)
	notify.Stopping("")
	cancel()
	wg.Wait()
	return errors.Join(err, served)
}

// awaitService waits until there is something to serve and reports whether there
// is. Of a driver that starts without its device that may be that there is nothing
// yet, but not before it is known that its options are right.
func (p *process) awaitService(ctx context.Context, s *Session) bool {
	begin, limit := s.Ready(), (<-chan time.Time)(nil)
	if !p.config().OpenOnce {
		begin, limit = s.Tried(), time.After(patientStart)
	}
	select {
	case <-begin:
	case <-limit:
	case <-ctx.Done():
		return false
	}
	return true
}

// serveSocket opens the driver socket and answers on it. ready is called between
// the two.
func (p *process) serveSocket(ctx context.Context, s *Session, ready func()) error {
	path := p.socketPath()
	l, err := p.listen(ctx, path)
	if errors.Is(err, fs.ErrPermission) && p.fromFile {
		return fmt.Errorf("%w; nut doctor drivers %s says how to mend it", err, p.config().Values.UPS)
	}
	if err != nil {
		return err
	}
	if err := p.shareSocket(path); err != nil {
		p.log.Warn("the socket is not shared with its group; upsd may be unable to connect", "error", err)
	}
	if p.env.Getenv("NUT_QUIET_INIT_LISTENER") == "" {
		p.log.Info("listening on socket " + path)
	}
	ready()
	return s.Serve(ctx, l)
}

// listen opens the socket. A driver that was started at the same time and was quicker
// is replaced as one that was there before.
func (p *process) listen(ctx context.Context, path string) (net.Listener, error) {
	for range maxReplace {
		l, err := drvsock.Listen(ctx, path)
		if !errors.Is(err, drvsock.ErrServed) {
			return l, err
		}
		if !p.askToEnd(ctx, endLimit) {
			return nil, err
		}
	}
	return drvsock.Listen(ctx, path)
}

// shareSocket gives the socket to the group that upsd is in, if this process has
// not become a user of that group.
func (p *process) shareSocket(path string) error {
	if p.group == "" && (p.user == "" || p.user == defaultUser) {
		return nil
	}
	gid, err := daemon.LookupGroup(either(p.group, defaultUser))
	if err != nil {
		if p.group == "" {
			return nil // nobody asked for it
		}
		return err
	}
	return os.Chown(path, -1, gid)
}

func (p *process) handleSignals(ctx context.Context, s *Session, signals *daemon.Signals) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-signals.Reload:
			s.Reload(ctx, false)
		case <-signals.User1:
			s.Reload(ctx, true)
		}
	}
}

// becomeUser gives up root before the device is touched, as C's drivers do.
func (p *process) becomeUser() error {
	if p.user == "" && os.Geteuid() != 0 && p.chroot == "" {
		return nil
	}
	name := either(p.user, defaultUser)
	account, err := daemon.LookupAccount(name)
	if err != nil {
		if p.user == "" {
			return fmt.Errorf("%w (drivers started as root become %s; -u root or user = root in ups.conf keeps root)", err, name)
		}
		return err
	}
	if p.group != "" {
		// Only a member of the group may give the socket to it.
		gid, err := daemon.LookupGroup(p.group)
		if err != nil {
			return err
		}
		account.Groups = append(account.Groups, gid)
	}
	if p.chroot != "" {
		if err := daemon.Chroot(p.chroot); err != nil {
			return err
		}
	}
	return account.Become()
}

// checkState makes sure that there is a folder for the socket.
func (p *process) checkState() error {
	dir := p.paths.State
	fi, err := os.Stat(dir)
	if err == nil && !fi.IsDir() {
		err = errors.New("it is no folder")
	}
	if err != nil {
		return fmt.Errorf("state path %s: %w; create it for user id %d or set NUT_STATEPATH", dir, unwrapPath(err), os.Geteuid())
	}
	return nil
}

func unwrapPath(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}

// replaceSibling ends a running driver of the same name: two would fight for the
// device. Each means to make it end gets limit.
func (p *process) replaceSibling(ctx context.Context, limit time.Duration) error {
	pid, err := daemon.ReadPID(p.pidFile) // before another one has written it
	asked := p.askToEnd(ctx, limit)
	if err != nil || pid == os.Getpid() {
		return nil
	}
	patience := endPeriod
	if asked {
		patience = limit
	}
	if p.waitGone(ctx, pid, patience) {
		return nil
	}
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		if err := p.signalProcess(pid, sig); err != nil {
			return nil // it is gone, or it is not a driver
		}
		p.log.Warn("another driver serves this ups; it was sent a signal", "pid", pid, "signal", sig)
		if p.waitGone(ctx, pid, limit) {
			return nil
		}
	}
	return fmt.Errorf("another driver with process number %d serves %s and does not end", pid, p.config().Values.UPS)
}

// askToEnd asks a running driver through its socket to end and waits until it did.
func (p *process) askToEnd(ctx context.Context, limit time.Duration) bool {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	link, err := drvsock.Connect(ctx, p.dial)
	if err != nil {
		return false
	}
	defer link.Close()
	if n, err := link.Do(ctx, drvsock.Request{Name: cmdExit}); err != nil || n != netproto.Handled {
		return false
	}
	p.log.Warn("another driver served this ups; it was asked to end", "socket", p.socketPath())
	if link.WaitClosed(ctx) != nil {
		return false
	}
	p.waitUnserved(ctx)
	return true
}

// waitUnserved waits until nobody answers on the socket any more: connections may
// end a moment before. If somebody goes on to, that is another driver by now.
func (p *process) waitUnserved(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, unservedLimit)
	defer cancel()
	for {
		conn, err := p.dial(ctx)
		if err != nil {
			return
		}
		conn.Close()
		select {
		case <-ctx.Done():
			return
		case <-time.After(endPeriod / 4):
		}
	}
}

// waitGone waits until a driver's process has ended. It may have removed its PID file
// long before, and serves its socket and holds its device until then.
func (p *process) waitGone(ctx context.Context, pid int, limit time.Duration) bool {
	deadline := time.Now().Add(limit)
	for {
		if err := p.signalProcess(pid, 0); err != nil {
			return true
		}
		if !time.Now().Before(deadline) {
			return false
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(endPeriod):
		}
	}
}

// killpower is -k: first the running driver is asked, which has the device open;
// if there is none or it cannot, the device is opened here.
func (p *process) killpower(ctx context.Context) error {
	ctx, _, stop := daemon.ListenSignals(ctx)
	defer stop()
	if !daemon.QuietBanner(p.env.Getenv) {
		p.banner()
	}
	if p.askKillpower(ctx) {
		return nil
	}
	if err := p.replaceSibling(ctx, endLimitKill); err != nil {
		p.log.Warn(err.Error())
	}
	if err := p.becomeUser(); err != nil {
		p.log.Warn("cutting the power as root", "error", err)
	}
	s := NewSession(*p.driver, *p.config(), Hooks{}, p.log)
	if err := s.Kill(ctx); err != nil {
		return fmt.Errorf("the power of %s was not cut: %w", p.config().Values.UPS, err)
	}
	return nil
}

// askKillpower lets the running driver cut the power.
func (p *process) askKillpower(ctx context.Context) bool {
	n, err := p.ask(ctx, endLimitKill, drvsock.Request{Set: true, Name: "driver.flag.allow_killpower", Value: "1", HasValue: true})
	if err != nil || n != netproto.Handled {
		return false
	}
	// C waits for ever here; a driver that hangs must not keep us from trying.
	n, err = p.ask(ctx, p.driver.callLimit()+askLimit, drvsock.Request{Name: cmdKillpower})
	if err == nil && n == netproto.Handled {
		p.log.Log(ctx, daemon.LevelCritical, "the running driver cut the power", "ups", p.config().Values.UPS)
		return true
	}
	p.log.Error("the running driver did not cut the power; trying it without", "code", int(n), "error", err)
	return false
}

// printDump is -d: some polls, then all values on standard output. A running
// driver is left alone. Polls that fail are repeated, but not for ever.
func (p *process) printDump(ctx context.Context) error {
	ctx, _, stop := daemon.ListenSignals(ctx)
	defer stop()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if err := p.becomeUser(); err != nil {
		return err
	}
	limit := time.Duration(p.dump)*p.config().PollInterval + 2*p.driver.callLimit()
	ctx, cancelLimit := context.WithTimeout(ctx, limit)
	defer cancelLimit()
	polls := 0
	var s *Session
	var known *ups.Snapshot
	s = NewSession(*p.driver, *p.config(), Hooks{Polled: func() {
		known = s.State().Snapshot()
		if polls++; polls > p.dump {
			cancel()
		}
	}}, p.log)
	if err := s.Run(ctx); err != nil {
		return err
	}
	if known == nil {
		known = s.State().Snapshot()
	}
	for _, v := range known.Variables {
		fmt.Fprintf(p.env.Stdout, "%s: %s\n", v.Name, v.Value)
	}
	if polls <= p.dump {
		return program.Exitf(1, "%s ended after %d polls of %d", p.driver.Name, polls, p.dump+1)
	}
	return nil
}
