package conf

import (
	"io"
	"slices"
	"strings"
)

// ParseUsers reads upsd.users. No line of it is fatal. What cannot be understood
// grants nothing: unlike in C, the lines below a section header that is broken or
// comes twice belong to nobody, and not to the user above.
func ParseUsers(name string, r io.Reader) (Users, []Problem, error) {
	s := newSource(name, r)
	var us Users
	current := -1 // the user whose section this is, if any
	var outside string
	outside = "before the first section"
	for {
		l, ok := s.next()
		if !ok {
			break
		}
		if strings.EqualFold(l.words[0], "user") {
			l.warn("user lines are a form that is gone; write [name] and below it password = …; the line is ignored")
			continue
		}
		if title, ok := l.header(); ok {
			l.surplus(1)
			if i := slices.IndexFunc(us, func(u User) bool { return u.Name == title }); i >= 0 {
				l.warn("user [%s] has a section on line %d already; this one is ignored", title, us[i].Line)
				current, outside = -1, "of the ignored section"
				continue
			}
			us = append(us, User{Name: title, Line: l.no})
			current = len(us) - 1
			continue
		}
		if l.brokenHeader() {
			l.warn("this is no section header, which is one word: [name] or \"[my name]\"; the lines below are ignored up to the next header")
			current, outside = -1, "of the ignored section"
			continue
		}
		if current < 0 {
			l.warn("%s: a line %s grants nothing", l.words[0], outside)
			continue
		}
		l.grant(&us[current])
	}
	for _, u := range us {
		if !u.HasPass && len(u.Peers) == 0 {
			s.warn(u.Line, "user [%s] has no password and can never be authorised; add password = …", u.Name)
		}
	}
	return us, s.problems, s.err()
}

// grants is the table of what a line in a user's section may be.
func grants() map[string]func(*User, line, []string) {
	return map[string]func(*User, line, []string){
		"password": (*User).password,
		"actions":  (*User).act,
		"instcmds": (*User).command,
		"upsmon":   (*User).role,
		"peer":     (*User).peer,
		"allowfrom": func(_ *User, l line, _ []string) {
			l.warn("allowfrom does nothing any more; use LISTEN in upsd.conf and a firewall")
		},
	}
}

// grant gives the user what the line says.
func (l line) grant(u *User) {
	name, values := l.words[0], l.words[1:]
	if before, after, ok := strings.Cut(name, "="); ok && name != "=" { // quoted as a whole
		name, values = before, append([]string{after}, values...)
	} else if len(values) > 0 && values[0] == "=" {
		values = values[1:]
	} else if len(values) > 0 {
		if !strings.EqualFold(name, "upsmon") {
			l.warn("%s: write %s = …; the line is ignored", name, name)
			return
		}
		l.surplus(2) // a second role would grant more than in C
		values = values[:1]
	}
	set := grants()[strings.ToLower(name)]
	if set == nil {
		l.warn("unknown setting %s%s; the line is ignored", name,
			hint(name, []string{"password", "actions", "instcmds", "upsmon", "peer"}))
		return
	}
	if len(values) == 0 {
		l.warn("%s has no value; the line is ignored", name)
		return
	}
	set(u, l, values)
}

func (u *User) password(l line, values []string) {
	if u.HasPass {
		l.warn("user [%s] has a password already; the line is ignored", u.Name)
		return
	}
	if len(values) > 1 {
		l.warn("the password of [%s] is only the first of %d words; one with blanks or '=' needs quotes", u.Name, len(values))
	}
	if values[0] == "" {
		l.warn("the password of [%s] is empty", u.Name)
	}
	u.Password, u.HasPass = Secret(values[0]), true
}

func (u *User) act(l line, values []string) {
	known := []string{"SET", "FSD", "LOGIN", "PRIMARY", "MASTER"}
	for _, v := range values {
		switch a := strings.ToUpper(v); {
		case slices.Contains(known, a):
			u.allow(a)
		case strings.ContainsAny(v, ",;+"):
			l.warn("actions are separated by blanks; %q grants nothing", v)
		default:
			l.warn("unknown action %q%s", v, hint(v, known))
		}
	}
}

func (u *User) command(l line, values []string) {
	for _, v := range values {
		if strings.ContainsAny(v, ",;+") {
			l.warn("instcmds are separated by blanks; %q matches no command", v)
		}
		if v != "" && !slices.Contains(u.Instcmds, v) {
			u.Instcmds = append(u.Instcmds, v)
		}
	}
}

// peer names accounts of this host that need no password on a unix socket.
func (u *User) peer(_ line, values []string) {
	for _, v := range values {
		if v != "" && !slices.Contains(u.Peers, v) {
			u.Peers = append(u.Peers, v)
		}
	}
}

// role grants what an upsmon needs: a primary may also force shutdowns.
func (u *User) role(l line, values []string) {
	for _, v := range values {
		switch strings.ToLower(v) {
		case "primary", "master":
			u.allow("LOGIN", "PRIMARY", "MASTER", "FSD")
		case "secondary", "slave":
			u.allow("LOGIN")
		default:
			l.warn("upsmon is primary or secondary and not %q%s; it grants nothing", v, hint(v, []string{"primary", "secondary"}))
		}
	}
}

func (u *User) allow(actions ...string) {
	for _, a := range actions {
		if !slices.Contains(u.Actions, a) {
			u.Actions = append(u.Actions, a)
		}
	}
}
