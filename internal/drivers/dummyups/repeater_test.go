package dummyups_test

import (
	"context"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"gonut/internal/conf"
	"gonut/internal/driver"
	"gonut/internal/drivers/dummyups"
	"gonut/internal/memnet"
	"gonut/internal/netproto"
	"gonut/internal/upsd"
)

// A chain is a recording, an upsd that serves it, and a repeater of it.
type chain struct {
	network  memnet.Network
	source   *driver.Session
	repeater *driver.Session
	cut      context.CancelFunc // ends the upsd
	serve    func()             // starts one
}

func newChain(t *testing.T, dump, nutauth string) *chain {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "nutauth.conf"), []byte(nutauth), 0o600); err != nil {
		t.Fatal(err)
	}
	c := &chain{source: play(t, write(t, "src.dev", dump), nil)}
	quiet := slog.New(slog.DiscardHandler)
	run := func(f func(context.Context) error) context.CancelFunc {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			f(ctx)
		}()
		end := func() {
			cancel()
			<-done
		}
		t.Cleanup(end)
		return end
	}
	l, err := c.network.Listen(t.Context(), "unix", "src")
	if err != nil {
		t.Fatal(err)
	}
	run(func(ctx context.Context) error { return c.source.Serve(ctx, l) })
	users := conf.Users{{Name: "admin", Password: "secret", HasPass: true, Actions: []string{"SET"}, Instcmds: []string{"ALL"}}}
	c.serve = func() {
		server := upsd.New(conf.UPSD{MaxAge: 15 * time.Second, TrackingDelay: time.Hour}, users, quiet)
		server.SetDevices([]upsd.Device{{Name: "src", Driver: "dummy-ups"}})
		tcp, err := c.network.Listen(t.Context(), "tcp", "host:3493")
		if err != nil {
			t.Fatal(err)
		}
		stop := run(func(ctx context.Context) error { return server.Serve(ctx, tcp) })
		mirror := run(func(ctx context.Context) error {
			return server.MirrorAll(ctx, func(upsd.Device) upsd.Dialer {
				return func(ctx context.Context) (net.Conn, error) { return c.network.Dial(ctx, "unix", "src") }
			})
		})
		c.cut = func() {
			stop()
			mirror()
		}
	}
	c.serve()
	time.Sleep(time.Second)
	cfg := driver.NewConfig("rep", "src@host")
	cfg.Values.ConfPath = dir
	cfg.Values.Set["authconf"] = filepath.Join(dir, "nutauth.conf")
	cfg.Values.Dial = c.network.Dial
	c.repeater = driver.NewSession(dummyups.Driver(), cfg, driver.Hooks{}, slog.New(slog.NewTextHandler(t.Output(), nil)))
	run(c.repeater.Run)
	synctest.Wait()
	return c
}

const chainDump = "ups.status: OL\nups.id: first\nbattery.charge: 80\n#RW:ups.delay.start:RANGE:\"0\" \"60\"\nups.delay.start: 5\n" +
	"output.voltage.nominal: 230\n#RW:output.voltage.nominal:ENUM:\"230\"\n#RW:output.voltage.nominal:ENUM:\"240\"\n#CMD:test.panel.start\n"

func TestRepeaterMirrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newChain(t, chainDump, "")
		for name, value := range map[string]string{
			"ups.status": "OL", "ups.id": "first", "battery.charge": "80", "ups.model": "Dummy UPS", "driver.parameter.port": "src@host",
			"driver.parameter.mode": "repeater",
		} {
			want(t, c.repeater, name, value)
		}
		for name, typ := range map[string]string{
			"ups.id": "RW STRING:16", "battery.charge": "RW NUMBER", "ups.delay.start": "RW NUMBER 0-60",
			"output.voltage.nominal": "RW STRING:32 230,240",
		} {
			if v, _ := c.repeater.State().Variable(name); typeOf(v) != typ {
				t.Errorf("type of %s = %s; want %s", name, typeOf(v), typ)
			}
		}
		if !c.repeater.State().HasCommand("test.panel.start") {
			t.Error("command test.panel.start is missing")
		}
		do(t, c.source, "SET ups.status OB", netproto.Handled)
		time.Sleep(3 * time.Second)
		want(t, c.repeater, "ups.status", "OB")
		// Without a user nothing can be set.
		do(t, c.repeater, "SET ups.id second", netproto.Failed)
		do(t, c.repeater, "INSTCMD shutdown.default", netproto.Failed)
	})
}

func TestRepeaterPassesRequestsOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newChain(t, chainDump, "[host:3493]\nUSER = admin\nPASS = secret\n")
		do(t, c.repeater, "SET ups.id second", netproto.Handled)
		want(t, c.source, "ups.id", "second")
		want(t, c.repeater, "ups.id", "second")
		do(t, c.repeater, "SET ups.delay.start 100", netproto.Invalid)
		do(t, c.repeater, "INSTCMD test.panel.start", netproto.Handled)
		do(t, c.repeater, "INSTCMD shutdown.default", netproto.Failed) // a recording cuts no power
		do(t, c.repeater, "INSTCMD no.such", netproto.Unknown)
	})
}

func TestRepeaterSurvivesItsServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newChain(t, chainDump, "")
		c.cut()
		time.Sleep(10 * time.Second)
		if !c.repeater.State().Stale() {
			t.Error("upsd is gone and the data are not stale")
		}
		c.serve()
		time.Sleep(5 * time.Second)
		if c.repeater.State().Stale() {
			t.Error("upsd is back and the data are stale")
		}
	})
}

func TestRepeaterWrongConfiguration(t *testing.T) {
	for port, set := range map[string]map[string]string{
		"@":        {"mode": "repeater"},
		"ups@host": {"authconf": "/nowhere/nutauth.conf"},
	} {
		_, err := dummyups.Driver().Open(t.Context(), driver.Values{Port: port, Set: set}, slog.New(slog.DiscardHandler))
		if err == nil {
			t.Errorf("Open(%s, %v) = nil; want an error", port, set)
		}
	}
}
