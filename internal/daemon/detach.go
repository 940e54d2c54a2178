package daemon

import (
	"context"
	"fmt"
	"os"
	"os/exec"

	"gonut/internal/program"
)

// detachMark is set in the environment of a process that was started to go into
// the background. Its file descriptor 3 is the pipe on which it says so.
const detachMark = "NUT_DETACHED"

// A Background is a process that is about to leave its terminal. A nil one stands
// for the foreground: all methods do nothing.
type Background struct {
	ready *os.File
}

// Self returns a command that runs this binary again. args[0] is the name it is
// called by, which chooses the program.
func Self(args ...string) (*exec.Cmd, error) {
	path, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find own program file: %w", err)
	}
	return &exec.Cmd{Path: path, Args: args}, nil
}

// Detach puts the program into the background. In the process that the user
// started it runs the same command line again in a session of its own and waits
// until that is ready, ends or ctx is over; it then returns no Background, and the
// error is the one to end with: nil if the program is now in the background. In
// the new process it returns the Background on which to call Ready when all is
// initialised. Until then messages still reach the user's terminal.
func Detach(ctx context.Context, e program.Env) (*Background, error) {
	if bg := detached(e.Getenv); bg != nil {
		return bg, nil
	}
	cmd, err := Self(os.Args...)
	if err != nil {
		return nil, err
	}
	cmd.Stdout, cmd.Stderr = file(e.Stdout), file(e.Stderr)
	_, err = StartBackground(ctx, cmd)
	return nil, err
}

// file returns w if it is a file, so that a child process can have it itself.
// Others get nothing: their end could not be awaited.
func file(w any) *os.File {
	f, _ := w.(*os.File)
	return f
}
