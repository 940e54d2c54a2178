package record_test

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gonut/internal/transport/hid"
	"gonut/internal/transport/record"
)

const sample = `nut-recording 1
driver "usbhid-ups"
port "auto"
option vendorid "051d"
# anything
device 051d:0002 0106
0.000 open hid =
0.012 get feature 16 = 16 0c 00
0.013 get feature 17 ! stall "get feature report 0x17: no such report"
0.014 string 4 = "PbAc"
0.015 call /a/b Get = ""
0.500 input = 16 0c 00
1.000 1 open tcp "a = b:3493" =
1.001 1 > "LIST VAR ups\n"
1.002 1 < "\x00\x1bAPC\n"
1.002 1 < 06 81
61.250 1 end ! "connection reset"
61.251 1 close =
3600.000 signal =
`

func read(t *testing.T, text string) *record.Recording {
	t.Helper()
	rec, err := record.Read("x.rec", strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return rec
}

func write(t *testing.T, rec *record.Recording) string {
	t.Helper()
	var b strings.Builder
	if err := rec.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestRecordingIsWhatItSays(t *testing.T) {
	rec := read(t, sample)
	if rec.Driver != "usbhid-ups" || rec.Port != "auto" || len(rec.Options) != 1 || len(rec.Facts) != 1 || len(rec.Events) != 13 {
		t.Errorf("Read = %+v", rec)
	}
	if e := rec.Events[6]; e.Key != `1 open tcp "a = b:3493"` || e.At != time.Second || e.Op != record.Answer {
		t.Errorf("event 6 = %+v", e)
	}
	if e := rec.Events[2]; e.Class != "stall" || string(e.Data) != "get feature report 0x17: no such report" {
		t.Errorf("event 2 = %+v", e)
	}
	if rec.End() != time.Hour {
		t.Errorf("End = %v; want 1h", rec.End())
	}
	if got, want := write(t, rec), strings.Replace(sample, "# anything\n", "", 1); got != want {
		t.Errorf("written:\n%s\nwant\n%s", got, want)
	}
}

func TestBadRecordings(t *testing.T) {
	for text, want := range map[string]string{
		"":                                   "x.rec: this is no recording, it is empty",
		"ups.status: OL\n":                   `x.rec:1: this is no recording, which begins with "nut-recording 1"`,
		"nut-recording 2\n":                  "x.rec:1: this is no recording",
		"nut-recording 1\ndriver x\n":        "x.rec:2: x is not a text in quotes",
		"nut-recording 1\noption a b\n":      "x.rec:2: b is not a text in quotes",
		"nut-recording 1\n1.x a =\n":         `x.rec:2: "1.x" is no time in seconds`,
		"nut-recording 1\n1e99 a =\n":        `x.rec:2: "1e99" is no time in seconds`,
		"nut-recording 1\n1.0 abc\n":         "x.rec:2: there is no =, !, > or <",
		"nut-recording 1\n1.0 \"a = b\n":     "x.rec:2: there is no =, !, > or <",
		"nut-recording 1\n1.0 a = zz\n":      `x.rec:2: "zz" are no bytes`,
		"nut-recording 1\n1.0 a = \"\n":      "x.rec:2: \" is not a text in quotes",
		"nut-recording 1\n1 a ! gone more\n": `x.rec:2: "more" are no bytes`,
	} {
		_, err := record.Read("x.rec", strings.NewReader(text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Read(%q) = %v; want %q", text, err, want)
		}
	}
	rec := read(t, "nut-recording 1\n1.0 1 > \"a\"\n")
	if _, err := rec.Play(slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "before it is opened") {
		t.Errorf("Play of a connection that was not opened = %v", err)
	}
}

// A buffer is where a test records.
type buffer struct {
	bytes.Buffer
	closed int
	err    error
}

func (b *buffer) Write(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	return b.Buffer.Write(p)
}

func (b *buffer) Close() error {
	b.closed++
	return nil
}

func tape(t *testing.T, b *buffer, o record.Options) *record.Tape {
	t.Helper()
	return record.NewTape(b, &record.Recording{Driver: "d", Port: "p"}, o, slog.New(slog.NewTextHandler(t.Output(), nil)))
}

// events returns the lines with times.
func (b *buffer) events() string {
	var out []string
	for l := range strings.Lines(b.String()) {
		if '0' <= l[0] && l[0] <= '9' {
			out = append(out, l)
		}
	}
	return strings.Join(out, "")
}

func play(t *testing.T, text string) *record.Tape {
	t.Helper()
	tp, err := read(t, text).Play(slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err != nil {
		t.Fatal(err)
	}
	return tp
}

func TestAsk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := new(buffer)
		tp := tape(t, b, record.Options{})
		say := func(answer string, err error) {
			got, gotErr := tp.Ask("get a", func() (string, error) { return answer, err })
			if got != answer || gotErr != err {
				t.Errorf("Ask = %q, %v; want %q, %v", got, gotErr, answer, err)
			}
			time.Sleep(time.Second)
		}
		say("1", nil)
		say("1", nil) // the same again is not worth a line
		say("2", nil)
		say("", errors.New("no answer"))
		say("", &record.Failure{Class: "gone", Text: "unplugged"})
		say("2", nil)
		tp.Pushed("news", []byte{1, 2})
		tp.Close()
		const want = `0.000 get a = "1"
2.000 get a = "2"
3.000 get a ! "no answer"
4.000 get a ! gone "unplugged"
5.000 get a = "2"
6.000 news = 01 02
`
		if got := b.events(); got != want || b.closed != 1 {
			t.Errorf("recorded\n%s\nwant\n%s", got, want)
		}

		tp = play(t, b.String())
		stop := make(chan struct{})
		defer close(stop)
		var news []byte
		go tp.Pushes("news", stop, func(b []byte) { news = b })
		for i, want := range []string{"1", "1", "2", "! no answer", "! unplugged", "2", "2"} {
			got, err := tp.Ask("get a", nil)
			if err != nil {
				got = "! " + err.Error()[len("get a: "):]
			}
			if got != want {
				t.Errorf("after %d s: %s; want %s", i, got, want)
			}
			if f, ok := errors.AsType[*record.Failure](err); i == 4 && (!ok || f.Class != "gone") {
				t.Errorf("after %d s: %v; want a failure of class gone", i, err)
			}
			time.Sleep(time.Second + time.Millisecond)
		}
		synctest.Wait()
		if !bytes.Equal(news, []byte{1, 2}) {
			t.Errorf("pushed % x; want 01 02", news)
		}
		if _, err := tp.Ask("get b", nil); err == nil {
			t.Error("Ask of what was never asked = nil; want an error")
		}
	})
}

func TestNoTape(t *testing.T) {
	var tp *record.Tape
	if got, err := tp.Ask("x", func() (string, error) { return "y", nil }); got != "y" || err != nil {
		t.Errorf("Ask = %q, %v; want y", got, err)
	}
	fake := hid.NewFake(hid.NewRecording())
	if tp.HID(fake) != hid.Opener(fake) || tp.Playing() || tp.Private() || tp.HasLine() || tp.Dialer(nil) != nil {
		t.Error("a nil Tape does something")
	}
	tp.Secret("a")
	tp.Serial("b")
	tp.Pushed("c", nil)
	tp.Pushes("c", nil, nil)
	if err := tp.Close(); err != nil {
		t.Error(err)
	}
}

func TestRecordingIsBounded(t *testing.T) {
	b := new(buffer)
	tp := tape(t, b, record.Options{Limit: 1000})
	for range 1000 {
		tp.Pushed("k", []byte("some text"))
	}
	tp.Close()
	if n := b.Len(); n > 1100 || !strings.HasSuffix(b.String(), "record_limit allows for more\n") {
		t.Errorf("%d bytes, which end in %q", n, b.String()[n-60:])
	}
	read(t, b.String())
	b = &buffer{err: errors.New("disk full")}
	tp = tape(t, b, record.Options{})
	tp.Pushed("k", nil)
	if err := tp.Close(); err != nil || b.Len() != 0 {
		t.Errorf("a full disk: %v", err)
	}
}

func TestCreateKeepsTheLastOne(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.rec")
	log := slog.New(slog.DiscardHandler)
	for _, driver := range []string{"first", "second"} {
		tp, err := record.Create(path, &record.Recording{Driver: driver}, record.Options{}, log)
		if err != nil {
			t.Fatal(err)
		}
		tp.Close()
	}
	for name, want := range map[string]string{path: "second", path + ".1": "first"} {
		text, err := os.ReadFile(name)
		if err != nil || !strings.Contains(string(text), want) {
			t.Errorf("%s = %q, %v; want %q in it", name, text, err, want)
		}
		if fi, err := os.Stat(name); err != nil || fi.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v; want 0600", name, fi.Mode())
		}
	}
	if _, err := record.Create(filepath.Join(path, "no"), &record.Recording{}, record.Options{}, log); err == nil {
		t.Error("Create below a file = nil; want an error")
	}
}

