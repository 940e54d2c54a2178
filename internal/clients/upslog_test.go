package clients

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gonut/internal/daemon"
	"gonut/internal/program"
)

func TestLogFormat(t *testing.T) {
	facts := &logFacts{
		now:  time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC),
		host: "here", system: "ups@there", pid: 42,
		get: func(name string) (string, bool) {
			return "value of " + name, name == "ups.mfr"
		},
	}
	for format, want := range map[string]string{
		"":                        "",
		"text":                    "text",
		"%%":                      "%",
		"%%%%|%%t":                "%%|%t",
		"a%tb":                    "a\tb",
		"%HOST%|%host%|%HOSTX%":   "here|here|here",
		"%UPSHOST%|%UpsHostName%": "ups@there|ups@there",
		"%PID%":                   "42",
		"%ETIME%|%etime%":         "1772600767|1772600767",
		"%TIME @Y-@m-@d @H:@M@@%": "2026-03-04 05:06%",
		"%TIME  @Y  @m%":          " 2026  03",
		"%TIMEX @Y%":              "2026",
		"%TIME%":                  "",
		"%time @Y%":               "\time @YINVALID",
		"%VAR ups.mfr%":           "value of ups.mfr",
		"%VARX ups.mfr%":          "value of ups.mfr",
		"%VAR no.such%":           "NA",
		"%VAR  ups.mfr%":          "NA",
		"%VAR ups.mfr extra%":     "NA",
		"%VAR nodot%":             "INVALID",
		"%VAR%":                   "INVALID",
		"a %foo% b":               "a INVALID b",
		"a %foo b":                "a INVALIDfoo b",
		"x%":                      "xINVALID",
		"%%%HOST%%":               "%hereINVALID",
		"% HOST%":                 "INVALID",
		"%H%":                     "INVALID",
		strings.Repeat("x", 2000): strings.Repeat("x", 1022),
	} {
		if got := parseLogFormat(format).line(facts); got != want {
			t.Errorf("format %.40q = %.80q; want %.80q", format, got, want)
		}
	}
}

func FuzzLogFormat(f *testing.F) {
	for _, s := range []string{"", "%", "%%", "%TIME @Y%", "%VAR a.b%", "%t%foo", defaultLogFormat} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, format string) {
		facts := &logFacts{now: time.Unix(0, 0), get: func(string) (string, bool) { return "v", true }}
		if got := parseLogFormat(format).line(facts); len(got) > maxLogLine {
			t.Errorf("line of format %q has %d bytes; want at most %d", format, len(got), maxLogLine)
		}
	})
}

// TestStrftime compares every conversion with the system's date(1), over days on
// which weeks and years begin.
func TestStrftime(t *testing.T) {
	if got := strftime(time.Unix(0, 0).UTC(), "%Q|%|%%|%EY|%Od|100%"); got != "%Q|%|%|1970|01|100%" {
		t.Errorf("strftime of what is not known = %q; want it as it is", got)
	}
	date, err := exec.LookPath("date")
	if err != nil || exec.Command(date, "-d", "@0", "+%s").Run() != nil {
		t.Skip("no date(1) that reads -d @SECONDS")
	}
	const format = "%a %A %b %B %c %C %d %D %e %F %g %G %h %H %I %j %k %l %m %M %n %p %P %r %R %s %S %t %T %u %U %V %w %W %x %X %y %Y %z %Z %%"
	for year := 2018; year < 2030; year++ {
		for _, day := range []time.Time{
			time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(year, 1, 4, 12, 30, 1, 0, time.UTC),
			time.Date(year, 12, 31, 13, 59, 59, 0, time.UTC), time.Date(year, 6, 15, 1, 2, 3, 0, time.UTC),
		} {
			cmd := exec.Command(date, "-d", day.Format("@" + "2006-01-02T15:04:05Z")[1:], "+"+format)
			cmd.Env = []string{"LC_ALL=C", "TZ=UTC"}
			out, err := cmd.Output()
			if err != nil {
				t.Fatal(err)
			}
			want := strings.TrimSuffix(string(out), "\n")
			if got := strftime(day, format); got != want {
				t.Errorf("strftime(%v) = %q; want %q", day, got, want)
			}
		}
	}
}

