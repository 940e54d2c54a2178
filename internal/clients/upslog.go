package clients

import (
	"context"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"gonut/internal/conf"
	"gonut/internal/daemon"
	"gonut/internal/netproto"
	"gonut/internal/program"
	"gonut/internal/ups"
	"gonut/upsclient"
)

const upslogHelp = `usage: upslog [OPTIONS] -s UPS -l FILE
       upslog [OPTIONS] -m UPS,FILE [-m UPS,FILE]…
       upslog UPS FILE SECS [FORMAT…]

Writes a line about a ups to a file, again and again. UPS is
upsname[@HOST[:PORT]], or * instead of the name for all of a host; FILE may be -
for standard output.

  -i SECS    time between lines, default 30
  -d N       end after N lines; 0: never
  -f FORMAT  what a line looks like; see below
  -N         begin each line with the name of the ups and a tab
  -F         stay in the foreground; the default with -D and if a FILE is -
  -B         go to the background
  -p NAME    the PID file, default upslog
  -u USER    become this user if started as root

In a FORMAT:
  %TIME STRFTIME%    the time; @ stands for % of strftime
  %ETIME%            the time in seconds since 1970
  %VAR NAME%         a variable of the ups
  %HOST%             the name of this host
  %UPSHOST%          the ups as it was given
  %PID%              the process number
  %t                 a tab
  %%                 a %

Signals: HUP opens the files anew, USR1 writes lines at once.
`

// keepConnection is the longest interval for which connections are kept open.
const keepConnection = 30 * time.Second

// UPSLog is upslog, which writes what a ups reports to files.
func UPSLog() program.Program {
	return program.Program{
		Name:    "upslog",
		Summary: "write the values of a ups to a file at intervals",
		Run:     runUPSLog,
	}
}

// A upslog is one run of upslog.
type upslog struct {
	*call
	interval time.Duration
	rounds   int // 0: no end
	format   string
	withUPS  bool
	where    byte // 'F', 'B' or 0 as the options leave it open
	pidName  string
	user     string
	ups      string
	file     string
	pairs    []logPair // as the command line has them

	notify  *daemon.ServiceNotifier // nil: nobody is to be told
	files   []*logFile
	targets []*logTarget
}

// A logPair is a ups and a file as they were given.
type logPair struct{ ups, file string }

// A logFile is a file that one or more targets write to.
type logFile struct {
	path string
	w    io.Writer
	f    *os.File // nil for standard output
}

// A logTarget is a ups that is written to a file.
type logTarget struct {
	text   string // as it was given
	system netproto.System
	file   *logFile
	client *upsclient.Client // nil while there is no connection
}

func runUPSLog(ctx context.Context, e program.Env) (err error) {
	u := &upslog{call: newCall(e, "upslog", upslogHelp), interval: 30 * time.Second, pidName: "upslog"}
	defer u.finish(&err)
	u.strict = true
	u.notify = daemon.NewServiceNotifier(e.Getenv)
	operands, done, err := u.options("s:l:m:i:d:f:NFBp:u:", u.option)
	if done {
		return err
	}
	if err := u.choose(operands); err != nil || len(u.pairs) == 0 {
		return err
	}
	if err := u.readAuth(); err != nil {
		return err
	}
	var bg *daemon.Background
	if u.background() {
		if bg, err = daemon.Detach(ctx, e); bg == nil {
			return err
		}
	}
	daemon.Banner(e, "upslog")
	return u.run(ctx, bg)
}

// option takes the options that only upslog has.
func (u *upslog) option(o program.Option) error {
	switch o.Letter {
	case 's':
		u.ups = o.Arg
	case 'l':
		u.file = o.Arg
	case 'm':
		system, file, ok := strings.Cut(o.Arg, ",")
		if !ok || strings.Contains(file, ",") || system == "" || file == "" {
			return program.Exitf(1, "-m %s: write -m UPS,FILE with one comma", o.Arg)
		}
		u.pairs = append(u.pairs, logPair{system, file})
	case 'i':
		return u.setInterval("-i", o.Arg)
	case 'd':
		u.rounds = max(ups.Atoi(o.Arg), 0)
	case 'f':
		u.format = o.Arg
	case 'N':
		u.withUPS = true
	case 'F', 'B':
		u.where = o.Letter
	case 'p':
		u.pidName = o.Arg
	case 'u':
		u.user = o.Arg
	}
	return nil
}

// setInterval reads a number as C does, but refuses one that would make a loop
// without a pause.
func (u *upslog) setInterval(what, text string) error {
	n := ups.Atoi(text)
	if n < 1 || n > math.MaxInt32 {
		return program.Exitf(1, "%s %q: the interval must be at least 1 second", what, text)
	}
	u.interval = time.Duration(n) * time.Second
	return nil
}

