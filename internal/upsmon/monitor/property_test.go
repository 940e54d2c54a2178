package monitor

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"gonut/internal/conf"
)

var steps = flag.Int("steps", 1_000_000, "how many random steps TestRandomStreams takes")

// TestRandomStreams plays random hosts with random outages and checks what must
// always hold against an oracle that knows the rules in another form:
//
//   - no shutdown begins while enough UPSes are healthy beyond doubt;
//   - one has begun soon after too few are left beyond doubt;
//   - phases only move forward, FSD and shutdown come once and in time;
//   - the UPS is switched off only for a host that depends on one, after the
//     decision is final;
//   - people are told what has happened, and nothing twice (see noticeOracle);
//   - the report does not contradict itself;
//   - a reload of the same configuration changes nothing;
//   - timers always move on.
func TestRandomStreams(t *testing.T) {
	total := *steps
	if testing.Short() {
		total /= 20
	}
	shutdowns, worlds := 0, 0
	for seed := uint64(1); total > 0; seed++ {
		w := newRandomWorld(t, seed)
		total -= w.run(min(total, 3000))
		if t.Failed() {
			t.Fatalf("seed %d; the last events:\n%s", seed, strings.Join(w.log[max(0, len(w.log)-30):], "\n"))
		}
		worlds++
		if w.m.Phase() > Watching {
			shutdowns++
		}
	}
	t.Logf("%d hosts, %d shutdowns", worlds, shutdowns)
	if shutdowns == 0 || shutdowns == worlds {
		t.Errorf("shutdowns = %d of %d hosts; the streams prove nothing", shutdowns, worlds)
	}
}

// A randomWorld is one host, its UPSes as they really are, and the oracle.
type randomWorld struct {
	t     *testing.T
	rnd   *rand.Rand
	m     *Monitor
	conf  conf.UPSMon
	now   time.Time
	start time.Time
	every time.Duration
	ups   []*randomUPS
	log   []string
	late  []Event // answers that are on their way

	expected []string // notifications that the next event brings
	steps    int

	asleep      bool
	tooFewSince time.Time // beyond doubt
	decided     time.Time
	shutdown    time.Time
	phase       Phase
	userFSD     bool
	ended       bool
}

// A randomUPS is a UPS, what the monitor was told of it, and what follows.
type randomUPS struct {
	conf   conf.Monitor
	status string // as it is; empty: it cannot be reached
	pollAt time.Time

	told      flags // of the last good poll
	lost      bool
	reached   bool
	unsure    bool
	lastGood  time.Time
	lostAt    time.Time
	lowSince  time.Time // since when every good poll said OB LB and no CAL; kept while lost
	lowMaybe  time.Time // the same, or since it was heard of last before that
	offSince  time.Time
	overSince time.Time
	runtime   time.Duration
	rules     []*randomRule
	notices   *noticeOracle
}

// A randomRule is a SHUTDOWNWHEN of a UPS.
type randomRule struct {
	conf.ShutdownWhen
	sure  time.Time // since when it certainly holds
	maybe time.Time // since when it may
}

