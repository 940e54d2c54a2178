//go:build !linux && !windows && !freebsd

package hid

import (
	"context"
	"fmt"
	"log/slog"
)

// Note is what users of the transport have to know about it on this system.
const Note = "HID devices cannot be reached on this system: " + missing + "."

// A System is the Opener of the running system. HID devices of this one cannot be
// reached: List and Open say why.
type System struct{}

// NewSystem returns the Opener of the running system.
func NewSystem(*slog.Logger) *System { return &System{} }

// List returns ErrUnsupported.
func (*System) List(context.Context) ([]Info, error) {
	return nil, fmt.Errorf("list USB HID devices: %s: %w", missing, ErrUnsupported)
}

// Open returns ErrUnsupported.
func (*System) Open(context.Context, Matcher, Tuning) (Conn, error) {
	return nil, fmt.Errorf("open USB HID device: %s: %w", missing, ErrUnsupported)
}

// Changed returns nil.
func (*System) Changed(context.Context) <-chan struct{} { return nil }
