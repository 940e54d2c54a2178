//go:build unix && !linux

package daemon

import "syscall"

// dup2 makes to another descriptor of the file behind from.
func dup2(from, to int) error { return syscall.Dup2(from, to) }
