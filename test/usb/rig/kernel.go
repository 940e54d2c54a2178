package main

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// prepareKernel finds the kernel and its modules in an unpacked package. The ELF
// file within the kernel starts a virtual machine without hardware acceleration
// seconds earlier than the kernel that unpacks itself; where it cannot be taken
// out, the kernel stays as it is.
func prepareKernel(folder string) error {
	images, err := filepath.Glob(filepath.Join(folder, "boot/vmlinuz-*"))
	if err != nil || len(images) != 1 {
		return fmt.Errorf("kernel: %d files boot/vmlinuz-* in %s; want one", len(images), folder)
	}
	image, err := os.ReadFile(images[0])
	if err != nil {
		return err
	}
	if inner, err := unpackImage(image); err == nil {
		image = inner
	} else {
		fmt.Fprintln(os.Stderr, "rig: the kernel stays packed:", err)
	}
	if err := prepareModules(folder); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(folder, "vmlinux"), image, 0o644)
}

// unpackImage takes the ELF file out of a bzImage. Its header, of the kernel's
// boot protocol 2.08, says where the packed part begins and how long it is.
func unpackImage(image []byte) ([]byte, error) {
	const sectors, magic, offset, length = 0x1f1, 0x202, 0x248, 0x24c
	if len(image) < 0x260 || string(image[magic:magic+4]) != "HdrS" {
		return nil, errors.New("no boot header")
	}
	le := binary.LittleEndian
	begin := (int(image[sectors])+1)*512 + int(le.Uint32(image[offset:]))
	end := begin + int(le.Uint32(image[length:]))
	if begin > end || end > len(image) {
		return nil, errors.New("the boot header points outside of the file")
	}
	packed := image[begin:end]
	tool := []string{"xz", "-dc", "--single-stream"}
	if bytes.HasPrefix(packed, []byte{0x28, 0xb5, 0x2f, 0xfd}) {
		tool = []string{"zstd", "-dcq"}
	}
	cmd := exec.Command(tool[0], tool[1:]...)
	cmd.Stdin = bytes.NewReader(packed)
	var out bytes.Buffer
	cmd.Stdout = &out
	// The kernel's build appends the size, which the tool complains about.
	err := cmd.Run()
	if !bytes.HasPrefix(out.Bytes(), []byte(elf.ELFMAG)) {
		return nil, fmt.Errorf("%s: %w", tool[0], errors.Join(err, errors.New("no ELF file came out")))
	}
	return out.Bytes(), nil
}

// prepareModules puts all modules of the package into one folder, unpacked, under
// the names that dependencies use.
func prepareModules(folder string) error {
	to := filepath.Join(folder, "modules")
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	return filepath.WalkDir(filepath.Join(folder, "lib"), func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		base, _, ok := strings.Cut(filepath.Base(name), ".ko")
		if !ok {
			return nil
		}
		module := filepath.Join(to, strings.ReplaceAll(base, "-", "_")+".ko")
		if strings.HasSuffix(name, ".ko.xz") {
			p, err := exec.Command("xz", "-dc", name).Output()
			if err != nil {
				return fmt.Errorf("unpack %s: %w", name, err)
			}
			return os.WriteFile(module, p, 0o644)
		}
		return os.Rename(name, module)
	})
}

// loadOrder returns the modules and those that they need, needed ones first.
func loadOrder(folder string, modules []string) ([]string, error) {
	var order []string
	var add func(string) error
	add = func(m string) error {
		if slices.Contains(order, m) {
			return nil
		}
		needed, err := dependencies(filepath.Join(folder, m+".ko"))
		if err != nil {
			return fmt.Errorf("module %s: %w", m, err)
		}
		for _, n := range needed {
			if err := add(n); err != nil {
				return err
			}
		}
		order = append(order, m)
		return nil
	}
	for _, m := range modules {
		if err := add(m); err != nil {
			return nil, err
		}
	}
	return order, nil
}

// dependencies reads which modules a module needs.
func dependencies(file string) ([]string, error) {
	f, err := elf.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	s := f.Section(".modinfo")
	if s == nil {
		return nil, errors.New("no .modinfo section")
	}
	p, err := s.Data()
	if err != nil {
		return nil, err
	}
	for _, line := range strings.Split(string(p), "\x00") {
		if names, ok := strings.CutPrefix(line, "depends="); ok && names != "" {
			return strings.Split(strings.ReplaceAll(names, "-", "_"), ","), nil
		}
	}
	return nil, nil
}
