// Package driver is what every driver shares: the interface to a device, the
// session that keeps it open and its state current, the rules of ups.status, the
// options of ups.conf and the driver socket. It knows no device; each driver
// program has a package of its own below drivers.
package driver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"gonut/internal/transport/record"
	"gonut/internal/ups"
)

// A Driver is one driver program.
type Driver struct {
	Name, Version string
	Description   string   // the banner's words, such as "Device simulation and repeater driver"
	Aliases       []string // other values of "driver =" that mean this one
	Options       []Option // what -x and ups.conf may say beyond the common ones
	Note          string   // ends what -h prints; may be empty
	// Check, if not nil, says what is wrong with the values of options as far as that
	// can be told without the device.
	Check func(o Values) error
	// Open opens the device. An error is final for this attempt; the session
	// tries again unless it wraps ErrConfig.
	Open func(ctx context.Context, o Values, log *slog.Logger) (Device, error)
	// FullEvery is how often a Poll is Full; those between are Quick. Zero means
	// that each is Full. An option "pollfreq" (seconds), if given, beats it.
	FullEvery time.Duration
	// CallLimit is how long one call of a Device, or Open, may take before it is
	// given up for hung; 0 means DefaultCallLimit.
	CallLimit time.Duration
	// Hotplug, if not nil, returns a channel that receives whenever a device may
	// have appeared, so that a lost one is opened again at once. It is called
	// once; the channel is fed until ctx ends. Without it, and in case it missed
	// something, the session tries every two seconds.
	Hotplug func(ctx context.Context, o Values, log *slog.Logger) <-chan struct{}
	// Patient, if not nil, reports whether the driver starts even if its device
	// cannot be opened yet.
	Patient func(o Values) bool
	// ShutdownCommands are tried for "-k" and "driver.killpower" when ups.conf has
	// no sdcommands; empty means shutdown.default.
	ShutdownCommands []string
}

// An Option is one option of a driver, beyond those that all drivers have.
type Option struct {
	Name     string
	Help     string
	Flag     bool // takes no value
	Optional bool // the value may be left out
	Secret   bool // never published or logged
	Live     bool // may change while the driver runs
}

// Values are the options that a device was given. Names are lower case.
type Values struct {
	UPS  string // the name of the section in ups.conf
	Port string
	// Set holds the options of the driver that were given; flags have the value "".
	Set map[string]string
	// Places tells in which lines of which file the options and the port stand, such as
	// "/etc/nut/ups.conf:7"; those of the command line are not among them.
	Places map[string]string
	// ConfPath is the folder of the configuration files.
	ConfPath string
	// StatePath is the folder of driver sockets.
	StatePath string
	// NoLock asks not to lock the device.
	NoLock bool
	// Tape records what the device and the driver tell each other, or is the device;
	// nil in most cases. Drivers whose connections are not made by Dial make them
	// through it.
	Tape *record.Tape
	// Dial connects to driver sockets (network "unix") and hosts; nil means by the
	// system.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
}

// Get returns the value of an option, empty if it was not given.
func (v Values) Get(name string) string { return v.Set[name] }

// Has reports whether an option was given.
func (v Values) Has(name string) bool { _, ok := v.Set[name]; return ok }

// Wrong returns an error that wraps ErrConfig: what is wrong with the value of an
// option, which must be no secret, or of "port".
func (v Values) Wrong(name, format string, args ...any) error {
	value, place := v.Set[name], ""
	if name == optPort {
		value = v.Port
	}
	if at := v.Places[name]; at != "" {
		place = at + ": "
	}
	return Configf("%s%s = %s: %w", place, name, value, fmt.Errorf(format, args...))
}

// optPort is what the port is called among the options.
const optPort = "port"

// A Depth says how much a Poll has to read.
type Depth uint8

// The depths of a poll.
const (
	Init  Depth = iota // everything, and which variables and commands exist; once after Open
	Quick              // what decides ups.status
	Full               // everything that may change
)

