//go:build unix

package upsd

import "syscall"

// maxDescriptors returns how many files and sockets this process may have open, 0
// if it cannot tell.
func maxDescriptors() int {
	var r syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &r); err != nil {
		return 0
	}
	return int(min(uint64(r.Cur), 1<<30))
}
