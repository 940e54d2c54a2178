//go:build unix

package upsdrvctl

import (
	"slices"
	"strings"
	"testing"
	"time"

	"gonut/internal/conf"
)

func TestParseOptions(t *testing.T) {
	for args, want := range map[string]string{
		"":                     "help",
		"-h":                   "help",
		"-V":                   "version",
		"-x":                   "help error",
		"start":                "start",
		"start a":              "start a",
		"-l":                   "list",
		"-l a":                 "list a",
		"-c exit":              "-c",
		"-c exit a":            "-c a",
		"-c e -c e":            "error",
		"-c frob":              "error",
		"-c":                   "help error",
		"frob":                 "error",
		"-D":                   "error",
		"start a b":            "error",
		"stop":                 "stop",
		"shutdown b":           "shutdown b",
		"-t shutdown":          "shutdown",
		"status":               "status",
		"list":                 "list",
		"-l -c exit":           "error",
		"-r /x -u joe start a": "start a",
	} {
		o, err := parseOptions(strings.Fields(args))
		var got []string
		if o.help {
			got = append(got, "help")
		}
		if o.version {
			got = append(got, "version")
		}
		if err != nil {
			got = append(got, "error")
		}
		if len(got) == 0 {
			got = append(got, strings.TrimSpace(o.verb+" "+o.ups))
		}
		if s := strings.Join(got, " "); s != want {
			t.Errorf("parseOptions(%q) = %s (%v); want %s", args, s, err, want)
		}
	}
}

func TestDriverArgs(t *testing.T) {
	for _, c := range []struct {
		args string
		kill bool
		want string
	}{
		{"start", false, "-a u"},
		{"-DD start", false, "-a u"},
		{"-DDd start", false, "-DD -a u"},
		{"-d start", false, "-a u"},
		{"-F start", false, "-F -a u"},
		{"-F -F start", false, "-FF -a u"},
		{"-FFF start", false, "-FF -a u"},
		{"-FB start", false, "-B -a u"},
		{"-DdB start", false, "-D -B -a u"},
		{"-r /x -u joe start", false, "-a u -r /x -u joe"},
		{"-DdF -r /x -u joe shutdown", true, "-a u -k -r /x -u joe"},
	} {
		o, err := parseOptions(strings.Fields(c.args))
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(o.driverArgs(unit{ups: "u"}, c.kill), " "); got != c.want {
			t.Errorf("driverArgs of %q = %q; want %q", c.args, got, c.want)
		}
	}
}

// The first word in C's order that begins so counts, as in C.
func TestFindOrder(t *testing.T) {
	for word, want := range map[string]order{
		"reload-or-error": reloadOrError, "reload": reloadOrError, "r": reloadOrError, "reload-or-e": reloadOrError,
		"reload-or-ex": reloadOrExit, "reload-or-exit": reloadOrExit,
		"exit": exit, "e": exit, "dump": dump, "d": dump, "da": dump, "data-dump": dump,
	} {
		if got, err := findOrder(word); got != want || err != nil {
			t.Errorf("findOrder(%q) = %v, %v; want %v", word, got, err, want)
		}
	}
	for _, word := range []string{"", "stop", "exits", "Reload"} {
		if got, err := findOrder(word); err == nil {
			t.Errorf("findOrder(%q) = %v; want an error", word, got)
		}
	}
}

