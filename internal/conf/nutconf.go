package conf

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// ParseNUTConf reads nut.conf, the one file that is not in NUT's own grammar: it
// is read by shells and, line by line, by service managers. Only what both
// understand alike is free of problems: NAME=value without blanks around the '='
// and without expansions, none of which are performed here.
func ParseNUTConf(name string, r io.Reader) (NUTConf, []Problem, error) {
	c := NUTConf{Mode: "none", Vars: make(map[string]string)}
	s := &shellSource{source: source{name: name}, r: bufio.NewReader(r)}
	var err error
	for err == nil {
		var text string
		text, err = s.logicalLine()
		s.assign(&c, text)
	}
	if !errors.Is(err, io.EOF) {
		return c, s.problems, fmt.Errorf("read %s: %w", name, err)
	}
	s.mode(&c)
	return c, s.problems, nil
}

// modes are the values of MODE.
func modes() []string {
	return []string{"none", "standalone", "netserver", "netclient", "controlled", "manual"}
}

// nutConfNames are the variables that mean something to programs of NUT.
func nutConfNames() []string {
	return []string{
		"MODE", "ALLOW_NO_DEVICE", "ALLOW_NOT_ALL_LISTENERS", "UPSD_OPTIONS", "UPSMON_OPTIONS",
		"POWEROFF_WAIT", "POWEROFF_QUIET", "NUT_DEBUG_LEVEL", "NUT_DEBUG_PID", "NUT_DEBUG_PROCNAME",
		"NUT_DEBUG_SYSLOG", "NUT_IGNORE_CHECKPROCNAME", "NUT_IGNORE_NOWAIT", "NUT_QUIET_INIT_UPSNOTIFY",
		"NUT_QUIET_INIT_BANNER", "NUT_CONFPATH", "NUT_STATEPATH", "NUT_ALTPIDPATH", "NUT_PIDPATH",
	}
}

// A shellSource reads a file of shell assignments.
type shellSource struct {
	source
	r        *bufio.Reader
	line     int // read so far
	begin    int // where the logical line begins
	modeLine int
	returned bool // a carriage return was complained about
}

// logicalLine returns the next line, with the lines that quotes or a backslash
// continue it by. It returns io.EOF with the last one.
func (s *shellSource) logicalLine() (string, error) {
	s.begin = s.line + 1
	var text strings.Builder
	for {
		part, err := s.r.ReadString('\n')
		text.WriteString(part)
		s.line++
		if err != nil || !unfinished(text.String()) {
			return text.String(), err
		}
		if text.Len() > maxLogicalLine {
			s.warn(s.begin, "the quote that opens here is never closed; the text up to line %d is ignored", s.line)
			return "", nil
		}
	}
}

// maxLogicalLine bounds how much of a file a forgotten quote can take with it.
const maxLogicalLine = 4096

// unfinished reports whether a quote is open or a backslash ends the text.
func unfinished(text string) bool {
	_, _, err := shellWord(strings.TrimLeft(text, " \t"))
	return errors.Is(err, errOpen)
}

var (
	errOpen    = errors.New("the quote that opens here is never closed")
	errDynamic = errors.New("variables and commands are not expanded here; write the value itself")
)

// shellWord reads one word as a shell does and returns what comes after it. It
// goes on after errDynamic; errOpen means that the word goes beyond the text.
func shellWord(text string) (word, rest string, err error) {
	var b strings.Builder
	var quote byte
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\'' && quote != '"' || c == '"' && quote != '\'':
			if quote == 0 {
				quote = c
			} else {
				quote = 0
			}
		case quote == '\'':
			b.WriteByte(c)
		case c == '\\':
			if i++; i == len(text) {
				if quote != 0 {
					err = errOpen
				}
				return b.String(), "", err
			}
			if text[i] == '\n' {
				if i+1 == len(text) {
					return b.String(), "", errOpen
				}
				continue
			}
			if quote == '"' && !strings.ContainsRune("$`\"\\", rune(text[i])) {
				b.WriteByte('\\')
			}
			b.WriteByte(text[i])
		case quote == 0 && strings.IndexByte(" \t\r\n;&|<>()", c) >= 0:
			return b.String(), text[i:], err
		case c == '$' || c == '`':
			err = errDynamic
			b.WriteByte(c)
		case c == '#' && quote == 0 && i == 0:
			return "", "", nil
		default:
			b.WriteByte(c)
		}
	}
	if quote != 0 {
		return b.String(), "", errOpen
	}
	return b.String(), "", err
}

// assign performs one logical line.
func (s *shellSource) assign(c *NUTConf, text string) {
	text = strings.TrimLeft(text, " \t")
	if rest, ok := strings.CutPrefix(text, "export "); ok {
		s.warn(s.begin, "export is for shells only; service managers ignore the line")
		text = strings.TrimLeft(rest, " \t")
	}
	text = strings.TrimRight(text, "\n")
	if strings.HasSuffix(text, "\r") {
		text = strings.TrimRight(text, "\r")
		if !s.returned && text != "" && text[0] != '#' {
			s.returned = true
			s.warn(s.begin, "the line ends with a carriage return, which shells take for a part of it; write the file with the line ends of Unix")
		}
	}
	if text == "" || text[0] == '#' {
		return
	}
	word, rest, err := shellWord(text)
	name, value, isAssign := strings.Cut(word, "=")
	rest = strings.TrimLeft(rest, " \t\r\n")
	switch {
	case !isAssign && strings.HasPrefix(rest, "="):
		s.warn(s.begin, "no blanks are allowed around '='; the line is ignored")
		return
	case !isAssign || !isName(name):
		s.warn(s.begin, "this is no assignment NAME=value; the line is ignored")
		return
	case errors.Is(err, errOpen):
		s.warn(s.begin, "%v; the line is ignored", err)
		return
	case value == "" && rest != "" && rest[0] != '#':
		s.warn(s.begin, "no blanks are allowed around '='; the line is ignored")
		return
	case err != nil:
		s.warn(s.begin, "%s: %v", name, err)
	}
	if rest != "" && rest[0] == '#' {
		s.warn(s.begin, "%s: a comment behind a value becomes part of it for service managers; give it a line of its own", name)
	} else if rest != "" {
		s.warn(s.begin, "%s: ignored behind the value: %q; a value with blanks needs quotes", name, rest)
	}
	if !slices.Contains(nutConfNames(), name) {
		if h := hint(name, nutConfNames()); h != "" {
			s.warn(s.begin, "%s means nothing to NUT%s", name, h)
		}
	}
	c.Vars[name] = value
	if name == "MODE" {
		s.modeLine = s.begin
	}
}

// mode checks MODE. Scripts take one that they do not know for none.
func (s *shellSource) mode(c *NUTConf) {
	m, ok := c.Vars["MODE"]
	if !ok {
		return
	}
	if slices.Contains(modes(), m) {
		c.Mode = m
		return
	}
	s.warn(s.modeLine, "MODE is one of %s and not %q%s; none is assumed", strings.Join(modes(), ", "), m, hint(m, modes()))
}

func isName(name string) bool {
	for i := range len(name) {
		c := name[i]
		letter := c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return name != ""
}
