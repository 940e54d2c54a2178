package upsmon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// orderShutdown is the one byte that the child may send to its parent.
const orderShutdown = 1

// A parent is the part of upsmon that stays privileged. It knows a file and a
// command, waits for one byte, and does nothing else: it reads no configuration,
// opens no connection and believes nothing that the network says.
type parent struct {
	flag     string        // POWERDOWNFLAG; empty: none, or not for this host
	command  string        // SHUTDOWNCMD for a shell
	linger   time.Duration // SHUTDOWNEXIT; negative: until the child ends
	stopping func()        // tells the service manager that the end is near
	failed   func(error)   // is told what of the shutdown did not work
}

// serve waits for the child's byte and shuts this host down. Its error says that
// the child ended or spoke nonsense. childEnded is closed when the child is gone.
func (p parent) serve(ctx context.Context, child io.Reader, childEnded <-chan struct{}) error {
	b := make([]byte, 1)
	if _, err := io.ReadFull(child, b); err != nil {
		return errors.New("the unprivileged part of upsmon has ended; nothing on this host watches its UPSes now")
	}
	if b[0] != orderShutdown {
		return fmt.Errorf("bogus pipe command %d from the unprivileged part of upsmon", b[0])
	}
	begin := time.Now()
	p.stopping()
	if err := p.Shutdown(ctx, true); err != nil {
		p.failed(err)
	}
	if p.linger == 0 {
		return nil
	}
	var timeout <-chan time.Time
	if p.linger > 0 {
		timeout = time.After(p.linger - time.Since(begin))
	}
	select { // the child keeps its logins meanwhile
	case <-childEnded:
	case <-timeout:
	}
	return nil
}

// Shutdown writes the flag and runs the command. A flag that cannot be written
// keeps nobody from shutting down.
func (p parent) Shutdown(ctx context.Context, powerDown bool) error {
	var flagErr error
	if powerDown && p.flag != "" {
		flagErr = writeFlag(p.flag)
	}
	if p.command == "" {
		return errors.Join(flagErr, errors.New("call SHUTDOWNCMD: none is configured, this host stays up"))
	}
	cmd := exec.CommandContext(ctx, shell[0], append(shell[1:], p.command)...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return errors.Join(flagErr, fmt.Errorf("call SHUTDOWNCMD %q: %w", p.command, err))
	}
	return flagErr
}

// writeFlag makes the file that has the UPS switched off late in the shutdown. What
// is there is replaced and never written through: the folder may be the child's.
func writeFlag(path string) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("write power-down flag: %w", err)
	}
	_, err = io.WriteString(f, flagText)
	if err = errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
		return fmt.Errorf("write power-down flag: %w", err)
	}
	return nil
}