func parse(t *testing.T, text string) []unit {
	t.Helper()
	f, _, err := conf.ParseUPSConf("ups.conf", strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return units(f, conf.Paths{State: "/run/nut", AltPID: "/run/pid"})
}

func TestUnits(t *testing.T) {
	us := parse(t, `
maxstartdelay = 20
retrydelay = 3
statepath = /var/state
[a]
sdorder = 2
driver = d
port = /dev/ttyS0
[b]
maxretry = -3
driver = d
port = auto
maxstartdelay = 7
maxstartdelay = 8
nonsense
[c]
maxretry = 0
driver = d
port = c
`)
	if len(us) != 3 {
		t.Fatalf("units = %+v; want three", us)
	}
	// In C the first line of a section is lost unless it is driver or port.
	if got := us[0].order; got != 2 {
		t.Errorf("sdorder as first line = %d; want 2", got)
	}
	a, b := us[0], us[1]
	if a.startDelay != 20*time.Second || a.tries != 1 || a.retryDelay != 3*time.Second || a.nowait {
		t.Errorf("a = %+v; want what stands before the first section and the defaults", a)
	}
	if want := []string{"/run/pid/d-a.pid", "/run/pid/d-ttyS0.pid"}; a.socket != "/var/state/d-a" || !slices.Equal(a.pidFiles, want) {
		t.Errorf("a: socket %s, PID files %q; want /var/state/d-a, %q", a.socket, a.pidFiles, want)
	}
	if b.startDelay != 8*time.Second || b.tries != 1 {
		t.Errorf("b = %+v; want the last maxstartdelay, 8 s, and one try for a negative maxretry", b)
	}
	if us[2].tries != 0 || len(us[2].pidFiles) != 1 {
		t.Errorf("c = %+v; want no tries and one PID file", us[2])
	}
}

// C's upsdrvctl loses every pass but the first.
func TestPassesAscend(t *testing.T) {
	us := []unit{{ups: "a", order: 1}, {ups: "b"}, {ups: "never", order: -1}, {ups: "c", order: 1}, {ups: "d", order: 1 << 30}, {ups: "e"}}
	var got []string
	for _, u := range passes(us) {
		got = append(got, u.ups)
	}
	if want := []string{"b", "e", "a", "c", "d"}; !slices.Equal(got, want) {
		t.Errorf("passes = %q; want %q", got, want)
	}
	if got := passes([]unit{{order: -1}}); got != nil {
		t.Errorf("passes without a UPS to shut down = %v; want none", got)
	}
}

func TestRows(t *testing.T) {
	for _, c := range []struct {
		r    row
		want string
	}{
		{row{ups: "a", driver: "dummy-ups", pid: pidFileMissing}, "a          \t  dummy-ups\tN/A\t-3\tNOT_RESPONSIVE\tN/A\t\n"},
		{row{ups: "a-very-long-name", driver: "d", pid: pidFileUnreadable}, "a-very-long-name\t          d\tN/A\t-2\tNOT_RESPONSIVE\tN/A\t\n"},
		{row{ups: "a", driver: "d", pid: 12, verified: true, responsive: true, said: "12", status: "OL CHRG", known: true},
			"a          \t          d\tRUNNING\t12\tRESPONSIVE\t12\t\"OL CHRG\"\n"},
		{row{ups: "a", driver: "d", pid: 12, responsive: true, said: "13", saidOther: true}, "a          \t          d\tSTOPPED\t12\tRESPONSIVE\t13\t\n"},
		{row{ups: "a", driver: "d", pid: pidFileMissing, responsive: true, said: "13"}, "a          \t          d\tRUNNING\t-3\tRESPONSIVE\t13\t\n"},
	} {
		if got := c.r.String(); got != c.want {
			t.Errorf("%+v is shown as %q; want %q", c.r, got, c.want)
		}
	}
	if got, want := header(), "UPSNAME    \t     UPSDRV\tRUNNING\tPF_PID\tS_RESPONSIVE\tS_PID\tS_STATUS\n"; got != want {
		t.Errorf("header = %q; want %q", got, want)
	}
}

func TestNextDelayGrows(t *testing.T) {
	var d time.Duration
	var got []time.Duration
	for range 9 {
		d = nextDelay(d, time.Second)
		got = append(got, d)
	}
	want := []time.Duration{500 * time.Millisecond, time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 16 * time.Second,
		30 * time.Second, 30 * time.Second, 30 * time.Second}
	if !slices.Equal(got, want) {
		t.Errorf("delays = %v; want %v", got, want)
	}
	if d := nextDelay(d, settled); d != firstDelay {
		t.Errorf("delay after a driver had settled = %v; want %v", d, firstDelay)
	}
}

func TestKilledBy(t *testing.T) {
	for in, want := range map[string]string{
		"killed":                           "killed by SIGKILL, by somebody or for want of memory",
		"segmentation fault":               "it crashed: segmentation fault",
		"segmentation fault (core dumped)": "it crashed: segmentation fault, core dumped",
		"user defined signal 2":            "ended by signal: user defined signal 2",
	} {
		if got := killedBy(in); got != want {
			t.Errorf("killedBy(%q) = %q; want %q", in, got, want)
		}
	}
}

func TestLastLine(t *testing.T) {
	var out strings.Builder
	l := &lastLine{to: &out}
	for _, p := range []string{"one\ntw", "o\n\n", "part"} {
		l.Write([]byte(p))
	}
	if got := l.String(); got != "two" {
		t.Errorf("last line = %q; want two", got)
	}
	l.Write([]byte("\npanic: oh\n\ngoroutine 1 [running]:\nmain.go:1\n"))
	if got := l.String(); got != "panic: oh" {
		t.Errorf("last line of a crash = %q; want panic: oh", got)
	}
	l = &lastLine{to: &strings.Builder{}}
	l.Write([]byte("SIGSEGV: segmentation violation\nPC=0x48d2c1\ngs 0x0\n"))
	if got := l.String(); got != "SIGSEGV: segmentation violation" {
		t.Errorf("last line of a crash by signal = %q; want SIGSEGV: segmentation violation", got)
	}
	if want := "one\ntwo\n\npart\npanic: oh\n\ngoroutine 1 [running]:\nmain.go:1\n"; out.String() != want {
		t.Errorf("passed on %q; want %q", &out, want)
	}
}
