package sandbox

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"gonut/internal/words"
)

// A Command is one thing that the user makes happen.
type Command struct {
	At   time.Duration // since the start; only in scripts
	Verb string
	UPS  []string // which ones; empty means all
}

// verbs are the commands and what they do, in the order of the help text.
var verbs = [...]struct{ name, help string }{
	{"cut", "mains power fails: the UPS goes on battery"},
	{"restore", "mains power and communication return; hosts that are down start again"},
	{"lowbatt", "the battery is nearly empty"},
	{"replace", "the UPS asks for a new battery"},
	{"unplug", "the cable to the UPS is pulled: communication is lost"},
	{"status", "show every UPS and every host now"},
	{"help", "show this list"},
	{"quit", "end the sandbox"},
}

// ParseCommand reads what the user typed, already split into words: a verb and the
// names of ups it is for.
func ParseCommand(ws []string, upsNames []string) (Command, error) {
	c := Command{Verb: strings.ToLower(ws[0]), UPS: ws[1:]}
	var known []string
	for _, v := range verbs {
		known = append(known, v.name)
	}
	if !slices.Contains(known, c.Verb) {
		if near := words.Nearest(c.Verb, known); near != "" {
			return c, fmt.Errorf("unknown command %q; did you mean %s?", ws[0], near)
		}
		return c, fmt.Errorf("unknown command %q; known are %s", ws[0], strings.Join(known, ", "))
	}
	for _, u := range c.UPS {
		if !slices.Contains(upsNames, u) {
			return c, fmt.Errorf("unknown ups %q; there are %s", u, strings.Join(upsNames, " and "))
		}
	}
	return c, nil
}

// parseTime reads a number of seconds, or a time with units such as 1m30s.
func parseTime(text string) (time.Duration, error) {
	if n, err := strconv.ParseFloat(text, 64); err == nil {
		text = strconv.FormatFloat(n, 'f', -1, 64) + "s"
	}
	return time.ParseDuration(text)
}

// ParseScript reads commands with times: each line is the time since the start
// (such as 90, 90s or 1m30s), never earlier than the line before, and a command.
func ParseScript(name string, r io.Reader, upsNames []string) ([]Command, error) {
	var cs []Command
	s := words.NewScanner(r)
	for s.Scan() {
		fail := func(err error) ([]Command, error) {
			return nil, fmt.Errorf("%s:%d: %w", name, s.Line(), err)
		}
		if err := s.Problem(); err != nil {
			return fail(err)
		}
		ws := s.Words()
		if len(ws) < 2 {
			return fail(fmt.Errorf("want a time and a command, such as: 10s cut"))
		}
		at, err := parseTime(ws[0])
		if err != nil || at < 0 {
			return fail(fmt.Errorf("%q is no time since the start; write it like 10, 10s or 1m30s", ws[0]))
		}
		c, err := ParseCommand(ws[1:], upsNames)
		if err != nil {
			return fail(err)
		}
		if c.At = at; len(cs) > 0 && at < cs[len(cs)-1].At {
			return fail(fmt.Errorf("%v is earlier than the line before (%v)", at, cs[len(cs)-1].At))
		}
		cs = append(cs, c)
	}
	if err := s.Err(); err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return cs, nil
}
