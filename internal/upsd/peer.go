package upsd

import (
	"os/user"
	"strconv"
)

// A peer is who is at the other end of a unix socket, as the kernel says.
type peer struct {
	known bool
	uid   int
}

// name returns the account's name, its number if it has none.
func (p peer) name() string {
	id := strconv.Itoa(p.uid)
	if u, err := user.LookupId(id); err == nil {
		return u.Username
	}
	return id
}
