//go:build unix

package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"

	"gonut/internal/program"
)

// readyFD is the first of exec.Cmd.ExtraFiles.
const readyFD = 3

// detached returns the Background of a process that was started for it.
func detached(getenv func(string) string) *Background {
	if getenv(detachMark) == "" {
		return nil
	}
	os.Unsetenv(detachMark) // children of ours are not meant
	var st syscall.Stat_t
	if err := syscall.Fstat(readyFD, &st); err != nil || st.Mode&syscall.S_IFMT != syscall.S_IFIFO {
		return nil
	}
	syscall.CloseOnExec(readyFD)
	return &Background{ready: os.NewFile(readyFD, "ready")}
}

// StartBackground starts cmd, a program that calls Detach, in a session of its own
// and returns its process number as soon as it is ready. Standard input is
// /dev/null; the other streams may be files or nil, and the process lets go of
// them when it is ready. If it ends before, the error has its exit code and no text
// (it has printed that itself), or is nil if it ended well. If ctx ends, so does
// the process.
func StartBackground(ctx context.Context, cmd *exec.Cmd) (pid int, err error) {
	r, w, err := os.Pipe()
	if err != nil {
		return 0, fmt.Errorf("start in background: %w", err)
	}
	defer r.Close()
	if cmd.Env == nil {
		cmd.Env = os.Environ()
	}
	cmd.Env = append(slices.Clone(cmd.Env), detachMark+"=1")
	cmd.ExtraFiles = []*os.File{w}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Start()
	w.Close()
	if err != nil {
		return 0, fmt.Errorf("start in background: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { cmd.Process.Kill() })
	defer stop()
	if n, _ := r.Read(make([]byte, 1)); n == 1 {
		pid = cmd.Process.Pid
		return pid, cmd.Process.Release()
	}
	return 0, ended(ctx, cmd)
}

// ended waits for a process that will never be ready and says how it ended.
func ended(ctx context.Context, cmd *exec.Cmd) error {
	err := cmd.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok {
		return err
	}
	if exit.Exited() {
		return program.Exit(exit.ExitCode())
	}
	return fmt.Errorf("%s was ended by %s before it was ready", filepath.Base(cmd.Args[0]), exit)
}

// Ready tells the process that the user started that it may exit, and leaves the
// terminal. log may be nil.
func (b *Background) Ready(log *Log) error {
	if b == nil || b.ready == nil {
		return nil
	}
	if err := LeaveTerminal(log); err != nil {
		return err
	}
	if log != nil {
		log.Logger().Info("Startup successful: " + log.sys.ident)
	}
	// Nobody may be waiting any more; that is no reason to end.
	b.ready.Write([]byte{1})
	err := b.ready.Close()
	b.ready = nil
	return err
}

// LeaveTerminal makes the standard streams /dev/null and has the log go to syslog.
// log may be nil.
func LeaveTerminal(log *Log) error {
	keepStderr := false
	if log != nil {
		keepStderr = log.background()
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("leave terminal: %w", err)
	}
	defer null.Close()
	fds := []int{0, 1, 2}
	if keepStderr {
		fds = fds[:2]
	}
	for _, fd := range fds {
		if err := dup2(int(null.Fd()), fd); err != nil {
			return fmt.Errorf("leave terminal: %w", err)
		}
	}
	return nil
}
