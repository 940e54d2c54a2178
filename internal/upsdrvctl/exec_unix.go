//go:build unix

package upsdrvctl

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

// userSignal is what makes drivers reload or exit.
const userSignal = syscall.SIGUSR1

// become runs cmd in the place of this process, so that whoever started us watches
// the driver itself. It returns only if that fails.
func become(_ context.Context, cmd *exec.Cmd) error {
	if err := syscall.Exec(cmd.Path, cmd.Args, os.Environ()); err != nil {
		return fmt.Errorf("start driver: %w", &os.PathError{Op: "exec", Path: cmd.Path, Err: err})
	}
	return nil
}
