//go:build unix

package interop

import (
	"encoding/json"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// python is Debian's, whose modules another one in PATH would not find.
const python = "/usr/bin/python3"

// pyNUT prints what Debian's Python client gets from an upsd, as JSON.
const pyNUT = `
import json, sys
from PyNUT import PyNUTClient
def text(v):
    if isinstance(v, bytes): return v.decode("ascii")
    if isinstance(v, dict): return {text(k): text(w) for k, w in v.items()}
    if isinstance(v, (list, tuple)): return [text(w) for w in v]
    return v
c = PyNUTClient(host="127.0.0.1", port=int(sys.argv[1]), login="admin", password="secret")
ups = sys.argv[2]
print(json.dumps({
    "ups": text(c.GetUPSList()),
    "vars": text(c.GetUPSVars(ups)),
    "rw": text(c.GetRWVars(ups)),
    "commands": sorted(text(c.GetUPSCommands(ups))),
}))
`

// A pySight is what PyNUT saw.
type pySight struct {
	UPS      map[string]string
	Vars, RW map[string]string
	Commands []string
}

func (h *host) pySees(ups string) pySight {
	h.t.Helper()
	cmd := exec.CommandContext(h.t.Context(), python, "-c", pyNUT, h.addr()[strings.LastIndex(h.addr(), ":")+1:], ups)
	out, err := cmd.Output()
	if err != nil {
		if e, ok := err.(*exec.ExitError); ok {
			h.t.Fatalf("PyNUT: %v\n%s", err, e.Stderr)
		}
		h.t.Fatalf("PyNUT: %v", err)
	}
	var s pySight
	if err := json.Unmarshal(out, &s); err != nil {
		h.t.Fatalf("PyNUT printed %s: %v", out, err)
	}
	for _, m := range []map[string]string{s.Vars, s.RW} {
		maps.DeleteFunc(m, func(name, _ string) bool { return strings.HasPrefix(name, "driver.") })
	}
	return s
}

// needPyNUT skips the test where Debian's python3-nut is missing, or fails in CI.
func needPyNUT(t *testing.T) {
	t.Helper()
	if exec.Command(python, "-c", "import PyNUT").Run() == nil {
		return
	}
	missing(t, "PyNUT is not installed (apt-get install python3-nut)")
}

// Whatever stands behind the port, C's clients and PyNUT see the same device: each
// of driver and upsd is C's or ours, on the same recording of a real UPS.
func TestEveryChainLooksTheSame(t *testing.T) {
	needPyNUT(t)
	type sight struct {
		list, upsc, upsrw, upscmd string
		py                        pySight
	}
	look := func(t *testing.T, driver, server program) sight {
		h := newHost(t, driverFiles(t, shipped(t, "apc-back-ups-es-850g2.dev")))
		h.start(driver)
		h.start(server)
		h.await("rec", "ups.status", "OL")
		return sight{
			list:   h.run(cProgram("upsc", "-L", h.addr())).stdout,
			upsc:   ofDevice(h.run(cProgram("upsc", h.system("rec"))).stdout),
			upsrw:  withoutDescriptions(ofDevice(h.run(cProgram("upsrw", h.system("rec"))).stdout)),
			upscmd: h.run(cProgram("upscmd", "-l", h.system("rec"))).stdout,
			py:     h.pySees("rec"),
		}
	}
	want := look(t, cDriver("dummy-ups", "rec"), cUPSD())
	for _, test := range []struct {
		name           string
		driver, server program
	}{
		{"C driver under our upsd", cDriver("dummy-ups", "rec"), ourUPSD()},
		{"our driver under C upsd", ourDriver("dummy-ups", "rec"), cUPSD()},
		{"our driver under our upsd", ourDriver("dummy-ups", "rec"), ourUPSD()},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := look(t, test.driver, test.server)
			for _, c := range []struct{ what, got, want string }{
				{"upsc -L", got.list, want.list},
				{"upsc", got.upsc, want.upsc},
				{"upsrw", got.upsrw, want.upsrw},
			} {
				if c.got != c.want {
					t.Errorf("%s prints\n%s\nwant\n%s", c.what, c.got, c.want)
				}
			}
			for _, line := range commandNames(want.upscmd) {
				if !slices.Contains(commandNames(got.upscmd), line) {
					t.Errorf("upscmd -l lists %q; want %s too", commandNames(got.upscmd), line)
				}
			}
			if !maps.Equal(got.py.UPS, want.py.UPS) || !maps.Equal(got.py.Vars, want.py.Vars) || !maps.Equal(got.py.RW, want.py.RW) {
				t.Errorf("PyNUT sees %+v; want %+v", got.py, want.py)
			}
			for _, c := range want.py.Commands {
				if !slices.Contains(got.py.Commands, c) {
					t.Errorf("PyNUT sees the commands %q; want %s too", got.py.Commands, c)
				}
			}
		})
	}
}

// withoutDescriptions leaves out the second line of each paragraph of upsrw, which
// is in everybody's own words.
func withoutDescriptions(upsrw string) string {
	paragraphs := strings.Split(upsrw, "\n\n")
	for i, p := range paragraphs {
		lines := strings.Split(p, "\n")
		if len(lines) > 1 {
			lines = slices.Delete(lines, 1, 2)
		}
		paragraphs[i] = strings.Join(lines, "\n")
	}
	return strings.Join(paragraphs, "\n\n")
}

// commandNames returns the commands that upscmd -l lists.
func commandNames(upscmd string) []string {
	var names []string
	for _, line := range strings.Split(upscmd, "\n") {
		if name, _, ok := strings.Cut(line, " - "); ok {
			names = append(names, name)
		}
	}
	return names
}
