//go:build !unix

package upsmon

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"syscall"

	"gonut/internal/daemon"
)

// canSplit says that this system does not know unprivileged parts.
const canSplit = false

var errNoSplit = errors.New("split privileges: not possible on this system")

func spawn(daemon.Account, string, bool) (*exec.Cmd, *os.File, error) { return nil, nil, errNoSplit }

func guard(context.Context, parent, *exec.Cmd, *os.File) error { return errNoSplit }

// A childLink is the unprivileged part's side of the connection; there is none.
type childLink struct{ config io.ReadCloser }

func joinParent(func(string) string) (*childLink, error) { return nil, nil }

func (c *childLink) ready(*daemon.Log) (gone <-chan struct{}, err error) { return nil, errNoSplit }

// Shutdown cannot be asked for.
func (c *childLink) Shutdown(context.Context, bool) error { return errNoSplit }

func (c *childLink) close() {}

// commandSignals are the signals by which -c reaches a running upsmon: none.
func commandSignals() map[string]syscall.Signal { return nil }
