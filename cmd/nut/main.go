// Command nut is all programs of this project in one binary. It runs the one that
// it is called as (a link named upsc is upsc), or the one that its first argument
// names; called as nut alone it lists them.
package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"gonut/internal/daemon"
	"gonut/internal/program"
	"gonut/internal/words"
)

func main() {
	err := run(context.Background(), program.Env{
		Args:   os.Args,
		Stdin:  os.Stdin,
		Stdout: os.Stdout,
		Stderr: os.Stderr,
		Getenv: os.Getenv,
		// Servers leave silent clients themselves; keep-alive would be four system
		// calls for each connection.
		Listen: (&net.ListenConfig{KeepAlive: -1}).Listen,
		Dial:   (&net.Dialer{}).DialContext,
	})
	os.Exit(program.Code(err, os.Stderr))
}

// run finds the program and runs it.
func run(ctx context.Context, e program.Env) error {
	name := "nut"
	if len(e.Args) > 0 {
		name = strings.TrimSuffix(filepath.Base(e.Args[0]), ".exe")
	}
	if p, ok := findLink(name); ok {
		limitProcessors(name, e.Getenv)
		// A process that runs itself again would else be known by the file's name.
		daemon.NameProcess(name)
		e.Args = slices.Concat([]string{name}, e.Args[1:])
		return p.Run(ctx, e)
	}
	if len(e.Args) < 2 || e.Args[1] == "-h" || e.Args[1] == "--help" || e.Args[1] == "help" {
		list(e.Stdout)
		return nil
	}
	p, ok := find(e.Args[1])
	if !ok {
		return program.Exitf(2, "nut: no program %q; nut alone lists them%s", e.Args[1], suggestion(e.Args[1]))
	}
	limitProcessors(p.Name, e.Getenv)
	e.Args = e.Args[1:]
	return p.Run(ctx, e)
}

// limitProcessors keeps a program on one processor at a time, unless the user wants
// it otherwise. All but upsd wait for a device, a server or a timer: more processors
// would only wake each other up whenever something happens.
func limitProcessors(name string, getenv func(string) string) {
	if name != "upsd" && getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(1)
	}
}

// find returns the program that the first argument names.
func find(name string) (program.Program, bool) {
	return search(func(_ group, p program.Program) bool { return p.Name == name || slices.Contains(p.Aliases, name) })
}

// findLink returns the program that a link of that name is.
func findLink(name string) (program.Program, bool) {
	return search(func(g group, p program.Program) bool {
		return p.Name == name && !g.inner || slices.Contains(p.Aliases, name)
	})
}

func search(match func(group, program.Program) bool) (program.Program, bool) {
	for _, g := range groups() {
		for _, p := range g.programs {
			if match(g, p) {
				return p, true
			}
		}
	}
	return program.Program{}, false
}

func suggestion(name string) string {
	var names []string
	for _, g := range groups() {
		for _, p := range g.programs {
			names = append(names, p.Name)
		}
	}
	if s := words.Nearest(name, names); s != "" {
		return fmt.Sprintf(" (did you mean %s?)", s)
	}
	return ""
}

func list(w io.Writer) {
	fmt.Fprintln(w, "nut: Network UPS Tools in one binary")
	fmt.Fprintln(w, "\nusage: nut PROGRAM [ARGUMENTS…], or a link of the program's name to this binary")
	for _, g := range groups() {
		fmt.Fprintf(w, "\n%s\n", g.title)
		for _, p := range g.programs {
			fmt.Fprintf(w, "  %-14s %s\n", p.Name, p.Summary)
		}
	}
}
