//go:build unix

package interop

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// enter makes a command run in the host's network namespace. Our binary is told by its
// first argument which program it is: there it is not called by the program's name.
func (h *host) enter(cmd *exec.Cmd, p program) {
	h.t.Helper()
	args := append([]string{"ip", "netns", "exec", h.netns, cmd.Path}, cmd.Args[1:]...)
	if p.ours {
		args = append([]string{"ip", "netns", "exec", h.netns, cmd.Path, p.name}, cmd.Args[1:]...)
	}
	cmd.Path, cmd.Args = tool(h.t, "ip"), args
}

// tool returns the path of a program that makes or spoils networks.
func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		missing(t, fmt.Sprintf("%v (apt-get install iproute2 nftables)", err))
	}
	return path
}

// networks counts the networks of this process, so that their names are unique.
var networks atomic.Int32

// A network is a switch and hosts on it, each in a namespace of its own.
type network struct {
	t    *testing.T
	name string
}

// newNetwork makes n hosts with the addresses 10.77.0.1 and so on, and removes them
// with the test.
func newNetwork(t *testing.T, n int) *network {
	t.Helper()
	if os.Geteuid() != 0 {
		missing(t, "network namespaces need root")
	}
	ip, _ := tool(t, "ip"), tool(t, "nft")
	w := &network{t, fmt.Sprintf("gonut%d-%d", os.Getpid(), networks.Add(1))}
	if out, err := exec.Command(ip, "netns", "add", w.name).CombinedOutput(); err != nil {
		missing(t, fmt.Sprintf("network namespaces cannot be made here: %s", out))
	}
	w.cleanup(w.name)
	w.run(ip, "-n", w.name, "link", "add", "br0", "type", "bridge")
	w.run(ip, "-n", w.name, "link", "set", "br0", "up")
	for i := 1; i <= n; i++ {
		h, port := w.host(i), fmt.Sprintf("p%d", i)
		w.run(ip, "netns", "add", h)
		w.cleanup(h)
		w.run(ip, "-n", h, "link", "set", "lo", "up")
		w.run(ip, "-n", w.name, "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", h)
		w.run(ip, "-n", w.name, "link", "set", port, "master", "br0", "up")
		w.run(ip, "-n", h, "addr", "add", w.addr(i)+"/24", "dev", "eth0")
		w.run(ip, "-n", h, "link", "set", "eth0", "up")
	}
	return w
}

func (w *network) host(i int) string { return fmt.Sprintf("%s-h%d", w.name, i) }
func (w *network) addr(i int) string { return fmt.Sprintf("10.77.0.%d", i) }

func (w *network) cleanup(netns string) {
	w.t.Cleanup(func() {
		if out, err := exec.Command("ip", "netns", "del", netns).CombinedOutput(); err != nil {
			w.t.Errorf("ip netns del %s: %v %s", netns, err, out)
		}
	})
}

func (w *network) run(name string, args ...string) {
	w.t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		w.t.Fatalf("%s %q: %v %s", name, args, err, out)
	}
}

// link spoils what goes between a host and the switch: it drops so many packets of a
// hundred, all of them for a cable that is pulled.
func (w *network) link(i, percent int) {
	w.t.Helper()
	rules := "flush ruleset\n"
	if percent > 0 {
		drop := fmt.Sprintf("numgen random mod 100 < %d drop\n", percent)
		if percent >= 100 {
			drop = "drop\n"
		}
		rules += "table inet bad {\nchain in {\ntype filter hook input priority 0;\niifname eth0 " + drop + "}\n" +
			"chain out {\ntype filter hook output priority 0;\noifname eth0 " + drop + "}\n}\n"
	}
	cmd := exec.Command("ip", "netns", "exec", w.host(i), "nft", "-f", "-")
	cmd.Stdin = strings.NewReader(rules)
	if out, err := cmd.CombinedOutput(); err != nil {
		w.t.Fatalf("nft for host %d: %v %s\n%s", i, err, out, rules)
	}
}

// delay makes packets of a host late, where the kernel can do that.
func (w *network) delay(i int) {
	w.t.Helper()
	cmd := exec.Command("tc", "-n", w.host(i), "qdisc", "add", "dev", "eth0", "root", "netem", "delay", "60ms", "40ms")
	if out, err := cmd.CombinedOutput(); err != nil {
		w.t.Logf("host %d is not delayed: %v %s", i, err, out)
	}
}

