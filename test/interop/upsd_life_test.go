//go:build unix

package interop

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// pidFile is where the host's upsd leaves its process number.
func (h *host) pidFile() string { return filepath.Join(h.dir, "state", "upsd.pid") }

// ask connects, asks one thing and returns the reply.
func (h *host) ask(request string) string {
	h.t.Helper()
	c, err := net.Dial("tcp", h.addr())
	if err != nil {
		h.t.Fatal(err)
	}
	defer c.Close()
	return askLine(h.t, c, bufio.NewReader(c), request)
}

// Signals end upsd with 0, in the foreground too, and -F writes a PID file only if
// it is given twice.
func TestUPSDSignalsAndPIDFile(t *testing.T) {
	for _, c := range []struct {
		args   []string
		signal syscall.Signal
		file   bool
	}{
		{[]string{"-F"}, syscall.SIGTERM, false},
		{[]string{"-FF"}, syscall.SIGINT, true},
		{[]string{"-D"}, syscall.SIGQUIT, false},
		{[]string{"-B", "-FF"}, syscall.SIGTERM, true},
	} {
		h := newHost(t, upsdFiles())
		h.scriptedDriver("dummy-fake")
		pr := h.start(upsd(ourProgram("upsd", asRoot(c.args...)...)))
		h.await("fake", "ups.ro.num", "3")
		text, err := os.ReadFile(h.pidFile())
		if c.file != (err == nil) || c.file && string(text) != fmt.Sprintf("%d\n", pr.cmd.Process.Pid) {
			t.Errorf("upsd %q: PID file %q, %v; want one: %v", c.args, text, err, c.file)
		}
		pr.signal(syscall.SIGPIPE)
		h.await("fake", "ups.ro.num", "3")
		pr.signal(c.signal)
		h.eventually("upsd has ended", func() error {
			if !pr.ended() {
				return errIs("running")
			}
			return nil
		})
		if code := pr.cmd.ProcessState.ExitCode(); code != 0 {
			t.Errorf("upsd %q ended with %d after %v; want 0", c.args, code, c.signal)
		}
		if isFile(h.pidFile()) {
			t.Errorf("upsd %q left its PID file", c.args)
		}
	}
}

// -c finds its upsd by the PID file or by -P, and its commands may be cut short.
func TestUPSDTakesOrders(t *testing.T) {
	h := newHost(t, upsdFiles())
	h.scriptedDriver("dummy-fake")
	pr := h.start(upsd(ourProgram("upsd", asRoot("-F")...)))
	h.await("fake", "ups.ro.num", "3")
	pid := strconv.Itoa(pr.cmd.Process.Pid)
	desc := 0
	for _, args := range [][]string{{"-c", "reload", "-P", pid}, {"-P", pid, "-c", "re"}, {"-P", pid, "-c", ""}} {
		desc++
		h.write("ups.conf", fmt.Sprintf("[fake]\n driver = dummy\n port = x\n desc = \"number %d\"\n", desc))
		if r := h.run(ourProgram("upsd", args...)); r.code != 0 {
			t.Errorf("upsd %q: %+v", args, r)
		}
		h.eventually(fmt.Sprintf("upsd %q took effect", args), func() error {
			if got := h.ask("GET UPSDESC fake"); got != fmt.Sprintf("UPSDESC fake \"number %d\"\n", desc) {
				return errIs(got)
			}
			return nil
		})
	}
	if r := h.run(ourProgram("upsd", "-c", "reload")); r.code != 1 || !strings.Contains(r.stderr, "-P") {
		t.Errorf("-c without a PID file: %+v; want code 1 and a hint at -P", r)
	}
	// Another program's process is left alone.
	if r := h.run(ourProgram("upsd", "-c", "stop", "-P", strconv.Itoa(os.Getpid()))); r.code != 1 {
		t.Errorf("-c stop of another program: %+v; want code 1", r)
	}
	if r := h.run(ourProgram("upsd", "-c", "s", "-P", pid)); r.code != 0 {
		t.Errorf("-c s: %+v", r)
	}
	h.eventually("upsd has ended", func() error {
		if !pr.ended() {
			return errIs("running")
		}
		return nil
	})
}

