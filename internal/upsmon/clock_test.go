package upsmon

import (
	"testing"
	"time"
)

func TestDivergence(t *testing.T) {
	day := time.Date(2026, 3, 29, 1, 0, 0, 0, time.UTC)
	tests := []struct {
		clock, running, want time.Duration
	}{
		{5 * time.Second, 5 * time.Second, 0},
		{9 * time.Second, 5 * time.Second, 0}, // slewing, a loaded host
		{time.Hour, 5 * time.Second, time.Hour - 5*time.Second},
		{-time.Hour, 5 * time.Second, -time.Hour - 5*time.Second},
		{time.Hour, time.Hour, 0}, // nothing was done for an hour: no jump
	}
	for _, tt := range tests {
		if got := divergence(day, day.Add(tt.clock), tt.running); got != tt.want {
			t.Errorf("divergence(clock %s, running %s) = %s; want %s", tt.clock, tt.running, got, tt.want)
		}
	}
}

func TestClockWatchIsQuiet(t *testing.T) {
	now := time.Now()
	w := newClockWatch(now)
	for range 3 {
		now = now.Add(time.Minute)
		if by, _ := w.look(now); by != 0 {
			t.Errorf("look() = %s; want 0", by)
		}
	}
}
