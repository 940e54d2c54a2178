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
	"gonut/internal/hidups"
	"gonut/internal/program"
	"gonut/internal/subdriver"
	transport "gonut/internal/transport/hid"
	"gonut/test/devices/bench"
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
		fake := transport.NewFake(rec)
		c := driver.NewConfig("ups", "auto")
		c.Values.ConfPath = conf
		b := bench.Start(t, "acme", usbhidups.With(func(*slog.Logger) transport.Opener { return fake }), fake, c)
		var upsc strings.Builder
		for _, v := range b.Session.State().Snapshot().Variables {
			if !strings.HasPrefix(v.Name, "driver.") {
				upsc.WriteString(v.Name + ": " + v.Value + "\n")
			}
		}
		if upsc.String() != page["upsc"] {
			t.Errorf("the driver publishes\n%s; the page says\n%s", upsc.String(), page["upsc"])
		}
		b.Line("commands beeper.mute load.off load.off.delay shutdown.stop")
		b.Line("do beeper.mute : feature 06 02")
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
