package host_test

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gonut/internal/conf"
	"gonut/internal/driver"
	"gonut/internal/drivers/dummyups"
	"gonut/internal/host"
	"gonut/internal/memnet"
	"gonut/internal/program"
	"gonut/upsclient"
)

// good is a configuration that can run.
func good() map[string]string {
	return map[string]string{
		"nut.conf":    "MODE=standalone\n",
		"ups.conf":    "[a]\n driver = dummy-ups\n port = a.dev\n",
		"a.dev":       "ups.status: OL\nups.model: A\n",
		"upsd.conf":   "LISTEN 127.0.0.1 3493\n",
		"upsd.users":  "[m]\n password = p\n upsmon primary\n",
		"upsmon.conf": "MONITOR a@127.0.0.1:3493 1 m p primary\nMINSUPPLIES 1\nSHUTDOWNCMD true\n",
	}
}

// write makes the folder of a configuration.
func write(t *testing.T, files map[string]string) conf.Paths {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return conf.Paths{Conf: dir, State: dir}
}

func load(p conf.Paths, log *slog.Logger) (*host.Host, error) {
	return host.Load(p, []driver.Driver{dummyups.Driver()}, func(string) string { return "" }, log)
}

func TestRunServesWhatTheFilesName(t *testing.T) {
	p := write(t, good())
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		var mem memnet.Network
		h, err := load(p, slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn})))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ready := make(chan struct{})
		ended := make(chan error)
		h.Listen, h.Deps.Dial, h.Ready = mem.Listen, mem.Dial, func([]net.Addr) { close(ready) }
		go func() { ended <- h.Run(ctx) }()
		<-ready
		c, err := upsclient.Dial(ctx, "127.0.0.1:3493", upsclient.Options{Dial: mem.Dial})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := c.Get(ctx, "a", "ups.model"); got != "A" || err != nil {
			t.Errorf("ups.model = %q, %v; want A", got, err)
		}
		<-time.After(time.Second) // fake: upsmon logs in meanwhile
		if got, err := c.NumLogins(ctx, "a"); got != 1 || err != nil {
			t.Errorf("logins = %d, %v; want 1", got, err)
		}
		c.Close()
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run = %v; want nil", err)
		}
		if log.Len() > 0 {
			t.Errorf("log = %s; want no warnings", &log)
		}
	})
}

func TestWrongConfigurationStartsNothing(t *testing.T) {
	for _, test := range []struct{ file, text, want string }{
		{"nut.conf", "MODE=none\n", "says MODE=none: nothing is to run; set MODE=standalone, netserver or netclient"},
		{"ups.conf", "", "names no device that has a driver and a port"},
		{"ups.conf", "[a]\n driver = warp-ups\n port = auto\n", `ups.conf:2: driver "warp-ups" of [a] cannot run in one process with the rest; if`},
		{"ups.conf", "[a]\n driver = dummyups\n port = auto\n", `ups.conf:2: driver "dummyups" of [a] cannot run in one process with the rest; did you mean dummy-ups?`},
		{"ups.conf", "[a]\n driver = dummy-ups\n port = x\n mod = loop\n", "did you mean mode?"},
		{"upsd.users", "-", "upsd.users: no such file or directory; create the file"},
		{"upsmon.conf", "MONITOR a@h 1 pw primary\n", "upsmon.conf:1: "},
	} {
		files := good()
		files[test.file] = test.text
		if test.text == "-" {
			delete(files, test.file)
		}
		_, err := load(write(t, files), slog.New(slog.DiscardHandler))
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("Load with %s = %q: %v; want ... %s", test.file, test.text, err, test.want)
		}
	}
}

