//go:build unix

package upsmon

import (
	"context"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Neither checking nor clearing nor writing the flag waits for the other end of a pipe
// that somebody put there.
func TestFlagIsNoPipe(t *testing.T) {
	s := newSite(t, "")
	if err := syscall.Mkfifo(s.path("flag"), 0o600); err != nil {
		t.Skip(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		if set, err := checkFlag(s.path("flag")); set || err == nil || !strings.Contains(err.Error(), "not a file") {
			t.Errorf("checkFlag(pipe) = %t, %v; want false and an error", set, err)
		}
		if err := clearFlag(s.path("flag")); err == nil {
			t.Error("clearFlag(pipe) = nil; want an error")
		}
		if err := writeFlag(s.path("flag")); err != nil {
			t.Errorf("writeFlag(pipe) = %v; want nil", err)
		}
	}()
	select {
	case <-done:
	case <-ctx.Done():
		t.Fatal("still waiting for the pipe")
	}
}

// The unprivileged part reports to the watchdog that the service manager set for the
// process that it started.
func TestChildHasTheWatchdog(t *testing.T) {
	for _, tt := range []struct {
		env        string
		background bool
		want       string
	}{
		{"A=1 WATCHDOG_PID=42 WATCHDOG_USEC=9", false, "A=1 WATCHDOG_USEC=9 NUT_UPSMON_CHILD=1"},
		{"WATCHDOG_PID=43", true, "WATCHDOG_PID=43 NUT_UPSMON_CHILD=background"},
	} {
		if got := childEnviron(strings.Fields(tt.env), 42, tt.background); !slices.Equal(got, strings.Fields(tt.want)) {
			t.Errorf("childEnviron(%s, 42, %t) = %s; want %s", tt.env, tt.background, got, tt.want)
		}
	}
}
