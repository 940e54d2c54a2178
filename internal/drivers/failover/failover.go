// Package failover is the driver that makes one UPS of several drivers: it stands
// on their sockets, elects the one that is best to believe and repeats it, with its
// settings and commands. It talks to no device itself.
package failover

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"gonut/internal/driver"
	"gonut/internal/drvsock"
	"gonut/internal/ups"
	"gonut/internal/upstream"
)

// Driver returns failover.
func Driver() driver.Driver {
	return driver.Driver{
		Name:        "failover",
		Version:     "0.02",
		Description: "UPS Failover Driver",
		Options: []driver.Option{
			{Name: "inittime", Help: "seconds after the start in which no UPS need be good (30)"},
			{Name: "deadtime", Help: "seconds after which a silent driver is dead (30)"},
			{Name: "relogtime", Help: "seconds between two messages about the same lost driver (5)"},
			{Name: "noprimarytime", Help: "seconds without a good UPS until fsdmode counts (15)"},
			{Name: "maxconnfails", Help: "failed connections in a row before a pause (5)"},
			{Name: "coolofftime", Help: "seconds of that pause (15)"},
			{Name: "fsdmode", Help: "without a good UPS: 0 stale, 1 alarm and stale, 2 alarm and FSD (0)"},
			{Name: "strictfiltering", Help: "1: only a UPS that passes the status filters is good (0)"},
			{Name: "checkruntime", Help: "1: of equals on battery the one with the longest run-time is taken (0)"},
			{Name: "status_have_any", Help: "good: one of these tokens is in ups.status"},
			{Name: "status_have_all", Help: "good: all of these tokens are"},
			{Name: "status_nothave_any", Help: "not good: one of these tokens is"},
			{Name: "status_nothave_all", Help: "not good: all of these tokens are"},
		},
		CallLimit: 3 * time.Minute,
		Patient:   func(driver.Values) bool { return true },
		Check:     func(v driver.Values) error { _, err := readSettings(v); return err },
		Open:      open,
	}
}

// staleLater is how long an alarm is shown before the data are called stale in
// fsdmode 1, so that everybody has seen it.
const staleLater = 10 * time.Second

// leastInit is what connecting to drivers that are there may take.
const leastInit = 5 * time.Second

type settings struct {
	initTime, deadTime, relogTime, noPrimaryTime, coolOffTime time.Duration
	maxFails, fsdMode                                         int
	strict, runtime                                           bool
	members                                                   []string // their sockets
	filter                                                    filter
}

func readSettings(v driver.Values) (settings, error) {
	s := settings{
		initTime: 30 * time.Second, deadTime: 30 * time.Second, relogTime: 5 * time.Second,
		noPrimaryTime: 15 * time.Second, coolOffTime: 15 * time.Second, maxFails: 5,
		members: list(v.Port),
	}
	if len(s.members) == 0 {
		return s, v.Wrong("port", "it names no driver; give DRIVER-UPS,DRIVER-UPS,…")
	}
	duration := func(d *time.Duration) func(int) { return func(n int) { *d = time.Duration(n) * time.Second } }
	number := func(p *int) func(int) { return func(n int) { *p = n } }
	boolean := func(p *bool) func(int) { return func(n int) { *p = n != 0 } }
	for name, set := range map[string]func(int){
		"inittime": duration(&s.initTime), "deadtime": duration(&s.deadTime), "relogtime": duration(&s.relogTime),
		"noprimarytime": duration(&s.noPrimaryTime), "coolofftime": duration(&s.coolOffTime),
		"maxconnfails": number(&s.maxFails), "fsdmode": number(&s.fsdMode),
		"strictfiltering": boolean(&s.strict), "checkruntime": boolean(&s.runtime),
	} {
		if !v.Has(name) {
			continue
		}
		n, err := strconv.Atoi(v.Get(name))
		if err != nil || n < 0 || n > 1e6 {
			return s, v.Wrong(name, "this is no number from 0 on")
		}
		set(n)
	}
	if s.fsdMode > 2 {
		return s, v.Wrong("fsdmode", "there are 0, 1 and 2")
	}
	s.filter = filter{
		haveAny: list(v.Get("status_have_any")), haveAll: list(v.Get("status_have_all")),
		notAny: list(v.Get("status_nothave_any")), notAll: list(v.Get("status_nothave_all")),
	}
	if s.strict && s.filter.empty() {
		return s, v.Wrong("strictfiltering", "without a status filter no UPS would ever be good")
	}
	return s, nil
}

