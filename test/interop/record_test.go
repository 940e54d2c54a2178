//go:build unix

package interop

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// What nut record writes of a live UPS is played by C's dummy-ups and by ours: at
// each step both know what the live one knew.
func TestRecordIsPlayed(t *testing.T) {
	t.Parallel()
	text := shipped(t, "apc-back-ups-es-850g2.dev")
	step := func(status, charge string) string {
		return strings.NewReplacer("battery.charge: 100\n", "battery.charge: "+charge+"\n", "ups.status: OL\n", "ups.status: "+status+"\n").Replace(text)
	}
	live := newHost(t, driverFiles(t, step("OL", "100")))
	live.start(cDriver("dummy-ups", "rec"))
	live.start(cUPSD())
	live.await("rec", "ups.status", "OL")
	want := map[string]map[string]string{"OL": live.dumpOf("rec")}
	file := filepath.Join(live.dir, "x.seq")
	recorder := live.start(ourProgram("nut-recorder", "-s", "-t", "12", live.system("rec"), file, "1"))
	live.eventually("the recording has begun", func() error { _, err := os.Stat(file); return err })
	time.Sleep(2 * time.Second)
	live.write("rec.dev", step("OB", "60"))
	live.await("rec", "ups.status", "OB")
	want["OB"] = live.dumpOf("rec")
	<-recorder.done
	if code := recorder.cmd.ProcessState.ExitCode(); code != 0 {
		t.Fatalf("nut-recorder ended with %d: %s", code, recorder.output())
	}
	seq, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, driver := range []program{cDriver("dummy-ups", "seq"), ourDriver("dummy-ups", "seq")} {
		h := newHost(t, map[string]string{
			"ups.conf":  "pollinterval = 1\n[seq]\n driver = dummy-ups\n port = x.seq\n mode = dummy-loop\n",
			"x.seq":     string(seq),
			"upsd.conf": "LISTEN 127.0.0.1 @PORT@\n",
		})
		h.start(driver)
		h.start(cUPSD())
		for _, status := range []string{"OL", "OB"} {
			var ds []string
			h.eventually(fmt.Sprintf("the player of %s (ours: %v) is as the live UPS was", status, driver.ours), func() error {
				got := h.dumpOf("seq")
				if got["ups.status"] != status {
					return errIs(got["ups.status"])
				}
				if ds = differences(got, want[status]); len(ds) > 0 {
					return errIs(strings.Join(ds, "; "))
				}
				return nil
			})
		}
	}
}

// dumpOf returns what upsc prints of a device, but for what describes the driver.
func (h *host) dumpOf(ups string) map[string]string {
	h.t.Helper()
	vs := make(map[string]string)
	for line := range strings.Lines(h.run(cProgram("upsc", h.system(ups))).stdout) {
		if name, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), ": "); ok && !strings.HasPrefix(name, "driver.") {
			vs[name] = value
		}
	}
	return vs
}
