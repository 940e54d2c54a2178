package usb_test

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A cost is what a driver needed within a window of time.
type cost struct {
	polls int            // reports that it asked for
	calls map[string]int // system calls by number
	cpu   time.Duration
}

func (c cost) total() int {
	n := 0
	for _, k := range c.calls {
		n += k
	}
	return n
}

func (c cost) String() string {
	numbers := slices.SortedFunc(maps.Keys(c.calls), func(a, b string) int {
		return cmp.Or(c.calls[b]-c.calls[a], cmp.Compare(a, b))
	})
	var b strings.Builder
	for _, n := range numbers[:min(12, len(numbers))] {
		fmt.Fprintf(&b, " %s:%d", name(n), c.calls[n])
	}
	return fmt.Sprintf("%d reports, %d system calls (%s ), %v CPU", c.polls, c.total(), b.String(), c.cpu.Round(10*time.Microsecond))
}

// name names the numbers that are seen most, on amd64.
func name(number string) string {
	names := map[string]string{"0": "read", "1": "write", "7": "poll", "16": "ioctl", "23": "select", "24": "sched_yield", "35": "nanosleep",
		"45": "recvfrom", "202": "futex", "228": "clock_gettime", "230": "clock_nanosleep", "232": "epoll_wait", "233": "epoll_ctl",
		"281": "epoll_pwait", "286": "timerfd_settime", "270": "pselect6", "271": "ppoll", "288": "accept4", "11": "munmap", "9": "mmap", "28": "madvise",
		"234": "tgkill", "15": "rt_sigreturn", "14": "rt_sigprocmask", "13": "rt_sigaction", "257": "openat", "3": "close", "39": "getpid"}
	return cmp.Or(names[number], number)
}

const tracing = "/sys/kernel/tracing"

// traceOn makes the kernel write down the system calls of all threads called
// usbhid-ups.
func traceOn(t *testing.T) {
	t.Helper()
	if err := unix.Mount("tracefs", tracing, "tracefs", 0, ""); err != nil && err != unix.EBUSY {
		t.Fatal(err)
	}
	for _, s := range [][2]string{
		{"buffer_size_kb", "16384"},
		{"events/raw_syscalls/sys_enter/filter", `comm == "usbhid-ups"`},
		{"trace", ""},
		{"events/raw_syscalls/sys_enter/enable", "1"},
	} {
		if err := os.WriteFile(filepath.Join(tracing, s[0]), []byte(s[1]), 0); err != nil {
			t.Fatal(err)
		}
	}
}

// traceOff ends what traceOn began and returns the system calls by number.
func traceOff(t *testing.T) map[string]int {
	t.Helper()
	if err := os.WriteFile(filepath.Join(tracing, "events/raw_syscalls/sys_enter/enable"), []byte("0"), 0); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(tracing, "trace"))
	if err != nil {
		t.Fatal(err)
	}
	calls := map[string]int{}
	for line := range strings.Lines(string(text)) {
		if _, rest, ok := strings.Cut(line, "sys_enter: NR "); ok {
			number, _, _ := strings.Cut(rest, " ")
			calls[number]++
		}
	}
	return calls
}

// cpuOf returns how long the threads of a process were on a processor.
func cpuOf(t *testing.T, pid int) time.Duration {
	t.Helper()
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil || len(threads) == 0 {
		t.Fatalf("process %d has no threads: %v", pid, err)
	}
	var sum time.Duration
	for _, f := range threads {
		text, err := os.ReadFile(f)
		if err != nil {
			continue // the thread has just ended
		}
		word, _, _ := strings.Cut(string(text), " ")
		ns, err := strconv.ParseInt(word, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		sum += time.Duration(ns)
	}
	return sum
}

// measure runs a driver and looks at it for a while after it has settled.
func measure(t *testing.T, w way, window time.Duration) cost {
	t.Helper()
	u := plugIn(t, backUPS)
	d := startDriver(t, w, u) // as by default: a poll every 2 s, a full one every 30 s
	defer u.out(t)
	defer d.stop(t)
	time.Sleep(5 * time.Second) // a start is not a poll
	cpu := cpuOf(t, d.cmd.Process.Pid)
	time.Sleep(window)
	cpu = cpuOf(t, d.cmd.Process.Pid) - cpu
	traceOn(t) // which takes time by itself
	gets := u.Gets()
	time.Sleep(window)
	return cost{polls: u.Gets() - gets, cpu: cpu, calls: traceOff(t)}
}

// TestPollCost compares what polls cost with C's driver and with ours: both ask the
// same device equally often. The processor's time is that of an emulated one, for
// which all instructions take equally long: it shows what has become worse, not what
// a real one would need.
func TestPollCost(t *testing.T) {
	machine(t)
	const window = 62 * time.Second
	c := measure(t, cDriver(), window)
	t.Logf("C's in %v:  %v", window, c)
	ours := measure(t, overUSBFS(), window)
	t.Logf("ours in %v: %v", window, ours)
	t.Logf("ours to C's: %.2f of the system calls, %.2f of the CPU", float64(ours.total())/float64(c.total()), float64(ours.cpu)/float64(c.cpu))
	if ours.total() > c.total() {
		t.Errorf("ours makes %d system calls, C's %d", ours.total(), c.total())
	}
	if ours.cpu > c.cpu*6/5 { // a poll more or less within the window
		t.Errorf("ours needs %v of the processor, C's %v", ours.cpu, c.cpu)
	}
}
