package conf

import (
	"io"
	"math"
	"slices"
	"strings"
	"time"

	"gonut/internal/netproto"
	"gonut/internal/ups"
)

// ParseUPSMon reads upsmon.conf. Lines that cannot be used are problems, as they
// are only complaints to C. The error is a MONITOR line of the old form without a
// user, which ends C's upsmon as well.
func ParseUPSMon(name string, r io.Reader) (UPSMon, []Problem, error) {
	c := UPSMon{
		MinSupplies:         1,
		PollFreq:            5 * time.Second,
		PollFreqAlert:       5 * time.Second,
		PollFailLogThrottle: -1,
		DeadTime:            15 * time.Second,
		HostSync:            15 * time.Second,
		FinalDelay:          5 * time.Second,
		NoCommWarnTime:      300 * time.Second,
		RBWarnTime:          43200 * time.Second,
		OffDuration:         30 * time.Second,
		OverDuration:        -time.Second,
		AlarmCritical:       true,
		NotifyMsg:           make(map[string]string),
		NotifyFlag:          make(map[string]NotifyFlag),
		DebugMin:            -1,
		Rules:               MonitorRules{Margin: DefaultMargin},
	}
	s := newSource(name, r)
	var table []directive[UPSMon]
	table = append(table, upsmonTimes()...)
	table = append(table, upsmonShutdown()...)
	table = append(table, upsmonTLS()...)
	table = append(table, upsmonRules()...)
	err := readDirectives(s, table, &c)
	checkRules(s, c)
	return c, s.problems, err
}

// upsmonTimes are the directives that hold a number.
func upsmonTimes() []directive[UPSMon] {
	row := func(name string, set func(c *UPSMon, l line, n int)) directive[UPSMon] {
		return directive[UPSMon]{name: name, words: 2, most: 2, set: func(c *UPSMon, l line) error {
			if n, ok := l.number(l.words[1]); ok {
				set(c, l, n)
			}
			return nil
		}}
	}
	duration := func(name string, field func(*UPSMon) *time.Duration) directive[UPSMon] {
		return row(name, func(c *UPSMon, _ line, n int) { *field(c) = seconds(n) })
	}
	return []directive[UPSMon]{
		row("MINSUPPLIES", func(c *UPSMon, l line, n int) {
			if l.notNegative(n) {
				c.MinSupplies = n
			}
		}),
		row("POLLFREQ", func(c *UPSMon, l line, n int) { l.pollFreq(n, &c.PollFreq) }),
		row("POLLFREQALERT", func(c *UPSMon, l line, n int) { l.pollFreq(n, &c.PollFreqAlert) }),
		row("POLLFAIL_LOG_THROTTLE_MAX", func(c *UPSMon, l line, n int) {
			c.PollFailLogThrottle = -1
			switch {
			case n < -1 || n == math.MaxInt32:
				l.warn("POLLFAIL_LOG_THROTTLE_MAX %d is out of range; every failure is logged", n)
			case n >= 0:
				c.PollFailLogThrottle = n
			}
		}),
		duration("DEADTIME", func(c *UPSMon) *time.Duration { return &c.DeadTime }),
		duration("HOSTSYNC", func(c *UPSMon) *time.Duration { return &c.HostSync }),
		row("FINALDELAY", func(c *UPSMon, l line, n int) {
			if l.notNegative(n) {
				c.FinalDelay = seconds(n)
			}
		}),
		duration("NOCOMMWARNTIME", func(c *UPSMon) *time.Duration { return &c.NoCommWarnTime }),
		duration("RBWARNTIME", func(c *UPSMon) *time.Duration { return &c.RBWarnTime }),
		duration("OFFDURATION", func(c *UPSMon) *time.Duration { return &c.OffDuration }),
		duration("OVERDURATION", func(c *UPSMon) *time.Duration { return &c.OverDuration }),
		row("OBLBDURATION", func(c *UPSMon, _ line, n int) { c.OBLBDuration = seconds(max(n, 0)) }),
		row("ALARMCRITICAL", func(c *UPSMon, l line, n int) { c.AlarmCritical = l.one(n) }),
		row("CERTVERIFY", func(c *UPSMon, l line, n int) { c.CertVerify = l.one(n) }),
		row("FORCESSL", func(c *UPSMon, l line, n int) { c.ForceSSL = l.one(n) }),
	}
}

func (l line) notNegative(n int) bool {
	if n < 0 {
		l.warn("%s must not be negative; the line is ignored", l.words[0])
	}
	return n >= 0
}

// pollFreq stores a polling interval. C polls without a pause when it is 0.
func (l line) pollFreq(n int, to *time.Duration) {
	if !l.notNegative(n) {
		return
	}
	if n == 0 {
		l.warn("%s 0 would poll without a pause; 1 second is used", l.words[0])
		n = 1
	}
	*to = seconds(n)
}

