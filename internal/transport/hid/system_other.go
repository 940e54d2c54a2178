//go:build !linux && !windows && !freebsd

package hid

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
)

// A System is the Opener of the running system. HID devices of this one cannot be
// reached: macOS gives them only to programs that are linked to IOKit, for others
// nobody has written it yet. List and Open say so.
type System struct{}

// NewSystem returns the Opener of the running system.
func NewSystem(*slog.Logger) *System { return &System{} }

func (*System) missing() error {
	what := "nobody has written the way to them yet"
	if runtime.GOOS == "darwin" {
		what = "the framework IOKit is needed, which this program is not linked to"
	}
	return fmt.Errorf("reach USB HID devices on %s: %s: %w", runtime.GOOS, what, ErrUnsupported)
}

// List returns ErrUnsupported.
func (s *System) List(context.Context) ([]Info, error) { return nil, s.missing() }

// Open returns ErrUnsupported.
func (s *System) Open(context.Context, Matcher, Tuning) (Conn, error) { return nil, s.missing() }

// Changed returns nil.
func (*System) Changed(context.Context) <-chan struct{} { return nil }
