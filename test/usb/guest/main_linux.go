// Command guest is process 1 of the virtual machine of the USB tests: it mounts
// what programs expect, loads the kernel modules that /modules/order names, runs
// the test binaries in /tests one after the other and powers the machine off. Its
// last line is "GUEST exit N"; N is the number of test binaries that failed.
package main

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

func main() {
	begin := time.Now()
	failed := 1
	if err := prepare(); err != nil {
		fmt.Println("GUEST cannot start:", err)
	} else {
		fmt.Println("GUEST started", uptime())
		failed = runTests()
	}
	fmt.Printf("GUEST ended %s after %v\n", uptime(), time.Since(begin).Round(time.Millisecond))
	fmt.Printf("GUEST exit %d\n", failed)
	unix.Sync()
	if err := unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF); err != nil {
		fmt.Println("GUEST cannot power off:", err)
	}
	select {} // process 1 must not end
}

func uptime() string {
	p, _ := os.ReadFile("/proc/uptime")
	seconds, _, _ := strings.Cut(string(p), " ")
	return seconds + " s after boot"
}

// prepare makes the machine fit for tests.
func prepare() error {
	for _, m := range []struct{ kind, where string }{
		{"devtmpfs", "/dev"}, {"proc", "/proc"}, {"sysfs", "/sys"}, {"tmpfs", "/tmp"}, {"tmpfs", "/run"},
	} {
		if err := unix.Mount(m.kind, m.where, m.kind, 0, ""); err != nil {
			return fmt.Errorf("mount %s: %w", m.where, err)
		}
	}
	for name, text := range map[string]string{
		"/etc/passwd": "root:x:0:0:root:/tmp:/bin/sh\nnut:x:100:100:nut:/tmp:/bin/sh\n",
		"/etc/group":  "root:x:0:\nnut:x:100:\n",
	} {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			return err
		}
	}
	order, err := os.ReadFile("/modules/order")
	if err != nil {
		return err
	}
	for _, m := range strings.Fields(string(order)) {
		if err := load(filepath.Join("/modules", m+".ko")); err != nil {
			return fmt.Errorf("load module %s: %w", m, err)
		}
	}
	for _, setting := range []string{"PATH=/bin:/sbin", "HOME=/tmp", "GONUT_USB_GUEST=1"} {
		name, value, _ := strings.Cut(setting, "=")
		if err := os.Setenv(name, value); err != nil {
			return err
		}
	}
	return nil
}

func load(file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	return unix.FinitModule(int(f.Fd()), "", 0)
}

// runTests returns how many test binaries failed.
func runTests() int {
	tests, err := filepath.Glob("/tests/*.test")
	if err != nil || len(tests) == 0 {
		fmt.Println("GUEST has no tests:", err)
		return 1
	}
	args, err := os.ReadFile("/tests/arguments")
	if err != nil && !os.IsNotExist(err) {
		fmt.Println("GUEST cannot read arguments:", err)
		return 1
	}
	failed := 0
	for _, t := range tests {
		fmt.Println("GUEST runs", filepath.Base(t))
		cmd := exec.Command(t, append([]string{"-test.v", "-test.parallel=8"}, argumentsFor(filepath.Base(t), string(args))...)...)
		cmd.Dir = "/tests"
		if d := strings.TrimSuffix(t, ".test"); isFolder(d) {
			cmd.Dir = d
		}
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stdout
		if err := cmd.Run(); err != nil {
			failed++
			fmt.Println("GUEST test failed:", filepath.Base(t), err)
		}
	}
	return failed
}

// argumentsFor returns the arguments that a test binary knows: those of the tests of
// drivers are theirs alone.
func argumentsFor(binary, all string) []string {
	return slices.DeleteFunc(strings.Fields(all), func(a string) bool {
		return !strings.HasPrefix(a, "-test.") && binary != "2-kernel.test"
	})
}

func isFolder(name string) bool {
	i, err := os.Stat(name)
	return err == nil && i.Mode()&fs.ModeDir != 0
}
