//go:build linux || freebsd

package usb

import (
	"errors"
	"fmt"
	"io/fs"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Explain adds the meaning of a system call's error to it, as one of this
// package's errors. Others it returns as they are.
func Explain(err error) error {
	var meaning error
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ENODEV), errors.Is(err, unix.ESHUTDOWN), errors.Is(err, unix.ENXIO):
		meaning = ErrGone
	case errors.Is(err, unix.EPIPE):
		meaning = ErrStall
	case errors.Is(err, unix.ETIMEDOUT):
		meaning = ErrTimeout
	case errors.Is(err, fs.ErrPermission):
		meaning = ErrPermission
	case errors.Is(err, unix.EBUSY):
		meaning = ErrBusy
	case errors.Is(err, unix.EOVERFLOW):
		meaning = ErrOverflow
	default:
		return err
	}
	return fmt.Errorf("%w (%w)", meaning, err)
}

// Ioctl performs an ioctl on a descriptor and returns what the kernel did,
// repeating what a signal interrupted.
func Ioctl(fd, request uintptr, arg unsafe.Pointer) (int, error) {
	for {
		r, _, errno := unix.Syscall(unix.SYS_IOCTL, fd, request, uintptr(arg))
		switch errno {
		case 0:
			return int(r), nil
		case unix.EINTR:
		default:
			return 0, errno
		}
	}
}
