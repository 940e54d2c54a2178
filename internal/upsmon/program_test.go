package upsmon

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"gonut/internal/conf"
	"gonut/internal/program"
	"gonut/internal/upsmon/monitor"
)

// A site is a folder with configuration and state, and what a program wrote.
type site struct {
	dir            string
	env            map[string]string
	stdout, stderr bytes.Buffer
}

func newSite(t *testing.T, config string) *site {
	t.Helper()
	dir, err := os.MkdirTemp("", "um") // not t.TempDir: the paths of sockets have to be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	s := &site{dir: dir, env: map[string]string{
		"NUT_CONFPATH": dir, "NUT_STATEPATH": dir, "NUT_PIDPATH": dir, "NUT_ALTPIDPATH": dir, "NUT_DEBUG_SYSLOG": "none",
	}}
	if config != "" {
		s.write(t, "upsmon.conf", config)
	}
	return s
}

func (s *site) path(name string) string { return filepath.Join(s.dir, name) }

func (s *site) write(t *testing.T, name, text string) {
	t.Helper()
	text = strings.ReplaceAll(text, "@DIR@", s.dir)
	if err := os.WriteFile(s.path(name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// run runs upsmon and returns its exit code.
func (s *site) run(ctx context.Context, p program.Program, args ...string) int {
	s.stdout.Reset()
	s.stderr.Reset()
	err := p.Run(ctx, program.Env{
		Args: append([]string{p.Name}, args...), Stdin: strings.NewReader(""), Stdout: &s.stdout, Stderr: &s.stderr,
		Getenv: func(k string) string { return s.env[k] },
		Listen: (&net.ListenConfig{}).Listen,
		Dial:   (&net.Dialer{}).DialContext,
	})
	return program.Code(err, &s.stderr)
}

const oneMonitor = "MONITOR ups@127.0.0.1:1 1 u p primary\nSHUTDOWNCMD true\n"

func TestCommandLine(t *testing.T) {
	tests := []struct {
		name, config, args, files string
		code                      int
		want                      string // in what it wrote
	}{
		{"help", oneMonitor, "-h", "", 0, "usage: upsmon"},
		{"help names the flag", oneMonitor + "POWERDOWNFLAG /x/flag\n", "-h", "", 0, "The power-down flag is /x/flag."},
		{"help without configuration", "", "-h", "", 0, "No power-down flag"},
		{"unknown option", oneMonitor, "-Z", "", 0, "usage: upsmon"},
		{"an option of the option string only", oneMonitor, "-i", "", 0, "usage: upsmon"},
		{"version", oneMonitor, "-V", "", 0, "Network UPS Tools upsmon "},
		{"unknown command", oneMonitor, "-c start", "", 0, "usage: upsmon"},
		{"empty command", oneMonitor, "-c|", "", 0, "usage: upsmon"},
		{"bad PID", oneMonitor, "-c stop -P 12x", "", 0, "usage: upsmon"},
		{"nobody to command", oneMonitor, "-c fsd", "", 1, "-c fsd: "},
		{"nobody to command, broken configuration", "\"", "-c re", "", 1, "-c reload: "},
		{"nobody to ask", oneMonitor, "-c status", "", 1, "is it running?"},
		{"no configuration", "", "-F", "", 1, "upsmon.conf"},
		{"another configuration", oneMonitor, "-F -f @DIR@/other.conf", "", 1, "other.conf"},
		{"old MONITOR line", "MONITOR u@h 1 pw primary\n", "-F", "", 1, "upsmon.conf:1: this MONITOR line has no user"},
		{"insufficient power", "MONITOR u@h 0 u p primary\n", "-F", "", 1, "Fatal error: insufficient power configured!"},
		{"insufficient power after a bad line", "MONITOR u@h -1 u p primary\nMINSUPPLIES 1\n", "-F", "", 1, "Fatal error: insufficient power configured!"},
		{"no MONITOR line", "SHUTDOWNCMD x\n", "-F", "", 1, "Fatal error: insufficient power configured!"},
		{"unknown user", oneMonitor + "RUN_AS_USER nobody-of-that-name\n", "-F", "", 1, "nobody-of-that-name"},
		{"the file's user beats the option's", oneMonitor + "RUN_AS_USER nobody-of-that-name\n", "-F -u root", "", 1, "nobody-of-that-name"},
		{"the option's user", oneMonitor, "-F -u no-such-user", "", 1, "no-such-user"},
		{"flag: not configured", oneMonitor, "-K", "", 1, "Power down flag is not set"},
		{"flag: absent", oneMonitor + "POWERDOWNFLAG @DIR@/flag\n", "-K", "", 1, "Power down flag is not set"},
		{"flag: set", oneMonitor + "POWERDOWNFLAG @DIR@/flag\n", "-K", "upsmon-shutdown-file", 0, "Power down flag is set"},
		{"flag: set, with more below", oneMonitor + "POWERDOWNFLAG @DIR@/flag\n", "-K", "upsmon-shutdown-file\nxyz", 0, "Power down flag is set"},
		{"flag: empty", oneMonitor + "POWERDOWNFLAG @DIR@/flag\n", "-K", "-", 1, "Power down flag is not set"},
		{"flag: foreign", oneMonitor + "POWERDOWNFLAG @DIR@/flag\n", "-K", "root:x:0", 1, "other content"},
		{"flag: a folder", oneMonitor + "POWERDOWNFLAG @DIR@\n", "-K", "", 1, "Power down flag is not set"},
		{"bad timeout is only said", oneMonitor, "-W junk -K", "", 1, "-W: \"junk\" is no number of seconds"},
		{"problems are counted", oneMonitor + "FOO bar\nNOTIFYMSG x\n", "-K", "", 1, "Encountered 2 config errors"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newSite(t, "")
			if tt.config != "" {
				s.write(t, "upsmon.conf", tt.config)
			}
			if tt.files != "" {
				s.write(t, "flag", strings.TrimPrefix(tt.files, "-"))
			}
			var args []string
			for _, a := range strings.Fields(strings.ReplaceAll(tt.args, "|", " | ")) {
				args = append(args, strings.ReplaceAll(strings.TrimPrefix(a, "|"), "@DIR@", s.dir))
			}
			code := s.run(t.Context(), Program(), args...)
			out := s.stdout.String() + s.stderr.String()
			if code != tt.code || !strings.Contains(out, tt.want) {
				t.Errorf("upsmon %q = %d, output %q; want %d and %q", args, code, out, tt.code, tt.want)
			}
		})
	}
}

// A second upsmon ends, with any configuration; -K is only told.
func TestSecondInstance(t *testing.T) {
	first := exec.Command("sleep", "60")
	if err := first.Start(); err != nil {
		t.Skip(err)
	}
	defer first.Wait()
	defer first.Process.Kill()
	pid := strconv.Itoa(first.Process.Pid)
	const running, power = "Fatal error: A previous upsmon instance is already running!", "insufficient power configured"
	for _, tt := range []struct {
		name, config, pidFile, args, ignoreName string
		code                                    int
		want                                    string
	}{
		{"running", oneMonitor, pid, "-F", "true", 1, running},
		{"running, and a broken configuration", "\"", pid, "-F", "true", 1, running},
		{"running, by -P", oneMonitor, "", "-F -P " + pid, "true", 1, running},
		{"running, -K", oneMonitor, pid, "-K", "true", 1, "another upsmon is running"},
		{"another program has the number by now", "MONITOR u@h 0 u p primary\n", pid, "-F", "", 1, power},
		{"gone", "MONITOR u@h 0 u p primary\n", "4194303", "-F", "true", 1, power},
		{"no number", "MONITOR u@h 0 u p primary\n", "x", "-F", "true", 1, power},
		{"process 1", "MONITOR u@h 0 u p primary\n", "1", "-F", "true", 1, power},
	} {
		s := newSite(t, tt.config)
		s.env["NUT_IGNORE_CHECKPROCNAME"] = tt.ignoreName
		if tt.pidFile != "" {
			s.write(t, "upsmon.pid", tt.pidFile+"\n")
		}
		code := s.run(t.Context(), Program(), strings.Fields(tt.args)...)
		if out := s.stdout.String() + s.stderr.String(); code != tt.code || !strings.Contains(out, tt.want) {
			t.Errorf("%s: upsmon %s = %d, %q; want %d and %q", tt.name, tt.args, code, out, tt.code, tt.want)
		}
	}
}

// What is missing, and what is wrong with the timers of upssched, is said at the start.
func TestAdvice(t *testing.T) {
	const (
		noShutdown = "Warning: no shutdown command defined"
		noNotify   = "Warning: no notification command defined"
		noFlag     = "POWERDOWNFLAG is not set: the UPS is not switched off"
		noProgram  = "SHUTDOWNCMD would fail"
		noFolder   = "POWERDOWNFLAG is of no use"
		noTimer    = "upssched.conf:4: nothing cancels the timer down"
	)
	all := []string{noShutdown, noNotify, noFlag, noProgram, noFolder, noTimer}
	for _, tt := range []struct {
		config string
		want   []string
	}{
		{"MONITOR u@h 1 u p primary\n", []string{noShutdown + "!\n", noNotify + " (fine if", noFlag}},
		{"MONITOR u@h 1 u p secondary\nNOTIFYFLAG ONBATT EXEC\n", []string{noShutdown + "!\n", noNotify + ", but NOTIFYFLAG asks for it!\n", "POWERDOWNFLAG is not set; that is fine"}},
		{"MONITOR u@h 0 u p primary\nMINSUPPLIES 0\nNOTIFYCMD x\n", []string{noShutdown + " (fine for a host that only watches)\n"}},
		{"MONITOR u@h 1 u p primary\nSHUTDOWNCMD x\nPOWERDOWNFLAG @DIR@/flag\nNOTIFYCMD x\n", nil},
		{"MONITOR u@h 1 u p primary\nSHUTDOWNCMD \"/bin/sh -c 'a b' || x\"\nPOWERDOWNFLAG @DIR@/flag\nNOTIFYCMD x\n", nil},
		{"MONITOR u@h 1 u p primary\nSHUTDOWNCMD \"/$X/y\"\nPOWERDOWNFLAG @DIR@/flag\nNOTIFYCMD x\n", nil},
		{"MONITOR u@h 1 u p primary\nSHUTDOWNCMD \"@DIR@/shutdwn -h +0\"\nPOWERDOWNFLAG @DIR@/no/flag\nNOTIFYCMD x\n", []string{noProgram, noFolder}},
		{"MONITOR u@h 1 u p primary\nSHUTDOWNCMD @DIR@/upsmon.conf\nPOWERDOWNFLAG @DIR@/upsmon.conf/flag\nNOTIFYCMD x\n", []string{noProgram, noFolder}},
		{"MONITOR u@h 1 u p primary\nSHUTDOWNCMD x\nPOWERDOWNFLAG flag\nNOTIFYCMD x\n", []string{noFolder}},
		{"MONITOR u@h 1 u p primary\nSHUTDOWNCMD x\nPOWERDOWNFLAG @DIR@/flag\nNOTIFYCMD /sbin/upssched\nNOTIFYFLAG ONBATT EXEC\n", []string{noTimer}},
	} {
		s := newSite(t, "")
		s.write(t, "upssched.conf", "CMDSCRIPT /bin/sh\nPIPEFN @DIR@/pipe\nLOCKFN @DIR@/lock\nAT ONBATT * START-TIMER down 30\n")
		// It ends after the advice.
		s.write(t, "upsmon.conf", tt.config+"RUN_AS_USER no-such-user\n")
		s.run(t.Context(), Program(), "-F")
		out := s.stdout.String() + s.stderr.String()
		for _, w := range tt.want {
			if !strings.Contains(out, w) {
				t.Errorf("%q: upsmon wrote %q; want %q in it", tt.config, out, w)
			}
		}
		for _, w := range all {
			if strings.Contains(out, w) && !slices.ContainsFunc(tt.want, func(x string) bool { return strings.HasPrefix(x, w) }) {
				t.Errorf("%q: upsmon wrote %q; want no %q", tt.config, out, w)
			}
		}
	}
}

// A reload of what cannot be read changes nothing; of what the privileged part keeps
// it says so.
func TestReloadThatFails(t *testing.T) {
	s := newSite(t, "MONITOR u@h 1 u p primary\nSHUTDOWNCMD one\nPOWERDOWNFLAG /one\nSHUTDOWNEXIT 1\n")
	p := process{env: program.Env{Getenv: func(string) string { return "" }, Stderr: &s.stderr}, file: s.path("upsmon.conf")}
	p.log = quietLog(p.env)
	c, err := p.load()
	if err != nil {
		t.Fatal(err)
	}
	again := p.reload(c)
	if _, err := again(); err != nil || s.stderr.Len() > 0 {
		t.Errorf("reload of the same file = %v, log %q; want neither", err, s.stderr.String())
	}
	s.write(t, "upsmon.conf", "MONITOR u@h 1 u p primary\nSHUTDOWNCMD two\nPOWERDOWNFLAG /two\nSHUTDOWNEXIT 2\nDEBUG_MIN 3\nFOO x\n")
	c2, err := again()
	out := s.stderr.String()
	for _, w := range []string{"SHUTDOWNCMD changes only when", "POWERDOWNFLAG changes only when", "SHUTDOWNEXIT changes only when", "Encountered 1 config errors"} {
		if !strings.Contains(out, w) {
			t.Errorf("reload wrote %q; want %q in it", out, w)
		}
	}
	if err != nil || c2.ShutdownCmd[0] != "two" || p.log.Verbosity() != 3 {
		t.Errorf("reload = %+v, %v, verbosity %d; want what the file says", c2, err, p.log.Verbosity())
	}
	for _, bad := range []string{"MONITOR u@h 1 pw primary\n", ""} {
		s.write(t, "upsmon.conf", bad)
		if bad == "" {
			if err := os.Remove(s.path("upsmon.conf")); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := again(); err == nil {
			t.Errorf("reload of %q = nil; want an error", bad)
		}
	}
}

// A whole life in the foreground and in one process: PID file, status, a second
// start, fsd, flag, command, reasons.
func TestOneProcess(t *testing.T) {
	s := newSite(t, "")
	s.write(t, "upsmon.conf", "MONITOR ups@127.0.0.1:1 1 u p secondary\nFINALDELAY 0\nPOWERDOWNFLAG @DIR@/flag\nSHUTDOWNCMD \"echo down >>@DIR@/down\"\nNOTIFYFLAG COMMBAD EXEC\nNOTIFYFLAG SHUTDOWN EXEC\nNOTIFYCMD @DIR@/notify extra\n")
	s.write(t, "notify", "#!/bin/sh\necho \"$NOTIFYTYPE|$UPSNAME|$*\" >>@DIR@/notified\n")
	s.write(t, "wall", "#!/bin/sh\nread line\necho \"$line\" >>@DIR@/walled\n")
	for _, name := range []string{"notify", "wall"} {
		if err := os.Chmod(s.path(name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", s.dir) // nobody's terminals are written to
	done := make(chan int, 1)
	go func() { done <- s.run(t.Context(), Program(), "-F", "-p") }()
	other := newSite(t, "")
	other.env = s.env
	until(t, func() bool {
		return other.run(t.Context(), Program(), "-c", "status") == 3 &&
			strings.Contains(other.stdout.String(), "reachable    no, never: Connection failure: Connection refused")
	})
	if out := other.stdout.String(); !strings.Contains(out, "NOT PROTECTED") {
		t.Errorf("upsmon -c status printed %q", out)
	}
	if _, err := os.Stat(s.path("upsmon.pid")); err != nil {
		t.Errorf("PID file: %v", err)
	}
	// The command that signals would signal this process, so the way round it.
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if err := self.Signal(commandSignals()["fsd"]); err != nil {
		t.Fatal(err)
	}
	if code := <-done; code != 0 {
		t.Errorf("upsmon = %d; want 0; it wrote %s", code, s.stderr.String())
	}
	for name, want := range map[string]string{
		"flag": "upsmon-shutdown-file", "down": "down\n", "walled": "Executing automatic power-fail shutdown\n",
		"notified": "COMMBAD|ups@127.0.0.1:1|extra Communications with UPS ups@127.0.0.1:1 lost\nSHUTDOWN||extra Auto logout and shutdown proceeding\n",
	} {
		b, err := os.ReadFile(s.path(name))
		if got := sorted(string(b)); err != nil || got != sorted(want) {
			t.Errorf("%s = %q, %v; want %q", name, b, err, want)
		}
	}
	if code := other.run(t.Context(), WhyProgram()); code != 0 || !strings.Contains(other.stdout.String(), "a shutdown was asked for") {
		t.Errorf("nut why = %d, %q; want 0 and the reason", code, other.stdout.String())
	}
}

func sorted(lines string) string {
	ls := strings.Split(strings.TrimSpace(lines), "\n")
	if len(ls) == 2 && ls[0] > ls[1] {
		ls[0], ls[1] = ls[1], ls[0]
	}
	return strings.Join(ls, "\n")
}

// until waits until a process outside this test is so far, 10 seconds at most.
func until(t *testing.T, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for range 500 {
		if ok() {
			return
		}
		<-tick.C
	}
	t.Fatal("waited in vain")
}

func TestWhy(t *testing.T) {
	s := newSite(t, "")
	if code := s.run(t.Context(), WhyProgram()); code != 0 || !strings.Contains(s.stdout.String(), "has not shut this host down") {
		t.Errorf("nut why without records = %d, %q", code, s.stdout.String())
	}
	paths := conf.FindPaths(func(k string) string { return s.env[k] })
	for i := range decisionsKept + 50 {
		d := monitor.Decision{Time: time.Unix(int64(i), 0), Cause: "cause", Rule: "too-few", Otherwise: []string{"one", "two"}}
		if err := keep(paths, d); err != nil {
			t.Fatal(err)
		}
	}
	ds, err := recall(paths)
	if err != nil || len(ds) > decisionsKept+1 || ds[len(ds)-1].Time.Unix() != decisionsKept+49 {
		t.Errorf("recall() = %d records, %v; want the last %d", len(ds), err, decisionsKept)
	}
	if code := s.run(t.Context(), WhyProgram(), "-a", "-j"); code != 0 || strings.Count(s.stdout.String(), "\n") != len(ds) {
		t.Errorf("nut why -a -j = %d, %d lines; want 0 and %d", code, strings.Count(s.stdout.String(), "\n"), len(ds))
	}
	// What makes no sense is left out.
	if err := os.WriteFile(s.path(decisionsFile), []byte("garbage\n{\"Cause\":\"the one\"}\n{\"Cau"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code := s.run(t.Context(), WhyProgram()); code != 0 || !strings.Contains(s.stdout.String(), "because    the one") {
		t.Errorf("nut why with a broken file = %d, %q; want 0 and the record", code, s.stdout.String())
	}
}

// A record may be where the one before was not, if only one of the two places could be
// written: the last shutdown is the one with the latest time.
func TestWhyTellsOfTheLatest(t *testing.T) {
	s := newSite(t, "")
	records := "{\"Time\":\"2026-02-01T00:00:00Z\",\"Cause\":\"the later one\"}\n{\"Time\":\"2026-01-01T00:00:00Z\",\"Cause\":\"the earlier one\"}\n"
	if err := os.WriteFile(s.path(decisionsFile), []byte(records), 0o600); err != nil {
		t.Fatal(err)
	}
	if code := s.run(t.Context(), WhyProgram()); code != 0 || !strings.Contains(s.stdout.String(), "because    the later one") {
		t.Errorf("nut why = %d, %q; want the later one", code, s.stdout.String())
	}
}

func TestShellCommand(t *testing.T) {
	tests := []struct {
		words []string
		want  string
	}{
		{nil, ""},
		{[]string{"/sbin/shutdown -h +0"}, "/sbin/shutdown -h +0"},
		{[]string{"/sbin/shutdown", "-h", "+0"}, "/sbin/shutdown '-h' '+0'"},
		{[]string{"logger", "it's over"}, `logger 'it'\''s over'`},
	}
	for _, tt := range tests {
		if got := shellCommand(tt.words); got != tt.want {
			t.Errorf("shellCommand(%q) = %q; want %q", tt.words, got, tt.want)
		}
	}
}

func TestOptions(t *testing.T) {
	env := func(string) string { return "" }
	for _, tt := range []struct {
		args []string
		want func(o options) bool
	}{
		{[]string{"-D"}, func(o options) bool { return o.inForeground() && o.debug == 1 }},
		{[]string{"-DD", "-B"}, func(o options) bool { return !o.inForeground() && o.debug == 2 }},
		{[]string{"-B", "-F"}, func(o options) bool { return o.inForeground() }},
		{nil, func(o options) bool { return !o.inForeground() && o.timeout == 0 && o.network == "tcp" }},
		{[]string{"-W", "2.5"}, func(o options) bool { return o.timeout == 2500*time.Millisecond }},
		{[]string{"-W", "0"}, func(o options) bool { return o.timeout < 0 }},
		{[]string{"-W", "-1"}, func(o options) bool { return o.timeout == 0 && len(o.warnings) == 1 }},
		{[]string{"-4", "-6"}, func(o options) bool { return o.network == "tcp6" }},
		{[]string{"-c", "f"}, func(o options) bool { return o.command == "fsd" }},
		{[]string{"-c", "s"}, func(o options) bool { return o.command == "stop" }},
		{[]string{"-c", "sta"}, func(o options) bool { return o.command == "status" }},
		{[]string{"-c", "re", "-P", "42"}, func(o options) bool { return o.command == "reload" && o.pid == "42" }},
		{[]string{"operand", "-K"}, func(o options) bool { return !o.checkFlag }},
	} {
		o, err := parseOptions(program.Env{Args: append([]string{"upsmon"}, tt.args...), Getenv: env, Stderr: new(bytes.Buffer), Stdout: new(bytes.Buffer)})
		if err != nil || !tt.want(o) {
			t.Errorf("parseOptions(%q) = %+v, %v", tt.args, o, err)
		}
	}
	_, err := parseOptions(program.Env{Args: []string{"upsmon", "-c", ""}, Getenv: env})
	if !errors.Is(err, errUsage) {
		t.Errorf("parseOptions(-c \"\") = %v; want errUsage", err)
	}
}

// What nut why says can be understood at night.
func TestWhyReadsWell(t *testing.T) {
	var b strings.Builder
	printDecision(&b, monitor.Decision{
		Time: time.Unix(0, 0), Rule: "too-few", Cause: "too few", Needed: 1, Then: []string{"SHUTDOWNCMD"}, Otherwise: []string{"mains"},
		Units: []monitor.UnitView{
			{UPS: "a@h", Role: "primary", PowerValue: 1, Critical: true, Rule: "low-battery", Reason: "the battery is low", Status: "OB LB", Comm: "ok", Age: "1s"},
			{UPS: "b@h", Role: "secondary", Rule: "healthy", Reason: "it supplies this host", Status: "OL", Comm: "lost", Age: "9s", CommError: "Data stale"},
		},
	})
	_, got, _ := strings.Cut(b.String(), ": ")
	const want = `upsmon decided to shut this host down
  because    too few
  rule       too-few; power value of healthy UPSes 0, needed 1
  a@h
    primary, power value 1, critical by rule low-battery: the battery is low
    status "OB LB", reachable: yes, last data 1s ago
  b@h
    secondary, power value 0, healthy: it supplies this host
    status "OL", reachable: no: Data stale, last data 9s ago
  then       SHUTDOWNCMD
  avoided by mains
`
	if got != want {
		t.Errorf("printDecision() = %s\nwant %s", got, want)
	}
}
