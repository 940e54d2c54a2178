package usb

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// A script answers control transfers in order.
type script struct {
	t       *testing.T
	answers []answer
}

type answer struct {
	setup Setup
	data  string // hexadecimal
	err   error
}

func (s *script) Control(_ context.Context, _ time.Duration, got Setup, data []byte) (int, error) {
	s.t.Helper()
	if len(s.answers) == 0 {
		s.t.Fatalf("Control(%v): one transfer too many", got)
	}
	a := s.answers[0]
	s.answers = s.answers[1:]
	if got != a.setup {
		s.t.Errorf("Control(%v); want %v", got, a.setup)
	}
	return copy(data, unhex(s.t, a.data)), a.err
}

func TestReadString(t *testing.T) {
	languages := Setup{0x80, 6, 0x0300, 0}
	german := Setup{0x80, 6, 0x0302, 0x0407}
	english := Setup{0x80, 6, 0x0302, LanguageEnglish}
	for _, c := range []struct {
		name    string
		answers []answer
		want    string
		fails   bool
	}{
		{"in the device's language", []answer{{languages, "04030704", nil}, {german, "04034100", nil}}, "A", false},
		{"languages unknown", []answer{{languages, "", ErrStall}, {english, "04034100", nil}}, "A", false},
		{"second try", []answer{{languages, "04030904", nil}, {english, "00", nil}, {languages, "04030904", nil}, {english, "04034200", nil}}, "B", false},
		{"third try fails", []answer{{languages, "", ErrStall}, {english, "", ErrStall}, {languages, "", ErrStall}, {english, "", ErrStall},
			{languages, "", ErrStall}, {english, "", ErrStall}}, "", true},
		{"gone", []answer{{languages, "", ErrGone}, {english, "", ErrGone}}, "", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &script{t, c.answers}
				got, err := ReadString(context.Background(), s, 2)
				if got != c.want || (err != nil) != c.fails {
					t.Errorf("ReadString = %q, %v; want %q, error %v", got, err, c.want, c.fails)
				}
				if len(s.answers) > 0 {
					t.Errorf("%d transfers were not asked for", len(s.answers))
				}
			})
		})
	}
	if got, err := ReadString(context.Background(), &script{t: t}, 0); got != "" || err != nil {
		t.Errorf("ReadString(0) = %q, %v; want nothing", got, err)
	}
}
