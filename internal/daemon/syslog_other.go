//go:build !unix

package daemon

// syslogPaths returns where syslog may listen: nowhere on this system, where
// standard error is the only log.
func syslogPaths() []string { return nil }
