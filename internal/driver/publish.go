package driver

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"gonut/internal/ups"
)

// publish makes what a poll learned the truth, in one step.
func (l *loop) publish(depth Depth, started time.Time, u *Update) {
	if u.keep {
		u.status, u.alarms, u.buzzwords = l.last.status, l.last.alarms, l.last.buzzwords
	}
	tokens, explicit := u.takeStatus()
	u.status = append(u.status, tokens...)
	l.last = Update{status: u.status, alarms: u.alarms, buzzwords: u.buzzwords}
	cs := l.statusChanges(u, explicit)
	cs = append(cs, l.narrowed(depth, u)...)
	cs = append(cs, u.changes...)
	if depth == Init {
		cs = append(cs, l.vanished(u)...)
		cs = append(cs, l.opened(u)...)
	}
	cs = append(cs, l.missed(u)...)
	cs = append(cs, ups.Set(ups.DriverState, "quiet"))
	if !u.missedStatus() {
		l.held = held{}
		cs = append(cs, ups.Change{Op: ups.DelInfo, Name: dataAgeName}, ups.Change{Op: ups.DataOK})
	}
	l.remember(u)
	l.state.Apply(cs...)
	l.applyDefaults()
	if u.missedStatus() {
		l.hold(started, started.Add(holdOver))
	} else {
		l.lastRead = time.Now()
	}
	if l.failures > 0 || l.tries > 0 || l.lastErr != "" {
		l.log.Info("device answers again", "tries", l.tries)
	}
	l.failures, l.lastErr = 0, ""
	l.tape.Release()
	if depth == Init {
		l.open = true
		l.tries = 0
		l.checkThreshold()
	}
	l.becomeReady()
	if l.hooks.Polled != nil {
		l.hooks.Polled()
	}
}

// takeStatus removes the settings of ups.status from an update and returns the
// last one, if there is any: tokens by another name.
func (u *Update) takeStatus() (tokens []string, ok bool) {
	u.changes = slices.DeleteFunc(u.changes, func(c ups.Change) bool {
		if c.Op != ups.SetInfo || !strings.EqualFold(c.Name, ups.StatusName) {
			return false
		}
		tokens, ok = c.Args, true
		return true
	})
	return tokens, ok
}

// statusChanges composes ups.alarm, ups.status and the buzzwords of a poll.
func (l *loop) statusChanges(u *Update, explicit bool) []ups.Change {
	cs := make([]ups.Change, 0, len(u.changes)+8) // what else is published comes behind
	alarm, truncated := Alarms(u.alarms)
	if truncated {
		l.log.Debug("ups.alarm does not fit and was cut")
	}
	// A driver may also publish ups.alarm as it stands, without raising one.
	if alarm != "" || !u.keep && !u.sets(ups.AlarmName) {
		cs = append(cs, setOrDelete(ups.AlarmName, alarm))
	}
	in := StatusInput{
		Tokens:     u.status,
		Alarm:      alarm != "",
		IgnoreLB:   l.config.IgnoreLB,
		Charge:     l.newValue(u, ups.ChargeName),
		ChargeLow:  l.newValue(u, ups.ChargeLowName),
		Runtime:    l.newValue(u, ups.RuntimeName),
		RuntimeLow: l.newValue(u, ups.RuntimeLowName),
		LastCharge: l.state.Value(ups.ChargeName),
	}
	if u.composed {
		in.LastCharge = ""
	}
	status, warning := Status(in)
	if warning != "" && warning != l.warning {
		l.log.Warn(warning)
	}
	l.warning = warning
	// What has no status, such as a PDU, does not get an empty one unless the driver
	// insists.
	if _, has := l.state.Variable(ups.StatusName); has || explicit || status != "" {
		cs = append(cs, ups.Set(ups.StatusName, status))
	}
	return append(cs, setOrDelete(ups.BuzzwordsNameTrial, Buzzwords(u.buzzwords)))
}

// newValue returns the value that a variable is about to have.
func (l *loop) newValue(u *Update, name string) string {
	v, ok := l.state.Variable(name)
	if ok && v.Flags&ups.Immutable != 0 {
		return v.Value
	}
	for _, c := range slices.Backward(u.changes) {
		switch {
		case !strings.EqualFold(c.Name, name):
		case c.Op == ups.SetInfo:
			return c.Args[0]
		case c.Op == ups.DelInfo:
			return ""
		}
	}
	return v.Value
}

// sets reports whether the update gives the variable a value.
func (u *Update) sets(name string) bool {
	return slices.ContainsFunc(u.changes, func(c ups.Change) bool {
		return c.Op == ups.SetInfo && strings.EqualFold(c.Name, name)
	})
}

func setOrDelete(name, value string) ups.Change {
	if value == "" {
		return ups.Change{Op: ups.DelInfo, Name: name}
	}
	return ups.Set(name, value)
}

// vanished returns the changes that forget what the device no longer reports after
// it was opened again: it may be another one.
func (l *loop) vanished(u *Update) []ups.Change {
	if len(l.known) == 0 {
		return nil
	}
	still := make(map[string]bool)
	for _, c := range u.changes {
		still[key(c)] = true
	}
	var cs []ups.Change
	for k := range l.known {
		if still[k] {
			continue
		}
		delete(l.known, k)
		if name, command := strings.CutPrefix(k, "!"); command {
			cs = append(cs, ups.Change{Op: ups.DelCmd, Name: name})
		} else {
			cs = append(cs, ups.Change{Op: ups.DelInfo, Name: k})
		}
	}
	return cs
}

