package hidups

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gonut/internal/driver"
	"gonut/internal/subdriver"
	transport "gonut/internal/transport/hid"
)

// A pipe is a device whose interrupt pipe a test writes: what Input returns, in turn.
// After the last it says nothing more.
type pipe struct {
	*transport.Fake
	mu    sync.Mutex
	turns []turn
	sizes []int // of the buffers that were given
}

type turn struct {
	report []byte
	err    error
}

// Input implements transport.Conn.
func (p *pipe) Input(ctx context.Context, buf []byte) (int, error) {
	p.mu.Lock()
	p.sizes = append(p.sizes, len(buf))
	if len(p.turns) > 0 {
		next := p.turns[0]
		p.turns = p.turns[1:]
		p.mu.Unlock()
		return copy(buf, next.report), next.err
	}
	p.mu.Unlock()
	<-ctx.Done()
	return 0, transport.ErrTimeout
}

const loadTable = "name T 1\nuse pdc\nvar ups.load UPS.Output.PercentLoad format=%.0f\n"

// listening returns a device that reads its interrupt pipe.
func listening(t *testing.T, o Options, turns ...turn) (*Device, *pipe) {
	t.Helper()
	p := &pipe{Fake: played(t, strange), turns: turns}
	d, err := New(p, parsed(t, loadTable), nil, o, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	poll(t, d, driver.Init)
	d.Listen()
	return d, p
}

func TestInterruptPipe(t *testing.T) {
	overflow, timeout, trouble := turn{err: transport.ErrOverflow}, turn{err: transport.ErrTimeout}, turn{err: errors.New("input/output error")}
	report := turn{report: []byte{3, 77}}
	never := Options{NoEventsTolerance: -1}
	for _, test := range []struct {
		name  string
		o     Options
		turns []turn
		load  string // afterwards
		gone  bool
		after time.Duration
	}{
		{"report", never, []turn{report}, "77", false, 0},
		{"silence", never, slices.Repeat([]turn{timeout}, 100), "", false, 0},
		{"silence that is too long", Options{NoEventsTolerance: 5}, slices.Repeat([]turn{timeout}, 6), "", true, 0},
		{"silence that is bearable", Options{NoEventsTolerance: 5}, append(slices.Repeat([]turn{timeout}, 5), report), "77", false, 0},
		{"a few errors", never, []turn{overflow, trouble, {err: transport.ErrStall}, report}, "77", false, time.Second},
		{"errors for ever", never, slices.Repeat([]turn{trouble}, 10), "", true, 10 * time.Second},
		{"errors between reports", never, slices.Concat(slices.Repeat([]turn{trouble}, 9), []turn{report}, slices.Repeat([]turn{overflow}, 9), []turn{{report: []byte{3, 78}}}), "78", false, 20 * time.Second},
		{"unplugged", never, []turn{report, {err: transport.ErrGone}}, "77", true, 0},
		{"reports of nobody", never, []turn{{report: []byte{99, 1}}, {report: []byte{3}}, {report: []byte{}}, report}, "77", false, 0},
		{"not used", Options{PollOnly: true}, []turn{report}, "", false, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d, _ := listening(t, test.o, test.turns...)
				time.Sleep(test.after)
				synctest.Wait()
				err := d.Poll(t.Context(), driver.Quick, &driver.Update{})
				if errors.Is(err, driver.ErrGone) != test.gone || err != nil && !test.gone {
					t.Errorf("Poll = %v; gone is to be %t", err, test.gone)
				}
				if load, _ := d.walker.Value("ups.load"); load != test.load {
					t.Errorf("ups.load = %q; want %q", load, test.load)
				}
				if err := d.Close(); err != nil {
					t.Errorf("Close = %v", err)
				}
			})
		})
	}
}

