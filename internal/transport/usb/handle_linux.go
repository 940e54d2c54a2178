package usb

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A Handle is one open device. Its transfers may be used from several goroutines
// at once; Claim, Release, Reset and Close belong to one.
//
// Every transfer is a URB that the kernel works on. One goroutine waits in the
// runtime's poller and collects what has ended, for everybody: waiting costs no
// thread and ends with the context.
type Handle struct {
	device  Device
	system  System
	file    *os.File
	raw     syscall.RawConn
	ioctls  usbfsIoctls
	claimed map[uint8]bool // true: a kernel driver has to be bound again; owner's only
	careful atomic.Bool    // the kernel may hold us up, see quick

	mu      sync.Mutex // guards what follows
	pending map[*urb]*transfer
	spare   []*transfer // to be used again
	lost    error       // why no transfer can succeed any more
}

// Open opens a device that List returned, by its node in the device folder. It
// claims nothing yet.
func (s System) Open(d Device) (*Handle, error) {
	f, err := os.OpenFile(s.node(d), os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("open USB device %v: %w", d, Explain(err))
	}
	raw, err := f.SyscallConn()
	if err == nil {
		err = f.SetWriteDeadline(time.Time{}) // fails where the node cannot be polled
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("open USB device %v: node %s is not of usbfs: %w", d, f.Name(), err)
	}
	h := &Handle{
		device: d, system: s, file: f, raw: raw,
		ioctls:  newUSBFSIoctls(nativeIoctls()),
		claimed: map[uint8]bool{},
		pending: map[*urb]*transfer{},
	}
	go h.reap()
	return h, nil
}

// Device returns what the handle was opened with.
func (h *Handle) Device() Device { return h.device }

// do performs one ioctl that concerns the device as a whole. The kernel may wait
// for the device, and locks it meanwhile.
func (h *Handle) do(request uintptr, arg unsafe.Pointer) error {
	h.careful.Store(true)
	return h.with(func(fd uintptr) error { return ioctl(fd, request, arg) })
}

// quick performs one ioctl that does not wait for the device. While all goes well
// the scheduler is not told of it: that would wake the runtime's monitor, which
// costs more than the ioctl. After a fault or an ioctl of do it is told until a
// transfer succeeds, because then somebody may have locked the device for long.
func (h *Handle) quick(fd, request uintptr, arg unsafe.Pointer) error {
	if h.careful.Load() {
		return ioctl(fd, request, arg)
	}
	return rawIoctl(fd, request, arg)
}

func (h *Handle) with(f func(fd uintptr) error) error {
	var err error
	if e := h.raw.Control(func(fd uintptr) { err = f(fd) }); e != nil {
		return os.ErrClosed
	}
	return err
}

// Claim takes an interface, away from the kernel's driver if one has it. An
// interface that another program holds gives ErrBusy.
func (h *Handle) Claim(number uint8) error {
	name, err := h.driver(number)
	if err != nil {
		return fmt.Errorf("claim interface %d of %s: %w", number, h.device.Path, Explain(err))
	}
	if name == "usbfs" && !h.holds(number) {
		return fmt.Errorf("claim interface %d of %s: %w by another program", number, h.device.Path, ErrBusy)
	}
	c := disconnectClaim{number: uint32(number), flags: claimExceptDriver}
	copy(c.driver[:], "usbfs")
	err = h.do(h.ioctls.claimInstead, unsafe.Pointer(&c))
	if errors.Is(err, unix.ENOTTY) { // Linux before 3.7
		err = h.claimInSteps(number, name)
	}
	if err != nil {
		return fmt.Errorf("claim interface %d of %s from driver %q: %w", number, h.device.Path, name, Explain(err))
	}
	h.claimed[number] = h.claimed[number] || name != "" && name != "usbfs"
	return nil
}

func (h *Handle) holds(number uint8) bool {
	_, ok := h.claimed[number]
	return ok
}

func (h *Handle) claimInSteps(number uint8, driver string) error {
	if driver != "" && driver != "usbfs" {
		c := driverIoctl{number: int32(number), code: int32(h.ioctls.disconnect)}
		if err := h.do(h.ioctls.driverIoctl, unsafe.Pointer(&c)); err != nil {
			return err
		}
	}
	n := uint32(number)
	return h.do(h.ioctls.claimInterface, unsafe.Pointer(&n))
}

// driver returns the name of the kernel's driver of an interface, empty if it
// has none.
func (h *Handle) driver(number uint8) (string, error) {
	g := getDriver{number: uint32(number)}
	err := h.do(h.ioctls.getDriver, unsafe.Pointer(&g))
	if errors.Is(err, unix.ENODATA) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return unix.ByteSliceToString(g.name[:]), nil
}

// Release gives an interface back, to the kernel's driver if one had it.
func (h *Handle) Release(number uint8) error {
	if !h.holds(number) {
		return nil
	}
	rebind := h.claimed[number]
	delete(h.claimed, number)
	n := uint32(number)
	if err := h.do(h.ioctls.releaseInterface, unsafe.Pointer(&n)); err != nil {
		return fmt.Errorf("release interface %d of %s: %w", number, h.device.Path, Explain(err))
	}
	if rebind {
		c := driverIoctl{number: int32(number), code: int32(h.ioctls.connect)}
		if err := h.do(h.ioctls.driverIoctl, unsafe.Pointer(&c)); err != nil {
			return fmt.Errorf("give interface %d of %s back to the kernel: %w", number, h.device.Path, Explain(err))
		}
	}
	return nil
}

// SetInterface chooses an alternate setting of a claimed interface.
func (h *Handle) SetInterface(number, alternate uint8) error {
	s := setInterface{uint32(number), uint32(alternate)}
	if err := h.do(h.ioctls.setInterface, unsafe.Pointer(&s)); err != nil {
		return fmt.Errorf("set interface %d of %s to %d: %w", number, h.device.Path, alternate, Explain(err))
	}
	return nil
}

// ClearHalt ends the halt of an endpoint, whose bit 7 says in which direction.
func (h *Handle) ClearHalt(endpoint uint8) error {
	e := uint32(endpoint)
	if err := h.do(h.ioctls.clearHalt, unsafe.Pointer(&e)); err != nil {
		return fmt.Errorf("clear halt of endpoint %02x of %s: %w", endpoint, h.device.Path, Explain(err))
	}
	return nil
}

// Reset resets the device at its port. The kernel takes its interfaces from us
// while it does; they are claimed again. ErrGone means that the device came back
// as another one.
func (h *Handle) Reset() error {
	for number := range h.claimed {
		n := uint32(number)
		h.do(h.ioctls.releaseInterface, unsafe.Pointer(&n)) // lost anyway if it fails
	}
	if err := h.do(h.ioctls.reset, nil); err != nil {
		return fmt.Errorf("reset %s: %w", h.device.Path, Explain(err))
	}
	for number := range h.claimed {
		if err := h.Claim(number); err != nil {
			return fmt.Errorf("reset %s: %w", h.device.Path, err)
		}
	}
	return nil
}

// Close ends all transfers and the use of the device. Interfaces that were not
// released have no driver afterwards.
func (h *Handle) Close() error {
	h.mu.Lock()
	if h.lost == nil {
		h.lost = os.ErrClosed
	}
	open := slices.Collect(maps.Keys(h.pending))
	h.mu.Unlock()
	for _, u := range open {
		h.do(h.ioctls.discardURB, unsafe.Pointer(u))
	}
	h.lose(os.ErrClosed)
	return h.file.Close()
}
