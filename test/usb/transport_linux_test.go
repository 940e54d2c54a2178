package usb_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gonut/internal/transport/hid"
	"gonut/internal/transport/usb"
	"gonut/test/usb/virtual"
)

const backUPS = "apc-bk650m2-ch"

// openers are the ways to a device, each of which has to pass the same tests.
func openers() map[string]hid.Opener {
	return map[string]hid.Opener{
		"usbfs":  hid.NewUSB(usb.System{}, sink()),
		"hidraw": hid.NewRaw(usb.System{}, sink()),
	}
}

func each(t *testing.T, f func(*testing.T, hid.Opener)) {
	machine(t)
	for name, o := range openers() {
		t.Run(name, func(t *testing.T) { f(t, o) })
	}
}

func TestEnumeration(t *testing.T) {
	u := plugIn(t, backUPS)
	want := u.rec.Info
	each(t, func(t *testing.T, o hid.Opener) {
		infos, err := o.List(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(infos) != 1 {
			t.Fatalf("List = %v; want one device", infos)
		}
		got := infos[0]
		if !got.Same(want) || got.Release != want.Release || got.Interface != 0 {
			t.Errorf("List = %+v; want %+v", got, want)
		}
		if len(got.Bus) != 3 || len(got.Device) != 3 || len(got.BusPort) != 3 {
			t.Errorf("bus, device, port = %q, %q, %q; want three digits each", got.Bus, got.Device, got.BusPort)
		}
	})
}

func TestReports(t *testing.T) {
	each(t, func(t *testing.T, o hid.Opener) {
		u := plugIn(t, backUPS)
		c := open(t, o, u)
		if !bytes.Equal(c.Descriptor(), u.rec.Descriptor) {
			t.Errorf("Descriptor = %d bytes; want the %d of the recording", len(c.Descriptor()), len(u.rec.Descriptor))
		}
		for id, want := range u.rec.Features {
			buf := make([]byte, 64)
			n, err := c.Get(t.Context(), hid.Feature, id, buf)
			if err != nil || !bytes.Equal(buf[:n], want) {
				t.Errorf("Get(%#02x) = % x, %v; want % x", id, buf[:n], err, want)
			}
		}
		if _, err := c.Get(t.Context(), hid.Feature, 0xee, make([]byte, 8)); !errors.Is(err, hid.ErrStall) {
			t.Errorf("Get of a report that the device lacks = %v; want ErrStall", err)
		}
		for id, old := range u.rec.Features {
			fresh := append([]byte{id}, bytes.Repeat([]byte{0x5a}, len(old)-1)...)
			if err := c.Set(t.Context(), hid.Feature, id, fresh); err != nil || !bytes.Equal(u.Feature(id), fresh) {
				t.Errorf("Set(% x) = %v, device has % x", fresh, err, u.Feature(id))
			}
			break
		}
		for index, want := range u.rec.Strings {
			if got, err := c.String(t.Context(), index); err != nil || got != want {
				t.Errorf("String(%d) = %q, %v; want %q", index, got, err, want)
			}
		}
	})
}

// TestManyReports asks for all reports in one go, as the driver does: the answers are
// those of the recording, up to the first report that fails.
func TestManyReports(t *testing.T) {
	u := plugIn(t, backUPS)
	c := open(t, hid.NewUSB(usb.System{}, sink()), u)
	var gets []hid.Get
	for _, id := range slices.Sorted(maps.Keys(u.rec.Features)) {
		gets = append(gets, hid.Get{Type: hid.Feature, ID: id, Buf: make([]byte, 64)})
	}
	answers := func(want int) {
		t.Helper()
		n := hid.GetAll(t.Context(), c, gets)
		if n != want {
			t.Errorf("GetAll = %d answers; want %d", n, want)
		}
		for _, g := range gets[:n] {
			if !bytes.Equal(g.Buf[:g.N], u.rec.Features[g.ID]) {
				t.Errorf("report %#02x = % x; want % x", g.ID, g.Buf[:g.N], u.rec.Features[g.ID])
			}
		}
	}
	answers(len(gets))
	gets[5].ID = 0xee // which it lacks
	answers(5)
	gets[5].ID = gets[4].ID
	u.Fail(virtual.Requests, 1, syscall.EIO)
	answers(0)
	if _, err := c.Get(t.Context(), hid.Feature, gets[0].ID, gets[0].Buf); err != nil {
		t.Errorf("Get of what failed = %v; want the second try's answer", err)
	}
	begin := time.Now()
	u.Lose(virtual.Requests, 1)
	answers(0)
	if took := time.Since(begin); took < 900*time.Millisecond || took > 2*time.Second {
		t.Errorf("a transfer that is lost was noticed after %v; want a second", took)
	}
	answers(len(gets))
}

func TestInput(t *testing.T) {
	each(t, func(t *testing.T, o hid.Opener) {
		u := plugIn(t, backUPS)
		c := open(t, o, u)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		id := anyInput(t, u)
		go u.Push(id, 0x0c, 0x00)
		buf := make([]byte, 64)
		if n, err := c.Input(ctx, buf); err != nil || !bytes.Equal(buf[:n], []byte{id, 0x0c, 0x00}) {
			t.Fatalf("Input = % x, %v; want %02x 0c 00", buf[:n], err, id)
		}
		brief, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if _, err := c.Input(brief, buf); !errors.Is(err, hid.ErrTimeout) {
			t.Errorf("Input of a silent device = %v; want ErrTimeout", err)
		}
		// One goroutine waits for reports while another one asks.
		got := make(chan error)
		go func() {
			_, err := c.Input(ctx, buf)
			got <- err
		}()
		for range 20 {
			if _, err := c.Get(ctx, hid.Feature, anyFeature(u), make([]byte, 64)); err != nil {
				t.Errorf("Get beside Input = %v", err)
			}
		}
		u.Push(id, 1, 2)
		if err := <-got; err != nil {
			t.Errorf("Input beside Get = %v", err)
		}
	})
}

// anyInput returns the id of an input report, which the kernel passes on only if
// the report descriptor has it.
func anyInput(t *testing.T, u *unit) byte {
	t.Helper()
	for _, in := range u.rec.Inputs {
		return in[0]
	}
	// Item 0x81 or 0x82 is an input; the report's id is the last 0x85 before it.
	id := byte(0)
	for p := u.rec.Descriptor; len(p) > 0; {
		size := [...]int{0, 1, 2, 4}[p[0]&3]
		if p[0] == 0x85 {
			id = p[1]
		}
		if p[0]&0xfc == 0x80 {
			return id
		}
		p = p[min(1+size, len(p)):]
	}
	t.Fatal("the device has no input report")
	return 0
}

func anyFeature(u *unit) byte {
	for id := byte(0); ; id++ {
		if u.rec.Features[id] != nil {
			return id
		}
	}
}

func TestFaultsOfTransfers(t *testing.T) {
	each(t, func(t *testing.T, o hid.Opener) {
		u := plugIn(t, backUPS)
		c := open(t, o, u)
		id, buf := anyFeature(u), make([]byte, 64)
		get := func() error {
			_, err := c.Get(t.Context(), hid.Feature, id, buf)
			return err
		}
		if err := get(); err != nil {
			t.Fatal(err)
		}
		for _, errno := range []syscall.Errno{syscall.EPIPE, syscall.EPROTO, syscall.EILSEQ, syscall.EIO, syscall.EOVERFLOW, syscall.ETIME} {
			u.Fail(0, 1, errno)
			if err := get(); err != nil {
				t.Errorf("Get after one %v = %v; want the second try's answer", errno, err)
			}
		}
		u.Fail(0, 2, syscall.EPIPE)
		if err := get(); !errors.Is(err, hid.ErrStall) {
			t.Errorf("Get after two stalls = %v; want ErrStall", err)
		}
		u.Stick(0, 1)
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		begin := time.Now()
		if _, err := c.Get(ctx, hid.Feature, id, buf); !errors.Is(err, hid.ErrTimeout) || time.Since(begin) > time.Second {
			t.Errorf("Get of a stuck device with 200 ms = %v after %v; want ErrTimeout", err, time.Since(begin))
		}
		u.Heal(0)
		if err := get(); err != nil {
			t.Errorf("Get after a time-out = %v; want the answer", err)
		}
	})
}

func TestClaimAndGiveBack(t *testing.T) {
	u := plugIn(t, backUPS)
	o := hid.NewUSB(usb.System{}, sink())
	c, err := o.Open(t.Context(), u.matcher(), hid.DefaultTuning())
	if err != nil {
		t.Fatal(err)
	}
	d, _ := u.find(t)
	if got := boundTo(d); got != "usbfs" {
		t.Errorf("driver of the open interface = %q; want usbfs", got)
	}
	if _, err := o.Open(t.Context(), u.matcher(), hid.DefaultTuning()); !errors.Is(err, hid.ErrBusy) {
		t.Errorf("second Open = %v; want ErrBusy", err)
	}
	waiting := make(chan error)
	go func() {
		_, err := c.Input(context.Background(), make([]byte, 8))
		waiting <- err
	}()
	time.Sleep(20 * time.Millisecond) // so that Input most likely waits in the kernel
	if err := c.Close(); err != nil {
		t.Errorf("Close = %v", err)
	}
	if err := <-waiting; !errors.Is(err, os.ErrClosed) {
		t.Errorf("Input of a closed device = %v; want os.ErrClosed", err)
	}
	if got := boundTo(d); got != "usbhid" {
		t.Errorf("driver after Close = %q; want usbhid", got)
	}
}

func TestResetAndClearHalt(t *testing.T) {
	u := plugIn(t, backUPS)
	d, _ := u.find(t)
	h, err := usb.System{}.Open(d)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	if err := h.Claim(0); err != nil {
		t.Fatal(err)
	}
	if err := h.ClearHalt(0x81); err != nil {
		t.Errorf("ClearHalt = %v", err)
	}
	if err := h.SetInterface(0, 0); err != nil {
		t.Errorf("SetInterface = %v", err)
	}
	if err := h.Reset(); err != nil {
		t.Errorf("Reset = %v", err)
	}
	if got := boundTo(d); got != "usbfs" {
		t.Errorf("driver after Reset = %q; want usbfs", got)
	}
	id := anyFeature(u)
	buf := make([]byte, 64)
	n, err := h.Control(t.Context(), time.Second, usb.Setup{RequestType: 0xa1, Request: 1, Value: 0x300 | uint16(id)}, buf)
	if err != nil || !bytes.Equal(buf[:n], u.rec.Features[id]) {
		t.Errorf("Control after Reset = % x, %v; want % x", buf[:n], err, u.rec.Features[id])
	}
	if err := h.Release(0); err != nil {
		t.Errorf("Release = %v", err)
	}
	if got := boundTo(d); got != "usbhid" {
		t.Errorf("driver after Release = %q; want usbhid", got)
	}
}

func TestUnplugAndReplug(t *testing.T) {
	each(t, func(t *testing.T, o hid.Opener) {
		u := plugIn(t, backUPS)
		c := open(t, o, u)
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		changed := o.Changed(ctx)
		waiting := make(chan error)
		go func() {
			_, err := c.Input(ctx, make([]byte, 8))
			waiting <- err
		}()
		time.Sleep(20 * time.Millisecond) // so that Input most likely waits in the kernel
		begin := time.Now()
		u.out(t)
		if err := <-waiting; !errors.Is(err, hid.ErrGone) {
			t.Errorf("Input of an unplugged device = %v; want ErrGone", err)
		}
		if _, err := c.Get(ctx, hid.Feature, anyFeature(u), make([]byte, 8)); !errors.Is(err, hid.ErrGone) {
			t.Errorf("Get from an unplugged device = %v; want ErrGone", err)
		}
		t.Logf("noticed after %v", time.Since(begin))
		for drained := false; !drained; {
			select {
			case <-changed:
			case <-time.After(50 * time.Millisecond):
				drained = true
			}
		}
		begin = time.Now()
		u.in(t)
		select {
		case <-changed:
			if took := time.Since(begin); took > 2*time.Second {
				t.Errorf("Changed told after %v; want it by netlink", took)
			}
		case <-ctx.Done():
			t.Error("Changed told nothing about the device that came back")
		}
		if _, err := c.Get(ctx, hid.Feature, anyFeature(u), make([]byte, 8)); err != nil {
			t.Errorf("Get after the device came back = %v; want the answer", err)
		}
	})
}

func TestTwoDevicesOfOneKind(t *testing.T) {
	first := plugIn(t, backUPS)
	rec := recording(t, backUPS)
	rec.Info.Serial = "SECOND"
	second := plugInRecording(t, rec)
	o := hid.NewUSB(usb.System{}, sink())
	a, b := open(t, o, first), open(t, o, second)
	if a.Info().Serial == b.Info().Serial || b.Info().Serial != "SECOND" {
		t.Errorf("serials = %q, %q; want two devices", a.Info().Serial, b.Info().Serial)
	}
	any := hid.Matcher{}
	tuning := hid.DefaultTuning()
	tuning.AllowDuplicates = true
	b.Close()
	c, err := o.Open(t.Context(), any, tuning)
	if err != nil {
		t.Fatalf("Open of whichever device is free = %v", err)
	}
	defer c.Close()
	if c.Info().Serial != "SECOND" {
		t.Errorf("Open took %v; want the free one", c.Info())
	}
}

// A second driver must not get a device by hidraw, unless it is to cut the power.
func TestRawBelongsToOne(t *testing.T) {
	u := plugIn(t, backUPS)
	o := hid.NewRaw(usb.System{}, sink())
	first := open(t, o, u)
	if _, err := o.Open(t.Context(), u.matcher(), hid.DefaultTuning()); !errors.Is(err, hid.ErrBusy) {
		t.Errorf("Open of a device that somebody has = %v; want ErrBusy", err)
	}
	tuning := hid.DefaultTuning()
	tuning.Shared = true
	second, err := o.Open(t.Context(), u.matcher(), tuning)
	if err != nil {
		t.Fatalf("Open without a lock = %v", err)
	}
	if _, err := second.Get(t.Context(), hid.Feature, anyFeature(u), make([]byte, 8)); err != nil {
		t.Errorf("Get beside somebody else = %v", err)
	}
	second.Close()
	first.Close()
	open(t, o, u)
}

// A device that we may not open does not hide the next one.
func TestDevicesThatMayNotBeOpened(t *testing.T) {
	first := plugIn(t, backUPS)
	rec := recording(t, backUPS)
	rec.Info.Serial = "SECOND"
	second := plugInRecording(t, rec)
	node := func(u *unit) string {
		d, _ := u.find(t)
		return fmt.Sprintf("/dev/bus/usb/%03d/%03d", d.Bus, d.Number)
	}
	if err := errors.Join(os.Chmod(node(first), 0o600), os.Chmod(node(second), 0o666)); err != nil {
		t.Fatal(err)
	}
	o := hid.NewUSB(usb.System{}, sink())
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		if err := unix.Setfsuid(65534); err != nil {
			t.Error(err)
		}
		c, err := o.Open(t.Context(), hid.Matcher{}, hid.DefaultTuning())
		if err != nil {
			t.Errorf("Open = %v; want the device that may be opened", err)
			return
		}
		if got := c.Info().Serial; got != "SECOND" {
			t.Errorf("Open took %q; want SECOND", got)
		}
		c.Close()
	}()
	<-done
}
