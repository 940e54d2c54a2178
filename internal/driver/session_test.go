package driver_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gonut/internal/driver"
	"gonut/internal/drvsock"
	"gonut/internal/memnet"
	"gonut/internal/netproto"
	"gonut/internal/program"
	"gonut/internal/ups"
)

// A bench is a device in a test: it does what its fields say.
type bench struct {
	mu        sync.Mutex
	openErr   error
	pollErr   error
	values    map[string]string
	status    string
	alarms    []string
	commands  []string
	refuse    map[string]error // by command or variable
	failAfter int              // polls that succeed; 0: all
	hang      bool             // polls do not return, whatever the context says
	slow      time.Duration    // a poll takes this long, or until it is cancelled
	stuck     string           // a command that takes as long as its context lets it
	missed    []string
	composed  bool
	writable  map[string]driver.Writable
	release   chan struct{}
	wake      chan struct{}

	opens, closes int
	polls         []driver.Depth
	done          []string
}

func newBench() *bench {
	return &bench{
		values:  map[string]string{"ups.mfr": "Bench", "battery.charge": "100"},
		status:  "OL",
		refuse:  make(map[string]error),
		release: make(chan struct{}),
		wake:    make(chan struct{}, 1),
	}
}

func (b *bench) driver() driver.Driver {
	return driver.Driver{
		Name:    "bench",
		Version: "0.01",
		Options: []driver.Option{
			{Name: "speed"}, {Name: "password", Secret: true}, {Name: "loud", Flag: true}, {Name: "colour", Live: true, Optional: true},
		},
		Open: func(context.Context, driver.Values, *slog.Logger) (driver.Device, error) {
			b.mu.Lock()
			defer b.mu.Unlock()
			if b.openErr != nil {
				return nil, b.openErr
			}
			b.opens++
			return b, nil
		},
	}
}

// set changes the bench under its lock.
func (b *bench) set(f func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f()
}

func (b *bench) count() (opens, closes, polls int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.opens, b.closes, len(b.polls)
}

// told returns what the device was told to do.
func (b *bench) told() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.done)
}

func (b *bench) Poll(ctx context.Context, d driver.Depth, u *driver.Update) error {
	b.mu.Lock()
	hang, slow := b.hang, b.slow
	b.mu.Unlock()
	if hang {
		<-b.release
	}
	select {
	case <-time.After(slow):
	case <-ctx.Done():
		return ctx.Err()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.polls = append(b.polls, d)
	if b.pollErr != nil {
		return b.pollErr
	}
	if b.failAfter > 0 && len(b.polls) > b.failAfter {
		return errors.New("no answer")
	}
	for k, v := range b.values {
		u.Set(k, v)
	}
	if d == driver.Init {
		u.Set("ups.delay.start", "10")
		u.Writable("ups.delay.start", driver.Writable{String: true, MaxLen: 8})
		u.Command(b.commands...)
		for name, w := range b.writable {
			u.Writable(name, w)
		}
	}
	u.Missed(b.missed...)
	if b.composed {
		u.Composed()
	}
	u.Status(b.status)
	for _, a := range b.alarms {
		u.Alarm(a)
	}
	return nil
}

func (b *bench) Wake() <-chan struct{} { return b.wake }

func (b *bench) Command(ctx context.Context, name, param string) error {
	if b.stuck == name {
		<-ctx.Done()
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.done = append(b.done, strings.TrimSpace(name+" "+param))
	return b.refuse[name]
}

func (b *bench) Set(_ context.Context, name, value string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.refuse[name]; err != nil {
		return err
	}
	b.values[name] = value
	return nil
}

func (b *bench) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closes++
	return nil
}

// A rig is a running session in a synctest bubble.
type rig struct {
	*driver.Session
	t      *testing.T
	bench  *bench
	net    memnet.Network
	cancel context.CancelFunc
	result chan error
}

func start(t *testing.T, b *bench, change func(*driver.Config), h driver.Hooks) *rig {
	t.Helper()
	c := driver.NewConfig("bench", "here")
	if change != nil {
		change(&c)
	}
	r := &rig{t: t, bench: b, result: make(chan error, 1)}
	r.Session = driver.NewSession(b.driver(), c, h, slog.New(slog.NewTextHandler(t.Output(), nil)))
	ctx, cancel := context.WithCancel(t.Context())
	r.cancel = cancel
	l, err := r.net.Listen(ctx, "unix", "bench")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- r.Serve(ctx, l) }()
	over := make(chan struct{})
	go func() {
		r.result <- r.Run(ctx)
		close(over)
	}()
	t.Cleanup(func() {
		cancel()
		<-over
		if err := <-served; err != nil {
			t.Errorf("Serve = %v; want nil", err)
		}
	})
	synctest.Wait()
	return r
}

