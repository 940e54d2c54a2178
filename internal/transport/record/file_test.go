package record_test

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"gonut/internal/transport/record"
)

func TestCreateFileMovesNothingButFiles(t *testing.T) {
	dir := t.TempDir()
	target := filepath.Join(dir, "target")
	if err := os.WriteFile(target, []byte("kept"), 0o600); err != nil {
		t.Fatal(err)
	}
	folder, link := filepath.Join(dir, "folder"), filepath.Join(dir, "link")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	paths := []string{folder}
	if runtime.GOOS != "windows" {
		if err := os.Symlink(target, link); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, link)
	}
	for _, path := range paths {
		before, err := os.Lstat(path)
		if err != nil {
			t.Fatal(err)
		}
		f, err := record.CreateFile(path, 0o600)
		if err == nil {
			f.Close()
		}
		if err == nil || !strings.Contains(err.Error(), "no regular file") {
			t.Errorf("CreateFile(%s) = %v; want that it is no regular file", path, err)
		}
		if after, err := os.Lstat(path); err != nil || !os.SameFile(before, after) {
			t.Errorf("after CreateFile(%s) it is %v, %v; want what was there", path, after, err)
		}
		if _, err := os.Lstat(path + ".1"); err == nil {
			t.Errorf("CreateFile(%s) has left %s.1", path, path)
		}
	}
	if text, err := os.ReadFile(target); err != nil || string(text) != "kept" {
		t.Errorf("behind the link is %q, %v; want what was there", text, err)
	}
}
