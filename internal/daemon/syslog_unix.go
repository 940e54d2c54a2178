//go:build unix

package daemon

// syslogPaths returns where syslog may listen.
func syslogPaths() []string { return []string{"/dev/log", "/var/run/syslog", "/var/run/log"} }