func (r *rig) want(name, want string) {
	r.t.Helper()
	if got := r.State().Value(name); got != want {
		r.t.Errorf("%s = %q; want %q", name, got, want)
	}
}

func (r *rig) wantStale(want bool) {
	r.t.Helper()
	if got := r.State().Stale(); got != want {
		r.t.Errorf("Stale = %v; want %v", got, want)
	}
}

func (r *rig) do(request string) netproto.Result {
	r.t.Helper()
	req, ok, err := drvsock.ParseRequest(strings.Fields(request))
	if !ok || err != nil {
		r.t.Fatalf("ParseRequest(%q) = %v, %v", request, ok, err)
	}
	ctx, cancel := context.WithTimeout(r.t.Context(), 2*time.Minute)
	defer cancel()
	n, err := r.Do(ctx, req)
	if err != nil {
		r.t.Fatalf("Do(%q): %v", request, err)
	}
	return n
}

// A client is somebody on the driver socket who reads all that is sent.
type client struct {
	t     *testing.T
	conn  net.Conn
	lines chan string // closed at the end
}

func (r *rig) dial() *client {
	r.t.Helper()
	c := &client{r.t, r.dialConn(), make(chan string, 1000)}
	go c.follow()
	return c
}

// follow reads what is sent until the end.
func (c *client) follow() {
	defer close(c.lines)
	for s := bufio.NewScanner(c.conn); s.Scan(); {
		c.lines <- s.Text()
	}
}

func (r *rig) dialConn() net.Conn {
	r.t.Helper()
	conn, err := r.net.Dial(r.t.Context(), "unix", "bench")
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { conn.Close() })
	return conn
}

func (c *client) send(line string) {
	c.t.Helper()
	if _, err := c.conn.Write([]byte(line + "\n")); err != nil {
		c.t.Fatalf("send %q: %v", line, err)
	}
}

// line returns the next line; after half a second without one it is "".
func (c *client) line() string {
	select {
	case l := <-c.lines:
		return l
	case <-time.After(time.Second / 2):
		return ""
	}
}

// ended reports whether the other side has closed.
func (c *client) ended() bool {
	for {
		select {
		case _, ok := <-c.lines:
			if !ok {
				return true
			}
		case <-time.After(time.Second / 2):
			return false
		}
	}
}

// until reads lines up to and including the one given.
func (c *client) until(last string) []string {
	c.t.Helper()
	var lines []string
	for {
		l := c.line()
		if l == "" {
			c.t.Fatalf("no line %q in %q", last, lines)
		}
		lines = append(lines, l)
		if l == last {
			return lines
		}
	}
}

// ask sends a line and reads as many lines as are wanted.
func (c *client) ask(line string, want ...string) {
	c.t.Helper()
	c.send(line)
	for _, w := range want {
		if got := c.line(); got != w {
			c.t.Errorf("%s: got %q; want %q", line, got, w)
		}
	}
}

func (c *client) silent() {
	c.t.Helper()
	if got := c.line(); got != "" {
		c.t.Errorf("got %q; want silence", got)
	}
}

