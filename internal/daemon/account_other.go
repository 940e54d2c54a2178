//go:build !unix

package daemon

import "fmt"

// Become does nothing: this system has no root to give up, and services choose
// their account when they are installed.
func (a Account) Become() error { return nil }

// Chroot is not possible on this system.
func Chroot(dir string) error {
	return fmt.Errorf("chroot to %s: not possible on this system", dir)
}
