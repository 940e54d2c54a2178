package upsmon

import (
	"bytes"
	"go/parser"
	"go/token"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"gonut/internal/conf"
	"gonut/internal/program"
)

func TestStaleFlagIsCleared(t *testing.T) {
	tests := []struct {
		content, path string
		there         bool
	}{
		{"upsmon-shutdown-file", "flag", false},
		{"somebody's file", "", true},
		{"", "", true},
	}
	for _, tt := range tests {
		s := newSite(t, "")
		s.write(t, "flag", tt.content)
		p := process{env: program.Env{Getenv: func(string) string { return "" }, Stderr: &s.stderr}}
		p.log = quietLog(p.env)
		want := ""
		if tt.path != "" {
			want = s.path(tt.path)
		}
		if got := p.clearFlag(conf.UPSMon{PowerDownFlag: s.path("flag")}); got != want {
			t.Errorf("clearFlag(%q) = %q; want %q", tt.content, got, want)
		}
		if _, err := os.Stat(s.path("flag")); (err == nil) != tt.there {
			t.Errorf("flag with %q: %v; want it there: %t", tt.content, err, tt.there)
		}
	}
}

// A fakeChild is what the unprivileged part says, and hears.
type fakeChild struct {
	io.Reader
	bytes.Buffer
}

func (c *fakeChild) Read(b []byte) (int, error) { return c.Reader.Read(b) }

func says(text string) *fakeChild { return &fakeChild{Reader: strings.NewReader(text)} }

func TestParent(t *testing.T) {
	s := newSite(t, "")
	stopped := 0
	p := parent{flag: s.path("flag"), write: writeFlag, command: "echo x >>" + s.path("down"), stopping: func() { stopped++ }}
	ended := make(chan struct{})
	if err := p.serve(t.Context(), says(""), ended); err == nil || stopped != 0 {
		t.Errorf("serve(nothing) = %v; want an error", err)
	}
	if err := p.serve(t.Context(), says("x"), ended); err == nil || !strings.Contains(err.Error(), "bogus") || stopped != 0 {
		t.Errorf("serve(x) = %v; want an error", err)
	}
	if _, err := os.Stat(s.path("down")); err == nil {
		t.Error("SHUTDOWNCMD was run although nobody asked for a shutdown")
	}
	for i, tt := range []struct {
		order string
		flag  bool
	}{{"\x03", false}, {"\x01", true}} {
		c := says(tt.order)
		if err := p.serve(t.Context(), c, ended); err != nil || stopped != i+1 || c.String() != "\x04" {
			t.Errorf("serve(%q) = %v, answer %q; want nil and that it is done", tt.order, err, &c.Buffer)
		}
		if set, err := checkFlag(s.path("flag")); set != tt.flag || err != nil {
			t.Errorf("flag after %q = %t, %v; want %t", tt.order, set, err, tt.flag)
		}
		if text, err := os.ReadFile(s.path("down")); err != nil || len(text) != 2*(i+1) {
			t.Errorf("after %q SHUTDOWNCMD had written %q, %v", tt.order, text, err)
		}
	}
	p.linger = -1
	close(ended)
	if err := p.serve(t.Context(), says("\x01"), ended); err != nil {
		t.Errorf("serve(1) with SHUTDOWNEXIT no = %v; want nil", err)
	}
	// A flag that cannot be written is told, and that is all; a command that fails is a
	// failure.
	for _, tt := range []struct{ command, answer, told string }{
		{"true", "\x04", "power-down flag"},
		{"exit 3", "\x05", "power-down flag exit status 3"},
	} {
		told := ""
		p = parent{flag: s.path("no/such/folder"), write: writeFlag, command: tt.command, stopping: func() {}, failed: func(err error) { told += err.Error() + "\n" }}
		c := says("\x01")
		if err := p.serve(t.Context(), c, ended); (err == nil) != (tt.command == "true") || c.String() != tt.answer {
			t.Errorf("serve(1) with SHUTDOWNCMD %s = %v, answer %q; want %q", tt.command, err, &c.Buffer, tt.answer)
		}
		for _, want := range []string{"power-down flag", "exit status 3"} {
			if strings.Contains(told, want) != strings.Contains(tt.told, want) {
				t.Errorf("serve(1) with SHUTDOWNCMD %s told of %q; want %q", tt.command, told, tt.told)
			}
		}
	}
	if err := (parent{}).Shutdown(t.Context(), true); err == nil || !strings.Contains(err.Error(), "none is configured") {
		t.Errorf("Shutdown() without a command = %v; want an error", err)
	}
}

// The privileged part stays so small that it can be read in a minute, and imports
// nothing of this module and nothing that reaches the network.
func TestParentIsSmall(t *testing.T) {
	text, err := os.ReadFile("parent.go")
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(text, []byte("\n")); n >= 100 {
		t.Errorf("parent.go has %d lines; want less than 100", n)
	}
	f, err := parser.ParseFile(token.NewFileSet(), "parent.go", text, parser.ImportsOnly)
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range f.Imports {
		if !slices.Contains([]string{`"context"`, `"errors"`, `"fmt"`, `"io"`, `"os"`, `"os/exec"`, `"path/filepath"`, `"time"`}, i.Path.Value) {
			t.Errorf("parent.go imports %s", i.Path.Value)
		}
	}
}

// The folder of the flag may belong to the unprivileged part: neither a link nor a
// pipe there makes root write elsewhere or wait for ever.
func TestFlagIsReplaced(t *testing.T) {
	s := newSite(t, "")
	s.write(t, "precious", "precious")
	if err := os.Symlink(s.path("precious"), s.path("flag")); err != nil {
		t.Skip(err)
	}
	if err := writeFlag(s.path("flag")); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(s.path("precious")); err != nil || string(text) != "precious" {
		t.Errorf("the file behind the link = %q, %v; want it untouched", text, err)
	}
	fi, err := os.Lstat(s.path("flag"))
	if err != nil || !fi.Mode().IsRegular() || fi.Mode().Perm() != 0o644 {
		t.Errorf("flag = %v, %v; want a file with mode 0644", fi, err)
	}
	if set, err := checkFlag(s.path("flag")); !set || err != nil {
		t.Errorf("checkFlag() = %t, %v; want true", set, err)
	}
	left, err := filepath.Glob(s.path(".flag*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %q, %v; want nothing", left, err)
	}
}

// A disk that hangs keeps nobody from shutting down.
func TestFlagWaitsForNoDisk(t *testing.T) {
	s := newSite(t, "")
	synctest.Test(t, func(t *testing.T) {
		hang := make(chan struct{})
		defer close(hang)
		var told error
		p := parent{flag: s.path("flag"), command: "echo x >" + s.path("down"), write: func(string) error {
			<-hang
			return nil
		}}
		p.failed = func(err error) {
			if _, err := os.Stat(s.path("down")); err != nil {
				t.Errorf("the log comes before the command: %v", err)
			}
			told = err
		}
		err := p.Shutdown(t.Context(), true)
		if _, statErr := os.Stat(s.path("down")); statErr != nil || err != nil || told == nil || !strings.Contains(told.Error(), "the disk does not answer") {
			t.Errorf("Shutdown() with a disk that hangs = %v, SHUTDOWNCMD: %v, told: %v; want the command run and the disk told of", err, statErr, told)
		}
	})
}
