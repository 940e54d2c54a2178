//go:build !linux

package daemon

// monotonicUsec returns the clock that the service manager compares with, in
// microseconds, or 0 if there is none.
func monotonicUsec() int64 { return 0 }
