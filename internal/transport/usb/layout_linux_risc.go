//go:build linux && (mips || mipsle || mips64 || mips64le || ppc64 || ppc64le || sparc64)

package usb

func nativeIoctls() ioctlLayout { return olderIoctls() }
