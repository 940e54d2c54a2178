package netproto

import (
	"errors"
	"strings"
	"testing"
)

var systems = []struct {
	text string
	want string // ups, host and port with blanks between
	err  error
}{
	{"ups", "ups localhost 3493", nil},
	{"ups@host", "ups host 3493", nil},
	{"ups@host:1234", "ups host 1234", nil},
	{"ups@192.0.2.1:1", "ups 192.0.2.1 1", nil},
	{"ups@host:65535", "ups host 65535", nil},
	{"ups@host:12x", "ups host 12", nil}, // as C: the digits that it begins with
	{"ups@[::1]", "ups ::1 3493", nil},
	{"ups@[fe80::1%eth0]:4000", "ups fe80::1%eth0 4000", nil},
	{"ups@[::1]junk", "ups ::1 3493", nil}, // as C
	{"ups:1@host", "ups:1 host 3493", nil},
	{"my ups@host", "my ups host 3493", nil},
	{"", "", ErrNoUPSName},
	{"@host", "", ErrNoUPSName},
	{"@", "", ErrNoUPSName},
	{"ups@", "", ErrNoHost},
	{"ups@:3493", "", ErrNoHost},
	{"ups@[]", "", ErrNoHost},
	{"ups@[]:1", "", ErrNoHost},
	{"ups:123", "", ErrPortWithoutHost},
	{"ups@host:", "", ErrPort},
	{"ups@host:abc", "", ErrPort},
	{"ups@host:0", "", ErrPort},
	{"ups@host:-1", "", ErrPort},
	{"ups@host:65536", "", ErrPort},
	{"ups@host:99999999999999999999", "", ErrPort},
	{"ups@[::1]:", "", ErrPort},
	{"ups@[::1", "", ErrBrackets},
	{"ups@::1", "", ErrBrackets},
	{"ups@fe80::1:3493", "", ErrBrackets},
	{"ups@a@b", "", ErrHost},
	{"ups@[[]", "", ErrHost},
	{"ups@a]", "", ErrHost},
}

func TestParseSystem(t *testing.T) {
	for _, c := range systems {
		got, err := ParseSystem(c.text)
		text := ""
		if err == nil {
			text = strings.Join([]string{got.UPS, got.Name, got.Port}, " ")
		}
		if text != c.want || !errors.Is(err, c.err) {
			t.Errorf("ParseSystem(%q) = %q, %v; want %q, %v", c.text, text, err, c.want, c.err)
		}
		if c.err != nil && err != nil && !strings.Contains(err.Error(), c.text) {
			t.Errorf("ParseSystem(%q) says %q; want the text in it", c.text, err)
		}
	}
}

func TestParseHost(t *testing.T) {
	for _, c := range []struct {
		text, want, dial string
		err              error
	}{
		{"host", "host", "host:3493", nil},
		{"host:3493", "host", "host:3493", nil},
		{"host:1", "host:1", "host:1", nil},
		{"[::1]", "[::1]", "[::1]:3493", nil},
		{"[::1]:80", "[::1]:80", "[::1]:80", nil},
		{"", "", "", ErrNoHost},
		{":3493", "", "", ErrNoHost}, // C takes the port for the host
		{"host:nut", "", "", ErrPort},
		{"::1", "", "", ErrBrackets},
		{"a@b", "", "", ErrHost},
	} {
		got, err := ParseHost(c.text)
		if !errors.Is(err, c.err) {
			t.Errorf("ParseHost(%q) gives error %v; want %v", c.text, err, c.err)
		}
		if err == nil && (got.String() != c.want || got.Addr() != c.dial) {
			t.Errorf("ParseHost(%q) = %s, to dial %s; want %s, %s", c.text, got, got.Addr(), c.want, c.dial)
		}
		if err != nil && got != (Host{}) {
			t.Errorf("ParseHost(%q) = %+v with an error; want nothing", c.text, got)
		}
	}
}

// FuzzParseSystem checks that what is accepted can be written and read again.
func FuzzParseSystem(f *testing.F) {
	for _, c := range systems {
		f.Add(c.text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseSystem(text)
		if err != nil {
			return
		}
		if s.UPS == "" || s.Name == "" || s.Port == "" {
			t.Fatalf("ParseSystem(%q) = %+v, which is not complete", text, s)
		}
		again, err := ParseSystem(s.String())
		if err != nil || again != s {
			t.Errorf("ParseSystem(%q) = %+v, and of its own text %q %+v, %v", text, s, s.String(), again, err)
		}
	})
}