func TestInterruptSize(t *testing.T) {
	for size, want := range map[int]int{0: 64, 8: 8, -1: 64, 1 << 40: maxInterrupt} {
		synctest.Test(t, func(t *testing.T) {
			d, p := listening(t, Options{InterruptSize: size})
			synctest.Wait()
			if p.sizes[0] != want {
				t.Errorf("with the option %d the pipe is read with %d bytes; want %d", size, p.sizes[0], want)
			}
			d.Close()
		})
	}
}

// A report over the pipe wakes the session at once.
func TestReportsWake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, _ := listening(t, Options{}, turn{report: []byte{3, 1}})
		synctest.Wait()
		select {
		case <-d.Wake():
		default:
			t.Error("nobody is woken")
		}
		d.Close()
	})
}

// The options that quirks of match lines stand for.
func TestQuirksChangeOptions(t *testing.T) {
	lib := subdriver.Load("hid", subdriver.Embedded())
	nine := StatusOptions{LowBatteryDelay: 9 * time.Second, LowBatteryDelayGiven: true}
	none := StatusOptions{LowBatteryDelayGiven: true}
	for _, test := range []struct {
		id, product string
		given, want Options
	}{
		{"051d:0002", "Smart-UPS 1500", Options{}, Options{}},
		{"051d:0003", "Smart-UPS X 750", Options{}, Options{PollOnly: true}},
		{"051d:0004", "", Options{}, Options{PollOnly: true}},
		{"051d:0002", "Back-UPS CS 500 FW:808", Options{}, Options{MaxReport: true}},
		{"051d:0002", "Back-UPS ES 525 FW:851", Options{}, Options{MaxReport: true}},
		{"051d:0002", "Back-UPS BX1600MI FW:378600G", Options{}, Options{Status: StatusOptions{LowBatteryDelay: 3 * time.Second, DelayWithoutCalibrating: true}}},
		{"051d:0002", "BK650M2-CH", Options{Status: nine}, Options{Status: nine}},
		{"051d:0002", "BK650M2-CH", Options{Status: none}, Options{Status: none}},
		{"0d9f:0001", "", Options{}, Options{InterruptOnly: true, InterruptSize: 8}},
		{"0d9f:0001", "", Options{InterruptSize: 64}, Options{InterruptOnly: true, InterruptSize: 64}},
		{"0d9f:0001", "", Options{PollOnly: true}, Options{PollOnly: true, InterruptSize: 8}},
		{"1cb0:0032", "", Options{}, Options{PollOnly: true}},
	} {
		found, _ := lib.Find("usb", test.id, "", test.product)
		d, err := New(played(t, strange), found.Table, found.Match, test.given, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		if got, want := fmt.Sprintf("%+v", d.o), fmt.Sprintf("%+v", test.want); got != want {
			t.Errorf("%s %q: options are %s; want %s", test.id, test.product, got, want)
		}
	}
}

// Some devices answer with more than a report is long, and only if they may.
func TestMaxReport(t *testing.T) {
	for maxReport, want := range map[bool]int{false: 3, true: 64} {
		asked := 0
		p := &sized{Fake: played(t, twoTimers), asked: &asked}
		d, err := New(p, parsed(t, twoTimersTable), nil, Options{PollOnly: true, MaxReport: maxReport}, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		poll(t, d, driver.Init)
		if asked != want {
			t.Errorf("with MaxReport %t the report of 3 bytes is asked for with %d; want %d", maxReport, asked, want)
		}
	}
}

// A sized device notes how much is asked for of report 2.
type sized struct {
	*transport.Fake
	asked *int
}

// Get implements transport.Conn.
func (s *sized) Get(ctx context.Context, k transport.ReportType, id byte, buf []byte) (int, error) {
	if id == 2 {
		*s.asked = len(buf)
	}
	return s.Fake.Get(ctx, k, id, buf)
}

// Reports that hang some devices are never asked for, not even to look at them.
func TestDangerousReports(t *testing.T) {
	rec := `device %s 0100
descriptor 05 84 09 04 a1 01 75 08 95 01 15 00 25 64 85 54 09 35 b1 02 85 fe 09 36 b1 02 85 ff 09 37 b1 02 85 01 09 30 b1 02 c0
feature 54 01
feature fe 01
feature ff 01
feature 01 05
`
	lib := subdriver.Load("hid", subdriver.Embedded())
	for id, want := range map[string]string{"0463:ffff": "54 1", "047c:ffff": "54 1", "09ae:1330": "fe ff 1", "09ae:2012": "54 fe ff 1"} {
		found, _ := lib.Find("usb", id, "", "")
		fake := played(t, fmt.Sprintf(rec, id))
		d, err := New(fake, found.Table, found.Match, Options{PollOnly: true}, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		var read []string
		for _, v := range d.Fields(t.Context()) {
			if v.Err == nil {
				read = append(read, fmt.Sprintf("%x", v.Field.Report))
			}
		}
		if got := strings.Join(read, " "); got != want {
			t.Errorf("%s: reports %s are read; want %s", id, got, want)
		}
	}
}

func TestExploreLogsAllFields(t *testing.T) {
	var log bytes.Buffer
	d, err := New(played(t, twoTimers), parsed(t, "name E 1\nuse pdc\n"), nil, Options{PollOnly: true, Explore: true}, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	poll(t, d, driver.Init)
	for _, want := range []string{
		"Path: UPS.PowerSummary.DelayBeforeStartup, Type: Feature, ReportID: 0x01, Offset: 32, Size: 32, Value: -1",
		"Path: UPS.PowerSummary.RemainingCapacity, Type: Feature, ReportID: 0x02, Offset: 0, Size: 8, Value: 90",
	} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log lacks %q:\n%s", want, log.String())
		}
	}
}

// A device with a single report may leave its id out.
func TestReportWithoutAnID(t *testing.T) {
	fake := played(t, `device 1209:0001 0100
descriptor 05 84 09 04 a1 01 09 24 a1 00 75 08 95 01 15 00 25 64 05 85 09 66 b1 02 09 29 b1 02 09 66 81 02 c0 c0
feature 00 5a
`)
	fake.Put(0, 0x5A, 0x14)
	p := &plain{Fake: fake}
	d, err := New(p, parsed(t, twoTimersTable), nil, Options{PollOnly: true}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	poll(t, d, driver.Init)
	if v, _ := d.walker.Value("battery.charge.low"); v != "20" {
		t.Errorf("battery.charge.low = %q; want 20", v)
	}
	if err := d.Set(t.Context(), "battery.charge.low", "30"); err != nil || string(p.written) != "\x5a\x1e" {
		t.Errorf("Set = %v, wrote % x; want 5a 1e", err, p.written)
	}
	d.walker.Push(d.source.pushed(t.Context(), []byte{42}), &driver.Update{})
	if v, _ := d.walker.Value("battery.charge"); v != "42" {
		t.Errorf("battery.charge = %q after a report without id; want 42", v)
	}
}

// A plain device's reports have no id on the wire.
type plain struct {
	*transport.Fake
	written []byte
}

// Get implements transport.Conn.
func (p *plain) Get(ctx context.Context, k transport.ReportType, id byte, buf []byte) (int, error) {
	whole := make([]byte, 1+len(buf))
	n, err := p.Fake.Get(ctx, k, id, whole)
	return copy(buf, whole[1:max(n, 1)]), err
}

// Set implements transport.Conn.
func (p *plain) Set(_ context.Context, _ transport.ReportType, _ byte, data []byte) error {
	p.written = slices.Clone(data)
	return nil
}

func TestBrokenDescriptors(t *testing.T) {
	for _, test := range []struct{ descriptor, want string }{
		{"05 84 09 04 a1 01 75 08 95 01 85 01 09 35 b1 02", ""}, // not ended, and used
		{"05 84 09 04 a1 01 75 08 95 01 85 01 09 35 b1", "item at byte 14"},
		{"05 84 09 04 a1 01", "collections are not ended"},
	} {
		fake := played(t, "device 1209:0001 0100\ndescriptor "+test.descriptor+"\nfeature 01 17\n")
		_, err := New(fake, parsed(t, loadTable), nil, Options{}, slog.New(slog.DiscardHandler))
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("New with %s = %v; want %q", test.descriptor, err, test.want)
		}
	}
}

// The ways to cut the power are tried until one works; what the others say is told.
func TestShutdownTriesAllWays(t *testing.T) {
	rows := map[string]string{
		"both":     "cmd load.off.delay UPS.PowerSummary.DelayBeforeShutdown send=20\ncmd load.on.delay UPS.PowerSummary.DelayBeforeStartup send=30\n",
		"off":      "cmd load.off.delay UPS.PowerSummary.DelayBeforeShutdown send=20\n",
		"reboot":   "cmd shutdown.reboot UPS.PowerSummary.DelayBeforeStartup send=10\n",
		"stayoff":  "cmd shutdown.stayoff UPS.PowerSummary.DelayBeforeShutdown send=5\n",
		"refusing": "cmd shutdown.reboot UPS.PowerSummary.DelayBeforeStartup send={unknown}\ncmd shutdown.stayoff UPS.PowerSummary.DelayBeforeShutdown send=5\n",
		"none":     "",
	}
	for name, want := range map[string]string{
		"both":     "feature 01 ff ff ff ff 1e 00 00 00 | feature 01 14 00 00 00 1e 00 00 00",
		"off":      "feature 01 14 00 00 00 ff ff ff ff",
		"reboot":   "feature 01 ff ff ff ff 0a 00 00 00",
		"stayoff":  "feature 01 05 00 00 00 ff ff ff ff",
		"refusing": "feature 01 05 00 00 00 ff ff ff ff",
		"none":     "",
	} {
		synctest.Test(t, func(t *testing.T) {
			fake := played(t, twoTimers)
			d := begun(t, fake, parsed(t, "name T 1\nuse pdc\n"+rows[name]))
			err := d.Command(t.Context(), driver.ShutdownDefault, "")
			if got := arrived(fake); got != want || (err == nil) != (want != "") {
				t.Errorf("%s: shutdown.default = %v and writes %q; want %q", name, err, got, want)
			}
			if want == "" && !errors.Is(err, driver.ErrUnknown) {
				t.Errorf("%s: shutdown.default = %v; want ErrUnknown", name, err)
			}
		})
	}
}

// Without the setting that it comes back by itself, a device must not be told to go.
func TestShutdownNeedsItsSetting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := played(t, twoTimers)
		d := begun(t, fake, parsed(t, twoTimersTable+"enum yes-or-no 0=no 1=yes 20=maybe\nvar ups.start.auto UPS.PowerSummary.RemainingCapacityLimit as=yes-or-no rw=5\n"))
		fake.Fail(2, errors.New("input/output error"))
		if err := d.Command(t.Context(), "shutdown.return", ""); !errors.Is(err, driver.ErrFailed) || arrived(fake) != "" {
			t.Errorf("shutdown.return = %v; want ErrFailed and nothing written", err)
		}
		fake.Fail(2, nil)
		if err := d.Command(t.Context(), "shutdown.stayoff", ""); err != nil {
			t.Fatal(err)
		}
		if got := arrived(fake); !strings.HasPrefix(got, "feature 02 5a 00 | feature 01 ff ff ff ff ff ff ff ff | ") {
			t.Errorf("shutdown.stayoff writes %q", got)
		}
	})
}

func TestCommandBeforeTheFirstPoll(t *testing.T) {
	d, err := New(played(t, twoTimers), parsed(t, twoTimersTable), nil, Options{}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Command(t.Context(), "load.off", ""); !errors.Is(err, driver.ErrFailed) {
		t.Errorf("Command = %v; want ErrFailed", err)
	}
	if err := d.Set(t.Context(), "ups.delay.start", "5"); !errors.Is(err, driver.ErrFailed) {
		t.Errorf("Set = %v; want ErrFailed", err)
	}
}
