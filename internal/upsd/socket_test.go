package upsd

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"gonut/internal/conf"
	"gonut/internal/hostaccess"
)

// serveSockets runs a server on real sockets with the device fake, whose driver is
// in memory.
func serveSockets(t testing.TB, c conf.UPSD, users string, prepare func(*Server)) (*Server, *Front) {
	t.Helper()
	s := New(c, parseUsers(t, users), slog.New(slog.DiscardHandler))
	s.SetDevices([]Device{{Name: "fake", Driver: "dummy"}})
	if prepare != nil {
		prepare(s)
	}
	ctx, cancel := context.WithCancel(context.Background())
	f, err := OpenFront(ctx, s, c, AnyFamily, (&net.ListenConfig{}).Listen, s.log)
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() { f.Serve(ctx) })
	wg.Go(func() { s.MirrorAll(ctx, pipeDriver(&wg, dump)) })
	t.Cleanup(func() {
		cancel()
		wg.Wait()
	})
	for s.device([]byte("fake")).state.Value("ups.test") == "" {
		time.Sleep(time.Millisecond)
	}
	return s, f
}

// pipeDriver is a driver that dumps, answers PING and takes everything.
func pipeDriver(wg *sync.WaitGroup, dump string) func(Device) Dialer {
	return func(Device) Dialer {
		return func(context.Context) (net.Conn, error) {
			ours, theirs := net.Pipe()
			wg.Go(func() {
				defer theirs.Close()
				r := bufio.NewScanner(theirs)
				for r.Scan() {
					switch r.Text() {
					case "DUMPALL":
						io.WriteString(theirs, dump)
					case "PING":
						io.WriteString(theirs, "PONG\n")
					}
				}
			})
			return ours, nil
		}
	}
}

func loopbackConf(addrs ...string) conf.UPSD {
	c := testConf()
	for _, a := range addrs {
		c.Listen = append(c.Listen, conf.Listen{Addr: a, Port: "0", Line: 1})
	}
	return c
}

