package daemon

import "syscall"

// dup2 makes to another descriptor of the file behind from. Newer ports of Linux
// have no dup2 call of that name.
func dup2(from, to int) error { return syscall.Dup3(from, to, 0) }