// choose makes pairs of a ups and a file from the options or, if there are at
// least three, the operands. It leaves none after printing help.
func (u *upslog) choose(operands []string) error {
	switch {
	case len(operands) >= 3:
		u.ups, u.file = operands[0], operands[1]
		if err := u.setInterval("interval", operands[2]); err != nil {
			return err
		}
		if len(operands) > 3 {
			u.format = strings.Join(operands[3:], " ") + " "
		}
	case len(operands) > 0:
		u.printHelp()
		u.pairs = nil
		return nil
	}
	switch {
	case u.ups != "" && u.file == "":
		return program.Exitf(1, "No filename defined for logging - use -l <file>")
	case u.ups == "" && (u.file != "" || len(u.pairs) == 0):
		return program.Exitf(1, "No UPS defined for monitoring - use -s <system>")
	case u.ups != "":
		u.pairs = append(u.pairs, logPair{u.ups, u.file})
	}
	if u.format == "" {
		u.format = defaultLogFormat
	}
	if u.withUPS {
		u.format = "%UPSHOST%%t" + u.format
	}
	return nil
}

// background reports whether to leave the terminal.
func (u *upslog) background() bool {
	if u.where != 0 {
		return u.where == 'B'
	}
	return u.debug == 0 && !slices.ContainsFunc(u.pairs, func(p logPair) bool { return p.file == "-" })
}

// run prepares everything, says that it is ready and logs until ctx or a signal
// ends it.
func (u *upslog) run(ctx context.Context, bg *daemon.Background) error {
	ctx, signals, stop := daemon.ListenSignals(ctx)
	defer stop()
	account, err := u.account()
	if err != nil {
		return err
	}
	defer u.close()
	if err := u.open(ctx); err != nil {
		return err
	}
	pidFile, err := daemon.WriteRootPID(conf.FindPaths(u.Getenv), u.pidName)
	if err != nil {
		u.log.Warn(err.Error())
	} else {
		defer daemon.RemovePID(pidFile)
	}
	if account != nil {
		if err := account.Become(); err != nil {
			return err
		}
	}
	u.buf.Flush() // what it was started with
	if err := bg.Ready(u.out); err != nil {
		return err
	}
	u.notify.Ready("")
	defer u.notify.Stopping("")
	return u.loop(ctx, signals)
}

// account is the user to become: the one of -u, or for root the one of all
// daemons. It is nil if there is nothing to do.
func (u *upslog) account() (*daemon.Account, error) {
	name := u.user
	if name == "" {
		if os.Geteuid() != 0 {
			return nil, nil
		}
		name = conf.DefaultUser()
	}
	a, err := daemon.LookupAccount(name)
	return &a, err
}

// open finds the targets, opens their files and tries to connect.
func (u *upslog) open(ctx context.Context) error {
	for _, p := range u.pairs {
		system, err := u.system([]string{p.ups}, "  ")
		if err != nil {
			return err
		}
		names := []string{p.ups}
		if system.UPS == "*" {
			if names, err = u.expand(ctx, system); err != nil {
				return err
			}
		}
		for _, name := range names {
			if err := u.addTarget(name, p.file); err != nil {
				return err
			}
		}
	}
	u.connectAll(ctx, true)
	return nil
}

// expand returns all ups of a server, the last first as C's upslog has them.
func (u *upslog) expand(ctx context.Context, system netproto.System) ([]string, error) {
	c, err := u.connect(ctx, system.Host)
	if err != nil {
		return nil, u.fail(err)
	}
	defer c.Logout(ctx)
	list, err := c.ListUPS(ctx)
	if err != nil {
		return nil, u.fail(err)
	}
	if len(list) == 0 {
		return nil, program.Exitf(1, "Error: %s knows no ups", system.Host.Addr())
	}
	var names []string
	for _, d := range slices.Backward(list) {
		names = append(names, netproto.System{UPS: d.Name, Host: system.Host}.String())
	}
	return names, nil
}

// addTarget adds a ups that is written to a file, which may be another's too.
func (u *upslog) addTarget(text, path string) error {
	system, err := u.system([]string{text}, "  ")
	if err != nil {
		return err
	}
	i := slices.IndexFunc(u.files, func(f *logFile) bool { return f.path == path })
	if i < 0 {
		f := &logFile{path: path, w: u.Stdout}
		if err := f.open(); err != nil {
			return err
		}
		u.files = append(u.files, f)
		i = len(u.files) - 1
	}
	to := path
	if path == "-" {
		to = "stdout"
	}
	fmt.Fprintf(u.Stdout, "logging status of %s to %s (%ds intervals)\n", text, to, int(u.interval.Seconds()))
	u.targets = append(u.targets, &logTarget{text: text, system: system, file: u.files[i]})
	return nil
}

