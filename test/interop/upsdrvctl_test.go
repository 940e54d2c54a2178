//go:build unix

package interop

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// twoUPSes is a host with two dummy devices whose drivers upsdrvctl finds in a
// folder.
func twoUPSes(drivers string) map[string]string {
	return map[string]string{
		"ups.conf": "driverpath = " + drivers + "\nmaxstartdelay = 20\n" +
			"[one]\n sdorder = 1\n driver = dummy-ups\n port = one.dev\n mode = dummy-once\n" +
			"[two]\n driver = dummy-ups\n port = one.dev\n mode = dummy-once\n",
		"one.dev":    "ups.status: OL CHRG\nups.mfr: Acme\n",
		"upsd.conf":  "LISTEN 127.0.0.1 @PORT@\n",
		"upsd.users": "[admin]\n password = secret\n actions = SET\n instcmds = ALL\n",
	}
}

// ourDrivers makes a folder with our drivers under their names.
func ourDrivers(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Symlink(nutPath(t), filepath.Join(dir, "dummy-ups")); err != nil {
		t.Fatal(err)
	}
	return dir
}

// Each upsdrvctl starts and stops each family of drivers, and upsd serves them.
func TestUPSDrvCtlStartsAndStops(t *testing.T) {
	cDir := filepath.Dir(cPath(t, "dummy-ups"))
	for name, drivers := range map[string]string{"C's drivers": cDir, "our drivers": ourDrivers(t), "built in": "/nonexistent"} {
		for who, tool := range map[string]func(string, ...string) program{"C's upsdrvctl": cProgram, "ours": ourProgram} {
			if name == "built in" && who != "ours" {
				continue
			}
			t.Run(who+" with "+name, func(t *testing.T) {
				h := newHost(t, twoUPSes(drivers))
				t.Cleanup(func() { h.cmd(context.Background(), ourProgram("upsdrvctl", "stop")).Run() })
				if r := h.run(tool("upsdrvctl", asRoot("start")...)); r.code != 0 {
					t.Fatalf("start = %+v; want 0", r)
				}
				h.start(ourUPSD())
				h.await("one", "ups.status", "OL CHRG")
				table := h.run(ourProgram("upsdrvctl", "status")).stdout
				row := regexp.MustCompile(`(?m)^one +\t +dummy-ups\tRUNNING\t\d+\tRESPONSIVE\t(\d+|N/A)\t"OL CHRG"$`)
				if !row.MatchString(table) {
					t.Errorf("status prints\n%s\nwant a line that matches %s", table, row)
				}
				if r := h.run(tool("upsdrvctl", "stop")); r.code != 0 {
					t.Errorf("stop = %+v; want 0", r)
				}
				h.eventually("all traces of the drivers are gone", func() error {
					left, err := filepath.Glob(filepath.Join(h.dir, "state", "dummy-ups*"))
					if len(left) > 0 {
						return fmt.Errorf("left: %q", left)
					}
					return err
				})
			})
		}
	}
}

// Both run the same command lines, in the same order; the release that is the peer
// here still went through all passes of a shutdown.
func TestUPSDrvCtlPlansAsC(t *testing.T) {
	h := newHost(t, twoUPSes(filepath.Dir(cPath(t, "dummy-ups"))))
	// The peer forgets a sdorder that is the first line of its section.
	h.write("ups.conf", strings.Replace(twoUPSes(filepath.Dir(cPath(t, "dummy-ups")))["ups.conf"],
		" sdorder = 1\n driver = dummy-ups\n", " driver = dummy-ups\n sdorder = 1\n", 1)+
		"[never]\n driver = dummy-ups\n port = one.dev\n sdorder = -1\n")
	exec := regexp.MustCompile(`exec: +(.*)`)
	words := func(line string) []string {
		ws := strings.Fields(line)
		slices.Sort(ws) // C puts -k and -D elsewhere
		return ws
	}
	for _, args := range []string{"start", "start two", "shutdown", "shutdown one", "-r /x -u joe start", "-d start", "-r /x shutdown"} {
		all := append([]string{"-DD", "-t"}, strings.Fields(args)...)
		c := exec.FindAllStringSubmatch(h.run(cProgram("upsdrvctl", all...)).stderr, -1)
		ours := exec.FindAllStringSubmatch(h.run(ourProgram("upsdrvctl", all...)).stderr, -1)
		if len(c) != len(ours) || len(c) == 0 {
			t.Errorf("%s: we would run %q; C runs %q", args, ours, c)
			continue
		}
		for i := range c {
			if !slices.Equal(words(ours[i][1]), words(c[i][1])) {
				t.Errorf("%s: we would run %q; C runs %q", args, ours[i][1], c[i][1])
			}
		}
	}
}

// Wrong use ends with C's exit codes.
func TestUPSDrvCtlExitsAsC(t *testing.T) {
	h := newHost(t, twoUPSes(filepath.Dir(cPath(t, "dummy-ups"))))
	for _, args := range []string{"", "-h", "-x", "frob", "start nosuch", "stop", "stop one", "shutdown nosuch", "-t start"} {
		c := h.run(cProgram("upsdrvctl", strings.Fields(args)...))
		ours := h.run(ourProgram("upsdrvctl", strings.Fields(args)...))
		if ours.code != c.code {
			t.Errorf("upsdrvctl %s ends with %d (%q); C's with %d (%q)", args, ours.code, ours.stderr, c.code, c.stderr)
		}
	}
	if err := os.Remove(filepath.Join(h.dir, "conf", "ups.conf")); err != nil {
		t.Fatal(err)
	}
	if c, ours := h.run(cProgram("upsdrvctl", "start")), h.run(ourProgram("upsdrvctl", "start")); c.code != ours.code {
		t.Errorf("without ups.conf: %d; C %d", ours.code, c.code)
	}
}