func dialSocket(t testing.TB, a net.Addr) *client {
	t.Helper()
	c, err := net.Dial(a.Network(), a.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &client{t, c, bufio.NewReader(c)}
}

// manyReads make a connection a busy one.
const manyReads = 50

func TestSocketConversation(t *testing.T) {
	_, f := serveSockets(t, loopbackConf("127.0.0.1"), testUsers, nil)
	c := dialSocket(t, f.Addrs()[0])
	for range manyReads { // well into what a busy connection does
		c.want("GET VAR fake ups.ro.num", `VAR fake ups.ro.num "3"`)
	}
	// More than the reader's and the writer's buffers at once.
	const many = 5000
	go c.send(strings.Repeat("GET VAR fake ups.test\n", many))
	for range many {
		if got := c.line(); got != `VAR fake ups.test "abc \"q\" \\ end"` {
			t.Fatalf("got %q", got)
		}
	}
	c.want("LIST CLIENT fake", "BEGIN LIST CLIENT fake\nEND LIST CLIENT fake")
	l := dialSocket(t, f.Addrs()[0])
	l.want("USERNAME sec", "OK")
	l.want("PASSWORD s", "OK")
	l.want("LOGIN fake", "OK")
	c.want("LIST CLIENT fake", "BEGIN LIST CLIENT fake\nCLIENT fake 127.0.0.1\nEND LIST CLIENT fake")
	c.want("LOGOUT\nNETVER", "OK Goodbye")
	if got := c.line(); got != "(EOF)" {
		t.Errorf("after LOGOUT got %q; want the end", got)
	}
}

// The end of the stream that comes with the last request is seen, on a busy
// connection after a moment.
func TestHalfClosedSocket(t *testing.T) {
	_, f := serveSockets(t, loopbackConf("127.0.0.1"), testUsers, nil)
	for _, before := range []int{0, manyReads} {
		c := dialSocket(t, f.Addrs()[0])
		for range before {
			c.want("NETVER", "1.3")
		}
		c.send("NETVER\n")
		c.conn.(*net.TCPConn).CloseWrite()
		c.conn.SetReadDeadline(time.Now().Add(5 * time.Second))
		got, err := io.ReadAll(c.r)
		if string(got) != "1.3\n" || err != nil {
			t.Errorf("after %d requests: %q, %v; want the reply and the end", before, got, err)
		}
	}
}

func TestSlowReaderHoldsUpNobody(t *testing.T) {
	_, f := serveSockets(t, loopbackConf("127.0.0.1"), testUsers, nil)
	bad := dialSocket(t, f.Addrs()[0])
	bad.conn.SetWriteDeadline(time.Now().Add(300 * time.Millisecond))
	for {
		if _, err := io.WriteString(bad.conn, strings.Repeat("LIST VAR fake\n", 100)); err != nil {
			break // everything is full
		}
	}
	good := dialSocket(t, f.Addrs()[0])
	for range 100 {
		good.want("GET VAR fake ups.ro.num", `VAR fake ups.ro.num "3"`)
	}
}

func TestUnixSocketAndPeer(t *testing.T) {
	dir, err := os.MkdirTemp("", "upsd")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "upsd.sock")
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	users := testUsers + "[local]\n\tpeer = someone-else " + me.Username + "\n\tupsmon primary\n\tinstcmds = ALL\n"
	s, f := serveSockets(t, loopbackConf(path), users, nil)
	if fi, err := os.Stat(path); err != nil || fi.Mode().Perm() != 0o666 {
		t.Errorf("socket: %v %v; want mode 0666", fi, err)
	}
	if peerless := peerOf(nil); peerless.known {
		t.Error("peerOf(nil) knows somebody")
	}
	c := dialSocket(t, f.Addrs()[0])
	if probe := dialSocket(t, f.Addrs()[0]); !peerOf(probe.conn).known {
		t.Skip("this system does not tell who is at the other end of a socket")
	}
	c.want("LOGIN fake", "OK")
	c.want("PRIMARY fake", "OK PRIMARY-GRANTED")
	c.want("INSTCMD fake load.off", "OK")
	c.want("SET VAR fake ups.rw.str x", "ERR ACCESS-DENIED")
	c.want("LIST CLIENT fake", "BEGIN LIST CLIENT fake\nCLIENT fake unix:"+me.Username+"\nEND LIST CLIENT fake")

	// A name that is given counts, and only that.
	c = dialSocket(t, f.Addrs()[0])
	c.want("USERNAME admin", "OK")
	c.want("FSD fake", "ERR PASSWORD-REQUIRED")
	c.want("PASSWORD wrong", "OK")
	c.want("FSD fake", "ERR ACCESS-DENIED")

	// The right ends with the configuration.
	c = dialSocket(t, f.Addrs()[0])
	c.want("PRIMARY fake", "OK PRIMARY-GRANTED")
	s.Reload(testConf(), parseUsers(t, testUsers))
	c.want("PRIMARY fake", "ERR USERNAME-REQUIRED")
}

