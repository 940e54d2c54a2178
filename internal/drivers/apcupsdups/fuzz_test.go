package apcupsdups

import (
	"bytes"
	"testing"
)

// Whatever a server sends is read without a panic, and every row makes something of
// it or nothing.
func FuzzRead(f *testing.F) {
	f.Add([]byte("\x00\x13STATUS   : ONLINE \n\x00\x17LINEV    : 230.1 Volts\n\x00\x00"))
	f.Add([]byte("\x00\x1bSTESTI   : 99999999999 days\n\x00\x10FIRMWARE: USB FW\n\x00\x09DATE : \n\x00\x00"))
	f.Add([]byte("\xff\xff\x00\x00"))
	f.Fuzz(func(t *testing.T, answer []byte) {
		values, err := read(bytes.NewReader(answer))
		if err != nil {
			return
		}
		if len(values) > maxLines {
			t.Errorf("%d values; want at most %d", len(values), maxLines)
		}
		for _, row := range rows() {
			for _, v := range values {
				row.convert(v)
			}
		}
	})
}