func newRandomWorld(t *testing.T, seed uint64) *randomWorld {
	rnd := rand.New(rand.NewPCG(seed, 2))
	pick := func(ns ...int) time.Duration { return time.Duration(ns[rnd.IntN(len(ns))]) * time.Second }
	c, _, err := conf.ParseUPSMon("upsmon.conf", strings.NewReader(""))
	if err != nil {
		t.Fatal(err)
	}
	c.PollFreq, c.PollFreqAlert = pick(1, 5, 5, 5, 30), pick(1, 5, 5, 5, 10)
	c.DeadTime, c.HostSync, c.FinalDelay = pick(15, 15, 15, 5, 60), pick(15, 15, 0, 60), pick(5, 5, 0, 30)
	c.OffDuration, c.OverDuration, c.OBLBDuration = pick(30, 30, -1, 0), pick(-1, -1, 0, 20), pick(0, 0, 0, 10, 60)
	c.NoCommWarnTime, c.RBWarnTime = pick(300, 0, 20), pick(43200, 0, 20)
	c.AlarmCritical = rnd.IntN(3) > 0
	c.ShutdownExit = pick(0, 0, -1, 5)
	c.Rules.LostCommsNUT = rnd.IntN(2) == 0
	for i := range 1 + rnd.IntN(3) {
		c.Monitors = append(c.Monitors, conf.Monitor{
			System: string(rune('a'+i)) + "@h", PowerValue: rnd.IntN(3), Primary: rnd.IntN(2) == 0,
		})
	}
	c.MinSupplies = rnd.IntN(Total(c) + 1)
	if rnd.IntN(3) == 0 {
		c.Rules.ShutdownWhen = append(c.Rules.ShutdownWhen,
			conf.ShutdownWhen{System: "*", Measure: conf.OnBattery, For: pick(20, 300)},
			conf.ShutdownWhen{System: "a@h", Measure: conf.ChargeBelow, Limit: 50, For: pick(0, 12, 60)})
	}
	if rnd.IntN(3) == 0 {
		c.Rules.HoldOffs = append(c.Rules.HoldOffs, conf.HoldOff{System: "*", Token: "OFF", For: pick(5, 40)},
			conf.HoldOff{System: "a@h", Token: "LB", For: pick(5, 40)})
	}
	w := &randomWorld{t: t, rnd: rnd, conf: c, m: New(c), start: time.Unix(1e9, 0)}
	w.now = w.start
	for _, mc := range c.Monitors {
		u := &randomUPS{conf: mc, status: "OL", pollAt: w.now, runtime: -1, notices: newNoticeOracle()}
		for _, r := range c.Rules.ShutdownWhen {
			if r.System == "*" || r.System == mc.System {
				u.rules = append(u.rules, &randomRule{ShutdownWhen: r})
			}
		}
		w.ups = append(w.ups, u)
	}
	w.step(Started{})
	if w.every == 0 {
		t.Errorf("seed %d: nobody is told how often to poll", seed)
	}
	return w
}

// run plays at most n steps and returns how many there were.
func (w *randomWorld) run(n int) int {
	taken := 0
	for taken < n && !w.ended && !w.t.Failed() {
		taken += w.advance()
		w.check()
	}
	return max(taken, 1)
}

// advance goes to the next thing that happens: a poll, a timer or a surprise.
func (w *randomWorld) advance() int {
	next := w.now.Add(time.Duration(w.rnd.IntN(3000)) * time.Millisecond)
	var u *randomUPS
	for _, x := range w.ups {
		if !x.pollAt.After(next) {
			next, u = x.pollAt, x
		}
	}
	if d := w.m.Deadline(); !d.IsZero() && !d.After(next) {
		if d.Before(w.now) {
			w.t.Errorf("deadline is %s in the past", w.now.Sub(d))
		}
		w.now = d
		w.step(Tick{})
		if d := w.m.Deadline(); !d.IsZero() && !d.After(w.now) {
			w.t.Errorf("deadline %s after a tick is not in the future", d.Sub(w.start))
		}
		return 1
	}
	w.now = next
	if u != nil {
		w.poll(u)
		return 1
	}
	return w.surprise()
}

func (w *randomWorld) poll(u *randomUPS) {
	u.pollAt = w.now.Add(w.every)
	if u.status == "" {
		w.tellLost(u)
		return
	}
	w.tellStatus(u)
}

func (w *randomWorld) tellLost(u *randomUPS) {
	if u.unsure {
		*u = randomUPS{conf: u.conf, status: u.status, pollAt: u.pollAt, runtime: -1, rules: u.rules, notices: u.notices}
		for _, r := range u.rules {
			r.sure, r.maybe = time.Time{}, time.Time{}
		}
	}
	if !u.lost {
		u.lostAt = w.now
	}
	u.lost = true
	w.expected = u.notices.lostPoll(w)
	w.step(Lost{UPS: u.conf.System, Waited: time.Duration(w.rnd.IntN(11)) * second})
}

