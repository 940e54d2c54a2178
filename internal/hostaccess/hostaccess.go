// Package hostaccess answers who may use a service by the rules of hosts.allow and
// hosts.deny, as the tcp-wrappers library did: the first rule that matches decides,
// allow before deny, and who matches none may. It understands addresses, networks
// and users; it looks up no names, runs no commands, and rules that need either
// never match, which it says.
package hostaccess

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path"
	"strings"
)

// Files are where the rules are.
type Files struct{ Allow, Deny string }

// System returns the files that all services of a host share.
func System() Files { return Files{"/etc/hosts.allow", "/etc/hosts.deny"} }

// Rules are the rules of both files that concern one service. The nil Rules let
// everybody in.
type Rules struct {
	allow, deny []rule
	files       [2]fs.FileInfo
}

// A rule is one line.
type rule struct {
	clients list
	verdict verdict
}

type verdict uint8

const (
	byFile verdict = iota // hosts.allow lets in, hosts.deny keeps out
	letIn
	keepOut
)

// A list is patterns, less those behind EXCEPT.
type list struct {
	patterns []pattern
	except   *list
}

// A pattern is one word of a list: for the users (user@…) and for the client.
type pattern struct {
	user string // a glob; empty for all
	host string
}

// Load reads both files for a service. A file that is not there has no rules.
// Problems are lines that do not do what they seem to; each has file and line.
func Load(f Files, service string) (r *Rules, problems []string, err error) {
	r = &Rules{}
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

// Admits reports whether the user at addr may use the service.
func (r *Rules) Admits(addr netip.Addr, user string) bool {
	if r == nil {
		return true
	}
	addr = addr.Unmap().WithZone("")
	for _, l := range r.allow {
		if l.clients.match(addr, user) {
			return l.verdict != keepOut
		}
	}
	for _, l := range r.deny {
		if l.clients.match(addr, user) {
			return l.verdict == letIn
		}
	}
	return true
}

// parse reads the rules of one file that name the service.
func parse(r io.Reader, name, service string) (rules []rule, problems []string, err error) {
	s := bufio.NewScanner(r)
	for no, line := 1, ""; s.Scan(); no++ {
		line += s.Text()
		if before, more := strings.CutSuffix(line, `\`); more {
			line = before
			continue
		}
		text := strings.TrimSpace(line)
		line = ""
		if text == "" || text[0] == '#' {
			continue
		}
		fields := fields(text)
		if len(fields) < 2 {
			problems = append(problems, fmt.Sprintf("%s:%d: no ':' between services and clients; the line is ignored", name, no))
			continue
		}
		services, _ := parseList(words(fields[0]))
		if !services.names(service) {
			continue
		}
		clients, odd := parseList(words(fields[1]))
		for _, o := range odd {
			problems = append(problems, fmt.Sprintf("%s:%d: %s never matches: names of hosts are not looked up", name, no, o))
		}
		rules = append(rules, rule{clients, verdictOf(fields[2:])})
	}
	return rules, problems, s.Err()
}

// fields splits a line at the colons that are not within [ ].
func fields(line string) []string {
	var fs []string
	depth, from := 0, 0
	for i, c := range line {
		switch {
		case c == '[':
			depth++
		case c == ']' && depth > 0:
			depth--
		case c == ':' && depth == 0:
			fs = append(fs, line[from:i])
			from = i + 1
		}
	}
	return append(fs, line[from:])
}

func words(field string) []string {
	return strings.FieldsFunc(field, func(c rune) bool { return c == ' ' || c == '\t' || c == ',' })
}

// verdictOf finds what the options of a line say; those that run commands do not
// matter here, but twist keeps the client from the service.
func verdictOf(options []string) verdict {
	v := byFile
	for _, o := range options {
		switch w := words(o); {
		case len(w) == 0:
		case strings.EqualFold(w[0], "ALLOW"):
			v = letIn
		case strings.EqualFold(w[0], "DENY"), strings.EqualFold(w[0], "twist"):
			v = keepOut
		}
	}
	return v
}

// parseList returns the list and those of its words that can never match.
func parseList(ws []string) (l list, odd []string) {
	for i, w := range ws {
		if strings.EqualFold(w, "EXCEPT") {
			except, more := parseList(ws[i+1:])
			l.except = &except
			return l, append(odd, more...)
		}
		p := pattern{host: w}
		if user, host, ok := strings.Cut(w, "@"); ok && user != "" {
			p = pattern{user, host}
		}
		if !p.understood() {
			odd = append(odd, w)
		}
		l.patterns = append(l.patterns, p)
	}
	return l, odd
}

// names reports whether a list of services has this one.
func (l list) names(service string) bool {
	for _, p := range l.patterns {
		name := p.host
		if p.user != "" { // service@address of ours
			name = p.user
		}
		if strings.EqualFold(name, "ALL") || name == service {
			return l.except == nil || !l.except.names(service)
		}
	}
	return false
}

func (l list) match(addr netip.Addr, user string) bool {
	for _, p := range l.patterns {
		if p.matches(addr, user) {
			return l.except == nil || !l.except.match(addr, user)
		}
	}
	return false
}

func (p pattern) matches(addr netip.Addr, user string) bool {
	if p.user != "" && !strings.EqualFold(p.user, "ALL") && !glob(p.user, user) {
		return false
	}
	text := addr.String()
	h := p.host
	switch {
	case strings.EqualFold(h, "ALL"):
		return true
	case strings.EqualFold(h, "LOCAL"):
		return addr.IsLoopback()
	case strings.HasSuffix(h, "."):
		return strings.HasPrefix(text, h)
	case strings.ContainsAny(h, "*?"):
		return glob(h, text)
	}
	net, ok := network(h)
	return ok && net.Contains(addr)
}

// understood reports whether the pattern can match at all.
func (p pattern) understood() bool {
	h := p.host
	if strings.EqualFold(h, "ALL") || strings.EqualFold(h, "LOCAL") || strings.Trim(h, "0123456789.*?") == "" {
		return true
	}
	_, ok := network(h)
	return ok
}

// network reads an address, address/length, address/mask or those in brackets.
func network(h string) (netip.Prefix, bool) {
	h = strings.ReplaceAll(strings.ReplaceAll(h, "[", ""), "]", "")
	host, mask, has := strings.Cut(h, "/")
	a, err := netip.ParseAddr(host)
	if err != nil {
		return netip.Prefix{}, false
	}
	bits := a.BitLen()
	if has {
		if m, err := netip.ParseAddr(mask); err == nil && m.BitLen() == bits {
			ones, ok := ones(m)
			if !ok {
				return netip.Prefix{}, false
			}
			bits = ones
		} else if _, err := fmt.Sscanf(mask+"\n", "%d\n", &bits); err != nil {
			return netip.Prefix{}, false
		}
	}
	p := netip.PrefixFrom(a, bits)
	return p.Masked(), p.IsValid()
}

// ones returns the length that a mask like 255.255.0.0 stands for.
func ones(mask netip.Addr) (n int, ok bool) {
	ended := false
	for _, b := range mask.AsSlice() {
		for bit := byte(0x80); bit != 0; bit >>= 1 {
			switch {
			case b&bit == 0:
				ended = true
			case ended:
				return 0, false
			default:
				n++
			}
		}
	}
	return n, true
}

func glob(pattern, s string) bool {
	ok, err := path.Match(pattern, s)
	return ok && err == nil
}
