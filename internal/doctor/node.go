package doctor

import (
	"slices"

	"gonut/internal/daemon"
)

// What one may be allowed to do with a node, as the bits for others have it.
const (
	mayEnter = 1
	mayWrite = 2
	mayRead  = 4
)

// A node is who owns a file or device and what its mode allows. Access lists are
// not looked at.
type node struct {
	mode     uint32 // the nine permission bits
	uid, gid int
	dir      bool
}

// allows reports whether a user may do all that want says.
func (n node) allows(a daemon.Account, want uint32) bool {
	if a.UID == 0 {
		return true
	}
	bits := n.mode
	switch {
	case a.UID == n.uid:
		bits >>= 6
	case a.GID == n.gid || slices.Contains(a.Groups, n.gid):
		bits >>= 3
	}
	return bits&want == want
}
