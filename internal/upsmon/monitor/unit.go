package monitor

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"gonut/internal/conf"
)

// flags are the status tokens that count, as one set.
type flags uint16

const (
	flagOL flags = 1 << iota
	flagOB
	flagLB
	flagRB
	flagFSD
	flagCAL
	flagOFF
	flagBYPASS
	flagECO
	flagALARM
	flagOVER
	flagTRIM
	flagBOOST
	flagIgnored // HB, CHRG, DISCHRG: known, but nothing follows from them
)

var tokens = map[string]flags{
	"OL": flagOL, "OB": flagOB, "LB": flagLB, "RB": flagRB, "FSD": flagFSD, "CAL": flagCAL, "OFF": flagOFF,
	"BYPASS": flagBYPASS, "ECO": flagECO, "ALARM": flagALARM, "OVER": flagOVER, "TRIM": flagTRIM,
	"BOOST": flagBOOST, "HB": flagIgnored, "CHRG": flagIgnored, "DISCHRG": flagIgnored,
}

// token returns the flag of a token, 0 for one that is not classified.
func token(s string) flags {
	if f, ok := tokens[s]; ok {
		return f
	}
	return tokens[strings.ToUpper(s)]
}

// parse returns the set of tokens of a status.
func parse(status string) flags {
	var fs flags
	for s := range strings.FieldsSeq(status) {
		fs |= token(s)
	}
	return fs
}

func (f flags) has(g flags) bool { return f&g == g }

type comm uint8

const (
	commUnknown comm = iota // never reached
	commLost
	commOK
)

var commNames = [...]string{"never reached", "lost", "ok"}

func (c comm) String() string { return commNames[c] }

// A unit is all that is remembered of one UPS. Times are zero when the thing they
// tell of is not the case.
type unit struct {
	conf  conf.Monitor
	rules []*condition
	holds []*holdOff

	flags flags
	comm  comm
	raw   string   // ups.status as it came last
	other []string // tokens that nobody knows, sorted
	alarm string   // ups.alarm

	lastPoll    time.Time // good ones only; also the last wake-up of the OS
	asked       time.Time // what the last poll tells of, good or failed
	lostSince   time.Time
	lostWhy     string    // empty unless it is lost
	lastNonCrit time.Time // when it was last seen not on low battery
	lastRB      time.Time // when REPLBATT was sent
	lastNoComm  time.Time // when NOCOMM was sent
	obSince     time.Time
	offSince    time.Time
	overSince   time.Time
	oblbSince   time.Time // when OBLBDURATION began
	fsdNotified bool
	promoted    bool // LB was concluded from silence
	unsure      bool // not read since the OS woke up
	lineKnown   bool // OL or OB was seen before: the next OL is news

	runtime   time.Duration // battery.runtime, negative if not known
	runtimeAt time.Time

	loggedIn, primary bool // as the server granted
	loginAsked        bool
	loginErr          string

	fsdPending bool // SetFSD is not answered yet
	others     int  // how many other hosts are logged in, by the latest answer to AskLogins
	round      int  // the round of asking that the latest answer, good or bad, belongs to

	verdict verdict
	next    time.Time // when the verdict changes by itself
}

func newUnit(c conf.Monitor, rules conf.MonitorRules) *unit {
	u := &unit{conf: c, runtime: -1}
	u.setRules(rules)
	return u
}

func (u *unit) setRules(r conf.MonitorRules) {
	u.rules = mergeConditions(u.rules, r.ShutdownWhen, u.conf.System)
	u.holds = mergeHoldOffs(u.holds, r.HoldOffs, u.conf.System)
}

// connected takes in how a login went. Whoever polls without being counted must
// know: the primary will not wait for this host.
func (m *Monitor) connected(u *unit, ev Connected) {
	u.loggedIn, u.primary = ev.LoggedIn, ev.Primary
	first := !u.loginAsked
	u.loginAsked = true
	if ev.Err == u.loginErr && !first {
		return
	}
	u.loginErr = ev.Err
	if ev.Err != "" {
		m.logf(LevelAlert, u.conf.System, "", "UPS [%s]: %s", u.conf.System, ev.Err)
		m.notify(NoLogin, u, ev.Err, "polling goes on, the login is tried again")
		return
	}
	if ev.LoggedIn {
		m.logf(LevelInfo, u.conf.System, "", "Logged in to UPS [%s] as %s", u.conf.System, roleName(ev.Primary))
	}
}

