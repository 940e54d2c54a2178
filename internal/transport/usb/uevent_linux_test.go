package usb

import (
	"encoding/binary"
	"testing"
)

// udevMessage makes what udevd sends: a header that says where the words begin.
func udevMessage(magic, offset uint32, words string) []byte {
	p := make([]byte, udevHeader, udevHeader+len(words))
	copy(p, "libudev\x00")
	binary.BigEndian.PutUint32(p[8:], magic)
	binary.NativeEndian.PutUint32(p[12:], udevHeader)
	binary.NativeEndian.PutUint32(p[16:], offset)
	binary.NativeEndian.PutUint32(p[20:], uint32(len(words)))
	return append(p, words...)
}

const addWords = "ACTION=add\x00DEVPATH=/devices/pci0000:00/usb3/3-1\x00SUBSYSTEM=usb\x00DEVTYPE=usb_device\x00PRODUCT=51d/2/106\x00"

func TestParseUevent(t *testing.T) {
	add := uevent{"add", "/devices/pci0000:00/usb3/3-1", "usb"}
	for _, c := range []struct {
		name string
		in   []byte
		want uevent
		ok   bool
	}{
		{"kernel", []byte("add@/devices/pci0000:00/usb3/3-1\x00" + addWords), add, true},
		{"udevd", udevMessage(udevMagic, udevHeader, addWords), add, true},
		{"udevd, other magic", udevMessage(1, udevHeader, addWords), uevent{}, false},
		{"udevd, words before the header's end", udevMessage(udevMagic, 4, addWords), uevent{}, false},
		{"udevd, words after the end", udevMessage(udevMagic, 1<<31, addWords), uevent{}, false},
		{"udevd, cut", []byte("libudev\x00"), uevent{}, false},
		{"empty", nil, uevent{}, false},
		{"no words", []byte("add@/devices\x00"), uevent{}, false},
		{"no at sign", []byte("add\x00" + addWords), uevent{}, false},
	} {
		got, ok := parseUevent(c.in)
		if ok != c.ok || ok && got != c.want {
			t.Errorf("%s: parseUevent = %+v, %v; want %+v, %v", c.name, got, ok, c.want, c.ok)
		}
	}
	if !add.concerns() || (uevent{Subsystem: "block"}).concerns() {
		t.Error("concerns: want true for usb, false for block")
	}
}

func FuzzParseUevent(f *testing.F) {
	f.Add([]byte("add@/devices/pci0000:00/usb3/3-1\x00" + addWords))
	f.Add(udevMessage(udevMagic, udevHeader, addWords))
	f.Add([]byte("libudev\x00\xfe\xed\xca\xfe\x00\x00\x00\x00\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, p []byte) {
		if e, ok := parseUevent(p); ok && (e.Action == "" || e.Subsystem == "") {
			t.Errorf("parseUevent(%q) = %+v; want an action and a subsystem", p, e)
		}
	})
}
