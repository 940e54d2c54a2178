//go:build !linux

package hid

import (
	"log/slog"

	"gonut/internal/transport/usb"
)

// A System is the Opener of the running system. USB HID devices of this one
// cannot be reached yet: List and Open return ErrUnsupported.
type System struct{ *USB }

// NewSystem returns the Opener of the running system.
func NewSystem(log *slog.Logger) *System { return &System{NewUSB(usb.System{}, log)} }