// lost takes in a failed poll.
func (m *Monitor) lost(u *unit, ev Lost) {
	if u.unsure {
		u.forget()
	}
	u.lostWhy, u.asked = ev.Err, m.now.Add(-ev.Waited)
	if ev.Closed {
		u.loggedIn, u.primary = false, false
	}
	if u.comm != commLost {
		u.comm = commLost
		u.lostSince = m.now
		m.notify(CommBad, u, "", ev.Err)
		return
	}
	w := m.conf.NoCommWarnTime
	longAgo := u.lastPoll.IsZero() || m.now.Sub(u.lastPoll) >= w
	if longAgo && (u.lastNoComm.IsZero() || more(m.now, u.lastNoComm, w)) {
		u.lastNoComm = m.now
		m.notify(NoComm, u, "", ev.Err)
	}
}

// forget drops what was known before the operating system slept: it may be hours
// old, and nothing newer can be had.
func (u *unit) forget() {
	*u = unit{
		conf: u.conf, rules: u.rules, holds: u.holds, comm: u.comm, lastPoll: u.lastPoll, lostSince: u.lostSince, lostWhy: u.lostWhy,
		lastRB: u.lastRB, lastNoComm: u.lastNoComm, loggedIn: u.loggedIn, primary: u.primary,
		loginAsked: u.loginAsked, loginErr: u.loginErr, runtime: -1,
	}
	for _, c := range u.rules {
		c.since = time.Time{}
	}
}

// status takes in a good poll.
func (m *Monitor) status(u *unit, ev Status) {
	fields := strings.Fields(ev.Status)
	if len(fields) == 0 {
		m.lost(u, Lost{UPS: u.conf.System, Err: "the status is empty"})
		return
	}
	if u.comm == commLost {
		m.notify(CommOK, u, "", "")
	}
	u.comm, u.lastPoll, u.asked, u.lostSince, u.lostWhy = commOK, m.now, m.now, time.Time{}, ""
	u.unsure = false
	u.raw = ev.Status
	if !ev.Partial {
		u.readRuntime(m.now, ev.Values)
	}
	fields = u.holdOff(fields, m.now)
	m.leave(u, fields, economy(ev.Buzzwords) || ev.Partial && u.flags.has(flagECO))
	u.noteNonCritical(m.now)
	line := lineState(fields)
	for _, f := range fields {
		switch t := token(f); t {
		case flagOL, flagOB:
			if t == line {
				m.line(u, t)
			}
		default:
			m.token(u, t, ev)
		}
	}
	if economy(ev.Buzzwords) {
		m.edge(u, flagECO, Eco, "")
	}
	m.others(u, fields)
	u.promoted = false
	u.noteNonCritical(m.now)
	m.waitForLowBattery(u)
	u.observe(m.now, ev.Values, ev.Partial)
	m.tellBlind(u)
}

// noteNonCritical notes the time unless the UPS is on battery, low and in earnest.
// C looks after every token, so the first reading of a low battery still counts as
// a moment when it was not.
func (u *unit) noteNonCritical(now time.Time) {
	if u.flags&(flagOB|flagLB|flagCAL) != flagOB|flagLB {
		u.lastNonCrit = now
	}
}

// lineState returns which of OL and OB the status says; of both, the later one.
func lineState(fields []string) flags {
	var line flags
	for _, f := range fields {
		if t := token(f); t == flagOL || t == flagOB {
			line = t
		}
	}
	return line
}

// economy reports whether the mode of the UPS, in its vendor's words, is an
// economy mode.
func economy(words string) bool {
	for w := range strings.FieldsSeq(strings.ToUpper(words)) {
		for _, eco := range [...]string{":ECO", ":ESS", ":HE", ":SMART"} {
			if strings.HasSuffix(w, eco) || strings.Contains(w, eco+":") {
				return true
			}
		}
	}
	return false
}

// A leaving is a flag whose end is told, and how.
type leaving struct {
	flag   flags
	notice NotifyType
}

// leavings are in the order in which C looks for the end of each.
var leavings = [...]leaving{
	{flagCAL, NotCal}, {flagOFF, NotOff}, {flagBYPASS, NotBypass}, {flagALARM, NotAlarm},
	{flagOVER, NotOver}, {flagTRIM, NotTrim}, {flagBOOST, NotBoost}, {flagECO, NotEco},
}

