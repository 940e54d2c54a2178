//go:build !linux && !windows && !freebsd && !darwin

package hid

// missing is why HID devices cannot be reached.
const missing = "nobody has written the way to them on this system yet"
