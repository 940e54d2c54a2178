//go:build !unix

package driver

import (
	"errors"
	"syscall"
)

// reloadSignal does not exist here; -c reload-or-error goes through the socket.
func reloadSignal() (syscall.Signal, error) {
	return 0, errors.New("this system has no such signal; use -c reload-or-error")
}
