//go:build unix

package daemon

import (
	"fmt"
	"os"
	"syscall"
)

// Become gives up root for this account, in all threads and for good. A process
// that is not root stays who it is.
func (a Account) Become() error {
	if os.Getuid() != 0 && os.Geteuid() != 0 {
		return nil
	}
	if err := syscall.Setgroups(a.Groups); err != nil {
		return fmt.Errorf("become user %s: set groups: %w", a.Name, err)
	}
	if err := syscall.Setgid(a.GID); err != nil {
		return fmt.Errorf("become user %s: set group %d: %w", a.Name, a.GID, err)
	}
	if err := syscall.Setuid(a.UID); err != nil {
		return fmt.Errorf("become user %s: set user %d: %w", a.Name, a.UID, err)
	}
	return nil
}

// Chroot makes dir the root of the file system that this process sees.
func Chroot(dir string) error {
	if err := os.Chdir(dir); err != nil {
		return fmt.Errorf("chroot: %w", err)
	}
	if err := syscall.Chroot(dir); err != nil {
		return fmt.Errorf("chroot to %s: %w", dir, err)
	}
	return os.Chdir("/")
}
