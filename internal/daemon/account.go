package daemon

import (
	"fmt"
	"os/user"
	"strconv"
)

// An Account is a user of the system that a daemon may become.
type Account struct {
	Name   string
	UID    int
	GID    int   // the primary group
	Groups []int // all groups
}

// LookupAccount finds a user by name or number in the system's files (/etc/passwd
// and /etc/group; other directories such as LDAP are not asked). An unknown user is
// an error.
func LookupAccount(name string) (Account, error) {
	u, err := user.Lookup(name)
	if err != nil {
		if byID, idErr := user.LookupId(name); idErr == nil {
			u, err = byID, nil
		}
	}
	if err != nil {
		return Account{}, fmt.Errorf("find user %q: %w; create it or choose another with -u or in the configuration", name, err)
	}
	a := Account{Name: u.Username}
	if a.UID, err = strconv.Atoi(u.Uid); err != nil {
		return Account{}, fmt.Errorf("find user %q: %w", name, err)
	}
	if a.GID, err = strconv.Atoi(u.Gid); err != nil {
		return Account{}, fmt.Errorf("find user %q: %w", name, err)
	}
	ids, err := u.GroupIds()
	if err != nil {
		return Account{}, fmt.Errorf("find groups of user %q: %w", name, err)
	}
	for _, id := range ids {
		if n, err := strconv.Atoi(id); err == nil {
			a.Groups = append(a.Groups, n)
		}
	}
	return a, nil
}

// LookupGroup returns the number of a group given by name or number.
func LookupGroup(name string) (int, error) {
	g, err := user.LookupGroup(name)
	if err != nil {
		if byID, idErr := user.LookupGroupId(name); idErr == nil {
			g, err = byID, nil
		}
	}
	if err != nil {
		return 0, fmt.Errorf("find group %q: %w", name, err)
	}
	gid, err := strconv.Atoi(g.Gid)
	if err != nil {
		return 0, fmt.Errorf("find group %q: %w", name, err)
	}
	return gid, nil
}
