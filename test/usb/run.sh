#!/bin/sh
# Runs the USB tests in a small virtual machine: a real kernel, with virtual USB
# devices on its vhci_hcd. QEMU emulates the processor, so no special rights are
# needed; its clock counts instructions (250 million a second), so what the tests
# measure does not depend on how busy the host is, and waiting costs no time. The
# kernel is Debian's, fetched once into a cache outside of the tree.
#
# Needs qemu-system-x86, apt-get, dpkg-deb, tar, xz and go. What cannot be had makes
# it skip with a message and status 0, or fail if GONUT_REQUIRE_USB=1.
#
#   test/usb/run.sh [arguments for the test binaries, such as -test.run=Name]
#
# GONUT_USB_CACHE   where the kernel is kept
# GONUT_USB_KERNEL  package to take the kernel from, default linux-image-amd64
# GONUT_USB_LIMIT   seconds that the machine may run, default 1200
set -eu
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.."
cache=${GONUT_USB_CACHE:-${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/gonut-usb}
package=${GONUT_USB_KERNEL:-linux-image-amd64}
kernel=$cache/$package
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
begin=$(date +%s)
root=
[ "$(id -u)" = 0 ] || root=sudo

skip() {
	if [ "${GONUT_REQUIRE_USB:-}" = 1 ]; then
		echo "USB tests: FAILED: $*" >&2
		exit 1
	fi
	echo "USB tests: SKIPPED: $*"
	exit 0
}

# fetch leaves the unpacked parts of the kernel package in $kernel.
fetch() {
	rm -rf "$kernel" "$kernel.new"
	mkdir -p "$kernel.new"
	(
		cd "$kernel.new"
		for pause in 0 5 30; do
			sleep $pause
			name=$(apt-cache depends "$package" 2>/dev/null | sed -n 's/^ *Depends: \(linux-image-[0-9].*\)/\1/p' | head -n 1)
			if [ -n "$name" ] && apt-get -qq -o Acquire::Retries=3 download "$name"; then
				break
			fi
			# The lists may be older than the archive.
			$root apt-get -qq -o Acquire::Retries=3 update || :
		done
		set -- ./*.deb
		[ -f "$1" ] || exit 1
		dpkg-deb --fsys-tarfile "$1" | tar -x --wildcards './boot/vmlinuz-*' './boot/config-*' \
			'./lib/modules/*/kernel/drivers/usb/*' './lib/modules/*/kernel/drivers/hid/*' './lib/modules/*/kernel/drivers/input/*'
		rm -f ./*.deb
		echo "$name" >name
	) || return 1
	"$work/rig" kernel "$kernel.new" || return 1
	grep -q '^CONFIG_USBIP_VHCI_HCD=m' "$kernel.new"/boot/config-* || { echo "$package has no vhci_hcd" >&2; return 1; }
	rm -rf "$kernel.new/lib" "$kernel.new"/boot/vmlinuz-*
	mv "$kernel.new" "$kernel"
}

[ "$(uname -s)" = Linux ] || skip "they need Linux"
for tool in qemu-system-x86_64 xz; do
	command -v $tool >/dev/null || skip "$tool is not installed (packages qemu-system-x86, xz-utils)"
done
# C NUT's driver is the peer where it is installed.
peer=/lib/nut/usbhid-ups
[ -x $peer ] || [ "${GONUT_REQUIRE_USB:-}" != 1 ] || skip "$peer is not installed (package nut-server)"
export CGO_ENABLED=0 GOOS=linux GOARCH=amd64
go build -trimpath -ldflags='-s -w' -o "$work/" ./test/usb/rig ./test/usb/guest ./cmd/nut
if [ ! -s "$kernel/vmlinux" ]; then
	for tool in apt-get apt-cache dpkg-deb tar; do
		command -v $tool >/dev/null || skip "$tool is needed to fetch a kernel"
	done
	fetch || skip "the kernel package $package cannot be had"
fi
echo "USB tests: kernel $(cat "$kernel/name"), machine $(qemu-system-x86_64 --version | sed -n 's/^QEMU emulator version \([^ ]*\).*/\1/p')"

for p in usb hid; do
	go test -c -trimpath -o "$work/1-$p.test" "./internal/transport/$p"
done
go test -c -trimpath -o "$work/2-kernel.test" ./test/usb
echo "$*" >"$work/arguments"

set -- -file "/init=$work/guest" -file "/bin/nut=$work/nut" -link /bin/usbhid-ups=nut -file "/tests/arguments=$work/arguments" \
	-modules "$kernel/modules" -module vhci_hcd -module usbhid -module hid_generic
for t in "$work"/*.test; do
	set -- "$@" -file "/tests/$(basename "$t")=$t"
done
for f in test/devices/hid/*; do
	set -- "$@" -file "/test/devices/hid/$(basename "$f")=$f"
done
if [ -x $peer ]; then
	set -- "$@" -program "$peer=$peer"
fi
"$work/rig" initramfs "$@" "$work/initramfs"

status=125
timeout "${GONUT_USB_LIMIT:-1200}" qemu-system-x86_64 -M pc -accel tcg,thread=single,tb-size=64 -icount shift=2,sleep=off -rtc clock=vm -smp 1 -m 320 \
	-nodefaults -no-user-config -no-reboot -display none -serial stdio \
	-kernel "$kernel/vmlinux" -initrd "$work/initramfs" \
	-append 'console=ttyS0 quiet loglevel=1 panic=-1 mitigations=off' </dev/null 2>&1 | tr -d '\r' | tee "$work/console" || :
status=$(sed -n 's/^GUEST exit \([0-9]*\)$/\1/p' "$work/console" | tail -n 1)
count() { grep -c "^ *--- $1:" "$work/console" || :; }
echo "USB tests: $(count PASS) passed, $(count FAIL) failed, $(count SKIP) skipped, in $(($(date +%s) - begin)) s"
if [ "${status:-125}" != 0 ]; then
	echo "USB tests: FAILED (the machine said: ${status:-nothing, it was stopped or crashed})" >&2
	exit 1
fi
[ "$(count FAIL)" = 0 ]