func (w *randomWorld) tellStatus(u *randomUPS) {
	f := parse(u.status)
	if f&(flagOL|flagOB) == 0 {
		f |= u.told & (flagOL | flagOB)
	}
	since := func(t *time.Time, on bool) {
		if !on {
			*t = time.Time{}
		} else if t.IsZero() {
			*t = w.now
		}
	}
	low := f&(flagOB|flagLB|flagCAL) == flagOB|flagLB
	dead := u.told.has(flagOB) && w.now.Sub(u.lastGood) > w.conf.DeadTime
	calibrated := u.told.has(flagOB | flagLB | flagCAL)
	if low && u.lowMaybe.IsZero() && (dead || calibrated) {
		u.lowMaybe = u.lastGood // it was not critical then, and may have been ever since
	}
	since(&u.lowSince, low)
	since(&u.lowMaybe, low)
	since(&u.offSince, f.has(flagOFF))
	since(&u.overSince, f.has(flagOVER))
	u.told, u.lost, u.reached, u.unsure, u.lastGood = f, false, true, false, w.now
	st := Status{UPS: u.conf.System, Status: u.status, Partial: w.rnd.IntN(30) == 0}
	if !st.Partial {
		u.runtime = -1
		st.Buzzwords = []string{"", "", "vendor:x:ECO"}[w.rnd.IntN(3)]
		if HasAlarm(u.status) {
			st.Alarm = []string{"", "fan", "fan", "fan and charger"}[w.rnd.IntN(4)]
		}
	}
	charge := 100
	for _, name := range Variables(w.conf, u.conf.System, u.status) {
		if st.Partial || w.rnd.IntN(3) == 0 {
			continue // the server falls silent, or the device has none
		}
		n := w.rnd.IntN(400)
		switch name {
		case runtimeName:
			u.runtime = time.Duration(n) * time.Second
		case chargeName:
			n = []int{20, 20, 20, 20, 80}[w.rnd.IntN(5)]
			charge = n
		}
		st.Values = append(st.Values, Value{name, fmt.Sprint(n)})
	}
	for _, r := range u.rules {
		onBattery := f.has(flagOB) && !f.has(flagCAL)
		holds := onBattery && (r.Measure == conf.OnBattery || charge < int(r.Limit))
		since(&r.sure, holds)
		since(&r.maybe, holds || st.Partial && onBattery)
	}
	w.expected = u.notices.status(w, st)
	w.step(st)
}

// held is how long OFF is ignored at first.
func (w *randomWorld) held() time.Duration {
	for _, h := range w.conf.Rules.HoldOffs {
		if h.Token == "OFF" {
			return h.For
		}
	}
	return 0
}

// surprise changes the world, or tells the monitor something odd.
func (w *randomWorld) surprise() int {
	u := w.ups[w.rnd.IntN(len(w.ups))]
	if len(w.late) > 0 && w.rnd.IntN(3) == 0 {
		ev := w.late[0]
		w.late = w.late[1:]
		w.step(ev)
		return 1
	}
	inShutdown := w.m.Phase() == Telling || w.m.Phase() == Waiting
	switch n := w.rnd.IntN(400); {
	case n < 30 && inShutdown: // what must neither stop nor repeat it
		w.step([]Event{UserFSD{}, Stop{}, Resumed{}, ParentGone{}}[w.rnd.IntN(4)])
		return 1
	case n < 40:
		u.status = ""
	case n < 120:
		u.status = w.randomStatus()
	case n < 200:
		u.status = "OL"
	case n < 206:
		w.reload()
		return 1
	case n < 208:
		set := w.rnd.IntN(2) == 0
		if w.m.Phase() == Watching && !set {
			w.doubt()
		}
		w.step(ClockJump{By: time.Hour, Set: set})
		return 1
	case n == 208:
		w.asleep = w.asleep || w.m.Phase() == Watching
		w.step(Suspending{})
		return 1
	case n < 214 && w.asleep:
		w.asleep = false
		if w.m.Phase() == Watching {
			w.doubt()
			w.beginAnew()
		}
		w.step(Resumed{})
		return 1
	case n == 214 && w.rnd.IntN(20) == 0:
		w.userFSD = true
		w.step(UserFSD{})
		return 1
	case n == 215 && w.m.Phase() == Staying:
		w.step(Stop{})
		return 1
	case n == 216:
		w.step(ParentGone{})
		return 1
	}
	return 0
}

func (w *randomWorld) doubt() {
	for _, u := range w.ups {
		u.unsure = true
		u.notices.doubt(w.now)
		if u.reached {
			u.lastGood = w.now
		}
	}
}

// beginAnew is for after a sleep: what lasted before it does not count.
func (w *randomWorld) beginAnew() {
	for _, u := range w.ups {
		clear(u.notices.held)
		for _, t := range []*time.Time{&u.offSince, &u.overSince, &u.lowSince, &u.lowMaybe} {
			if !t.IsZero() {
				*t = w.now
			}
		}
		for _, r := range u.rules {
			r.sure, r.maybe = time.Time{}, time.Time{}
		}
	}
}

// reload loads the same configuration again, which must not be noticed.
func (w *randomWorld) reload() {
	w.step(Tick{})
	before := fmt.Sprint(w.m.Units(w.now))
	w.step(Reloaded{Config: w.conf})
	if after := fmt.Sprint(w.m.Units(w.now)); before != after {
		w.t.Errorf("reload changed what is known:\n%s\n%s", before, after)
	}
}

