package doctor

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// holders returns the processes that have a file or device open, as far as this
// user may see. proc is where the kernel shows processes.
func holders(proc, path string) []holder {
	fds, _ := filepath.Glob(filepath.Join(proc, "[0-9]*", "fd", "*"))
	var hs []holder
	seen := map[int]bool{os.Getpid(): true}
	for _, fd := range fds {
		target, err := os.Readlink(fd)
		if err != nil || target != path {
			continue
		}
		dir := filepath.Dir(filepath.Dir(fd))
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err != nil || seen[pid] {
			continue
		}
		seen[pid] = true
		hs = append(hs, holder{pid: pid, name: processName(dir), unit: processUnit(dir)})
	}
	return hs
}

// processName returns what the process in a folder of the kernel is called.
func processName(dir string) string {
	b, err := os.ReadFile(filepath.Join(dir, "comm"))
	if err != nil {
		return "a process without name"
	}
	return strings.TrimSpace(string(b))
}

// processUnit returns the system service that a process belongs to, or nothing.
func processUnit(dir string) string {
	b, _ := os.ReadFile(filepath.Join(dir, "cgroup"))
	for line := range strings.Lines(string(b)) {
		if unit := filepath.Base(strings.TrimSpace(line)); strings.HasSuffix(unit, ".service") && strings.Contains(line, "/system.slice/") {
			return unit
		}
	}
	return ""
}
