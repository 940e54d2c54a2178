package conf

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"gonut/internal/words"
)

// ParseUPSConf reads ups.conf. No line of it is fatal: what C ignores is ignored
// and is a problem. What the options of a driver mean, only the driver knows.
func ParseUPSConf(name string, r io.Reader) (UPSConf, []Problem, error) {
	c := UPSConf{File: name}
	s := newSource(name, r)
	skipping := false // below a section header that is none
	var current *Section
	for {
		l, ok := s.next()
		if !ok {
			break
		}
		if title, ok := l.header(); ok {
			s.section = title
			l.surplus(1)
			skipping = !l.sectionName(title)
			if !skipping {
				current = c.open(l, title)
			}
			continue
		}
		if l.brokenHeader() {
			s.section = strings.Trim(strings.Join(l.words, " "), "[]")
			l.warn("this is no section header, which is one word: [name] or \"[my name]\"; the lines below are ignored up to the next header")
			skipping = true
			continue
		}
		set, ok := l.setting()
		switch {
		case skipping || !ok:
		case current == nil:
			l.checkGlobal(set)
			c.Global = append(c.Global, set)
		default:
			l.checkCommon(set)
			current.Settings = append(current.Settings, set)
		}
	}
	c.finish(s)
	return c, s.problems, s.err()
}

// sectionName reports whether a ups may have that name.
func (l line) sectionName(name string) bool {
	if name == "" || strings.ContainsAny(name, "@/") {
		l.warn("[%s] cannot be the name of a ups: it must not be empty nor contain '@' or '/'; the lines below are ignored up to the next header", name)
		return false
	}
	return true
}

// setting reads a line below a header: "name" or "name = value".
func (l line) setting() (Setting, bool) {
	set := Setting{Name: l.words[0], Line: l.no}
	switch {
	case set.Name == "" || set.Name == "=":
		l.warn("the line begins with no name; it is ignored")
		return set, false
	case len(l.words) == 1:
		set.Flag = true
		return set, true
	case l.words[1] != "=":
		l.warn("%s: write %s = value; the line is ignored", set.Name, set.Name)
		return set, false
	case len(l.words) == 2:
		l.warn("%s = has no value; the line is ignored", set.Name)
		return set, false
	}
	set.Value = l.words[2]
	l.surplus(3)
	return set, true
}

// open returns the section of that name, a new one if there is none yet: a
// header that comes again continues its section.
func (c *UPSConf) open(l line, name string) *Section {
	i := slices.IndexFunc(c.Sections, func(s Section) bool { return s.Name == name })
	if i < 0 {
		c.Sections = append(c.Sections, Section{Name: name, Line: l.no})
		i = len(c.Sections) - 1
	} else {
		l.warn("section [%s] goes on from line %d and what is here replaces what is there; another ups needs another name", name, c.Sections[i].Line)
	}
	return &c.Sections[i]
}

// finish removes the sections that do not count: those without a line, which do
// not exist to C, and all but the last of those whose names differ only in case,
// of which C's upsd serves only that.
func (c *UPSConf) finish(s *source) {
	kept := c.Sections[:0]
	for i, sec := range c.Sections {
		s.section = sec.Name
		if len(sec.Settings) == 0 {
			s.warn(sec.Line, "section [%s] is empty and does not count; it needs driver = and port =", sec.Name)
			continue
		}
		later := slices.IndexFunc(c.Sections[i+1:], func(o Section) bool {
			return strings.EqualFold(o.Name, sec.Name) && len(o.Settings) > 0
		})
		if later >= 0 {
			o := c.Sections[i+1+later]
			s.warn(o.Line, "section [%s] replaces [%s] of line %d: names that differ only in case are the same", o.Name, sec.Name, sec.Line)
			continue
		}
		if sec.Driver() == "" {
			s.warn(sec.Line, "section [%s] has no line driver = …%s; upsd will not serve it", sec.Name, sec.misspelt("driver"))
		}
		if !sec.hasPort() {
			s.warn(sec.Line, "section [%s] has no line port = …%s; upsd will not serve it", sec.Name, sec.misspelt("port"))
		}
		kept = append(kept, sec)
	}
	c.Sections = kept
}

