//go:build unix

package interop

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestClientsOnDumps reads dumps of real devices through C's driver and upsd with
// C's clients and with ours. The dumps are those of the project nut-ddl, in the
// folder ddl of GONUT_SHARED; one in ten is read, GONUT_ALL_DUMPS=1 reads all.
func TestClientsOnDumps(t *testing.T) {
	shared := os.Getenv("GONUT_SHARED")
	if shared == "" {
		t.Skip("GONUT_SHARED is not set: the device dump library is not there")
	}
	dumps, err := filepath.Glob(filepath.Join(shared, "ddl", "*", "*.dev"))
	if err != nil || len(dumps) == 0 {
		t.Fatalf("no dumps in %s: %v", shared, err)
	}
	if os.Getenv("GONUT_ALL_DUMPS") != "1" {
		var some []string
		for i := 0; i < len(dumps); i += 10 {
			some = append(some, dumps[i])
		}
		dumps = some
	}
	for batch := range slices.Chunk(dumps, 20) {
		t.Run(filepath.Base(batch[0]), func(t *testing.T) {
			t.Parallel()
			compareOnDumps(t, batch)
		})
	}
}

// compareOnDumps serves some dumps from one host.
func compareOnDumps(t *testing.T, dumps []string) {
	h := newHost(t, map[string]string{"upsd.conf": "LISTEN 127.0.0.1 @PORT@\n"})
	var conf strings.Builder
	for i, dump := range dumps {
		text, err := os.ReadFile(dump)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&conf, "[ups%d]\n driver = dummy-ups\n port = %d.dev\n mode = dummy-once\n", i, i)
		h.write(fmt.Sprintf("%d.dev", i), string(text))
	}
	h.write("ups.conf", conf.String())
	for i := range dumps {
		h.start(cDriver("dummy-ups", fmt.Sprint("ups", i)))
	}
	h.start(cUPSD())
	for i, dump := range dumps {
		system := h.system(fmt.Sprint("ups", i))
		h.eventually(dump+" is served", func() error {
			r := h.run(cProgram("upsc", system))
			if r.code != 0 || r.stdout == "ups.status: WAIT\n" {
				return errIs(r)
			}
			return nil
		})
		for _, prog := range []string{"upsc", "upsrw"} {
			theirs, ours := h.run(cProgram(prog, system)), h.run(ourProgram(prog, system))
			if ours.stdout != theirs.stdout || ours.code != theirs.code {
				t.Errorf("%s on %s = %s; want what C's prints: %s", prog, dump, ours.stdout, theirs.stdout)
			}
		}
	}
}
