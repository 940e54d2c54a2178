package upsmon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"

	"gonut/internal/conf"
	"gonut/internal/netproto"
	"gonut/internal/ups"
	"gonut/internal/upsmon/monitor"
	"gonut/upsclient"
)

// The causes for which a poller ends.
var (
	errLogout = errors.New("log out")
	errDrop   = errors.New("drop the connection")
)

var errNotConnected = errors.New("not connected")

// errHurry is the cause for which connecting for a poll is broken off.
var errHurry = errors.New("FSD is to be set")

// fsdConnect is how long setting FSD may take to make a connection. C makes none at
// that point, so this is what it costs at most to have told the other hosts.
const fsdConnect = 2 * time.Second

// loginRetry is the time between two attempts to log in while polling works.
const loginRetry = 30 * time.Second

// buzzEvery is the time between two looks at the mode of a UPS, which changes
// rarely, where the server knows of one.
const buzzEvery = time.Minute

// A poller is the conversation with one server about one UPS. It has a connection
// and a goroutine of its own, so that no other UPS waits when this one hangs.
type poller struct {
	conf    conf.Monitor
	system  netproto.System
	badName error
	log     *slog.Logger
	loop    *loop
	ctx     context.Context
	cancel  context.CancelCauseFunc
	talk    context.Context // of requests: whoever logs out lets the one under way end, for logoutWait at most
	silence context.CancelFunc

	mu     sync.Mutex // guards the next two
	orders orders
	hurry  context.CancelCauseFunc // breaks off connecting; nil when nobody connects

	wake chan struct{}

	connected chan struct{} // holds one if there is a new connection

	began    time.Time // the latest poll
	client   *upsclient.Client
	loggedIn bool
	primary  bool
	retryAt  time.Time // of the login
	buzz     string
	buzzAt   time.Time
	failures failures
}

// orders are what the loop wants. One order takes the place of another like it, so
// they cannot pile up.
type orders struct {
	every             time.Duration
	poll, fsd, logins bool
	line              *conf.Monitor // what the next login is to use
	reconnect         bool
}

func newPoller(mc conf.Monitor, l *loop) *poller {
	p := &poller{conf: mc, loop: l, log: l.log.With("ups", mc.System), wake: make(chan struct{}, 1), connected: make(chan struct{}, 1)}
	p.ctx, p.cancel = context.WithCancelCause(l.inner)
	p.talk, p.silence = context.WithCancel(context.WithoutCancel(p.ctx))
	context.AfterFunc(p.ctx, func() {
		if errors.Is(context.Cause(p.ctx), errLogout) {
			time.AfterFunc(logoutWait, p.silence)
		} else {
			p.silence()
		}
	})
	p.system, p.badName = netproto.ParseSystem(mc.System)
	p.orders.every = l.every
	return p
}

// give adds to the orders. It never waits. FSD does not wait either for a server that
// does not answer.
func (p *poller) give(set func(*orders)) {
	p.mu.Lock()
	set(&p.orders)
	if p.orders.fsd && p.hurry != nil {
		p.hurry(errHurry)
	}
	p.mu.Unlock()
	p.wakeUp()
}

func (p *poller) wakeUp() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// askLogins orders the number of logins. A server that is just being tried in vain has
// none: nobody waits until that is over.
func (p *poller) askLogins(system string) {
	p.mu.Lock()
	connecting := p.hurry != nil && !p.orders.fsd
	p.orders.logins = !connecting
	p.mu.Unlock()
	if connecting {
		p.loop.wg.Go(func() { p.tell(monitor.Logins{UPS: system, Err: errNotConnected.Error()}) })
		return
	}
	p.wakeUp()
}

func (p *poller) take() orders {
	p.mu.Lock()
	defer p.mu.Unlock()
	o := p.orders
	p.orders = orders{every: o.every}
	return o
}

