package conf

import (
	"cmp"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"gonut/internal/netproto"
)

// A NUTAuth is nutauth.conf with all files that it includes: what clients tell
// servers about their user, and how they protect the connection.
type NUTAuth struct {
	Global   Auth
	Sections []Auth // in the order of their first headers
}

// An Auth is one section of nutauth.conf, or what holds for all servers.
type Auth struct {
	User, Host, Port string // of the header; User may be empty, all are for Global

	Username      string // empty: not set
	Password      Secret
	HasPassword   bool
	CertPath      string
	CertFile      string
	CertIdentName string
	CertIdentPass Secret
	SSLBackend    string // OPENSSL or NSS; kept for C's clients, means nothing to us
	CertHost      string
	CertVerify    Switch
	ForceSSL      Switch // On: TLS only, Off: never TLS
}

// A Switch is on, off or not set at all.
type Switch int8

// The states of a Switch; its zero value is Unset.
const (
	Unset Switch = iota
	On
	Off
)

// maxIncludes is how deep files may include each other.
const maxIncludes = 8

// ReadNUTAuth reads the nutauth.conf at path and the files that it includes. A
// header that cannot be understood and a required file that is missing are errors:
// guessing might send a password to the wrong server. An included file with a
// relative path is looked for beside the file that names it.
func ReadNUTAuth(path string) (NUTAuth, []Problem, error) {
	var r authReader
	err := r.readFile(path, scope{})
	return r.auth, r.problems, err
}

// FindNUTAuth returns the path of the nutauth.conf that is used when the command
// line names none: NUT_AUTHCONF_FILE or nutauth.conf in NUT_AUTHCONF_PATH if one of
// them is set, otherwise the first that exists of ~/.config/nut/nutauth.conf,
// ~/.nutauth.conf and nutauth.conf in the configuration folder. The path is empty
// if there is none; chosen says that the environment named it.
func FindNUTAuth(getenv func(string) string, p Paths) (path string, chosen bool) {
	if f := getenv("NUT_AUTHCONF_FILE"); f != "" {
		return f, true
	}
	if dir := getenv("NUT_AUTHCONF_PATH"); dir != "" {
		return filepath.Join(dir, "nutauth.conf"), true
	}
	var candidates []string
	if home := getenv("HOME"); home != "" {
		candidates = append(candidates, filepath.Join(home, ".config", "nut", "nutauth.conf"), filepath.Join(home, ".nutauth.conf"))
	}
	for _, c := range append(candidates, p.File("nutauth.conf")) {
		if _, err := os.Stat(c); err == nil {
			return c, false
		}
	}
	return "", false
}

// Lookup returns what holds for a server: its section, completed by what holds for
// all. With a user the section of that user there comes first.
func (a NUTAuth) Lookup(user, host, port string) Auth {
	var found Auth
	for _, u := range []string{user, ""} {
		for _, s := range a.Sections {
			if s.User == u && strings.EqualFold(s.Host, host) && s.Port == port {
				found = found.or(s)
			}
		}
		if user == "" {
			break
		}
	}
	if a.Global == (Auth{}) { // of the zero NUTAuth, which stands for no file
		return found
	}
	return found.or(a.Global)
}

// or returns a with what it lacks taken from b.
func (a Auth) or(b Auth) Auth {
	a.User, a.Host, a.Port = cmp.Or(a.User, b.User), cmp.Or(a.Host, b.Host), cmp.Or(a.Port, b.Port)
	a.Username = cmp.Or(a.Username, b.Username)
	if !a.HasPassword {
		a.Password, a.HasPassword = b.Password, b.HasPassword
	}
	a.CertPath, a.CertFile = cmp.Or(a.CertPath, b.CertPath), cmp.Or(a.CertFile, b.CertFile)
	a.CertIdentName = cmp.Or(a.CertIdentName, b.CertIdentName)
	a.CertIdentPass = cmp.Or(a.CertIdentPass, b.CertIdentPass)
	a.SSLBackend, a.CertHost = cmp.Or(a.SSLBackend, b.SSLBackend), cmp.Or(a.CertHost, b.CertHost)
	a.CertVerify, a.ForceSSL = cmp.Or(a.CertVerify, b.CertVerify), cmp.Or(a.ForceSSL, b.ForceSSL)
	return a
}

