package usb_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"gonut/internal/drvsock"
	"gonut/internal/ups"
	"gonut/internal/words"
)

// A way is a driver's program and whom it runs as. A user who may not open the nodes
// of usbfs is left with hidraw.
type way struct{ name, program, user string }

// The ways to a device: C NUT's driver, and ours.
func cDriver() way   { return way{"C's", "/lib/nut/usbhid-ups", "root"} }
func overUSBFS() way { return way{"ours by usbfs", "/bin/usbhid-ups", "root"} }
func overRaw() way   { return way{"ours by hidraw", "/bin/usbhid-ups", "nut"} }

// A driver is a running driver process, and what it says on its socket.
type driver struct {
	way
	cmd     *exec.Cmd
	state   *ups.State
	conn    net.Conn
	log     *safeBuffer
	ended   chan struct{} // closed when the process has ended
	results chan drvsock.Message
}

// A safeBuffer is a buffer that two goroutines may use. It puts the time since boot
// before each text.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintf(&s.b, "%8.3f %s", uptime().Seconds(), p)
	return len(p), nil
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// startDriver starts a driver for a unit and waits for its first complete dump.
// It is ended when the test ends, if not before.
func startDriver(t *testing.T, w way, u *unit, options ...string) *driver {
	t.Helper()
	if _, err := os.Stat(w.program); err != nil {
		t.Skipf("%s is not in this machine: install nut-server", w.program)
	}
	dir := configure(t, w, u, options)
	d := &driver{way: w, log: &safeBuffer{}, ended: make(chan struct{}), state: ups.NewState(), results: make(chan drvsock.Message, 16)}
	d.cmd = exec.Command(w.program, "-a", "test", "-F", "-u", w.user)
	d.cmd.Env = append(os.Environ(), "GOTRACEBACK=all", "NUT_CONFPATH="+dir, "NUT_STATEPATH="+dir, "NUT_ALTPIDPATH="+dir, "NUT_PIDPATH="+dir)
	d.cmd.Stdout, d.cmd.Stderr = d.log, d.log
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		d.cmd.Wait()
		close(d.ended)
	}()
	t.Cleanup(func() {
		d.stop(t)
		if t.Failed() {
			log, _, _ := strings.Cut(d.log.String(), "SIGABRT")
			t.Logf("log of the driver, %s:\n%s", w.name, log)
		}
	})
	d.connect(t, drvsock.DialPath(drvsock.Path(dir, "usbhid-ups", "test")))
	return d
}

// configure makes a folder with an ups.conf for a unit, which the driver's user may
// write to.
func configure(t *testing.T, w way, u *unit, options []string) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "nut")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if who, err := user.Lookup(w.user); err == nil && who.Uid != "0" {
		id, _ := strconv.Atoi(who.Uid)
		if err := os.Chown(dir, id, id); err != nil {
			t.Fatal(err)
		}
		go u.allowRaw(t.Context())
	}
	var conf strings.Builder
	conf.WriteString("[test]\n\tdriver = usbhid-ups\n\tport = auto\n")
	for _, o := range append(options, fmt.Sprintf("vendorid = %04x", u.rec.Info.VendorID),
		fmt.Sprintf("productid = %04x", u.rec.Info.ProductID), fmt.Sprintf("serial = %q", strings.TrimSpace(u.rec.Info.Serial))) {
		fmt.Fprintf(&conf, "\t%s\n", o)
	}
	if err := os.WriteFile(filepath.Join(dir, "ups.conf"), []byte(conf.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

// allowRaw lets everybody open the nodes of hidraw, new ones a little later than the
// kernel makes them, as udevd would.
func (u *unit) allowRaw(ctx context.Context) {
	for ctx.Err() == nil {
		nodes, _ := filepath.Glob("/dev/hidraw*")
		for _, n := range nodes {
			os.Chmod(n, 0o666)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func (d *driver) connect(t *testing.T, dial drvsock.Dialer) {
	t.Helper()
	eventually(t, d.name+" driver listens", func() bool {
		select {
		case <-d.ended:
			t.Fatalf("the driver, %s, ended:\n%s", d.name, d.log)
		default:
		}
		c, err := dial(context.Background())
		d.conn = c
		return err == nil
	})
	dumped := make(chan struct{})
	go d.follow(dumped)
	fmt.Fprintln(d.conn, drvsock.DumpAll)
	select {
	case <-dumped:
	case <-time.After(10 * time.Second):
		t.Fatalf("the driver, %s, dumps nothing", d.name)
	}
}

// follow applies what the driver says to d.state.
func (d *driver) follow(dumped chan struct{}) {
	var once sync.Once
	s := words.NewScanner(d.conn)
	for s.Scan() {
		switch m := drvsock.Parse(s.Words()); m.Kind {
		case drvsock.Change:
			d.state.Apply(m.Change)
		case drvsock.DumpEnd:
			once.Do(func() { close(dumped) })
		case drvsock.TrackingDone:
			select {
			case d.results <- m:
			default:
			}
		}
	}
}

// ask makes a request and returns the result that the driver reports.
func (d *driver) ask(t *testing.T, r drvsock.Request) int {
	t.Helper()
	r.ID = fmt.Sprintf("id-%d", time.Now().UnixNano())
	if _, err := d.conn.Write(r.Append(nil)); err != nil {
		t.Fatal(err)
	}
	limit := time.After(15 * time.Second)
	for {
		select {
		case m := <-d.results:
			if m.ID == r.ID {
				return int(m.Result)
			}
		case <-limit:
			t.Errorf("the driver, %s, does not report the result of %s", d.name, r.Name)
			return -1
		}
	}
}

// stop ends the process as upsdrvctl would.
func (d *driver) stop(t *testing.T) {
	t.Helper()
	if d.conn != nil {
		d.conn.Close()
	}
	d.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-d.ended:
	case <-time.After(10 * time.Second):
		t.Errorf("the driver, %s, does not end within 10 s of SIGTERM", d.name)
		d.cmd.Process.Kill()
		<-d.ended
	}
}