func (w *randomWorld) randomStatus() string {
	ts := []string{[]string{"OL", "OB", "OB", "OB LB", "OB LB", ""}[w.rnd.IntN(6)]}
	for _, t := range []string{"LB", "CAL", "OFF", "BYPASS", "ALARM", "OVER", "FSD", "RB", "TRIM", "BOOST", "ECO", "HB", "XYZ", "ABC"} {
		if w.rnd.IntN(12) == 0 {
			ts = append(ts, t)
		}
	}
	return strings.TrimSpace(strings.Join(ts, " "))
}

// step hands an event to the monitor, checks the actions and answers them.
func (w *randomWorld) step(ev Event) {
	if w.ended {
		return
	}
	w.note("%s", ev)
	if ev, ok := ev.(FSDSet); ok {
		w.expected = w.find(ev.UPS).notices.fsdSet(ev)
	}
	as := w.m.Step(w.now, ev)
	w.checkNotices(ev, as)
	var answers []Event
	for _, a := range as {
		w.note("  %s", a)
		switch a := a.(type) {
		case PollEvery:
			if a.D < time.Second {
				w.t.Errorf("poll every %s", a.D)
			}
			w.every = a.D
			for _, u := range w.ups {
				if t := w.now.Add(a.D); t.Before(u.pollAt) {
					u.pollAt = t
				}
			}
		case Decide:
			w.decide(a.Decision)
		case SetFSD:
			if w.decided.IsZero() {
				w.t.Errorf("FSD before the decision")
			}
			answers = w.answer(answers, FSDSet{UPS: a.UPS, Err: []string{"", "", "refused"}[w.rnd.IntN(3)]})
		case AskLogins:
			answers = w.answer(answers, Logins{UPS: a.UPS, N: w.rnd.IntN(4)})
		case Poll:
			if u := w.find(a.UPS); w.rnd.IntN(4) > 0 {
				u.pollAt = w.now
			}
		case Reconnect:
			w.find(a.Monitor.System).pollAt = w.now
		case Shutdown:
			w.checkShutdown(a)
		case Exit:
			w.ended = true
			if !w.decided.IsZero() && w.shutdown.IsZero() {
				w.t.Errorf("the end without the shutdown that was decided")
			}
		}
	}
	if p := w.m.Phase(); p < w.phase {
		w.t.Errorf("phase went back from %s to %s", w.phase, p)
	} else {
		w.phase = p
	}
	if w.steps++; w.steps%20 == 0 && w.phase == Watching {
		w.checkReport()
	}
	for _, a := range answers {
		w.step(a)
	}
}

// answer adds what a server says to the answers, or lets it come late or never.
func (w *randomWorld) answer(answers []Event, ev Event) []Event {
	switch w.rnd.IntN(20) {
	case 0:
		return answers
	case 1, 2, 3:
		w.late = append(w.late, ev)
		return answers
	}
	return append(answers, ev)
}

func (w *randomWorld) find(system string) *randomUPS {
	for _, u := range w.ups {
		if u.conf.System == system {
			return u
		}
	}
	return nil
}

// note remembers what happened, for a failure. Formatting costs too much to do it
// for every run.
func (w *randomWorld) note(format string, what fmt.Stringer) {
	if testing.Verbose() {
		w.log = append(w.log, fmt.Sprintf("%8s "+format, w.now.Sub(w.start), what))
	}
}

func (w *randomWorld) decide(d Decision) {
	switch {
	case !w.decided.IsZero():
		w.t.Errorf("a second decision")
	case w.asleep && d.Rule == RuleTooFew.String():
		w.t.Errorf("a decision while asleep")
	}
	w.decided = w.now
	if d.Cause == "" || len(d.Otherwise) == 0 {
		w.t.Errorf("decision %+v does not explain itself", d)
	}
	if d.Rule == RuleUser.String() {
		if !w.userFSD {
			w.t.Errorf("nobody asked for a shutdown")
		}
		return
	}
	healthy := 0
	for _, u := range w.ups {
		if w.healthy(u) {
			healthy += u.conf.PowerValue
		}
	}
	if healthy >= w.conf.MinSupplies {
		w.t.Errorf("shutdown with %d healthy beyond doubt and %d needed: %s", healthy, w.conf.MinSupplies, d.Cause)
	}
}

