package clients

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"gonut/internal/daemon"
	"gonut/internal/netproto"
	"gonut/internal/program"
	"gonut/internal/transport/record"
	"gonut/internal/words"
	"gonut/upsclient"
)

const recordHelp = `usage: nut record [OPTIONS] UPS [FILE [SECS]]

Writes down what a ups does, as a sequence that dummy-ups plays: all variables, and
from then on those that change, with the time between. UPS is upsname[@HOST[:PORT]];
FILE may be - for standard output. It ends with Ctrl-C.

  -o FILE    the file, default dummy-device.seq; one that is there becomes FILE.1
  -i SECS    time between two looks, default 5
  -t SECS    end after so long
  -s         keep serial numbers, which are zeros otherwise
`

// Record is nut record, which records a live ups for dummy-ups.
func Record() program.Program {
	return program.Program{
		Name:    "record",
		Summary: "write what a ups does to a file that dummy-ups plays",
		Aliases: []string{"nut-recorder"},
		Run:     runRecord,
	}
}

// A recorder is one run of nut record.
type recorder struct {
	*call
	system   netproto.System
	file     string
	interval time.Duration
	limit    time.Duration // 0: none
	serials  bool

	client *upsclient.Client // nil while there is no connection
	w      *bufio.Writer     // the file; what fails once is told by each Flush
	known  map[string]string
	begin  time.Time
	timed  int    // seconds that TIMER lines say so far
	lost   string // why there is nothing to record; empty: there is
}

func runRecord(ctx context.Context, e program.Env) (err error) {
	r := &recorder{call: newCall(e, "record", recordHelp), file: "dummy-device.seq", interval: 5 * time.Second}
	defer r.finish(&err)
	r.strict = true
	operands, done, err := r.options("o:i:t:s", r.option)
	if done {
		return err
	}
	if len(operands) == 0 {
		return program.Exitf(1, "record: which ups? nut record -h tells how")
	}
	if len(operands) > 3 {
		return program.Exitf(1, "record: what is %q?", operands[3])
	}
	if r.system, err = r.call.system(operands, "\n"); err != nil {
		return err
	}
	for i, letter := range []byte("oi")[:len(operands)-1] {
		if err := r.option(program.Option{Letter: letter, Arg: operands[i+1]}); err != nil {
			return err
		}
	}
	if err := r.readAuth(); err != nil {
		return err
	}
	ctx, _, stop := daemon.ListenSignals(ctx)
	defer stop()
	return r.run(ctx)
}

// option takes the options that only record has.
func (r *recorder) option(o program.Option) (err error) {
	switch o.Letter {
	case 'o':
		r.file = o.Arg
	case 'i':
		r.interval, err = wholeSeconds("interval", o.Arg)
	case 't':
		r.limit, err = wholeSeconds("time limit", o.Arg)
	case 's':
		r.serials = true
	}
	return err
}

func wholeSeconds(what, text string) (time.Duration, error) {
	n, err := strconv.Atoi(strings.TrimSpace(text))
	if err != nil || n < 1 || n > 1e6 {
		return 0, program.Exitf(1, "record: the %s %q is no number of seconds from 1 on", what, text)
	}
	return time.Duration(n) * time.Second, nil
}

// run records until ctx or the time is over. What cannot be had in the beginning is
// an error; later it may come back.
func (r *recorder) run(ctx context.Context) error {
	vars, err := r.look(ctx)
	if err != nil {
		return r.fail(err)
	}
	defer func() { r.client.Close() }()
	rights, err := r.rights(ctx)
	if err != nil {
		return r.fail(err)
	}
	closeFile, err := r.open()
	if err != nil {
		return program.Exitf(1, "record: %w", err)
	}
	r.begin = time.Now()
	r.known = make(map[string]string)
	fmt.Fprintf(r.w, "# %s, recorded %s every %v\n", r.system, r.begin.UTC().Format(time.RFC3339), r.interval)
	r.write(vars)
	fmt.Fprint(r.w, rights)
	err = r.follow(ctx)
	// The last state lasts as long as it was seen.
	r.timer(time.Now())
	if flushed := r.w.Flush(); err == nil {
		err = flushed
	}
	if err = errors.Join(err, closeFile()); err != nil {
		return program.Exitf(1, "record: %w", err)
	}
	return nil
}

// open opens the file, which is flushed with each look.
func (r *recorder) open() (closeFile func() error, err error) {
	if r.file == "-" {
		r.w = r.buf
		return func() error { return nil }, nil
	}
	f, err := record.CreateFile(r.file, 0o644)
	if err != nil {
		return nil, err
	}
	r.w = bufio.NewWriter(f)
	return f.Close, nil
}

