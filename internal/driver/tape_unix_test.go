//go:build unix

package driver_test

import (
	"log/slog"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"gonut/internal/driver"
)

func TestPipeIsNoRecording(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe.rec")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	s := driver.NewSession(newBench().driver(), driver.NewConfig("bench", driver.ReplayPrefix+path), driver.Hooks{}, slog.New(slog.DiscardHandler))
	if err := s.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "it is a pipe") {
		t.Errorf("Run = %v; want an error that says what the file is", err)
	}
}
