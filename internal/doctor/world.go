package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"time"

	"gonut/internal/daemon"
	"gonut/internal/drvsock"
	"gonut/internal/program"
	"gonut/internal/transport/usb"
	"gonut/internal/ups"
)

// A world is what can be looked at, so that tests can bring one of their own.
type world struct {
	stat      func(path string) (node, error)
	exists    func(path string) bool
	resolve   func(path string) (string, error) // without links
	glob      func(pattern string) []string
	names     func(dir string) []string // of the files in it
	account   func(name string) (daemon.Account, error)
	userName  func(uid int) string
	groupName func(gid int) string
	usb       func(ctx context.Context) ([]usb.Device, error)
	holders   func(path string) []holder
	lookup    func(ctx context.Context, host string) error
	ask       func(ctx context.Context, socket, pidFile, driver string) answer
}

// A holder is a process that has a device open.
type holder struct {
	pid  int
	name string
	unit string // of the service manager; empty if it is of none
}

// An answer is what a driver says of itself.
type answer struct {
	kind   kind
	pid    int    // 0 if unknown
	status string // ups.status, or why the driver cannot be asked
}

type kind uint8

const (
	absentDriver kind = iota
	working
	stale    // it runs without its device
	hanging  // it takes connections and does not answer
	refusing // we may not connect
)

// describe returns "owned by root:dialout with mode 0660".
func (w world) describe(n node) string {
	return fmt.Sprintf("owned by %s:%s with mode %04o", w.userName(n.uid), w.groupName(n.gid), n.mode)
}

// newWorld returns the real one.
func newWorld(e program.Env) world {
	return world{
		stat: stat,
		exists: func(path string) bool {
			_, err := os.Stat(path)
			return err == nil
		},
		resolve: filepath.EvalSymlinks,
		glob: func(pattern string) []string {
			found, _ := filepath.Glob(pattern)
			return found
		},
		names: func(dir string) []string {
			es, _ := os.ReadDir(dir)
			var names []string
			for _, e := range es {
				names = append(names, e.Name())
			}
			return names
		},
		account: daemon.LookupAccount,
		userName: func(uid int) string {
			if u, err := user.LookupId(strconv.Itoa(uid)); err == nil {
				return u.Username
			}
			return strconv.Itoa(uid)
		},
		groupName: func(gid int) string {
			if g, err := user.LookupGroupId(strconv.Itoa(gid)); err == nil {
				return g.Name
			}
			return strconv.Itoa(gid)
		},
		usb:     usb.System{}.List,
		holders: func(path string) []holder { return holders("/proc", path) },
		lookup: func(ctx context.Context, host string) error {
			ctx, cancel := context.WithTimeout(ctx, lookupWait)
			defer cancel()
			_, err := net.DefaultResolver.LookupHost(ctx, host)
			return err
		},
		ask: func(ctx context.Context, socket, pidFile, driver string) answer {
			return ask(ctx, e, socket, pidFile, driver)
		},
	}
}

// How long others get to answer.
const (
	lookupWait = 5 * time.Second
	driverWait = 3 * time.Second
)

// ask asks a driver how it is.
func ask(ctx context.Context, e program.Env, socket, pidFile, driver string) (a answer) {
	if pid, err := daemon.ReadPID(pidFile); err == nil && daemon.SignalPID(pid, 0, []string{driver}, e.Getenv) == nil {
		a.pid = pid
	}
	ctx, cancel := context.WithTimeout(ctx, driverWait)
	defer cancel()
	l, err := drvsock.Connect(ctx, func(ctx context.Context) (net.Conn, error) { return e.Dial(ctx, "unix", socket) })
	switch {
	case errors.Is(err, fs.ErrPermission):
		a.kind, a.status = refusing, err.Error()
		return a
	case err != nil && ctx.Err() != nil, err != nil && a.pid != 0:
		a.kind = hanging
		return a
	case err != nil:
		return a
	}
	defer l.Close()
	said, _, err := l.PIDAndStatus(ctx)
	if pid, numErr := strconv.Atoi(said); numErr == nil {
		a.pid = pid
	}
	var cs []ups.Change
	if err == nil {
		cs, err = l.Dump(ctx)
	}
	if err != nil {
		a.kind = hanging
		return a
	}
	a.kind = working
	for _, c := range cs {
		switch {
		case c.Op == ups.DataStale:
			a.kind = stale
		case c.Op == ups.SetInfo && c.Name == "ups.status":
			a.status = c.Args[0]
		}
	}
	return a
}
