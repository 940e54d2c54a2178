//go:build !unix

package daemon

import (
	"os"
	"syscall"
)

// signalSet returns the signals that end a daemon. Others do not exist here.
func signalSet() (ends []os.Signal, orders [3]os.Signal) {
	return []os.Signal{os.Interrupt, syscall.SIGTERM}, orders
}

func ignorePipe() {}
