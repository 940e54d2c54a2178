package upsmon

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"gonut/internal/conf"
	"gonut/internal/program"
	"gonut/internal/upsmon/monitor"
)

// builtinLastingPath is where the reasons of a shutdown survive the boot after it;
// the state path is often in memory. The linker may choose another.
var builtinLastingPath = "/var/lib/nut"

const (
	decisionsFile = "upsmon.decisions" // a line of JSON for each
	decisionsKept = 100
	decisionsMax  = 4 << 20 // bytes that are read at most
)

// decisionPaths returns where the records may be, the preferred place first.
func decisionPaths(p conf.Paths) []string {
	state := filepath.Join(p.State, decisionsFile)
	if p.StateByEnv {
		return []string{state}
	}
	return []string{filepath.Join(builtinLastingPath, decisionsFile), state}
}

// keep adds a decision to the records, on the disk before it returns.
func keep(p conf.Paths, d monitor.Decision) error {
	line, err := json.Marshal(d)
	if err != nil {
		return err
	}
	var errs []error
	for _, path := range decisionPaths(p) {
		err := appendLine(path, line)
		if err == nil {
			return nil
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// appendLine adds a line to a file of at most decisionsKept lines. The file is
// replaced as a whole, so that a power cut leaves the old or the new one.
func appendLine(path string, line []byte) error {
	old, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrPermission) {
		return err // a file of another account is replaced: the latest reasons matter most
	}
	lines := bytes.SplitAfter(old, []byte("\n"))
	lines = append(lines[max(0, len(lines)-decisionsKept):], line, []byte("\n"))
	f, err := os.CreateTemp(filepath.Dir(path), "."+decisionsFile+".*")
	if err != nil {
		return err
	}
	_, err = f.Write(bytes.Join(lines, nil))
	if err = errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}

// recall returns the records, the oldest first. Lines that make no sense are left
// out.
func recall(p conf.Paths) ([]monitor.Decision, error) {
	var ds []monitor.Decision
	var errs []error
	for _, path := range decisionPaths(p) {
		f, err := os.Open(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		r := bufio.NewReader(io.LimitReader(f, decisionsMax))
		for {
			line, err := r.ReadBytes('\n')
			var d monitor.Decision
			if json.Unmarshal(line, &d) == nil {
				ds = append(ds, d)
			}
			if err != nil {
				break
			}
		}
		f.Close()
	}
	// Either place may have been the one that could be written, at any time.
	slices.SortStableFunc(ds, func(a, b monitor.Decision) int { return a.Time.Compare(b.Time) })
	return ds, errors.Join(errs...)
}

// WhyProgram is nut why: it tells why this host was shut down.
func WhyProgram() program.Program {
	return program.Program{Name: "why", Summary: "tell why this host was shut down", Run: why}
}

func why(_ context.Context, e program.Env) error {
	opts, operands, err := program.Getopt(e.Args[1:], "ajh")
	all, asJSON := false, false
	for _, o := range opts {
		switch o.Letter {
		case 'a':
			all = true
		case 'j':
			asJSON = true
		case 'h':
			fmt.Fprintln(e.Stdout, "usage: nut why [-a] [-j]\n  -a  all shutdowns that are remembered, not only the last\n  -j  as lines of JSON")
			return nil
		}
	}
	if err != nil || len(operands) > 0 {
		return program.Exitf(2, "usage: nut why [-a] [-j]")
	}
	ds, err := recall(conf.FindPaths(e.Getenv))
	if err != nil && len(ds) == 0 {
		return program.Exitf(1, "read the records of shutdowns: %w", err)
	}
	if len(ds) == 0 {
		fmt.Fprintln(e.Stdout, "upsmon has not shut this host down, as far as anybody remembers.")
		return nil
	}
	if !all {
		ds = ds[len(ds)-1:]
	}
	for _, d := range ds {
		if asJSON {
			if err := json.NewEncoder(e.Stdout).Encode(d); err != nil {
				return err
			}
			continue
		}
		printDecision(e.Stdout, d)
	}
	return nil
}

// printDecision tells one decision to a person.
func printDecision(w io.Writer, d monitor.Decision) {
	fmt.Fprintf(w, "%s: upsmon decided to shut this host down\n", d.Time.Local().Format(time.RFC1123))
	fmt.Fprintf(w, "  because    %s\n", d.Cause)
	fmt.Fprintf(w, "  rule       %s; power value of healthy UPSes %d, needed %d\n", d.Rule, d.Supplies, d.Needed)
	var before []string
	for _, t := range d.Before {
		before = append(before, strings.TrimSpace(fmt.Sprintf("%s %s %s%s", t.Time.Local().Format(time.DateTime), t.Type, t.UPS, alarms(t.Extra))))
	}
	printList(w, "before", before)
	for _, u := range d.Units {
		fmt.Fprintf(w, "  %s\n", u.UPS)
		counts := standing(u.Critical)
		if u.Critical {
			counts += " by rule " + u.Rule
		}
		fmt.Fprintf(w, "    %s, power value %d, %s: %s\n", u.Role, u.PowerValue, counts, u.Reason)
		fmt.Fprintf(w, "    status %q%s, reachable: %s\n", u.Status, alarms(u.Alarm), reachable(u))
		if len(u.Timers) > 0 {
			fmt.Fprintf(w, "    %s\n", strings.Join(u.Timers, ", "))
		}
	}
	printList(w, "then", d.Then)
	printList(w, "avoided by", d.Otherwise)
}

// printList writes one item a line, the first behind its label.
func printList(w io.Writer, label string, items []string) {
	for _, it := range items {
		fmt.Fprintf(w, "  %-10s %s\n", label, it)
		label = ""
	}
}
