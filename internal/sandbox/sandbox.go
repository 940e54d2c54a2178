// Package sandbox lets anybody watch a power cut travel from a UPS to a shutdown.
// It runs a primary host with two simulated UPSes, a secondary and a host that only
// monitors, with the programs and configuration files of real ones, in one process
// and on a loopback port. No host is shut down and no device is touched: shutdown
// commands only say what they would have done.
package sandbox

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"gonut/internal/daemon"
	"gonut/internal/driver"
	"gonut/internal/program"
	"gonut/internal/words"
)

const (
	primaryName = "primary"
	// bootDelay is how long hosts that were down take to start when power is back.
	bootDelay = time.Second
)

// Program is nut sandbox.
func Program() program.Program {
	return program.Program{Name: "sandbox", Summary: "watch a power cut travel from a UPS to a shutdown; nothing real is touched", Run: run}
}

func run(ctx context.Context, e program.Env) error {
	flags := flag.NewFlagSet("nut sandbox", flag.ContinueOnError)
	flags.SetOutput(e.Stdout)
	script := flags.String("script", "", "run the commands in `FILE`, each line a time since the start and a command, such as: 10 cut; without a quit it goes on until Ctrl-C")
	verbose := flags.Bool("D", false, "show the log of every program too")
	flags.Usage = func() { usage(e.Stdout, flags) }
	if err := flags.Parse(e.Args[1:]); errors.Is(err, flag.ErrHelp) {
		return nil
	} else if err != nil {
		return program.Exit(2)
	}
	if flags.NArg() > 0 {
		return program.Exitf(2, "nut sandbox: unexpected argument %q; commands come from standard input or --script FILE", flags.Arg(0))
	}
	commands, err := readScript(*script)
	if err != nil {
		return err
	}
	log := slog.New(slog.DiscardHandler)
	if *verbose {
		log = daemon.NewLog("sandbox", e).Logger()
	}
	ctx, _, stop := daemon.ListenSignals(ctx)
	defer stop()
	box := &sandbox{env: e, log: log}
	return box.run(ctx, commands, *script != "")
}

func usage(w io.Writer, flags *flag.FlagSet) {
	fmt.Fprintln(w, "usage: nut sandbox [-D] [--script FILE]")
	flags.PrintDefaults()
	fmt.Fprintln(w, "\nCommands, one a line; names of UPSes (apc, rack) may follow, none means all:")
	printVerbs(w)
}

func printVerbs(w io.Writer) {
	for _, v := range verbs {
		fmt.Fprintf(w, "  %-8s %s\n", v.name, v.help)
	}
}

// unitNames are the simulated UPSes.
func unitNames() []string { return []string{"apc", "rack"} }

func readScript(path string) ([]Command, error) {
	if path == "" {
		return nil, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return ParseScript(path, f, unitNames())
}

// A sandbox is one run of the program.
type sandbox struct {
	env      program.Env
	log      *slog.Logger
	line     *timeline
	addr     string // where upsd listens
	driver   driver.Driver
	units    []*unit
	machines []*machine
	quit     <-chan struct{}
	tasks    sync.WaitGroup // of later

	mu    sync.Mutex
	first net.Listener // opened to find a port, until the primary takes it
}

func (b *sandbox) run(ctx context.Context, commands []Command, scripted bool) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	b.quit = ctx.Done()
	dir, err := os.MkdirTemp("", "nut-sandbox-")
	if err != nil {
		return fmt.Errorf("make a folder for the configuration files: %w", err)
	}
	defer os.RemoveAll(dir)
	if err := b.prepare(ctx, dir); err != nil {
		return err
	}
	defer b.closeFirst()
	b.introduce(dir)
	defer func() {
		cancel()
		b.tasks.Wait()
		for _, m := range b.machines {
			m.wait()
		}
	}()
	for _, m := range b.machines {
		if err := m.boot(ctx); err != nil {
			return err
		}
	}
	b.obey(ctx, commands, scripted)
	return nil
}

// prepare makes the UPSes, the port and the configuration files.
func (b *sandbox) prepare(ctx context.Context, dir string) error {
	b.line = &timeline{w: b.env.Stdout, start: time.Now()}
	for _, name := range unitNames() {
		b.units = append(b.units, newUnit(name))
	}
	b.driver = newDriver(b.units)
	var err error
	if b.first, err = b.env.Listen(ctx, "tcp", "127.0.0.1:0"); err != nil {
		return fmt.Errorf("find a free port: %w", err)
	}
	b.addr = b.first.Addr().String()
	b.machines = []*machine{
		{name: primaryName, about: "runs the drivers, upsd and upsmon; fed by apc and rack, needs one of them"},
		{name: "secondary", about: "runs upsmon; fed by apc"},
		{name: "monitor", about: "runs upsmon; fed by neither, watches both and stays up"},
	}
	for _, m := range b.machines {
		m.box, m.dir = b, filepath.Join(dir, m.name)
		if err := m.writeFiles(b.addr); err != nil {
			return fmt.Errorf("write configuration files: %w", err)
		}
	}
	return nil
}