func TestSecretsAreLeftOut(t *testing.T) {
	wide := func(s string) string {
		var b strings.Builder
		for _, c := range s {
			b.WriteRune(c)
			b.WriteByte(0)
		}
		return b.String()
	}
	lines := []struct{ sent, want, private string }{
		{"PASSWORD mimimi\n", "PASSWORD ***\n", "PASSWORD ***\n"},
		{"password \"a b\"\r\n", "password ***\r\n", "password ***\r\n"},
		{"LOGIN hunter2 x\n", "LOGIN *** x\n", "LOGIN *** x\n"},
		{"VAR ups ups.serial \"AB 123456\"\n", "VAR ups ups.serial \"000000000\"\n", "VAR ups ups.serial \"AB 123456\"\n"},
		{"VAR ups ups.serial \"7\"\n", "VAR ups ups.serial \"0\"\n", "VAR ups ups.serial \"7\"\n"},
		{"VAR ups ups.load \"7\"\n", "VAR ups ups.load \"7\"\n", "VAR ups ups.load \"7\"\n"},
		{"TYPE ups ups.serial STRING:32\n", "TYPE ups ups.serial STRING:32\n", "TYPE ups ups.serial STRING:32\n"},
		{"\x00\x19SERIALNO : 4B1234P56789  \n", "\x00\x19SERIALNO : 000000000000  \n", "\x00\x19SERIALNO : 4B1234P56789  \n"},
		{`{"Serial": <"XYZ99">, "Type": <3>}`, `{"Serial": <"00000">, "Type": <3>}`, `{"Serial": <"XYZ99">, "Type": <3>}`},
		{"SERIALNO : N/A\n", "SERIALNO : N/A\n", "SERIALNO : N/A\n"},
		{"model 4B1234P56789\n", "model 000000000000\n", "model 4B1234P56789\n"}, // known from another line
		{wide("4B1234P56789"), wide("000000000000"), wide("4B1234P56789")},
		{"told by the driver: QW-777\n", "told by the driver: 000000\n", "told by the driver: QW-777\n"},
	}
	for _, private := range []bool{false, true} {
		b := new(buffer)
		tp := tape(t, b, record.Options{Private: private, Secrets: []string{"hunter2", "x"}})
		tp.Serial("QW-777", "1", "00000", "")
		for _, l := range lines {
			tp.Pushed("k", []byte(l.sent))
		}
		tp.Release()
		rec := read(t, b.String())
		for i, l := range lines {
			want := l.want
			if private {
				want = l.private
			}
			if got := string(rec.Events[i].Data); got != want {
				t.Errorf("private %v: %q is recorded as %q; want %q", private, l.sent, got, want)
			}
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add(sample)
	f.Add("nut-recording 1\n1 1 open tcp \"a\" ! \"refused\"\n2 2 open line \"x\" =\n2 2 < \"hello\"\n3 2 > 01 02\n3 2 > 03\n4 2 end =\n")
	f.Add("nut-recording 1\n0.0 > \"\"\n0 ! !\n0 a\\\"b = \"\\u00e9\"")
	f.Fuzz(func(t *testing.T, text string) {
		rec, err := record.Read("x", strings.NewReader(text))
		if err != nil {
			return
		}
		first := write(t, rec)
		again, err := record.Read("x", strings.NewReader(first))
		if err != nil {
			t.Fatalf("Read of what was written: %v\n%s", err, first)
		}
		if second := write(t, again); second != first {
			t.Fatalf("written\n%s\nand from that\n%s", first, second)
		}
		tp, err := rec.Play(slog.New(slog.DiscardHandler))
		if err != nil {
			return
		}
		// Whatever it says, playing it must neither panic nor wait for ever.
		for range 3 {
			c, err := tp.Dialer(nil)(t.Context(), "tcp", "a")
			if err != nil {
				break
			}
			c.SetDeadline(time.Now().Add(time.Millisecond))
			c.Write([]byte{1, 2})
			c.Write([]byte("x"))
			io.Copy(io.Discard, c)
			c.Close()
		}
		if c, err := tp.HID(nil).Open(t.Context(), hid.Matcher{}, hid.DefaultTuning()); err == nil {
			c.Get(t.Context(), hid.Feature, 0x16, make([]byte, 8))
			c.Set(t.Context(), hid.Feature, 0x16, []byte{0x16, 1})
			c.String(t.Context(), 4)
			c.Close()
			c.Input(t.Context(), make([]byte, 8))
		}
		tp.Ask("get a", nil)
	})
}
