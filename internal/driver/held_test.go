package driver_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"gonut/internal/driver"
	"gonut/internal/netproto"
	"gonut/internal/ups"
)

const (
	ageName  = "experimental.driver.data.age"
	heldName = "experimental.driver.data.held"
)

// A device that is back within a moment was never stale.
func TestShortLossIsNotStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		r := start(t, b, nil, driver.Hooks{})
		c := r.dial()
		b.set(func() { b.pollErr, b.openErr = driver.ErrGone, errors.New("no such device") })
		time.Sleep(5 * time.Second)
		r.want("driver.state", "reconnect.trying")
		r.want(ageName, "4")
		b.set(func() { b.pollErr, b.openErr = nil, nil })
		time.Sleep(turn)
		r.want("driver.state", "quiet")
		r.want(ageName, "")
		for l := c.line(); l != ""; l = c.line() {
			if strings.HasPrefix(l, "DATA") {
				t.Errorf("readers were told %s; want nothing of a loss of 3 s", l)
			}
		}
	})
}

// The age of lost values goes on to be told, however long it takes.
func TestAgeIsKeptUpToDate(t *testing.T) {
	for name, fail := range map[string]func(b *bench){
		"gone":  func(b *bench) { b.pollErr, b.openErr = driver.ErrGone, errors.New("no such device") },
		"hangs": func(b *bench) { b.hang = true },
	} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench()
			defer close(b.release)
			r := start(t, b, nil, driver.Hooks{})
			b.set(func() { fail(b) })
			time.Sleep(time.Hour)
			r.wantStale(true)
			if age := ups.Atoi(r.State().Value(ageName)); age < 3590 || age > 3600 {
				t.Errorf("%s: age after an hour = %d s", name, age)
			}
		})
	}
}

// What the source itself calls stale is stale at once.
func TestStaleSourceIsNotHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		r := start(t, b, nil, driver.Hooks{})
		b.set(func() { b.pollErr = fmt.Errorf("upsd says: %w", driver.ErrStale) })
		time.Sleep(turn)
		r.wantStale(true)
		if opens, _, _ := b.count(); opens != 1 {
			t.Errorf("opened %d times; want 1", opens)
		}
	})
}

// With a long poll interval a failed poll is repeated soon.
func TestFailedPollIsRepeatedSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		r := start(t, b, func(c *driver.Config) { c.PollInterval = time.Minute }, driver.Hooks{})
		b.set(func() { b.pollErr = errors.New("checksum") })
		time.Sleep(61 * time.Second)
		r.want(ageName, "60")
		b.set(func() { b.pollErr = nil })
		time.Sleep(2 * time.Second)
		r.want(ageName, "")
		r.wantStale(false)
		_, _, polls := b.count()
		time.Sleep(time.Minute)
		if _, _, now := b.count(); now != polls+1 {
			t.Errorf("polls in the minute after = %d; want 1", now-polls)
		}
	})
}

// When nothing can be done for a device any more, neither PING is answered nor the
// watchdog: a new process may help.
func TestStuckSessionFallsSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		var beats atomic.Int32
		r := start(t, b, nil, driver.Hooks{Beat: func() { beats.Add(1) }, BeatEvery: 5 * time.Second})
		c := r.dial()
		c.ask("NOBROADCAST")
		b.set(func() { b.hang = true })
		time.Sleep(time.Minute) // calls hang, but others are begun
		c.ask("PING", "PONG")
		if n := beats.Load(); n < 12 {
			t.Errorf("beats within a minute = %d; want at least 12", n)
		}
		time.Sleep(10 * time.Minute)
		c.send("PING")
		c.silent()
		before := beats.Load()
		time.Sleep(time.Minute)
		if n := beats.Load() - before; n != 0 {
			t.Errorf("beats of a stuck session: %d; want none", n)
		}
		b.set(func() { b.hang = false })
		close(b.release)
		time.Sleep(5 * time.Second)
		c.ask("PING", "PONG")
		r.wantStale(false)
		if beats.Load() == before {
			t.Error("no beats after the calls returned")
		}
	})
}

// To cut the power a long poll makes way, and one that hangs is given up soon.
func TestKillpowerDoesNotWaitForPolls(t *testing.T) {
	for _, tt := range []struct {
		name   string
		hang   bool
		want   netproto.Result
		within time.Duration
	}{
		{"slow", false, netproto.Handled, 4 * time.Second},
		{"hung", true, netproto.Failed, 7 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench()
			defer close(b.release)
			r := start(t, b, func(c *driver.Config) { c.AllowKillpower = true }, driver.Hooks{})
			b.set(func() { b.hang, b.slow = tt.hang, 29*time.Second })
			time.Sleep(turn)
			begin := time.Now()
			if got := r.do("INSTCMD driver.killpower"); got != tt.want {
				t.Errorf("%s: driver.killpower = %d; want %d", tt.name, got, tt.want)
			}
			if d := time.Since(begin); d > tt.within {
				t.Errorf("%s: driver.killpower took %v; want at most %v", tt.name, d, tt.within)
			}
			if tt.hang {
				return
			}
			if err := <-r.result; err != nil {
				t.Errorf("%s: Run = %v; want nil", tt.name, err)
			}
		})
	}
}

