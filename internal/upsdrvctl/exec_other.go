//go:build !unix

package upsdrvctl

import (
	"context"
	"fmt"
	"os/exec"
	"syscall"

	"gonut/internal/program"
)

// userSignal is what makes drivers reload or exit. This system has no such signal;
// sending it is an error.
const userSignal = syscall.Signal(10)

// become runs cmd as a child, for this system has no way to take a process's place,
// and ends as it ends.
func become(ctx context.Context, cmd *exec.Cmd) error {
	ch, err := startChild(cmd)
	if err != nil {
		return err
	}
	if _, err := ch.wait(ctx, 0); err != nil {
		ch.cmd.Process.Kill()
		<-ch.done
		return err
	}
	if code := ch.cmd.ProcessState.ExitCode(); code != 0 {
		return fmt.Errorf("driver: %w", program.Exit(code))
	}
	return nil
}
