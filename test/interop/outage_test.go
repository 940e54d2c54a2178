//go:build unix

package interop

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// upsmonFiles is what a host's upsmon needs: it writes down every notification and
// when it would have shut its host down.
func upsmonFiles(monitor string) map[string]string {
	return map[string]string{
		"upsmon.conf": monitor + `
MINSUPPLIES 1
POLLFREQ 1
POLLFREQALERT 1
DEADTIME 10
HOSTSYNC 15
FINALDELAY 1
POWERDOWNFLAG @DIR@/killpower
SHUTDOWNCMD "date +%s%N >@DIR@/down"
NOTIFYCMD @DIR@/conf/notify
NOTIFYFLAG ONLINE EXEC
NOTIFYFLAG ONBATT EXEC
NOTIFYFLAG LOWBATT EXEC
NOTIFYFLAG FSD EXEC
NOTIFYFLAG SHUTDOWN EXEC
`,
		"notify": "#!/bin/sh\necho $NOTIFYTYPE $UPSNAME >>@DIR@/notified\n",
	}
}

// outageHosts makes a primary host with a UPS and a secondary.
func outageHosts(t *testing.T) (primary, secondary *host) {
	t.Helper()
	files := driverFiles(t, "ups.status: OL\nbattery.charge: 100\n")
	files["upsd.users"] += "[pri]\n password = one\n upsmon master\n[sec]\n password = two\n upsmon slave\n"
	primary = newHost(t, files)
	for name, text := range upsmonFiles("MONITOR " + primary.system("rec") + " 1 pri one master\n") {
		primary.write(name, text)
	}
	secondary = newHost(t, upsmonFiles("MONITOR "+primary.system("rec")+" 1 sec two slave\n"))
	for _, h := range []*host{primary, secondary} {
		if err := os.Chmod(filepath.Join(h.dir, "conf", "notify"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return primary, secondary
}

// downAt returns when the host would have been shut down, 0 if it was not.
func (h *host) downAt() int64 {
	b, err := os.ReadFile(filepath.Join(h.dir, "down"))
	if err != nil {
		return 0
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
	if err != nil {
		return 0 // it is just being written
	}
	return n
}

// notified returns the types of the notifications so far, in order.
func (h *host) notified() []string {
	b, err := os.ReadFile(filepath.Join(h.dir, "notified"))
	if err != nil {
		return nil
	}
	var types []string
	for _, line := range strings.Split(strings.TrimSpace(string(b)), "\n") {
		kind, _, _ := strings.Cut(line, " ")
		types = append(types, kind)
	}
	return types
}

// A whole outage: on battery, battery low, FSD, the secondary logs out and goes
// down, then the primary, which leaves the power-down flag. Each place is C's or
// ours.
func TestOutageThroughMixedHosts(t *testing.T) {
	for _, test := range []struct {
		name                               string
		driver, server, primary, secondary program
	}{
		{"C upsmon is secondary of our upsd", ourDriver("dummy-ups", "rec"), ourUPSD(), ourUPSMon(), cUPSMon()},
		{"our upsmon is secondary of C upsd", cDriver("dummy-ups", "rec"), cUPSD(), cUPSMon(), ourUPSMon()},
		{"our upsmon is primary of C upsd", cDriver("dummy-ups", "rec"), cUPSD(), ourUPSMon(), cUPSMon()},
		{"C upsmon is primary of our upsd", ourDriver("dummy-ups", "rec"), ourUPSD(), cUPSMon(), ourUPSMon()},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			pri, sec := outageHosts(t)
			pri.start(test.driver)
			pri.start(test.server)
			pri.await("rec", "ups.status", "OL")
			primary := pri.start(test.primary)
			secondary := sec.start(test.secondary)
			pri.awaitLogins("rec", 2)

			pri.write("rec.dev", "ups.status: OB\nbattery.charge: 50\n")
			for _, h := range []*host{pri, sec} {
				h.awaitNotified("ONBATT")
			}
			if pri.downAt() != 0 || sec.downAt() != 0 {
				t.Fatal("a host went down although the battery was not low")
			}
			pri.write("rec.dev", "ups.status: OB LB\nbattery.charge: 5\n")
			for _, p := range []*process{primary, secondary} {
				<-p.done
			}
			p, s := pri.downAt(), sec.downAt()
			if p == 0 || s == 0 || p < s {
				t.Errorf("primary down at %d, secondary at %d; want both, the primary last", p, s)
			}
			sec.awaitNotified("FSD") // C's primary of this version does not notify its own
			for _, h := range []*host{pri, sec} {
				h.awaitNotified("SHUTDOWN")
				flag, err := os.ReadFile(filepath.Join(h.dir, "killpower"))
				if err != nil || !strings.HasPrefix(string(flag), "upsmon-shutdown-file") {
					t.Errorf("power-down flag = %q, %v; want upsmon-shutdown-file", flag, err)
				}
			}
		})
	}
}

// awaitLogins waits until so many hosts are logged in to a ups.
func (h *host) awaitLogins(ups string, n int) {
	h.t.Helper()
	h.eventually(strconv.Itoa(n)+" hosts are logged in", func() error {
		c, err := h.client()
		if err != nil {
			return err
		}
		defer c.Close()
		got, err := c.NumLogins(h.t.Context(), ups)
		if err == nil && got != n {
			err = errIs(got)
		}
		return err
	})
}

// awaitNotified waits until a notification of the type was delivered.
func (h *host) awaitNotified(kind string) {
	h.t.Helper()
	h.eventually(kind+" was notified", func() error {
		if got := h.notified(); !slices.Contains(got, kind) {
			return errIs(got)
		}
		return nil
	})
}
