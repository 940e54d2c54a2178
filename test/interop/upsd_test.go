//go:build unix

package interop

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gonut/upsclient"
)

// upsdDump is what the driver of these tests says when it is asked.
const upsdDump = `SETINFO ups.status "OL"
SETINFO ups.test "abc \"q\" \\ end"
SETINFO ups.rw.str "hello"
SETFLAGS ups.rw.str RW STRING
SETAUX ups.rw.str 8
SETINFO ups.rw.enum "two"
ADDENUM ups.rw.enum "one"
ADDENUM ups.rw.enum "two"
SETFLAGS ups.rw.enum RW STRING
SETAUX ups.rw.enum 10
SETINFO ups.rw.range 5
ADDRANGE ups.rw.range 1 10
ADDRANGE ups.rw.range 20 30
ADDRANGE ups.rw.range 1 15
SETFLAGS ups.rw.range RW NUMBER
SETINFO ups.rw.num 7
SETFLAGS ups.rw.num RW NUMBER
SETINFO ups.rw.noaux x
SETFLAGS ups.rw.noaux RW STRING
SETINFO ups.ro.num 3
SETINFO UPS.Mixed "Case"
ADDCMD test.panel.start
ADDCMD load.off
ADDCMD Beeper.mute
DATAOK
DUMPDONE
`

// upsdFiles configure a upsd for them.
func upsdFiles() map[string]string {
	return map[string]string{
		"ups.conf": "[fake]\n driver = dummy\n port = x\n[Third]\n driver = dummy\n port = x\n desc = \"a third\"\n",
		"upsd.users": "[admin]\n password = secret\n actions = SET FSD\n instcmds = ALL\n" +
			"[mon]\n password = \"mon pw\"\n upsmon master\n[sec]\n password = s\n upsmon slave\n[few]\n password = f\n instcmds = beeper.MUTE\n",
		"upsd.conf": "LISTEN 127.0.0.1 @PORT@\n",
	}
}

// A scriptedDriver serves the driver socket of a host and notes the requests.
type scriptedDriver struct {
	dump string // what it knows

	mu    sync.Mutex // guards what follows
	got   []string
	conns []net.Conn
}

func (h *host) scriptedDriver(name string) *scriptedDriver { return h.driverOf(name, upsdDump) }

// driverOf listens on a driver's socket and knows what dump says.
func (h *host) driverOf(name, dump string) *scriptedDriver {
	h.t.Helper()
	l, err := net.Listen("unix", filepath.Join(h.dir, "state", name))
	if err != nil {
		h.t.Fatal(err)
	}
	d := &scriptedDriver{dump: dump}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			d.mu.Lock()
			d.conns = append(d.conns, c)
			d.mu.Unlock()
			wg.Go(func() { d.serve(c) })
		}
	})
	h.t.Cleanup(func() {
		l.Close()
		d.mu.Lock()
		for _, c := range d.conns {
			c.Close()
		}
		d.mu.Unlock()
		wg.Wait()
	})
	return d
}

// say tells everybody who is connected.
func (d *scriptedDriver) say(text string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, c := range d.conns {
		io.WriteString(c, text)
	}
}

func (d *scriptedDriver) serve(c net.Conn) {
	for r := bufio.NewScanner(c); r.Scan(); {
		switch line := r.Text(); line {
		case "DUMPALL":
			io.WriteString(c, d.dump)
		case "PING":
			io.WriteString(c, "PONG\n")
		default:
			d.mu.Lock()
			d.got = append(d.got, line)
			d.mu.Unlock()
			if _, id, ok := strings.Cut(line, " TRACKING "); ok {
				fmt.Fprintf(c, "TRACKING %s 3\n", id)
			}
		}
	}
}

