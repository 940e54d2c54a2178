package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gonut/internal/driver"
	"gonut/internal/transport/record"
	"gonut/internal/ups"
)

var update = flag.Bool("update", false, "write what recordings come to")

// recordings is where recordings of devices are, each with the file of what it comes
// to beside it: how ups.status went, and what upsc prints in the end.
const recordings = "../../test/devices/recordings"

// Every recording, played to the driver that made it, comes to what it came to
// before. To add one, put the file there and run go test ./cmd/nut -update.
func TestRecordings(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(recordings, "*.rec"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%d recordings in %s, %v", len(files), recordings, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			got := replay(t, file)
			golden := strings.TrimSuffix(file, ".rec") + ".upsc"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("comes to\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// Every transport has a recording.
func TestEveryTransportHasARecording(t *testing.T) {
	files, _ := filepath.Glob(filepath.Join(recordings, "*.rec"))
	missing := map[string]bool{"open hid": true, "open line": true, "open tcp": true, "open unix": true, "call": true}
	for _, file := range files {
		for _, e := range readRecording(t, file).Events {
			key := strings.TrimLeft(e.Key, "0123456789 ")
			for m := range missing {
				if strings.HasPrefix(key, m) {
					delete(missing, m)
				}
			}
		}
	}
	for m := range missing {
		t.Errorf("no recording in %s has an event %q", recordings, m)
	}
}

// replay plays a recording to its end, in fake time.
func replay(t *testing.T, file string) string {
	t.Helper()
	path, err := filepath.Abs(file)
	if err != nil {
		t.Fatal(err)
	}
	rec := readRecording(t, path)
	d, ok := driverOf(rec.Driver)
	if !ok {
		t.Fatalf("no driver is called %q", rec.Driver)
	}
	var out strings.Builder
	synctest.Test(t, func(t *testing.T) {
		c := driver.NewConfig("ups", driver.ReplayPrefix+path)
		c.Values.ConfPath = t.TempDir()
		s := driver.NewSession(d, c, driver.Hooks{}, slog.New(slog.NewTextHandler(t.Output(), nil)))
		ctx, cancel := context.WithCancel(t.Context())
		defer time.AfterFunc(rec.End()+time.Second/5, cancel).Stop()
		followed := make(chan struct{})
		go func() {
			defer close(followed)
			follow(ctx, s.State(), &out)
		}()
		if err := s.Run(ctx); err != nil {
			t.Errorf("the driver ended: %v", err)
		}
		<-followed
		for _, v := range s.State().Snapshot().Variables {
			if !ours(v.Name) {
				fmt.Fprintf(&out, "%s: %s\n", v.Name, v.Value)
			}
		}
	})
	return out.String()
}

// ours reports variables that say nothing of the device.
func ours(name string) bool {
	return strings.HasPrefix(name, "driver.") && name != "driver.version.data" || name == "experimental.driver.data.age"
}

func readRecording(t *testing.T, path string) *record.Recording {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rec, err := record.Read(path, f)
	if err != nil {
		t.Fatal(err)
	}
	return rec
}

func driverOf(name string) (driver.Driver, bool) {
	for _, d := range drivers() {
		if d.Name == name {
			return d, true
		}
	}
	return driver.Driver{}, false
}

// follow writes down how ups.status goes: a line when it changes, with the time.
func follow(ctx context.Context, state *ups.State, out *strings.Builder) {
	begin := time.Now()
	said := ""
	for {
		time.Sleep(10 * time.Millisecond) // so that all is said that belongs together
		snap, w := state.Watch()
		status, _ := snap.Variable(ups.StatusName)
		text := status.Value
		if snap.Stale {
			text = "stale"
		}
		if text != said && (said != "" || !snap.Stale) {
			fmt.Fprintf(out, "# %.1f s: %s\n", time.Since(begin).Seconds(), text)
			said = text
		}
		select {
		case <-w.Changes():
			w.Stop()
		case <-ctx.Done():
			w.Stop()
			return
		}
	}
}
