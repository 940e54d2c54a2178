package upsd

import (
	"crypto/subtle"
	"slices"
	"strings"

	"gonut/internal/conf"
)

// accounts are the users of upsd.users, by name. They are replaced as a whole.
type accounts struct {
	byName map[string]*account
}

// An account is what one user may do.
type account struct {
	name     string
	password []byte
	actions  []string // upper case
	all      bool     // every instant command
	commands []string // lower case
}

func newAccounts(users conf.Users) *accounts {
	all := &accounts{byName: make(map[string]*account, len(users))}
	for _, u := range users {
		if !u.HasPass {
			continue
		}
		a := &account{name: u.Name, password: []byte(u.Password)}
		for _, act := range u.Actions {
			a.actions = append(a.actions, strings.ToUpper(act))
		}
		for _, c := range u.Instcmds {
			a.all = a.all || strings.EqualFold(c, "ALL")
			a.commands = append(a.commands, strings.ToLower(c))
		}
		all.byName[u.Name] = a
	}
	return all
}

// find returns the account that name and password prove, nil if they prove none.
func (all *accounts) find(name, password string) *account {
	a := all.byName[name]
	if a == nil || subtle.ConstantTimeCompare(a.password, []byte(password)) != 1 {
		return nil
	}
	return a
}

// may reports whether the account has the action, given in upper case.
func (a *account) may(action string) bool { return slices.Contains(a.actions, action) }

// mayCommand reports whether the account may run the instant command.
func (a *account) mayCommand(name string) bool {
	return a.all || slices.Contains(a.commands, strings.ToLower(name))
}
