package driver_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"gonut/internal/driver"
	"gonut/internal/drvsock"
	"gonut/internal/program"
	"gonut/internal/ups"
)

// A desk is where a driver's program is run: folders of its own and an environment.
type desk struct {
	t    *testing.T
	conf string
	env  map[string]string
	d    driver.Driver
}

const deskConf = `
pollinterval = 1
[ups]
	driver = bench
	port = here
	speed = 9600
	password = hush
[other]
	driver = usbhid-ups
	port = auto
[noport]
	driver = bench
[empty]
	driver = bench
	port = ""
`

func newDesk(t *testing.T, b *bench) *desk {
	t.Helper()
	// Not t.TempDir: the paths of sockets have to be short.
	dir, err := os.MkdirTemp("", "nut")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	k := &desk{t: t, conf: filepath.Join(dir, "ups.conf"), d: b.driver(), env: map[string]string{
		"NUT_CONFPATH": dir, "NUT_STATEPATH": dir, "NUT_ALTPIDPATH": dir, "NUT_PIDPATH": dir,
		"NUT_DEBUG_SYSLOG": "none",
	}}
	k.d.Description = "Bench driver"
	k.d.Options[0].Help = `the "speed"`
	k.write(deskConf)
	return k
}

func (k *desk) write(text string) {
	k.t.Helper()
	if err := os.WriteFile(k.conf, []byte(text), 0o600); err != nil {
		k.t.Fatal(err)
	}
}

func (k *desk) path(name string) string { return filepath.Join(filepath.Dir(k.conf), name) }

// A run is a program that runs or has run.
type run struct {
	mu     sync.Mutex
	out    bytes.Buffer // both streams
	code   int
	cancel context.CancelFunc
	done   chan struct{}
}

func (r *run) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.out.Write(p)
}

func (r *run) text() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.out.String()
}

// start starts the program in the foreground; wait tells how it ended.
func (k *desk) start(args ...string) *run {
	k.t.Helper()
	ctx, cancel := context.WithCancel(k.t.Context())
	r := &run{cancel: cancel, done: make(chan struct{})}
	if os.Geteuid() == 0 {
		args = append([]string{"-u", "root"}, args...)
	}
	env := program.Env{
		Args: append([]string{"bench"}, args...), Stdin: strings.NewReader(""), Stdout: r, Stderr: r,
		Getenv: func(name string) string { return k.env[name] },
		Listen: new(net.ListenConfig).Listen, Dial: new(net.Dialer).DialContext,
	}
	go func() {
		defer close(r.done)
		r.code = program.Code(driver.Program(k.d).Run(ctx, env), r)
	}()
	k.t.Cleanup(func() { cancel(); <-r.done })
	return r
}

// wait returns how the program ended; after a minute it is made to end.
func (r *run) wait() (code int, text string) {
	limit := time.AfterFunc(time.Minute, r.cancel)
	defer limit.Stop()
	<-r.done
	return r.code, r.text()
}

// serving waits until the program's socket is there.
func (k *desk) serving(r *run) {
	k.t.Helper()
	for range 1000 {
		if c, err := net.Dial("unix", k.path("bench-ups")); err == nil {
			c.Close()
			return
		}
		select {
		case <-r.done:
			k.t.Fatalf("the driver ended with code %d: %s", r.code, r.text())
		case <-time.After(20 * time.Millisecond):
		}
	}
	k.t.Fatal("the driver's socket does not appear")
}

