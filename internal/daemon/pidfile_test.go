package daemon

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"

	"gonut/internal/conf"
)

func TestPIDPaths(t *testing.T) {
	p := conf.Paths{PID: "/run", AltPID: "/run/nut"}
	for _, c := range []struct {
		got, want []string
	}{
		{[]string{AltPIDPath(p, "upsd")}, []string{"/run/nut/upsd.pid"}},
		{[]string{AltPIDPath(p, "/x/y")}, []string{"/x/y"}},
		{RootPIDPaths(p, "upsmon"), []string{"/run/upsmon.pid", "/run/nut/upsmon.pid"}},
		{RootPIDPaths(p, "/x/y"), []string{"/x/y"}},
		{RootPIDPaths(conf.Paths{PID: "/a", AltPID: "/a"}, "u"), []string{"/a/u.pid"}},
	} {
		if !slices.Equal(c.got, c.want) {
			t.Errorf("got %q; want %q", c.got, c.want)
		}
	}
}

func TestPIDFileLife(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "upsd.pid")
	if _, err := ReadPID(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("ReadPID of no file = %v; want ErrNotExist", err)
	}
	// A link that somebody else left must not be followed.
	victim := filepath.Join(dir, "victim")
	if err := os.WriteFile(victim, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(victim, path); err != nil {
		t.Fatal(err)
	}
	if err := WritePID(path); err != nil {
		t.Fatal(err)
	}
	if b, _ := os.ReadFile(victim); string(b) != "precious" {
		t.Errorf("WritePID wrote through a link: %q", b)
	}
	if b, _ := os.ReadFile(path); string(b) != strconv.Itoa(os.Getpid())+"\n" {
		t.Errorf("PID file holds %q; want our number and a newline", b)
	}
	if fi, _ := os.Stat(path); fi.Mode().Perm() != 0o644 {
		t.Errorf("PID file has mode %v; want 0644", fi.Mode())
	}
	if pid, err := ReadPID(path); pid != os.Getpid() || err != nil {
		t.Errorf("ReadPID = %d, %v; want %d", pid, err, os.Getpid())
	}
	if err := RemovePID(path); err != nil {
		t.Fatal(err)
	}
	if err := RemovePID(path); err != nil {
		t.Errorf("RemovePID of no file = %v; want nil", err)
	}
	// Another process's file stays.
	if err := os.WriteFile(path, []byte("2\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := RemovePID(path); err != nil {
		t.Errorf("RemovePID of another's file = %v; want nil", err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Error("RemovePID removed another process's file")
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".*")); len(left) > 0 {
		t.Errorf("left behind %q", left)
	}
	err := WritePID(filepath.Join(dir, "none", "upsd.pid"))
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("WritePID without folder = %v; want ErrNotExist", err)
	}
}

func TestReadPIDRefuses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.pid")
	for _, text := range []string{"", "\n", "0", "1\n", "-5", "abc", "12 34", "99999999999999999999"} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if pid, err := ReadPID(path); !errors.Is(err, ErrBadPID) {
			t.Errorf("ReadPID(%q) = %d, %v; want ErrBadPID", text, pid, err)
		}
	}
}

func TestSignalChecksTheProgram(t *testing.T) {
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Skip("no sleep program on this system")
	}
	cmd := exec.Command(sleep, "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pid := cmd.Process.Pid
	none := env(nil)
	if err := SignalPID(pid, 0, []string{"sleep"}, none); err != nil {
		t.Errorf("SignalPID(sleep, 0) = %v; want nil", err)
	}
	if len(processNames(pid)) > 0 {
		if err := SignalPID(pid, syscall.SIGTERM, []string{"upsd"}, none); !errors.Is(err, ErrOtherProcess) {
			t.Errorf("SignalPID(sleep as upsd) = %v; want ErrOtherProcess", err)
		}
	}
	path := filepath.Join(t.TempDir(), "x.pid")
	if err := os.WriteFile(path, []byte(strconv.Itoa(pid)), 0o644); err != nil {
		t.Fatal(err)
	}
	ignore := env(map[string]string{"NUT_IGNORE_CHECKPROCNAME": "yes"})
	got, err := SignalFile([]string{path + "none", path}, syscall.SIGTERM, []string{"upsd"}, ignore)
	if got != pid || err != nil {
		t.Errorf("SignalFile = %d, %v; want %d, nil", got, err, pid)
	}
	cmd.Wait()
	if err := SignalPID(pid, 0, []string{"sleep"}, none); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("SignalPID of a dead process = %v; want ErrProcessDone", err)
	}
	if err := SignalPID(1, 0, []string{"init"}, none); !errors.Is(err, ErrBadPID) {
		t.Errorf("SignalPID(1) = %v; want ErrBadPID", err)
	}
	if _, err := SignalFile([]string{path + "none"}, 0, nil, none); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("SignalFile without file = %v; want ErrNotExist", err)
	}
}
