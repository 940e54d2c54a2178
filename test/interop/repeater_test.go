//go:build unix

package interop

import (
	"path/filepath"
	"strings"
	"testing"
)

// Our repeater shows a device of C's upsd as that shows it, with what may be set and
// done, passes settings and commands on with the user of nutauth.conf, and follows
// C's upsd through a restart.
func TestRepeaterOfCUPSD(t *testing.T) {
	t.Parallel()
	source := newHost(t, driverFiles(t, shipped(t, "apc-back-ups-es-850g2.dev")))
	source.start(cDriver("dummy-ups", "rec"))
	server := source.start(cUPSD())
	source.await("rec", "ups.status", "OL")

	h := newHost(t, map[string]string{
		"upsd.conf":  "LISTEN 127.0.0.1 @PORT@\n",
		"upsd.users": "[boss]\n password = other\n actions = SET\n instcmds = ALL\n",
	})
	h.write("ups.conf", "pollinterval = 1\n[rep]\n driver = dummy-ups\n port = "+source.system("rec")+"\n authconf = "+filepath.Join(h.dir, "conf", "nutauth.conf")+"\n")
	h.write("nutauth.conf", "["+source.addr()+"]\nUSER = admin\nPASS = secret\n")
	h.start(ourDriver("dummy-ups", "rep"))
	h.start(cUPSD())
	h.await("rep", "ups.status", "OL")
	for _, d := range differences(h.dumpOf("rep"), source.dumpOf("rec")) {
		t.Errorf("the repeater: %s", d)
	}
	settable := func(on *host, ups string) string {
		return withoutDescriptions(ofDevice(on.run(cProgram("upsrw", on.system(ups))).stdout))
	}
	if got, want := settable(h, "rep"), settable(source, "rec"); got != want {
		t.Errorf("upsrw of the repeater prints\n%s\nwant\n%s", got, want)
	}
	auth := []string{"-u", "boss", "-p", "other", "-w"}
	r := h.run(cProgram("upsrw", append(auth, "-s", "battery.date=2026/01/02", h.system("rep"))...))
	if !strings.Contains(r.stdout+r.stderr, "SUCCESS") {
		t.Errorf("upsrw through the repeater = %d, %s%s", r.code, r.stdout, r.stderr)
	}
	source.await("rec", "battery.date", "2026/01/02")
	h.await("rep", "battery.date", "2026/01/02")
	r = h.run(cProgram("upscmd", append(auth, h.system("rep"), "no.such")...))
	if r.code == 0 || !strings.Contains(r.stdout+r.stderr, "CMD-NOT-SUPPORTED") {
		t.Errorf("a command that there is not = %d, %s%s", r.code, r.stdout, r.stderr)
	}
	server.stop()
	h.eventually("the repeater is stale", func() error {
		r := h.run(cProgram("upsc", h.system("rep"), "ups.status"))
		if !strings.Contains(r.stdout+r.stderr, "Data stale") {
			return errIs(r.stdout + r.stderr)
		}
		return nil
	})
	source.start(cUPSD())
	h.await("rep", "ups.status", "OL")
}
