package usb_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

var driverEvents = flag.Int("storm.events", 240, "random faults under the driver, on all devices together")

// sees reports whether the driver shows what the device has.
func (d *driver) sees(mains bool, load byte) bool {
	status, percent := d.state.Value("ups.status"), d.state.Value("ups.load")
	word := "OB"
	if mains {
		word = "OL"
	}
	n, err := strconv.ParseFloat(percent, 64)
	return d.fresh() && strings.Contains(" "+status+" ", " "+word+" ") && err == nil && byte(n) == load
}

// fresh reports whether the driver stands by its data.
func (d *driver) fresh() bool { return !d.state.Stale() }

// holds counts the open files and the threads of the driver's process.
func (d *driver) holds() (files, threads int) {
	count := func(what string) int {
		names, _ := filepath.Glob(fmt.Sprintf("/proc/%d/%s/*", d.cmd.Process.Pid, what))
		return len(names)
	}
	return count("fd"), count("task")
}

// abort ends the process by a signal at which the runtime prints all goroutines, and
// returns how many there are.
func (d *driver) abort() int {
	before := strings.Count(d.log.String(), "\ngoroutine ")
	d.cmd.Process.Signal(syscall.SIGABRT)
	<-d.ended
	return strings.Count(d.log.String(), "\ngoroutine ") - before
}

// goroutines returns how many a driver has that never had any trouble.
func goroutines(t *testing.T, w way, u *unit) int {
	d := startDriver(t, w, u, "pollinterval = 1", "pollfreq = 1")
	time.Sleep(3 * time.Second)
	return d.abort()
}

// TestDriverInAStorm breaks devices under driver processes, over and over. Each has to
// show fresh data soon after its device works again, without being started again
// and without leaving anything behind. Half of what it takes is the wait for the next
// poll, of which there is one each second.
func TestDriverInAStorm(t *testing.T) {
	machine(t)
	const devices = 6
	var mu sync.Mutex
	var all []recovery
	t.Run("usbfs", func(t *testing.T) {
		for i := range devices {
			t.Run(strconv.Itoa(i), func(t *testing.T) {
				t.Parallel()
				rs := surviveStorm(t, overUSBFS(), (*driverEvents+devices-1)/devices, uint64(i))
				mu.Lock()
				defer mu.Unlock()
				all = append(all, rs...)
			})
		}
	})
	statistics(t, all, time.Second, 3*time.Second)
}

// TestDriverOverRawInAStorm is the same by hidraw, where a transfer that is lost
// takes the kernel five seconds.
func TestDriverOverRawInAStorm(t *testing.T) {
	machine(t)
	statistics(t, surviveStorm(t, overRaw(), 25, 0), 2*time.Second, 12*time.Second)
}

func surviveStorm(t *testing.T, w way, events int, stream uint64) []recovery {
	t.Helper()
	rec := recording(t, backUPS)
	rec.Info.Serial = fmt.Sprintf("%s-%d", w.user, stream)
	u := plugInRecording(t, rec)
	calm := goroutines(t, w, u)
	d := startDriver(t, w, u, "pollinterval = 1", "pollfreq = 1")
	eventually(t, "the driver is ready", d.fresh)
	files, threads := d.holds()
	rs := storm(t, u, events, rand.New(rand.NewPCG(*stormSeed, stream)), d.sees)
	if t.Failed() {
		t.Logf("the driver says %q, load %q, stale %v; the device has % x and % x", d.state.Value("ups.status"), d.state.Value("ups.load"),
			d.state.Stale(), u.Feature(0x16), u.Feature(0x50))
	}
	select {
	case <-d.ended:
		t.Fatal("the driver ended")
	default:
	}
	time.Sleep(6 * time.Second) // what is left behind on purpose has its limit
	filesNow, threadsNow := d.holds()
	goroutinesNow := d.abort()
	t.Logf("files %d, then %d; threads %d, then %d; goroutines %d, then %d", files, filesNow, threads, threadsNow, calm, goroutinesNow)
	// What leaks, leaks at most of the events.
	if filesNow > files+1 || goroutinesNow > calm+8 || threadsNow > threads+8 {
		t.Error("the driver leaves something behind")
	}
	return rs
}
