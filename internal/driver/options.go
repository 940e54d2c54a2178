package driver

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"gonut/internal/conf"
	"gonut/internal/ups"
	"gonut/internal/words"
)

// ConfigFromFile returns what ups.conf says about one device. Errors wrap
// ErrConfig; warnings are for the log.
func (d *Driver) ConfigFromFile(f conf.UPSConf, upsName string) (c Config, warnings []string, err error) {
	o := newOptions(d)
	if err := o.section(f, upsName); err != nil {
		return Config{}, nil, err
	}
	if !o.hasPort {
		return Config{}, nil, Configf("%s: section [%s] has no port = …", o.file, upsName)
	}
	return o.config, o.warnings, o.check()
}

// check says what the driver finds wrong. A recording has options of its own.
func (o *options) check() error {
	v := o.config.Values
	if o.driver.Check == nil || strings.HasPrefix(v.Port, ReplayPrefix) {
		return nil
	}
	return o.driver.Check(v)
}

// options gathers a Config setting by setting: later ones win.
type options struct {
	driver   *Driver
	file     string // where the settings with a line number stand
	config   Config
	hasPort  bool // it may be empty: some drivers need none
	warnings []string
}

func newOptions(d *Driver) *options {
	return &options{driver: d, config: NewConfig("", "")}
}

// section takes the global settings of ups.conf and those of one device.
func (o *options) section(f conf.UPSConf, name string) error {
	o.file = f.File
	section, ok := f.Section(name)
	if !ok {
		return Configf("%s: there is no section [%s]%s", o.file, name, didYouMean(name, f.Names()))
	}
	o.config.Values.UPS = name
	for _, s := range f.Global {
		if err := o.global(s); err != nil {
			return err
		}
	}
	for _, s := range section.Settings {
		if err := o.set(s); err != nil {
			return err
		}
	}
	return nil
}

// global takes a setting that stands before the first section. Those of other
// programs and unknown ones mean nothing here.
func (o *options) global(s conf.Setting) error {
	switch {
	case strings.EqualFold(s.Name, "statepath"):
		o.config.StatePath = s.Value
	case s.Name == "chroot":
		o.config.Chroot = s.Value
	case slices.Contains(bothScopes(), s.Name), strings.EqualFold(s.Name, "debug_min"):
		return o.set(s)
	}
	return nil
}

// bothScopes are the settings that mean the same before the first section and
// within one.
func bothScopes() []string {
	return []string{"user", "group", "pollinterval", "synchronous", "reconnect_max_tries", "reconnect_report_freq", "LIBUSB_DEBUG"}
}

// set takes one setting of a section or of -x.
func (o *options) set(s conf.Setting) error {
	lower := strings.ToLower(s.Name)
	if name, ok := strings.CutPrefix(lower, "default."); ok {
		o.preset(Preset{Name: name, Value: s.Value})
		return nil
	}
	if name, ok := strings.CutPrefix(lower, "override."); ok {
		o.preset(Preset{Name: name, Value: s.Value, Frozen: true})
		return nil
	}
	if known, err := o.common(s); known || err != nil {
		return err
	}
	return o.own(s)
}

// preset keeps one value a name; a later line wins.
func (o *options) preset(p Preset) {
	ps := &o.config.Presets
	*ps = slices.DeleteFunc(*ps, func(e Preset) bool { return e.Name == p.Name && e.Frozen == p.Frozen })
	*ps = append(*ps, p)
}

// common takes a setting that all drivers share.
func (o *options) common(s conf.Setting) (known bool, err error) {
	c := &o.config
	if strings.EqualFold(s.Name, "debug_min") {
		c.Debug = max(0, ups.Atoi(s.Value))
		return true, nil
	}
	switch s.Name {
	case "driver":
		return true, o.checkDriver(s)
	case optPort:
		o.place(optPort, s)
		c.Values.Port, o.hasPort = s.Value, !s.Flag
	case "user":
		c.User = s.Value
	case "group":
		c.Group = s.Value
	case "pollinterval":
		n := ups.Atoi(s.Value)
		if n <= 0 {
			return true, o.wrong(s, "pollinterval = %s: it must be a number of seconds above 0", s.Value)
		}
		c.PollInterval = time.Duration(n) * time.Second
	case "synchronous":
		c.Synchronous = s.Value
		if s.Value != "yes" && s.Value != "auto" {
			c.Synchronous = "no"
		}
	case "reconnect_max_tries":
		o.number(s, &c.MaxTries)
	case "reconnect_report_freq":
		o.number(s, &c.ReportEvery)
	case "LIBUSB_DEBUG":
		c.LibUSBDebug = s.Value
	case "sdcommands":
		c.ShutdownCommands = splitCommands(s.Value)
	case "nolock":
		c.NoLock, c.Values.NoLock = true, true
	case "ignorelb":
		c.IgnoreLB = true
	case "allow_killpower":
		c.AllowKillpower = true
	case "record":
		c.Record = s.Value
	case "record_limit":
		o.number(s, &c.RecordLimit)
	case "record_private":
		c.RecordPrivate = true
	case "sddelay":
		o.warn(s, "sddelay means nothing any more")
	case "desc", "sdorder", "maxstartdelay", "maxretry", "retrydelay", "nowait":
		// of upsd and upsdrvctl
	default:
		return false, nil
	}
	return true, nil
}