func TestHostsAllow(t *testing.T) {
	dir := t.TempDir()
	files := hostaccess.Files{Allow: filepath.Join(dir, "allow"), Deny: filepath.Join(dir, "deny")}
	if err := os.WriteFile(files.Deny, []byte("upsd: admin@ALL\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	s, f := serveSockets(t, loopbackConf("127.0.0.1"), testUsers, func(s *Server) { s.FollowAccessFiles(files, "upsd") })
	ask := func(want string) {
		t.Helper()
		c := dialSocket(t, f.Addrs()[0])
		c.want("FSD fake", "ERR USERNAME-REQUIRED")
		c.want("USERNAME admin", "OK")
		c.want("PASSWORD secret", "OK")
		c.want("INSTCMD fake", want)
		c.want("GET VAR fake ups.ro.num", `VAR fake ups.ro.num "3"`)
	}
	ask("ERR ACCESS-DENIED")
	if err := os.WriteFile(files.Allow, []byte("upsd: 127.\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	s.access.mu.Lock()
	s.access.looked = s.access.looked.Add(-rulesAge) // files are looked at this often
	s.access.mu.Unlock()
	ask("ERR INVALID-ARGUMENT")
}

func TestHostsAllowThatCannotBeRead(t *testing.T) {
	dir := t.TempDir()
	l := &log{}
	f := accessFile{files: hostaccess.Files{Allow: filepath.Join(dir, "allow"), Deny: dir}, service: "upsd"}
	for range 2 {
		if !f.current(slog.New(slog.NewTextHandler(l, nil))).Admits(hostaccess.Client{Addr: netip.MustParseAddr("192.0.2.1"), User: "admin"}) {
			t.Error("without rules somebody is kept out")
		}
		f.looked = f.looked.Add(-rulesAge)
	}
	if text := l.text(); strings.Count(text, "\n") != 1 || !strings.Contains(text, "everybody is let in") {
		t.Errorf("the log has %q; want once that everybody is let in", text)
	}
}

func TestListenRules(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := fmt.Sprint(taken.Addr().(*net.TCPAddr).Port)
	passing, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	passing.Close()
	free := fmt.Sprint(passing.Addr().(*net.TCPAddr).Port)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	spot := func(addr, port string) conf.Listen { return conf.Listen{Addr: addr, Port: port, Line: 7} }
	for _, c := range []struct {
		name   string
		listen []conf.Listen
		allow  bool
		open   int
		err    string
	}{
		{"one free", []conf.Listen{spot("127.0.0.1", "0")}, false, 1, ""},
		{"taken", []conf.Listen{spot("127.0.0.1", port)}, false, 0, "upsd.conf:7: "},
		{"taken, allowed", []conf.Listen{spot("127.0.0.1", port)}, true, 0, "upsd.conf:7: "},
		{"taken loopback beside another", []conf.Listen{spot("127.0.0.1", port), spot("127.0.0.1", "0")}, false, 1, ""},
		{"taken elsewhere", []conf.Listen{spot("*", port), spot("127.0.0.2", port), spot("127.0.0.1", "0")}, false, 0, "change LISTEN"},
		{"a part and all", []conf.Listen{spot("127.0.0.2", free), spot("0.0.0.0", free), spot("127.0.0.1", free), spot("192.0.2.77", free)}, false, 1, ""},
		{"a part and all of both", []conf.Listen{spot("127.0.0.2", free), spot("*", free)}, false, 1, ""},
		{"the same twice", []conf.Listen{spot("127.0.0.2", free), spot("127.0.0.2", free)}, false, 1, ""},
		{"not there yet", []conf.Listen{spot("192.0.2.77", "0"), spot("127.0.0.1", "0")}, false, 1, ""},
		{"nothing there yet", []conf.Listen{spot("192.0.2.77", "0")}, false, 0, ""},
		{"the other version beside", []conf.Listen{spot("::1", "0"), spot("127.0.0.1", "0")}, false, 1, ""},
		{"the other version only", []conf.Listen{spot("::1", "0")}, false, 0, "version 4"},
		{"both of localhost", []conf.Listen{spot("localhost", "0")}, false, 1, ""},
		{"no such service", []conf.Listen{spot("192.0.2.77", "no-such-service")}, false, 0, "upsd.conf:7: there is no service"},
		{"a socket in the way", []conf.Listen{spot(file, "")}, false, 0, "is not a socket; remove it"},
		{"a folder not there yet", []conf.Listen{spot(file+".d/sock", "")}, false, 0, ""},
	} {
		conf := testConf()
		conf.Listen, conf.AllowNotAllListeners = c.listen, c.allow
		s := New(conf, nil, slog.New(slog.DiscardHandler))
		f, err := OpenFront(context.Background(), s, conf, IPv4, (&net.ListenConfig{}).Listen, s.log)
		if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: error %v; want one with %q", c.name, err, c.err)
		}
		if f == nil {
			continue
		}
		if got := len(f.Addrs()); got != c.open {
			t.Errorf("%s: %d open; want %d: %v", c.name, got, c.open, f.Addrs())
		}
		f.Close()
	}
}

// LISTEN * is content with one version of IP, but says so if the other one was there
// to be had.
func TestListenOnAPart(t *testing.T) {
	for refusal, say := range map[error]bool{syscall.EADDRINUSE: true, syscall.EAFNOSUPPORT: false} {
		listen := func(ctx context.Context, network, addr string) (net.Listener, error) {
			if network == "tcp4" {
				return nil, &net.OpError{Op: "listen", Net: network, Err: os.NewSyscallError("bind", refusal)}
			}
			return net.Listen("tcp", "127.0.0.1:0")
		}
		l := &log{}
		c := loopbackConf("*")
		s := New(c, nil, slog.New(slog.NewTextHandler(l, nil)))
		f, err := OpenFront(context.Background(), s, c, AnyFamily, listen, s.log)
		if err != nil || len(f.Addrs()) != 1 {
			t.Fatalf("OpenFront() = %v; want it to open one", err)
		}
		f.Close()
		if got := strings.Contains(l.text(), "a part"); got != say {
			t.Errorf("with %v the log has %q; want it to say that a part is missing: %v", refusal, l.text(), say)
		}
	}
}
