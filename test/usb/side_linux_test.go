package usb_test

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"gonut/internal/drvsock"
	"gonut/internal/netproto"
	"gonut/internal/subdriver"
	"gonut/internal/transport/hid"
	"gonut/internal/ups"
	"gonut/test/devices/model"
)

// A comparison is a device that is shown to C's driver and to ours, and where they
// are to differ: on purpose only, because C's driver here is 2.8.0 and our tables
// have what is known since.
type comparison struct {
	device string
	ours   []string // options that C's driver does not know
	// differ has what ours shows or sends instead of C's, by variable or request.
	// An empty text means nothing at all.
	differ map[string]string
	raw    []string // variables that hidraw cannot tell: they are strings of the device
}

// long is what came of a request that wrote a report of 47 bytes.
func long(begin string) string {
	return "0 [21 09 v03" + begin[:2] + " i0000 l47: " + begin + strings.Repeat(" 00", 44) + "]"
}

func comparisons() []comparison {
	return []comparison{
		// Its descriptor makes some reports 47 bytes long. C's sends 33 of them, because
		// it counts bits up to 255.
		{device: "apc-bk650m2-ch", raw: []string{"battery.type"}, differ: map[string]string{
			"battery.mfr.date":    long("20 21 2a"),
			"battery.runtime.low": long("24 2d 01"),
			"input.transfer.high": long("33 17 01"),
			"input.transfer.low":  long("32 a1 00"),
		}},
		{device: "apc", raw: []string{"battery.type"}, differ: map[string]string{
			"battery.runtime": "",             // C's has 65535, which means unknown
			"device.serial":   "BB0000000000", // C's keeps the spaces behind it
			"ups.serial":      "BB0000000000",
			"ups.status":      "OL", // C's adds CHRG to a full battery
		}},
		{device: "cps", raw: []string{"battery.type", "ups.firmware"}, differ: map[string]string{
			"battery.mfr.date":      "",      // C's has the vendor's name there
			"input.frequency":       "49.9",  // C's is ten times that
			"output.frequency":      "50.0",  // likewise
			"input.voltage":         "118.0", // C's believes in the range of the transfer voltage
			"ups.realpower.nominal": "900",   // C's cuts it off at a wrong maximum
			// The device counts minutes: 20 seconds are none.
			"ups.delay.shutdown": "60",
			"ups.delay.start":    "120",
			"load.off.delay":     "0 [21 09 v0315 i0000 l3: 15 3c 00]",
			"load.on.delay":      "0 [21 09 v0316 i0000 l3: 16 78 00]",
			"shutdown.return":    "0 [21 09 v0316 i0000 l3: 16 3c 00 21 09 v0315 i0000 l3: 15 3c 00]",
			"shutdown.stayoff":   "0 [21 09 v0316 i0000 l3: 16 ff ff 21 09 v0315 i0000 l3: 15 3c 00]",
		}},
		{device: "mge", raw: []string{"battery.type", "ups.firmware"}},
		{device: "powercom", ours: []string{"powercom_sdcmd_byte_order_fallback"}, differ: map[string]string{
			"battery.date": "",   // now battery.mfr.date
			"ups.status":   "OL", // C's adds CHRG to a full battery
		}},
	}
}

