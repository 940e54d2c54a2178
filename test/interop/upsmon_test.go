//go:build unix

package interop

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// watchers makes a host with a UPS and one with upsmon only for each of the given
// programs; all are primary of a UPS of their own, so that nobody waits for others.
func watchers(t *testing.T, n int) (server *host, monitors []*host) {
	t.Helper()
	files := map[string]string{
		"upsd.conf":  "LISTEN 127.0.0.1 @PORT@\nMAXAGE 5\n",
		"upsd.users": "[mon]\n password = one\n upsmon master\n",
	}
	for i := range n {
		name := "rec" + strconv.Itoa(i)
		files["ups.conf"] += "[" + name + "]\n driver = dummy-ups\n port = " + name + ".dev\n mode = dummy-once\n pollinterval = 1\n"
		files[name+".dev"] = "ups.status: OL\n"
	}
	server = newHost(t, files)
	for i := range n {
		h := newHost(t, upsmonFiles("MONITOR "+server.system("rec"+strconv.Itoa(i))+" 1 mon one master\n"))
		more := ""
		for _, kind := range []string{"COMMBAD", "COMMOK", "REPLBATT"} {
			more += "NOTIFYFLAG " + kind + " EXEC\n"
		}
		conf, err := os.ReadFile(filepath.Join(h.dir, "conf", "upsmon.conf"))
		if err != nil {
			t.Fatal(err)
		}
		h.write("upsmon.conf", string(conf)+more)
		if err := os.Chmod(filepath.Join(h.dir, "conf", "notify"), 0o755); err != nil {
			t.Fatal(err)
		}
		monitors = append(monitors, h)
	}
	return server, monitors
}

// C's upsmon and ours see the same things and tell the same, in the same order, and
// ours is no later: what C finds with its next poll, ours finds with its next poll.
func TestUPSMonTellsWhatCTells(t *testing.T) {
	t.Parallel()
	server, hosts := watchers(t, 2)
	start := func() (ps []*process) {
		for i := range hosts {
			ps = append(ps, server.start(cDriver("dummy-ups", "rec"+strconv.Itoa(i))))
		}
		return ps
	}
	drivers := start()
	server.start(cUPSD())
	set := func(status string) {
		for i := range hosts {
			server.write(fmt.Sprintf("rec%d.dev", i), "ups.status: "+status+"\n")
		}
	}
	for i := range hosts {
		server.await("rec"+strconv.Itoa(i), "ups.status", "OL")
	}
	monitors := []*process{hosts[0].start(cUPSMon()), hosts[1].start(ourUPSMon())}
	for i := range hosts {
		server.awaitLogins("rec"+strconv.Itoa(i), 1)
	}
	told := func(want ...string) {
		t.Helper()
		for i, name := range []string{"C", "we"} {
			hosts[i].eventually(fmt.Sprintf("%s told %s", name, want), func() error {
				// C 2.8.0 does not tell of the FSD that it sets itself; 2.8.5 and we do.
				got := slices.DeleteFunc(hosts[i].notified(), func(s string) bool { return s == "FSD" })
				expected := slices.Clone(want)
				if name == "C" { // its notifications overtake each other
					slices.Sort(got)
					slices.Sort(expected)
				}
				if !slices.Equal(got, expected) {
					return errIs(got)
				}
				return nil
			})
		}
	}
	set("OB")
	told("ONBATT")
	set("OL RB")
	told("ONBATT", "ONLINE", "REPLBATT")
	for _, d := range drivers {
		d.stop()
	}
	told("ONBATT", "ONLINE", "REPLBATT", "COMMBAD")
	start()
	told("ONBATT", "ONLINE", "REPLBATT", "COMMBAD", "COMMOK")
	set("OL LB")
	told("ONBATT", "ONLINE", "REPLBATT", "COMMBAD", "COMMOK", "LOWBATT")
	at := time.Now()
	set("OB LB")
	for _, m := range monitors {
		<-m.done
	}
	told("ONBATT", "ONLINE", "REPLBATT", "COMMBAD", "COMMOK", "LOWBATT", "ONBATT", "SHUTDOWN")
	theirs, ours := time.Unix(0, hosts[0].downAt()).Sub(at), time.Unix(0, hosts[1].downAt()).Sub(at)
	t.Logf("C: down %s after OB LB, we: %s", theirs, ours)
	// Both poll once a second, at different moments, on a machine that may be busy.
	if theirs < 0 || ours < 0 || ours > theirs+10*time.Second {
		t.Errorf("C: down %s after OB LB, we: %s; want ours no later, but for the moment of a poll", theirs, ours)
	}
}

