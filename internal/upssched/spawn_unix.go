//go:build unix

package upssched

import (
	"context"
	"errors"
	"io/fs"
	"os/exec"
	"syscall"

	"gonut/internal/daemon"
	"gonut/internal/program"
)

// background says in the timer process's own life that it is one.
func background(ctx context.Context, e program.Env) (*daemon.Background, error) {
	return daemon.Detach(ctx, e)
}

// spawn starts the timer process and returns when it listens.
func spawn(ctx context.Context, cmd *exec.Cmd) error {
	_, err := daemon.StartBackground(ctx, cmd)
	return err
}

// absent reports whether a connection failed because nobody listens, and not because
// of what may be gone the next moment.
func absent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED)
}

// socketPath returns the path of the socket that PIPEFN names.
func socketPath(pipeFN string) string { return pipeFN }
