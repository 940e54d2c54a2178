package hid

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"
)

// A door is an Opener that says what it was told to.
type door struct {
	Opener
	err error
}

func (d *door) Open(context.Context, Matcher, Tuning) (Conn, error) {
	if d.err != nil {
		return nil, fmt.Errorf("open: %w", d.err)
	}
	return NewFake(&Recording{}), nil
}

// What a transport says when, and whether the device is opened by hidraw then.
func TestSystemTakesRawOnlyWhereUSBFSIsOfNoUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		usbfs, raw := &door{}, &door{}
		there := true
		s := &System{usb: usbfs, raw: raw, usbfs: func() bool { return there }, log: slog.New(slog.DiscardHandler)}
		opened := func() string {
			c, err := s.Open(t.Context(), Matcher{}, DefaultTuning())
			switch {
			case err != nil:
				return "nothing"
			case usbfs.err == nil:
				c.Close()
				return "usbfs"
			}
			c.Close()
			return "hidraw"
		}
		for i, step := range []struct {
			usbfs, raw error
			there      bool
			wait       time.Duration
			want       string
		}{
			{ErrPermission, nil, true, 0, "hidraw"},
			{ErrPermission, ErrPermission, true, 0, "nothing"},
			{ErrGone, nil, true, 0, "nothing"}, // its node is not made yet
			{ErrGone, nil, false, 0, "hidraw"},
			{ErrBusy, nil, true, 0, "nothing"},
			{nil, nil, true, 0, "usbfs"},
			{ErrPermission, nil, true, 0, "nothing"}, // udevd has not come to it yet
			{ErrPermission, nil, true, rawPatience / 2, "nothing"},
			{ErrPermission, nil, true, rawPatience / 2, "hidraw"},
			{nil, nil, true, 0, "usbfs"},
			{ErrPermission, nil, true, 0, "nothing"},
		} {
			time.Sleep(step.wait)
			usbfs.err, raw.err, there = step.usbfs, step.raw, step.there
			if got := opened(); got != step.want {
				t.Errorf("step %d: usbfs says %v, hidraw %v: opened by %s; want %s", i, step.usbfs, step.raw, got, step.want)
			}
		}
	})
}