func TestSessionPublishes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		b.commands = []string{"load.off"}
		r := start(t, b, func(c *driver.Config) {
			c.Values.Set["speed"] = "9600"
			c.Values.Set["password"] = "hush"
			c.Values.Set["loud"] = ""
			c.Presets = []driver.Preset{
				{Name: "battery.charge.low", Value: "30"},
				{Name: "ups.mfr", Value: "Frozen", Frozen: true},
			}
			c.ShutdownCommands = []string{"shutdown.return", "load.off"}
		}, driver.Hooks{})
		<-r.Ready()
		for name, want := range map[string]string{
			"ups.status":                                  "OL",
			"ups.mfr":                                     "Frozen",
			"device.mfr":                                  "Frozen",
			"device.type":                                 "ups",
			"battery.charge.low":                          "30",
			"driver.name":                                 "bench",
			"driver.version.internal":                     "0.01",
			"driver.state":                                "quiet",
			"driver.debug":                                "0",
			"driver.flag.allow_killpower":                 "0",
			"driver.flag.loud":                            "enabled",
			"driver.parameter.port":                       "here",
			"driver.parameter.pollinterval":               "2",
			"driver.parameter.synchronous":                "auto",
			"driver.parameter.speed":                      "9600",
			"driver.parameter.password":                   "",
			"driver.parameter.default.battery.charge.low": "30",
			"driver.parameter.override.ups.mfr":           "Frozen",
			"driver.parameter.sdcommands":                 "shutdown.return,load.off",
		} {
			r.want(name, want)
		}
		r.wantStale(false)
		got := strings.Join(r.State().Snapshot().Commands, " ")
		want := "driver.killpower driver.reload driver.reload-or-error driver.reload-or-exit load.off shutdown.default"
		if got != want {
			t.Errorf("commands = %s; want %s", got, want)
		}
		v, _ := r.State().Variable("driver.debug")
		if v.Flags != ups.RW|ups.Number {
			t.Errorf("flags of driver.debug = %v; want RW NUMBER", v.Flags.Words())
		}
		r.cancel()
		if err := <-r.result; err != nil {
			t.Errorf("Run = %v; want nil", err)
		}
		if opens, closes, _ := b.count(); opens != 1 || closes != 1 {
			t.Errorf("opened %d times, closed %d times; want 1, 1", opens, closes)
		}
	})
}

func TestSessionPollsOnTimeAndOnWake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		r := start(t, b, nil, driver.Hooks{})
		c := r.dial()
		c.send("DUMPALL")
		c.until("DUMPDONE")
		time.Sleep(9 * time.Second)
		if _, _, polls := b.count(); polls != 5 {
			t.Errorf("polls in 9 s of 2 s each = %d; want 5 with the first", polls)
		}
		c.silent() // nothing changed, nothing is said
		b.set(func() { b.status = "OB" })
		b.wake <- struct{}{}
		synctest.Wait()
		r.want("ups.status", "OB")
		if got, want := c.line(), `SETINFO ups.status "OB"`; got != want {
			t.Errorf("broadcast = %q; want %q", got, want)
		}
	})
}

// Sessions of one process that began at different times poll at the same times.
func TestSessionsPollInStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var bs []*bench
		for _, late := range []time.Duration{0, 700 * time.Millisecond, 900 * time.Millisecond} {
			time.Sleep(late)
			b := newBench()
			start(t, b, func(c *driver.Config) { c.InStep = true }, driver.Hooks{})
			synctest.Wait()
			bs = append(bs, b)
		}
		time.Sleep(399 * time.Millisecond) // 1.999 s
		for _, at := range []struct {
			wait  time.Duration
			polls int // of each since its first one
		}{{0, 0}, {2 * time.Millisecond, 1}, {1997 * time.Millisecond, 1}, {2 * time.Millisecond, 2}} {
			time.Sleep(at.wait)
			synctest.Wait()
			for i, b := range bs {
				if _, _, n := b.count(); n != at.polls+1 {
					t.Errorf("session %d polled %d times; want %d", i, n, at.polls+1)
				}
			}
		}
	})
}

func TestSessionReopensWhenDeviceIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		b.values["ups.serial"] = "1"
		r := start(t, b, nil, driver.Hooks{})
		c := r.dial()
		c.ask("DUMPSTATUS", `SETINFO ups.status "OL"`, "DATAOK", "DUMPDONE")
		b.set(func() { b.pollErr, b.openErr = fmt.Errorf("read: %w", driver.ErrGone), errors.New("no such device") })
		time.Sleep(10 * time.Second)
		r.wantStale(true)
		r.want("driver.state", "reconnect.trying")
		r.want("ups.status", "OL") // held, but stale
		if n := ups.Atoi(r.State().Value("driver.reconnect_count")); n < 9 || n > 11 {
			t.Errorf("tries in 8 s = %d; want one each second and a few more in the beginning", n)
		}
		time.Sleep(10 * time.Minute)
		if n := ups.Atoi(r.State().Value("driver.reconnect_count")); n < 320 || n > 340 {
			t.Errorf("tries in 10 min = %d; want one each second in the first minute, then each 2 s", n)
		}
		c.until("DATASTALE")
		c.ask("PING")
		c.until("PONG")
		if n := r.do("INSTCMD load.off"); n != netproto.Failed {
			t.Errorf("INSTCMD without a device = %d; want %d", n, netproto.Failed)
		}
		// Another device comes back: what it does not have is forgotten.
		b.set(func() { b.pollErr, b.openErr = nil, nil; delete(b.values, "ups.serial") })
		time.Sleep(turn)
		r.wantStale(false)
		r.want("driver.state", "quiet")
		r.want("driver.reconnect_count", "")
		r.want("ups.serial", "")
		c.until("DATAOK")
	})
}