// What glibc writes for flags, widths and the letters E and O, which strftime(3)
// promises to those who write a format.
func TestStrftimeWithFlags(t *testing.T) {
	at := time.Unix(1330936025, 0).UTC()
	for format, want := range map[string]string{
		"%-d.%-m.%Y %-H:%M":            "5.3.2012 8:27",
		"%_d %_H %_j":                  " 5  8  65",
		"%0e %0k %-l":                  "05 08 8",
		"%10Y %3d %_5m %-5d %05e":      "0000002012 005     3     5 00005",
		"%^a %^B %#b %#p %#Z %^h":      "MON MARCH MAR am utc MAR",
		"%10a|%010a|%-10a|%^10P":       "       Mon|0000000Mon|       Mon|        am",
		"%12F|%020c|%_9R":              "  2012-03-05|Mon Mar  5 08:27:05 2012|    08:27",
		"%6z|%_6z|%5t|%3%":             "     +000000|     +     0|    \t|  %",
		"%12s|%012s|%-s":               "  1330936025|001330936025|1330936025",
		"%_^10B|%^_10B":                "     MARCH|     MARCH",
		"%5":                           "   %5",
		"%-":                           "%-",
		"%^E":                          "%^E",
		"%Ed %OY %Oe %Ey":              "%Ed %OY  5 12",
		"%+d %:z":                      "%+d %:z",
		"%99999999999999999999999999d": strings.Repeat("0", maxTimeWidth-1) + "5",
	} {
		if got := strftime(at, format); got != want {
			t.Errorf("strftime(%q) = %q; want %q", format, got, want)
		}
	}
}

func TestUPSLogCommandLine(t *testing.T) {
	file := filepath.Join(t.TempDir(), "log")
	for _, tt := range []struct {
		args []string
		want string // of standard error
		code int
	}{
		{nil, "No UPS defined for monitoring - use -s <system>\n", 1},
		{[]string{"-l", file}, "No UPS defined for monitoring - use -s <system>\n", 1},
		{[]string{"-s", "ups"}, "No filename defined for logging - use -l <file>\n", 1},
		{[]string{"-m", "ups"}, "-m ups: write -m UPS,FILE with one comma\n", 1},
		{[]string{"-m", "ups,a,b"}, "-m ups,a,b: write -m UPS,FILE with one comma\n", 1},
		{[]string{"-i", "0", "-s", "ups", "-l", "-"}, "-i \"0\": the interval must be at least 1 second\n", 1},
		{[]string{"a", "b"}, "", 0},
		{[]string{"a", "b", "soon"}, "interval \"soon\": the interval must be at least 1 second\n", 1},
	} {
		got := runProgram(t, UPSLog(), &fakeServer{}, nil, "", tt.args...)
		if got.stderr != tt.want || got.code != tt.code {
			t.Errorf("upslog %q = %+v; want %q and exit code %d", tt.args, got, tt.want, tt.code)
		}
	}
}

// newLog returns a upslog as its command line makes it, with an environment of a
// test.
func newLog(t *testing.T, f *fakeServer, args ...string) (u *upslog, stdout, stderr *bytes.Buffer) {
	t.Helper()
	stdout, stderr = new(bytes.Buffer), new(bytes.Buffer)
	u = &upslog{call: newCall(program.Env{
		Args: append([]string{"upslog"}, args...), Stdout: stdout, Stderr: stderr, Dial: f.dial,
		Getenv: func(string) string { return "" },
	}, "upslog", ""), interval: 30 * time.Second}
	operands, done, err := u.options("s:l:m:i:d:f:NFBp:u:", u.option)
	if err == nil && !done {
		err = u.choose(operands)
	}
	if err == nil {
		err = u.open(t.Context())
	}
	if err != nil {
		t.Fatalf("upslog %q: %v", args, err)
	}
	t.Cleanup(u.close)
	return u, stdout, stderr
}

func TestUPSLogRounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		f := &fakeServer{answers: defaultAnswers()}
		a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
		u, stdout, stderr := newLog(t, f, "-i", "10", "-d", "3", "-N", "-f", "%VAR a.b%|%ETIME%",
			"-m", "ups@one,"+a, "-m", "*@two,"+b, "-s", "ups@refused", "-l", a)
		start := time.Now()
		if err := u.loop(t.Context(), &daemon.Signals{}); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(start); d != 20*time.Second {
			t.Errorf("three rounds took %v; want 20s", d)
		}
		want := "logging status of ups@one to " + a + " (10s intervals)\nlogging status of two@two to " + b +
			" (10s intervals)\nlogging status of ups@two to " + b + " (10s intervals)\nlogging status of ups@refused to " + a + " (10s intervals)\n"
		if stdout.String() != want {
			t.Errorf("upslog printed %q; want %q", stdout, want)
		}
		if want := "Warning: initial connect failed: Connection failure: Connection refused\n"; stderr.String() != want {
			t.Errorf("upslog complained %q; want %q", stderr, want)
		}
		got := logLines(t, a)
		if len(got) != 6 || !strings.HasPrefix(got[0], "ups@one\tvalue|") || !strings.HasPrefix(got[1], "ups@refused\tNA|") {
			t.Errorf("%s has %q; want three lines of each ups", a, got)
		}
		got = logLines(t, b)
		if len(got) != 6 || !strings.HasPrefix(got[0], "two@two\tNA|") || !strings.HasPrefix(got[1], "ups@two\tvalue|") {
			t.Errorf("%s has %q; want the last ups first", b, got)
		}
	})
}

