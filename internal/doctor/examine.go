package doctor

import (
	"context"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"gonut/internal/conf"
	"gonut/internal/daemon"
	"gonut/internal/driver"
	"gonut/internal/drvsock"
	"gonut/internal/words"
)

// defaultUser is whom drivers become that root starts, if nobody chose otherwise.
const defaultUser = "nut"

// A practice is one examination of a ups.conf.
type practice struct {
	world    world
	drivers  []driver.Driver
	paths    conf.Paths
	fileName string
	file     conf.UPSConf
	problems []conf.Problem
}

// A patient is one section with what was found out about it.
type patient struct {
	conf.Section
	own     *driver.Driver // the driver of this binary; nil if it has none of that name
	config  driver.Config  // what the options mean; with a nil own only the common part is known
	account daemon.Account // whom the driver runs as
	pid     int            // of the running driver; 0 if none is known
}

// examine returns what there is to say about the named sections, or all.
func (p *practice) examine(ctx context.Context, names []string) ([]finding, error) {
	if len(p.file.Sections) == 0 {
		return nil, fmt.Errorf("%s has no sections: there are no drivers to look at", p.fileName)
	}
	for _, n := range names {
		if _, ok := p.file.Section(n); !ok {
			near := words.Nearest(n, p.file.Names())
			if near != "" {
				near = "; did you mean " + near + "?"
			}
			return nil, fmt.Errorf("%s has no section [%s]%s", p.fileName, n, near)
		}
	}
	var fs, last []finding
	if _, err := p.world.account(defaultUser); err != nil {
		last = p.examineStatePath() // its group has to be made before
	} else {
		fs = p.examineStatePath()
	}
	shared := p.sharedPorts()
	for _, s := range p.file.Sections {
		if len(names) > 0 && !slices.Contains(names, s.Name) {
			continue
		}
		fs = append(fs, p.notes(s)...)
		found := p.section(ctx, s)
		if other := shared[s.Name]; other != "" {
			found = slices.DeleteFunc(found, func(f finding) bool { return f.text == idle })
			found = append(found, finding{s.Name, true, other, p.edit(portLine(s))})
		}
		fs = append(fs, found...)
	}
	return append(fs, last...), nil
}

// notes returns the problems that the parser found within a section.
func (p *practice) notes(s conf.Section) []finding {
	var fs []finding
	for _, pr := range p.problems {
		// What is missing altogether is told below, with its remedy.
		if pr.Section == s.Name && pr.Line != s.Line {
			fs = append(fs, finding{ups: s.Name, text: fmt.Sprintf("note: ups.conf:%d: %s", pr.Line, pr.Text)})
		}
	}
	return fs
}

// idle is the text of a section in whose way nothing stands.
const idle = "its driver is not running; nothing stands in its way"

// section examines one ups.
func (p *practice) section(ctx context.Context, s conf.Section) []finding {
	pt := patient{Section: s}
	wrong := func(text, remedy string) []finding { return []finding{{s.Name, true, text, remedy}} }
	if text, remedy := p.program(&pt); text != "" {
		return wrong(text, remedy)
	}
	if fs := p.options(&pt); len(fs) > 0 {
		return fs
	}
	user := pt.config.User
	if user == "" {
		user = defaultUser
	}
	var err error
	if pt.account, err = p.world.account(user); err != nil {
		return wrong(fmt.Sprintf("its driver would run as user %s, who does not exist", user),
			"useradd --system --user-group --no-create-home --shell /usr/sbin/nologin "+quote(user))
	}
	state := p.world.ask(ctx, drvsock.Path(p.statePath(), s.Driver(), s.Name), daemon.AltPIDPath(p.paths, s.Driver()+"-"+s.Name), s.Driver())
	pt.pid = state.pid
	restart := fmt.Sprintf("upsdrvctl stop %s; upsdrvctl start %[1]s", quote(s.Name))
	switch state.kind {
	case working:
		return []finding{{ups: s.Name, text: "ok: its driver works" + process(pt.pid) + ", ups.status is " + state.status}}
	case hanging:
		return wrong("its driver"+process(pt.pid)+" runs and does not answer on its socket", restart)
	case refusing:
		return wrong("its driver may not be asked: "+state.status, "sudo nut doctor drivers "+quote(s.Name))
	case stale:
		if fs := p.device(ctx, &pt); len(fs) > 0 {
			return fs
		}
		return wrong("its driver"+process(pt.pid)+" runs and has lost its device, which seems to be there", restart)
	}
	if fs := p.device(ctx, &pt); len(fs) > 0 {
		return fs
	}
	return wrong(idle, "upsdrvctl start "+quote(s.Name))
}

func process(pid int) string {
	if pid == 0 {
		return ""
	}
	return fmt.Sprintf(" (process %d)", pid)
}

