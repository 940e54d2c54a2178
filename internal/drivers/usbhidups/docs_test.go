package usbhidups_test

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"gonut/internal/driver"
	"gonut/internal/drivers/usbhidups"
	"gonut/internal/drvsock"
	"gonut/internal/hidups"
	"gonut/internal/netproto"
	"gonut/internal/program"
	"gonut/internal/subdriver"
	transport "gonut/internal/transport/hid"
	"gonut/test/devices/model"
)

// blocks returns the fenced blocks of a page by their info string.
func blocks(t *testing.T, page string) map[string]string {
	t.Helper()
	b, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for i, part := range strings.Split(string(b), "\n```") {
		if name, text, ok := strings.Cut(part, "\n"); ok && i%2 == 1 {
			found[name] = text + "\n"
		}
	}
	return found
}

// The worked example of the manual: the table is checked, found by the driver in
// the user's folder, and shows what the page says.
func TestWorkedExampleOfTheManual(t *testing.T) {
	page := blocks(t, "../../../docs/subdrivers.md")
	conf := t.TempDir()
	dir := filepath.Join(conf, "subdrivers", "hid")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "acme.def")
	if err := os.WriteFile(file, []byte(page["def"]), 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	err := subdriver.Program(subdriver.Families{"hid": hidups.QuirkNames()}).Run(context.Background(), program.Env{
		Args: []string{"subdriver", "check", "-f", "hid", file}, Stdout: &out, Stderr: &out, Getenv: func(string) string { return "" },
	})
	if got := strings.ReplaceAll(out.String(), dir+"/", ""); err != nil || got != page["check"] {
		t.Errorf("nut subdriver check printed %q, %v; the page says %q", got, err, page["check"])
	}
	rec, err := transport.ReadRecording("recording", strings.NewReader(page["recording"]))
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		b := &bench{t: t, name: "acme", fake: transport.NewFake(rec)}
		c := driver.NewConfig("ups", "auto")
		c.Values.ConfPath = conf
		b.s = driver.NewSession(usbhidups.With(func(*slog.Logger) transport.Opener { return b.fake }), c, driver.Hooks{}, slog.New(slog.DiscardHandler))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- b.s.Run(ctx) }()
		synctest.Wait()
		var upsc strings.Builder
		for _, v := range b.s.State().Snapshot().Variables {
			if !strings.HasPrefix(v.Name, "driver.") {
				upsc.WriteString(v.Name + ": " + v.Value + "\n")
			}
		}
		if upsc.String() != page["upsc"] {
			t.Errorf("the driver publishes\n%s; the page says\n%s", upsc.String(), page["upsc"])
		}
		b.step(model.Step{Words: []string{"commands", "beeper.mute", "load.off", "load.off.delay", "shutdown.stop"}})
		if got := b.do(0, drvsock.Request{Name: "beeper.mute"}); got != netproto.Handled {
			t.Errorf("beeper.mute ended with %v", got)
		}
		b.arrived(0, "feature 06 02")
		cancel()
		<-done
	})
}

// The starter table for the device of the manual has to be one that works.
func TestLearningTheDeviceOfTheManual(t *testing.T) {
	page := blocks(t, "../../../docs/subdrivers.md")
	rec, err := transport.ReadRecording("recording", strings.NewReader(page["recording"]))
	if err != nil {
		t.Fatal(err)
	}
	names := subdriver.Load("hid", subdriver.Embedded()).Table("explore")
	lesson, err := hidups.Learn(t.Context(), transport.NewFake(rec), names, 0, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	table, problems := subdriver.Parse("hid", "acme", "acme.def", strings.NewReader(lesson.Table()), func(string) (*subdriver.Table, error) { return names, nil })
	if len(problems) > 0 || table.Data() != "ACME HID 0.1" || len(table.Rows) < 10 {
		t.Errorf("the starter table has %d rows and problems %v:\n%s", len(table.Rows), problems, lesson.Table())
	}
	if !strings.Contains(lesson.Table(), "# Path: UPS.ff010042, Type: Feature, ReportID: 0x06, Offset: 0, Size: 8, Value: 1") {
		t.Errorf("the starter table does not show the vendor's field:\n%s", lesson.Table())
	}
}
