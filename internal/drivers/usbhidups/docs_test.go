package usbhidups_test

import (
	"bytes"
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

// tool runs "nut subdriver" in a folder that has the files of the worked example.
func tool(t *testing.T, page map[string]string, args ...string) (string, error) {
	t.Helper()
	t.Chdir(t.TempDir())
	for file, block := range map[string]string{"acme.def": "def", "acme.rec": "recording"} {
		if err := os.WriteFile(file, []byte(page[block]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var out bytes.Buffer
	err := subdriver.Program(subdriver.Families{"hid": hidups.Family()}).Run(t.Context(), program.Env{
		Args: append([]string{"subdriver"}, args...), Stdout: &out, Stderr: &out, Getenv: func(string) string { return "" },
	})
	return out.String(), err
}

// The worked example of the manual prints what the page says.
func TestWorkedExampleOfTheManual(t *testing.T) {
	page := blocks(t, "../../../docs/subdrivers.md")
	for block, args := range map[string][]string{
		"check": {"check", "-f", "hid", "acme.def"},
		"try":   {"try", "-f", "hid", "acme.def", "acme.rec"},
	} {
		if got, err := tool(t, page, args...); err != nil || got != page[block] {
			t.Errorf("nut subdriver %q prints\n%s, %v; the page says\n%s", args, got, err, page[block])
		}
	}
}

// The driver finds the table of the worked example in the user's folder.
func TestTableOfTheUser(t *testing.T) {
	page := blocks(t, "../../../docs/subdrivers.md")
	conf := t.TempDir()
	dir := filepath.Join(conf, "subdrivers", "hid")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "acme.def"), []byte(page["def"]), 0o600); err != nil {
		t.Fatal(err)
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
		b.Line("var battery.runtime 2700")
		b.Line("commands beeper.mute load.off load.off.delay shutdown.stop")
		b.Line("do beeper.mute : feature 06 02")
		b.Line("set ups.beeper.status disabled : feature 06 00")
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
