package upsdrvctl

import (
	"errors"
	"strconv"
	"strings"

	"gonut/internal/program"
	"gonut/internal/ups"
)

// options are the command line.
type options struct {
	verb          string // start, stop, shutdown, status, list, or "-c"
	ups           string // the operand; empty: all
	order         order  // of -c
	help, version bool
	test          bool
	debug         int  // number of -D, later the debug level
	passDebug     bool // -d
	foreground    int  // number of F
	background    bool
	chroot, user  string
}

// parseOptions reads the arguments that follow the program's name. help may be
// set beside an error, for an unknown option.
func parseOptions(args []string) (o options, err error) {
	given, operands, err := program.Getopt(args, "hr:tu:DdFBVlc:")
	if err != nil {
		o.help = true
		return o, err
	}
	if len(args) == 0 {
		o.help = true
		return o, nil
	}
	for _, g := range given {
		if err := o.set(g); err != nil {
			return o, err
		}
	}
	if o.help || o.version {
		return o, nil
	}
	if o.verb == "" {
		if len(operands) == 0 {
			return o, usage("no command was given")
		}
		o.verb, operands = operands[0], operands[1:]
		switch o.verb {
		case "start", "stop", "shutdown", "status", "list":
		default:
			return o, usage("unrecognized command [%s]", o.verb)
		}
	}
	if len(operands) > 1 {
		return o, usage("%s takes one ups at most, but there are %d: %s", o.verb, len(operands), strings.Join(operands, " "))
	}
	if len(operands) == 1 {
		o.ups = operands[0]
		if o.ups == "" {
			return o, usage("the name of the ups is empty")
		}
	}
	return o, nil
}

func (o *options) set(g program.Option) (err error) {
	switch g.Letter {
	case 'h':
		o.help = true
	case 'V':
		o.version = true
	case 'r':
		o.chroot = g.Arg
	case 'u':
		o.user = g.Arg
	case 't':
		o.test = true
	case 'D':
		o.debug++
	case 'd':
		o.passDebug = true
	case 'F':
		o.foreground++
	case 'B':
		o.background = true
	case 'l', 'c':
		if o.verb != "" {
			return usage("-l and -c can be given only once, and not together")
		}
		o.verb = "list"
		if g.Letter == 'c' {
			o.verb = "-c"
			o.order, err = findOrder(g.Arg)
		}
	}
	return err
}

// driverArgs returns the arguments of a driver, its own name apart. kill asks it
// to cut the power; such a driver never stays.
func (o *options) driverArgs(u unit, kill bool) []string {
	var args []string
	if !kill {
		if o.passDebug && o.debug > 0 {
			args = append(args, "-"+strings.Repeat("D", o.debug))
		}
		switch {
		case o.background:
			args = append(args, "-B")
		case o.foreground > 0:
			args = append(args, "-"+strings.Repeat("F", min(o.foreground, 2)))
		}
	}
	args = append(args, "-a", u.ups)
	if kill {
		args = append(args, "-k")
	}
	if o.chroot != "" {
		args = append(args, "-r", o.chroot)
	}
	if o.user != "" {
		args = append(args, "-u", o.user)
	}
	return args
}

// stays reports whether drivers that are started do not go to the background.
func (o *options) stays() bool { return o.foreground > 0 && !o.background }

// unwatched reports whether drivers stay in the foreground only because they were
// told to debug: C's upsdrvctl starts them and does not wait.
func (o *options) unwatched() bool {
	return o.passDebug && o.debug > 0 && !o.background && o.foreground == 0
}

// An order is what -c makes running drivers do.
type order uint8

const (
	reloadOrError order = iota
	exit
	dump
	reload
	reloadOrExit
)

// errOrder lists what -c knows.
var errOrder = errors.New("-c wants reload-or-error, exit, dump, reload or reload-or-exit")

// findOrder finds a word of -c, or its beginning: the first in C's order counts, so
// that "reload" is reload-or-error.
func findOrder(word string) (order, error) {
	for _, w := range []struct {
		word string
		is   order
	}{
		{"reload-or-error", reloadOrError},
		{"exit", exit},
		{"dump", dump},
		{"data-dump", dump},
		{"reload", reload},
		{"reload-or-exit", reloadOrExit},
	} {
		if word != "" && strings.HasPrefix(w.word, word) {
			return w.is, nil
		}
	}
	return 0, usage("%w, and not %s", errOrder, strconv.Quote(word))
}

// atoi reads a number as C does, and gives fallback for an empty text.
func atoi(s string, fallback int) int {
	if s == "" {
		return fallback
	}
	return ups.Atoi(s)
}