func list(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' })
}

// A device is the elected UPS.
type device struct {
	settings
	values  driver.Values
	log     *slog.Logger
	members []*member
	wake    chan struct{}
	timer   *time.Timer
	cancel  context.CancelFunc
	wg      sync.WaitGroup

	opened  time.Time
	primary *member
	before  *ups.Snapshot // what was copied last
	proxied []string      // variables below upstream.driver.
	without time.Time     // since when there is no primary
}

func open(_ context.Context, v driver.Values, log *slog.Logger) (driver.Device, error) {
	s, err := readSettings(v)
	if err != nil {
		return nil, err
	}
	d := &device{settings: s, values: v, log: log, wake: make(chan struct{}, 1), opened: time.Now()}
	d.timer = time.AfterFunc(time.Hour, d.touch)
	var ctx context.Context
	ctx, d.cancel = context.WithCancel(context.Background())
	for _, n := range s.members {
		m := &member{name: n, device: d}
		d.members = append(d.members, m)
		d.wg.Go(func() { m.run(ctx) })
	}
	return d, nil
}

func (d *device) touch() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// Wake receives when one of the drivers has news.
func (d *device) Wake() <-chan struct{} { return d.wake }

// Poll elects and repeats. Init waits for a UPS that is good.
func (d *device) Poll(ctx context.Context, depth driver.Depth, u *driver.Update) error {
	if depth == driver.Init {
		d.before = nil
		d.awaitPrimary(ctx)
		for _, m := range d.members {
			u.Command(m.name+".force.ignore", m.name+".force.primary")
		}
	}
	now := time.Now()
	next := d.elect(now)
	d.timer.Reset(d.nextLook(now))
	var up *upstream.Upstream
	if next != nil {
		up = next.up.Load()
	}
	if up == nil { // or gone this very moment
		return d.noPrimary(now, depth, u)
	}
	d.without = time.Time{}
	if next != d.primary {
		d.log.Warn("elected another primary", "primary", next.name, "priority", next.priority(d, now))
		d.primary = next
	}
	// What goes with an error is not published, so nothing is copied before.
	if up.State().Stale() {
		return fmt.Errorf("%s says: %w", next.name, driver.ErrStale)
	}
	u.Set("experimental.failover.primary", next.name)
	d.copy(up, u)
	return nil
}

// awaitPrimary gives drivers that are just starting their time.
func (d *device) awaitPrimary(ctx context.Context) {
	limit := time.NewTimer(max(d.initTime, leastInit))
	defer limit.Stop()
	look := time.NewTicker(time.Second / 4)
	defer look.Stop()
	for d.elect(time.Now()) == nil {
		select {
		case <-ctx.Done():
			return
		case <-limit.C:
			return
		case <-look.C:
		}
	}
}

// elect returns the member with the best priority, the first of equals.
func (d *device) elect(now time.Time) *member {
	var best *member
	bestPriority := disqualified
	for _, m := range d.members {
		p := m.priority(d, now)
		if p < bestPriority || p == bestPriority && p < disqualified && d.outlasts(m, best) {
			best, bestPriority = m, p
		}
	}
	return best
}

