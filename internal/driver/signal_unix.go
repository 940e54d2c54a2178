//go:build unix

package driver

import "syscall"

// reloadSignal is what tells a driver to reload or to end if it cannot.
func reloadSignal() (syscall.Signal, error) { return syscall.SIGUSR1, nil }