// one reads a switch for which only 1 means on.
func (l line) one(n int) bool {
	if n != 0 && n != 1 {
		l.warn("%s is 0 or 1; %d counts as 0", l.words[0], n)
	}
	return n == 1
}

// upsmonShutdown are the directives that say what to watch and what to do.
func upsmonShutdown() []directive[UPSMon] {
	return []directive[UPSMon]{
		{name: "MONITOR", words: 2, set: monitor},
		{name: "SHUTDOWNCMD", words: 2, set: func(c *UPSMon, l line) error {
			l.command(&c.ShutdownCmd)
			return nil
		}},
		{name: "SHUTDOWNEXIT", words: 2, most: 2, set: shutdownExit},
		{name: "POWERDOWNFLAG", words: 2, most: 2, set: func(c *UPSMon, l line) error {
			c.PowerDownFlag = l.words[1]
			return nil
		}},
		{name: "NOTIFYCMD", words: 2, set: func(c *UPSMon, l line) error {
			if l.command(&c.NotifyCmd) && strings.ContainsRune(c.NotifyCmd[0], ' ') {
				l.warn("NOTIFYCMD: %q is taken for the name of one program, blanks included; write its arguments as words of their own", c.NotifyCmd[0])
			}
			return nil
		}},
		{name: "NOTIFYMSG", words: 3, most: 3, set: func(c *UPSMon, l line) error {
			if t, ok := l.notifyType(); ok {
				c.NotifyMsg[t] = l.words[2]
			}
			return nil
		}},
		{name: "NOTIFYFLAG", words: 3, most: 3, set: notifyFlag},
		{name: "RUN_AS_USER", words: 2, most: 2, set: func(c *UPSMon, l line) error {
			c.RunAsUser = l.words[1]
			return nil
		}},
		{name: "DEBUG_MIN", fold: true, words: 2, most: 2, set: func(c *UPSMon, l line) error {
			l.debugMin(&c.DebugMin)
			return nil
		}},
	}
}

// command stores the words of a command, if there is one.
func (l line) command(to *[]string) bool {
	if strings.TrimSpace(l.words[1]) == "" {
		l.warn("%s is empty; the line is ignored", l.words[0])
		return false
	}
	if slices.Contains(l.words[1:], "=") {
		l.warn("%s: an '=' outside quotes makes words of its own; quote arguments like \"--name=value\"", l.words[0])
	}
	*to = l.words[1:]
	return true
}

func monitor(c *UPSMon, l line) error {
	switch n := len(l.words); {
	case n == 5:
		return l.fatal("this MONITOR line has no user; the form is MONITOR ups@host powervalue user password primary|secondary")
	case n < 5:
		l.warn("MONITOR wants 5 values (ups@host powervalue user password primary|secondary) and has %d; the line is ignored", n-1)
		return nil
	case n > 6:
		l.warn("MONITOR has %d words too many; a password with blanks or '=' needs quotes", n-6)
	}
	m := Monitor{System: l.words[1], User: l.words[3], Password: Secret(l.words[4]), Line: l.no}
	value, ok := l.powerValue(l.words[2])
	if !ok {
		return nil
	}
	m.PowerValue = value
	switch role := l.words[5]; strings.ToLower(role) {
	case "primary", "master":
		m.Primary = true
	case "secondary", "slave":
	default:
		l.warn("MONITOR: %q is neither primary nor secondary%s; secondary is assumed", role, hint(role, []string{"primary", "secondary"}))
	}
	for _, o := range c.Monitors {
		if o.System == m.System {
			l.warn("MONITOR: %s is monitored by line %d already; the line is ignored", m.System, o.Line)
			return nil
		}
	}
	if _, err := netproto.ParseSystem(m.System); err != nil {
		l.warn("MONITOR: %v; it can never be reached and supplies nothing", err)
		m.PowerValue = 0
	}
	for _, o := range c.Monitors {
		if sameSystem(o.System, m.System) {
			l.warn("MONITOR: %s is the UPS of line %d by another name: this host logs in to it twice, counts its power value twice and waits for itself", m.System, o.Line)
		}
	}
	c.Monitors = append(c.Monitors, m)
	return nil
}

// sameSystem reports whether two names are of one UPS.
func sameSystem(a, b string) bool {
	s, err1 := netproto.ParseSystem(a)
	o, err2 := netproto.ParseSystem(b)
	return err1 == nil && err2 == nil && s.UPS == o.UPS && s.Port == o.Port &&
		(strings.EqualFold(s.Name, o.Name) || thisHost(s.Name) && thisHost(o.Name))
}

func thisHost(name string) bool {
	return slices.Contains([]string{"localhost", "127.0.0.1", "::1"}, strings.ToLower(name))
}

