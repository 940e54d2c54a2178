// Package hostaccess answers who may use a service by the rules of hosts.allow and
// hosts.deny, as the tcp-wrappers library did: the first rule that matches decides,
// allow before deny, and who matches none may. It understands addresses, networks
// and users; it looks up no names, so that patterns which need one never match, and
// runs no commands. It says what it does not understand, and then rather keeps out.
package hostaccess

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"slices"
	"strings"
)

// Files are where the rules are.
type Files struct{ Allow, Deny string }

// System returns the files that all services of a host share.
func System() Files { return Files{"/etc/hosts.allow", "/etc/hosts.deny"} }

// Rules are the rules of both files that concern one service. The nil Rules let
// everybody in.
type Rules struct {
	service     string
	allow, deny []rule
	files       [2]fs.FileInfo
}

// A rule is one line.
type rule struct {
	services list
	clients  list
	verdict  verdict
}

type verdict uint8

const (
	byFile verdict = iota // hosts.allow lets in, hosts.deny keeps out
	letIn
	keepOut
)

// A Client is who wants to use the service.
type Client struct {
	Addr  netip.Addr // its own address
	Local netip.Addr // the address of ours that it came to
	User  string
}

// Load reads both files for a service. A file that is not there has no rules.
// Problems are lines that do not do what they seem to; each has file and line.
func Load(f Files, service string) (r *Rules, problems []string, err error) {
	r = &Rules{service: service}
	for i, name := range []string{f.Allow, f.Deny} {
		file, err := os.Open(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, problems, fmt.Errorf("read access rules: %w", err)
		}
		rules, ps, err := parse(file, name, service)
		problems = append(problems, ps...)
		if err == nil {
			r.files[i], err = file.Stat()
		}
		file.Close()
		if err != nil {
			return nil, problems, fmt.Errorf("read access rules: %w", err)
		}
		if i == 0 {
			r.allow = rules
		} else {
			r.deny = rules
		}
	}
	return r, problems, nil
}

// Changed reports whether the files are others than those that r was read from.
func (r *Rules) Changed(f Files) bool {
	for i, name := range []string{f.Allow, f.Deny} {
		now, err := os.Stat(name)
		var was fs.FileInfo
		if r != nil {
			was = r.files[i]
		}
		switch {
		case (err != nil) != (was == nil):
			return true
		case err == nil && (!now.ModTime().Equal(was.ModTime()) || now.Size() != was.Size() || !os.SameFile(now, was)):
			return true
		}
	}
	return false
}

// Admits reports whether the client may use the service.
func (r *Rules) Admits(c Client) bool {
	if r == nil {
		return true
	}
	c.Addr, c.Local = c.Addr.Unmap().WithZone(""), c.Local.Unmap().WithZone("")
	for _, l := range r.allow {
		if l.matches(c, r.service) {
			return l.verdict != keepOut
		}
	}
	for _, l := range r.deny {
		if l.matches(c, r.service) {
			return l.verdict == letIn
		}
	}
	return true
}

func (l *rule) matches(c Client, service string) bool {
	return l.services.match(func(p pattern) bool { return p.service(c, service) }) &&
		l.clients.match(func(p pattern) bool { return p.client(c) })
}

// parse reads the rules of one file that may concern the service.
func parse(r io.Reader, name, service string) (rules []rule, problems []string, err error) {
	problem := func(no int, format string, args ...any) {
		problems = append(problems, fmt.Sprintf("%s:%d: ", name, no)+fmt.Sprintf(format, args...))
	}
	lines := lineReader{in: bufio.NewScanner(r)}
	for lines.next() {
		text, no := strings.TrimSpace(lines.text), lines.no
		if text == "" || text[0] == '#' {
			continue
		}
		fields := fields(text)
		if len(fields) < 2 {
			problem(no, "no ':' between services and clients; the line is ignored")
			continue
		}
		l := rule{services: parseList(words(fields[0])), clients: parseList(words(fields[1]))}
		if !slices.ContainsFunc(l.services.patterns, func(p pattern) bool { return p.named(service) }) {
			continue
		}
		var bad string
		if l.verdict, bad = verdictOf(fields[2:]); bad != "" {
			problem(no, "%s; the line keeps out whom it names", bad)
		}
		ps := l.clients.all()
		for _, p := range l.services.all() {
			if p.before != "" {
				ps = append(ps, p)
			}
		}
		for _, p := range ps {
			if why := p.never(); why != "" {
				problem(no, "%s never matches: %s", p.host, why)
			}
		}
		rules = append(rules, l)
	}
	return rules, problems, lines.in.Err()
}

// A lineReader joins lines that end with a backslash to the one below.
type lineReader struct {
	in   *bufio.Scanner
	text string
	no   int // of the last part of text
}

func (r *lineReader) next() bool {
	r.text = ""
	for any := false; ; any = true {
		if !r.in.Scan() {
			return any
		}
		r.no++
		part, more := strings.CutSuffix(r.in.Text(), `\`)
		r.text += part
		if !more {
			return true
		}
	}
}

// fields splits a line at the colons that are neither within [ ] nor behind a
// backslash.
func fields(line string) []string {
	var fs []string
	depth, from := 0, 0
	for i, c := range line {
		switch {
		case c == '[':
			depth++
		case c == ']' && depth > 0:
			depth--
		case c == ':' && depth == 0 && (i == 0 || line[i-1] != '\\'):
			fs = append(fs, line[from:i])
			from = i + 1
		}
	}
	return append(fs, line[from:])
}

func words(field string) []string {
	return strings.FieldsFunc(field, func(c rune) bool { return c == ' ' || c == '\t' || c == ',' || c == '\r' })
}
