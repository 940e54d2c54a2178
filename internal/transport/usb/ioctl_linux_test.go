package usb

import (
	"reflect"
	"runtime"
	"slices"
	"testing"
	"unsafe"
)

// The numbers that C programs have, by architecture and size of a pointer.
func TestIoctlNumbers(t *testing.T) {
	const p64 = unsafe.Sizeof(uintptr(0)) == 8
	pick := func(wide, narrow uintptr) uintptr {
		if p64 {
			return wide
		}
		return narrow
	}
	for _, c := range []struct {
		layout string
		got    usbfsIoctls
		want   usbfsIoctls
	}{
		{"common", newUSBFSIoctls(commonIoctls()), usbfsIoctls{
			setInterface: 0x80085504, getDriver: 0x41045508, driverIoctl: pick(0xC0105512, 0xC00C5512),
			submitURB: pick(0x8038550A, 0x802C550A), discardURB: 0x0000550B, reapURBNoDelay: pick(0x4008550D, 0x4004550D),
			claimInterface: 0x8004550F, releaseInterface: 0x80045510, claimInstead: 0x8108551B,
			reset: 0x00005514, clearHalt: 0x80045515, disconnect: 0x00005516, connect: 0x00005517}},
		{"mips and powerpc", newUSBFSIoctls(olderIoctls()), usbfsIoctls{
			setInterface: 0x40085504, getDriver: 0x81045508, driverIoctl: pick(0xC0105512, 0xC00C5512),
			submitURB: pick(0x4038550A, 0x402C550A), discardURB: 0x2000550B, reapURBNoDelay: pick(0x8008550D, 0x8004550D),
			claimInterface: 0x4004550F, releaseInterface: 0x40045510, claimInstead: 0x4108551B,
			reset: 0x20005514, clearHalt: 0x40045515, disconnect: 0x20005516, connect: 0x20005517}},
	} {
		if c.got != c.want {
			t.Errorf("newUSBFSIoctls(%s) = %#x; want %#x", c.layout, c.got, c.want)
		}
	}
	older := []string{"mips", "mipsle", "mips64", "mips64le", "ppc64", "ppc64le"}
	want := commonIoctls()
	if slices.Contains(older, runtime.GOARCH) {
		want = olderIoctls()
	}
	if got := nativeIoctls(); got != want {
		t.Errorf("nativeIoctls() on %s = %+v; want %+v", runtime.GOARCH, got, want)
	}
}

// The offsets of linux/usbdevice_fs.h as a C compiler lays them out.
func TestURBLayout(t *testing.T) {
	want := map[string]uintptr{"kind": 0, "endpoint": 1, "status": 4, "flags": 8, "buffer": 12, "length": 16, "actual": 20,
		"startFrame": 24, "packets": 28, "errors": 32, "signal": 36, "context": 40}
	size := uintptr(44)
	if unsafe.Sizeof(uintptr(0)) == 8 {
		want = map[string]uintptr{"kind": 0, "endpoint": 1, "status": 4, "flags": 8, "buffer": 16, "length": 24, "actual": 28,
			"startFrame": 32, "packets": 36, "errors": 40, "signal": 44, "context": 48}
		size = 56
	}
	typ := reflect.TypeFor[urb]()
	if typ.Size() != size || typ.NumField() != len(want) {
		t.Errorf("size of urb = %d with %d fields; want %d with %d", typ.Size(), typ.NumField(), size, len(want))
	}
	for i := range typ.NumField() {
		if f := typ.Field(i); f.Offset != want[f.Name] {
			t.Errorf("offset of urb.%s = %d; want %d", f.Name, f.Offset, want[f.Name])
		}
	}
	for _, c := range []struct {
		name      string
		got, want uintptr
	}{
		{"getDriver", unsafe.Sizeof(getDriver{}), 260},
		{"disconnectClaim", unsafe.Sizeof(disconnectClaim{}), 264},
		{"setInterface", unsafe.Sizeof(setInterface{}), 8},
		{"driverIoctl", unsafe.Sizeof(driverIoctl{}), 8 + unsafe.Sizeof(uintptr(0))},
	} {
		if c.got != c.want {
			t.Errorf("size of %s = %d; want %d", c.name, c.got, c.want)
		}
	}
}