// A reload keeps clients, their logins and the driver's link; files that are missing
// or wrong change nothing, and are said.
func TestUPSDReload(t *testing.T) {
	h := newHost(t, upsdFiles())
	d := h.scriptedDriver("dummy-fake")
	pr := h.start(ourUPSD())
	h.await("fake", "ups.ro.num", "3")
	c, err := net.Dial("tcp", h.addr())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	r := bufio.NewReader(c)
	for _, request := range []string{"USERNAME mon", `PASSWORD "mon pw"`, "LOGIN fake"} {
		if got := askLine(t, c, r, request); got != "OK\n" {
			t.Fatalf("%s: %s", request, got)
		}
	}
	reload := func(said string) {
		t.Helper()
		before := strings.Count(pr.output(), said)
		pr.signal(syscall.SIGHUP)
		h.eventually("the reload said "+said, func() error {
			if strings.Count(pr.output(), said) == before {
				return errIs("not said")
			}
			return nil
		})
	}
	files := upsdFiles()
	for name, text := range map[string]string{
		"ups.conf": "", "upsd.users": "", "upsd.conf": "", // missing
		"upsd.conf ": "CERTFILE /no/such/file\n", "ups.conf ": "[broken\n",
	} {
		name = strings.TrimSpace(name)
		if text == "" {
			if err := os.Remove(filepath.Join(h.dir, "conf", name)); err != nil {
				t.Fatal(err)
			}
		} else {
			h.write(name, text)
		}
		reload("the old one stays")
		h.write(name, files[name])
	}
	if got := askLine(t, c, r, "GET NUMLOGINS fake"); got != "NUMLOGINS fake 1\n" {
		t.Errorf("after wrong files: %s", got)
	}
	h.write("upsd.conf", "LISTEN 127.0.0.1 @PORT@\nLISTEN 127.0.0.2 @PORT@\nDEBUG_MIN 1\nMAXCONN 99999999\n")
	reload("LISTEN")
	for _, want := range []string{"MAXCONN"} {
		if !strings.Contains(pr.output(), want) {
			t.Errorf("the log says nothing of %s:\n%s", want, pr.output())
		}
	}
	if got := askLine(t, c, r, "GET NUMLOGINS fake"); got != "NUMLOGINS fake 1\n" {
		t.Errorf("after a good reload: %s", got)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if n := len(d.conns); n != 1 {
		t.Errorf("the driver saw %d connections; want the first one kept", n)
	}
}

// A reload takes new certificates without a restart; encrypted clients stay.
func TestUPSDReloadsCertificates(t *testing.T) {
	h, pr := withTLS(t)
	serial := func() string {
		t.Helper()
		c := h.overTLS()
		defer c.Close()
		return c.ConnectionState().PeerCertificates[0].SerialNumber.String()
	}
	stays := h.overTLS()
	defer stays.Close()
	first := serial()
	os.Remove(filepath.Join(h.dir, "upsd.pem"))
	if r := h.run(ourProgram("nut", "cert", "-dir", h.dir, "localhost")); r.code != 0 {
		t.Fatalf("nut cert: %s", r.stderr)
	}
	if got := serial(); got != first {
		t.Error("a new certificate counts before the reload")
	}
	pr.signal(syscall.SIGHUP)
	h.eventually("the new certificate is shown", func() error {
		if got := serial(); got == first {
			return errIs("the old one")
		}
		return nil
	})
	second := serial()
	h.write("../upsd.pem", "nothing of use\n")
	pr.signal(syscall.SIGHUP)
	h.eventually("the wrong certificate was refused", func() error {
		if !strings.Contains(pr.output(), "the old one stays") {
			return errIs("not said")
		}
		return nil
	})
	if got := serial(); got != second {
		t.Error("a reload with a broken certificate changed the one that is shown")
	}
	if got := askLine(t, stays, bufio.NewReader(stays), "GET VAR fake ups.ro.num"); got != "VAR fake ups.ro.num \"3\"\n" {
		t.Errorf("on the connection of before: %s", got)
	}
}

// overTLS connects, starts TLS and checks the server's certificate against the
// authority that "nut cert" made.
func (h *host) overTLS() *tls.Conn {
	h.t.Helper()
	c, err := net.Dial("tcp", h.addr())
	if err != nil {
		h.t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(c, "STARTTLS\n"); err != nil {
		h.t.Fatal(err)
	}
	reply := make([]byte, len("OK STARTTLS\n"))
	if _, err := io.ReadFull(c, reply); err != nil {
		h.t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(h.dir, "ca.pem"))
	if err != nil {
		h.t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if block, _ := pem.Decode(text); block == nil || !roots.AppendCertsFromPEM(text) {
		h.t.Fatal("ca.pem holds no certificate")
	}
	t := tls.Client(c, &tls.Config{RootCAs: roots, ServerName: "localhost"})
	if err := t.Handshake(); err != nil {
		h.t.Fatal(err)
	}
	return t
}

// -4 and -6 choose among the addresses; -q, -V and -h are what they are with C.
func TestUPSDOptions(t *testing.T) {
	for family, own := range map[string]string{"-4": "127.0.0.1", "-6": "::1"} {
		l, err := net.Listen("tcp", net.JoinHostPort(own, "0"))
		if err != nil {
			continue // this machine knows one version only
		}
		l.Close()
		h := newHost(t, upsdFiles())
		h.write("upsd.conf", "LISTEN * @PORT@\n")
		p := ourProgram("upsd", asRoot("-F", family, "-q")...)
		at := func(addr string) error {
			c, err := net.Dial("tcp", net.JoinHostPort(addr, strconv.Itoa(h.port)))
			if err == nil {
				c.Close()
			}
			return err
		}
		p.ready = func(*host) error { return at(own) }
		h.start(p)
		for _, other := range []string{"127.0.0.1", "::1"} {
			if other != own && at(other) == nil {
				t.Errorf("with %s upsd listens on %s", family, other)
			}
		}
	}
	h := newHost(t, upsdFiles())
	if r := h.run(ourProgram("upsd", "-V")); !strings.HasPrefix(r.stdout, "Network UPS Tools upsd 2.8") || r.code != 0 {
		t.Errorf("upsd -V: %+v", r)
	}
	if r := h.run(ourProgram("upsd", "-h")); !strings.Contains(r.stdout, "-c COMMAND") || r.code != 0 {
		t.Errorf("upsd -h: %+v", r)
	}
	if r := h.run(ourProgram("upsd", "-Fqqqqqqqq")); r.code != 1 {
		t.Errorf("upsd with eight -q: %+v; want code 1", r)
	}
}

// As root, upsd becomes another user behind a new root of the file system, and its
// driver is found there.
func TestUPSDAsAnotherUserInAnotherRoot(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root may do that")
	}
	h := newHost(t, upsdFiles())
	for _, dir := range []string{h.dir, filepath.Join(h.dir, "conf"), filepath.Join(h.dir, "state")} {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name := range upsdFiles() {
		if err := os.Chmod(filepath.Join(h.dir, "conf", name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	h.scriptedDriver("dummy-fake")
	if err := os.Chmod(filepath.Join(h.dir, "state", "dummy-fake"), 0o666); err != nil {
		t.Fatal(err)
	}
	h.env = append(h.env, "NUT_CONFPATH=/conf", "NUT_STATEPATH=/state", "NUT_ALTPIDPATH=/state")
	pr := h.start(upsd(ourProgram("upsd", "-F", "-r", h.dir, "-u", "nobody")))
	h.await("fake", "ups.ro.num", "3")
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pr.cmd.Process.Pid))
	if err != nil {
		t.Skip("no /proc")
	}
	for line := range strings.Lines(string(status)) {
		if ids, ok := strings.CutPrefix(line, "Uid:"); ok && strings.Contains(" "+strings.Join(strings.Fields(ids), " ")+" ", " 0 ") {
			t.Errorf("upsd -u nobody has the user ids %s", ids)
		}
	}
	if root, err := os.Readlink(fmt.Sprintf("/proc/%d/root", pr.cmd.Process.Pid)); err != nil || root != h.dir {
		t.Errorf("the root is %q, %v; want %q", root, err, h.dir)
	}
}

// An address that the host does not have yet, a missing driver and a UPS without a
// driver program keep nobody from being served, and are said once.
func TestUPSDServesWhatThereIs(t *testing.T) {
	h := newHost(t, upsdFiles())
	h.write("upsd.conf", "LISTEN 192.0.2.77 @PORT@\nLISTEN no-such-host.invalid @PORT@\nLISTEN 127.0.0.1 @PORT@\n")
	h.scriptedDriver("dummy-fake")
	pr := h.start(ourUPSD())
	h.await("fake", "ups.ro.num", "3")
	if got := h.ask("GET VAR Third ups.status"); got != "ERR DRIVER-NOT-CONNECTED\n" {
		t.Errorf("of a UPS without a driver: %s", got)
	}
	out := pr.output()
	for _, what := range []string{"192.0.2.77", "no-such-host.invalid", "ups=Third"} {
		if n := strings.Count(out, what); n < 1 || n > 2 {
			t.Errorf("%s is said %d times:\n%s", what, n, out)
		}
	}
	h.scriptedDriver("dummy-Third")
	h.await("Third", "ups.ro.num", "3")
}
