package usbhidups

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"gonut/internal/hidups"
	"gonut/internal/program"
	"gonut/internal/subdriver"
	transport "gonut/internal/transport/hid"
	"gonut/internal/transport/record"
)

const learnUsage = `usage: nut learn [OPTIONS]

Looks at a USB HID UPS that no table knows and writes NAME.rec (all that it says,
to be attached to a report or played back), NAME.txt (its fields with their values)
and NAME.def (a table to begin with). Nothing is written to the device. Serial
numbers are removed.

  -x OPTION=VALUE  which device, as in ups.conf: vendorid, productid, vendor,
                   product, serial, bus, device, busport
  -r FILE          a recording instead of a device
  -o NAME          the files' name (default: the ids of the device); a file of that
                   name is kept as NAME.rec.1, NAME.txt.1, NAME.def.1
  -t SECONDS       how long to listen to what the device says by itself (default 10)
  -s               keep serial numbers
`

// LearnProgram is the tool that gets to know a device: nut learn.
func LearnProgram() program.Program {
	return learnWith(func(log *slog.Logger) transport.Opener { return transport.NewSystem(log) })
}

func learnWith(opener func(*slog.Logger) transport.Opener) program.Program {
	return program.Program{
		Name: "learn", Summary: "get to know a USB UPS that no table knows",
		Run: func(ctx context.Context, e program.Env) error {
			l := learner{env: e, match: map[string]string{}, listen: 10 * time.Second}
			if err := l.parse(e.Args[1:]); err != nil {
				return err
			}
			if l.help {
				_, err := io.WriteString(e.Stdout, learnUsage)
				return err
			}
			log := slog.New(slog.NewTextHandler(e.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
			o, err := l.opener(log, opener)
			if err != nil {
				return fmt.Errorf("nut learn: %w", err)
			}
			return l.run(ctx, o, log)
		},
	}
}

type learner struct {
	env        program.Env
	match      map[string]string
	recording  string
	name       string
	listen     time.Duration
	keepSerial bool
	help       bool
}

func (l *learner) parse(args []string) error {
	opts, rest, err := program.Getopt(args, "x:r:o:t:sh")
	if err != nil {
		return program.Exitf(2, "nut learn: %w\n%s", err, learnUsage)
	}
	if len(rest) > 0 {
		return program.Exitf(2, "nut learn: what is %q?\n%s", rest[0], learnUsage)
	}
	for _, o := range opts {
		switch o.Letter {
		case 'x':
			name, value, _ := strings.Cut(o.Arg, "=")
			name, value = strings.ToLower(strings.TrimSpace(name)), strings.TrimSpace(value)
			if known := transport.MatchOptions(); value == "" || !slices.Contains(known, name) {
				return program.Exitf(2, "nut learn: -x %s: want OPTION=VALUE, with one of the options %s", o.Arg, strings.Join(known, ", "))
			}
			l.match[name] = value
		case 'r':
			l.recording = o.Arg
		case 'o':
			l.name = o.Arg
		case 't':
			d, err := time.ParseDuration(o.Arg + "s")
			if err != nil || d < 0 {
				return program.Exitf(2, "nut learn: -t: %q is not a number of seconds", o.Arg)
			}
			l.listen = d
		case 's':
			l.keepSerial = true
		case 'h':
			l.help = true
		}
	}
	return nil
}

// opener is the way to the device: the system's, or a recording.
func (l *learner) opener(log *slog.Logger, system func(*slog.Logger) transport.Opener) (transport.Opener, error) {
	if l.recording == "" {
		return system(log), nil
	}
	f, err := os.Open(l.recording)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	rec, err := record.ReadHID(l.recording, f)
	if err != nil {
		return nil, err
	}
	// What it said by itself comes at once.
	l.listen = min(l.listen, 100*time.Millisecond)
	return transport.NewFake(rec), nil
}

func (l *learner) run(ctx context.Context, opener transport.Opener, log *slog.Logger) error {
	m, err := transport.NewMatcher(func(n string) string { return l.match[n] })
	if err != nil {
		return fmt.Errorf("nut learn: %w", err)
	}
	conn, err := l.open(ctx, opener, m)
	if err != nil {
		return fmt.Errorf("nut learn: %w", err)
	}
	defer conn.Close()
	names := subdriver.Load("hid", subdriver.Embedded()).Table("explore")
	fmt.Fprintf(l.env.Stdout, "Asking %s, then listening for %s …\n", conn.Info(), l.listen)
	lesson, err := hidups.Learn(ctx, conn, names, l.listen, log)
	if err != nil {
		return fmt.Errorf("nut learn: %w", err)
	}
	return l.write(lesson)
}

// open opens the first device that is a power device: a keyboard that matches as
// well is passed over, unless its ids were asked for.
func (l *learner) open(ctx context.Context, opener transport.Opener, m transport.Matcher) (transport.Conn, error) {
	passed := map[transport.Info]bool{}
	m.Accept = func(i transport.Info) bool { return !passed[i] }
	for range 32 {
		conn, err := opener.Open(ctx, m, transport.DefaultTuning())
		if err != nil {
			if len(passed) > 0 && errors.Is(err, transport.ErrGone) {
				return nil, fmt.Errorf("of the HID devices that match (%d) none looks like a UPS; -x vendorid=… -x productid=… asks one nevertheless: %w", len(passed), err)
			}
			if errors.Is(err, transport.ErrGone) {
				return nil, fmt.Errorf("%s: %w", present(ctx, opener), err)
			}
			return nil, err
		}
		if hidups.IsPowerDevice(conn.Descriptor()) || l.match["vendorid"] != "" && l.match["productid"] != "" {
			return conn, nil
		}
		passed[conn.Info()] = true
		conn.Close()
	}
	return nil, errors.New("too many HID devices match; say by -x vendorid=… which is meant")
}

// present says which devices there are when none of them matches.
func present(ctx context.Context, opener transport.Opener) string {
	infos, err := opener.List(ctx)
	if err != nil || len(infos) == 0 {
		return "no HID device is plugged in"
	}
	var names []string
	for _, i := range infos {
		names = append(names, i.String())
	}
	return "of the HID devices that are plugged in none matches: " + strings.Join(names, ", ")
}

func (l *learner) write(lesson *hidups.Lesson) error {
	if !l.keepSerial {
		lesson.Redact()
	}
	i := lesson.Recording.Info
	name := l.name
	if name == "" {
		name = fmt.Sprintf("%04x-%04x", i.VendorID, i.ProductID)
	}
	var fields strings.Builder
	for _, v := range lesson.Fields {
		fmt.Fprintln(&fields, v)
	}
	for _, f := range []struct {
		ending string
		write  func(io.Writer) error
	}{
		{".rec", lesson.Recording.Write},
		{".txt", func(w io.Writer) error { _, err := io.WriteString(w, fields.String()); return err }},
		{".def", func(w io.Writer) error { _, err := io.WriteString(w, lesson.Table()); return err }},
	} {
		if err := writeFile(name+f.ending, f.write); err != nil {
			return fmt.Errorf("nut learn: %w", err)
		}
		fmt.Fprintln(l.env.Stdout, "wrote", name+f.ending)
	}
	fmt.Fprintf(l.env.Stdout, "It has %d fields. Mend %s.def; nut subdriver try -f hid %s.def %s.rec shows what it gives.\n", len(lesson.Fields), name, name, name)
	return nil
}

// writeFile writes a file. One of that name, which may have been mended by hand, is
// kept.
func writeFile(name string, write func(io.Writer) error) error {
	f, err := record.CreateFile(name, 0o666)
	if err != nil {
		return err
	}
	if err := write(f); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}
