//go:build unix

package dummyups_test

import (
	"log/slog"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"gonut/internal/driver"
	"gonut/internal/drivers/dummyups"
)

// Opening a pipe to which nobody writes would hang.
func TestPipeIsNoRecording(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe.dev")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := dummyups.Driver().Open(t.Context(), driver.Values{Port: path, Set: map[string]string{}}, slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), "it is a pipe") {
		t.Errorf("Open of a pipe = %v; want an error that says so", err)
	}
}