// An authReader reads a file and what it includes into one value.
type authReader struct {
	auth     NUTAuth
	problems []Problem
	depth    int
}

// A scope is where lines of a file belong.
type scope struct {
	section int  // 1 + index in Sections; 0: all servers
	fixed   bool // included by a section, so other sections cannot be opened
}

// readFile reads one file, whose first lines belong to where.
func (r *authReader) readFile(path string, where scope) error {
	if r.depth++; r.depth > maxIncludes {
		return fmt.Errorf("read %s: files include each other more than %d deep", path, maxIncludes)
	}
	defer func() { r.depth-- }()
	_, _, err := ReadFile(path, func(name string, f io.Reader) (struct{}, []Problem, error) {
		s := newSource(name, f)
		s.warnWorldReadable(f)
		err := r.read(s, where)
		r.problems = append(r.problems, s.problems...)
		return struct{}{}, nil, err
	})
	return err
}

// warnWorldReadable notes that others may read a file with passwords.
func (s *source) warnWorldReadable(f io.Reader) {
	file, ok := f.(*os.File)
	if !ok {
		return
	}
	if fi, err := file.Stat(); err == nil && fi.Mode()&0o005 != 0 {
		s.warn(0, "everybody can read this file; chmod o-rwx %s", s.name)
	}
}

func (r *authReader) read(s *source, where scope) error {
	for {
		l, ok := s.next()
		if !ok {
			return s.err()
		}
		var err error
		switch title, isHeader := l.title(); {
		case isHeader && where.fixed:
			err = l.fatal("a file that a section includes cannot open another section")
		case isHeader:
			where, err = r.open(l, title)
		case strings.EqualFold(l.words[0], "INCLUDE"), strings.EqualFold(l.words[0], "INCLUDE_REQUIRED"):
			err = r.include(l, where)
		default:
			at := &r.auth.Global
			if where.section > 0 {
				at = &r.auth.Sections[where.section-1]
			}
			l.authKey(at)
		}
		if err != nil {
			return err
		}
	}
}

// title returns what stands between the brackets of a header. A line that begins
// with a bracket is meant to be one.
func (l line) title() (string, bool) {
	if title, ok := l.header(); ok && len(l.words) == 1 {
		return title, true
	}
	return "", l.brokenHeader()
}

// open returns the scope below a header, in a section that is new or continued.
func (r *authReader) open(l line, title string) (scope, error) {
	if l.words[0] == "[]" || title == "_global_defaults" {
		return scope{}, nil
	}
	user, host, port, err := l.authHeader(title)
	if err != nil {
		return scope{}, err
	}
	for i, s := range r.auth.Sections {
		if s.User == user && s.Host == host && s.Port == port {
			return scope{section: i + 1}, nil
		}
	}
	r.auth.Sections = append(r.auth.Sections, Auth{User: user, Host: host, Port: port, Username: user})
	return scope{section: len(r.auth.Sections)}, nil
}

