package hidups

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gonut/internal/driver"
	"gonut/internal/subdriver"
	transport "gonut/internal/transport/hid"
)

// twoTimers has the timers that start and stop the load in one report, 32 bits
// each, and a charge with its limit in another.
const twoTimers = `device 0463:ffff 0100
descriptor 05 84 09 04 a1 01 09 24 a1 00 85 01 17 ff ff ff ff 27 ff ff ff 7f
descriptor 75 20 95 01 09 57 b1 02 09 56 b1 02 85 02 15 00 25 64 75 08 05 85
descriptor 09 66 b1 02 09 29 b1 02 c0 c0
feature 01 ff ff ff ff ff ff ff ff
feature 02 5a 14
`

const twoTimersTable = `
name test 1
use pdc
var battery.charge UPS.PowerSummary.RemainingCapacity format=%.0f
var battery.charge.low UPS.PowerSummary.RemainingCapacityLimit format=%.0f rw=5
setting ups.delay.start UPS.PowerSummary.DelayBeforeStartup default=30 rw=5
setting ups.delay.shutdown UPS.PowerSummary.DelayBeforeShutdown default=20 rw=5
cmd load.off.delay UPS.PowerSummary.DelayBeforeShutdown send=20
cmd load.on.delay UPS.PowerSummary.DelayBeforeStartup send=30
cmd shutdown.stop UPS.PowerSummary.DelayBeforeShutdown send=-1
`

// parsed returns a table that may use the embedded ones.
func parsed(t testing.TB, text string) *subdriver.Table {
	t.Helper()
	pdc := subdriver.Load("hid", subdriver.Embedded()).Table("explore")
	table, problems := subdriver.Parse("hid", "test", "test.def", strings.NewReader(text), func(string) (*subdriver.Table, error) { return pdc, nil })
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return table
}

// played returns the device of a recording.
func played(t testing.TB, text string) *transport.Fake {
	t.Helper()
	rec, err := transport.ReadRecording("test", strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return transport.NewFake(rec)
}

func begun(t *testing.T, fake *transport.Fake, table *subdriver.Table) *Device {
	t.Helper()
	d, err := New(fake, table, nil, Options{PollOnly: true}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	poll(t, d, driver.Init)
	return d
}

func poll(t *testing.T, d *Device, depth driver.Depth) {
	t.Helper()
	if err := d.Poll(t.Context(), depth, &driver.Update{}); err != nil {
		t.Fatal(err)
	}
}

func arrived(fake *transport.Fake) string {
	var all []string
	for _, w := range fake.Writes() {
		all = append(all, w.String())
	}
	return strings.Join(all, " | ")
}

// The timer that switches on again must still be armed when the one that switches
// off is written beside it, even if the device shows nothing of it yet.
func TestAWriteKeepsItsNeighbours(t *testing.T) {
	for _, slow := range []bool{false, true} {
		t.Run(fmt.Sprintf("slow=%t", slow), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fake := played(t, twoTimers)
				d := begun(t, fake, parsed(t, twoTimersTable))
				if slow {
					fake.Keep(1)
				}
				if err := d.Command(t.Context(), "shutdown.return", ""); err != nil {
					t.Fatal(err)
				}
				want := "feature 01 ff ff ff ff 1e 00 00 00 | feature 01 14 00 00 00 1e 00 00 00"
				if got := arrived(fake); got != want {
					t.Errorf("shutdown.return wrote %q; want %q", got, want)
				}
			})
		})
	}
}

// What the device changed by itself since the last poll must not be written back.
func TestAWriteKnowsWhatItsNeighboursBecame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := played(t, twoTimers)
		d := begun(t, fake, parsed(t, twoTimersTable))
		time.Sleep(10 * time.Second)
		fake.Put(1, 0xFF, 0xFF, 0xFF, 0xFF, 7, 0, 0, 0)
		if err := d.Command(t.Context(), "shutdown.stop", ""); err != nil {
			t.Fatal(err)
		}
		if got, want := arrived(fake), "feature 01 ff ff ff ff 07 00 00 00"; got != want {
			t.Errorf("shutdown.stop wrote %q; want %q", got, want)
		}
	})
}

func TestAWriteWithoutKnowingItsNeighbours(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := played(t, twoTimers)
		fake.Fail(1, errors.New("input/output error"))
		d := begun(t, fake, parsed(t, twoTimersTable))
		fake.Fail(2, errors.New("input/output error"))
		if err := d.Command(t.Context(), "shutdown.stop", ""); !errors.Is(err, driver.ErrFailed) || arrived(fake) != "" {
			t.Errorf("a command whose report was never read ended with %v; want ErrFailed and nothing written", err)
		}
		fake.Fail(1, nil)
		fake.Fail(2, nil)
		if err := d.Command(t.Context(), "shutdown.stop", ""); err != nil {
			t.Error(err)
		}
	})
}

func TestWritesInARowAskOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := played(t, twoTimers)
		d := begun(t, fake, parsed(t, twoTimersTable))
		fake.Reads()
		for _, low := range []string{"30", "40"} {
			if err := d.Set(t.Context(), "battery.charge.low", low); err != nil {
				t.Fatal(err)
			}
		}
		if got, want := arrived(fake), "feature 02 5a 1e | feature 02 5a 28"; got != want {
			t.Errorf("Set wrote %q; want %q", got, want)
		}
		if n := fake.Reads(); n != 1 {
			t.Errorf("two writes asked %d times for the report; want 1", n)
		}
	})
}

// The option lowbatt is written only if it changes something.
func TestLowBatteryOption(t *testing.T) {
	for option, want := range map[string]string{"": "", "20": "", "30": "feature 02 5a 1e"} {
		fake := played(t, twoTimers)
		d, err := New(fake, parsed(t, twoTimersTable), nil, Options{PollOnly: true, LowBattery: option}, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		poll(t, d, driver.Init)
		if got := arrived(fake); got != want {
			t.Errorf("with lowbatt = %q it wrote %q; want %q", option, got, want)
		}
	}
}

// All bytes of a report are nothing that a number could be made of.
func TestWholeReportIsNoNumber(t *testing.T) {
	d := begun(t, played(t, twoTimers), parsed(t, `name test 1
use pdc
var experimental.a report:02
var experimental.b report:02 as=mac
var experimental.c report:02@0+8
`))
	for name, want := range map[string]string{"experimental.a": "", "experimental.b": "5a:14", "experimental.c": "90"} {
		if got, _ := d.walker.Value(name); got != want {
			t.Errorf("%s = %q; want %q", name, got, want)
		}
	}
}
