package daemon

import "golang.org/x/sys/unix"

// monotonicUsec returns the clock that the service manager compares with, in
// microseconds, or 0 if there is none.
func monotonicUsec() int64 {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) != nil {
		return 0
	}
	return ts.Nano() / 1000
}
