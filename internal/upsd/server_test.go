package upsd

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gonut/internal/conf"
	"gonut/internal/memnet"
)

// testConf is upsd.conf with C's defaults.
func testConf() conf.UPSD {
	return conf.UPSD{MaxAge: 15 * time.Second, TrackingDelay: time.Hour, DebugMin: -1}
}

// testUsers are the users of the vectors.
const testUsers = `
[admin]
	password = secret
	actions = SET FSD
	instcmds = ALL
[mon]
	password = "mon pw"
	upsmon primary
[sec]
	password = s
	upsmon secondary
[few]
	password = f
	instcmds = Beeper.mute
`

func parseUsers(t testing.TB, text string) conf.Users {
	t.Helper()
	us, problems, err := conf.ParseUsers("upsd.users", strings.NewReader(text))
	if err != nil || len(problems) > 0 {
		t.Fatalf("ParseUsers: %v %v", problems, err)
	}
	return us
}

// dump is what the fake driver of the vectors says when it is asked.
const dump = `SETINFO ups.status "OL"
SETINFO ups.test "abc \"q\" \\ end"
SETINFO ups.rw.str "hello"
SETFLAGS ups.rw.str RW STRING
SETAUX ups.rw.str 8
SETINFO ups.rw.enum "two"
ADDENUM ups.rw.enum "one"
ADDENUM ups.rw.enum "two"
ADDENUM ups.rw.enum "th\#ree"
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

// A fakeDriver is the other end of a driver socket, in memory.
type fakeDriver struct {
	net  *memnet.Network
	name string
	dump string

	mu     sync.Mutex
	lines  []string // requests other than PING and DUMPALL
	pings  int
	mute   bool // no answer to PING
	deaf   bool // reads nothing but the DUMPALL of a connection
	refuse bool // no connection
	conn   net.Conn
}

// run serves connections until ctx ends.
func (f *fakeDriver) run(ctx context.Context, t testing.TB) {
	l, err := f.net.Listen(ctx, "unix", f.name)
	if err != nil {
		t.Error(err)
		return
	}
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		f.mu.Lock()
		f.conn = c
		refuse := f.refuse
		f.mu.Unlock()
		if !refuse {
			f.serve(ctx, c)
		}
		c.Close()
	}
}

func (f *fakeDriver) serve(ctx context.Context, c net.Conn) {
	r := bufio.NewScanner(c)
	for r.Scan() {
		f.mu.Lock()
		mute := f.mute
		f.mu.Unlock()
		switch line := r.Text(); line {
		case "DUMPALL":
			io.WriteString(c, f.dump)
			f.mu.Lock()
			deaf := f.deaf
			f.mu.Unlock()
			if deaf {
				for time.Sleep(time.Second); ctx.Err() == nil; time.Sleep(time.Second) {
					if _, err := io.WriteString(c, "PONG\n"); err != nil {
						return
					}
				}
			}
		case "PING":
			f.mu.Lock()
			f.pings++
			f.mu.Unlock()
			if !mute {
				io.WriteString(c, "PONG\n")
			}
		default:
			f.mu.Lock()
			f.lines = append(f.lines, line)
			f.mu.Unlock()
		}
	}
}

// say sends lines of the driver's own accord.
func (f *fakeDriver) say(format string, args ...any) {
	f.mu.Lock()
	c := f.conn
	f.mu.Unlock()
	fmt.Fprintf(c, format, args...)
}

// got returns and forgets the requests so far.
func (f *fakeDriver) got() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	ls := f.lines
	f.lines = nil
	return ls
}

func (f *fakeDriver) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

// A log is one that a test can read.
type log struct {
	mu  sync.Mutex
	buf strings.Builder
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *log) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// A world is a server with the devices of the vectors: fake, whose driver runs,
// and Third, whose driver does not.
type world struct {
	t      testing.TB
	net    *memnet.Network
	log    *log
	server *Server
	driver *fakeDriver
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

// inWorld runs test in a bubble of fake time.
func inWorld(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, testConf())
		defer w.end()
		test(t, w)
	})
}

func newWorld(t testing.TB, c conf.UPSD) *world {
	w := &world{t: t, net: &memnet.Network{}, log: &log{}}
	w.ctx, w.cancel = context.WithCancel(context.Background())
	w.driver = &fakeDriver{net: w.net, name: "dummy-fake", dump: dump}
	w.server = New(c, parseUsers(t, testUsers), slog.New(slog.NewTextHandler(w.log, nil)))
	w.server.SetDevices([]Device{{Name: "fake", Driver: "dummy"}, {Name: "Third", Driver: "dummy", Desc: `a "third"`}})
	w.wg.Go(func() { w.driver.run(w.ctx, t) })
	synctest.Wait()
	w.wg.Go(func() { w.server.MirrorAll(w.ctx, w.dialer) })
	l, err := w.net.Listen(w.ctx, "tcp", "127.0.0.1:3493")
	if err != nil {
		t.Fatal(err)
	}
	w.wg.Go(func() {
		if err := w.server.Serve(w.ctx, l); err != nil {
			t.Errorf("Serve() = %v; want nil", err)
		}
	})
	synctest.Wait()
	return w
}

func (w *world) dialer(d Device) Dialer {
	return func(ctx context.Context) (net.Conn, error) {
		return w.net.Dial(ctx, "unix", d.Driver+"-"+d.Name)
	}
}

func (w *world) end() {
	w.cancel()
	w.wg.Wait()
}

// A client speaks lines.
type client struct {
	t    testing.TB
	conn net.Conn
	r    *bufio.Reader
}

func (w *world) dial() *client {
	w.t.Helper()
	c, err := w.net.Dial(w.ctx, "tcp", "127.0.0.1:3493")
	if err != nil {
		w.t.Fatal(err)
	}
	return w.client(c)
}

func (w *world) client(c net.Conn) *client { return &client{w.t, c, bufio.NewReader(c)} }

// as returns a client that has given a name and password.
func (w *world) as(user, password string) *client {
	w.t.Helper()
	c := w.dial()
	c.want("USERNAME "+user, "OK")
	c.want("PASSWORD "+password, "OK")
	return c
}

func (c *client) send(text string) {
	c.t.Helper()
	if _, err := io.WriteString(c.conn, text); err != nil {
		c.t.Errorf("send %q: %v", text, err)
	}
}

func (c *client) line() string {
	c.t.Helper()
	c.conn.SetReadDeadline(time.Now().Add(time.Hour))
	l, err := c.r.ReadString('\n')
	if err != nil {
		return "(" + err.Error() + ")"
	}
	return strings.TrimSuffix(l, "\n")
}

// ask sends one line and returns one line, or a whole list.
func (c *client) ask(request string) string {
	c.t.Helper()
	c.send(request + "\n")
	reply := c.line()
	if !strings.HasPrefix(reply, "BEGIN ") {
		return reply
	}
	end := "END " + strings.TrimPrefix(reply, "BEGIN ")
	all := []string{reply}
	for all[len(all)-1] != end {
		l := c.line()
		all = append(all, l)
		if strings.HasPrefix(l, "(") {
			break
		}
	}
	return strings.Join(all, "\n")
}

func (c *client) want(request, reply string) {
	c.t.Helper()
	if got := c.ask(request); got != reply {
		c.t.Errorf("%s\ngot  %q\nwant %q", request, got, reply)
	}
}