// leave ends what the status no longer says.
func (m *Monitor) leave(u *unit, fields []string, eco bool) {
	var now flags
	for _, f := range fields {
		now |= token(f)
	}
	if eco {
		now |= flagECO
	}
	gone := u.flags &^ now &^ (flagOL | flagOB) // the line state stays until another comes
	u.flags &^= gone
	if now&flagFSD == 0 {
		u.fsdNotified = false
	}
	for _, l := range leavings {
		if gone.has(l.flag) {
			m.notify(l.notice, u, "", "")
		}
	}
	if gone.has(flagOFF) {
		u.offSince = time.Time{}
	}
	if gone.has(flagOVER) {
		u.overSince = time.Time{}
	}
	if gone.has(flagALARM) {
		u.alarm = ""
	}
}

// token takes in one token, except for OL, OB and those that nobody knows.
func (m *Monitor) token(u *unit, f flags, ev Status) {
	switch f {
	case flagLB:
		if !m.edge(u, f, LowBatt, "") && u.promoted {
			u.promoted = false
			m.notify(LowBatt, u, "", "assumed before, now the UPS says so")
		}
	case flagRB:
		if u.lastRB.IsZero() || more(m.now, u.lastRB, m.conf.RBWarnTime) {
			u.lastRB = m.now
			m.notify(ReplBatt, u, "", "")
		}
	case flagCAL:
		m.edge(u, f, Cal, "")
	case flagOFF:
		if m.edge(u, f, Off, "") {
			u.offSince = m.now
		}
	case flagBYPASS:
		m.edge(u, f, Bypass, "")
	case flagECO:
		m.edge(u, f, Eco, "")
	case flagALARM:
		m.alarm(u, ev.Alarm)
	case flagOVER:
		if m.edge(u, f, Over, "") {
			u.overSince = m.now
		}
	case flagTRIM:
		m.edge(u, f, Trim, "")
	case flagBOOST:
		m.edge(u, f, Boost, "")
	case flagFSD:
		u.flags |= f
		if !u.fsdNotified {
			u.fsdNotified = true
			m.notify(FSD, u, "", "")
		}
	}
}

// edge sets a flag and tells of it if it is new.
func (m *Monitor) edge(u *unit, f flags, t NotifyType, extra string) bool {
	if u.flags.has(f) {
		return false
	}
	u.flags |= f
	m.notify(t, u, extra, "")
	return true
}

// alarm tells of an alarm and of each change of its text. A text that cannot be
// had says nothing new.
func (m *Monitor) alarm(u *unit, text string) {
	if u.flags.has(flagALARM) {
		if text != "" && text != u.alarm {
			u.alarm = text
			m.notify(Alarm, u, text, "other alarms than before")
		}
		return
	}
	if text == "" {
		text = "n/a"
	}
	u.alarm = text
	m.edge(u, flagALARM, Alarm, text)
}

// line takes in OL or OB.
func (m *Monitor) line(u *unit, t flags) {
	if u.flags.has(t) {
		return
	}
	if t == flagOB {
		m.notify(OnBatt, u, "", "")
		u.obSince = m.now
	} else {
		if u.lineKnown {
			m.notify(Online, u, "", "")
		}
		u.obSince = time.Time{}
	}
	u.flags = u.flags&^(flagOL|flagOB) | t
	u.lineKnown = true
}

// others tells of tokens that nobody knows when their set changes.
func (m *Monitor) others(u *unit, fields []string) {
	var set []string
	for _, f := range fields {
		if token(f) == 0 && !slices.Contains(set, f) {
			set = append(set, f)
		}
	}
	if len(set) == 0 && len(u.other) == 0 {
		return
	}
	same := len(set) == len(u.other)
	for _, f := range set {
		same = same && slices.Contains(u.other, f)
	}
	u.other = set
	switch {
	case same:
	case len(set) == 0:
		m.notify(NotOther, u, "", "")
	default:
		m.notify(Other, u, strings.Join(set, " "), "")
	}
}

// readRuntime notes how long the battery would last, for the case that the UPS is
// lost.
func (u *unit) readRuntime(now time.Time, vs []Value) {
	if s, ok := number(vs, runtimeName); ok {
		u.runtime, u.runtimeAt = time.Duration(s*float64(time.Second)), now
		return
	}
	u.runtime = -1
}

// number returns a variable as a finite number that is not negative.
func number(vs []Value, name string) (float64, bool) {
	for _, v := range vs {
		if v.Name != name {
			continue
		}
		f, err := strconv.ParseFloat(strings.TrimSpace(v.Value), 64)
		return f, err == nil && f >= 0 && f < 1e9
	}
	return 0, false
}