// An outage on a real network: packets are lost, a cable is pulled for four seconds, and
// one for good. Nobody goes down for that; when the battery is low, every secondary does
// before the primary, or HOSTSYNC is over, and nobody stays up.
func TestOutageOnANetwork(t *testing.T) {
	for _, tt := range []struct {
		name            string
		server, primary program
		secondaries     []program
		cutForGood      bool
	}{
		{"ours with C's secondaries", ourUPSD(), ourUPSMon(), []program{cUPSMon(), ourUPSMon(), cUPSMon()}, false},
		{"C's with our secondaries", cUPSD(), cUPSMon(), []program{ourUPSMon(), cUPSMon(), ourUPSMon()}, false},
		{"ours, one host is lost", ourUPSD(), ourUPSMon(), []program{cUPSMon(), ourUPSMon(), ourUPSMon()}, true},
		// C's upsmon would need two minutes to see that its host is lost.
		{"our primary of C's, one host is lost", cUPSD(), ourUPSMon(), []program{cUPSMon(), cUPSMon(), ourUPSMon()}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			net := newNetwork(t, 1+len(tt.secondaries))
			hosts := networkHosts(t, net, len(tt.secondaries))
			pri := hosts[0]
			pri.start(ourDriver("dummy-ups", "rec"))
			server := tt.server
			server.ready = nil
			pri.start(server)
			pri.eventually("upsd serves the UPS", func() error {
				if r := pri.run(ourProgram("upsc", "rec@"+net.addr(1), "ups.status")); r.stdout != "OL\n" {
					return errIs(r)
				}
				return nil
			})
			processes := []*process{pri.start(tt.primary)}
			for i, p := range tt.secondaries {
				processes = append(processes, hosts[i+1].start(p))
			}
			allIn := func() {
				pri.eventually("all hosts are logged in", func() error {
					r := pri.run(ourProgram("upsc", "-c", "rec@"+net.addr(1)))
					if strings.Count(r.stdout, "\n") != len(hosts) {
						return errIs(r)
					}
					return nil
				})
			}
			allIn()
			for i := range tt.secondaries {
				net.link(i+2, 15)
				net.delay(i + 2)
			}
			pri.write("rec.dev", "ups.status: OB\n")
			for _, h := range hosts {
				h.awaitNotified("ONBATT")
			}
			net.link(3, 100)
			time.Sleep(4 * time.Second)
			net.link(3, 15)
			time.Sleep(4 * time.Second)
			for i, h := range hosts {
				if h.downAt() != 0 {
					t.Errorf("host %d went down although the battery was not low", i+1)
				}
			}
			if !tt.server.ours {
				allIn() // C's server knows nothing of a host that is between two connections
			}
			if tt.cutForGood {
				net.link(len(hosts), 100)
			}
			at := time.Now()
			pri.write("rec.dev", "ups.status: OB LB\n")
			for _, p := range processes {
				<-p.done
			}
			checkOrder(t, hosts, at, tt.cutForGood)
		})
	}
}

// networkHosts makes the hosts: the first one has the UPS and is its primary.
func networkHosts(t *testing.T, net *network, secondaries int) []*host {
	t.Helper()
	files := driverFiles(t, "ups.status: OL\n")
	files["upsd.conf"] = "LISTEN " + net.addr(1) + "\n"
	files["upsd.users"] += "[pri]\n password = one\n upsmon master\n[sec]\n password = two\n upsmon slave\n"
	for name, text := range upsmonFiles("MONITOR rec@" + net.addr(1) + " 1 pri one master\n") {
		files[name] = text
	}
	hosts := []*host{newHost(t, files)}
	for range secondaries {
		hosts = append(hosts, newHost(t, upsmonFiles("MONITOR rec@"+net.addr(1)+" 1 sec two slave\n")))
	}
	for i, h := range hosts {
		h.netns = net.host(i + 1)
		if err := os.Chmod(filepath.Join(h.dir, "conf", "notify"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return hosts
}

func checkOrder(t *testing.T, hosts []*host, at time.Time, cutForGood bool) {
	t.Helper()
	last := hosts[0].downAt()
	took := time.Unix(0, last).Sub(at)
	const hostSync = 15 * time.Second
	t.Logf("the primary went down %s after OB LB", took)
	if last == 0 || cutForGood && took < hostSync {
		t.Errorf("primary down %s after OB LB; want it to wait HOSTSYNC for the host that is lost: %t", took, cutForGood)
	}
	for i, h := range hosts[1:] {
		if d := h.downAt(); d == 0 || d > last && took < hostSync {
			t.Errorf("secondary %d down %s after the primary; want it before, unless HOSTSYNC is over", i+1, time.Duration(d-last))
		}
	}
}
