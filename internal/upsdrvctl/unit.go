package upsdrvctl

import (
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"gonut/internal/conf"
	"gonut/internal/daemon"
	"gonut/internal/drvsock"
)

// What ups.conf does not say.
const (
	defaultStartDelay = 75
	defaultTries      = 1
	defaultRetryDelay = 5
)

// A unit is one section of ups.conf as upsdrvctl sees it.
type unit struct {
	ups, driver, port string
	incomplete        string        // what its section lacks to be started, and where; empty: nothing
	order             int           // sdorder: the pass of a shutdown; negative: none
	startDelay        time.Duration // how long to wait for a driver to be ready; not above 0: without end
	tries             int           // how often to try to start it
	retryDelay        time.Duration
	nowait            bool
	socket            string
	pidFiles          []string // where its PID file may be
}

// units returns all sections of a ups.conf.
func units(file conf.UPSConf, paths conf.Paths) []unit {
	state := paths.State
	if set, ok := file.Setting("statepath"); ok && set.Value != "" && !paths.StateByEnv {
		state = set.Value
	}
	_, nowait := file.Setting("nowait")
	var us []unit
	for _, s := range file.Sections {
		number := func(name string, fallback int) int {
			set, _ := file.Lookup(s, name)
			return atoi(set.Value, fallback)
		}
		u := unit{
			ups:        s.Name,
			driver:     s.Driver(),
			incomplete: incomplete(file, s),
			port:       s.Port(),
			order:      atoi(s.Get("sdorder"), 0),
			startDelay: seconds(number("maxstartdelay", defaultStartDelay)),
			tries:      number("maxretry", defaultTries),
			retryDelay: seconds(number("retrydelay", defaultRetryDelay)),
			nowait:     nowait,
			socket:     drvsock.Path(state, s.Driver(), s.Name),
			pidFiles:   []string{daemon.AltPIDPath(paths, s.Driver()+"-"+s.Name)},
		}
		if u.tries < 0 {
			u.tries = defaultTries
		}
		// Drivers of old wrote the port's name into that of the file.
		if base := filepath.Base(u.port); u.port != "" && base != u.ups && !strings.HasPrefix(base, ".") {
			u.pidFiles = append(u.pidFiles, daemon.AltPIDPath(paths, u.driver+"-"+base))
		}
		us = append(us, u)
	}
	return us
}

// incomplete says what a section lacks without which no driver can be started.
func incomplete(file conf.UPSConf, s conf.Section) string {
	var missing string
	switch {
	case s.Complete():
		return ""
	case s.Driver() == "":
		missing = "driver"
	default:
		missing = "port"
	}
	return fmt.Sprintf("%s:%d: section [%s] has no line %s = …", file.File, s.Line, s.Name, missing)
}

func seconds(n int) time.Duration { return time.Duration(n) * time.Second }

// passes returns the units of a shutdown of all, pass after pass: ascending
// sdorder and within one the order of ups.conf. Negative ones are left out.
func passes(us []unit) []unit {
	last := -1
	for _, u := range us {
		last = max(last, u.order)
	}
	var out []unit
	for done := -1; done < last; {
		next := last
		for _, u := range us {
			if u.order > done {
				next = min(next, u.order)
			}
		}
		for _, u := range us {
			if u.order == next {
				out = append(out, u)
			}
		}
		done = next
	}
	return out
}
