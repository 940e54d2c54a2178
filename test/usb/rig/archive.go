package main

import (
	"bufio"
	"debug/elf"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// An archive is a cpio archive in the "newc" form, which the kernel takes as its
// first file system.
type archive struct {
	w     *bufio.Writer
	size  int64
	inode int
	added map[string]bool
	err   error // the first error of writing
}

func newArchive(w io.Writer) *archive {
	a := &archive{w: bufio.NewWriterSize(w, 1<<20), added: map[string]bool{}}
	for _, d := range []string{"/dev", "/proc", "/sys", "/tmp", "/run", "/etc", "/var"} {
		a.folder(d)
	}
	const character = 0o020000
	a.entry("/dev/console", character|0o600, 5, 1, nil)
	a.entry("/dev/null", character|0o666, 1, 3, nil)
	return a
}

// entry writes a header, the name and the data, each filled up to four bytes.
func (a *archive) entry(name string, mode, major, minor int, data []byte) {
	name = strings.TrimPrefix(path.Clean(name), "/")
	if a.added[name] {
		return
	}
	a.added[name] = true
	a.inode++
	fields := []int{a.inode, mode, 0, 0, 1, 0, len(data), 0, 0, major, minor, len(name) + 1, 0}
	var h strings.Builder
	h.WriteString("070701")
	for _, f := range fields {
		fmt.Fprintf(&h, "%08X", f)
	}
	a.write([]byte(h.String() + name + "\x00"))
	a.write(data)
}

func (a *archive) write(p []byte) {
	if _, err := a.w.Write(p); err != nil && a.err == nil {
		a.err = err
	}
	a.size += int64(len(p))
	for ; a.size%4 != 0; a.size++ {
		a.w.WriteByte(0)
	}
}

func (a *archive) folder(name string) {
	if parent := path.Dir(name); parent != "/" {
		a.folder(parent)
	}
	a.entry(name, 0o040755, 0, 0, nil)
}

func (a *archive) data(name string, mode int, data []byte) {
	a.folder(path.Dir(name))
	a.entry(name, 0o100000|mode, 0, 0, data)
}

func (a *archive) file(dst, src string) error {
	data, err := os.ReadFile(src)
	if err != nil {
		return err
	}
	info, err := os.Stat(src)
	if err != nil {
		return err
	}
	a.data(dst, int(info.Mode().Perm()), data)
	return nil
}

func (a *archive) link(dst, target string) error {
	a.folder(path.Dir(dst))
	a.entry(dst, 0o120777, 0, 0, []byte(target))
	return nil
}

// program adds an ELF file, the loader that it names and the libraries that it
// and they need. Libraries all go to the folder where the loader looks first.
func (a *archive) program(dst, src string) error {
	if err := a.file(dst, src); err != nil {
		return err
	}
	f, err := elf.Open(src)
	if err != nil {
		return err
	}
	defer f.Close()
	if s := f.Section(".interp"); s != nil {
		p, err := s.Data()
		if err != nil {
			return err
		}
		loader := strings.TrimRight(string(p), "\x00")
		if err := a.file(loader, loader); err != nil {
			return err
		}
	}
	libraries, err := f.ImportedLibraries()
	if err != nil {
		return err
	}
	for _, l := range libraries {
		to := "/lib/x86_64-linux-gnu/" + l
		if a.added[to[1:]] {
			continue
		}
		from, err := findLibrary(l)
		if err != nil {
			return err
		}
		if err := a.program(to, from); err != nil {
			return err
		}
	}
	return nil
}

func findLibrary(name string) (string, error) {
	for _, dir := range []string{"/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib64", "/usr/lib"} {
		if p := filepath.Join(dir, name); exists(p) {
			return p, nil
		}
	}
	return "", fmt.Errorf("library %s: not found", name)
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

func (a *archive) close() error {
	a.entry("/TRAILER!!!", 0, 0, 0, nil)
	if a.err != nil {
		return a.err
	}
	return a.w.Flush()
}
