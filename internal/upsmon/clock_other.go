//go:build !linux

package upsmon

import "time"

// suspended returns how long the system has slept since it was booted; false if
// that cannot be told.
func suspended() (time.Duration, bool) { return 0, false }