// Values are held for a while, with their age for all to see, and then stale.
func TestSessionMarksFailedPollsStale(t *testing.T) {
	const age = "experimental.driver.data.age"
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		r := start(t, b, nil, driver.Hooks{})
		r.want(age, "")
		b.set(func() { b.pollErr = errors.New("checksum") })
		time.Sleep(3 * time.Second)
		r.wantStale(false)
		r.want(age, "2")
		time.Sleep(3900 * time.Millisecond) // 5 s after the first poll that failed
		r.wantStale(false)
		time.Sleep(200 * time.Millisecond)
		r.wantStale(true)
		r.want(age, "7")
		if opens, _, _ := b.count(); opens != 1 {
			t.Errorf("opened %d times after few failed polls; want 1", opens)
		}
		b.set(func() { b.pollErr = nil })
		time.Sleep(turn)
		r.wantStale(false)
		r.want(age, "")
		b.set(func() { b.pollErr = errors.New("checksum") })
		time.Sleep(14 * time.Second)
		if opens, _, _ := b.count(); opens < 2 {
			t.Errorf("opened %d times after many failed polls; want it opened again", opens)
		}
	})
}

func TestSessionSurvivesHungDevice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		r := start(t, b, nil, driver.Hooks{})
		c := r.dial()
		c.ask("NOBROADCAST")
		b.set(func() { b.hang = true })
		time.Sleep(10 * time.Second) // a poll is stuck
		r.wantStale(false)
		c.ask("PING", "PONG")
		time.Sleep(6 * time.Second)
		r.wantStale(true)
		c.ask("PING", "PONG") // truthful again: the data are known to be stale
		c.ask("DUMPVALUE driver.state", "DATASTALE", `SETINFO driver.state "updateinfo"`, "DUMPDONE")
		c.send("INSTCMD load.off TRACKING id1")
		time.Sleep(20 * time.Second) // now the call was left behind
		if got, want := c.line(), "TRACKING id1 3"; got != want {
			t.Errorf("request to a hung device: got %q; want %q", got, want)
		}
		b.set(func() { b.hang = false })
		time.Sleep(40 * time.Second)
		r.wantStale(false)
		opens, closes, _ := b.count()
		if opens < 2 || closes != opens-2 && closes != opens-3 {
			t.Errorf("opened %d times, closed %d times; want the hung ones open still", opens, closes)
		}
		close(b.release) // the calls return after all: their devices are closed
		synctest.Wait()
		if opens, closes, _ := b.count(); closes != opens-1 {
			t.Errorf("opened %d times, closed %d times; want all but one closed", opens, closes)
		}
	})
}

func TestSessionBoundsHungCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		r := start(t, b, nil, driver.Hooks{})
		b.set(func() { b.hang = true })
		time.Sleep(time.Hour)
		opens, _, _ := b.count()
		if opens > 6 {
			t.Errorf("a device that hangs for an hour was opened %d times; want at most 6", opens)
		}
		r.wantStale(true)
		b.set(func() { b.hang = false })
		close(b.release)
		time.Sleep(3 * time.Second)
		r.wantStale(false)
	})
}

func TestSessionSlowPollIsNotLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		r := start(t, b, nil, driver.Hooks{})
		b.set(func() { b.slow = 20 * time.Second })
		time.Sleep(18 * time.Second)
		r.wantStale(true)
		b.set(func() { b.slow = 0 })
		time.Sleep(5 * time.Second)
		r.wantStale(false)
		if opens, _, _ := b.count(); opens != 1 {
			t.Errorf("opened %d times; want 1", opens)
		}
	})
}

