package hid

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"gonut/internal/transport/usb"
)

// Note is what users of the transport have to know about it on this system: here
// there is nothing.
const Note = ""

// rawPatience is how long a device that usbfs gave us before may be closed to us
// until hidraw is taken instead: udevd opens new nodes to us a little later than
// the kernel makes them.
const rawPatience = 10 * time.Second

// A System is the Opener of the running system. On Linux it opens devices by
// usbfs, as libusb would, and by hidraw where usbfs is closed to us or not there.
type System struct {
	usb, raw Opener
	usbfs    func() bool // usbfs is there
	log      *slog.Logger

	mu      sync.Mutex // guards what follows
	worked  bool       // usbfs gave us a device once
	refused time.Time  // since when it does no more
}

// NewSystem returns the Opener of the running system.
func NewSystem(log *slog.Logger) *System {
	s := usb.System{}
	return &System{usb: NewUSB(s, log), raw: NewRaw(s, log), usbfs: s.HasNodes, log: log}
}

// List implements Opener.
func (s *System) List(ctx context.Context) ([]Info, error) { return s.usb.List(ctx) }

// Changed implements Opener.
func (s *System) Changed(ctx context.Context) <-chan struct{} { return s.usb.Changed(ctx) }

// Open implements Opener.
func (s *System) Open(ctx context.Context, m Matcher, t Tuning) (Conn, error) {
	c, err := s.usb.Open(ctx, m, t)
	if !s.instead(err) {
		return c, err
	}
	raw, rawErr := s.raw.Open(ctx, m, t)
	if rawErr != nil {
		return nil, err
	}
	s.log.Info("opened the device by hidraw because usbfs is closed to us", "device", raw.Info().String(), "error", err)
	return raw, nil
}

// instead says after an attempt by usbfs whether to try hidraw. hidraw is the worse
// way: the kernel waits for a lost transfer for five seconds, and makes other HID
// devices wait meanwhile.
func (s *System) instead(err error) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err == nil:
		s.worked, s.refused = true, time.Time{}
		return false
	case errors.Is(err, ErrGone):
		return !s.usbfs()
	case !errors.Is(err, ErrPermission):
		return false
	case !s.worked:
		return true
	case s.refused.IsZero():
		s.refused = time.Now()
		return false
	}
	return time.Since(s.refused) >= rawPatience
}
