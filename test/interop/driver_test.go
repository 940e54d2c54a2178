//go:build unix

package interop

import (
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gonut/internal/drivers/dummyups"
)

// driverFiles is a host that serves one recording.
func driverFiles(t *testing.T, recording string) map[string]string {
	t.Helper()
	return map[string]string{
		"ups.conf":   "[rec]\n driver = dummy-ups\n port = rec.dev\n mode = dummy-once\n desc = \"a recording\"\n",
		"rec.dev":    recording,
		"upsd.conf":  "LISTEN 127.0.0.1 @PORT@\n",
		"upsd.users": "[admin]\n password = secret\n actions = SET\n instcmds = ALL\n",
	}
}

// shipped returns one of the recordings that are part of our binary.
func shipped(t *testing.T, name string) string {
	t.Helper()
	b, err := fs.ReadFile(dummyups.Recordings(), name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Under C's upsd, C's clients see of our dummy-ups what they see of C's on the same
// file.
func TestDummyUPSUnderCUPSD(t *testing.T) {
	for _, name := range []string{"apc-back-ups-es-850g2.dev"} {
		look := func(driver program) (upsc, upsrw, upscmd string) {
			h := newHost(t, driverFiles(t, shipped(t, name)))
			h.start(driver)
			h.start(cUPSD())
			h.await("rec", "ups.status", "OL")
			return h.run(cProgram("upsc", h.system("rec"))).stdout,
				h.run(cProgram("upsrw", h.system("rec"))).stdout,
				h.run(cProgram("upscmd", "-l", h.system("rec"))).stdout
		}
		cUPSC, cUPSRW, cUPSCmd := look(cDriver("dummy-ups", "rec"))
		ourUPSC, ourUPSRW, ourUPSCmd := look(ourDriver("dummy-ups", "rec"))
		if got, want := ofDevice(ourUPSC), ofDevice(cUPSC); got != want {
			t.Errorf("%s: upsc prints\n%s\nwant\n%s", name, got, want)
		}
		if got, want := ofDevice(ourUPSRW), ofDevice(cUPSRW); got != want {
			t.Errorf("%s: upsrw prints\n%s\nwant\n%s", name, got, want)
		}
		for _, line := range strings.Split(cUPSCmd, "\n") {
			if !strings.Contains(ourUPSCmd, line) {
				t.Errorf("%s: upscmd -l prints\n%s\nwant %q in it", name, ourUPSCmd, line)
			}
		}
	}
}

// ofDevice leaves out what describes the driver program itself: its version, its
// state and what came after C NUT 2.8.0. It works on the lines of upsc and on the
// paragraphs of upsrw.
func ofDevice(text string) string {
	sep := "\n"
	if strings.Contains(text, "\n\n") {
		sep = "\n\n"
	}
	var kept []string
	for _, part := range strings.Split(text, sep) {
		if !strings.HasPrefix(strings.TrimPrefix(part, "["), "driver.") {
			kept = append(kept, strings.TrimSpace(part))
		}
	}
	return strings.Join(kept, sep)
}

// Values that the driver socket has to escape arrive whole, in the dump and in
// live updates.
func TestDriverValuesReachCUPSD(t *testing.T) {
	h := newHost(t, driverFiles(t, "ups.status: OL\nups.id: a \"b\" \\ c\nups.model: two  blanks = x\n"))
	h.start(ourDriver("dummy-ups", "rec"))
	h.start(cUPSD())
	h.await("rec", "ups.id", `a "b" \ c`)
	h.await("rec", "ups.model", "two  blanks = x")
	h.write("rec.dev", "ups.status: OB LB\nups.id: live \"#\" \\\nALARM too \"hot\"\n")
	h.await("rec", "ups.status", "ALARM OB LB")
	h.await("rec", "ups.id", `live "#" \`)
	h.await("rec", "ups.alarm", `too "hot"`)
}

// C's clients set variables and run commands of our driver through C's upsd.
func TestDriverRequestsThroughCUPSD(t *testing.T) {
	h := newHost(t, driverFiles(t, "ups.status: OL\nups.id: a\nbattery.charge: 90\n#CMD:test.panel.start\n"))
	h.start(ourDriver("dummy-ups", "rec"))
	h.start(cUPSD())
	h.await("rec", "ups.id", "a")
	auth := []string{"-u", "admin", "-p", "secret", "-w"}
	r := h.run(cProgram("upsrw", append(auth, "-s", "ups.id=new name", h.system("rec"))...))
	if r.code != 0 || !strings.Contains(r.stdout+r.stderr, "SUCCESS") {
		t.Errorf("upsrw -w = %d, %q; want SUCCESS", r.code, r.stdout+r.stderr)
	}
	h.await("rec", "ups.id", "new name")
	for command, want := range map[string]string{"test.panel.start": "SUCCESS", "shutdown.default": "FAILED"} {
		r := h.run(cProgram("upscmd", append(auth, h.system("rec"), command)...))
		if !strings.Contains(r.stdout+r.stderr, want) {
			t.Errorf("upscmd -w %s = %d, %q; want %s", command, r.code, r.stdout+r.stderr, want)
		}
	}
}

// C's upsd notices that our driver stops, hangs and comes back, and says so.
func TestDriverFailuresUnderCUPSD(t *testing.T) {
	files := driverFiles(t, "ups.status: OL\n")
	files["upsd.conf"] += "MAXAGE 3\n"
	h := newHost(t, files)
	d := h.start(ourDriver("dummy-ups", "rec"))
	h.start(cUPSD())
	h.await("rec", "ups.status", "OL")

	// An idle driver sends nothing; upsd's PING has to keep it fresh.
	for range 6 {
		if r := h.run(cProgram("upsc", h.system("rec"), "ups.status")); r.stdout != "OL\n" {
			t.Fatalf("upsc of an idle driver = %q %q; want OL", r.stdout, r.stderr)
		}
		time.Sleep(time.Second)
	}
	d.signal(sigStop)
	h.eventually("the stopped driver is stale", h.upscSays("Data stale"))
	d.signal(sigCont)
	h.eventually("the continued driver is fresh", h.upscSays("OL"))
	d.signal(sigKill)
	<-d.done
	h.eventually("the killed driver is gone", h.upscSays("Driver not connected"))
	// The socket of the killed one is in the way of the next, which removes it.
	d = h.start(ourDriver("dummy-ups", "rec"))
	h.eventually("the new driver is fresh", h.upscSays("OL"))
	if r := h.run(ourProgram("dummy-ups", "-a", "rec", "-c", "reload-or-error")); r.code != 0 {
		t.Errorf("dummy-ups -c reload-or-error = %d, %s; want 0", r.code, r.stderr)
	}
	h.write("ups.conf", "[rec]\n driver = dummy-ups\n port = other.dev\n")
	if r := h.run(ourProgram("dummy-ups", "-a", "rec", "-c", "reload-or-error")); r.code != 2 {
		t.Errorf("dummy-ups -c reload-or-error with another port = %d; want 2", r.code)
	}
	if r := h.run(ourProgram("dummy-ups", "-a", "rec", "-c", "exit")); r.code != 0 {
		t.Errorf("dummy-ups -c exit = %d, %s; want 0", r.code, r.stderr)
	}
	<-d.done
	h.eventually("the ended driver is gone", h.upscSays("Driver not connected"))
	if names, _ := filepath.Glob(filepath.Join(h.dir, "state", "dummy-ups-*")); len(names) != 0 {
		t.Errorf("left behind: %q; want nothing", names)
	}
}

// upscSays checks what C's upsc prints for ups.status.
func (h *host) upscSays(want string) func() error {
	return func() error {
		r := h.run(cProgram("upsc", h.system("rec"), "ups.status"))
		if got := r.stdout + r.stderr; !strings.Contains(got, want) {
			return &unexpected{got}
		}
		return nil
	}
}

type unexpected struct{ text string }

func (u *unexpected) Error() string { return "upsc says " + strings.TrimSpace(u.text) }
