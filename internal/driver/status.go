package driver

import (
	"fmt"
	"strconv"
	"strings"

	"gonut/internal/drvsock"
	"gonut/internal/ups"
)

// A StatusInput is everything that ups.status depends on. Empty numbers are
// unknown ones.
type StatusInput struct {
	Tokens     []string // what the device reported, in order; one may hold several, split by blanks
	Alarm      bool     // ups.alarm is set
	IgnoreLB   bool     // the flag ignorelb: LB is decided by the numbers below, not by the device
	Charge     string   // battery.charge
	ChargeLow  string   // battery.charge.low
	Runtime    string   // battery.runtime
	RuntimeLow string   // battery.runtime.low
	LastCharge string   // battery.charge before this poll
}

// Status returns the value of ups.status, by the rules of C's driver core: each
// token once and in order, ALARM first, LB by the thresholds if the device's own
// is ignored, CHRG or DISCHRG if the charge rises or falls. warning is not empty
// if the device contradicts its own charge.
func Status(in StatusInput) (status, warning string) {
	var l tokenList
	alarm := in.Alarm
	for _, t := range strings.Fields(strings.Join(in.Tokens, " ")) {
		switch {
		case strings.EqualFold(t, ups.ALARM):
			alarm = true
		case in.IgnoreLB && strings.EqualFold(t, ups.LB):
		default:
			l.add(t)
		}
	}
	if in.IgnoreLB && in.low() {
		l.add(ups.LB)
	}
	warning = l.addTrend(in.LastCharge, in.Charge)
	if alarm {
		return strings.TrimRight(ups.ALARM+" "+l.String(), " "), warning
	}
	return l.String(), warning
}

// low reports whether the charge, or if that is unknown the runtime, is below its
// threshold. Whole numbers are compared, as in C.
func (in *StatusInput) low() bool {
	if in.Charge != "" && in.ChargeLow != "" {
		return ups.Atoi(in.Charge) < ups.Atoi(in.ChargeLow)
	}
	return in.Runtime != "" && in.RuntimeLow != "" && ups.Atoi(in.Runtime) < ups.Atoi(in.RuntimeLow)
}

// addTrend adds the token that the change of the charge means. Where the device
// says the opposite, both stand, as in C: who reads them has to make up his mind.
func (l *tokenList) addTrend(last, now string) (warning string) {
	was, err := strconv.ParseFloat(strings.TrimSpace(last), 64)
	if err != nil {
		return ""
	}
	is, err := strconv.ParseFloat(strings.TrimSpace(now), 64)
	if err != nil || is < 0 || is >= 100 || is == was {
		return ""
	}
	token, opposite, verb := ups.CHRG, ups.DISCHRG, "rose"
	if is < was {
		token, opposite, verb = ups.DISCHRG, ups.CHRG, "fell"
	}
	if l.has(token) {
		return ""
	}
	if l.has(opposite) {
		warning = fmt.Sprintf("the device reports %s but its charge %s from %s to %s", opposite, verb, last, now)
	}
	l.add(token)
	return warning
}

// Alarms returns the value of ups.alarm: the sentences, joined by blanks. truncated
// reports that they did not fit.
func Alarms(sentences []string) (text string, truncated bool) {
	var parts []string
	for _, s := range sentences {
		if s = strings.TrimSpace(s); s != "" {
			parts = append(parts, s)
		}
	}
	text = strings.Join(parts, " ")
	if len(text) > drvsock.MaxValue {
		return text[:drvsock.MaxValue], true
	}
	return text, false
}

// Buzzwords returns the value of ups.mode.buzzwords: each word once and in order.
func Buzzwords(ws []string) string {
	var l tokenList
	for _, w := range strings.Fields(strings.Join(ws, " ")) {
		l.add(w)
	}
	return l.String()
}

// A tokenList is a value made of different words that fits into a line of the
// driver socket.
type tokenList struct {
	tokens []string
	size   int
}

// add appends a token unless it is there already or does not fit.
func (l *tokenList) add(t string) {
	// ALARM and a blank may still have to go in front.
	const room = drvsock.MaxValue - len(ups.ALARM) - 1
	if l.has(t) || l.size+1+len(t) > room {
		return
	}
	l.size += 1 + len(t)
	l.tokens = append(l.tokens, t)
}

func (l *tokenList) has(t string) bool {
	for _, e := range l.tokens {
		if e == t {
			return true
		}
	}
	return false
}

func (l *tokenList) String() string { return strings.Join(l.tokens, " ") }
