package upssched

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"gonut/internal/conf"
	"gonut/internal/program"
)

// check does -t: everything that can be known about a configuration before the
// power is gone.
func (p *process) check() error {
	file := p.file
	if p.opts.message != "" {
		file = p.opts.message
	}
	w := p.env.Stdout
	c, problems, err := check(file, p.monitorConf(filepath.Join(filepath.Dir(file), "upsmon.conf")))
	for _, pr := range problems {
		fmt.Fprintln(w, pr)
	}
	if err != nil {
		fmt.Fprintln(w, err)
	}
	if err != nil || len(problems) > 0 {
		return program.Exit(1)
	}
	fmt.Fprintf(w, "%s: %d AT lines, nothing to complain about\n", file, len(c.At))
	return nil
}

// Check returns all that looks wrong in a upssched.conf, and where it does not fit m. A
// file that cannot be read is an error.
func Check(file string, m conf.UPSMon) ([]conf.Problem, error) {
	_, problems, err := check(file, &m)
	return problems, err
}

// check is Check where m may be nil: it is not known.
func check(file string, m *conf.UPSMon) (conf.UPSSched, []conf.Problem, error) {
	c, problems, err := conf.ReadFile(file, conf.ParseUPSSched)
	if err == nil {
		problems = append(problems, checkFiles(file, c)...)
		problems = append(problems, lint(file, c, m)...)
	}
	return c, problems, err
}

// monitorConf returns upsmon.conf, or nil if it cannot be read: it holds passwords,
// and upssched works without.
func (p *process) monitorConf(path string) *conf.UPSMon {
	m, _, err := conf.ReadFile(path, conf.ParseUPSMon)
	if err != nil {
		fmt.Fprintf(p.env.Stdout, "not compared with upsmon.conf: %v\n", err)
		return nil
	}
	return &m
}

// checkFiles looks for the script and the folders that the file names.
func checkFiles(file string, c conf.UPSSched) []conf.Problem {
	var problems []conf.Problem
	warn := func(format string, args ...any) {
		problems = append(problems, conf.Problem{File: file, Text: fmt.Sprintf(format, args...)})
	}
	for _, need := range []struct{ name, value string }{{"CMDSCRIPT", strings.Join(c.CmdScript, " ")}, {"PIPEFN", c.PipeFN}, {"LOCKFN", c.LockFN}} {
		if need.value == "" {
			warn("%s is not set", need.name)
		}
	}
	if len(c.CmdScript) > 0 && c.CmdScript[0] != "" {
		name, _ := script{words: c.CmdScript}.program()
		if _, err := exec.LookPath(name); err != nil && !errors.Is(err, exec.ErrDot) {
			warn("CMDSCRIPT: %v; it must exist and be executable", err)
		}
	}
	for _, f := range []struct{ name, path string }{{"PIPEFN", socketPath(c.PipeFN)}, {"LOCKFN", c.LockFN}} {
		if f.path == "" {
			continue
		}
		dir := filepath.Dir(f.path)
		if fi, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
			warn("%s: there is no folder %s; create it and give it to the account that upsmon runs as", f.name, dir)
		} else if err == nil && !fi.IsDir() {
			warn("%s: %s is not a folder", f.name, dir)
		}
	}
	if len(socketPath(c.PipeFN)) > shortPath {
		warn("PIPEFN has %d bytes; a socket's path may have %d on every system", len(socketPath(c.PipeFN)), shortPath)
	}
	return problems
}
