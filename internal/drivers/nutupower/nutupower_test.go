package nutupower_test

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"gonut/internal/driver"
	"gonut/internal/drivers/nutupower"
)

// bus starts a message bus of the test's own and makes it the system bus.
func bus(t *testing.T) {
	t.Helper()
	path, err := exec.LookPath("dbus-daemon")
	if err != nil {
		t.Skip("dbus-daemon is not installed")
	}
	dir, err := os.MkdirTemp("", "bus")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	conf := filepath.Join(dir, "bus.conf")
	text := fmt.Sprintf(`<busconfig><type>system</type><listen>unix:path=%s/s</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*"/><allow eavesdrop="true"/><allow own="*"/><allow user="*"/></policy></busconfig>`, dir)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "--config-file="+conf, "--nofork", "--print-address")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("dbus-daemon did not start: %v", err)
	}
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", strings.TrimSpace(line))
}

// An upower is a service on the bus that has one device.
type upower struct {
	conn *dbus.Conn
	path dbus.ObjectPath

	mu    sync.Mutex
	props map[string]dbus.Variant
}

// EnumerateDevices, Get and GetAll are UPower's methods on the bus.
func (p *upower) EnumerateDevices() ([]dbus.ObjectPath, *dbus.Error) {
	return []dbus.ObjectPath{"/org/freedesktop/UPower/devices/line_power_AC", p.path}, nil
}

func (p *upower) Get(_, name string) (dbus.Variant, *dbus.Error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.props[name], nil
}

func (p *upower) GetAll(string) (map[string]dbus.Variant, *dbus.Error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make(map[string]dbus.Variant)
	for k, v := range p.props {
		all[k] = v
	}
	return all, nil
}

// set changes properties and tells so.
func (p *upower) set(pairs ...any) {
	p.mu.Lock()
	for i := 0; i < len(pairs); i += 2 {
		p.props[pairs[i].(string)] = dbus.MakeVariant(pairs[i+1])
	}
	p.mu.Unlock()
	p.conn.Emit(p.path, "org.freedesktop.DBus.Properties.PropertiesChanged", "org.freedesktop.UPower.Device", map[string]dbus.Variant{}, []string{})
}

func startUPower(t *testing.T) *upower {
	t.Helper()
	conn, err := dbus.ConnectSystemBus()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	p := &upower{conn: conn, path: "/org/freedesktop/UPower/devices/ups_hiddev0", props: map[string]dbus.Variant{
		"Type": dbus.MakeVariant(uint32(3)), "State": dbus.MakeVariant(uint32(4)), "Percentage": dbus.MakeVariant(98.6),
		"Voltage": dbus.MakeVariant(13.4), "TimeToEmpty": dbus.MakeVariant(int64(1800)), "Vendor": dbus.MakeVariant("APC"),
		"Model": dbus.MakeVariant("Back-UPS"), "Serial": dbus.MakeVariant(""), "IsPresent": dbus.MakeVariant(true),
		"Technology": dbus.MakeVariant(uint32(4)), "OnBattery": dbus.MakeVariant(true),
	}}
	for path, iface := range map[dbus.ObjectPath]string{
		"/org/freedesktop/UPower": "org.freedesktop.UPower", p.path: "org.freedesktop.DBus.Properties",
	} {
		if err := conn.Export(p, path, iface); err != nil {
			t.Fatal(err)
		}
	}
	if err := conn.Export(p, "/org/freedesktop/UPower", "org.freedesktop.DBus.Properties"); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.RequestName("org.freedesktop.UPower", 0); err != nil {
		t.Fatal(err)
	}
	return p
}

func attach(t *testing.T, port string, options map[string]string) *driver.Session {
	t.Helper()
	c := driver.NewConfig("up", port)
	c.PollInterval = time.Hour // only signals wake it
	for k, v := range options {
		c.Values.Set[k] = v
	}
	s := driver.NewSession(nutupower.Driver(), c, driver.Hooks{}, slog.New(slog.NewTextHandler(t.Output(), nil)))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	select {
	case <-s.Ready():
	case <-time.After(10 * time.Second):
		t.Fatal("the driver is not ready after 10 s")
	}
	return s
}

// await waits until the driver publishes a value.
func await(t *testing.T, s *driver.Session, name, want string) {
	t.Helper()
	awaitThat(t, s, name+" is "+want, func() bool { return s.State().Value(name) == want })
}

func awaitThat(t *testing.T, s *driver.Session, what string, holds func() bool) {
	t.Helper()
	_, w := s.State().Watch()
	defer w.Stop()
	limit := time.After(10 * time.Second)
	for !holds() {
		select {
		case <-w.Changes():
		case <-limit:
			t.Fatalf("waited in vain until %s; ups.status is %q", what, s.State().Value("ups.status"))
		}
	}
}

func TestUPower(t *testing.T) {
	bus(t)
	p := startUPower(t)
	s := attach(t, "auto", map[string]string{"lowbatt": "30"})
	for name, want := range map[string]string{
		"ups.status": "OL", "ups.mfr": "APC", "ups.model": "Back-UPS", "ups.serial": "", "battery.charge": "99",
		"battery.charge.low": "30", "battery.voltage": "13.40", "battery.runtime": "1800", "battery.type": "PbAc",
	} {
		if got := s.State().Value(name); got != want {
			t.Errorf("%s = %q; want %q", name, got, want)
		}
	}
	for _, tt := range []struct {
		state   uint32
		charge  float64
		warning uint32
		want    string
	}{
		{2, 98.6, 1, "OB DISCHRG"},
		{2, 29, 1, "OB DISCHRG LB"},
		{2, 50, 4, "OB DISCHRG LB CHRG"}, // the charge rose, whatever the state says
		{1, 60, 1, "OL CHRG"},
		{5, 60, 1, "OL"},
		{3, 60, 1, "OB DISCHRG LB"},
		{0, 60, 1, "OB DISCHRG"}, // UPower's own OnBattery
	} {
		p.set("State", tt.state, "Percentage", tt.charge, "WarningLevel", tt.warning)
		await(t, s, "ups.status", tt.want)
	}
	p.set("IsPresent", false)
	awaitThat(t, s, "the data are stale", s.State().Stale)
}

func TestUPowerByPath(t *testing.T) {
	bus(t)
	p := startUPower(t)
	s := attach(t, string(p.path), nil)
	await(t, s, "battery.charge.low", "20")
}

func TestUPowerErrors(t *testing.T) {
	bus(t)
	log := slog.New(slog.DiscardHandler)
	for port, set := range map[string]map[string]string{
		"auto": nil, "no path": nil, "/x": {"lowbatt": "much"},
	} {
		if _, err := nutupower.Driver().Open(t.Context(), driver.Values{Port: port, Set: set}, log); err == nil {
			t.Errorf("Open(%q, %v) without UPower = nil; want an error", port, set)
		}
	}
}
