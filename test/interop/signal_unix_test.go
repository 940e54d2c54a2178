//go:build unix

package interop

import "syscall"

const (
	sigHup  = syscall.SIGHUP
	sigUsr1 = syscall.SIGUSR1
	sigStop = syscall.SIGSTOP
	sigCont = syscall.SIGCONT
	sigKill = syscall.SIGKILL
)
