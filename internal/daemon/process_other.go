//go:build !linux

package daemon

// processNames returns nothing: this system does not tell.
func processNames(int) []string { return nil }

// isZombie reports false: this system does not tell.
func isZombie(int) bool { return false }

// NameProcess makes ps, pidof and killall know this process as name although the
// binary may be called otherwise. It does nothing where that is not possible.
func NameProcess(string) {}

// RelaxTimers lets the system wake the threads of this process a little late and
// together, where that is possible.
func RelaxTimers() {}