// upsdRequests is what both servers are asked, on one connection per list. The
// answers that differ on purpose are not among them.
var upsdRequests = [][]string{
	{
		"", "# comment", "ver x", "NETVER", "PROTVER x", "NETVER \x00", "NET\x01VER", "HELP me", "NONSENSE", "ATTACH fake", `""`,
		"GET", "GET VAR", "GET VAR fake", "GET WHAT fake ups.status", "GET NUMATTACH fake", "GET VAR nope ups.status",
		"GET VAR FAKE UPS.STATUS", "get var fake ups.ro.num", "GET VAR \"fa\nke\" ups.ro.num", "GET VAR fake ups.ro.num#c",
		"GET VAR fake ups.ro.num more words", "GET VAR fake ups.test", "GET VAR fake none", "GET VAR fake server.foo", "GET VAR zz server.",
		"GET VAR Third ups.status", "GET TYPE fake ups.rw.str", "GET TYPE fake ups.rw.enum", "GET TYPE fake ups.rw.range",
		"GET TYPE fake ups.ro.num", "GET TYPE fake ups.rw.noaux", "GET TYPE fake nope", "GET DESC fake zz", "GET CMDDESC fake zz",
		"GET DESC Third ups.status", "GET UPSDESC fake", "GET UPSDESC third", "GET UPSDESC zz", "GET NUMLOGINS fake",
		"GET NUMLOGINS Third", "GET NUMLOGINS zz", "GET TRACKING", "GET TRACKING abc", "LIST", "LIST VAR", "LIST FOO fake",
		"LIST CLIENTS fake", "LIST ENUM fake", "LIST UPS", "LIST CMD fake", "LIST ENUM fake ups.rw.enum", "LIST RANGE fake ups.rw.range",
		"LIST RANGE fake ups.rw.num", "LIST RANGE fake nope", "list var FAKE surplus", "LIST RW fake", "LIST VAR Third", "LIST VAR nope",
		"LIST CLIENT Third", "LIST CLIENT zz", "FSD", "LOGIN", "SET VAR fake ups.rw.str x", "INSTCMD fake load.off", "PRIMARY fake",
		"STARTTLS", "NETVER\r\r", "PASSWORD", "USERNAME a b",
	},
	{
		"USERNAME admin", "USERNAME admin", "FSD fake", "PASSWORD a=b", "PASSWORD secret", "PASSWORD secret",
		"SET VAR fake ups.rw.str x", "SET VAR fake ups.rw.str 123456789", `SET VAR fake ups.rw.str "a \"b"`, "SET VAR fake ups.rw.str a=b",
		"SET VAR fake UPS.rw.str a b", "SET VAR fake ups.rw.enum ONE", "SET VAR fake ups.rw.enum one", "SET VAR fake ups.rw.range 17",
		"SET VAR fake ups.rw.range 5abc", "SET VAR fake ups.rw.noaux abc", "SET VAR fake ups.ro.num 1", "SET VAR fake zz 1",
		"SET VAR fake ups.rw.str", "SET VAR zz ups.rw.str x", "SET VAR Third ups.rw.str x", "SET", "SET WHAT fake ups.rw.str x",
		"INSTCMD", "INSTCMD fake", "INSTCMD zz load.off", "INSTCMD Third load.off", "INSTCMD fake nope", "INSTCMD fake LOAD.OFF",
		"INSTCMD fake load.off 5", "INSTCMD fake load.off 1 2", "LOGIN fake", "PRIMARY fake", "LOGIN", "SET TRACKING",
		"SET TRACKING maybe", "SET TRACKING on", "GET TRACKING", "GET TRACKING nobody-knows-this", "SET TRACKING OFF", "GET TRACKING",
		"FSD zz", "FSD", "FSD Third", "FSD fake", "GET VAR fake ups.status", "LIST VAR fake", "LOGOUT now", "LOGOUT",
	},
	{
		"USERNAME admin", "PASSWORD nonsense", "SET VAR fake ups.rw.str x", "INSTCMD fake load.off", "LOGIN fake", "FSD fake",
		"PRIMARY fake", "MASTER fake", "INSTCMD fake nope", "SET VAR zz ups.rw.str x", "SET VAR Third ups.rw.str x", "SET VAR fake zz x",
	},
	{
		"USERNAME mon", `PASSWORD "mon pw"`, "LOGIN zz", "LOGIN FAKE", "LOGIN fake", "LOGIN a b", "MASTER fake", "PRIMARY fake", "PRIMARY zz",
		"PRIMARY", "SET VAR fake ups.rw.str x", "INSTCMD fake load.off", "GET NUMLOGINS fake", "LIST CLIENT fake",
	},
	{"USERNAME sec", "PASSWORD s", "LOGIN third", "PRIMARY fake", "FSD fake", "LIST CLIENT third"},
	{"USERNAME few", "PASSWORD f", "INSTCMD fake beeper.MUTE", "INSTCMD fake load.off", "SET VAR fake ups.rw.str x"},
	{"PASSWORD \"\"", "USERNAME \"\"", "FSD fake"},
	{"USERNAME admin", "PASSWORD secret", "SET VAR fake ups.rw.str end"},
}

