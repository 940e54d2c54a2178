package monitor

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"gonut/internal/conf"
)

// An Event is something that happened. UPS fields hold the system of the MONITOR
// line as it was written.
type Event interface {
	fmt.Stringer
	event()
}

// Started is the first event.
type Started struct{}

// Connected tells how a login went.
type Connected struct {
	UPS      string
	LoggedIn bool   // the server counts us
	Primary  bool   // it granted us the role of a primary
	Err      string // why not; empty if all that was asked for was granted
}

// Status is a successful poll.
type Status struct {
	UPS    string
	Status string // ups.status, not empty
	Alarm  string // ups.alarm, asked for if the status has ALARM
	// Buzzwords is ups.mode.buzzwords and its experimental sibling, blank-separated.
	Buzzwords string
	Values    []Value // of the variables that Variables named, those that exist
	// Partial says that the connection broke after ups.status had come: that nothing
	// else is known says nothing.
	Partial bool
}

// A Value is a variable's value as text.
type Value struct{ Name, Value string }

// Lost is a poll that failed, whatever the reason.
type Lost struct {
	UPS, Err string
	Closed   bool          // there is no connection any more, and with it no login
	Waited   time.Duration // since the poll began; it says nothing of what came after
}

// FSDSet answers a SetFSD action. An empty Err means that the server took it.
type FSDSet struct{ UPS, Err string }

// Logins answers an AskLogins action. A server that cannot be asked has no logins.
type Logins struct {
	UPS string
	N   int
	Err string
}

// UserFSD asks for a forced shutdown, as upsmon -c fsd does.
type UserFSD struct{}

// Stop asks the monitor to end.
type Stop struct{}

// Reloaded brings a new configuration.
type Reloaded struct{ Config conf.UPSMon }

// Suspending says that the operating system is about to sleep.
type Suspending struct{}

// Resumed says that it woke up.
type Resumed struct{}

// ClockJump says that the clock of the day moved against the running time.
type ClockJump struct {
	By time.Duration
	// Set says that the clock was only set. Otherwise the system may have slept.
	Set bool
}

// ParentGone says that the privileged parent has ended.
type ParentGone struct{}

// Tick says that time has passed.
type Tick struct{}

func (Started) event()    {}
func (Connected) event()  {}
func (Status) event()     {}
func (Lost) event()       {}
func (FSDSet) event()     {}
func (Logins) event()     {}
func (UserFSD) event()    {}
func (Stop) event()       {}
func (Reloaded) event()   {}
func (Suspending) event() {}
func (Resumed) event()    {}
func (ClockJump) event()  {}
func (ParentGone) event() {}
func (Tick) event()       {}

func (Started) String() string { return "start" }
func (e Connected) String() string {
	s := "connected " + e.UPS
	if e.LoggedIn {
		s += " login"
	}
	if e.Primary {
		s += " primary"
	}
	return s + problem(e.Err)
}
func (e Status) String() string {
	s := "status " + e.UPS + " " + e.Status
	if e.Alarm != "" {
		s += " alarm=" + e.Alarm
	}
	if b := strings.TrimSpace(e.Buzzwords); b != "" {
		s += " buzzwords=" + b
	}
	for _, v := range e.Values {
		s += " " + v.Name + "=" + v.Value
	}
	if e.Partial {
		s += " partial"
	}
	return s
}
func (e Lost) String() string      { return "lost " + e.UPS + problem(e.Err) }
func (e FSDSet) String() string    { return "fsdset " + e.UPS + problem(e.Err) }
func (e Logins) String() string    { return fmt.Sprintf("logins %s %d%s", e.UPS, e.N, problem(e.Err)) }
func (UserFSD) String() string     { return "fsd" }
func (Stop) String() string        { return "stop" }
func (Reloaded) String() string    { return "reload" }
func (Suspending) String() string  { return "suspend" }
func (Resumed) String() string     { return "resume" }
func (e ClockJump) String() string { return "clockjump " + e.By.String() }
func (ParentGone) String() string  { return "parentgone" }
func (Tick) String() string        { return "tick" }

func problem(err string) string {
	if err == "" {
		return ""
	}
	return ": " + err
}

// Variables returns which variables besides ups.status a poll should ask for when
// the status of a UPS is as given, in the order of their names.
func Variables(c conf.UPSMon, system, status string) []string {
	var names []string
	for _, w := range c.Rules.ShutdownWhen {
		if w.System != "*" && w.System != system {
			continue
		}
		names = append(names, (&condition{ShutdownWhen: w}).variables()...)
		if w.NoInput {
			names = append(names, nominalName)
		}
	}
	if !c.Rules.LostCommsNUT && parse(status)&(flagALARM|flagCAL|flagBYPASS) != 0 {
		names = append(names, runtimeName)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// HasAlarm reports whether a status says that ups.alarm has something to tell.
func HasAlarm(status string) bool { return parse(status).has(flagALARM) }

const (
	chargeName  = "battery.charge"
	runtimeName = "battery.runtime"
	inputName   = "input.voltage"
	nominalName = "input.voltage.nominal"
)