// open opens the file for appending, anew if it is open.
func (f *logFile) open() error {
	if f.path == "-" {
		return nil
	}
	file, err := os.OpenFile(f.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o666)
	if err != nil {
		return fmt.Errorf("open log file: %w", err)
	}
	if f.f != nil {
		f.f.Close()
	}
	f.f, f.w = file, file
	return nil
}

func (u *upslog) close() {
	for _, f := range u.files {
		if f.f != nil {
			f.f.Close()
		}
	}
	for _, t := range u.targets {
		t.disconnect()
	}
}

// connectAll connects the targets that are not. None waits for another.
func (u *upslog) connectAll(ctx context.Context, first bool) {
	var wg sync.WaitGroup
	failures := make([]error, len(u.targets))
	for i, t := range u.targets {
		if t.client != nil {
			continue
		}
		wg.Go(func() { t.client, failures[i] = u.connect(ctx, t.system.Host) })
	}
	wg.Wait()
	for i, err := range failures {
		switch {
		case err == nil:
		case first:
			u.warn("Warning: initial connect failed: %s", upsclient.Label(err))
		default:
			u.log.Debug("connect failed", "ups", u.targets[i].text, "error", err)
		}
	}
}

// disconnect ends the connection without waiting for a goodbye: the server may be
// the reason.
func (t *logTarget) disconnect() {
	if t.client != nil {
		t.client.Close()
		t.client = nil
	}
}

// loop writes a round of lines whenever it is time or a signal asks for it.
func (u *upslog) loop(ctx context.Context, signals *daemon.Signals) error {
	facts := logFacts{pid: os.Getpid()}
	facts.host, _ = os.Hostname()
	format := parseLogFormat(u.format)
	next := time.Now()
	for round := 1; ctx.Err() == nil; round++ {
		u.connectAll(ctx, false)
		if err := u.write(ctx, format, facts); err != nil {
			return err
		}
		if round == u.rounds {
			return nil
		}
		if u.interval > keepConnection {
			for _, t := range u.targets {
				t.disconnect()
			}
		}
		if now := time.Now(); !next.After(now) {
			if next = next.Add(u.interval); next.Before(now) {
				next = now.Add(u.interval)
			}
		}
		u.sleep(ctx, next, signals)
	}
	return nil
}

// sleep waits until it is time for the next line, somebody asks for one or ctx
// ends.
func (u *upslog) sleep(ctx context.Context, until time.Time, signals *daemon.Signals) {
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	var alive <-chan time.Time
	if d := u.notify.WatchdogInterval(); d > 0 {
		ticker := time.NewTicker(d / 2)
		defer ticker.Stop()
		alive = ticker.C
	}
	for {
		u.notify.Watchdog()
		select {
		case <-alive:
		case <-timer.C:
			return
		case <-signals.User1:
			return
		case <-ctx.Done():
			return
		case <-signals.Reload:
			for _, f := range u.files {
				if err := f.open(); err != nil {
					u.log.Error(err.Error() + "; going on with the file that is open")
				}
			}
		}
	}
}

// write asks all targets at the same time and writes their lines in order.
func (u *upslog) write(ctx context.Context, format logFormat, facts logFacts) error {
	lines := make([]string, len(u.targets))
	facts.now = time.Now()
	var wg sync.WaitGroup
	for i, t := range u.targets {
		f := facts
		f.system = t.text
		f.get = func(name string) (string, bool) { return t.get(ctx, name) }
		wg.Go(func() { lines[i] = format.line(&f) })
	}
	wg.Wait()
	if ctx.Err() != nil {
		return nil // half-filled lines are of no use
	}
	for i, t := range u.targets {
		if _, err := io.WriteString(t.file.w, lines[i]+"\n"); err != nil {
			u.log.Error("write to log file failed; the line is lost", "file", t.file.path, "error", err)
		}
		if t.client != nil && t.client.Err() != nil {
			u.log.Debug("connection lost", "ups", t.text, "error", t.client.Err())
			t.client = nil
		}
	}
	if err := u.buf.Flush(); err != nil {
		return fmt.Errorf("write output: %w", err)
	}
	return nil
}

// get asks for one variable; without a connection there is none.
func (t *logTarget) get(ctx context.Context, name string) (string, bool) {
	if t.client == nil {
		return "", false
	}
	value, err := t.client.Get(ctx, t.system.UPS, name)
	return value, err == nil
}
