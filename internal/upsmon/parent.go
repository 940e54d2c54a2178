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

// The one byte that the child may send to its parent, and the one that answers it.
const (
	orderShutdown     = 1 // with the flag
	orderShutdownOnly = 3 // without: the UPS is not to be switched off
	answerDone        = 4
	answerFailed      = 5
)

// A parent is the part of upsmon that stays privileged. It knows a file and a command
// and waits for one byte: it reads no configuration and hears nothing of the network.
type parent struct {
	flag     string             // POWERDOWNFLAG; empty: none
	write    func(string) error // writes the flag: writeFlag
	command  string             // SHUTDOWNCMD for a shell
	linger   time.Duration      // SHUTDOWNEXIT; negative: until the child ends
	stopping func()             // tells the service manager that the end is near
	failed   func(error)        // is told what of the shutdown did not work
}

// serve waits for the child's byte, shuts this host down and answers when that is done.
// Its error says that the command failed or the child spoke nonsense or ended, which
// closes ended.
func (p parent) serve(ctx context.Context, child io.ReadWriter, ended <-chan struct{}) error {
	b := make([]byte, 1)
	if _, err := io.ReadFull(child, b); err != nil {
		return errors.New("the unprivileged part of upsmon has ended; nothing on this host watches its UPSes now")
	} else if b[0] != orderShutdown && b[0] != orderShutdownOnly {
		return fmt.Errorf("bogus pipe command %d from the unprivileged part of upsmon", b[0])
	}
	begin, answer := time.Now(), byte(answerDone)
	p.stopping()
	err := p.Shutdown(ctx, b[0] == orderShutdown)
	if err != nil {
		p.failed(err)
		answer, err = answerFailed, errors.New("SHUTDOWNCMD failed: this host may stay up")
	}
	child.Write([]byte{answer}) // if nobody reads it, nobody waits
	switch {
	case p.linger < 0: // the child keeps its logins meanwhile
		<-ended
	case p.linger > 0:
		select {
		case <-ended:
		case <-time.After(p.linger - time.Since(begin)):
		}
	}
	return err
}

// Shutdown writes the flag and runs the command. A flag that cannot be written, or a
// disk that hangs, keeps nobody from shutting down.
func (p parent) Shutdown(ctx context.Context, powerDown bool) error {
	if powerDown && p.flag != "" {
		wrote := make(chan error, 2)
		go func() { wrote <- p.write(p.flag) }()
		time.AfterFunc(5*time.Second, func() { wrote <- errors.New("the disk does not answer") })
		if err := <-wrote; err != nil {
			defer p.failed(fmt.Errorf("write power-down flag %s: %w", p.flag, err)) // a log may hang too
		}
	}
	if p.command == "" {
		return errors.New("call SHUTDOWNCMD: none is configured, this host stays up")
	}
	cmd := exec.CommandContext(ctx, shell[0], append(shell[1:], p.command)...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("call SHUTDOWNCMD %q: %w", p.command, err)
	}
	return nil
}

// writeFlag replaces what is there and never writes through it: the folder may be the
// child's. The flag is for the end of this very shutdown, so no disk has to have it.
func writeFlag(path string) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err == nil {
		_, err = io.WriteString(f, flagText)
		f.Chmod(0o644) // file systems without such modes may refuse
		if err = errors.Join(err, f.Close()); err == nil {
			err = os.Rename(f.Name(), path)
		}
		os.Remove(f.Name()) // there is none if all went well
	}
	return err
}
