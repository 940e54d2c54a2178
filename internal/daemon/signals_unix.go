//go:build unix

package daemon

import (
	"os"
	"os/signal"
	"syscall"
)

// signalSet returns the signals that end a daemon, and those that mean reload,
// user 1 and user 2.
func signalSet() (ends []os.Signal, orders [3]os.Signal) {
	return []os.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT},
		[3]os.Signal{syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2}
}

// ignorePipe keeps a reader of standard output that went away from ending us. The
// signal is caught and not ignored, which the commands that we run would inherit.
func ignorePipe() { signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) }