// TestUPSDAnswersAsC asks C's upsd and ours the same and compares what they answer
// and what their driver gets.
func TestUPSDAnswersAsC(t *testing.T) {
	cPath(t, "upsd")
	ask := func(p program) (replies, driven []string) {
		h := newHost(t, upsdFiles())
		d := h.scriptedDriver("dummy-fake")
		h.start(p)
		h.await("fake", "ups.ro.num", "3")
		for _, list := range upsdRequests {
			c, err := net.Dial("tcp", h.addr())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close() // all at the end: logins are to stay
			r := bufio.NewReader(c)
			for _, request := range list {
				replies = append(replies, request+" → "+askLine(t, c, r, request))
			}
		}
		h.eventually("the driver has got the last request", func() error {
			d.mu.Lock()
			defer d.mu.Unlock()
			driven = slices.Clone(d.got)
			if n := len(driven); n == 0 || !strings.Contains(driven[n-1], "end") {
				return errIs(driven)
			}
			return nil
		})
		return replies, driven
	}
	cReplies, cDriven := ask(cUPSD())
	replies, driven := ask(ourUPSD())
	for i := range replies {
		if replies[i] != cReplies[i] {
			t.Errorf("ours: %s\nC's:  %s", replies[i], cReplies[i])
		}
	}
	if len(driven) == 0 {
		t.Error("the driver got nothing")
	}
	// C forwards these in the same words.
	if !slices.Equal(driven, cDriven) {
		t.Errorf("the driver got\n%q\nby C's upsd\n%q", driven, cDriven)
	}
}

// askLine sends a request and returns the reply, a whole list if it is one.
func askLine(t *testing.T, c net.Conn, r *bufio.Reader, request string) string {
	t.Helper()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(c, request+"\n"); err != nil {
		t.Fatalf("send %q: %v", request, err)
	}
	reply, err := r.ReadString('\n')
	for err == nil && strings.HasPrefix(reply, "BEGIN ") && !strings.Contains(reply, "\nEND ") {
		var line string
		line, err = r.ReadString('\n')
		reply += line
	}
	if err != nil {
		t.Fatalf("%q: %v after %q", request, err, reply)
	}
	return reply
}

// withTLS makes certificates with our program and lets upsd use them.
func withTLS(t *testing.T) (*host, *process) {
	t.Helper()
	h := newHost(t, upsdFiles())
	if r := h.run(ourProgram("nut", "cert", "-dir", h.dir, "localhost")); r.code != 0 {
		t.Fatalf("nut cert: %s", r.stderr)
	}
	h.write("upsd.conf", "LISTEN 127.0.0.1 @PORT@\nCERTFILE @DIR@/upsd.pem\n")
	h.scriptedDriver("dummy-fake")
	pr := h.start(ourUPSD())
	h.await("fake", "ups.ro.num", "3")
	return h, pr
}

// C's upsc tries STARTTLS whenever the server offers it.
func TestCClientsOverTLS(t *testing.T) {
	cPath(t, "upsc")
	h, _ := withTLS(t)
	r := h.run(cProgram("upsc", h.system("fake"), "ups.test"))
	if r.code != 0 || r.stdout != `abc "q" \ end`+"\n" {
		t.Errorf("upsc: %+v", r)
	}
	if !strings.Contains(r.stderr, "SSL handshake done successfully") {
		t.Errorf("upsc did not speak TLS: %s", r.stderr)
	}
	if r := h.run(cProgram("upscmd", "-l", h.system("fake"))); r.code != 0 || !strings.Contains(r.stdout, "load.off") {
		t.Errorf("upscmd -l: %+v", r)
	}
}

func TestCUPSMonOverTLS(t *testing.T) {
	cPath(t, "upsmon")
	h, _ := withTLS(t)
	h.write("upsmon.conf", "MONITOR fake@127.0.0.1:@PORT@ 1 sec s slave\nMINSUPPLIES 1\nSHUTDOWNCMD true\nPOLLFREQ 1\nFORCESSL 1\nCERTVERIFY 0\nRUN_AS_USER root\n")
	mon := h.start(cUPSMon())
	h.eventually("C's upsmon is logged in", func() error {
		c, err := h.client()
		if err != nil {
			return err
		}
		defer c.Close()
		hosts, err := c.List(t.Context(), "CLIENT", "fake")
		if err == nil && len(hosts) != 1 {
			err = errIs(len(hosts))
		}
		return err
	})
	if !strings.Contains(mon.output(), "SSL handshake done successfully") {
		t.Errorf("upsmon did not speak TLS:\n%s", mon.output())
	}
}