func TestSessionGivesUpAsConfigured(t *testing.T) {
	tests := []struct{ maxTries, opens int }{{0, 1}, {3, 1}}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			b := newBench()
			r := start(t, b, func(c *driver.Config) { c.MaxTries = tt.maxTries }, driver.Hooks{})
			b.set(func() { b.pollErr, b.openErr = driver.ErrGone, errors.New("no such device") })
			begin := time.Now()
			err := <-r.result
			var exit *program.ExitError
			if !errors.As(err, &exit) || exit.Code != 1 {
				t.Errorf("MaxTries %d: Run = %v; want exit code 1", tt.maxTries, err)
			}
			if d := time.Since(begin); tt.maxTries == 0 && d > 2*time.Second || d > 10*time.Second {
				t.Errorf("MaxTries %d: gave up after %v", tt.maxTries, d)
			}
		})
	}
}

func TestSessionEndsOnWrongConfiguration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		b.openErr = fmt.Errorf("port: %w", driver.ErrConfig)
		r := start(t, b, nil, driver.Hooks{})
		if err := <-r.result; !errors.Is(err, driver.ErrConfig) {
			t.Errorf("Run = %v; want ErrConfig", err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		b.openErr = errors.New("not there")
		r := start(t, b, func(c *driver.Config) { c.OpenOnce = true }, driver.Hooks{})
		if err := <-r.result; err == nil || !strings.Contains(err.Error(), "not there") {
			t.Errorf("Run = %v; want what Open said", err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		r := start(t, b, func(c *driver.Config) { c.IgnoreLB = true }, driver.Hooks{})
		if err := <-r.result; !errors.Is(err, driver.ErrConfig) {
			t.Errorf("Run with ignorelb and no thresholds = %v; want ErrConfig", err)
		}
	})
}

func TestSessionSurvivesPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		d := b.driver()
		open := d.Open
		first := true
		d.Open = func(ctx context.Context, v driver.Values, log *slog.Logger) (driver.Device, error) {
			if first {
				first = false
				panic("bug")
			}
			return open(ctx, v, log)
		}
		s := driver.NewSession(d, driver.NewConfig("bench", "here"), driver.Hooks{}, slog.New(slog.DiscardHandler))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- s.Run(ctx) }()
		<-s.Ready()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v; want nil", err)
		}
	})
}

func TestSessionIgnoreLBAndAlarm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		b.status = "OB LB"
		r := start(t, b, func(c *driver.Config) {
			c.IgnoreLB = true
			c.Presets = []driver.Preset{{Name: "battery.charge.low", Value: "30", Frozen: true}}
		}, driver.Hooks{})
		r.want("ups.status", "OB")
		b.set(func() { b.values["battery.charge"] = "29"; b.alarms = []string{"Too hot!"} })
		time.Sleep(turn)
		r.want("ups.status", "ALARM OB LB DISCHRG")
		r.want("ups.alarm", "Too hot!")
		b.set(func() { b.alarms = nil })
		time.Sleep(turn)
		r.want("ups.status", "OB LB")
		if _, ok := r.State().Variable("ups.alarm"); ok {
			t.Error("ups.alarm is there without an alarm; want none")
		}
	})
}

// Tokens that another driver composed stand as they are.
func TestSessionTakesComposedStatus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		b.composed = true
		r := start(t, b, nil, driver.Hooks{})
		b.set(func() { b.values["battery.charge"] = "50" })
		time.Sleep(turn)
		r.want("ups.status", "OL")
	})
}

func TestSessionRequests(t *testing.T) {
	tests := []struct {
		request string
		want    netproto.Result
	}{
		{"INSTCMD load.off", netproto.Handled},
		{"INSTCMD LOAD.OFF 5", netproto.Handled},
		{"INSTCMD nope.x", netproto.Unknown},
		{"INSTCMD bad.value x", netproto.Invalid},
		{"INSTCMD broken", netproto.Failed},
		{"INSTCMD shutdown.default", netproto.Handled},
		{"INSTCMD driver.killpower", netproto.Invalid},
		{"INSTCMD driver.reload-or-error", netproto.Handled},
		{"SET ups.delay.start 20", netproto.Handled},
		{"SET ups.mfr x", netproto.Invalid},
		{"SET driver.debug abc", netproto.Invalid},
		{"SET driver.debug 3", netproto.Handled},
		{"SET driver.flag.allow_killpower 0", netproto.Handled},
	}
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		b.commands = []string{"load.off"}
		b.refuse["nope.x"] = driver.ErrUnknown
		b.refuse["bad.value"] = fmt.Errorf("parameter x: %w", driver.ErrInvalid)
		b.refuse["broken"] = errors.New("no answer")
		debug := -1
		r := start(t, b, nil, driver.Hooks{SetDebug: func(n int) { debug = n }})
		for _, tt := range tests {
			if got := r.do(tt.request); got != tt.want {
				t.Errorf("%s = %d; want %d", tt.request, got, tt.want)
			}
		}
		r.want("ups.delay.start", "20") // as soon as the result is known
		r.want("driver.debug", "3")
		if debug != 3 {
			t.Errorf("verbosity = %d; want 3", debug)
		}
		r.do("SET driver.debug -1")
		r.want("driver.debug", "0")
		if got, want := strings.Join(b.done, ", "), "load.off, load.off 5, nope.x, bad.value x, broken, shutdown.default"; got != want {
			t.Errorf("the device was told %s; want %s", got, want)
		}
		for value, want := range map[string]string{"1": "1", "enabled": "1", "yes": "1", "true": "1", "0": "0", "YES": "0", "x": "0"} {
			r.do("SET driver.flag.allow_killpower " + value)
			r.want("driver.flag.allow_killpower", want)
		}
	})
}