// program checks that there is a driver program of the section's name.
func (p *practice) program(pt *patient) (text, remedy string) {
	name := pt.Driver()
	if name == "" {
		return "its section has no line driver = …", p.edit(pt.Line)
	}
	for i, d := range p.drivers {
		if d.Name == name || slices.Contains(d.Aliases, name) {
			pt.own = &p.drivers[i]
		}
	}
	if pt.own != nil || p.world.exists(filepath.Join(p.driverPath(), name)) {
		return "", ""
	}
	set, _ := pt.Setting("driver")
	text = fmt.Sprintf("ups.conf:%d: there is no driver %s", set.Line, name)
	var known []string
	for _, d := range p.drivers {
		known = append(append(known, d.Name), d.Aliases...)
	}
	known = append(known, p.world.names(p.driverPath())...)
	if near := words.Nearest(name, known); near != "" {
		return text + "; did you mean " + near + "?", p.replace(set.Line, name, near)
	}
	return text + " in " + p.driverPath() + " nor in this binary; nut without arguments lists those that it has", p.edit(set.Line)
}

// options checks the section against the options that its driver has. A driver
// that is not ours is not known so well.
func (p *practice) options(pt *patient) []finding {
	d := pt.own
	if d == nil {
		d = &driver.Driver{Name: pt.Driver()}
		for _, s := range pt.Settings {
			d.Options = append(d.Options, driver.Option{Name: s.Name, Flag: s.Flag})
		}
	}
	var fs []finding
	// Each pass finds one mistake; it goes on without that line.
	file := conf.UPSConf{File: "ups.conf", Global: slices.Clone(p.file.Global), Sections: []conf.Section{{Name: pt.Name, Line: pt.Line, Settings: slices.Clone(pt.Settings)}}}
	for {
		c, _, err := d.ConfigFromFile(file, pt.Name)
		if err == nil {
			pt.config = c
			return fs
		}
		text := err.Error()
		line := lineOf(text)
		fs = append(fs, finding{pt.Name, true, text, p.mendOption(text, line, pt)})
		without := func(s conf.Setting) bool { return s.Line == line && line > 0 }
		before := len(file.Global) + len(file.Sections[0].Settings)
		file.Global = slices.DeleteFunc(file.Global, without)
		file.Sections[0].Settings = slices.DeleteFunc(file.Sections[0].Settings, without)
		if len(file.Global)+len(file.Sections[0].Settings) == before {
			return fs
		}
	}
}

// mendOption returns the command for a wrong line: the near name in place of the
// wrong one if the driver knows one.
func (p *practice) mendOption(text string, line int, pt *patient) string {
	if line == 0 {
		line = pt.Line
	}
	for _, s := range pt.Settings {
		if s.Line == line && pt.own != nil {
			if m := didYouMean.FindStringSubmatch(text); m != nil {
				return p.replace(line, s.Name, m[1])
			}
		}
	}
	return p.edit(line)
}

var (
	lineNumber = regexp.MustCompile(`ups\.conf:(\d+): `)
	didYouMean = regexp.MustCompile(`\(did you mean (\S+)\?\)`)
)

// lineOf returns the line of ups.conf that a message is about, 0 if it does not say.
func lineOf(text string) int {
	m := lineNumber.FindStringSubmatch(text)
	if m == nil {
		return 0
	}
	n, _ := strconv.Atoi(m[1])
	return n
}

// examineStatePath checks that drivers can make their sockets.
func (p *practice) examineStatePath() []finding {
	dir := p.statePath()
	make := fmt.Sprintf("install -d -o root -g %s -m 0770 %s", defaultUser, quote(dir))
	n, err := p.world.stat(dir)
	switch {
	case err != nil:
		return []finding{{"all", true, fmt.Sprintf("the folder of driver sockets cannot be used: %v", err), make}}
	case !n.dir:
		return []finding{{"all", true, dir + " should be the folder of driver sockets and is a file", "rm " + quote(dir) + " && " + make}}
	}
	a, err := p.world.account(p.user())
	if err != nil || n.allows(a, mayWrite|mayEnter) {
		return nil
	}
	return []finding{{"all", true, fmt.Sprintf("drivers run as %s and may not make their sockets in %s, which is %s", a.Name, dir, p.world.describe(n)), make}}
}

// user is whom drivers become unless their section says otherwise.
func (p *practice) user() string {
	if s, ok := p.file.Setting("user"); ok && s.Value != "" {
		return s.Value
	}
	return defaultUser
}

func (p *practice) statePath() string {
	if s, ok := p.file.Setting("statepath"); ok && s.Value != "" && !p.paths.StateByEnv {
		return s.Value
	}
	return p.paths.State
}

func (p *practice) driverPath() string {
	if s, ok := p.file.Setting("driverpath"); ok && s.Value != "" {
		return s.Value
	}
	return p.paths.Drivers
}

// edit is the command that opens ups.conf at a line.
func (p *practice) edit(line int) string {
	return fmt.Sprintf("${EDITOR:-vi} +%d %s", line, quote(p.fileName))
}

// replace is the command that puts a word of ups.conf in the place of another.
func (p *practice) replace(line int, from, to string) string {
	clean := func(s string) bool { return !strings.ContainsAny(s, `|\&'*[]^$.`+"\n") }
	if !clean(from) || !clean(to) {
		return p.edit(line)
	}
	return fmt.Sprintf("sed -i '%ds|%s|%s|' %s", line, from, to, quote(p.fileName))
}

// quote returns s as one word of a shell command.
func quote(s string) string {
	if s != "" && strings.IndexFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_-./:@,+", r))
	}) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

func portLine(s conf.Section) int {
	set, ok := s.Setting("port")
	if !ok {
		return s.Line
	}
	return set.Line
}
