package monitor

import (
	"fmt"
	"time"
)

// askEvery is the time between two rounds of asking for logins.
const askEvery = 250 * time.Millisecond

// forceShutdown begins what nothing cancels: once a secondary may be going down,
// mains coming back does not bring it up again.
func (m *Monitor) forceShutdown(d Decision) {
	m.do(Decide{Decision: d})
	m.enter(Telling)
	for _, u := range m.units {
		if u.conf.Primary {
			u.fsdPending = true
			m.do(SetFSD{UPS: u.conf.System, Why: d.Rule})
		}
	}
}

// fsdSet takes in a server's answer to FSD.
func (m *Monitor) fsdSet(u *unit, ev FSDSet) {
	u.fsdPending = false
	if ev.Err != "" {
		m.logf(LevelError, u.conf.System, "", "FSD on UPS [%s] failed: %s", u.conf.System, ev.Err)
		return
	}
	if !u.fsdNotified {
		u.fsdNotified = true
		m.notify(FSD, u, "", "we set it")
	}
}

// logins takes in how many hosts are still logged in. Those that were when a server
// answered last still are if it does not answer now.
func (m *Monitor) logins(u *unit, ev Logins) {
	if m.phase != Telling {
		return
	}
	u.round = m.round
	if ev.Err == "" {
		u.others = ev.N - u.ownLogin()
	} else {
		m.logf(LevelDebug, u.conf.System, "", "number of logins of UPS [%s]: %s", u.conf.System, ev.Err)
	}
}

// tell waits until every other host has logged out, HOSTSYNC at most.
func (m *Monitor) tell() {
	primaries, answered, others := 0, 0, 0
	for _, u := range m.units {
		if !u.conf.Primary {
			continue
		}
		primaries++
		if u.round == m.round && m.round > 0 && !u.fsdPending {
			answered++
			others = max(others, u.others)
		}
	}
	switch {
	case primaries == 0:
		m.leaveTelling("no other host waits for this one")
		return
	case more(m.now, m.since, m.hostSync()):
		m.logf(LevelInfo, "", "", "Host sync timer expired, forcing shutdown")
		m.leaveTelling("HOSTSYNC is over")
		return
	}
	if others > 0 && !m.announced {
		m.announced = true
		m.notify(ShutdownHostSync, nil, "", fmt.Sprintf("%d other logins", others))
	}
	if answered == primaries && others == 0 {
		m.leaveTelling("no other host is logged in any more")
		return
	}
	if m.round == 0 || answered == primaries && !m.now.Before(m.askAt) {
		m.ask()
	} else if answered < primaries && !m.now.Before(m.askAt) {
		m.askAt = time.Time{} // the answers, or HOSTSYNC, come first
	}
}

// hostSync is how long others have to log out. Even a negative HOSTSYNC, which C takes
// as it is, leaves a second in which the servers hear of FSD.
func (m *Monitor) hostSync() time.Duration { return max(m.conf.HostSync, 0) }

// ownLogin is how many of the logins are this host's: one, unless the server is
// known to have refused it.
func (u *unit) ownLogin() int {
	if u.loginAsked && !u.loggedIn {
		return 0
	}
	return 1
}

// ask starts a round of asking every server that we are primary of.
func (m *Monitor) ask() {
	m.round++
	m.askAt = m.now.Add(askEvery)
	for _, u := range m.units {
		if u.conf.Primary {
			m.do(AskLogins{UPS: u.conf.System})
		}
	}
}

func (m *Monitor) leaveTelling(why string) {
	const text = "Executing automatic power-fail shutdown"
	m.enter(Waiting)
	m.logf(LevelCrit, "", why, text)
	m.do(Wall{Text: text, Why: why})
	m.notify(ShutdownNow, nil, "", why)
}

// wait lets FINALDELAY pass, then shuts down.
func (m *Monitor) wait() {
	if m.now.Before(m.since.Add(m.conf.FinalDelay)) {
		return
	}
	m.enter(Staying)
	m.askAt = m.now.Add(second)
	m.do(Shutdown{PowerDown: Guards(m.conf), Why: fmt.Sprintf("FINALDELAY of %s is over", m.conf.FinalDelay)})
	if m.stop {
		m.exit("told to stop, and the shutdown is requested")
	}
}

// stay keeps the logins alive for as long as SHUTDOWNEXIT says, so that the
// primary waits for this host until its network is gone.
func (m *Monitor) stay() {
	d := m.conf.ShutdownExit
	switch {
	case d == 0:
		m.exit("the shutdown is requested")
	case d > 0 && more(m.now, m.since, d):
		m.exit("SHUTDOWNEXIT is over")
	case !m.now.Before(m.askAt):
		m.askAt = m.now.Add(second)
		for _, u := range m.units {
			m.do(AskLogins{UPS: u.conf.System, Why: "keep the login alive"})
		}
	}
}