// From the driver's word to the shutdown of the host, for real: our upsd pushes, so that
// there is nothing to wait for but FINALDELAY; with C's upsd ours finds it with a poll
// as C's does. The times are for people; on a busy machine they say little.
func TestTimeToShutdown(t *testing.T) {
	const finalDelay, pollFreq = time.Second, 5 * time.Second
	for _, tt := range []struct {
		name            string
		server, monitor program
		most            time.Duration // besides FINALDELAY, on a machine that has time
	}{
		{"our upsd, our upsmon", ourUPSD(), ourUPSMon(), 100 * time.Millisecond},
		{"C upsd, our upsmon", cUPSD(), ourUPSMon(), pollFreq},
		{"C upsd, C upsmon", cUPSD(), cUPSMon(), pollFreq + time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			files := driverFiles(t, "")
			files["upsd.users"] += "[pri]\n password = one\n upsmon master\n"
			h := newHost(t, files)
			for name, text := range upsmonFiles("MONITOR " + h.system("rec") + " 1 pri one master\n") {
				h.write(name, strings.ReplaceAll(text, "POLLFREQ 1\nPOLLFREQALERT 1\n", "POLLFREQ 5\nPOLLFREQALERT 5\n"))
			}
			if err := os.Chmod(filepath.Join(h.dir, "conf", "notify"), 0o755); err != nil {
				t.Fatal(err)
			}
			d := h.driverOf("dummy-ups-rec", "SETINFO ups.status \"OL\"\nDATAOK\nDUMPDONE\n")
			h.start(tt.server)
			h.await("rec", "ups.status", "OL")
			m := h.start(tt.monitor)
			h.awaitLogins("rec", 1)
			time.Sleep(2 * time.Second) // to be between two polls
			at := time.Now()
			d.say("SETINFO ups.status \"OB LB\"\n")
			<-m.done
			took := time.Unix(0, h.downAt()).Sub(at) - finalDelay
			t.Logf("SHUTDOWNCMD ran %s after OB LB, FINALDELAY not counted; %s is the aim", took, tt.most)
			if took < 0 || took > tt.most+10*time.Second {
				t.Errorf("SHUTDOWNCMD ran %s after OB LB, FINALDELAY not counted; want %s, or a little more on a busy machine", took, tt.most)
			}
		})
	}
}

func (h *host) exists(name string) bool {
	_, err := os.Stat(filepath.Join(h.dir, name))
	return err == nil
}

// A badLink forwards connections to a server, slowly and with breaks.
type badLink struct {
	to string

	mu    sync.Mutex
	rnd   *rand.Rand
	conns map[net.Conn]bool
}

// serveBadly listens on a port of its own for one test.
func serveBadly(t *testing.T, to string, seed uint64) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &badLink{to: to, rnd: rand.New(rand.NewPCG(seed, 3)), conns: make(map[net.Conn]bool)}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { b.forward(c) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		b.cut()
		wg.Wait()
	})
	return l.Addr().String()
}

func (b *badLink) cut() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for c := range b.conns {
		c.Close()
	}
}

func (b *badLink) forward(c net.Conn) {
	s, err := net.Dial("tcp", b.to)
	if err != nil {
		c.Close()
		return
	}
	b.mu.Lock()
	b.conns[c], b.conns[s] = true, true
	b.mu.Unlock()
	var wg sync.WaitGroup
	wg.Go(func() { b.copy(s, c) })
	wg.Go(func() { b.copy(c, s) })
	wg.Wait()
}

func (b *badLink) copy(to, from net.Conn) {
	defer to.Close()
	defer from.Close()
	buf := make([]byte, 1024)
	for {
		n, err := from.Read(buf)
		b.mu.Lock()
		delay := time.Duration(b.rnd.IntN(100)) * time.Millisecond
		if b.rnd.IntN(50) == 0 {
			delay = 1500 * time.Millisecond // a lost packet
		}
		b.mu.Unlock()
		time.Sleep(delay)
		if _, werr := to.Write(buf[:n]); err != nil || werr != nil {
			if err != io.EOF && n > 0 {
				return
			}
			return
		}
	}
}

// The order of a shutdown with hosts of both kinds behind bad links: every
// secondary first, the primary last or after HOSTSYNC.
func TestOutageOverBadLinks(t *testing.T) {
	for _, test := range []struct {
		name            string
		driver, server  program
		primary         program
		secondaries     []program
		primaryIsBehind bool
	}{
		{"our upsd and primary", ourDriver("dummy-ups", "rec"), ourUPSD(), ourUPSMon(), []program{cUPSMon(), ourUPSMon(), cUPSMon(), ourUPSMon()}, false},
		{"C upsd, our primary behind a bad link too", cDriver("dummy-ups", "rec"), cUPSD(), ourUPSMon(), []program{cUPSMon(), ourUPSMon()}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			files := driverFiles(t, "ups.status: OL\n")
			files["upsd.users"] += "[pri]\n password = one\n upsmon master\n[sec]\n password = two\n upsmon slave\n"
			pri := newHost(t, files)
			via := func(i int, bad bool) string {
				if !bad {
					return pri.system("rec")
				}
				return "rec@" + serveBadly(t, pri.addr(), uint64(i))
			}
			hosts := []*host{pri}
			for name, text := range upsmonFiles("MONITOR " + via(0, test.primaryIsBehind) + " 1 pri one master\n") {
				pri.write(name, text)
			}
			for i := range test.secondaries {
				hosts = append(hosts, newHost(t, upsmonFiles("MONITOR "+via(i+1, true)+" 1 sec two slave\n")))
			}
			for _, h := range hosts {
				if err := os.Chmod(filepath.Join(h.dir, "conf", "notify"), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			pri.start(test.driver)
			pri.start(test.server)
			pri.await("rec", "ups.status", "OL")
			processes := []*process{pri.start(test.primary)}
			for i, p := range test.secondaries {
				processes = append(processes, hosts[i+1].start(p))
			}
			pri.awaitLogins("rec", len(processes))
			pri.write("rec.dev", "ups.status: OB\n")
			for _, h := range hosts {
				h.awaitNotified("ONBATT")
			}
			at := time.Now()
			pri.write("rec.dev", "ups.status: OB LB\n")
			for _, p := range processes {
				<-p.done
			}
			last := pri.downAt()
			hostSync := time.Unix(0, last).Sub(at) >= 15*time.Second
			for i, h := range hosts[1:] {
				if d := h.downAt(); d == 0 || d > last && !hostSync {
					t.Errorf("secondary %d down at %d, primary at %d, HOSTSYNC over: %t; want the primary last", i, d, last, hostSync)
				}
			}
		})
	}
}
