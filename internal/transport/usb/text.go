package usb

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// A Controller performs control transfers: a Handle, or a fake of one.
type Controller interface {
	Control(ctx context.Context, limit time.Duration, s Setup, data []byte) (int, error)
}

// LanguageEnglish is what strings are asked for in when a device does not say
// which languages it has.
const LanguageEnglish = 0x0409

// ReadString reads string descriptor index as text, in the device's first
// language. Devices are known to answer wrongly at first, so it asks up to three
// times, as C's drivers do. Index 0 means that there is no string.
func ReadString(ctx context.Context, c Controller, index uint8) (string, error) {
	if index == 0 {
		return "", nil
	}
	var text string
	err := thrice(ctx, func() error {
		language := uint16(LanguageEnglish)
		var p [255]byte
		s := Setup{RequestType: In, Request: GetDescriptor, Value: DescriptorString << 8}
		if n, err := c.Control(ctx, ControlTimeout, s, p[:4]); err == nil && n >= 4 && p[0] >= 4 && p[1] == DescriptorString {
			language = uint16(p[2]) | uint16(p[3])<<8
		}
		s.Value, s.Index = DescriptorString<<8|uint16(index), language
		n, err := c.Control(ctx, ControlTimeout, s, p[:])
		if err != nil {
			return err
		}
		text, err = decodeString(p[:n])
		return err
	})
	if err != nil {
		return "", fmt.Errorf("read string %d: %w", index, err)
	}
	return text, nil
}

// thrice calls f until it succeeds, three times at most, 50 ms apart.
func thrice(ctx context.Context, f func() error) error {
	var err error
	for range 3 {
		if err = f(); err == nil || errors.Is(err, ErrGone) {
			return err
		}
		pause := time.NewTimer(50 * time.Millisecond)
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return err
		}
	}
	return err
}