// Each row is one way to call a driver that does not serve: its exit code, and
// what it says.
func TestCommandLine(t *testing.T) {
	k := newDesk(t, newBench())
	const banner = "Network UPS Tools "
	tests := []struct {
		args string
		code int
		want []string
	}{
		{"-V", 0, []string{banner, " - Bench driver 0.01\n"}},
		{"-h", 0, []string{banner, "usage: bench (-a NAME | -s NAME)", "-x NAME[=VAL]", "Options of bench", "speed=VALUE", "loud ", "colour[=VALUE]"}},
		{"-a ups -h -Z", 1, []string{"usage: bench"}},
		{"-L", 0, []string{banner, "VALUE speed \"the 'speed'\"\nUNKNOWN password \"\"\nFLAG loud \"\"\nVALUE colour \"\"\n"}},
		{"-Z", 1, []string{"usage: bench"}},
		{"-a", 1, []string{"usage: bench"}},
		{"", 1, []string{"-a NAME", "-s NAME"}},
		{"-a ups extra", 1, []string{`"extra" is not an option`}},
		{"-a ups -a ups", 1, []string{"one of -a and -s, once"}},
		{"-a ups -s x", 1, []string{"one of -a and -s, once"}},
		{"-a nope", 1, []string{k.conf + ": there is no section [nope]"}},
		{"-a other", 1, []string{"the section is for driver usbhid-ups, this is bench"}},
		{"-a noport", 1, []string{"no port is configured for noport"}},
		{"-s x", 1, []string{"no port is configured for x"}},
		{"-s a/b -x port=y", 1, []string{"cannot be the name of a ups"}},
		{"-a ups -x foo=1", 1, []string{"foo is no option of driver bench"}},
		{"-a ups -x speed", 1, []string{"option speed of driver bench wants a value"}},
		{"-a ups -x =1", 1, []string{"write -x name=value"}},
		{"-a ups -i 0", 1, []string{"pollinterval = 0"}},
		{"-a ups -i soon", 1, []string{"pollinterval = soon"}},
		{"-a ups -d x", 1, []string{"-d x: this is no number of polls"}},
		{"-a ups -d -1", 1, []string{"-d -1: this is no number of polls"}},
		{"-a ups -P x -c exit", 1, []string{"-P x"}},
		{"-a ups -c bogus", 1, []string{`-c "bogus": no such command`, "usage: bench"}},
		{"-a ups -c ", 1, []string{`-c "": no such command`}},
		{"-a ups -c exit -c exit", 1, []string{"give -c once"}},
		{"-a ups -qqqqqqqq", 1, []string{"-q was given 8 times"}},
		{"-a empty -d 1", 0, []string{"driver.parameter.port: \n", "ups.status: OL\n"}},
		{"-s x -x port= -d 1", 0, []string{"driver.parameter.port: \n"}},
		// Nobody runs whom these could be told to.
		{"-a ups -c exit", 255, []string{"tell ups"}},
		{"-a ups -c reload", 255, []string{"tell ups"}},
		{"-a ups -c reload-or-exit", 1, []string{"tell ups to reload"}},
		{"-s any -c exit", 255, []string{"tell any"}},
		// Dump mode.
		{"-a ups -d 1", 0, []string{"ups.status: OL\n", "driver.parameter.speed: 9600\n", "driver.parameter.pollinterval: 1\n"}},
		{"-x speed=1 -a ups -d 1", 0, []string{"driver.parameter.speed: 9600\n"}},
		{"-a ups -x speed=1 -x loud -i 3 -d 1", 0, []string{"driver.parameter.speed: 1\n", "driver.flag.loud: enabled\n", "driver.parameter.pollinterval: 3\n"}},
		{"-s my -x port=y -x default.ups.id=z -d 1", 0, []string{"driver.parameter.port: y\n", "ups.id: z\n"}},
		{"-a ups -x reconnect_max_tries=x -d 1", 0, []string{"reconnect_max_tries = x: this is no whole number", "ups.status: OL\n"}},
		{"-a ups -x sddelay=3 -d 1", 0, []string{"sddelay means nothing any more"}},
		{"-a ups -DDD -d 1", 0, []string{"driver.debug: 3\n"}},
	}
	runs := make([]*run, len(tests)) // all at a time, for dumps take a second
	for i, tt := range tests {
		args := strings.Fields(tt.args)
		if strings.HasSuffix(tt.args, " ") {
			args = append(args, "")
		}
		runs[i] = k.start(args...)
	}
	for i, tt := range tests {
		code, text := runs[i].wait()
		if code != tt.code {
			t.Errorf("bench %s: exit code %d; want %d\n%s", tt.args, code, tt.code, text)
		}
		for _, want := range tt.want {
			if !strings.Contains(text, want) {
				t.Errorf("bench %s printed\n%s\nwant %q in it", tt.args, text, want)
			}
		}
		if strings.Contains(text, "hush") {
			t.Errorf("bench %s tells a secret:\n%s", tt.args, text)
		}
	}
	k.env["NUT_QUIET_INIT_BANNER"] = "true"
	if _, text := k.start("-L").wait(); strings.Contains(text, banner) {
		t.Errorf("with NUT_QUIET_INIT_BANNER bench -L printed %q", text)
	}
	k.env["NUT_DEBUG_LEVEL"] = "2"
	if _, text := k.start("-a", "ups", "-d", "1").wait(); !strings.Contains(text, "driver.debug: 2\n") {
		t.Errorf("with NUT_DEBUG_LEVEL=2 bench -d 1 printed\n%s", text)
	}
}

// What is wrong with the lines of one's own section is said, and nothing of others.
func TestProblemsOfOtherSectionsAreTheirs(t *testing.T) {
	k := newDesk(t, newBench())
	k.write("pollinterval = 1\nreconnect_report_freq = x\n[more]\nsdorder =\n[ups]\ndriver = bench\nport = here\nloud yes\nignorelb = no\ndefault.battery.charge.low = 1\n[other]\nmaxretry = y\n")
	code, text := k.start("-a", "ups", "-d", "1").wait()
	for _, want := range []string{"ups.conf:2: reconnect_report_freq wants a number", "ups.conf:8: loud: write loud = value", "ups.conf:9: ignorelb is a flag and is on whatever"} {
		if !strings.Contains(text, want) {
			t.Errorf("bench printed\n%s\nwant %q in it", text, want)
		}
	}
	if code != 0 || strings.Contains(text, "maxretry") || strings.Contains(text, "sdorder") {
		t.Errorf("exit code %d and\n%s\nwant 0 and nothing about sdorder and maxretry", code, text)
	}
}