// Values that could not be read while others could are named, with the time from
// which they are.
func TestMissedValues(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		b.values["input.voltage"] = "230"
		r := start(t, b, nil, driver.Hooks{})
		miss := func(names ...string) {
			b.set(func() {
				b.missed = names
				for _, n := range names {
					delete(b.values, n)
				}
			})
		}
		read := time.Now().UTC().Format(time.RFC3339)
		miss("input.voltage", "never.there")
		time.Sleep(time.Minute)
		r.want(heldName, "input.voltage@"+read)
		r.want("input.voltage", "230")
		r.wantStale(false)
		if at, ok := r.ReadAt("Input.Voltage"); !ok || at.UTC().Format(time.RFC3339) != read {
			t.Errorf("ReadAt = %v, %v; want %s", at, ok, read)
		}
		miss()
		b.set(func() { b.values["input.voltage"] = "231" })
		time.Sleep(turn)
		r.want(heldName, "")
		// Of ups.status it is as if nothing could be read.
		miss("ups.status")
		time.Sleep(4 * time.Second)
		r.wantStale(false)
		r.want("ups.status", "OL")
		time.Sleep(4 * time.Second)
		r.wantStale(true)
		miss()
		time.Sleep(turn)
		r.wantStale(false)
		r.want(heldName, "")
		r.want(ageName, "")
	})
}

func TestManyMissedValuesFit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		var names []string
		for i := range 50 {
			names = append(names, fmt.Sprintf("outlet.%d.current", i))
			b.values[names[i]] = "1"
		}
		r := start(t, b, nil, driver.Hooks{})
		b.set(func() {
			b.missed = names
			for _, n := range names {
				delete(b.values, n)
			}
		})
		time.Sleep(turn)
		got := r.State().Value(heldName)
		if len(got) > 255 || !strings.HasSuffix(got, " more") || !strings.HasPrefix(got, "outlet.0.current@") {
			t.Errorf("%s = %q (%d bytes)", heldName, got, len(got))
		}
	})
}

// default.* holds whenever the device does not report the variable.
func TestDefaultsFillWhatIsMissing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		b.values["ups.id"] = "own"
		presets := func(value string) []driver.Preset {
			return []driver.Preset{{Name: "ups.id", Value: value}, {Name: "ups.contacts", Value: value}, {Name: "ups.status", Value: "FSD"}}
		}
		next := driver.NewConfig("bench", "here")
		r := start(t, b, func(c *driver.Config) { c.Presets = presets("first") },
			driver.Hooks{Reload: func() (driver.Config, error) { return next, nil }})
		r.want("ups.id", "own")
		r.want("ups.contacts", "first")
		r.want("ups.status", "OL")
		next.Presets = presets("second")
		if got := r.do("INSTCMD driver.reload-or-error"); got != netproto.Handled {
			t.Errorf("reload = %d; want %d", got, netproto.Handled)
		}
		r.want("ups.id", "own")
		r.want("ups.contacts", "second")
		// The device is opened again and does not report the variable any more.
		b.set(func() { b.pollErr = driver.ErrGone; delete(b.values, "ups.id") })
		time.Sleep(turn)
		b.set(func() { b.pollErr = nil })
		time.Sleep(turn)
		r.want("ups.id", "second")
	})
}

// What the device before allowed is not allowed for the next one.
func TestReopenedDeviceAllowsWhatItSays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		b.writable = map[string]driver.Writable{
			"ups.mfr":        {String: true, MaxLen: 5},
			"battery.charge": {Enum: []string{"90", "100"}, Ranges: []ups.Range{{Min: 1, Max: 5}}},
		}
		r := start(t, b, nil, driver.Hooks{})
		b.set(func() {
			b.pollErr = driver.ErrGone
			b.writable = map[string]driver.Writable{"battery.charge": {Enum: []string{"100"}}}
		})
		time.Sleep(turn)
		b.set(func() { b.pollErr = nil })
		time.Sleep(turn)
		if v, _ := r.State().Variable("ups.mfr"); v.Flags != 0 || v.Value != "Bench" {
			t.Errorf("ups.mfr = %+v; want it read-only", v)
		}
		v, _ := r.State().Variable("battery.charge")
		if strings.Join(v.Enum, " ") != "100" || len(v.Ranges) != 0 {
			t.Errorf("battery.charge = %+v; want the enumeration of 100 alone", v)
		}
	})
}

// Before a patient driver has found its device, the commands of all drivers are
// there.
func TestCommonCommandsAreThereFromTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		b.openErr = errors.New("not yet")
		r := start(t, b, nil, driver.Hooks{})
		for _, c := range []string{"driver.reload", "driver.killpower", "shutdown.default"} {
			if !r.State().HasCommand(c) {
				t.Errorf("no command %s before the device was found", c)
			}
		}
		if got := r.do("INSTCMD driver.reload-or-error"); got != netproto.Handled {
			t.Errorf("reload = %d; want %d", got, netproto.Handled)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		<-ctx.Done()
		r.want("driver.state", "reconnect.trying")
	})
}
