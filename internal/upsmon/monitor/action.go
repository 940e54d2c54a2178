package monitor

import (
	"fmt"
	"time"

	"gonut/internal/conf"
)

// An Action is something to do. Each says why.
type Action interface {
	fmt.Stringer
	action()
}

// Watch starts polling and a login as the line says.
type Watch struct {
	Monitor conf.Monitor
	Why     string
}

// Unwatch logs out and ends polling.
type Unwatch struct{ UPS, Why string }

// Reconnect closes the connection and makes a new one with what the line says now.
type Reconnect struct {
	Monitor conf.Monitor
	Why     string
}

// Redefine says what the next login is to use; the connection stays as it is.
type Redefine struct {
	Monitor conf.Monitor
	Why     string
}

// Poll asks for the status at once, besides the regular polls.
type Poll struct{ UPS, Why string }

// PollEvery sets the time between two polls of a UPS, for all of them.
type PollEvery struct {
	D   time.Duration
	Why string
}

// Notify tells people. Text is ready to be shown.
type Notify struct {
	Type  NotifyType
	UPS   string // empty if it is about none
	Extra string // the alarms, the tokens, the duration
	Text  string
	Why   string
}

// Wall writes to every terminal, whatever NOTIFYFLAG says.
type Wall struct{ Text, Why string }

// Log writes a line to the log.
type Log struct {
	Level     Level
	UPS       string // empty if it is about none
	Text, Why string
}

// SetFSD tells a server that the UPS is being shut down. FSDSet answers.
type SetFSD struct{ UPS, Why string }

// AskLogins asks a server how many hosts are logged in to a UPS. Logins answers.
type AskLogins struct{ UPS, Why string }

// Decide is the record of a decision to shut down; it is to be kept.
type Decide struct{ Decision Decision }

// Shutdown requests the shutdown of this host: power-down flag, then command. It
// comes once.
type Shutdown struct {
	PowerDown bool // write the flag: this host depends on a UPS
	Why       string
}

// Exit ends the program when all actions before it are done.
type Exit struct {
	Code int
	Why  string
}

// A Level is how urgent a line of the log is.
type Level uint8

// The levels. LevelAlert is above an error: the host is not protected.
const (
	LevelDebug Level = iota
	LevelInfo
	LevelNotice
	LevelWarn
	LevelError
	LevelCrit
	LevelAlert
)

var levelNames = [...]string{"debug", "info", "notice", "warn", "error", "crit", "alert"}

func (l Level) String() string { return levelNames[l] }

func (Watch) action()     {}
func (Unwatch) action()   {}
func (Reconnect) action() {}
func (Redefine) action()  {}
func (Poll) action()      {}
func (PollEvery) action() {}
func (Notify) action()    {}
func (Wall) action()      {}
func (Log) action()       {}
func (SetFSD) action()    {}
func (AskLogins) action() {}
func (Decide) action()    {}
func (Shutdown) action()  {}
func (Exit) action()      {}

func (a Watch) String() string {
	return fmt.Sprintf("watch %s as %s, power value %d", a.Monitor.System, roleName(a.Monitor.Primary), a.Monitor.PowerValue)
}
func (a Unwatch) String() string   { return "unwatch " + a.UPS + because(a.Why) }
func (a Reconnect) String() string { return "reconnect " + a.Monitor.System + because(a.Why) }
func (a Redefine) String() string  { return "redefine " + a.Monitor.System + because(a.Why) }
func (a Poll) String() string      { return "poll " + a.UPS + because(a.Why) }
func (a PollEvery) String() string { return "poll every " + a.D.String() + because(a.Why) }
func (a Notify) String() string {
	s := "notify " + a.Type.String()
	if a.UPS != "" {
		s += " " + a.UPS
	}
	if a.Extra != "" {
		s += " [" + a.Extra + "]"
	}
	return s + because(a.Why)
}
func (a Wall) String() string      { return "wall " + a.Text }
func (a Log) String() string       { return "log " + a.Level.String() + ": " + a.Text + because(a.Why) }
func (a SetFSD) String() string    { return "set FSD " + a.UPS + because(a.Why) }
func (a AskLogins) String() string { return "ask logins " + a.UPS + because(a.Why) }
func (a Decide) String() string    { return "decide: " + a.Decision.Cause }
func (a Shutdown) String() string {
	if a.PowerDown {
		return "shut down and flag the UPS to be switched off" + because(a.Why)
	}
	return "shut down" + because(a.Why)
}
func (a Exit) String() string { return fmt.Sprintf("exit %d", a.Code) + because(a.Why) }

func because(why string) string {
	if why == "" {
		return ""
	}
	return " (" + why + ")"
}
