// Command rig makes what the virtual machine of the USB tests starts from.
//
//	rig kernel FOLDER              turns an unpacked kernel package into FOLDER/vmlinux
//	                               and FOLDER/modules/*.ko
//	rig initramfs [options] OUT    packs programs, kernel modules and files
//
// It is run by run.sh and needs no root. The package is Debian's linux-image.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "rig:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 0 {
		return errors.New("want a command: kernel or initramfs")
	}
	switch args[0] {
	case "kernel":
		if len(args) != 2 {
			return errors.New("kernel: want the folder of the unpacked package")
		}
		return prepareKernel(args[1])
	case "initramfs":
		return initramfs(args[1:])
	}
	return fmt.Errorf("%q is no command", args[0])
}

// A list collects the values of an option that is given several times.
type list []string

func (l *list) String() string     { return strings.Join(*l, " ") }
func (l *list) Set(s string) error { *l = append(*l, s); return nil }

func initramfs(args []string) error {
	fs := flag.NewFlagSet("initramfs", flag.ContinueOnError)
	var files, programs, links, modules list
	fs.Var(&files, "file", "DST=SRC: a file as it is")
	fs.Var(&programs, "program", "DST=SRC: an ELF program with the libraries that it needs")
	fs.Var(&links, "link", "DST=TARGET: a symbolic link")
	fs.Var(&modules, "module", "a kernel module, after those that it needs")
	folder := fs.String("modules", "", "folder of *.ko files")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if fs.NArg() != 1 {
		return errors.New("initramfs: want the name of the archive")
	}
	out, err := os.Create(fs.Arg(0))
	if err != nil {
		return err
	}
	defer out.Close()
	a := newArchive(out)
	for _, step := range []struct {
		pairs list
		add   func(dst, src string) error
	}{{files, a.file}, {programs, a.program}, {links, a.link}} {
		for _, pair := range step.pairs {
			dst, src, ok := strings.Cut(pair, "=")
			if !ok {
				return fmt.Errorf("initramfs: %q is not DST=SRC", pair)
			}
			if err := step.add(dst, src); err != nil {
				return fmt.Errorf("initramfs: add %s: %w", dst, err)
			}
		}
	}
	order, err := loadOrder(*folder, modules)
	if err != nil {
		return fmt.Errorf("initramfs: %w", err)
	}
	for _, m := range order {
		if err := a.file("/modules/"+m+".ko", filepath.Join(*folder, m+".ko")); err != nil {
			return fmt.Errorf("initramfs: add module %s: %w", m, err)
		}
	}
	a.data("/modules/order", 0o644, []byte(strings.Join(order, "\n")+"\n"))
	if err := a.close(); err != nil {
		return fmt.Errorf("initramfs: %w", err)
	}
	return out.Close()
}
