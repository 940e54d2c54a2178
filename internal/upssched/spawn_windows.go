package upssched

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"gonut/internal/daemon"
	"gonut/internal/program"
)

// detachedProcess keeps a process from the console of the one that starts it.
const detachedProcess = 0x8

// background does nothing: the timer process was started without a console.
func background(context.Context, program.Env) (*daemon.Background, error) { return nil, nil }

// spawn starts the timer process. The client tries to reach it until it listens.
func spawn(_ context.Context, cmd *exec.Cmd) error {
	cmd.Stdout, cmd.Stderr = nil, nil
	cmd.SysProcAttr = &syscall.SysProcAttr{CreationFlags: detachedProcess | syscall.CREATE_NEW_PROCESS_GROUP}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start timer process: %w", err)
	}
	return cmd.Process.Release()
}

// absent reports whether a connection failed because nobody listens. Windows has no
// other reasons that pass.
func absent(err error) bool { return err != nil }

// socketPath returns the path of the socket that PIPEFN names. C's named pipe of
// that name is a socket of the folder for temporary files here.
func socketPath(pipeFN string) string {
	if name, ok := strings.CutPrefix(pipeFN, `\\.\pipe\`); ok {
		return filepath.Join(os.TempDir(), name+".sock")
	}
	return pipeFN
}
