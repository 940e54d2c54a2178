package upssched

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gonut/internal/upssched/schedule"
)

const outage = "AT ONBATT * START-TIMER too-long 30\nAT ONLINE * CANCEL-TIMER too-long\n"

func TestTimerEndsToTheInstant(t *testing.T) {
	inWorld(t, func(w *world) {
		w.notify(outage, "ONBATT", "a@h")
		time.Sleep(30*time.Second - time.Nanosecond)
		w.expect()
		time.Sleep(time.Nanosecond)
		w.expect("30s too-long a@h")
	})
}

func TestCancelledTimerNeverEnds(t *testing.T) {
	inWorld(t, func(w *world) {
		w.notify(outage, "ONBATT", "a@h")
		time.Sleep(29 * time.Second)
		w.notify(outage, "ONLINE", "a@h")
		time.Sleep(time.Hour)
		w.expect()
	})
}

// TestKeeperEndsWhenIdle looks at the whole life: it comes when needed, goes 15 s after
// its last timer, and a cancellation without a command starts none.
func TestKeeperEndsWhenIdle(t *testing.T) {
	inWorld(t, func(w *world) {
		w.notify(outage, "ONLINE", "a@h")
		if got := w.starts.Load(); got != 0 {
			t.Errorf("a cancellation started %d timer processes; want none", got)
		}
		w.notify(outage, "ONBATT", "a@h")
		time.Sleep(45*time.Second - time.Nanosecond)
		synctest.Wait()
		if got := w.serving.Load(); got != 1 {
			t.Errorf("%d timer processes 15 s less 1 ns after the last timer; want 1", got)
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if got := w.serving.Load(); got != 0 {
			t.Errorf("%d timer processes 15 s after the last timer; want none", got)
		}
		if got := w.list(); got != "upssched timer is not running" {
			t.Errorf("list = %q; want that nothing is running", got)
		}
		w.notify(outage, "ONBATT", "a@h")
		time.Sleep(time.Hour)
		w.expect("30s too-long a@h", "1m15s too-long a@h")
	})
}

// TestCommandOfCancellationStartsKeeper is C's way: the command is run by the timer
// process, which is started for it.
func TestCommandOfCancellationStartsKeeper(t *testing.T) {
	inWorld(t, func(w *world) {
		w.notify("AT ONLINE * CANCEL-TIMER gone back\n", "ONLINE", "a@h")
		w.expect("0s back a@h")
	})
}

// TestSlowCommandDelaysNothing: C's timer process waits for its script.
func TestSlowCommandDelaysNothing(t *testing.T) {
	inWorld(t, func(w *world) {
		w.script = func(r schedule.Run) error {
			if r.Command == "mail" {
				time.Sleep(time.Hour)
			}
			return nil
		}
		const config = "AT ONBATT * START-TIMER mail 5\nAT ONBATT * START-TIMER shutdown 10\n" + outage
		w.notify(config, "ONBATT", "a@h")
		time.Sleep(20 * time.Second)
		w.expect("5s mail a@h", "10s shutdown a@h")
		w.notify(config, "ONLINE", "a@h")
		time.Sleep(2 * time.Minute)
		w.expect("5s mail a@h", "10s shutdown a@h")
		if got := w.serving.Load(); got != 1 {
			t.Errorf("%d timer processes while a command runs; want 1, which will log how it ends", got)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if got := w.serving.Load(); got != 0 {
			t.Errorf("%d timer processes after the command; want none", got)
		}
	})
}

// TestCommandsOfOneNameKeepTheirOrder: one waits for the one before it, but at most
// 10 s.
func TestCommandsOfOneNameKeepTheirOrder(t *testing.T) {
	inWorld(t, func(w *world) {
		w.script = func(r schedule.Run) error {
			switch schedule.UPSes(r.Origins) {
			case "a":
				time.Sleep(4 * time.Second)
			case "c":
				time.Sleep(time.Hour)
			}
			return nil
		}
		for _, u := range []string{"a", "b", "c", "d", "e"} {
			w.notify("AT ONBATT * START-TIMER t 5\n", "ONBATT", u)
		}
		time.Sleep(time.Minute)
		w.expect("5s t a", "9s t b", "9s t c", "19s t d", "19s t e")
	})
}

func TestFailureOfCommandIsLogged(t *testing.T) {
	inWorld(t, func(w *world) {
		w.script = func(schedule.Run) error { return errors.New("no such script") }
		w.notify("AT ONBATT * START-TIMER t 5\n", "ONBATT", "a")
		time.Sleep(6 * time.Second)
		if log := w.log.String(); !strings.Contains(log, "no such script") {
			t.Errorf("log = %s; want why the command failed", log)
		}
	})
}

// TestManyClientsOneKeeper: whatever starts at the same time, there is one schedule.
func TestManyClientsOneKeeper(t *testing.T) {
	inWorld(t, func(w *world) {
		var wg sync.WaitGroup
		for i := range 40 {
			wg.Go(func() { w.notify(outage, "ONBATT", fmt.Sprintf("u%d@h", i)) })
		}
		wg.Wait()
		if got := w.serving.Load(); got != 1 {
			t.Errorf("%d timer processes; want 1", got)
		}
		if got := strings.Count(w.list(), "\n"); got != 40 {
			t.Errorf("%d timers; want 40", got)
		}
		w.notify(outage, "ONLINE", "a@h")
		if got := w.list(); got != "" {
			t.Errorf("list = %q; want nothing", got)
		}
	})
}

func TestList(t *testing.T) {
	inWorld(t, func(w *world) {
		w.notify("AT ONBATT * START-TIMER-SHARED \"long one\" 60\nAT ONBATT * START-TIMER short 20\n", "ONBATT", "a@h")
		time.Sleep(500 * time.Millisecond)
		w.notify("AT COMMBAD * START-TIMER-SHARED \"long one\" 60\n", "COMMBAD", "b@h")
		time.Sleep(10 * time.Second)
		end := w.start.Unix()
		want := fmt.Sprintf("long one\t%d\t50\tONBATT,COMMBAD\ta@h,b@h\tONBATT of a@h.\tCOMMBAD of b@h\n"+
			"short\t%d\t10\tONBATT\ta@h\tONBATT of a@h\n", end+60, end+20)
		if got := w.list(); got != want {
			t.Errorf("list = %q; want %q", got, want)
		}
	})
}

// dial connects to the timer process as a client of another version would.
func (w *world) dial() net.Conn {
	w.t.Helper()
	c, err := w.net.Dial(w.ctx, "unix", w.settings.PipeFN)
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// TestRequestsOfC sends what Debian's upssched 2.8.0 sends, and what is nonsense.
func TestRequestsOfC(t *testing.T) {
	inWorld(t, func(w *world) {
		if err := w.keeper(w.ctx); err != nil {
			t.Fatal(err)
		}
		c := w.dial()
		defer c.Close()
		r := bufio.NewReader(c)
		for _, q := range []struct{ request, want string }{
			{"START \"t1\" \"5\"\n", "OK\n"},
			{"START \"a \\\"b\\\" c\" \"4\"\n", "OK\n"},
			{"\nSTART \"t2\"\n", "ERR UNKNOWN\n"},
			{"START \"t3\" \"junk\"\n", "OK\n"},
			{"START \"t4\" \"-5\"\n", "OK\n"},
			{"START \"t5\" \"99999999999999999999\"\n", "OK\n"},
			{"CANCEL \"t1\"\n", "OK\n"},
			{"CANCEL \"t9\" \"gone\"\n", "OK\n"},
			{"CANCEL\n", "ERR UNKNOWN\n"},
			{"FOO \"x # y\"\n", "ERR UNKNOWN\n"},
			{"PING\n", "ERR UNKNOWN\n"},
			{strings.Repeat("x", 5000) + "\n", "ERR UNKNOWN\n"},
			{"START-SHARED \"q\" \"9\" \"a\" \"b\" \"c\"\n", "OK\n"},
			{"CANCEL-MATCHED \"q\" \"\" \"a\" \"b\" \"c\"\n", "OK\n"},
		} {
			io.WriteString(c, q.request)
			if got, err := r.ReadString('\n'); got != q.want || err != nil {
				t.Errorf("request %q = %q, %v; want %q", q.request, got, err, q.want)
			}
		}
		time.Sleep(time.Minute)
		w.expect("0s t3 ", "0s gone ", "4s a \"b\" c ")
	})
}

// TestSilentClientIsDropped: a client that never asks holds no place for ever.
func TestSilentClientIsDropped(t *testing.T) {
	inWorld(t, func(w *world) {
		w.notify("AT ONBATT * START-TIMER t 3600\n", "ONBATT", "a")
		for range maxClients {
			c := w.dial()
			defer c.Close()
			io.WriteString(c, "START")
		}
		began := time.Now()
		w.notify("AT ONBATT * START-TIMER t 3600\n", "ONBATT", "b")
		if d := time.Since(began); d > clientWait+time.Second {
			t.Errorf("a client waited %v behind silent ones; want at most %v", d, clientWait)
		}
	})
}

func TestStopTellsWhatIsLost(t *testing.T) {
	inWorld(t, func(w *world) {
		ctx, cancel := context.WithCancel(w.ctx)
		w.ctx = ctx
		w.notify(outage, "ONBATT", "a@h")
		time.Sleep(10 * time.Second)
		cancel()
		synctest.Wait()
		if log := w.log.String(); !strings.Contains(log, "timer=too-long left=20s") {
			t.Errorf("log = %s; want the timer that is lost", log)
		}
		if got := w.serving.Load(); got != 0 {
			t.Errorf("%d timer processes after the end; want none", got)
		}
	})
}

// TestCrowdedScheduleRefuses: a client that starts timers in a circle fills no memory.
func TestCrowdedScheduleRefuses(t *testing.T) {
	s := schedule.New(time.Time{})
	for i := range 2 * schedule.MaxTimers {
		s.Step(time.Time{}, schedule.Start{Name: fmt.Sprint(i), After: time.Hour})
		s.Step(time.Time{}, schedule.Start{Name: "0", Shared: true, After: time.Hour, Origin: schedule.Origin{Message: fmt.Sprint(i)}})
	}
	if got := len(s.Timers()); got != schedule.MaxTimers {
		t.Errorf("%d timers; want %d", got, schedule.MaxTimers)
	}
	if got := len(s.Timers()[0].Origins); got != 64 {
		t.Errorf("%d origins; want 64", got)
	}
}