// authHeader splits [user@host:port], of which each part may be missing.
func (l line) authHeader(title string) (user, host, port string, err error) {
	malformed := l.fatal("%s is no header; write [user@host:port], [@host:port], [host:port] or [host], IPv6 addresses in brackets", strings.Join(l.words, " "))
	at := strings.LastIndexByte(title, '@')
	host = title[at+1:]
	user = title[:max(at, 0)]
	switch {
	case title == "" || user != "" && host == "":
		return "", "", "", malformed
	case strings.HasPrefix(host, "["):
		inner, rest, closed := strings.Cut(host[1:], "]")
		if !closed || rest != "" && rest[0] != ':' || inner == "" {
			return "", "", "", malformed
		}
		host, port = inner, strings.TrimPrefix(rest, ":")
		if rest == ":" {
			return "", "", "", malformed
		}
	default:
		var hasPort bool
		host, port, hasPort = strings.Cut(host, ":")
		if strings.Contains(port, ":") || hasPort && port == "" {
			return "", "", "", malformed
		}
	}
	// A missing host is this one.
	return user, cmp.Or(host, "localhost"), l.authPort(port), nil
}

// authPort returns the number of a port that may be the name of a service.
func (l line) authPort(port string) string {
	if port == "" {
		return netproto.Port
	}
	if _, err := strconv.Atoi(port); err == nil {
		return port
	}
	n, err := net.LookupPort("tcp", port)
	if err != nil {
		l.warn("port %s is neither a number nor a service that this system knows", port)
		return port
	}
	return strconv.Itoa(n)
}

// include reads another file in the scope of the line.
func (r *authReader) include(l line, where scope) error {
	args := l.words[1:]
	if len(args) > 0 && args[0] == "=" {
		args = args[1:]
	}
	if len(args) != 1 {
		return l.fatal("%s wants one file; a name with blanks needs quotes", l.words[0])
	}
	path := args[0]
	if !filepath.IsAbs(path) {
		path = filepath.Join(filepath.Dir(l.source.name), path)
	}
	if _, err := os.Stat(path); err != nil {
		if strings.EqualFold(l.words[0], "INCLUDE") && os.IsNotExist(err) {
			return nil
		}
		return l.fatal("%v", err)
	}
	where.fixed = where.fixed || where.section > 0
	if err := r.readFile(path, where); err != nil {
		return fmt.Errorf("%w\n%s:%d: included from here", err, l.source.name, l.no)
	}
	return nil
}

// authKey stores what a line "KEY = value" or "KEY" says.
func (l line) authKey(a *Auth) {
	set, ok := l.setting()
	if !ok {
		return
	}
	if set.Flag {
		set.Value = "1"
	}
	v := set.Value
	switch strings.ToUpper(set.Name) {
	case "USER", "USERNAME":
		if a.User != "" && v != a.User {
			l.warn("this section is for user %s; %s is ignored", a.User, v)
			return
		}
		a.Username = v
		return
	case "PASS", "PASSWORD":
		a.Password, a.HasPassword = Secret(v), true
		return
	}
	texts := map[string]*string{
		"CERTPATH": &a.CertPath, "CERTFILE": &a.CertFile, "CERTIDENT_NAME": &a.CertIdentName,
		"CERTIDENT_PASS": (*string)(&a.CertIdentPass), "SSLBACKEND": &a.SSLBackend, "CERTHOST": &a.CertHost,
	}
	if p := texts[set.Name]; p != nil {
		*p = v
		return
	}
	switches := map[string]*Switch{"CERTVERIFY": &a.CertVerify, "FORCESSL": &a.ForceSSL}
	if p := switches[set.Name]; p != nil {
		*p = l.authSwitch(set)
		return
	}
	known := []string{"USER", "PASS", "CERTPATH", "CERTFILE", "CERTIDENT_NAME", "CERTIDENT_PASS",
		"SSLBACKEND", "CERTHOST", "CERTVERIFY", "FORCESSL", "INCLUDE", "INCLUDE_REQUIRED"}
	l.warn("unknown key %s%s; the line is ignored", set.Name, hint(set.Name, known))
}

func (l line) authSwitch(set Setting) Switch {
	switch strings.ToLower(set.Value) {
	case "on", "yes", "true", "1":
		return On
	case "off", "no", "false", "0":
		return Off
	}
	l.warn("%s is on or off and not %q; the line is ignored", set.Name, set.Value)
	return Unset
}
