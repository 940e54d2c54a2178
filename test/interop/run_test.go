//go:build unix

package interop

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// nut run is one process, and other programs see it as they would see many: clients
// on the network, the driver's socket and upsmon's status in the state path.
func TestRunIsSeenFromOutside(t *testing.T) {
	t.Parallel()
	h := newHost(t, map[string]string{
		"nut.conf":    "MODE=standalone\n",
		"ups.conf":    "user = root\n[ups]\n driver = dummy-ups\n port = ups.dev\n",
		"ups.dev":     "ups.status: OL\n",
		"upsd.conf":   "LISTEN 127.0.0.1 @PORT@\n",
		"upsd.users":  "[mon]\n password = one\n upsmon primary\n",
		"upsmon.conf": "MONITOR ups@127.0.0.1:@PORT@ 1 mon one primary\nSHUTDOWNCMD true\nPOWERDOWNFLAG @DIR@/killpower\n",
	})
	run := h.start(ourProgram("nut", "run"))
	h.await("ups", "ups.status", "OL")
	if os.Geteuid() == 0 { // drivers become root, who is the only one that may
		if r := h.run(ourProgram("nut", "doctor", "drivers")); r.code != 0 || !strings.Contains(r.stdout, "ups: ok: its driver works") {
			t.Errorf("nut doctor drivers = %+v; want that all is well", r)
		}
	}
	h.eventually("upsmon says that the host is protected", func() error {
		if r := h.run(ourProgram("upsmon", "-c", "status")); r.code != 0 {
			return errIs(r)
		}
		return nil
	})
	if r := h.run(ourProgram("upsdrvctl", "status")); r.code != 0 || !strings.Contains(r.stdout, "RESPONSIVE") {
		t.Errorf("upsdrvctl status = %+v; want the driver to be responsive", r)
	}
	run.stop()
	for _, name := range []string{"dummy-ups-ups", "upsmon.status"} {
		if _, err := os.Lstat(filepath.Join(h.dir, "state", name)); err == nil {
			t.Errorf("%s is still there after the end", name)
		}
	}
}
