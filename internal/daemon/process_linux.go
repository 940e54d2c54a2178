package daemon

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// processNames returns the names by which a process may be known, or nothing if
// the system does not tell: what the kernel calls it (15 bytes of it), its file,
// the name it was called by and, if that is the name of this many-in-one binary,
// the program that it was told to be.
func processNames(pid int) []string {
	dir := filepath.Join("/proc", strconv.Itoa(pid))
	var names []string
	if args := commandLine(pid); len(args) > 0 {
		names = append(names, filepath.Base(args[0]))
		if len(args) > 1 && isSelf(names[0]) {
			names = append([]string{args[1]}, names...)
		}
	}
	if b, err := os.ReadFile(filepath.Join(dir, "comm")); err == nil {
		names = append(names, strings.TrimSuffix(string(b), "\n"))
	}
	if l, err := os.Readlink(filepath.Join(dir, "exe")); err == nil {
		names = append(names, strings.TrimSuffix(filepath.Base(l), " (deleted)"))
	}
	return names
}

// commandLine returns the arguments of a process, none if they cannot be read.
func commandLine(pid int) []string {
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline"))
	if err != nil || len(b) == 0 {
		return nil
	}
	return strings.Split(strings.TrimSuffix(string(b), "\x00"), "\x00")
}

// isZombie reports whether a process has ended and only waits for its parent to
// take note, which the first process of a container may never do.
func isZombie(pid int) bool {
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return false
	}
	// The name in parentheses may hold anything, parentheses too.
	rest := string(b[bytes.LastIndexByte(b, ')')+1:])
	return strings.HasPrefix(rest, " Z") || strings.HasPrefix(rest, " X")
}

// isSelf reports whether name is that of the binary that holds all programs.
func isSelf(name string) bool {
	if name == "nut" {
		return true
	}
	self, err := os.Executable()
	return err == nil && name == filepath.Base(self)
}

// NameProcess makes ps, pidof and killall know this process as name although the
// binary may be called otherwise. It does nothing where that is not possible.
func NameProcess(name string) {
	f, err := os.OpenFile("/proc/self/comm", os.O_WRONLY, 0)
	if err != nil {
		return
	}
	defer f.Close()
	f.WriteString(name)
}

// timerSlack is how late a thread may be woken, in nanoseconds. The kernel's own
// figure is 50 µs.
const timerSlack = "1000000"

// RelaxTimers lets the kernel wake the threads of this process, and of those it
// starts, a little late and together. The runtime has a thread that looks after the
// others; each timer of ours wakes it as well, and until the timer's own thread is
// awake it looks again every 20 µs. Without the right to do so (CAP_SYS_NICE) nothing
// changes.
func RelaxTimers() {
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return
	}
	for _, t := range threads {
		f, err := os.OpenFile(filepath.Join("/proc", t.Name(), "timerslack_ns"), os.O_WRONLY, 0)
		if err != nil {
			return
		}
		f.WriteString(timerSlack)
		f.Close()
	}
}