// misspelt tells which line of the section was probably meant to be name; empty if
// none was.
func (s Section) misspelt(name string) string {
	for _, set := range s.Settings {
		if _, common := findOption(commonOptions(), set.Name); !common && words.Nearest(set.Name, []string{name}) != "" {
			return fmt.Sprintf(" (is %s on line %d meant to be it?)", set.Name, set.Line)
		}
	}
	return ""
}

// An option is one row of the tables of ups.conf: a name and what its value must
// be.
type option struct {
	name string
	fold bool // the name may be written in any case
	kind kind
}

type kind uint8

const (
	text    kind = iota
	flag         // on by being there
	number       // any whole number
	natural      // from 0 on
	counted      // from 1 on
	choice       // yes, no, auto
	folder       // a path
)

// globalOptions are all that may stand before the first section.
func globalOptions() []option {
	return []option{
		{name: "chroot", kind: folder},
		{name: "user"}, {name: "group"},
		{name: "pollinterval", kind: counted},
		{name: "synchronous", kind: choice},
		{name: "reconnect_max_tries", kind: number},
		{name: "reconnect_report_freq", kind: number},
		{name: "debug_min", fold: true, kind: natural},
		{name: "LIBUSB_DEBUG", kind: natural},
		{name: "statepath", fold: true, kind: folder},
		{name: "driverpath", kind: folder},
		{name: "maxstartdelay", kind: number},
		{name: "maxretry", kind: number},
		{name: "retrydelay", kind: number},
		{name: "nowait", kind: flag},
	}
}

// commonOptions are those of sections that mean the same to every driver. All
// others are the driver's business.
func commonOptions() []option {
	return []option{
		{name: "driver"}, {name: "port"}, {name: "desc"},
		{name: "user"}, {name: "group"},
		{name: "pollinterval", kind: counted},
		{name: "synchronous", kind: choice},
		{name: "reconnect_max_tries", kind: number},
		{name: "reconnect_report_freq", kind: number},
		{name: "debug_min", fold: true, kind: natural},
		{name: "LIBUSB_DEBUG", kind: natural},
		{name: "sdorder", kind: number},
		{name: "maxstartdelay", kind: number},
		{name: "maxretry", kind: number},
		{name: "retrydelay", kind: number},
		{name: "sdcommands"},
		{name: "nolock", kind: flag},
		{name: "ignorelb", kind: flag},
		{name: "allow_killpower", kind: flag},
	}
}

func findOption(table []option, name string) (option, bool) {
	i := slices.IndexFunc(table, func(o option) bool {
		return name == o.name || o.fold && strings.EqualFold(name, o.name)
	})
	if i < 0 {
		return option{}, false
	}
	return table[i], true
}

func (l line) checkGlobal(set Setting) {
	table := globalOptions()
	if o, ok := findOption(table, set.Name); ok {
		l.checkOption(o, set)
		return
	}
	if _, ok := findOption(commonOptions(), set.Name); ok {
		l.warn("%s means nothing before the first section", set.Name)
		return
	}
	var known []string
	for _, o := range table {
		known = append(known, o.name)
	}
	l.warn("unknown setting %s before the first section%s", set.Name, hint(set.Name, known))
}

func (l line) checkCommon(set Setting) {
	if o, ok := findOption(commonOptions(), set.Name); ok {
		l.checkOption(o, set)
		return
	}
	switch name := strings.ToLower(set.Name); {
	case name == "sddelay":
		l.warn("sddelay does nothing any more; drivers use ondelay, offdelay and sdcommands")
	case name == "nowait":
		l.warn("nowait belongs before the first section and does nothing here")
	case findFold(name) != "":
		l.warn("%s is not %s: the case of letters counts", set.Name, findFold(name))
	}
}

// findFold returns the common option whose name differs from a lower-case name
// only in the case of its letters.
func findFold(name string) string {
	for _, o := range commonOptions() {
		if strings.EqualFold(o.name, name) {
			return o.name
		}
	}
	return ""
}