func (w *randomWorld) checkShutdown(a Shutdown) {
	switch depends := w.conf.MinSupplies > 0 && Total(w.conf) > 0; {
	case !w.shutdown.IsZero():
		w.t.Errorf("a second shutdown")
	case w.decided.IsZero():
		w.t.Errorf("a shutdown without a decision")
	case w.now.Sub(w.decided) < w.conf.FinalDelay:
		w.t.Errorf("shutdown %s after the decision; FINALDELAY is %s", w.now.Sub(w.decided), w.conf.FinalDelay)
	case w.now.Sub(w.decided) > w.conf.HostSync+second+w.conf.FinalDelay:
		w.t.Errorf("shutdown %s after the decision; HOSTSYNC is %s and FINALDELAY %s", w.now.Sub(w.decided), w.conf.HostSync, w.conf.FinalDelay)
	case a.PowerDown != depends:
		w.t.Errorf("power-down flag = %t; want %t", a.PowerDown, depends)
	}
	w.shutdown = w.now
}

// check compares where the monitor stands with the oracle.
func (w *randomWorld) check() {
	left := 0
	for _, u := range w.ups {
		if !w.critical(u) {
			left += u.conf.PowerValue
		}
	}
	if left >= w.conf.MinSupplies || w.asleep {
		w.tooFewSince = time.Time{}
		return
	}
	if w.tooFewSince.IsZero() {
		w.tooFewSince = w.now
	}
	if w.now.Sub(w.tooFewSince) > confirmWait && w.m.Phase() == Watching {
		w.t.Errorf("no shutdown for %s with %d left and %d needed", w.now.Sub(w.tooFewSince), left, w.conf.MinSupplies)
	}
}

// healthy reports whether no rule can make the UPS critical now.
func (w *randomWorld) healthy(u *randomUPS) bool {
	c := &w.conf
	silent := w.now.Sub(u.lastGood)
	switch f := u.told; {
	case !u.reached || u.unsure:
		return true
	case f.has(flagFSD):
		return false
	case f.has(flagOFF) && c.OffDuration >= 0 && (w.now.Sub(u.offSince) > c.OffDuration || c.OffDuration == 0 || u.lost && c.Rules.LostCommsNUT):
		return false
	case u.lost && f.has(flagOVER) && c.OverDuration >= 0 && w.now.Sub(u.overSince) >= c.OverDuration:
		return false
	case u.lost && (f.has(flagALARM) && c.AlarmCritical || f&(flagCAL|flagBYPASS) != 0) && (c.Rules.LostCommsNUT || silent > c.DeadTime):
		return false
	case f.has(flagOB) && silent > c.DeadTime:
		return false
	case slices.ContainsFunc(u.rules, func(r *randomRule) bool { return !u.lost && !r.maybe.IsZero() && w.now.Sub(r.maybe) >= r.For }):
		return false
	case u.lowMaybe.IsZero():
		return true
	}
	low := w.now.Sub(u.lowMaybe)
	return low < c.OBLBDuration || !u.conf.Primary && low <= c.HostSync
}

// critical reports whether some rule makes the UPS critical now, with a second to
// spare.
func (w *randomWorld) critical(u *randomUPS) bool {
	c := &w.conf
	silent := w.now.Sub(u.lastGood) - second
	switch f := u.told; {
	case !u.reached || u.unsure:
		return false
	case f.has(flagFSD):
		return true
	case f.has(flagOFF) && c.OffDuration >= 0 && u.lastGood.Sub(u.offSince) > w.held()+w.every && w.now.Sub(u.offSince) > c.OffDuration+second+w.held()+w.every:
		return true
	case u.lost && f.has(flagOFF) && c.OffDuration >= 0 && c.Rules.LostCommsNUT && u.lastGood.Sub(u.offSince) > w.held():
		return true
	case slices.ContainsFunc(u.rules, func(r *randomRule) bool { return !u.lost && !r.sure.IsZero() && w.now.Sub(r.sure) > r.For+second }):
		return true
	case u.lost && (f.has(flagALARM) && c.AlarmCritical || f&(flagCAL|flagBYPASS) != 0) && (c.Rules.LostCommsNUT || silent > max(c.DeadTime, u.runtime-c.Rules.Margin)):
		return true
	case u.lost && f.has(flagOB) && !f.has(flagCAL) && min(silent-c.DeadTime, w.now.Sub(u.lostAt)-second) > c.OBLBDuration+c.HostSync:
		return true
	case u.lowSince.IsZero():
		return false
	}
	low := w.now.Sub(u.lowSince)
	return low >= c.OBLBDuration && (u.conf.Primary || low > c.HostSync+second)
}
