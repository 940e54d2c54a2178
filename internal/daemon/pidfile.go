package daemon

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"gonut/internal/conf"
)

// What reading a PID file or signalling may end in; errors wrap these.
var (
	// ErrBadPID means that a PID file holds no number of at least 2.
	ErrBadPID = errors.New("no usable process number")
	// ErrOtherProcess means that the process is not the program that was meant.
	ErrOtherProcess = errors.New("the process is another program")
)

// AltPIDPath returns where upsd and drivers keep the PID file of that name, which
// may also be an absolute path.
func AltPIDPath(p conf.Paths, name string) string { return pidPath(p.AltPID, name) }

// RootPIDPaths returns where upsmon and upslog may have left the PID file of that
// name, in the order in which to look: the folder of root's daemons, then that of
// the others. An absolute name is the only answer.
func RootPIDPaths(p conf.Paths, name string) []string {
	return slices.Compact([]string{pidPath(p.PID, name), pidPath(p.AltPID, name)})
}

func pidPath(dir, name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(dir, name+".pid")
}

// WritePID writes the number of this process to path, readable by all. The file
// appears complete or not at all, and a link of that name is replaced, not
// followed: the folder may belong to another user than root.
func WritePID(path string) error { return writePID(path, os.Getpid()) }

func writePID(path string, pid int) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("write PID file %s: %w", path, cause(err))
	}
	_, err = fmt.Fprintln(f, pid)
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Chmod(f.Name(), 0o644)
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
		return fmt.Errorf("write PID file %s: %w", path, cause(err))
	}
	return nil
}

// cause strips the path of an error, which the message already has.
func cause(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	if e, ok := errors.AsType[*os.LinkError](err); ok {
		return e.Err
	}
	return err
}

// WriteRootPID writes the PID file of upsmon or upslog and returns its path: in
// the folder of root's daemons or, if this process is not root and may not write
// there, in that of the others.
func WriteRootPID(p conf.Paths, name string) (path string, err error) {
	return WriteRootPIDOf(p, name, os.Getpid())
}

// WriteRootPIDOf writes the PID file on behalf of another process, one that may not
// write there itself.
func WriteRootPIDOf(p conf.Paths, name string, pid int) (path string, err error) {
	paths := RootPIDPaths(p, name)
	err = writePID(paths[0], pid)
	if err != nil && len(paths) > 1 && os.Geteuid() != 0 {
		return paths[1], writePID(paths[1], pid)
	}
	return paths[0], err
}

// RemovePID removes the PID file if it is this process's.
func RemovePID(path string) error {
	pid, err := ReadPID(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && pid != os.Getpid() {
		return nil
	}
	if err != nil {
		return err
	}
	return os.Remove(path)
}

// ReadPID reads a PID file. Numbers below 2 wrap ErrBadPID.
func ReadPID(path string) (int, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0, fmt.Errorf("read PID file: %w", err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil || pid < 2 {
		return 0, fmt.Errorf("read PID file %s: %w", path, ErrBadPID)
	}
	return pid, nil
}

// SignalFile sends sig to the process whose number is in the first of paths that
// exists, as SignalPID does.
func SignalFile(paths []string, sig syscall.Signal, names []string, getenv func(string) string) (pid int, err error) {
	for _, p := range paths {
		pid, err = ReadPID(p)
		if !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	if err != nil {
		return 0, err
	}
	return pid, SignalPID(pid, sig, names, getenv)
}

// SignalPID sends sig to a process that runs one of the named programs; signal 0
// only asks whether it lives. A process of another name is left alone
// (ErrOtherProcess), unless NUT_IGNORE_CHECKPROCNAME says yes or the system does
// not tell names. A process that is gone is os.ErrProcessDone.
func SignalPID(pid int, sig syscall.Signal, names []string, getenv func(string) string) error {
	if pid < 2 {
		return fmt.Errorf("signal process %d: %w", pid, ErrBadPID)
	}
	p, err := os.FindProcess(pid)
	if err != nil {
		return fmt.Errorf("signal process %d: %w", pid, err)
	}
	defer p.Release()
	if err := p.Signal(syscall.Signal(0)); err != nil {
		return fmt.Errorf("signal process %d: %w", pid, err)
	}
	if isZombie(pid) {
		return fmt.Errorf("signal process %d: %w", pid, os.ErrProcessDone)
	}
	if !truthy(getenv("NUT_IGNORE_CHECKPROCNAME")) {
		if err := CheckProcess(pid, names...); err != nil {
			return fmt.Errorf("signal process %d: %w", pid, err)
		}
	}
	if sig == 0 {
		return nil
	}
	if err := p.Signal(sig); err != nil {
		return fmt.Errorf("signal process %d: %w", pid, err)
	}
	return nil
}

// CheckProcess returns an error that wraps ErrOtherProcess if the system says
// that the process runs none of the named programs.
func CheckProcess(pid int, names ...string) error {
	found := processNames(pid)
	if len(found) == 0 {
		return nil
	}
	for _, n := range names {
		for _, f := range found {
			if f == n || f == "lt-"+n || len(n) > commLen && f == n[:commLen] {
				return nil
			}
		}
	}
	return fmt.Errorf("%w: it is %s, not %s", ErrOtherProcess, found[0], strings.Join(names, " or "))
}

// commLen is how much of a program's name kernels keep.
const commLen = 15
