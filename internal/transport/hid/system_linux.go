package hid

import (
	"context"
	"errors"
	"log/slog"

	"gonut/internal/transport/usb"
)

// A System is the Opener of the running system. On Linux it opens devices by
// usbfs, as libusb would, and by hidraw where usbfs is closed to us.
type System struct {
	usb *USB
	raw *Raw
	log *slog.Logger
}

// NewSystem returns the Opener of the running system.
func NewSystem(log *slog.Logger) *System {
	return &System{NewUSB(usb.System{}, log), NewRaw(usb.System{}, log), log}
}

// List implements Opener.
func (s *System) List(ctx context.Context) ([]Info, error) { return s.usb.List(ctx) }

// Changed implements Opener.
func (s *System) Changed(ctx context.Context) <-chan struct{} { return s.usb.Changed(ctx) }

// Open implements Opener.
func (s *System) Open(ctx context.Context, m Matcher, t Tuning) (Conn, error) {
	c, err := s.usb.Open(ctx, m, t)
	if err == nil || !errors.Is(err, ErrPermission) && !errors.Is(err, ErrGone) {
		return c, err
	}
	raw, rawErr := s.raw.Open(ctx, m, t)
	if rawErr != nil {
		return nil, err
	}
	s.log.Info("opened the device by hidraw because usbfs is closed to us", "device", raw.Info().String(), "error", err)
	return raw, nil
}