func (b *sandbox) introduce(dir string) {
	b.line.note("nut sandbox: three hosts and two simulated UPSes; nothing real is touched.\n")
	for _, m := range b.machines {
		b.line.note("  %-10s %s", m.name, m.about)
	}
	b.line.note("\nLook from another terminal:   nut upsc -l %s\n                              nut upsc apc@%s", b.addr, b.addr)
	b.line.note("The hosts' configuration:     %s", dir)
	b.line.note("Type a command and Enter:     cut, restore, lowbatt, replace, unplug, status, help, quit\n")
}

// listen opens what a host's upsd listens on. The first time the port is open
// already, so that nobody else can have taken it.
func (b *sandbox) listen(ctx context.Context, network, addr string) (net.Listener, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if l := b.first; l != nil && l.Addr().String() == addr {
		b.first = nil
		return l, nil
	}
	return b.env.Listen(ctx, network, addr)
}

func (b *sandbox) closeFirst() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.first != nil {
		b.first.Close()
	}
}

// obey performs the commands of the script at their times, and those that are
// typed at once, until quit, the end of the input or the end of ctx. In a script
// the end of the input means nothing.
func (b *sandbox) obey(ctx context.Context, commands []Command, scripted bool) {
	typed := make(chan string)
	go readLines(ctx, b.env.Stdin, typed)
	for {
		var due <-chan time.Time
		if len(commands) > 0 {
			due = time.After(time.Until(b.line.start.Add(commands[0].At)))
		}
		select {
		case <-ctx.Done():
			return
		case <-due:
			c := commands[0]
			commands = commands[1:]
			if !b.do(ctx, c) {
				return
			}
		case text, ok := <-typed:
			if !ok && !scripted {
				return
			}
			if !ok {
				typed = nil
				continue
			}
			if !b.doText(ctx, text) {
				return
			}
		}
	}
}

func readLines(ctx context.Context, r io.Reader, to chan<- string) {
	defer close(to)
	s := bufio.NewScanner(r)
	for s.Scan() {
		select {
		case to <- s.Text():
		case <-ctx.Done():
			return
		}
	}
}

// doText performs a typed line; false means quit.
func (b *sandbox) doText(ctx context.Context, text string) bool {
	ws, err := words.Split(text)
	if err == nil && len(ws) == 0 {
		return true
	}
	var c Command
	if err == nil {
		c, err = ParseCommand(ws, unitNames())
	}
	if err != nil {
		b.line.note("%v", err)
		return true
	}
	return b.do(ctx, c)
}

// do performs a command; false means quit.
func (b *sandbox) do(ctx context.Context, c Command) bool {
	switch c.Verb {
	case "quit":
		return false
	case "help":
		b.line.mu.Lock()
		defer b.line.mu.Unlock()
		printVerbs(b.env.Stdout)
	case "status":
		b.status()
	default:
		for _, u := range b.chosen(c.UPS) {
			b.line.printf("ups "+u.name, "%s (now %s)", u.do(c.Verb), u.describe())
		}
		if c.Verb == "restore" {
			b.bootAll(ctx)
		}
	}
	return true
}

func (b *sandbox) chosen(names []string) []*unit {
	if len(names) == 0 {
		return b.units
	}
	var us []*unit
	for _, u := range b.units {
		for _, n := range names {
			if n == u.name {
				us = append(us, u)
			}
		}
	}
	return us
}

func (b *sandbox) status() {
	for _, u := range b.units {
		b.line.printf("ups "+u.name, "%s", u.describe())
	}
	for _, m := range b.machines {
		state := "is up"
		if !m.up() {
			state = "is down"
		}
		b.line.printf(m.name, "%s", state)
	}
}

// bootAll starts the hosts that are down, one after the other, a moment after power
// came back.
func (b *sandbox) bootAll(ctx context.Context) {
	var down []*machine
	for _, m := range b.machines {
		if !m.up() {
			down = append(down, m)
			b.line.printf(m.name, "has power again and starts")
		}
	}
	b.later(bootDelay, func() {
		for _, m := range down {
			if err := m.boot(ctx); err != nil && ctx.Err() == nil {
				b.line.printf(m.name, "%v", err)
			}
		}
	})
}

// later does something after a while, unless the sandbox ends before.
func (b *sandbox) later(d time.Duration, f func()) {
	b.tasks.Go(func() {
		select {
		case <-time.After(d):
			f()
		case <-b.quit:
		}
	})
}

// cutPower says what the primary's last act would be.
func (b *sandbox) cutPower() {
	for _, u := range b.units {
		if u.onBattery() {
			b.line.printf("ups "+u.name, "would be switched off by upsdrvctl shutdown, for the power-down flag is there; it returns with mains power")
		}
	}
}
