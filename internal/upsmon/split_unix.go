//go:build unix

package upsmon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strconv"
	"syscall"

	"gonut/internal/daemon"
	"gonut/internal/program"
)

// childMark is set in the environment of the unprivileged part: to childInBackground
// if that is to leave the terminal when it is ready.
const (
	childMark         = "NUT_UPSMON_CHILD"
	childInForeground = "1"
	childInBackground = "background"
)

// childReady is the byte by which the unprivileged part says, before all else, that it
// is at work.
const childReady = 2

// The file descriptors of the unprivileged part: the parent, and the configuration
// file opened for reading.
const (
	childFD  = 3
	configFD = 4
)

// canSplit says that this system knows unprivileged parts.
const canSplit = true

// spawn starts the unprivileged part as the given account, which may not be able to
// read the configuration file, and returns our end of what connects us when it is at
// work: from then on it takes signals. If it ends before, it has said why.
func spawn(a daemon.Account, config string, background bool) (cmd *exec.Cmd, conn *os.File, err error) {
	signal.Ignore(syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2) // they are for the child
	file, err := os.Open(config)
	if err != nil {
		return nil, nil, fmt.Errorf("split privileges: %w", err)
	}
	defer file.Close()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("split privileges: %w", err)
	}
	syscall.CloseOnExec(fds[0])
	syscall.CloseOnExec(fds[1])
	ours, theirs := os.NewFile(uintptr(fds[0]), "child"), os.NewFile(uintptr(fds[1]), "parent")
	defer theirs.Close()
	if cmd, err = daemon.Self(os.Args...); err != nil {
		ours.Close()
		return nil, nil, err
	}
	cmd.Env = childEnviron(os.Environ(), os.Getpid(), background)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.ExtraFiles = []*os.File{theirs, file}
	if os.Geteuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: credential(a)}
	}
	if err := cmd.Start(); err != nil {
		ours.Close()
		return nil, nil, fmt.Errorf("split privileges: start as user %s: %w", a.Name, err)
	}
	theirs.Close()
	b := make([]byte, 1)
	if _, err := io.ReadFull(ours, b); err == nil && b[0] == childReady {
		return cmd, ours, nil
	}
	ours.Close()
	cmd.Wait()
	return nil, nil, program.Exit(max(cmd.ProcessState.ExitCode(), 1))
}

// childEnviron is the environment of the unprivileged part. The watchdog of the
// service manager is for it, whatever process number that names: it does the work.
func childEnviron(env []string, pid int, background bool) []string {
	mark := childInForeground
	if background {
		mark = childInBackground
	}
	ours := "WATCHDOG_PID=" + strconv.Itoa(pid)
	env = slices.DeleteFunc(slices.Clone(env), func(v string) bool { return v == ours })
	return append(env, childMark+"="+mark)
}

func credential(a daemon.Account) *syscall.Credential {
	c := &syscall.Credential{Uid: uint32(a.UID), Gid: uint32(a.GID)}
	for _, g := range a.Groups {
		c.Groups = append(c.Groups, uint32(g))
	}
	return c
}

// guard is the rest of the parent's life, from when the PID file is written.
func guard(ctx context.Context, p parent, cmd *exec.Cmd, conn *os.File) error {
	conn.Write([]byte{childReady}) // if nobody reads it, there is no child
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		cmd.Wait()
	}()
	return p.serve(ctx, conn, ended)
}

// A childLink is the unprivileged part's side of the connection.
type childLink struct {
	conn       *os.File
	config     io.ReadCloser // upsmon.conf
	background bool
	answer     chan byte // to the order
}

// joinParent returns the connection to the parent if this process is an
// unprivileged part, nil if it is not.
func joinParent(getenv func(string) string) (*childLink, error) {
	mark := getenv(childMark)
	if mark == "" {
		return nil, nil
	}
	os.Unsetenv(childMark) // commands that we run are not meant
	var st syscall.Stat_t
	if err := syscall.Fstat(childFD, &st); err != nil || st.Mode&syscall.S_IFMT != syscall.S_IFSOCK {
		return nil, errors.New(childMark + " is set, but there is no parent; unset it")
	}
	syscall.CloseOnExec(childFD)
	syscall.CloseOnExec(configFD)
	syscall.SetNonblock(childFD, true)
	return &childLink{os.NewFile(childFD, "parent"), os.NewFile(configFD, "upsmon.conf"), mark == childInBackground, make(chan byte, 1)}, nil
}

// ready tells the parent that this process is at work, and waits until the PID file
// says so too. In the background it leaves the terminal first. It returns a channel
// that is closed when the parent has ended.
func (c *childLink) ready(log *daemon.Log) (gone <-chan struct{}, err error) {
	if c.background {
		if err := daemon.LeaveTerminal(log); err != nil {
			return nil, err
		}
	}
	b := []byte{childReady}
	if _, err = c.conn.Write(b); err == nil {
		_, err = io.ReadFull(c.conn, b)
	}
	if err != nil {
		return nil, fmt.Errorf("reach the privileged part of upsmon: %w", err)
	}
	ended := make(chan struct{})
	go c.listen(ended)
	return ended, nil
}

// listen takes the parent's answer, should there be one, and sees it end.
func (c *childLink) listen(ended chan<- struct{}) {
	defer close(ended)
	defer close(c.answer)
	b := make([]byte, 1)
	if _, err := io.ReadFull(c.conn, b); err == nil {
		c.answer <- b[0]
		io.Copy(io.Discard, c.conn)
	}
}

// Shutdown has the parent shut this host down and waits until SHUTDOWNCMD has ended:
// the service manager may take the end of this process for the end of all, and kill a
// command that is still at work.
func (c *childLink) Shutdown(_ context.Context, powerDown bool) error {
	order := byte(orderShutdownOnly)
	if powerDown {
		order = orderShutdown
	}
	_, err := c.conn.Write([]byte{order})
	switch {
	case err != nil:
		return fmt.Errorf("ask the privileged part of upsmon to shut down: %w", err)
	case <-c.answer != answerDone:
		return errors.New("SHUTDOWNCMD failed, or the privileged part of upsmon was ended before it was done")
	}
	return nil
}

func (c *childLink) close() { c.conn.Close() }

// commandSignals are the signals by which -c reaches a running upsmon.
func commandSignals() map[string]syscall.Signal {
	return map[string]syscall.Signal{"fsd": syscall.SIGUSR1, "stop": syscall.SIGTERM, "reload": syscall.SIGHUP}
}
