package driver

import (
	"strconv"
	"strings"
	"time"

	"gonut/internal/program"
	"gonut/internal/ups"
)

// DefaultPollInterval is how often a device is polled unless pollinterval says
// otherwise.
const DefaultPollInterval = 2 * time.Second

// DefaultCallLimit is how long one call of a device may take unless its driver
// knows better.
const DefaultCallLimit = 30 * time.Second

// A Preset is a default.* or override.* of ups.conf.
type Preset struct {
	Name, Value string
	Frozen      bool // override: nothing may change it
}

// A Config is everything that ups.conf and the command line say about one device.
// Start from NewConfig: some zero values mean something else than the default.
type Config struct {
	Values       Values
	PollInterval time.Duration
	Synchronous  string // "yes", "no" or "auto"; only shown, for writers never block here
	// MaxTries is how often a lost device is tried before Run ends: 0 ends it at
	// the first loss, below 0 never.
	MaxTries    int
	ReportEvery int // tries between two reports of a lost device; below 1 never
	// ShutdownCommands is sdcommands; empty leaves the choice to the driver.
	ShutdownCommands []string
	NoLock           bool
	IgnoreLB         bool
	AllowKillpower   bool
	Presets          []Preset
	Debug            int // verbosity by debug_min
	LibUSBDebug      string

	// Record is the file for a recording of what goes to and fro; empty: none.
	Record        string
	RecordLimit   int // MiB; 0: record.DefaultLimit
	RecordPrivate bool

	User, Group, Chroot string
	StatePath           string // where ups.conf wants the sockets; empty: it does not say

	// InStep has polls at whole multiples of PollInterval, so that several sessions
	// of one process wake it together.
	InStep bool
	// OpenOnce ends Run if the first attempt to open the device fails, as C's
	// drivers do; otherwise it is tried like a lost one.
	OpenOnce bool
}

// pause is how long to wait after a poll that begins now until the next one.
func (c *Config) pause(now time.Time) time.Duration {
	if c.InStep {
		return c.PollInterval - now.Sub(now.Truncate(c.PollInterval))
	}
	return c.PollInterval
}

// NewConfig returns the Config of a device of which nothing is configured but its
// name and port.
func NewConfig(upsName, port string) Config {
	return Config{
		Values:       Values{UPS: upsName, Port: port, Set: make(map[string]string), Places: make(map[string]string)},
		PollInterval: DefaultPollInterval,
		Synchronous:  "auto",
		MaxTries:     -1,
		ReportEvery:  -1,
	}
}

// shutdownCommands returns what to try, in order, to cut the power.
func (c *Config) shutdownCommands(d *Driver) []string {
	switch {
	case len(c.ShutdownCommands) > 0:
		return c.ShutdownCommands
	case len(d.ShutdownCommands) > 0:
		return d.ShutdownCommands
	}
	return []string{ShutdownDefault}
}

// published returns the variables that show the configuration.
func (c *Config) published(d *Driver) []ups.Change {
	cs := []ups.Change{
		ups.Set(ups.DriverName, d.Name),
		ups.Set(ups.DriverVersion, program.Version()),
		ups.Set(ups.DriverInternal, d.Version),
		ups.Set(ups.DriverParameter+"port", c.Values.Port),
		ups.Set(ups.DriverParameter+"pollinterval", seconds(c.PollInterval)),
		ups.Set(ups.DriverParameter+"synchronous", c.Synchronous),
	}
	for name, value := range c.Values.Set {
		o, ok := d.option(name)
		switch {
		case ok && o.Secret:
		case ok && o.Flag:
			cs = append(cs, ups.Set(ups.DriverFlag+name, "enabled"))
		default:
			cs = append(cs, ups.Set(ups.DriverParameter+name, value))
		}
	}
	for _, p := range c.Presets {
		cs = append(cs, ups.Set(ups.DriverParameter+p.key(), p.Value))
	}
	if len(c.ShutdownCommands) > 0 {
		cs = append(cs, ups.Set(ups.DriverParameter+"sdcommands", strings.Join(c.ShutdownCommands, ",")))
	}
	if c.Record != "" {
		cs = append(cs, ups.Set(ups.DriverParameter+"record", c.Record))
	}
	if c.NoLock {
		cs = append(cs, ups.Set(ups.DriverFlag+"nolock", "enabled"))
	}
	if c.IgnoreLB {
		cs = append(cs, ups.Set(ups.DriverFlag+"ignorelb", "enabled"))
	}
	return cs
}

func (p Preset) key() string {
	if p.Frozen {
		return "override." + p.Name
	}
	return "default." + p.Name
}

func (d *Driver) option(name string) (Option, bool) {
	for _, o := range d.Options {
		if strings.EqualFold(o.Name, name) {
			return o, true
		}
	}
	return Option{}, false
}

// seconds prints a duration as C prints pollinterval.
func seconds(d time.Duration) string {
	return strconv.FormatFloat(d.Seconds(), 'f', -1, 64)
}

func (d *Driver) callLimit() time.Duration {
	if d.CallLimit > 0 {
		return d.CallLimit
	}
	return DefaultCallLimit
}

// fullEvery is how often everything is read; 0 means at each poll.
func (c *Config) fullEvery(d *Driver) time.Duration {
	if n := ups.Atoi(c.Values.Get("pollfreq")); n > 0 {
		return time.Duration(n) * time.Second
	}
	return d.FullEvery
}