func (l line) checkOption(o option, set Setting) {
	if o.kind == flag {
		if !set.Flag {
			l.warn("%s is a flag and is on whatever its value says; to have it off, remove the line", o.name)
		}
		return
	}
	if set.Flag {
		l.warn("%s wants a value: %s = …", o.name, o.name)
		return
	}
	n, isNumber := strictNumber(set.Value)
	wrong := ""
	switch o.kind {
	case number:
		if !isNumber {
			wrong = "a number"
		}
	case natural:
		if !isNumber || n < 0 {
			wrong = "a number from 0 on"
		}
	case counted:
		if !isNumber || n < 1 {
			wrong = "a number from 1 on"
		}
	case choice:
		if set.Value != "yes" && set.Value != "no" && set.Value != "auto" {
			wrong = "yes, no or auto"
		}
	case folder:
		if set.Value == "" {
			wrong = "a folder"
		}
	}
	if wrong != "" {
		l.warn("%s wants %s and not %q", o.name, wrong, set.Value)
	}
}

// Section returns the section of exactly that name, as drivers look for theirs.
func (c UPSConf) Section(name string) (Section, bool) {
	for _, s := range c.Sections {
		if s.Name == name {
			return s, true
		}
	}
	return Section{}, false
}

// SectionFold returns the section of that name in any case, as upsd looks for the
// ups that a client names.
func (c UPSConf) SectionFold(name string) (Section, bool) {
	for _, s := range c.Sections {
		if strings.EqualFold(s.Name, name) {
			return s, true
		}
	}
	return Section{}, false
}

// Names returns the names of all sections in order, for "did you mean".
func (c UPSConf) Names() []string {
	var ns []string
	for _, s := range c.Sections {
		ns = append(ns, s.Name)
	}
	return ns
}

// Setting returns the last line of that name before the first section.
func (c UPSConf) Setting(name string) (Setting, bool) {
	return last(globalOptions(), c.Global, name)
}

// Lookup returns a setting of the section, or if it has none the one before the
// first section: how the settings work that may stand in both places.
func (c UPSConf) Lookup(s Section, name string) (Setting, bool) {
	if set, ok := s.Setting(name); ok {
		return set, true
	}
	return c.Setting(name)
}

// Setting returns the last line of that name. For names that are common to all
// drivers case counts, debug_min apart; for the options of a driver and for
// default.* and override.* it does not.
func (s Section) Setting(name string) (Setting, bool) {
	return last(commonOptions(), s.Settings, name)
}

// Get returns the value of the last line of that name, empty if there is none.
func (s Section) Get(name string) string {
	set, _ := s.Setting(name)
	return set.Value
}

// Has reports whether the section has a line of that name, which is how flags
// are given: their value does not matter.
func (s Section) Has(name string) bool {
	_, ok := s.Setting(name)
	return ok
}

// Driver returns the name of the driver program, empty if the section has none.
func (s Section) Driver() string { return s.Get("driver") }

// Port returns where the driver finds the device, empty if the section has none.
func (s Section) Port() string { return s.Get("port") }

// Desc returns the description that upsd gives to clients, empty if there is none.
func (s Section) Desc() string { return s.Get("desc") }

// Complete reports whether the section has a driver and a port, without which
// upsd does not serve it and nothing starts its driver. An empty port will do, for
// drivers that need none.
func (s Section) Complete() bool { return s.Driver() != "" && s.hasPort() }

func (s Section) hasPort() bool {
	set, ok := s.Setting("port")
	return ok && !set.Flag
}

// Final returns the settings with each name once: the last line of a name
// counts, at the place of the first.
func (s Section) Final() []Setting {
	var out []Setting
	for _, set := range s.Settings {
		winner, _ := s.Setting(set.Name)
		if !slices.Contains(out, winner) {
			out = append(out, winner)
		}
	}
	return out
}

// last returns the last setting of that name. The case of letters counts if the
// table has either spelling, unless it says otherwise.
func last(table []option, sets []Setting, name string) (Setting, bool) {
	exact := func(name string) bool {
		o, known := findOption(table, name)
		return known && !o.fold
	}
	for _, set := range slices.Backward(sets) {
		if set.Name == name || strings.EqualFold(set.Name, name) && !exact(name) && !exact(set.Name) {
			return set, true
		}
	}
	return Setting{}, false
}
