//go:build !linux

package upsmon

// systemSleep returns no Sleeper: nobody here tells when the system sleeps.
func systemSleep() Sleeper { return nil }