// openssl knows no STARTTLS of NUT's, so the test says it and passes the rest on.
func TestOpenSSLClient(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		missing(t, "openssl is not installed (apt-get install openssl)")
	}
	h, _ := withTLS(t)
	for _, c := range []struct {
		args []string
		good bool
	}{
		{[]string{"-tls1_3"}, true},
		{[]string{"-tls1_2"}, true},
		{[]string{"-tls1_1", "-cipher", "ALL:@SECLEVEL=0"}, false},
	} {
		addr := startTLSRelay(t, h.addr())
		args := append([]string{"s_client", "-quiet", "-verify_return_error", "-verify_hostname", "localhost",
			"-CAfile", filepath.Join(h.dir, "ca.pem"), "-connect", addr}, c.args...)
		cmd := exec.CommandContext(t.Context(), openssl, args...)
		stdin, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		var out lockedBuffer
		cmd.Stdout = &out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		io.WriteString(stdin, "GET VAR fake ups.ro.num\nLOGOUT\n")
		cmd.Wait()
		stdin.Close()
		want := ""
		if c.good {
			want = "VAR fake ups.ro.num \"3\"\nOK Goodbye\n"
		}
		if got := out.String(); got != want {
			t.Errorf("openssl s_client %v got %q; want %q", c.args, got, want)
		}
	}
}

// startTLSRelay takes one connection, asks the server for TLS and joins the two.
func startTLSRelay(t *testing.T, server string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		s, err := net.Dial("tcp", server)
		if err != nil {
			return
		}
		defer s.Close()
		io.WriteString(s, "STARTTLS\n")
		reply := make([]byte, len("OK STARTTLS\n"))
		if _, err := io.ReadFull(s, reply); err != nil {
			return
		}
		go func() {
			io.Copy(s, c)
			s.(*net.TCPConn).CloseWrite()
		}()
		io.Copy(c, s)
	}()
	return l.Addr().String()
}

// Our client's Watch sees a change at once, and falls back against C's upsd.
func TestWatchAgainstBothServers(t *testing.T) {
	h := newHost(t, upsdFiles())
	h.scriptedDriver("dummy-fake")
	h.start(ourUPSD())
	h.await("fake", "ups.ro.num", "3")
	c, err := h.client()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	w, err := c.Watch(t.Context(), "fake", "ups.status")
	if err != nil {
		t.Fatal(err)
	}
	step, err := w.Next(t.Context())
	if err != nil || !step.Whole || len(step.Changes) != 1 || step.Changes[0].Value != "OL" || step.State != nil {
		t.Errorf("first step %+v, %v", step, err)
	}
	admin, err := h.client()
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	for _, request := range [][]string{{"USERNAME", "admin"}, {"PASSWORD", "secret"}, {"FSD", "fake"}} {
		if reply, err := admin.Do(t.Context(), request...); err != nil || !strings.HasPrefix(reply, "OK") {
			t.Fatalf("%s: %q, %v", request[0], reply, err)
		}
	}
	if step, err = w.Next(t.Context()); err != nil || len(step.Changes) != 1 || step.Changes[0].Value != "FSD OL" {
		t.Errorf("after FSD: %+v, %v", step, err)
	}

	cPath(t, "upsd")
	old := newHost(t, upsdFiles())
	old.scriptedDriver("dummy-fake")
	old.start(cUPSD())
	old.await("fake", "ups.ro.num", "3")
	if c, err = old.client(); err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Watch(t.Context(), "fake"); err != upsclient.ErrUnknownCommand {
		t.Errorf("Watch() of C's upsd = %v; want ErrUnknownCommand", err)
	}
	if v, err := c.Get(t.Context(), "fake", "ups.status"); v != "OL" || err != nil {
		t.Errorf("after that Get() = %q, %v", v, err)
	}
}

