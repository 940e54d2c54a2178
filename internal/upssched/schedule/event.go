package schedule

import (
	"slices"
	"strings"
	"time"

	"gonut/internal/conf"
)

// An Event is something that a Schedule takes in.
type Event interface{ event() }

// Start starts a timer: another one, even if one of that name is running, unless it
// is Shared, which joins the one that is.
type Start struct {
	Name   string
	After  time.Duration // negative: it never starts
	Shared bool
	Origin
}

// Cancel cancels all timers of a name, or if Matched those that notifications of
// the same UPS started. Else is what to run if there is none; it may be empty.
type Cancel struct {
	Name, Else string
	Matched    bool
	Origin
}

// Execute runs a command at once.
type Execute struct {
	Command string
	Origin
}

// Tick says that time has passed.
type Tick struct{}

func (Start) event()   {}
func (Cancel) event()  {}
func (Execute) event() {}
func (Tick) event()    {}

// An Action is something that a Schedule wants to be done or known.
type Action interface{ action() }

// Run is an order to run CMDSCRIPT with a command as its last argument.
type Run struct {
	Command string
	Origins []Origin // what led to it; never empty
	Timer   bool     // a timer of that name has ended
}

// Started, Joined, Left, Cancelled and Refused tell what became of an order.
type (
	// Started: a timer runs now.
	Started struct{ Timer }
	// Joined: a shared timer was running already and has one more origin.
	Joined struct {
		Timer
		By Origin
	}
	// Left: a shared timer goes on without the UPS that By names.
	Left struct {
		Timer
		By Origin
	}
	// Cancelled: a timer runs no more.
	Cancelled struct{ Timer }
	// Refused: no timer was started.
	Refused struct{ Name, Why string }
)

// Quit says that the schedule has had no timers for Linger and is of no more use.
type Quit struct{}

func (Run) action()       {}
func (Started) action()   {}
func (Joined) action()    {}
func (Left) action()      {}
func (Cancelled) action() {}
func (Refused) action()   {}
func (Quit) action()      {}

// An Order is what one AT line wants when a notification comes.
type Order struct {
	Event    Event
	Settings conf.SchedSettings
	Line     int
}

// Orders returns what the lines of upssched.conf want, from top to bottom.
func Orders(c conf.UPSSched, o Origin) []Order {
	var orders []Order
	for _, a := range c.At {
		if !a.Matches(o.Type, o.UPS) {
			continue
		}
		var e Event
		switch {
		case a.Starts():
			e = Start{Name: a.Name, After: a.After, Shared: a.Command == "START-TIMER-SHARED", Origin: o}
		case a.Cancels():
			e = Cancel{Name: a.Name, Else: a.Else, Matched: a.Command == "CANCEL-TIMER-MATCHED", Origin: o}
		default:
			e = Execute{Command: a.Name, Origin: o}
		}
		orders = append(orders, Order{e, a.Settings, a.Line})
	}
	return orders
}

// Types returns the types of the notifications without repetition, joined as C
// joins them.
func Types(os []Origin) string {
	return join(os, ",", func(o Origin) string { return o.Type })
}

// UPSes returns the names of the UPSes likewise.
func UPSes(os []Origin) string {
	return join(os, ",", func(o Origin) string { return o.UPS })
}

// Messages returns the texts of the notifications likewise.
func Messages(os []Origin) string {
	return join(os, ".\t", func(o Origin) string { return o.Message })
}

// Environ returns what CMDSCRIPT finds in its environment.
func Environ(os []Origin) []string {
	return []string{"NOTIFYTYPE=" + Types(os), "UPSNAME=" + UPSes(os), "NOTIFYMSG=" + Messages(os)}
}

func join(os []Origin, sep string, of func(Origin) string) string {
	var words []string
	for _, o := range os {
		if w := of(o); w != "" && !slices.Contains(words, w) {
			words = append(words, w)
		}
	}
	return strings.Join(words, sep)
}
