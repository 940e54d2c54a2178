//go:build unix

package interop

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"gonut/internal/subdriver"
	"gonut/internal/transport/serial/ptytest"
	"gonut/internal/transport/shut"
	"gonut/test/devices/bench"
)

// serialUPS is a model of a UPS behind a pseudo-terminal, whose name it returns.
func serialUPS(t *testing.T, file string) (*shut.Fake, string) {
	t.Helper()
	m := bench.ReadModel(t, file, subdriver.Load("hid", subdriver.Embedded()))
	// C's mge-shut of 2.8.0 takes the lower byte of the descriptor's length for the
	// upper one as well. Items without data fill it up to a length that fits.
	for len(m.Recording.Descriptor)%257 != 0 {
		m.Recording.Descriptor = append(m.Recording.Descriptor, 0x54)
	}
	far, line := ptytest.Open(t)
	near, err := os.OpenFile(line, os.O_RDWR|unix.O_NOCTTY, 0) // without it the line ends with the first driver
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { near.Close() })
	u := shut.NewFake(&m.Recording)
	go u.Serve(far)
	return u, line
}

// C's mge-shut and ours see the same in a UPS, and write the same to cut its power. The
// second model has no timers, so that neither can.
func TestMGEShutBesideC(t *testing.T) {
	for _, model := range []string{"mge", "mge-pegasus"} {
		t.Run(model, func(t *testing.T) {
			u, line := serialUPS(t, filepath.Join("../devices/hid", model+".model"))
			h := newHost(t, map[string]string{"ups.conf": "[ups]\n driver = mge-shut\n port = " + line + "\n offdelay = 40\n"})
			compareDumps(t, h)
			cut := func(p func(string, ...string) program) string {
				u.Writes()
				r := h.run(p("mge-shut", asRoot("-a", "ups", "-k")...))
				all := []string{fmt.Sprintf("exit code %d", r.code)}
				for _, w := range u.Writes() {
					all = append(all, w.String())
				}
				return strings.Join(all, " | ")
			}
			theirWrites, ourWrites := cut(cProgram), cut(ourProgram)
			if ourWrites != theirWrites {
				t.Errorf("mge-shut -k gives %q; C's %q", ourWrites, theirWrites)
			}
			if model == "mge" && !strings.Contains(ourWrites, "feature 0e 28 00 00 00") {
				t.Errorf("mge-shut -k gives %q; the delay of 40 s is not in it", ourWrites)
			}
		})
	}
}

// compareDumps runs C's mge-shut and ours, and looks whether ours prints everything
// that C's prints.
func compareDumps(t *testing.T, h *host) {
	t.Helper()
	dump := func(p func(string, ...string) program) map[string]string {
		r := h.run(p("mge-shut", asRoot("-a", "ups", "-d", "1")...))
		if r.code != 0 {
			t.Fatalf("mge-shut -d 1 ended with %d: %s", r.code, r.stderr)
		}
		return variables(r.stdout)
	}
	theirs, ours := dump(cProgram), dump(ourProgram)
	delete(theirs, "ups.firmware") // 2.8.0 loses it
	if len(theirs) < 20 {
		t.Fatalf("C's mge-shut prints only %v", theirs)
	}
	for name, want := range theirs {
		if got := ours[name]; got != want && !strings.HasPrefix(name, "driver.version") {
			t.Errorf("%s = %q; C's is %q", name, got, want)
		}
	}
}

// variables are the lines "name: value" of a dump.
func variables(text string) map[string]string {
	vs := map[string]string{}
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimRight(line, "\n"), ": "); ok && strings.Contains(name, ".") {
			vs[name] = value
		}
	}
	return vs
}

// Reports of random descriptors, with odd sizes, places, ranges, units and exponents,
// are the same numbers for C's mge-shut and ours.
func TestReportsAreReadAsByC(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "random.model")
			text := randomModel(rand.New(rand.NewPCG(seed, 0)))
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			_, line := serialUPS(t, file)
			compareDumps(t, newHost(t, map[string]string{"ups.conf": "[ups]\n driver = mge-shut\n port = " + line + "\n"}))
			if t.Failed() {
				t.Log(text)
			}
		})
	}
}

// randomModel is a UPS that has every number of MGE's table. What the two show
// differently on purpose, negative numbers and all bits set, does not occur.
func randomModel(r *rand.Rand) string {
	var b strings.Builder
	b.WriteString("table mge\ndevice 0463:ffff 0001\nmanufacturer \"M\"\nproduct \"Evolution\"\nserial \"1\"\nstring 9 \"650\"\n")
	b.WriteString("field 01 UPS.PowerSummary.iModel 8 0..255 = 9\nfield 02 UPS.PowerSummary.PresentStatus.ACPresent 1 0..1 = 1\npad 02 7\n")
	seen := map[string]bool{}
	rows := subdriver.Load("hid", subdriver.Embedded()).Table("mge").Rows
	for id := 3; len(rows) > 0 && id < 250; rows = rows[1:] {
		row := &rows[0]
		if row.Kind != subdriver.Var || row.Format == "" || row.Expr != nil || strings.Contains(row.Source, "%") || seen[row.Source] {
			continue
		}
		if strings.Contains(row.Source, "EnergySaving.") { // the beginning of a path would find it
			continue
		}
		seen[row.Source] = true
		before := r.IntN(2) * r.IntN(7)
		if before > 0 {
			fmt.Fprintf(&b, "pad %02x %d\n", id, before)
		}
		size := []int{1, 4, 8, 10, 16, 16, 24, 31}[r.IntN(8)]
		low, high := int64(0), int64(1)<<size-1
		switch r.IntN(4) {
		case 0:
			low, high = -1, max(high>>1, 1)
		case 1:
			high = 1 + r.Int64N(high)
		case 2:
			low, high = -(high+1)/2-1, max(high>>1, 1)
		}
		value := r.Int64N(int64(1) << max(size-1, 1))
		if strings.HasSuffix(row.Source, ".RemainingCapacity") {
			value = min(value, 100) // ours shows no charge that cannot be
		}
		unit := []string{"", "volt 7", "volt 5", "volt 6", "watt 7", "watt 5", "second 0", "hertz -1", "hertz 0", "hertz -2", "ampere -1"}[r.IntN(11)]
		physical := ""
		if r.IntN(4) == 0 {
			physical = fmt.Sprintf("physical %d..%d", r.IntN(100), 100+r.IntN(1000))
		}
		fmt.Fprintf(&b, "field %02x %s %d %d..%d %s %s = %d\n", id, row.Source, size, low, high, unit, physical, value)
		if n := (before + size) % 8; n > 0 {
			fmt.Fprintf(&b, "pad %02x %d\n", id, 8-n)
		}
		id++
	}
	return b.String()
}
