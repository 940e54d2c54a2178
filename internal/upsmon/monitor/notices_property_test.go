package monitor

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// A noticeOracle knows which notifications about a UPS an event must bring, no more
// and no fewer. It goes by words and what was told, where the monitor goes by flags:
//
//   - what begins is told once, and so is its end: ONBATT and ONLINE, COMMBAD and
//     COMMOK, and all that have a NOT… take turns;
//   - REPLBATT and NOCOMM do not come again within their time;
//   - what a reading after a sleep or a jump of the clock confirms is not told again.
type noticeOracle struct {
	is        map[string]bool // words that are the case, LB, ALARM and the like
	line      string          // OL, OB or empty
	other     []string
	alarm     string
	lost      bool
	unsure    bool
	assumedLB bool // LB was concluded from silence
	fsdTold   bool
	good      time.Time // the latest good poll
	replBatt  time.Time
	noComm    time.Time
	held      map[string]time.Time // since when a word is seen that a HOLDOFF ignores at first
}

func newNoticeOracle() *noticeOracle { return &noticeOracle{held: map[string]time.Time{}} }

// twoSided are the words whose end is told as well.
var twoSided = []string{"CAL", "OFF", "BYPASS", "ALARM", "OVER", "TRIM", "BOOST", "ECO"}

// noticeText is how a notification is written down here.
func noticeText(t string, extra ...string) string {
	return strings.TrimSpace(t + " " + strings.Join(extra, " "))
}

// status returns what a good poll must tell.
func (o *noticeOracle) status(w *randomWorld, st Status) (told []string) {
	tell := func(t string, extra ...string) { told = append(told, noticeText(t, extra...)) }
	now, line, other := map[string]bool{}, "", []string(nil)
	for _, word := range o.heeded(w, st) {
		switch up := strings.ToUpper(word); {
		case up == "OL" || up == "OB":
			line = up
		case slices.Contains(twoSided, up) || slices.Contains([]string{"LB", "RB", "FSD"}, up):
			now[up] = true
		case !slices.Contains([]string{"HB", "CHRG", "DISCHRG"}, up) && !slices.Contains(other, word):
			other = append(other, word)
		}
	}
	now["ECO"] = now["ECO"] || strings.Contains(st.Buzzwords, ":ECO") || st.Partial && o.is["ECO"]
	if o.lost {
		tell("COMMOK")
	}
	for _, word := range twoSided {
		switch {
		case o.is[word] && !now[word]:
			tell("NOT" + word)
		case now[word] && !o.is[word] && word != "ALARM":
			tell(word)
		}
	}
	if text := st.Alarm; now["ALARM"] && (!o.is["ALARM"] || text != "" && text != o.alarm) {
		if text == "" {
			text = "n/a"
		}
		o.alarm = text
		tell("ALARM", text)
	}
	if now["LB"] && (!o.is["LB"] || o.assumedLB) {
		tell("LOWBATT")
	}
	if now["RB"] && (o.replBatt.IsZero() || w.now.Sub(o.replBatt) >= w.conf.RBWarnTime+second) {
		o.replBatt = w.now
		tell("REPLBATT")
	}
	if o.fsdTold = o.fsdTold && now["FSD"]; now["FSD"] && !o.fsdTold {
		o.fsdTold = true
		tell("FSD")
	}
	switch {
	case line == "OB" && o.line != "OB":
		tell("ONBATT")
	case line == "OL" && o.line == "OB":
		tell("ONLINE")
	}
	if a, b := slices.Sorted(slices.Values(other)), slices.Sorted(slices.Values(o.other)); !slices.Equal(a, b) {
		if len(a) == 0 {
			tell("NOTOTHER")
		} else {
			tell("OTHER", other...)
		}
	}
	if line != "" {
		o.line = line
	}
	o.is, o.other = now, other
	o.lost, o.unsure, o.assumedLB, o.good = false, false, false, w.now
	return told
}

// heeded returns the words of a status without those that a HOLDOFF ignores.
func (o *noticeOracle) heeded(w *randomWorld, st Status) []string {
	words := strings.Fields(st.Status)
	onLine := slices.Contains(words, "OL") && !slices.Contains(words, "OB")
	for _, h := range w.conf.Rules.HoldOffs {
		if h.System != "*" && h.System != st.UPS {
			continue
		}
		switch since := o.held[h.Token]; {
		case !slices.Contains(words, h.Token):
			delete(o.held, h.Token)
			continue
		case since.IsZero():
			o.held[h.Token] = w.now
		}
		if onLine && w.now.Sub(o.held[h.Token]) < h.For && !o.is[h.Token] {
			words = slices.DeleteFunc(words, func(word string) bool { return word == h.Token })
		}
	}
	return words
}

// lostPoll returns what a failed poll must tell.
func (o *noticeOracle) lostPoll(w *randomWorld) []string {
	if o.unsure { // nothing that is known counts any more
		*o = noticeOracle{lost: o.lost, good: o.good, replBatt: o.replBatt, noComm: o.noComm, held: o.held}
	}
	every := w.conf.NoCommWarnTime
	switch {
	case !o.lost:
		o.lost = true
		return []string{"COMMBAD"}
	case !o.good.IsZero() && w.now.Sub(o.good) < every, !o.noComm.IsZero() && w.now.Sub(o.noComm) < every+second:
		return nil
	}
	o.noComm = w.now
	return []string{"NOCOMM"}
}

// fsdSet returns what a server's answer to FSD must tell.
func (o *noticeOracle) fsdSet(ev FSDSet) []string {
	if ev.Err != "" || o.fsdTold {
		return nil
	}
	o.fsdTold = true
	return []string{"FSD"}
}

// doubt is for after a sleep or a jump of the clock; after a sleep what lasts begins
// anew.
func (o *noticeOracle) doubt(now time.Time) {
	o.unsure = true
	if !o.good.IsZero() {
		o.good = now
	}
}

// assume takes over that LB was concluded from silence, which nobody is told.
func (o *noticeOracle) assume(u *unit) {
	if u.promoted && !o.is["LB"] {
		if o.is = maps.Clone(o.is); o.is == nil {
			o.is = map[string]bool{}
		}
		o.is["LB"], o.assumedLB = true, true
	}
}

// checkNotices compares what an event brought about UPSes with what it must bring.
func (w *randomWorld) checkNotices(ev Event, as []Action) {
	var got []string
	for _, a := range as {
		n, ok := a.(Notify)
		if !ok || n.UPS == "" {
			continue
		}
		text := n.Type.String()
		if n.Type == Alarm || n.Type == Other {
			text = noticeText(text, n.Extra)
		}
		got = append(got, text)
	}
	want := w.expected
	w.expected = nil
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		w.t.Errorf("%s tells %q; want %q", ev, got, want)
	}
	for i, u := range w.ups {
		u.notices.assume(w.m.units[i])
	}
}

// checkReport looks for contradictions in what upsmon -c status would show.
func (w *randomWorld) checkReport() {
	for _, v := range w.m.Units(w.now) {
		i := slices.IndexFunc(rules[:], func(r struct{ name, text, otherwise string }) bool { return r.name == v.Rule })
		rule, soon := Rule(max(i, 0)), strings.Contains(v.Reason, "; critical in ")
		switch {
		case i < 0, v.Critical != rule.critical(), soon != (rule == RulePending || rule == RuleWaitPrimary),
			strings.Contains(v.Reason, " in -"), strings.Contains(strings.Join(v.Timers, ""), "-"):
			w.t.Errorf("the report contradicts itself: %+v", v)
		}
	}
}
