// Package doctor is the program that says why things do not work: for each thing
// that is wrong one line with the reason and one with the command that mends it.
// It looks at files, devices and processes and asks running drivers; it opens no
// device and changes nothing.
package doctor

import (
	"context"
	"fmt"
	"strings"
	"unicode"

	"gonut/internal/conf"
	"gonut/internal/driver"
	"gonut/internal/program"
)

// The exit codes.
const (
	healthy   = 0
	ill       = 1 // something has to be mended
	unchecked = 2 // there was nothing to look at, or the command line was wrong
)

// Program returns nut doctor. drivers are those of this binary.
func Program(drivers []driver.Driver) program.Program {
	return program.Program{
		Name:    "doctor",
		Summary: "say what is wrong with the drivers of ups.conf, and the commands that mend it",
		Run: func(ctx context.Context, e program.Env) error {
			return run(ctx, e, drivers, newWorld(e))
		},
	}
}

const usage = `usage: nut doctor drivers [<ups> ...]

For each section of ups.conf, or those that are named, tells whether its driver
works and if not, why not and which command mends that. Run it as root: others may
not see which process holds a device.

Ends with 0 if all is well, 1 if something has to be mended, 2 if it could not look.
`

func run(ctx context.Context, e program.Env, drivers []driver.Driver, w world) error {
	args := e.Args[1:]
	if len(args) == 0 || args[0] == "-h" || args[0] == "--help" {
		fmt.Fprint(e.Stdout, usage)
		if len(args) == 0 {
			return program.Exit(unchecked)
		}
		return nil
	}
	if args[0] != "drivers" {
		return program.Exitf(unchecked, "nut doctor: no subject %q; the only one is drivers", args[0])
	}
	paths := conf.FindPaths(e.Getenv)
	name := paths.File("ups.conf")
	file, problems, err := conf.ReadFile(name, conf.ParseUPSConf)
	if err != nil {
		return program.Exitf(unchecked, "nut doctor: %w", err)
	}
	p := &practice{world: w, drivers: drivers, paths: paths, fileName: name, file: file, problems: problems}
	fs, err := p.examine(ctx, args[1:])
	if err != nil {
		return program.Exitf(unchecked, "nut doctor: %w", err)
	}
	for _, f := range fs {
		fmt.Fprint(e.Stdout, f)
	}
	for _, f := range fs {
		if f.wrong {
			return program.Exit(ill)
		}
	}
	return nil
}

// A finding is what there is to say about one ups, or about all of them.
type finding struct {
	ups    string // "all" for what concerns every one
	wrong  bool
	text   string // one line
	remedy string // a command; empty if all is well or no command helps
}

// String returns the finding as it is printed. Devices name themselves, so what
// could command a terminal is taken out.
func (f finding) String() string {
	s := strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, f.ups+": "+strings.ReplaceAll(f.text, "\n", "; ")) + "\n"
	if f.remedy != "" {
		s += "    " + f.remedy + "\n"
	}
	return s
}