// powerValue reads how many power supplies a ups feeds. As in C, what is no number
// counts as 0, which means monitoring only.
func (l line) powerValue(text string) (int, bool) {
	n := ups.Atoi(text)
	if n < 0 || int64(n) > math.MaxUint32 {
		l.warn("MONITOR: the power value %s is out of range; the line is ignored", text)
		return 0, false
	}
	if _, ok := strictNumber(text); !ok {
		l.warn("MONITOR: the power value %q is no number and is read as %d", text, n)
	}
	return n, true
}

func shutdownExit(c *UPSMon, l line) error {
	switch w := l.words[1]; strings.ToLower(w) {
	case "on", "yes", "true":
		c.ShutdownExit = 0
	case "off", "no", "false":
		c.ShutdownExit = -time.Second
	default:
		n, ok := strictNumber(w)
		if !ok {
			l.warn("SHUTDOWNEXIT wants yes, no or seconds and not %q; yes is assumed", w)
		}
		c.ShutdownExit = seconds(n)
	}
	return nil
}

// NotifyTypes returns all types of notifications, in C's order, and then our own.
func NotifyTypes() []string {
	return []string{
		"ONLINE", "ONBATT", "LOWBATT", "FSD", "COMMOK", "COMMBAD", "SHUTDOWN", "SHUTDOWN_HOSTSYNC",
		"REPLBATT", "NOCOMM", "NOPARENT", "CAL", "NOTCAL", "OFF", "NOTOFF", "BYPASS", "NOTBYPASS",
		"ECO", "NOTECO", "ALARM", "NOTALARM", "OVER", "NOTOVER", "TRIM", "NOTTRIM", "BOOST", "NOTBOOST",
		"OTHER", "NOTOTHER", "SUSPEND_STARTING", "SUSPEND_FINISHED", "SUSPEND_TIMEJUMP_UNEXPECTED",
		"NOLOGIN",
	}
}

// notifyType returns the type, in upper case, that the line is about.
func (l line) notifyType() (string, bool) {
	t := strings.ToUpper(l.words[1])
	if !slices.Contains(NotifyTypes(), t) {
		l.warn("%s: there is no notification %s%s; the line is ignored", l.words[0], l.words[1], hint(t, NotifyTypes()))
		return "", false
	}
	return t, true
}

func notifyFlag(c *UPSMon, l line) error {
	t, ok := l.notifyType()
	if !ok {
		return nil
	}
	known := []string{"SYSLOG", "WALL", "EXEC", "IGNORE"}
	var f NotifyFlag
	for w := range strings.SplitSeq(l.words[2], "+") {
		if i := slices.Index(known, w); i >= 0 {
			f |= 1 << i
		} else if w != "" {
			l.warn("NOTIFYFLAG %s: unknown flag %s%s", t, w, hint(w, known))
		}
	}
	if f == 0 {
		l.warn("NOTIFYFLAG %s: no flag is left, so it goes nowhere; write IGNORE if that is meant", t)
	}
	c.NotifyFlag[t] = f
	return nil
}

func upsmonTLS() []directive[UPSMon] {
	return []directive[UPSMon]{
		{name: "CERTPATH", words: 2, most: 2, set: func(c *UPSMon, l line) error {
			c.CertPath = l.words[1]
			return nil
		}},
		{name: "CERTFILE", words: 2, most: 2, set: func(c *UPSMon, l line) error {
			c.CertFile = l.words[1]
			return nil
		}},
		{name: "CERTIDENT", words: 3, most: 3, set: func(c *UPSMon, l line) error {
			c.CertIdentName, c.CertIdentPass = l.certIdent()
			return nil
		}},
		{name: "CERTHOST", words: 5, most: 5, set: certHost},
	}
}

func certHost(c *UPSMon, l line) error {
	h, err := netproto.ParseHost(l.words[1])
	if err != nil {
		l.warn("CERTHOST: %v; the line is ignored", err)
		return nil
	}
	verify, ok1 := l.number(l.words[3])
	force, ok2 := l.number(l.words[4])
	if !ok1 || !ok2 {
		return nil
	}
	for _, n := range []int{verify, force} {
		if n < -1 || n > 1 {
			l.warn("CERTHOST: its last two values are 1 (yes), 0 (no) or -1 (as for all hosts); %d counts as -1", n)
		}
	}
	for _, o := range c.CertHosts {
		if strings.EqualFold(o.Host, h.Name) && o.Port == h.Port {
			l.warn("CERTHOST: %s has a rule on line %d already; the line is ignored", h, o.Line)
			return nil
		}
	}
	c.CertHosts = append(c.CertHosts, CertHost{
		Host: h.Name, Port: h.Port, Name: l.words[2], Verify: inherit(verify), Force: inherit(force), Line: l.no,
	})
	return nil
}

func inherit(n int) int {
	if n < -1 || n > 1 {
		return -1
	}
	return n
}
