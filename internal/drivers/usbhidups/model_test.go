package usbhidups_test

import (
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"gonut/internal/drivers/usbhidups"
	"gonut/internal/subdriver"
	transport "gonut/internal/transport/hid"
	"gonut/test/devices/bench"
)

// start runs the driver over the device of a recording.
func start(t *testing.T, name string, rec *transport.Recording, options map[string]string) (*bench.Bench, *transport.Fake) {
	t.Helper()
	fake := transport.NewFake(rec)
	d := usbhidups.With(func(*slog.Logger) transport.Opener { return fake })
	return bench.Start(t, name, d, fake, bench.Config(t, options)), fake
}

// TestModels runs every device model against the driver: variables, commands, and
// what arrives at the device.
func TestModels(t *testing.T) {
	lib := subdriver.Load("hid", subdriver.Embedded())
	files, err := filepath.Glob("../../../test/devices/hid/*.model")
	if err != nil || len(files) == 0 {
		t.Fatalf("no models: %v", err)
	}
	tested := map[string]bool{"explore": true}
	for _, file := range files {
		name := filepath.Base(file)
		t.Run(strings.TrimSuffix(name, ".model"), func(t *testing.T) {
			m := bench.ReadModel(t, file, lib)
			tested[m.Table.Name] = true
			synctest.Test(t, func(t *testing.T) {
				b, _ := start(t, name, &m.Recording, m.Options)
				b.Run(m)
			})
		})
	}
	for _, table := range lib.Tables {
		if !tested[table.Name] {
			t.Errorf("table %s has no device model", table.Name)
		}
	}
}
