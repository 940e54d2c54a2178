package usb

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// An ioctlLayout says how an architecture packs an ioctl number: the type in
// bits 8 to 15, the number in bits 0 to 7, the size above, the direction on top.
type ioctlLayout struct {
	sizeBits          uint
	none, write, read uintptr
}

// Most architectures use the first layout; mips, powerpc and sparc the second.
func commonIoctls() ioctlLayout { return ioctlLayout{sizeBits: 14, none: 0, write: 1, read: 2} }
func olderIoctls() ioctlLayout {
	return ioctlLayout{sizeBits: 13, none: 1, write: 4, read: 2}
}

func (l ioctlLayout) number(direction uintptr, kind byte, nr uint8, size uintptr) uintptr {
	return direction<<(16+l.sizeBits) | size<<16 | uintptr(kind)<<8 | uintptr(nr)
}

// The usbfs structures of the kernel, as C lays them out: Go's alignment of
// these fields is C's on all architectures, so that their sizes are right for 32
// and 64 bits alike.
type (
	setInterface struct {
		number, alternate uint32
	}
	getDriver struct {
		number uint32
		name   [256]byte
	}
	urb struct {
		kind, endpoint uint8
		status         int32
		flags          uint32
		buffer         unsafe.Pointer
		length, actual int32
		startFrame     int32
		packets        int32
		errors         int32
		signal         uint32
		context        unsafe.Pointer
	}
	driverIoctl struct {
		number, code int32
		data         unsafe.Pointer
	}
	disconnectClaim struct {
		number, flags uint32
		driver        [256]byte
	}
)

// The kinds of a urb.
const (
	urbInterrupt = 1
	urbControl   = 2
	urbBulk      = 3
)

// claimExceptDriver makes DISCONNECT_CLAIM leave an interface alone that the
// named driver holds: "usbfs" stands for another program.
const claimExceptDriver = 2

// usbfsIoctls are the numbers of the ioctls on this architecture.
type usbfsIoctls struct {
	setInterface, getDriver, driverIoctl           uintptr
	submitURB, discardURB, reapURBNoDelay          uintptr
	claimInterface, releaseInterface, claimInstead uintptr
	reset, clearHalt, disconnect, connect          uintptr
}

func newUSBFSIoctls(l ioctlLayout) usbfsIoctls {
	const word = unsafe.Sizeof(uint32(0))
	const pointer = unsafe.Sizeof(uintptr(0))
	both := l.read | l.write
	return usbfsIoctls{
		setInterface:     l.number(l.read, 'U', 4, unsafe.Sizeof(setInterface{})),
		getDriver:        l.number(l.write, 'U', 8, unsafe.Sizeof(getDriver{})),
		submitURB:        l.number(l.read, 'U', 10, unsafe.Sizeof(urb{})),
		discardURB:       l.number(l.none, 'U', 11, 0),
		reapURBNoDelay:   l.number(l.write, 'U', 13, pointer),
		claimInterface:   l.number(l.read, 'U', 15, word),
		releaseInterface: l.number(l.read, 'U', 16, word),
		driverIoctl:      l.number(both, 'U', 18, unsafe.Sizeof(driverIoctl{})),
		reset:            l.number(l.none, 'U', 20, 0),
		clearHalt:        l.number(l.read, 'U', 21, word),
		disconnect:       l.number(l.none, 'U', 22, 0),
		connect:          l.number(l.none, 'U', 23, 0),
		claimInstead:     l.number(l.read, 'U', 27, unsafe.Sizeof(disconnectClaim{})),
	}
}

// ReadWriteIoctl returns the number of an ioctl on this architecture that moves
// size bytes both ways.
func ReadWriteIoctl(kind, nr byte, size int) uintptr {
	l := nativeIoctls()
	return l.number(l.read|l.write, kind, nr, uintptr(size))
}

func ioctl(fd, request uintptr, arg unsafe.Pointer) error {
	_, err := Ioctl(fd, request, arg)
	return err
}

// rawIoctl is ioctl without telling the scheduler: the thread has to come back at
// once.
func rawIoctl(fd, request uintptr, arg unsafe.Pointer) error {
	if _, _, errno := unix.RawSyscall(unix.SYS_IOCTL, fd, request, uintptr(arg)); errno != 0 {
		return errno
	}
	return nil
}
