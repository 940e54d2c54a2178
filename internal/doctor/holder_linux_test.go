package doctor

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestHolders(t *testing.T) {
	proc := t.TempDir()
	write := func(path, text string) {
		t.Helper()
		path = filepath.Join(proc, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	link := func(path, target string) {
		t.Helper()
		path = filepath.Join(proc, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(target, path); err != nil {
			t.Fatal(err)
		}
	}
	write("10/comm", "apcupsd\n")
	write("10/cgroup", "0::/system.slice/apcupsd.service\n")
	link("10/fd/5", "/dev/ttyS0")
	link("10/fd/6", "/dev/ttyS0")
	write("11/comm", "minicom\n")
	write("11/cgroup", "0::/user.slice/user-1000.slice/user@1000.service\n")
	link("11/fd/3", "/dev/ttyS0")
	write("12/comm", "cat\n")
	link("12/fd/3", "/dev/ttyS1")
	got := holders(proc, "/dev/ttyS0")
	want := []holder{{10, "apcupsd", "apcupsd.service"}, {11, "minicom", ""}}
	if !slices.Equal(got, want) {
		t.Errorf("holders = %+v; want %+v", got, want)
	}
}
