//go:build unix

package doctor

import (
	"os"
	"syscall"
)

// stat looks at a file or device, through links.
func stat(path string) (node, error) {
	fi, err := os.Stat(path)
	if err != nil {
		return node{}, err
	}
	n := node{mode: uint32(fi.Mode().Perm()), dir: fi.IsDir()}
	if st, ok := fi.Sys().(*syscall.Stat_t); ok {
		n.uid, n.gid = int(st.Uid), int(st.Gid)
	}
	return n, nil
}