// Dump mode ends even if the device does not answer any more.
func TestDumpIsBounded(t *testing.T) {
	b := newBench()
	b.failAfter = 1
	k := newDesk(t, b)
	k.d.CallLimit = 100 * time.Millisecond
	code, text := k.start("-a", "ups", "-d", "1").wait()
	if code != 1 || !strings.Contains(text, "ended after 1 polls of 2") || !strings.Contains(text, "ups.status: OL\n") {
		t.Errorf("bench -d 1 of a device that fails = %d\n%s\nwant 1 and what is known", code, text)
	}
}

// A running driver is told by a second one to reload and to end; the exit code is
// the result.
func TestCommandsForARunningDriver(t *testing.T) {
	k := newDesk(t, newBench())
	r := k.start("-F", "-a", "ups")
	k.serving(r)
	tell := func(command string, want int) {
		t.Helper()
		if code, text := k.start("-a", "ups", "-c", command).wait(); code != want {
			t.Errorf("bench -c %s = %d, %s; want %d", command, code, text, want)
		}
	}
	tell("reload-or-error", 0)
	k.write(deskConf + "[x]\n")
	tell("re", 0)
	k.write(strings.Replace(deskConf, "9600", "1200", 1))
	tell("reload", 2)
	k.write("nonsense\n")
	tell("reload", 1) // the one that tells finds no section either
	k.write(deskConf)
	tell("exit", 0)
	if code, text := r.wait(); code != 0 {
		t.Errorf("the driver that was told to exit ended with code %d: %s", code, text)
	}
	if _, err := os.Stat(k.path("bench-ups")); !os.IsNotExist(err) {
		t.Errorf("the socket after the end: %v; want none", err)
	}
}

// What the command line said counts after a reload too, and -D and debug_min do.
func TestReloadKeepsTheCommandLine(t *testing.T) {
	k := newDesk(t, newBench())
	r := k.start("-F", "-D", "-i", "8", "-a", "ups", "-x", "colour=red")
	k.serving(r)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	link, err := drvsock.Connect(ctx, drvsock.DialPath(k.path("bench-ups")))
	if err != nil {
		t.Fatal(err)
	}
	defer link.Close()
	values := func() map[string]string {
		cs, err := link.Dump(ctx)
		if err != nil {
			t.Fatal(err)
		}
		vs := make(map[string]string)
		for _, c := range cs {
			if c.Op == ups.SetInfo {
				vs[c.Name] = c.Args[0]
			}
		}
		return vs
	}
	check := func(when string, want map[string]string) {
		t.Helper()
		vs := values()
		for name, v := range want {
			if vs[name] != v {
				t.Errorf("%s: %s = %q; want %q", when, name, vs[name], v)
			}
		}
	}
	// In ups.conf the poll interval is 1; it stands after -i 8 and beats it.
	check("at first", map[string]string{"driver.parameter.pollinterval": "1", "driver.parameter.colour": "red", "driver.debug": "1"})
	k.write(strings.Replace(deskConf, "pollinterval = 1", "debug_min = 3", 1) + "")
	if n, err := link.Do(ctx, drvsock.Request{Name: "driver.reload-or-error"}); err != nil || n != 0 {
		t.Fatalf("reload = %d, %v", n, err)
	}
	check("after a reload", map[string]string{"driver.parameter.pollinterval": "8", "driver.parameter.colour": "red", "driver.debug": "3"})
	if n, err := link.Do(ctx, drvsock.Request{Set: true, Name: "driver.debug", Value: "0", HasValue: true}); err != nil || n != 0 {
		t.Fatalf("SET driver.debug = %d, %v", n, err)
	}
	check("after SET driver.debug", map[string]string{"driver.debug": "0"})
	if n, err := link.Do(ctx, drvsock.Request{Set: true, Name: "driver.debug", Value: "-1", HasValue: true}); err != nil || n != 0 {
		t.Fatalf("SET driver.debug = %d, %v", n, err)
	}
	check("after SET driver.debug -1", map[string]string{"driver.debug": "3"})
}