// Whoever says MODE=standalone believes that this host is protected.
func TestNoUPSMonConfIsSaid(t *testing.T) {
	for mode, want := range map[string]bool{"standalone": true, "netserver": true, "manual": false} {
		files := good()
		files["nut.conf"] = "MODE=" + mode + "\n"
		delete(files, "upsmon.conf")
		var log bytes.Buffer
		h, err := load(write(t, files), slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil || h.Monitor != nil {
			t.Errorf("Load without upsmon.conf, MODE=%s: %v; want a host that only serves", mode, err)
		}
		if got := strings.Contains(log.String(), "there is no upsmon.conf"); got != want {
			t.Errorf("MODE=%s: log = %s; want a word about upsmon.conf: %v", mode, &log, want)
		}
	}
}

// Load and upsmon.Local read upsmon.conf, and only one of them tells what is wrong.
func TestProblemsAreSaidOnce(t *testing.T) {
	files := good()
	files["nut.conf"] += "MOD=none\n"
	files["ups.conf"] += "[b]\n driver = dummy-ups\n"
	files["upsd.conf"] += "LISTN x\n"
	files["upsd.users"] += " pasword = x\n"
	files["upsmon.conf"] = "MONITR x\nMINSUPPLIES 1\nSHUTDOWNCMD true\n" // no power value: it ends by itself
	p := write(t, files)
	var log, out bytes.Buffer
	var mem memnet.Network
	env := map[string]string{"NUT_CONFPATH": p.Conf, "NUT_STATEPATH": p.State, "NUT_PIDPATH": p.State}
	err := host.Program([]driver.Driver{dummyups.Driver()}).Run(t.Context(), program.Env{
		Args: []string{"run", "-n"}, Stdin: strings.NewReader(""), Stdout: &out, Stderr: &log,
		Getenv: func(name string) string { return env[name] }, Listen: mem.Listen, Dial: mem.Dial,
	})
	if err == nil || !strings.Contains(err.Error(), "MINSUPPLIES") {
		t.Errorf("run = %v; want that MINSUPPLIES cannot be met", err)
	}
	for _, want := range []string{"nut.conf:2: ", "ups.conf:4: ", "upsd.conf:2: ", "upsd.users:4: ", "upsmon.conf:1: "} {
		if n := strings.Count(log.String(), want); n != 1 {
			t.Errorf("%s is said %d times; want once in\n%s", want, n, &log)
		}
	}
}

func TestEverythingThatIsWrongIsNamedAtOnce(t *testing.T) {
	files := good()
	files["ups.conf"] = "[a]\n driver = warp-ups\n port = x\n[b]\n driver = phlogiston\n port = x\n"
	files["upsmon.conf"] = "MONITOR a@h 1 pw primary\n"
	_, err := load(write(t, files), slog.New(slog.DiscardHandler))
	if err == nil {
		t.Fatal("Load = nil; want an error")
	}
	for _, want := range []string{"warp-ups", "phlogiston", "upsmon.conf:1"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("Load = %v; want a word about %s", err, want)
		}
	}
}

func TestPartsFollowMode(t *testing.T) {
	for _, test := range []struct {
		mode            string
		server, monitor bool
	}{
		{"standalone", true, true},
		{"netserver", true, true},
		{"netclient", false, true},
		{"", true, true}, // no nut.conf: what there is a file for
	} {
		files := good()
		files["nut.conf"] = "MODE=" + test.mode + "\n"
		if test.mode == "" {
			delete(files, "nut.conf")
		}
		h, err := load(write(t, files), slog.New(slog.DiscardHandler))
		if err != nil {
			t.Errorf("Load with MODE=%s = %v; want nil", test.mode, err)
			continue
		}
		if (h.Server != nil) != test.server || (h.Monitor != nil) != test.monitor {
			t.Errorf("MODE=%s has upsd %t, upsmon %t; want %t, %t", test.mode, h.Server != nil, h.Monitor != nil, test.server, test.monitor)
		}
	}
}

func TestPortInUseStartsNothing(t *testing.T) {
	p := write(t, good())
	synctest.Test(t, func(t *testing.T) {
		var mem memnet.Network
		if _, err := mem.Listen(t.Context(), "tcp", "127.0.0.1:3493"); err != nil {
			t.Fatal(err)
		}
		h, err := load(p, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		h.Listen, h.Deps.Dial = mem.Listen, mem.Dial
		err = h.Run(t.Context())
		if err == nil || !strings.Contains(err.Error(), "address already in use") || !strings.Contains(err.Error(), "upsd.conf:1") {
			t.Errorf("Run = %v; want a word about upsd.conf:1 and the address in use", err)
		}
	})
}

func TestDriverWithoutDeviceDelaysNobodyElse(t *testing.T) {
	files := good()
	files["ups.conf"] += "[b]\n driver = dummy-ups\n port = missing.dev\n"
	p := write(t, files)
	synctest.Test(t, func(t *testing.T) {
		var mem memnet.Network
		h, err := load(p, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ready := make(chan struct{})
		ended := make(chan error)
		h.Listen, h.Deps.Dial, h.Ready = mem.Listen, mem.Dial, func([]net.Addr) { close(ready) }
		go func() { ended <- h.Run(ctx) }()
		<-ready
		c, err := upsclient.Dial(ctx, "127.0.0.1:3493", upsclient.Options{Dial: mem.Dial})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := c.Get(ctx, "a", "ups.status"); got != "OL" || err != nil {
			t.Errorf("ups.status of a = %q, %v; want OL", got, err)
		}
		if got, err := c.Get(ctx, "b", "ups.status"); err != upsclient.ErrDriverNotConnected {
			t.Errorf("ups.status of b = %q, %v; want DRIVER-NOT-CONNECTED", got, err)
		}
		if err := os.WriteFile(p.File("missing.dev"), []byte("ups.status: OB\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		<-time.After(10 * time.Second) // fake: the driver tries again meanwhile
		if got, err := c.Get(ctx, "b", "ups.status"); got != "OB" || err != nil {
			t.Errorf("ups.status of b, once its device is there = %q, %v; want OB", got, err)
		}
		c.Close()
		cancel()
		<-ended
	})
}
