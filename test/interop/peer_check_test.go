//go:build unix

package interop

import (
	"strings"
	"testing"
)

// TestPeers checks the test's own set-up: C's driver, upsd and upsc work together
// on a host made for the test.
func TestPeers(t *testing.T) {
	h := newHost(t, map[string]string{
		"ups.conf":  "[ups]\n driver = dummy-ups\n port = ups.dev\n",
		"ups.dev":   "ups.status: OL\nups.mfr: Acme\n",
		"upsd.conf": "LISTEN 127.0.0.1 @PORT@\n",
	})
	h.start(cDriver("dummy-ups", "ups"))
	upsd := h.start(cUPSD())
	h.await("ups", "ups.status", "OL")
	r := h.run(cProgram("upsc", h.system("ups"), "ups.mfr"))
	if r.stdout != "Acme\n" || r.code != 0 {
		t.Errorf("C's upsc = %+v; want Acme", r)
	}
	if out := upsd.output(); !strings.Contains(out, "listening on") {
		t.Errorf("output of C's upsd = %q; want it to say where it listens", out)
	}
	upsd.stop()
	if r := h.run(cProgram("upsc", h.system("ups"))); r.code != 1 {
		t.Errorf("C's upsc without upsd = %+v; want exit code 1", r)
	}
}