// -k lets the running driver cut the power, which ends it; without one it opens the
// device itself.
func TestKillpower(t *testing.T) {
	b := newBench()
	k := newDesk(t, b)
	r := k.start("-F", "-a", "ups")
	k.serving(r)
	if code, text := k.start("-a", "ups", "-k").wait(); code != 0 {
		t.Errorf("bench -k beside a running driver = %d, %s; want 0", code, text)
	}
	if code, text := r.wait(); code != 0 {
		t.Errorf("the driver that cut the power ended with code %d, %s; want 0", code, text)
	}
	if opens, closes, _ := b.count(); opens != 1 || closes != 1 {
		t.Errorf("opened %d times, closed %d times; want the running driver to have done it all", opens, closes)
	}
	if code, text := k.start("-a", "ups", "-k").wait(); code != 0 {
		t.Errorf("bench -k = %d, %s; want 0", code, text)
	}
	if got := strings.Join(b.told(), " "); got != "shutdown.default shutdown.default" {
		t.Errorf("the device was told %q; want shutdown.default twice", got)
	}
	b.set(func() { b.refuse["shutdown.default"] = driver.ErrUnknown })
	if code, text := k.start("-a", "ups", "-k").wait(); code != 1 || !strings.Contains(text, "the power of ups was not cut") {
		t.Errorf("bench -k of a device that cannot = %d, %s; want 1", code, text)
	}
}

// A second driver of the same name replaces the first one.
func TestSecondDriverReplacesTheFirst(t *testing.T) {
	k := newDesk(t, newBench())
	first := k.start("-F", "-a", "ups")
	k.serving(first)
	second := k.start("-F", "-a", "ups")
	if code, text := first.wait(); code != 0 {
		t.Errorf("the first driver ended with code %d, %s; want 0", code, text)
	}
	k.serving(second)
	if !strings.Contains(second.text(), "another driver served this ups; it was asked to end") {
		t.Errorf("the second driver says %q", second.text())
	}
}

// Of two drivers that are started at the same time, the one that is ready later
// replaces the other too.
func TestDriversStartedAtOnceReplaceEachOther(t *testing.T) {
	slow := newBench()
	slow.hang = true
	k := newDesk(t, slow)
	late := k.start("-F", "-a", "ups")
	for opens := 0; opens == 0; opens, _, _ = slow.count() {
		time.Sleep(10 * time.Millisecond)
	}
	k.d = newBench().driver()
	early := k.start("-F", "-a", "ups")
	k.serving(early)
	close(slow.release)
	if code, text := early.wait(); code != 0 || !strings.Contains(text, "ending because a client asked for it") {
		t.Errorf("the driver that was ready first ended with code %d, %s; want 0, asked to end", code, text)
	}
	k.serving(late)
}

// A driver that starts without its device does not hide that it never can: it is
// not served, and the start fails.
func TestPatientDriverSaysThatItsOptionsAreWrong(t *testing.T) {
	b := newBench()
	b.openErr = driver.Configf("speed = 9600: too slow")
	k := newDesk(t, b)
	k.d.Patient = func(driver.Values) bool { return true }
	code, text := k.start("-F", "-a", "ups").wait()
	if code != 1 || !strings.Contains(text, "speed = 9600: too slow") || strings.Contains(text, "listening on socket") {
		t.Errorf("exit code %d and\n%s\nwant 1, the reason and no socket", code, text)
	}
	b.set(func() { b.openErr = errors.New("switched off") })
	k.serving(k.start("-F", "-a", "ups"))
}

// What a driver finds wrong with its options ends it before it is started, is no
// reason to end a running one, and never keeps the power from being cut.
func TestCheck(t *testing.T) {
	k := newDesk(t, newBench())
	k.d.Check = func(v driver.Values) error {
		if v.Get("speed") == "0" {
			return v.Wrong("speed", "it never ends")
		}
		return nil
	}
	r := k.start("-F", "-a", "ups")
	k.serving(r)
	k.write(strings.Replace(deskConf, "9600", "0", 1))
	wrong := k.conf + ":6: speed = 0: it never ends"
	for _, tt := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"-F", "-a", "ups"}, 1, wrong},
		{[]string{"-a", "ups", "-d", "1"}, 1, wrong},
		{[]string{"-a", "ups", "-x", "port=replay:none", "-d", "1"}, 1, "replay:none"}, // has options of its own
		{[]string{"-a", "ups", "-x", "speed=1", "-d", "1"}, 0, "ups.status: OL"},
		{[]string{"-a", "ups", "-c", "reload"}, 2, ""},
		{[]string{"-a", "ups", "-k"}, 0, ""},
	} {
		if code, text := k.start(tt.args...).wait(); code != tt.code || !strings.Contains(text, tt.want) {
			t.Errorf("bench %q = %d\n%s\nwant %d and %q", tt.args, code, text, tt.code, tt.want)
		}
	}
	if code, text := r.wait(); code != 0 || !strings.Contains(text, wrong) {
		t.Errorf("the running driver ended with %d: %s\nwant 0 after it cut the power, and %q", code, text, wrong)
	}
}
