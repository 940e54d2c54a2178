//go:build !unix

package daemon

import (
	"context"
	"errors"
	"os/exec"
)

// errNoBackground is what asking for the background ends in on this system.
var errNoBackground = errors.New("this system has no background for daemons: use -F, or run the program as a service")

func detached(func(string) string) *Background { return nil }

// StartBackground starts a program in the background; this system has none.
func StartBackground(context.Context, *exec.Cmd) (pid int, err error) { return 0, errNoBackground }

// Ready does nothing: no process of this system is in the background.
func (b *Background) Ready(*Log) error { return nil }
