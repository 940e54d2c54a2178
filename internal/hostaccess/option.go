package hostaccess

import (
	"fmt"
	"strings"
)

// An option is what may stand behind the clients of a line.
type option struct {
	value   need
	last    bool // nothing may follow it
	verdict verdict
}

// A need says whether an option has a value.
type need uint8

const (
	noValue need = iota
	mayValue
	mustValue
)

// options are those of the library. Most do not matter here; those that replace the
// service or ask a program for the verdict keep the client out.
var options = map[string]option{
	"allow":     {last: true, verdict: letIn},
	"deny":      {last: true, verdict: keepOut},
	"twist":     {value: mustValue, last: true, verdict: keepOut},
	"aclexec":   {value: mustValue, verdict: keepOut},
	"spawn":     {value: mustValue},
	"user":      {value: mustValue},
	"group":     {value: mustValue},
	"umask":     {value: mustValue},
	"linger":    {value: mustValue},
	"setenv":    {value: mustValue},
	"severity":  {value: mustValue},
	"banners":   {value: mustValue},
	"nice":      {value: mayValue},
	"rfc931":    {value: mayValue},
	"keepalive": {},
}

// verdictOf finds what the options of a line say. One that is wrong keeps out whom
// the line names, and problem says what is wrong.
func verdictOf(fields []string) (v verdict, problem string) {
	for i, f := range fields {
		f = strings.TrimSpace(f)
		name, value := f, ""
		if n := strings.IndexAny(f, " \t="); n >= 0 {
			name, value = f[:n], strings.Trim(f[n:], " \t=")
		}
		o, known := options[strings.ToLower(name)]
		switch {
		case f == "":
			problem = "an option is empty"
		case !known:
			problem = fmt.Sprintf("there is no option %q", name)
		case o.value == noValue && value != "":
			problem = fmt.Sprintf("option %s takes no value", name)
		case o.value == mustValue && value == "":
			problem = fmt.Sprintf("option %s needs a value", name)
		case o.last && i != len(fields)-1:
			problem = fmt.Sprintf("option %s must be the last one", name)
		case strings.EqualFold(name, "aclexec"):
			problem = "option aclexec runs a command, and none is run"
		}
		if problem != "" {
			return keepOut, problem
		}
		if o.verdict != byFile {
			v = o.verdict
		}
	}
	return v, ""
}
