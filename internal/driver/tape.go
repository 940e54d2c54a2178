package driver

import (
	"errors"
	"io/fs"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"gonut/internal/transport/record"
	"gonut/internal/ups"
)

// ReplayPrefix in port means a recording in place of a device.
const ReplayPrefix = "replay:"

// optPollInterval is an option of all drivers that shapes what is said to a device.
const optPollInterval = "pollinterval"

// openTape begins to record or to play, if the configuration says so. Who only cuts
// the power does not record.
func (s *Session) openTape(mayRecord bool) error {
	if name, ok := strings.CutPrefix(s.config.Values.Port, ReplayPrefix); ok {
		return s.play(name)
	}
	if s.config.Record == "" || !mayRecord {
		return nil
	}
	head := &record.Recording{Driver: s.driver.Name, Port: s.config.Values.Port}
	o := record.Options{Limit: int64(s.config.RecordLimit) << 20, Private: s.config.RecordPrivate}
	for _, name := range slices.Sorted(maps.Keys(s.config.Values.Set)) {
		value := s.config.Values.Set[name]
		if opt, _ := s.driver.option(name); opt.Secret {
			o.Secrets = append(o.Secrets, value)
			value = record.Hidden
		}
		head.Options = append(head.Options, record.Option{Name: name, Value: value})
	}
	if s.config.PollInterval != DefaultPollInterval {
		head.Options = append(head.Options, record.Option{Name: optPollInterval, Value: seconds(s.config.PollInterval)})
	}
	var err error
	s.tape, err = record.Create(s.config.Record, head, o, s.log)
	if errors.Is(err, fs.ErrPermission) {
		return Configf("record = %s: %w; the driver runs as user id %d, who must be allowed to write into that folder (option -u chooses another user)",
			s.config.Record, err, os.Geteuid())
	}
	if err != nil {
		return Configf("record = %s: %w", s.config.Record, err)
	}
	return nil
}

// play begins to play a recording. Its file is looked for where the process is, and
// beside the configuration.
func (s *Session) play(name string) error {
	f, err := openRecording(name)
	if errors.Is(err, fs.ErrNotExist) && !filepath.IsAbs(name) {
		if g, e := openRecording(filepath.Join(s.config.Values.ConfPath, name)); e == nil {
			f, err = g, nil
		}
	}
	if err != nil {
		return Configf("port = %s%s: %w", ReplayPrefix, name, err)
	}
	defer f.Close()
	rec, err := record.Read(name, f)
	if err != nil {
		return Configf("port = %s%s: %w", ReplayPrefix, name, err)
	}
	if rec.Driver != s.driver.Name && !slices.Contains(s.driver.Aliases, rec.Driver) {
		return Configf("port = %s%s: the recording is one of driver %s, this is %s", ReplayPrefix, name, rec.Driver, s.driver.Name)
	}
	if s.tape, err = rec.Play(s.log); err != nil {
		return Configf("port = %s%s: %w", ReplayPrefix, name, err)
	}
	s.played = rec
	for name, value := range s.config.Values.Set {
		if opt, _ := s.driver.option(name); opt.Secret {
			s.tape.Secret(value)
		}
	}
	for _, o := range rec.Options {
		if n := ups.Atoi(o.Value); o.Name == optPollInterval && n > 0 && s.config.PollInterval == DefaultPollInterval {
			s.config.PollInterval = time.Duration(n) * time.Second
		}
	}
	return nil
}

// openRecording opens a file. Opening a pipe to which nobody writes would hang.
func openRecording(name string) (*os.File, error) {
	if fi, err := os.Stat(name); err == nil && fi.Mode()&fs.ModeNamedPipe != 0 {
		return nil, errors.New("it is a pipe and no file")
	}
	return os.Open(name)
}

// values are what the driver is given to open its device: while a recording is
// played, the port and the options with which it was made, where the user does not
// say otherwise.
func (s *Session) values() Values {
	v := s.config.Values
	if s.tape == nil {
		return v
	}
	if v.Dial == nil {
		v.Dial = new(net.Dialer).DialContext
	}
	v.Tape = s.tape
	v.Dial = s.tape.Dialer(v.Dial)
	if s.played == nil {
		return v
	}
	v.Port = s.played.Port
	v.Set = maps.Clone(v.Set)
	for _, o := range s.played.Options {
		name := strings.ToLower(o.Name)
		if _, known := s.driver.option(name); known && !v.Has(name) {
			v.Set[name] = o.Value
		}
	}
	return v
}