// narrowed returns the changes that forget variables before the update sets them
// again, because it allows less than was allowed before: what may be set is
// otherwise only added to.
func (l *loop) narrowed(depth Depth, u *Update) []ups.Change {
	told := make(map[string]bool) // of which it says what may be set
	for _, c := range u.changes {
		switch c.Op {
		case ups.AddEnum, ups.AddRange, ups.SetFlags:
			told[c.Name] = true
		case ups.SetInfo:
			if depth == Init {
				told[c.Name] = true
			}
		}
	}
	if len(told) == 0 {
		return nil
	}
	next := ups.NewState()
	next.Apply(u.changes...)
	var cs []ups.Change
	for name := range told {
		was, _ := l.state.Variable(name)
		if is, ok := next.Variable(name); ok && was.Flags&ups.Immutable == 0 && was.Exceeds(is) {
			cs = append(cs, ups.Change{Op: ups.DelInfo, Name: name})
		}
	}
	return cs
}

// remember notes which variables and commands are the device's and when they were
// read.
func (l *loop) remember(u *Update) {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	if !u.keep && !u.missedStatus() {
		l.readAt[ups.StatusName] = now
	}
	for _, c := range u.changes {
		switch c.Op {
		case ups.SetInfo:
			if strings.HasSuffix(c.Name, ".serial") {
				l.tape.Serial(c.Args[0])
			}
			l.readAt[strings.ToLower(c.Name)] = now
			l.known[key(c)] = true
		case ups.AddCmd:
			l.known[key(c)] = true
		case ups.DelInfo, ups.DelCmd:
			delete(l.known, key(c))
			delete(l.readAt, strings.ToLower(c.Name))
		}
	}
}

// key tells variables and commands apart; names have no exclamation mark.
func key(c ups.Change) string {
	if c.Op == ups.AddCmd || c.Op == ups.DelCmd {
		return "!" + strings.ToLower(c.Name)
	}
	return strings.ToLower(c.Name)
}

// opened returns the changes that belong to a device that was just opened.
func (l *loop) opened(u *Update) []ups.Change {
	cs := append(commonCommands(), ups.Change{Op: ups.DelInfo, Name: reconnectCount}, ups.Change{Op: ups.DelInfo, Name: reconnectMaxTries})
	for _, n := range [...]string{"mfr", "model", "serial"} {
		if v := l.newValue(u, "ups."+n); v != "" && !u.sets("device."+n) {
			cs = append(cs, ups.Set("device."+n, v))
		}
	}
	return cs
}

// commonCommands makes the commands known that every driver has.
func commonCommands() []ups.Change {
	var cs []ups.Change
	for _, n := range [...]string{ShutdownDefault, cmdKillpower, cmdReload, cmdReloadOrExit, cmdReloadOrError} {
		cs = append(cs, ups.Change{Op: ups.AddCmd, Name: n})
	}
	return cs
}

// checkThreshold ends the session if ignorelb has nothing to decide LB by.
func (l *loop) checkThreshold() {
	has := func(name string) bool { _, ok := l.state.Variable(name); return ok }
	if !l.config.IgnoreLB || l.serving ||
		has(ups.ChargeName) && has(ups.ChargeLowName) || has(ups.RuntimeName) && has(ups.RuntimeLowName) {
		return
	}
	l.end(Configf("the device has neither battery.charge with battery.charge.low nor battery.runtime with battery.runtime.low, " +
		"which ignorelb needs; give the limit with default.battery.charge.low"))
}

func (l *loop) becomeReady() {
	if !l.serving && !l.done {
		l.serving = true
		close(l.ready)
	}
}

func (l *loop) setState(text string) { l.state.Apply(ups.Set(ups.DriverState, text)) }

// publishConfig makes the configuration visible and applies its presets.
func (s *Session) publishConfig() {
	s.state.Apply(s.config.published(&s.driver)...)
	if _, ok := s.state.Variable("device.type"); !ok {
		s.state.Apply(ups.Set("device.type", "ups"))
	}
	killpower := "0"
	if s.config.AllowKillpower || s.state.Value(ups.DriverKillpower) == "1" {
		killpower = "1"
	}
	s.state.Apply(
		ups.Set(ups.DriverKillpower, killpower),
		ups.Change{Op: ups.SetFlags, Name: ups.DriverKillpower, Args: []string{"RW", "NUMBER"}},
	)
	for _, p := range s.config.Presets {
		if p.Frozen {
			s.state.Freeze(p.Name, p.Value)
		}
	}
}

// publishDebug shows how verbose logging is.
func (s *Session) publishDebug(level int) {
	s.state.Apply(
		ups.Set(ups.DriverDebug, strconv.Itoa(level)),
		ups.Change{Op: ups.SetFlags, Name: ups.DriverDebug, Args: []string{"RW", "NUMBER"}},
	)
}

// applyDefaults gives variables that the device does not report, or no longer, the
// values of default.*.
func (l *loop) applyDefaults() {
	for _, p := range l.config.Presets {
		if p.Frozen || l.known[strings.ToLower(p.Name)] {
			continue
		}
		if _, has := l.state.Variable(p.Name); has && strings.EqualFold(p.Name, ups.StatusName) {
			continue // it is composed, not reported
		}
		l.state.Apply(ups.Set(p.Name, p.Value))
	}
}
