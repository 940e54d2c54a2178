package upsmon

import (
	"time"

	"golang.org/x/sys/unix"
)

// suspended returns how long the system has slept since it was booted; false if
// that cannot be told.
func suspended() (time.Duration, bool) {
	var boot, mono unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &boot) != nil || unix.ClockGettime(unix.CLOCK_MONOTONIC, &mono) != nil {
		return 0, false
	}
	return time.Duration(boot.Nano() - mono.Nano()), true
}