// What a Device may report. Errors wrap these.
var (
	// ErrGone means that the device has to be opened again.
	ErrGone = errors.New("device is gone")
	// ErrConfig means that trying again is useless until the configuration changes.
	ErrConfig = errors.New("wrong configuration")
	// ErrUnknown means that the device has no such command or variable.
	ErrUnknown = errors.New("unknown to this device")
	// ErrInvalid means that the value or parameter is not allowed.
	ErrInvalid = errors.New("invalid value")
	// ErrStale means that whoever has the device, such as another driver, says
	// itself that what it knows must not be trusted: values are not held.
	ErrStale = errors.New("the data are stale")
	// ErrFailed means that the device refused or did not answer.
	ErrFailed = errors.New("device failed")
)

// Configf returns an error that wraps ErrConfig without saying so.
func Configf(format string, args ...any) error {
	return configError{fmt.Errorf(format, args...)}
}

type configError struct{ error }

func (e configError) Is(target error) bool { return target == ErrConfig }
func (e configError) Unwrap() error        { return e.error }

// A Device is one open connection to one piece of hardware. The session calls its
// methods from a single goroutine, so a Device needs no locks; if it has a reader
// of its own, that hands raw data to Poll through a channel.
type Device interface {
	// Poll adds what it read to u. An error makes the data stale; one that wraps
	// ErrGone makes the session close the device and open it again.
	Poll(ctx context.Context, d Depth, u *Update) error
	// Wake receives when the device has spoken first. It may be nil.
	Wake() <-chan struct{}
	// Command performs an instant command. "shutdown.default" is what the
	// device does when nobody chose otherwise.
	Command(ctx context.Context, name, param string) error
	// Set gives a variable a value.
	Set(ctx context.Context, name, value string) error
	// Close gives the hardware back. It is called exactly once.
	Close() error
}

// A Writable says what clients may set a variable to.
type Writable struct {
	String bool // text of at most MaxLen bytes; otherwise a number
	MaxLen int
	Enum   []string
	Ranges []ups.Range
}

// An Update collects what one poll learned; the session applies it in one step.
// What a poll does not mention keeps its value; flags and alarms do not: each
// poll states all of them that hold, see Keep.
type Update struct {
	changes   []ups.Change
	status    []string
	alarms    []string
	buzzwords []string
	keep      bool
	missed    []string
	composed  bool
}

// Set gives a variable a value.
func (u *Update) Set(name, value string) {
	u.changes = append(u.changes, ups.Set(name, value))
}

// Setf gives a variable a formatted value.
func (u *Update) Setf(name, format string, args ...any) {
	u.Set(name, fmt.Sprintf(format, args...))
}

// Delete makes a variable unknown.
func (u *Update) Delete(name string) {
	u.changes = append(u.changes, ups.Change{Op: ups.DelInfo, Name: name})
}

// Status adds tokens to ups.status. The session adds what is its own business:
// ALARM, LB by ignorelb, CHRG and DISCHRG by the charge's trend.
func (u *Update) Status(tokens ...string) { u.status = append(u.status, tokens...) }

// Composed says that the tokens are those of another driver, which has added what
// follows from the charge's trend. Two UPSes that take turns have none.
func (u *Update) Composed() { u.composed = true }

// Alarm adds a sentence to ups.alarm.
func (u *Update) Alarm(text string) { u.alarms = append(u.alarms, text) }

// Buzzwords adds the vendor's own words for the mode that the device works in.
func (u *Update) Buzzwords(ws ...string) { u.buzzwords = append(u.buzzwords, ws...) }

// Keep says that this poll learned nothing about status and alarms: those of the
// poll before remain.
func (u *Update) Keep() { u.keep = true }

// Command makes instant commands known.
func (u *Update) Command(names ...string) {
	for _, n := range names {
		u.changes = append(u.changes, ups.Change{Op: ups.AddCmd, Name: n})
	}
}

// DeleteCommand makes an instant command unknown.
func (u *Update) DeleteCommand(name string) {
	u.changes = append(u.changes, ups.Change{Op: ups.DelCmd, Name: name})
}

// Writable says what clients may set a variable to. The variable must have a
// value already.
func (u *Update) Writable(name string, w Writable) {
	f := ups.RW | ups.Number
	if w.String {
		f = ups.RW | ups.String
	}
	v := ups.Variable{Name: name, Flags: f, MaxLen: w.MaxLen, Enum: w.Enum, Ranges: w.Ranges}
	u.changes = append(u.changes, v.Changes()[1:]...)
}

// Change adds changes as they are.
func (u *Update) Change(cs ...ups.Change) { u.changes = append(u.changes, cs...) }