func logLines(t *testing.T, path string) []string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
}

// A server that hangs delays a round by its time-out once, and the next one is an
// interval later.
func TestUPSLogSilentServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeServer{answers: defaultAnswers()}
		f.answers["GET VAR ups x.y"] = "(silence)"
		u, stdout, _ := newLog(t, f, "-i", "1", "-d", "2", "-f", "%VAR x.y% %VAR a.b%", "-s", "ups", "-l", "-")
		start := time.Now()
		if err := u.loop(t.Context(), &daemon.Signals{}); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(start); d != 11*time.Second {
			t.Errorf("two rounds took %v; want 5s + 1s + 5s", d)
		}
		if !strings.HasSuffix(stdout.String(), "\nNA NA\nNA NA\n") {
			t.Errorf("upslog printed %q; want two lines of NA", stdout)
		}
	})
}

// One that hangs does not keep others from their line, nor do several add up.
func TestUPSLogAsksAllAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeServer{answers: defaultAnswers()}
		f.answers["GET VAR slow a.b"] = "(silence)"
		u, stdout, _ := newLog(t, f, "-d", "1", "-f", "%VAR a.b%", "-m", "slow,-", "-m", "slow@b,-", "-m", "ups,-")
		start := time.Now()
		if err := u.loop(t.Context(), &daemon.Signals{}); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(start); d != 5*time.Second || !strings.HasSuffix(stdout.String(), "\nNA\nNA\nvalue\n") {
			t.Errorf("a round took %v and printed %q; want 5s and the value of the third", d, stdout)
		}
	})
}

func TestUPSLogSignals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeServer{answers: defaultAnswers()}
		path := filepath.Join(t.TempDir(), "log")
		u, _, _ := newLog(t, f, "-i", "100", "-f", "%VAR a.b%", "-s", "ups", "-l", path)
		ctx, cancel := context.WithCancel(t.Context())
		reload, user1 := make(chan os.Signal, 1), make(chan os.Signal, 1)
		done := make(chan error)
		go func() { done <- u.loop(ctx, &daemon.Signals{Reload: reload, User1: user1}) }()
		count := func(p string, want int) {
			t.Helper()
			synctest.Wait()
			if got := logLines(t, p); len(got) != want {
				t.Errorf("%s has %d lines at %v; want %d", p, len(got), time.Now(), want)
			}
		}
		time.Sleep(50 * time.Second)
		count(path, 1)
		user1 <- os.Interrupt
		count(path, 2)
		if err := os.Rename(path, path+".old"); err != nil {
			t.Fatal(err)
		}
		reload <- os.Interrupt
		time.Sleep(50*time.Second + time.Millisecond)
		count(path, 1) // at 100 s, as if nobody had asked in between
		count(path+".old", 2)
		cancel()
		if err := <-done; err != nil {
			t.Errorf("loop = %v; want nil", err)
		}
		if n := len(f.dialed); n != 3 {
			t.Errorf("upslog dialed %d times; want 3, anew for each of these rare rounds", n)
		}
	})
}

func TestUPSLogBackground(t *testing.T) {
	for _, tt := range []struct {
		args []string
		want bool
	}{
		{[]string{"-s", "a", "-l", "f"}, true},
		{[]string{"-s", "a", "-l", "-"}, false},
		{[]string{"-D", "-s", "a", "-l", "f"}, false},
		{[]string{"-D", "-B", "-s", "a", "-l", "-"}, true},
		{[]string{"-F", "-s", "a", "-l", "f"}, false},
		{[]string{"-m", "a,f", "-m", "b,-"}, false},
		{[]string{"a", "f", "3", "%VAR", "x.y%"}, true},
		{[]string{"-s", "a", "-l", "f", "-f", ""}, true},
	} {
		u := &upslog{call: newCall(program.Env{Args: append([]string{"upslog"}, tt.args...), Getenv: func(string) string { return "" }}, "upslog", "")}
		operands, _, err := u.options("s:l:m:i:d:f:NFBp:u:", u.option)
		if err == nil {
			err = u.choose(operands)
		}
		if got := u.background(); got != tt.want || err != nil {
			t.Errorf("upslog %q in the background = %v, %v; want %v", tt.args, got, err, tt.want)
		}
		if slices.Contains(tt.args, "%VAR") && u.format != "%VAR x.y% " {
			t.Errorf("format of operands = %q; want the words, each followed by a blank", u.format)
		}
		if slices.Contains(tt.args, "-f") && u.format != defaultLogFormat {
			t.Errorf("empty format = %q; want the default", u.format)
		}
	}
}

func TestUPSLogUnknownUser(t *testing.T) {
	u := &upslog{user: "no-such-user-here"}
	if _, err := u.account(); err == nil {
		t.Error("account of an unknown user = nil; want an error")
	}
}