// TestUPSDExitsAsC runs both with the same command lines.
func TestUPSDExitsAsC(t *testing.T) {
	cPath(t, "upsd")
	h := newHost(t, upsdFiles())
	for _, args := range [][]string{
		{"-h"}, {"-V"}, {"-x"}, {"operand"}, {"-c", "nonsense"}, {"-c", "reload"}, {"-c", "stop"}, {"-c", "stop", "-P", "1"},
		{"-p", "3493"}, {"-i", "127.0.0.1"},
		{"-F", "-u", "no-such-account"},
	} {
		theirs, ours := h.run(cProgram("upsd", args...)), h.run(ourProgram("upsd", args...))
		if ours.code != theirs.code {
			t.Errorf("upsd %q ends with %d, C's with %d\n%s%s", args, ours.code, theirs.code, ours.stderr, theirs.stderr)
		}
	}
	h.write("upsd.conf", "LISTEN 127.0.0.1 "+strings.TrimPrefix(h.addr(), "127.0.0.1:")+"\n")
	h.start(ourUPSD())
	other := newHost(t, upsdFiles())
	other.write("upsd.conf", "LISTEN 127.0.0.1 "+strings.TrimPrefix(h.addr(), "127.0.0.1:")+"\n")
	for _, p := range []program{cProgram("upsd", asRoot("-F")...), ourProgram("upsd", asRoot("-F")...)} {
		if r := other.run(p); r.code != 1 {
			t.Errorf("upsd (ours: %v) on a port in use ends with %d: %s", p.ours, r.code, r.stderr)
		}
	}
}

// A upsd in the background takes orders by its PID file and by the other program's
// -c.
func TestUPSDInBackground(t *testing.T) {
	h := newHost(t, upsdFiles())
	h.scriptedDriver("dummy-fake")
	if r := h.run(ourProgram("upsd", asRoot()...)); r.code != 0 {
		t.Fatalf("upsd: %+v", r)
	}
	stopped := false
	defer func() {
		if !stopped {
			h.run(ourProgram("upsd", "-c", "stop"))
		}
	}()
	h.await("fake", "ups.ro.num", "3")
	if r := h.run(ourProgram("upsd", asRoot()...)); r.code != 1 || !strings.Contains(r.stdout, "already running") {
		t.Errorf("a second upsd: %+v", r)
	}

	// A reload keeps clients and the driver's link.
	c, err := net.Dial("tcp", h.addr())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	r := bufio.NewReader(c)
	h.write("ups.conf", "[new]\n driver = dummy\n port = x\n[fake]\n driver = dummy\n port = x\n desc = changed\n")
	if r := h.run(ourProgram("upsd", "-c", "reload")); r.code != 0 {
		t.Errorf("-c reload: %+v", r)
	}
	h.eventually("the new device is listed", func() error {
		if got := askLine(t, c, r, "LIST UPS"); got != "BEGIN LIST UPS\nUPS new \"Description unavailable\"\nUPS fake \"changed\"\nEND LIST UPS\n" {
			return errIs(got)
		}
		return nil
	})
	if got := askLine(t, c, r, "GET VAR fake ups.status"); got != "VAR fake ups.status \"OL\"\n" {
		t.Errorf("after the reload: %s", got)
	}

	// A wrong configuration changes nothing.
	h.write("upsd.conf", "LISTEN 127.0.0.1 @PORT@\nCERTFILE /no/such/file\n")
	h.write("ups.conf", "[other]\n driver = dummy\n port = x\n")
	if r := h.run(ourProgram("upsd", "-c", "reload")); r.code != 0 {
		t.Errorf("-c reload: %+v", r)
	}
	time.Sleep(300 * time.Millisecond)
	if got := askLine(t, c, r, "GET UPSDESC fake"); got != "UPSDESC fake \"changed\"\n" {
		t.Errorf("after a reload with a wrong configuration: %s", got)
	}
	stop := ourProgram("upsd", "-c", "stop")
	if r := h.run(stop); r.code != 0 {
		t.Errorf("-c stop: %+v", r)
	}
	stopped = true
	h.eventually("upsd is gone", func() error {
		if err := h.listening(); err == nil {
			return errIs("still there")
		}
		return nil
	})
	h.eventually("the PID file is gone", func() error {
		if isFile(filepath.Join(h.dir, "state", "upsd.pid")) {
			return errIs("there")
		}
		return nil
	})
}
