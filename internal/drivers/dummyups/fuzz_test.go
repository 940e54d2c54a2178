package dummyups

import (
	"log/slog"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"gonut/internal/driver"
)

// Whatever a file says, it is played without a panic and in bounded time, and only
// text that NUT programs can pass on comes out of it.
func FuzzRecording(f *testing.F) {
	for _, seed := range []string{
		"ups.status: OL\nTIMER 5\nups.status: OB\nALARM low\nALARM\n", "#RW:ups.id:STRING:8\n#RW:a:ENUM:\"x\"\n#RW:b:RANGE:\"1\" \"2\"\n#CMD:load.off\na: \"q \\\" w\" # c\n",
		"ups.model \"X Y\"\nnodot: x\nTIMER -1\nTIMER x\n\x00\xff: \t\n", "a.b:\na.b: 1\na.b:\n",
	} {
		f.Add(seed, true)
		f.Add(seed, false)
	}
	f.Fuzz(func(t *testing.T, text string, loop bool) {
		mode := modeOnce
		if loop {
			mode = modeLoop
		}
		p := &player{
			source: file{fstest.MapFS{"x": {Data: []byte(text)}}, "x", "x"}, mode: mode,
			log: slog.New(slog.DiscardHandler), values: make(map[string]*value), wake: make(chan struct{}, 1),
		}
		if err := p.load(); err != nil {
			return
		}
		p.start()
		defer p.Close()
		now := time.Now()
		for range 10 {
			if err := p.play(now); err != nil {
				t.Fatal(err)
			}
			now = now.Add(time.Hour)
		}
		if err := p.Poll(t.Context(), driver.Init, new(driver.Update)); err != nil {
			t.Fatal(err)
		}
		for _, v := range p.order {
			if !validName(v.name) || strings.ContainsFunc(v.text, func(r rune) bool { return r < ' ' || r > '~' }) {
				t.Errorf("%q: %q", v.name, v.text)
			}
		}
	})
}

// endless is a file such as /dev/zero.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = '\n'
	}
	return len(p), nil
}

func TestFileWithoutEnd(t *testing.T) {
	if _, err := parse("x", endless{}, 1<<20); err == nil || !strings.Contains(err.Error(), "more than 1048576 bytes") {
		t.Errorf("parse of a file without end = %v; want an error about its size", err)
	}
	if _, err := parse("x", strings.NewReader("a.b: c\n"), 7); err != nil {
		t.Errorf("parse of as much as is allowed = %v; want nil", err)
	}
}