// follow looks again and again.
func (r *recorder) follow(ctx context.Context) error {
	tick := time.NewTicker(r.interval)
	defer tick.Stop()
	var limit <-chan time.Time
	if r.limit > 0 {
		limit = time.After(r.limit)
	}
	for {
		if err := r.w.Flush(); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-limit:
			return nil
		case <-tick.C:
		}
		vars, err := r.look(ctx)
		if ctx.Err() != nil {
			return nil
		}
		r.note(vars, err)
	}
}

// note writes down what a look brought.
func (r *recorder) note(vars []upsclient.Variable, failure error) {
	lost := ""
	if failure != nil {
		lost = upsclient.Label(failure)
	}
	if lost != r.lost {
		r.lost = lost
		text := lost
		if text == "" {
			text = "there again"
		}
		fmt.Fprintf(r.w, "# after %d s: %s\n", int(time.Since(r.begin).Seconds()), text)
		r.warn("record: %s: %s", r.system, text)
	}
	if failure == nil {
		r.write(vars)
	}
}

// look reads all variables.
func (r *recorder) look(ctx context.Context) ([]upsclient.Variable, error) {
	if r.client == nil || r.client.Err() != nil {
		c, err := r.connect(ctx, r.system.Host)
		if err != nil {
			return nil, err
		}
		r.client = c
	}
	return r.client.ListVars(ctx, r.system.UPS)
}

// write writes what has changed, after the time since the last change.
func (r *recorder) write(vars []upsclient.Variable) {
	var b strings.Builder
	seen := make(map[string]bool)
	for _, v := range vars {
		seen[v.Name] = true
		value := v.Value
		if strings.HasSuffix(v.Name, ".serial") && !r.serials {
			value = strings.Repeat("0", len(value))
		}
		if old, known := r.known[v.Name]; known && old == value {
			continue
		}
		r.known[v.Name] = value
		fmt.Fprintf(&b, "%s: %s\n", v.Name, sequenceValue(value))
	}
	var gone []string
	for name := range r.known {
		if !seen[name] {
			gone = append(gone, name)
			delete(r.known, name)
		}
	}
	slices.Sort(gone)
	for _, name := range gone {
		fmt.Fprintf(&b, "%s:\n", name)
	}
	if b.Len() == 0 {
		return
	}
	r.timer(time.Now())
	r.w.WriteString(b.String())
}

// timer writes how long nothing changed. Fractions of seconds are not lost: the
// next one makes up for them.
func (r *recorder) timer(now time.Time) {
	n := int(now.Sub(r.begin).Round(time.Second).Seconds()) - r.timed
	if n < 1 {
		return
	}
	r.timed += n
	fmt.Fprintf(r.w, "TIMER %d\n", n)
}

// sequenceValue writes a value so that dummy-ups reads it as it is.
func sequenceValue(v string) string {
	if strings.Contains(v, "#") || strings.HasPrefix(v, `"`) || strings.TrimSpace(v) != v {
		return string(words.AppendQuoted(nil, v))
	}
	return v
}

// rights returns the comments that say what may be set and done.
func (r *recorder) rights(ctx context.Context) (string, error) {
	var b strings.Builder
	rw, err := r.client.ListRW(ctx, r.system.UPS)
	if err != nil {
		return "", err
	}
	for _, v := range rw {
		if strings.HasPrefix(v.Name, "driver.") {
			continue
		}
		if err := r.right(ctx, &b, v.Name); err != nil {
			return "", err
		}
	}
	commands, err := r.client.ListCommands(ctx, r.system.UPS)
	if err != nil {
		return "", err
	}
	for _, c := range commands {
		if !strings.HasPrefix(c, "driver.") {
			fmt.Fprintf(&b, "#CMD:%s\n", c)
		}
	}
	return b.String(), nil
}

func (r *recorder) right(ctx context.Context, b *strings.Builder, name string) error {
	t, err := r.client.Type(ctx, r.system.UPS, name)
	if err != nil {
		return err
	}
	if t.Has("STRING") {
		fmt.Fprintf(b, "#RW:%s:STRING:%d\n", name, t.MaxLen())
	}
	if t.Has("ENUM") {
		values, err := r.client.ListEnum(ctx, r.system.UPS, name)
		if err != nil {
			return err
		}
		for _, v := range values {
			fmt.Fprintf(b, "#RW:%s:ENUM:%s\n", name, words.Quote(v))
		}
	}
	if t.Has("RANGE") {
		ranges, err := r.client.ListRange(ctx, r.system.UPS, name)
		if err != nil {
			return err
		}
		for _, e := range ranges {
			fmt.Fprintf(b, "#RW:%s:RANGE:%q %q\n", name, e.Min, e.Max)
		}
	}
	return nil
}