// run polls until the poller is cancelled.
func (p *poller) run() {
	if !p.loop.deps.PollOnly {
		p.loop.wg.Go(p.listen)
	}
	defer p.silence()
	defer p.hangUp()
	p.poll()
	last := time.Now()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for p.ctx.Err() == nil {
		o := p.take()
		if o.line != nil {
			p.conf = *o.line
		}
		if o.reconnect {
			p.logout()
		}
		if o.fsd {
			p.tell(monitor.FSDSet{UPS: p.conf.System, Err: text(p.setFSD())})
		}
		if o.logins {
			n, err := p.numLogins()
			p.tell(monitor.Logins{UPS: p.conf.System, N: n, Err: text(err)})
		}
		every := max(o.every, time.Second)
		if o.poll || o.reconnect || time.Since(last) >= every {
			last = time.Now()
			p.poll()
			continue
		}
		timer.Reset(time.Until(last.Add(every)))
		select {
		case <-p.ctx.Done():
		case <-timer.C:
		case <-p.wake:
		}
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// tell hands an event to the loop.
func (p *poller) tell(ev monitor.Event) {
	select {
	case p.loop.events <- ev:
	case <-p.ctx.Done():
	}
}

// poll asks for the status once and tells the loop what came.
func (p *poller) poll() {
	p.began = time.Now()
	if p.badName != nil {
		p.lost(p.badName)
		return
	}
	if p.client == nil {
		if err := p.connectForPoll(); err != nil {
			p.lost(err)
			return
		}
	} else if p.wantsLogin() && !time.Now().Before(p.retryAt) {
		p.login(p.talk)
	}
	st, err := p.read()
	if err != nil {
		p.lost(err)
		return
	}
	p.failures.recovered(p.loop.log, p.conf.System)
	p.tell(st)
}

// connectForPoll connects unless FSD is to be set meanwhile.
func (p *poller) connectForPoll() error {
	ctx, cancel := context.WithCancelCause(p.ctx)
	defer cancel(nil)
	p.mu.Lock()
	p.hurry = cancel
	if p.orders.fsd {
		cancel(errHurry)
	}
	asked := p.orders.logins && !p.orders.fsd
	p.orders.logins = p.orders.logins && !asked
	p.mu.Unlock()
	if asked {
		p.tell(monitor.Logins{UPS: p.conf.System, Err: errNotConnected.Error()})
	}
	err := p.connect(ctx)
	p.mu.Lock()
	p.hurry = nil
	p.mu.Unlock()
	if err != nil && context.Cause(ctx) == errHurry {
		return errHurry
	}
	return err
}

// lost tells of a failed poll. A refusal leaves the connection as it is.
func (p *poller) lost(err error) {
	if p.ctx.Err() != nil || err == errHurry {
		return
	}
	failed := "Poll UPS [" + p.conf.System + "] failed - "
	if p.client == nil {
		failed = "UPS [" + p.conf.System + "]: connect failed: "
	}
	closed := p.client != nil && p.client.Err() != nil
	if closed {
		p.client.Close()
		p.client, p.loggedIn, p.primary = nil, false, false
	}
	reason := p.reason(err)
	p.failures.log(p.loop.log, p.loop.now.Load().PollFailLogThrottle, failed, reason)
	p.tell(monitor.Lost{UPS: p.conf.System, Err: reason, Closed: closed || p.client == nil, Waited: time.Since(p.began)})
}

func (p *poller) reason(err error) string {
	if errors.Is(err, upsclient.ErrUnknownUPS) {
		return fmt.Sprintf("[%s] does not exist on server %s", p.system.UPS, p.system.Host.Name)
	}
	text := upsclient.Label(err)
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		text += ": " + dns.Error() // a name server that is silent is not a name that is wrong
	}
	return text
}

// read gets everything that the decision needs in one poll. Once the status is there
// it counts, even if the server falls silent before it has told the rest.
func (p *poller) read() (monitor.Status, error) {
	st := monitor.Status{UPS: p.conf.System}
	var err error
	if st.Status, err = p.client.Get(p.talk, p.system.UPS, ups.StatusName); err != nil {
		return st, err
	}
	if strings.TrimSpace(st.Status) == "" {
		return st, errors.New("ups.status is empty")
	}
	st.Buzzwords = p.buzzwords()
	if monitor.HasAlarm(st.Status) {
		st.Alarm = p.optional(ups.AlarmName)
	}
	for _, name := range monitor.Variables(*p.loop.now.Load(), p.conf.System, st.Status) {
		if v := p.optional(name); v != "" {
			st.Values = append(st.Values, monitor.Value{Name: name, Value: v})
		}
	}
	st.Partial = p.client.Err() != nil
	return st, nil
}

// optional gets a variable that a device need not have; empty if it cannot be had.
func (p *poller) optional(name string) string {
	v, err := p.client.Get(p.talk, p.system.UPS, name)
	if err != nil {
		return ""
	}
	return v
}

// buzzwords returns the words by which vendors tell of the mode of a UPS. Where
// there are none, it asks again now and then.
func (p *poller) buzzwords() string {
	if p.buzz == "" && time.Since(p.buzzAt) < buzzEvery {
		return ""
	}
	p.buzzAt = time.Now()
	var words []string
	for _, name := range [...]string{ups.BuzzwordsName, ups.BuzzwordsNameTrial} {
		if v := p.optional(name); v != "" {
			words = append(words, v)
		}
	}
	p.buzz = strings.Join(words, " ")
	return p.buzz
}

// connect makes a connection and logs in on it. A refused login is no error:
// polling works without.
func (p *poller) connect(ctx context.Context) error {
	o, err := connectOptions(*p.loop.now.Load(), p.system.Host, p.loop.deps)
	if err != nil {
		return err
	}
	c, err := upsclient.Dial(ctx, p.system.Host.String(), o)
	if err != nil {
		return err
	}
	p.client, p.loggedIn, p.primary, p.buzzAt = c, false, false, time.Time{}
	select {
	case p.connected <- struct{}{}:
	default:
	}
	if c.Secure() {
		p.log.Info("Connected to NUT server " + p.system.Host.Name + " in SSL")
		if o.TLS == nil || !o.TLS.Verify {
			p.log.Warn("Certificate verification is disabled")
		}
	}
	err = p.client.Username(ctx, p.conf.User)
	if err == nil {
		err = p.client.Password(ctx, string(p.conf.Password))
	}
	if err != nil {
		p.loginFailed(err)
		return p.client.Err()
	}
	p.login(ctx)
	return p.client.Err()
}

func (p *poller) wantsLogin() bool { return !p.loggedIn || p.conf.Primary && !p.primary }

// login asks for what is still missing: to be counted, and as a primary the right
// to set FSD.
func (p *poller) login(ctx context.Context) {
	if !p.loggedIn {
		if err := p.client.Login(ctx, p.system.UPS); err != nil {
			p.loginFailed(fmt.Errorf("login as %q failed: %w", p.conf.User, err))
			return
		}
		p.loggedIn = true
	}
	if p.conf.Primary && !p.primary {
		if err := p.client.Primary(ctx, p.system.UPS); err != nil {
			p.loginFailed(fmt.Errorf("primary managerial privileges unavailable: %w", err))
			return
		}
		p.primary = true
	}
	p.tell(monitor.Connected{UPS: p.conf.System, LoggedIn: true, Primary: p.primary})
}

func (p *poller) loginFailed(err error) {
	p.retryAt = time.Now().Add(loginRetry)
	if p.client.Err() == nil {
		p.tell(monitor.Connected{UPS: p.conf.System, LoggedIn: p.loggedIn, Primary: p.primary, Err: err.Error()})
	}
}

// setFSD sets FSD. A connection that is gone is made anew, since nothing matters
// more now.
func (p *poller) setFSD() error {
	if err := p.ready(); err != nil {
		return err
	}
	if p.wantsLogin() {
		p.login(p.talk)
	}
	return p.client.FSD(p.talk, p.system.UPS)
}

func (p *poller) numLogins() (int, error) {
	if p.client == nil || p.client.Err() != nil {
		return 0, errNotConnected
	}
	return p.client.NumLogins(p.talk, p.system.UPS)
}

// ready makes sure that there is a connection.
func (p *poller) ready() error {
	if p.badName != nil {
		return p.badName
	}
	if p.client != nil && p.client.Err() == nil {
		return nil
	}
	p.drop()
	ctx, cancel := context.WithTimeout(p.ctx, fsdConnect)
	defer cancel()
	return p.connect(ctx)
}

func (p *poller) drop() {
	if p.client != nil {
		p.client.Close()
		p.client = nil
	}
	p.loggedIn, p.primary = false, false
}

// hangUp ends the conversation as the one who ended the poller wants it.
func (p *poller) hangUp() {
	if errors.Is(context.Cause(p.ctx), errLogout) {
		p.logout()
		return
	}
	p.drop()
}

// logoutWait bounds how long a server may take to say goodbye.
const logoutWait = 2 * time.Second

func (p *poller) logout() {
	if p.client != nil && p.client.Err() == nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(p.ctx), logoutWait)
		defer cancel()
		p.client.Logout(ctx)
	}
	p.drop()
}

// failures keeps the log readable while polls fail, as POLLFAIL_LOG_THROTTLE_MAX
// says: -1 every failure is logged, 0 only another reason than before, n every
// nth one.
type failures struct {
	reason string
	n      int
}

func (f *failures) log(log *slog.Logger, throttle int, failed, reason string) {
	line := failed + reason
	if f.reason != reason {
		f.reason, f.n = reason, 0
		log.Error(line)
		return
	}
	f.n++
	if throttle < 0 || throttle > 0 && f.n >= throttle {
		f.n = 0
		log.Error(line)
	}
}

func (f *failures) recovered(log *slog.Logger, system string) {
	if f.reason != "" {
		log.Info("Poll UPS [" + system + "] recovered")
		f.reason, f.n = "", 0
	}
}