// number takes the value of a setting that is a number. For one that is none 0
// would mean to give up at the first loss, so the setting does not count.
func (o *options) number(s conf.Setting, to *int) {
	n, err := strconv.Atoi(strings.TrimSpace(s.Value))
	if err != nil {
		o.warn(s, "%s = %s: this is no whole number; the setting is ignored", s.Name, s.Value)
		return
	}
	*to = n
}

// warn says what is odd about a setting of the command line. Of those in ups.conf
// its parser has said so.
func (o *options) warn(s conf.Setting, format string, args ...any) {
	if s.Line == 0 {
		o.warnings = append(o.warnings, fmt.Sprintf(format, args...))
	}
}

func splitCommands(v string) []string {
	return strings.FieldsFunc(v, func(r rune) bool { return r == ',' || r == ' ' })
}

// checkDriver refuses a section that belongs to another driver.
func (o *options) checkDriver(s conf.Setting) error {
	if name := strings.TrimPrefix(s.Value, "lt-"); name == o.driver.Name || slices.Contains(o.driver.Aliases, name) {
		return nil
	}
	return o.wrong(s, "the section is for driver %s, this is %s; start nut %s instead", s.Value, o.driver.Name, s.Value)
}

// own takes a setting of this driver alone.
func (o *options) own(s conf.Setting) error {
	opt, ok := o.driver.option(s.Name)
	if !ok {
		var names []string
		for _, e := range o.driver.Options {
			names = append(names, e.Name)
		}
		names = append(names, bothScopes()...)
		names = append(names, "port", "sdcommands", "nolock", "ignorelb", "allow_killpower", "record", "record_limit", "record_private")
		return o.wrong(s, "%s is no option of driver %s%s; nut %s -h lists them", s.Name, o.driver.Name,
			didYouMean(s.Name, names), o.driver.Name)
	}
	name := strings.ToLower(opt.Name)
	o.place(name, s)
	if opt.Flag {
		o.config.Values.Set[name] = ""
		return nil
	}
	if s.Flag && !opt.Optional {
		return o.wrong(s, "option %s of driver %s wants a value", s.Name, o.driver.Name)
	}
	o.config.Values.Set[name] = s.Value
	return nil
}

// argument takes the argument of -x: name or name=value.
func (o *options) argument(arg string) error {
	name, value, hasValue := strings.Cut(arg, "=")
	name = strings.TrimSpace(name)
	if name == "" {
		return Configf("-x %s: write -x name=value or -x flag", arg)
	}
	return o.set(conf.Setting{Name: name, Value: strings.TrimSpace(value), Flag: !hasValue})
}

// wrong returns what is wrong with a setting. Those of the command line have no
// line number.
func (o *options) wrong(s conf.Setting, format string, args ...any) error {
	text := fmt.Sprintf(format, args...)
	if at := o.at(s); at != "" {
		text = at + ": " + text
	}
	return Configf("%s", text)
}

// at tells where a setting stands, nothing if that is the command line.
func (o *options) at(s conf.Setting) string {
	if s.Line == 0 {
		return ""
	}
	return fmt.Sprintf("%s:%d", o.file, s.Line)
}

// place remembers where the setting stands that counts.
func (o *options) place(name string, s conf.Setting) { o.config.Values.Places[name] = o.at(s) }

func didYouMean(name string, known []string) string {
	if s := words.Nearest(name, known); s != "" {
		return fmt.Sprintf(" (did you mean %s?)", s)
	}
	return ""
}
