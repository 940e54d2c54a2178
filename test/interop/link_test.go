//go:build unix

package interop

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// A linkTest is a driver and an upsd, one of them or both ours, joined by the driver
// socket, and what clients see while either suffers.
type linkTest struct {
	*host
	driver, server program
	d, u           *process
	n              int // values written so far
}

// change changes a value of the device and waits until clients see it, which takes a
// working link.
func (l *linkTest) change(when string) {
	l.t.Helper()
	l.n++
	l.write("rec.dev", fmt.Sprintf("ups.status: OL\nups.id: id-%d\n", l.n))
	want := fmt.Sprintf("id-%d", l.n)
	l.eventually("a new value is seen "+when, func() error {
		r := l.run(cProgram("upsc", l.system("rec"), "ups.id"))
		if strings.TrimSpace(r.stdout) != want {
			return errIs(strings.TrimSpace(r.stdout + r.stderr))
		}
		return nil
	})
}

// says waits until C's upsc prints one of the texts for ups.status.
func (l *linkTest) says(when string, texts ...string) {
	l.t.Helper()
	l.eventually(fmt.Sprintf("upsc says %q %s", texts, when), func() error {
		r := l.run(cProgram("upsc", l.system("rec"), "ups.status"))
		got := r.stdout + r.stderr
		for _, text := range texts {
			if strings.Contains(got, text) {
				return nil
			}
		}
		return errIs(strings.TrimSpace(got))
	})
}

// The link of a driver and upsd survives that either is stopped, killed, ended or
// told to reload, whoever is C's. Clients are told that data are old, and never see
// old data for new.
func TestDriverLinkSurvivesFaults(t *testing.T) {
	for _, test := range []struct {
		name           string
		driver, server program
	}{
		{"our driver under C upsd", ourDriver("dummy-ups", "rec"), cUPSD()},
		{"C driver under our upsd", cDriver("dummy-ups", "rec"), ourUPSD()},
		{"our driver under our upsd", ourDriver("dummy-ups", "rec"), ourUPSD()},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			files := driverFiles(t, "ups.status: OL\n")
			files["ups.conf"] = "pollinterval = 1\n" + files["ups.conf"]
			files["upsd.conf"] += "MAXAGE 3\n"
			l := &linkTest{host: newHost(t, files), driver: test.driver, server: test.server}
			l.d, l.u = l.start(test.driver), l.start(test.server)
			l.change("at first")
			l.driverFaults()
			l.serverFaults()
			if test.driver.ours {
				l.reload()
			}
		})
	}
}

func (l *linkTest) driverFaults() {
	l.d.signal(sigStop)
	l.says("while the driver is stopped", "Data stale")
	l.d.signal(sigCont)
	l.change("after the driver was stopped")
	for _, how := range []struct {
		what string
		end  func()
	}{
		{"killed", func() { l.d.signal(sigKill) }},
		{"ended", func() { l.d.stop() }},
	} {
		how.end()
		<-l.d.done
		l.says("while there is no driver", "Data stale", "Driver not connected")
		l.d = l.start(l.driver)
		l.change("after the driver was " + how.what + " and started again")
	}
}

func (l *linkTest) serverFaults() {
	l.u.signal(sigHup)
	l.change("after upsd was told to reload")
	l.u.signal(sigStop)
	for i := range 5 {
		l.write("rec.dev", fmt.Sprintf("ups.status: OB\nups.id: unseen-%d\n", i))
		time.Sleep(time.Second)
	}
	l.u.signal(sigCont)
	l.says("after upsd was stopped", "OB")
	l.change("after upsd was stopped")
	l.u.signal(sigKill)
	<-l.u.done
	l.u = l.start(l.server)
	l.change("after upsd was killed and started again")
}

// reload gives a running driver of ours another configuration, by signal and by the
// socket.
func (l *linkTest) reload() {
	l.t.Helper()
	interval := func(want string) {
		l.t.Helper()
		l.await("rec", "driver.parameter.pollinterval", want)
		l.says("after a reload", "OL")
	}
	conf := func(n int) {
		l.write("ups.conf", fmt.Sprintf("pollinterval = %d\n[rec]\n driver = dummy-ups\n port = rec.dev\n mode = dummy-once\n", n))
	}
	conf(2)
	l.d.signal(sigHup)
	interval("2")
	conf(1)
	if r := l.run(ourProgram("dummy-ups", "-a", "rec", "-c", "reload")); r.code != 0 {
		l.t.Errorf("dummy-ups -c reload = %d, %s; want 0", r.code, r.stderr)
	}
	interval("1")
	l.change("after two reloads")
	// What cannot be had while running ends the driver with SIGUSR1, in C's words.
	l.write("ups.conf", "[rec]\n driver = dummy-ups\n port = other.dev\n")
	l.d.signal(sigUsr1)
	<-l.d.done
	if code := l.d.cmd.ProcessState.ExitCode(); code != 138 {
		l.t.Errorf("after SIGUSR1 the driver ended with %d; want 138", code)
	}
}
