// Package dummyups is the driver of devices that are not there: it replays
// recordings of real ones, simulates others and repeats those of another upsd. It
// touches no hardware. What it
// publishes of a recording is what the file says, and clients may set all of it.
package dummyups

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"gonut/internal/driver"
)

// Driver returns dummy-ups.
func Driver() driver.Driver {
	m := &modes{simulations: make(map[string]*simulation)}
	return driver.Driver{
		Name:        "dummy-ups",
		Version:     "0.26",
		Description: "Device simulation and repeater driver",
		Options: append([]driver.Option{
			{Name: "mode", Help: "dummy-once, dummy-loop, repeater, simulator; by default the port tells"},
			{Name: "authconf", Help: "repeater: the nutauth.conf with its user, or none"},
			{Name: "repeater_disable_strict_start", Flag: true, Help: "repeater: start even if the other upsd does not answer"},
		}, simulationOptions()...),
		Check:   check,
		Open:    m.open,
		Patient: func(v driver.Values) bool { return v.Has("repeater_disable_strict_start") },
	}
}

// check says what is wrong with the port and the options of the mode that they mean.
func check(v driver.Values) error {
	switch chooseMode(v, slog.New(slog.DiscardHandler)) {
	case modeSimulator:
		_, err := newSimulation(v, time.Now())
		return err
	case modeRepeater:
		_, err := repeated(v)
		return err
	}
	if strings.HasPrefix(v.Port, recordingPrefix) {
		f := source(v)
		if _, err := fs.Stat(f.fs, f.name); err != nil {
			return v.Wrong("port", "there is no such recording in this program")
		}
	}
	return nil
}

//go:embed recordings/*.dev
var recordings embed.FS

// recordingPrefix in port means a recording that is part of the program.
const recordingPrefix = "recording:"

// Recordings are the recordings of real devices that are part of the program, for
// port = recording:NAME.
func Recordings() fs.FS {
	sub, err := fs.Sub(recordings, "recordings")
	if err != nil {
		return recordings // not reached: the folder's name is valid
	}
	return sub
}

// modes opens devices, each as its mode says.
type modes struct {
	mu          sync.Mutex
	simulations map[string]*simulation // by ups; they go on while their device is closed
}

// open finds out what the port means.
func (m *modes) open(ctx context.Context, v driver.Values, log *slog.Logger) (driver.Device, error) {
	mode := chooseMode(v, log)
	switch mode {
	case modeSimulator:
		return m.openSimulation(v, log)
	case modeRepeater:
		return openRepeater(ctx, v, log)
	}
	p := &player{source: source(v), mode: mode, log: log, values: make(map[string]*value), wake: make(chan struct{}, 1)}
	if err := p.load(); err != nil {
		return nil, err
	}
	p.start()
	return p, nil
}

func (m *modes) openSimulation(v driver.Values, log *slog.Logger) (driver.Device, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.simulations[v.UPS]
	if s == nil {
		var err error
		if s, err = newSimulation(v, time.Now()); err != nil {
			return nil, err
		}
		m.simulations[v.UPS] = s
	}
	return s.open(log)
}

// The modes, as the option mode names them.
const (
	modeOnce      = "dummy-once"
	modeLoop      = "dummy-loop"
	modeSimulator = "simulator"
	modeRepeater  = "repeater"
	modeMeta      = "meta" // C's word for a repeater with plans
)

// chooseMode returns the mode that is configured, or else the one that the port
// tells. A word that is no mode is passed over, as in C.
func chooseMode(v driver.Values, log *slog.Logger) string {
	switch mode := v.Get("mode"); mode {
	case modeOnce, modeLoop, modeSimulator, modeRepeater:
		return mode
	case modeMeta:
		return modeRepeater
	case "dummy": // what C's driver called its only mode before there were two
		return modeLoop
	case "":
	default:
		log.Warn("there is no such mode; the port tells which one it is", "mode", mode, "known", "dummy-once, dummy-loop, repeater, simulator")
	}
	switch {
	case v.Port == modeSimulator:
		return modeSimulator
	case strings.Contains(v.Port, "@"):
		return modeRepeater
	case strings.HasSuffix(v.Port, ".dev"), strings.HasPrefix(v.Port, recordingPrefix):
		return modeOnce
	}
	return modeLoop
}

// A file is where a recording comes from.
type file struct {
	fs   fs.FS
	name string // within fs
	show string // for messages
}

func source(v driver.Values) file {
	if name, ok := strings.CutPrefix(v.Port, recordingPrefix); ok {
		return file{Recordings(), strings.TrimSuffix(name, ".dev") + ".dev", v.Port}
	}
	path := v.Port
	if !filepath.IsAbs(path) {
		path = filepath.Join(v.ConfPath, path)
	}
	return file{os.DirFS(filepath.Dir(path)), filepath.Base(path), path}
}

// A player is a recording that is being played. It is the device.
type player struct {
	source file
	mode   string
	log    *slog.Logger
	rec    *recording
	seen   fs.FileInfo // when rec was read
	next   int         // the step to go on with
	resume time.Time   // not before
	timer  *time.Timer
	wake   chan struct{}

	values  map[string]*value // by lower-case name
	order   []*value
	alarms  []string
	gone    []string // deleted since the last poll
	changed bool
}

type value struct {
	name, text string
	given      bool // by the recording or a client
	writable   driver.Writable
}

