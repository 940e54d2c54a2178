package driver_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gonut/internal/driver"
)

// A talker is a device that is asked over a connection.
type talker struct {
	conn net.Conn
	r    *bufio.Reader
	v    driver.Values
}

func talkers() driver.Driver {
	return driver.Driver{
		Name: "talker", Version: "1",
		Options: []driver.Option{{Name: "login"}, {Name: "password", Secret: true}},
		Open: func(ctx context.Context, v driver.Values, _ *slog.Logger) (driver.Device, error) {
			conn, err := v.Dial(ctx, "tcp", v.Port)
			if err != nil {
				return nil, err
			}
			return &talker{conn, bufio.NewReader(conn), v}, nil
		},
	}
}

func (d *talker) Poll(_ context.Context, _ driver.Depth, u *driver.Update) error {
	fmt.Fprintf(d.conn, "get %s %s\n", d.v.Get("login"), d.v.Get("password"))
	d.conn.SetReadDeadline(time.Now().Add(time.Second))
	line, err := d.r.ReadString('\n')
	if err != nil {
		return fmt.Errorf("%w: %w", err, driver.ErrGone)
	}
	status, serial, _ := strings.Cut(strings.TrimSpace(line), " ")
	u.Status(status)
	u.Set("ups.serial", serial)
	return nil
}

func (d *talker) Wake() <-chan struct{} { return nil }
func (d *talker) Command(context.Context, string, string) error {
	return nil
}
func (d *talker) Set(context.Context, string, string) error { return driver.ErrUnknown }
func (d *talker) Close() error                              { return d.conn.Close() }

// answers is the other end: OL for a while, then OB.
func answers(t *testing.T) func(ctx context.Context, network, addr string) (net.Conn, error) {
	begin := time.Now()
	return func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		go func() {
			for s := bufio.NewScanner(theirs); s.Scan(); {
				if s.Text() != "get me hush-hush" {
					t.Errorf("asked %q", s.Text())
				}
				status := "OL"
				if time.Since(begin) > 5*time.Second {
					status = "OB"
				}
				fmt.Fprintf(theirs, "%s SN-4711\n", status)
			}
		}()
		return ours, nil
	}
}

func runTalker(t *testing.T, c driver.Config, d time.Duration) (*driver.Session, []string, error) {
	t.Helper()
	s := driver.NewSession(talkers(), c, driver.Hooks{}, slog.New(slog.NewTextHandler(t.Output(), nil)))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	var statuses []string
	for range int(d / time.Second) {
		time.Sleep(time.Second)
		if v := s.State().Value("ups.status"); len(statuses) == 0 || statuses[len(statuses)-1] != v {
			statuses = append(statuses, v)
		}
	}
	cancel()
	return s, statuses, <-done
}

func TestSessionRecordsAndReplays(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "x.rec")
	synctest.Test(t, func(t *testing.T) {
		c := driver.NewConfig("ups", "host:1")
		c.Record = path
		c.PollInterval = 3 * time.Second
		c.Values.Set["login"], c.Values.Set["password"] = "me", "hush-hush"
		c.Values.Dial = answers(t)
		s, statuses, err := runTalker(t, c, 10*time.Second)
		if err != nil || strings.Join(statuses, " ") != "OL OB" {
			t.Errorf("recorded: %v, %v", statuses, err)
		}
		if got := s.State().Value("driver.parameter.record"); got != path {
			t.Errorf("driver.parameter.record = %q; want %q", got, path)
		}
	})
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	if !strings.HasPrefix(text, "nut-recording 1\ndriver \"talker\"\nport \"host:1\"\noption login \"me\"\noption password \"***\"\noption pollinterval \"3\"\n") ||
		!strings.Contains(text, `0.000 1 > "get me ***\n"`) {
		t.Errorf("recorded\n%s", text)
	}
	if strings.Contains(text, "hush") || strings.Contains(text, "SN-4711") {
		t.Errorf("secrets are in\n%s", text)
	}

	for _, withPassword := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			c := driver.NewConfig("ups", "replay:x.rec")
			c.Values.ConfPath = dir
			if withPassword {
				c.Values.Set["password"] = "hush-hush"
			}
			_, statuses, err := runTalker(t, c, 10*time.Second)
			if err != nil || strings.Join(statuses, " ") != "OL OB" {
				t.Errorf("replayed: %v, %v; want OL OB", statuses, err)
			}
			// The power of a recording can be cut too, and that leaves it alone.
			c.Record = path
			if err := driver.NewSession(talkers(), c, driver.Hooks{}, slog.New(slog.DiscardHandler)).Kill(t.Context()); err != nil {
				t.Errorf("Kill = %v; want nil", err)
			}
		})
	}
	if again, err := os.ReadFile(path); err != nil || string(again) != text {
		t.Errorf("the recording after it was played: %v\n%s", err, again)
	}
}

func TestBadRecordOptions(t *testing.T) {
	dir := t.TempDir()
	bad := filepath.Join(dir, "bad.rec")
	other := filepath.Join(dir, "other.rec")
	for name, text := range map[string]string{bad: "ups.status: OL\n", other: "nut-recording 1\ndriver \"usbhid-ups\"\n"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	type row struct{ port, record, want string }
	rows := []row{
		{"replay:" + filepath.Join(dir, "none.rec"), "", "none.rec: no such file"},
		{"replay:none.rec", "", "port = replay:none.rec: open none.rec: no such file"},
		{"replay:" + bad, "", "bad.rec:1: this is no recording"},
		{"replay:" + other, "", "the recording is one of driver usbhid-ups, this is talker"},
		{"host:1", filepath.Join(bad, "x"), "record = "},
	}
	if runtime.GOOS == "linux" { // where not even root may make files
		rows = append(rows, row{"host:1", "/sys/x.rec", fmt.Sprintf("permission denied; the driver runs as user id %d,", os.Geteuid())})
	}
	for _, tt := range rows {
		c := driver.NewConfig("ups", tt.port)
		c.Record = tt.record
		s := driver.NewSession(talkers(), c, driver.Hooks{}, slog.New(slog.DiscardHandler))
		err := s.Run(t.Context())
		if !errors.Is(err, driver.ErrConfig) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("port %s, record %s: Run = %v; want %q", tt.port, tt.record, err, tt.want)
		}
	}
}