func TestSessionKillpower(t *testing.T) {
	tests := []struct {
		name     string
		commands []string
		refuse   error
		result   netproto.Result
		code     int
		done     string
	}{
		{"default", nil, nil, netproto.Handled, 0, "shutdown.default"},
		{"first that works", []string{"nope", "load.off", "load.on"}, nil, netproto.Handled, 0, "nope, load.off"},
		{"none works", []string{"nope"}, nil, netproto.Unknown, 1, "nope"},
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			b := newBench()
			b.refuse["nope"] = driver.ErrUnknown
			r := start(t, b, func(c *driver.Config) { c.ShutdownCommands = tt.commands }, driver.Hooks{})
			r.do("SET driver.flag.allow_killpower 1")
			if got := r.do("INSTCMD driver.killpower"); got != tt.result {
				t.Errorf("%s: driver.killpower = %d; want %d", tt.name, got, tt.result)
			}
			if code := program.Code(<-r.result, t.Output()); code != tt.code {
				t.Errorf("%s: exit code = %d; want %d", tt.name, code, tt.code)
			}
			if got := strings.Join(b.done, ", "); got != tt.done {
				t.Errorf("%s: the device was told %s; want %s", tt.name, got, tt.done)
			}
		})
	}
}

// A command that hangs leaves time for those that are to be tried after it.
func TestKillpowerTriesWhatIsLeft(t *testing.T) {
	for _, running := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench()
			b.stuck = "shutdown.return"
			commands := []string{"shutdown.return", "load.off"}
			if running {
				r := start(t, b, func(c *driver.Config) { c.ShutdownCommands = commands }, driver.Hooks{})
				r.do("SET driver.flag.allow_killpower 1")
				if got := r.do("INSTCMD driver.killpower"); got != netproto.Handled {
					t.Errorf("driver.killpower = %d; want %d", got, netproto.Handled)
				}
				<-r.result
			} else {
				c := driver.NewConfig("bench", "here")
				c.ShutdownCommands = commands
				if err := driver.NewSession(b.driver(), c, driver.Hooks{}, slog.New(slog.DiscardHandler)).Kill(t.Context()); err != nil {
					t.Errorf("Kill = %v; want nil", err)
				}
			}
			if got := strings.Join(b.done, " "); got != "load.off" {
				t.Errorf("running %v: the device was told %q; want load.off", running, got)
			}
		})
	}
}

func TestKillOpensTheDeviceItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		s := driver.NewSession(b.driver(), driver.NewConfig("bench", "here"), driver.Hooks{}, slog.New(slog.DiscardHandler))
		if err := s.Kill(t.Context()); err != nil {
			t.Errorf("Kill = %v; want nil", err)
		}
		if _, closes, _ := b.count(); closes != 1 || strings.Join(b.done, " ") != "shutdown.default" {
			t.Errorf("closed %d times, told %q; want 1, shutdown.default", closes, b.done)
		}
		b.slow = time.Hour // it answers no question, but may take an order
		if err := s.Kill(t.Context()); err != nil || len(b.done) != 2 {
			t.Errorf("Kill of a device that cannot be polled = %v, told %q; want nil and shutdown.default again", err, b.done)
		}
		b.hang = true
		begin := time.Now()
		if err := s.Kill(t.Context()); err == nil {
			t.Error("Kill of a device that hangs = nil; want an error")
		}
		if d := time.Since(begin); d > 2*time.Minute {
			t.Errorf("Kill of a device that hangs took %v; want at most 2 min", d)
		}
		close(b.release)
	})
}

func TestSessionReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		next := driver.NewConfig("bench", "here")
		var failure error
		reload := func() (driver.Config, error) { return next, failure }
		r := start(t, b, nil, driver.Hooks{Reload: reload})
		next.PollInterval = 7 * time.Second
		next.Debug = 2
		next.Values.Set["colour"] = "red"
		next.AllowKillpower = true
		if got := r.do("INSTCMD driver.reload-or-error"); got != netproto.Handled {
			t.Errorf("reload of what may change = %d; want %d", got, netproto.Handled)
		}
		time.Sleep(3 * time.Second)
		r.want("driver.parameter.pollinterval", "7")
		r.want("driver.parameter.colour", "red")
		r.want("driver.debug", "2")
		r.want("driver.flag.allow_killpower", "1")
		r.wantStale(false)

		failure = errors.New("ups.conf: permission denied")
		if got := r.do("INSTCMD driver.reload-or-error"); got != netproto.Invalid {
			t.Errorf("reload of an unreadable file = %d; want %d", got, netproto.Invalid)
		}
		failure = nil
		next.Values.Set["speed"] = "2400"
		if got := r.do("INSTCMD driver.reload-or-error"); got != netproto.Invalid {
			t.Errorf("reload of what may not change = %d; want %d", got, netproto.Invalid)
		}
		delete(next.Values.Set, "speed")
		for what, change := range map[string]func(c *driver.Config){
			"record":    func(c *driver.Config) { c.Record = "/tape" },
			"statepath": func(c *driver.Config) { c.StatePath = "/elsewhere" },
			"port":      func(c *driver.Config) { c.Values.Port = "HERE" },
		} {
			before := next
			change(&next)
			if got := r.do("INSTCMD driver.reload-or-error"); got != netproto.Invalid {
				t.Errorf("reload of another %s = %d; want %d", what, got, netproto.Invalid)
			}
			next = before
		}
		next.Values.Set["speed"] = "2400"
		r.Reload(t.Context(), false) // only complains
		time.Sleep(time.Second)
		r.wantStale(false)
		r.Reload(t.Context(), true)
		if code := program.Code(<-r.result, t.Output()); code != 138 {
			t.Errorf("reload-or-exit: exit code = %d; want 138", code)
		}
	})
}

func TestSessionBeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		beats := 0
		r := start(t, b, func(c *driver.Config) { c.PollInterval = time.Minute },
			driver.Hooks{Beat: func() { beats++ }, BeatEvery: 5 * time.Second})
		time.Sleep(30 * time.Second)
		r.cancel()
		<-r.result
		if beats < 6 {
			t.Errorf("beats in 30 s = %d; want at least 6", beats)
		}
	})
}

func TestSessionHotplug(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		plugged := make(chan struct{})
		d := b.driver()
		d.Hotplug = func(context.Context, driver.Values, *slog.Logger) <-chan struct{} { return plugged }
		b.openErr = errors.New("no such device")
		s := driver.NewSession(d, driver.NewConfig("bench", "here"), driver.Hooks{}, slog.New(slog.DiscardHandler))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- s.Run(ctx) }()
		time.Sleep(time.Minute + 10*time.Millisecond)
		b.set(func() { b.openErr = nil })
		begin := time.Now()
		plugged <- struct{}{}
		<-s.Ready()
		if d := time.Since(begin); d != 0 {
			t.Errorf("opened %v after the hot-plug event; want at once", d)
		}
		cancel()
		<-done
	})
}

// A driver may also set ups.status and ups.alarm like any variable.
func TestSessionStatusAsVariable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		b.status = ""
		b.values["ups.status"] = "OL ALARM OL"
		b.values["ups.alarm"] = "Too hot!"
		r := start(t, b, nil, driver.Hooks{})
		c := r.dial()
		time.Sleep(2 * turn)
		r.want("ups.status", "ALARM OL")
		r.want("ups.alarm", "Too hot!")
		c.silent() // the composed status stands, nothing flips
		b.set(func() { b.values["ups.status"] = "OB" })
		time.Sleep(turn)
		r.want("ups.status", "OB")
	})
}

// turn is a little more than the time between two polls.
const turn = driver.DefaultPollInterval + time.Millisecond