// device returns the recording of a device: one that was made, or that of a model.
func device(t *testing.T, name string) *hid.Recording {
	t.Helper()
	f, err := os.Open(filepath.Join(devices, name+".model"))
	if errors.Is(err, fs.ErrNotExist) {
		return recording(t, name)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	m, err := model.Read(name, f, subdriver.Load("hid", subdriver.Embedded()))
	if err != nil {
		t.Fatal(err)
	}
	return &m.Recording
}

// A view is what a driver makes of a device: the values of variables, what they may
// be set to, and what came of requests.
type view struct {
	values, writable map[string]string
	results          map[string]string // the result and the reports that arrived
}

// viewOf starts a driver on a fresh device, looks at what it shows and makes it do
// what it can: all that it offers if rs is nil.
func viewOf(t *testing.T, w way, rec *hid.Recording, rs []drvsock.Request, options ...string) (view, []drvsock.Request) {
	t.Helper()
	u := plugInRecording(t, rec)
	defer u.out(t)
	d := startDriver(t, w, u, append(options, "pollinterval = 1", "pollfreq = 2")...)
	defer d.stop(t)
	time.Sleep(4 * time.Second) // two full polls
	s := d.state.Snapshot()
	v := view{values: map[string]string{}, writable: map[string]string{}, results: map[string]string{}}
	for _, x := range s.Variables {
		if strings.HasPrefix(x.Name, "driver.") {
			continue
		}
		v.values[x.Name] = x.Value
		if x.Flags&ups.RW != 0 {
			v.writable[x.Name] = fmt.Sprint(x.Flags.Words(), x.MaxLen, x.Enum, x.Ranges)
		}
	}
	if rs == nil {
		rs = requests(s)
	}
	for _, r := range rs {
		u.writes()
		result := netproto.Result(d.ask(t, r))
		v.results[r.Name] = fmt.Sprint(int(result), u.writes())
	}
	return v, rs
}

// requests returns all that a driver offers to do with its device: settings first,
// to the next value that they may have.
func requests(s *ups.Snapshot) []drvsock.Request {
	var rs []drvsock.Request
	for _, x := range s.Variables {
		if x.Flags&ups.RW == 0 || strings.HasPrefix(x.Name, "driver.") {
			continue
		}
		value := x.Value
		if n, err := strconv.Atoi(x.Value); err == nil {
			value = strconv.Itoa(n + 1)
		}
		for _, e := range x.Enum {
			if e != x.Value {
				value = e
			}
		}
		rs = append(rs, drvsock.Request{Set: true, Name: x.Name, Value: value, HasValue: true})
	}
	for _, c := range slices.Sorted(slices.Values(s.Commands)) {
		if !strings.HasPrefix(c, "driver.") && c != "shutdown.default" {
			rs = append(rs, drvsock.Request{Name: c})
		}
	}
	return rs
}

// writes returns the reports that were written since the last call.
func (u *unit) writes() []string {
	var ws []string
	for _, x := range u.Transfers() {
		if x.Setup.RequestType == 0x21 && x.Setup.Request == 0x09 {
			ws = append(ws, x.String())
		}
	}
	return ws
}

// TestSideBySide shows the same device to C's driver and to ours, by usbfs and by
// hidraw: what C's shows, ours shows, and what they are told to do arrives at the
// device as the same control transfers.
func TestSideBySide(t *testing.T) {
	machine(t)
	for _, c := range comparisons() {
		t.Run(c.device, func(t *testing.T) {
			t.Parallel()
			rec := device(t, c.device)
			theirs, rs := viewOf(t, cDriver(), rec, nil)
			ours, _ := viewOf(t, overUSBFS(), rec, rs, c.ours...)
			raw, _ := viewOf(t, overRaw(), rec, rs, c.ours...)
			seen := map[string]bool{}
			c.compare(t, "values", theirs.values, ours.values, seen)
			c.compare(t, "results", theirs.results, ours.results, seen)
			for name := range c.differ {
				if !seen[name] {
					t.Errorf("%s is said to differ, but does not", name)
				}
			}
			for _, name := range c.raw {
				if ours.values[name] == "" || raw.values[name] != "" {
					t.Errorf("%s is %q by usbfs, %q by hidraw; want none by hidraw", name, ours.values[name], raw.values[name])
				}
				delete(ours.values, name)
			}
			same(t, "values", ours.values, raw.values)
			same(t, "writable variables", ours.writable, raw.writable)
			same(t, "results", ours.results, raw.results)
			for name, how := range theirs.writable {
				if ours.writable[name] == "" {
					t.Errorf("%s can be set by C's driver (%s), but not by ours", name, how)
				}
			}
			more := slices.DeleteFunc(slices.Sorted(maps.Keys(ours.values)), func(n string) bool { _, ok := theirs.values[n]; return ok })
			t.Logf("%d variables and %d requests compared; only ours shows %q", len(theirs.values), len(rs), more)
		})
	}
}

// compare finds where ours differs from C's without being said to.
func (c comparison) compare(t *testing.T, what string, theirs, ours map[string]string, seen map[string]bool) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(theirs)) {
		want := theirs[name]
		if other, ok := c.differ[name]; ok && ours[name] == other && other != want {
			seen[name] = true
			continue
		}
		if ours[name] != want {
			t.Errorf("%s: %s of ours is %q; C's %q", what, name, ours[name], want)
		}
	}
}

func same(t *testing.T, what string, usbfs, raw map[string]string) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(usbfs)) {
		if raw[name] != usbfs[name] {
			t.Errorf("%s: %s is %q by usbfs, %q by hidraw", what, name, usbfs[name], raw[name])
		}
	}
	if len(raw) != len(usbfs) {
		t.Errorf("%s: %d by usbfs, %d by hidraw", what, len(usbfs), len(raw))
	}
}