// outlasts reports whether a should be preferred to b for its run-time.
func (d *device) outlasts(a, b *member) bool {
	if !d.runtime || !a.has(ups.OB) || !b.has(ups.OB) {
		return false
	}
	return ups.Atoi(a.state().Value(ups.RuntimeName)) > ups.Atoi(b.state().Value(ups.RuntimeName))
}

// nextLook is how soon priorities may change without a word from anybody.
func (d *device) nextLook(now time.Time) time.Duration {
	next := time.Minute
	for _, m := range d.members {
		for _, at := range []time.Time{m.ignoreUntil(), m.primaryUntil()} {
			if left := at.Sub(now); !at.IsZero() && left > 0 {
				next = min(next, left)
			}
		}
	}
	return next
}

// copy repeats a member. What describes its driver is told below upstream.
func (d *device) copy(up *upstream.Upstream, u *driver.Update) {
	d.before = up.Copy(u, d.before, nil)
	snap := d.before
	old := d.proxied
	d.proxied = nil
	for _, v := range snap.Variables {
		if strings.HasPrefix(v.Name, "driver.") {
			u.Set(prefix+v.Name, v.Value)
			d.proxied = append(d.proxied, v.Name)
		}
	}
	for _, name := range old {
		if _, ok := snap.Variable(name); !ok {
			u.Delete(prefix + name)
		}
	}
	u.Command(prefix + driver.ShutdownDefault)
	status, _ := snap.Variable(ups.StatusName)
	u.Composed()
	u.Status(status.Value)
}

// prefix marks what belongs to the driver of the primary.
const prefix = "upstream."

// noPrimary is what happens while nobody can be believed.
func (d *device) noPrimary(now time.Time, depth driver.Depth, u *driver.Update) error {
	if d.without.IsZero() {
		d.without = now
		if d.primary != nil {
			d.log.Warn("no UPS is good enough to be primary any more")
		}
	}
	err := fmt.Errorf("no UPS is good enough to be primary: %w", driver.ErrStale)
	patience := d.noPrimaryTime
	if since := now.Sub(d.opened); d.primary == nil && since < d.initTime {
		patience = max(patience, d.initTime-since)
	}
	over := now.Sub(d.without) - patience
	switch {
	case over < 0 && d.primary != nil:
		u.Keep() // a moment without is nothing
		d.timer.Reset(min(-over, time.Minute))
		return nil
	case over < 0 && depth != driver.Init, d.fsdMode == 0, d.fsdMode == 1 && over > staleLater:
		return err
	}
	if d.primary != nil {
		d.log.Error("still no UPS is good enough to be primary", "fsdmode", d.fsdMode)
		d.primary = nil
	}
	d.timer.Reset(staleLater)
	u.Alarm("No suitable primary UPS")
	u.Set("experimental.failover.primary", "")
	if d.fsdMode == 2 {
		u.Status(ups.FSD)
	}
	return nil
}

// Command forces an election, or is passed on to the primary.
func (d *device) Command(ctx context.Context, name, param string) error {
	for _, m := range d.members {
		switch name {
		case m.name + ".force.ignore":
			return m.force(&m.ignore, param)
		case m.name + ".force.primary":
			return m.force(&m.prefer, param)
		}
	}
	if d.primary == nil {
		return fmt.Errorf("no UPS is primary: %w", driver.ErrFailed)
	}
	name = strings.TrimPrefix(name, prefix)
	return d.primary.perform(ctx, drvsock.Request{Name: name, Value: param, HasValue: param != ""})
}

// Set is passed on to the primary.
func (d *device) Set(ctx context.Context, name, value string) error {
	if d.primary == nil {
		return fmt.Errorf("no UPS is primary: %w", driver.ErrFailed)
	}
	return d.primary.perform(ctx, drvsock.Request{
		Set: true, Name: strings.TrimPrefix(name, prefix), Value: value, HasValue: true})
}

// Close lets go of all drivers.
func (d *device) Close() error {
	d.timer.Stop()
	d.cancel()
	d.wg.Wait()
	return nil
}