// start gives what C's driver gives a device whose file is silent.
func (p *player) start() {
	p.set("ups.mfr", "Dummy Manufacturer")
	p.set("ups.model", "Dummy UPS")
	p.set("ups.status", "OL")
	for _, v := range p.order {
		v.given = false
	}
}

// load reads the file, if it is another one than last time.
func (p *player) load() error {
	info, err := fs.Stat(p.source.fs, p.source.name)
	if err != nil {
		return fmt.Errorf("read recording %s: %w", p.source.show, cause(err))
	}
	if p.rec != nil && info.ModTime().Equal(p.seen.ModTime()) && info.Size() == p.seen.Size() {
		return nil
	}
	if info.Mode()&fs.ModeNamedPipe != 0 {
		return fmt.Errorf("read recording %s: it is a pipe, which could be read only once", p.source.show)
	}
	f, err := p.source.fs.Open(p.source.name)
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("read recording %s: %w; it must be readable for user id %d, which this program runs as",
			p.source.show, cause(err), os.Geteuid())
	}
	if err != nil {
		return fmt.Errorf("read recording %s: %w", p.source.show, cause(err))
	}
	defer f.Close()
	rec, err := parse(p.source.show, f, maxFile)
	if err != nil {
		return fmt.Errorf("read recording %s: %w", p.source.show, cause(err))
	}
	for _, problem := range rec.problems {
		p.log.Warn(problem.String())
	}
	p.rec, p.seen, p.next, p.resume = rec, info, 0, time.Time{}
	return nil
}

// cause strips the path of an error, which the message has in full.
func cause(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}

// Poll plays what is due.
func (p *player) Poll(_ context.Context, d driver.Depth, u *driver.Update) error {
	if err := p.play(time.Now()); err != nil {
		return err
	}
	if d == driver.Init {
		u.Set("driver.parameter.mode", p.mode)
		u.Command("load.off")
		u.Command(p.rec.commands...)
		p.changed = true
	}
	if !p.changed {
		u.Keep()
		return nil
	}
	p.changed = false
	for _, name := range p.gone {
		u.Delete(name)
	}
	p.gone = nil
	for _, v := range p.order {
		u.Set(v.name, v.text)
		u.Writable(v.name, v.writable)
	}
	for _, a := range p.alarms {
		u.Alarm(a)
	}
	return nil
}

// play performs the steps that are due. A sequence starts over at the poll after
// its end; another recording is played once and again when its file changes.
func (p *player) play(now time.Time) error {
	if now.Before(p.resume) {
		return nil
	}
	if p.next == 0 || p.next == len(p.rec.steps) {
		if err := p.load(); err != nil {
			return err
		}
		if p.mode == modeLoop && p.next > 0 {
			p.next = 0
			p.alarms = nil
			p.changed = true
		}
	}
	for p.next < len(p.rec.steps) {
		s := p.rec.steps[p.next]
		p.next++
		switch s.kind {
		case setValue:
			p.set(s.name, s.value)
		case raise:
			p.raise(s.value)
		case pause:
			if s.wait > 0 {
				p.pause(now, s.wait)
				return nil
			}
		}
	}
	return nil
}

// pause stops playing until the time is over, and then asks to be polled.
func (p *player) pause(now time.Time, d time.Duration) {
	p.resume = now.Add(d)
	p.stopTimer()
	p.timer = time.AfterFunc(d, func() {
		select {
		case p.wake <- struct{}{}:
		default:
		}
	})
}

func (p *player) stopTimer() {
	if p.timer != nil {
		p.timer.Stop()
	}
}

func (p *player) raise(text string) {
	p.changed = true
	if text == "" {
		p.alarms = nil
		return
	}
	p.alarms = append(p.alarms, text)
}

// set gives a variable a value.
func (p *player) set(name, text string) {
	p.changed = true
	key := strings.ToLower(name)
	v := p.values[key]
	if v == nil {
		v = &value{name: name}
		p.values[key] = v
		p.order = append(p.order, v)
	}
	if text == "" && v.text != "" && v.given { // so a recording takes back what comes and goes
		delete(p.values, key)
		p.order = slices.DeleteFunc(p.order, func(o *value) bool { return o == v })
		p.gone = append(p.gone, v.name)
		return
	}
	v.text, v.given = text, true
	if w, ok := p.rec.writable[key]; ok {
		v.writable = w
	} else {
		v.writable = typeOf(key)
	}
}

// Wake receives when a pause is over.
func (p *player) Wake() <-chan struct{} { return p.wake }

// Command accepts what the recorded device could do; nothing happens.
func (p *player) Command(_ context.Context, name, _ string) error {
	if name == "load.off" {
		return nil
	}
	for _, c := range p.rec.commands {
		if strings.EqualFold(c, name) {
			return nil
		}
	}
	if name == driver.ShutdownDefault {
		return fmt.Errorf("a recording has no power to cut: %w", driver.ErrFailed)
	}
	return driver.ErrUnknown
}

// Set changes a value until the recording says otherwise.
func (p *player) Set(_ context.Context, name, text string) error {
	v := p.values[strings.ToLower(name)]
	if v == nil {
		return driver.ErrUnknown
	}
	p.set(v.name, text)
	return nil
}

// Close stops playing.
func (p *player) Close() error {
	p.stopTimer()
	return nil
}
