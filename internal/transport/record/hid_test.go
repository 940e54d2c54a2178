package record_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gonut/internal/transport/hid"
	"gonut/internal/transport/record"
	"gonut/test/devices/bench"
)

func ups(t *testing.T) *hid.Recording {
	t.Helper()
	rec := bench.ReadRecording(t, "../../../test/devices/hid/apc-bk650m2-ch.rec")
	rec.Info.Serial = "4B1234P56789"
	rec.Strings[3] = "4B1234P56789"
	return rec
}

// A listener collects what comes over the interrupt pipe.
func listen(ctx context.Context, c hid.Conn, told func(string)) {
	for ctx.Err() == nil {
		buf := make([]byte, 8)
		n, err := c.Input(ctx, buf)
		if ctx.Err() != nil {
			return
		}
		told(fmt.Sprintf("input % x %v", buf[:n], short(err)))
		if errors.Is(err, hid.ErrGone) {
			return
		}
	}
}

func short(err error) string {
	for _, e := range []error{hid.ErrGone, hid.ErrStall, hid.ErrTimeout, hid.ErrBusy} {
		if errors.Is(err, e) {
			return e.Error()
		}
	}
	if err != nil {
		return "other error"
	}
	return ""
}

// use is what a driver does with a device, step by step, a second each; between
// them happen is called.
func use(t *testing.T, o hid.Opener, happen func(step int)) []string {
	t.Helper()
	var told []string
	say := func(format string, args ...any) { told = append(told, fmt.Sprintf(format, args...)) }
	conn, err := o.Open(t.Context(), hid.Matcher{}, hid.DefaultTuning())
	if err != nil {
		t.Fatal(err)
	}
	say("%s %d bytes", conn.Info(), len(conn.Descriptor()))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	inputs := make(chan string, 100)
	go func() {
		defer close(ended)
		listen(ctx, conn, func(s string) { inputs <- s })
	}()
	for step := range 8 {
		for _, id := range []byte{0x0c, 0x31, 0xee} {
			buf := make([]byte, 8)
			n, err := conn.Get(t.Context(), hid.Feature, id, buf)
			say("step %d: %02x: % x %s", step, id, buf[:n], short(err))
		}
		s, err := conn.String(t.Context(), 2+step%2)
		say("string %d: %q %s", 2+step%2, s, short(err))
		if step == 5 {
			say("set: %s", short(conn.Set(t.Context(), hid.Feature, 0x31, []byte{0x31, 1, 2})))
		}
		time.Sleep(time.Second / 2)
		happen(step)
		time.Sleep(time.Second / 2)
		synctest.Wait()
		for len(inputs) > 0 {
			say("%s", <-inputs)
		}
	}
	cancel()
	conn.Close()
	<-ended
	_, err = o.Open(t.Context(), hid.Matcher{}, hid.DefaultTuning())
	say("opened again: %s", short(err))
	return told
}

func TestHIDIsRecordedAndPlayed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := new(buffer)
		tp := tape(t, b, record.Options{})
		fake := hid.NewFake(ups(t))
		want := use(t, tp.HID(fake), func(step int) {
			switch step {
			case 1:
				fake.Put(0x0c, 99, 1, 2)
			case 2:
				fake.Push(0x16, 1, 2)
			case 3:
				fake.Fail(0x0c, hid.ErrTimeout)
			case 4:
				fake.Fail(0x0c, nil)
			case 7:
				fake.Unplug()
			}
		})
		tp.Close()
		if strings.Contains(b.String(), "4B1234P56789") {
			t.Errorf("the serial number is in the recording:\n%s", b.String())
		}
		if n := strings.Count(b.String(), "get feature 31 ="); n != 2 { // at first, and after it was set
			t.Errorf("the report that does not change is recorded %d times; want 2", n)
		}
		nothing := func(int) {}
		got := use(t, play(t, b.String()).HID(nil), nothing)
		for i := range want {
			if w := strings.ReplaceAll(want[i], "4B1234P56789", "000000000000"); i >= len(got) || got[i] != w {
				t.Fatalf("line %d of %d played: %v; want %q", i, len(got), got[min(i, len(got)-1):], w)
			}
		}
	})
}

// What nut learn writes can be played: everything is true from the start, and what
// is written is read again.
func TestSnapshotIsPlayed(t *testing.T) {
	rec := ups(t)
	rec.Inputs = [][]byte{{0x16, 1}, {0x16, 2}}
	rec.Features[0x31] = []byte{0x31, 7, 8}
	var b strings.Builder
	if err := rec.Write(&b); err != nil {
		t.Fatal(err)
	}
	tp := play(t, b.String())
	m, err := hid.NewMatcher(func(name string) string { return map[string]string{"vendorid": "0463"}[name] })
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tp.HID(nil).Open(t.Context(), m, hid.DefaultTuning()); !errors.Is(err, hid.ErrGone) {
		t.Errorf("Open of another device = %v; want ErrGone", err)
	}
	if infos, err := tp.HID(nil).List(t.Context()); err != nil || len(infos) != 1 || infos[0].VendorID != 0x051d {
		t.Errorf("List = %v, %v", infos, err)
	}
	c, err := tp.HIDConn(nil)
	if err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 8)
	for _, want := range [][]byte{{0x16, 1}, {0x16, 2}} {
		if n, err := c.Input(t.Context(), buf); err != nil || string(buf[:n]) != string(want) {
			t.Errorf("Input = % x, %v; want % x", buf[:n], err, want)
		}
	}
	for _, want := range [][]byte{{0x31, 7, 8}, {0x31, 9}} {
		if n, err := c.Get(t.Context(), hid.Feature, 0x31, buf); err != nil || string(buf[:n]) != string(want) {
			t.Errorf("Get = % x, %v; want % x", buf[:n], err, want)
		}
		if err := c.Set(t.Context(), hid.Feature, 0x31, []byte{0x31, 9}); err != nil {
			t.Error(err)
		}
	}
	if s, err := c.String(t.Context(), 3); err != nil || s != "4B1234P56789" {
		t.Errorf("String = %q, %v", s, err)
	}
	if _, err := c.String(t.Context(), 99); !errors.Is(err, hid.ErrStall) {
		t.Errorf("String of a text that is not there = %v; want ErrStall", err)
	}
}

// A recording with times says how the device was in the beginning, and so does one
// that somebody wrote by hand.
func TestReadHID(t *testing.T) {
	for _, text := range []string{
		"# by hand\ndevice 051d:0002 0106\ndescriptor 05 84\nfeature 16 0c\nstring 4 \"PbAc\"\ninput 16 0d\ninput 16 0e\n",
		`# with times
nut-recording 1
driver "usbhid-ups"
device 051d:0002 0106
descriptor 05 84
0.000 open hid =
0.010 get feature 17 ! stall
0.012 get feature 16 = 16 0c
0.014 string 4 = "PbAc"
0.500 input = 16 0d
1.000 get feature 16 = 16 ff
1.500 input = 16 0e
2.000 input ! gone
`} {
		rec, err := record.ReadHID("x", strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		if len(rec.Features) != 1 || string(rec.Features[0x16]) != "\x16\x0c" || rec.Strings[4] != "PbAc" || len(rec.Inputs) != 2 {
			t.Errorf("ReadHID(%q) = %+v", text, rec)
		}
	}
	for _, text := range []string{"", "nut-recording 1\n", "nut-recording 1\nups.status: OL\n"} {
		if rec, err := record.ReadHID("x", strings.NewReader(text)); err == nil && len(rec.Descriptor) > 0 {
			t.Errorf("ReadHID(%q) = %+v; want an error", text, rec)
		}
	}
}
