//go:build !linux

package usb

import (
	"context"
	"fmt"
	"time"
)

// A System is where devices are found. This one finds none: transfers to USB
// devices need system libraries here that no pure Go program can be linked to
// without further work. Every method says so.
type System struct{}

// A Handle is one open device; on this system there is none.
type Handle struct{ device Device }

// A Watcher tells when devices came or went; on this system it never does.
type Watcher struct{}

func unsupported(what string) error { return fmt.Errorf("%s: %w", what, ErrUnsupported) }

// List returns ErrUnsupported.
func (System) List(context.Context) ([]Device, error) { return nil, unsupported("list USB devices") }

// Open returns ErrUnsupported.
func (System) Open(Device) (*Handle, error) { return nil, unsupported("open USB device") }

// Watch returns ErrUnsupported.
func (System) Watch() (*Watcher, error) { return nil, unsupported("watch USB devices") }

// Next returns ErrUnsupported.
func (*Watcher) Next(context.Context) error { return unsupported("watch USB devices") }

// Close does nothing.
func (*Watcher) Close() error { return nil }

// Device returns what the handle was opened with.
func (h *Handle) Device() Device { return h.device }

// Control returns ErrUnsupported.
func (*Handle) Control(context.Context, time.Duration, Setup, []byte) (int, error) {
	return 0, unsupported("control transfer")
}

// Controls returns ErrUnsupported.
func (*Handle) Controls(context.Context, time.Duration, []Request) (int, error) {
	return 0, unsupported("control transfers")
}

// Interrupt returns ErrUnsupported.
func (*Handle) Interrupt(context.Context, time.Duration, uint8, []byte) (int, error) {
	return 0, unsupported("interrupt transfer")
}

// Bulk returns ErrUnsupported.
func (*Handle) Bulk(context.Context, time.Duration, uint8, []byte) (int, error) {
	return 0, unsupported("bulk transfer")
}

// Claim returns ErrUnsupported.
func (*Handle) Claim(uint8) error { return unsupported("claim interface") }

// Release returns ErrUnsupported.
func (*Handle) Release(uint8) error { return unsupported("release interface") }

// SetInterface returns ErrUnsupported.
func (*Handle) SetInterface(_, _ uint8) error { return unsupported("set interface") }

// ClearHalt returns ErrUnsupported.
func (*Handle) ClearHalt(uint8) error { return unsupported("clear halt") }

// Reset returns ErrUnsupported.
func (*Handle) Reset() error { return unsupported("reset device") }

// Close does nothing.
func (*Handle) Close() error { return nil }
