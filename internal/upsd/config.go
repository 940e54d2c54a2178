package upsd

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"time"

	"gonut/internal/cmdvartab"
	"gonut/internal/conf"
	"gonut/internal/drvsock"
	"gonut/internal/passwd"
)

// builtinDataPath is where cmdvartab is looked for unless DATAPATH says otherwise;
// Debian's, unless the linker was told another.
var builtinDataPath = "/usr/share/nut"

// A Config is everything that upsd reads from files.
type Config struct {
	UPSD      conf.UPSD
	Users     conf.Users
	Devices   []Device
	Texts     cmdvartab.Table
	TLS       *tls.Config // nil: STARTTLS is not configured
	StatePath string      // where the drivers' sockets are
}

// Load reads upsd.conf, ups.conf, upsd.users and, if it is there, cmdvartab. What
// is wrong with single lines is logged; an error means that the files make no
// configuration.
func Load(p conf.Paths, getenv func(string) string, log *slog.Logger) (Config, error) {
	main, err := LoadUPSD(p, getenv, log)
	if err != nil {
		return Config{}, err
	}
	return LoadRest(main, p, log)
}

// LoadUPSD reads upsd.conf and applies the environment's ALLOW_NO_DEVICE and
// ALLOW_NOT_ALL_LISTENERS, which beat it. It is apart from LoadRest because it
// needs root's rights at times, and the rest never does.
func LoadUPSD(p conf.Paths, getenv func(string) string, log *slog.Logger) (conf.UPSD, error) {
	c, err := read(p.File("upsd.conf"), conf.ParseUPSD, log)
	if err != nil {
		return c, err
	}
	warnOfReaders(p.File("upsd.conf"), log)
	override(&c.AllowNoDevice, getenv("ALLOW_NO_DEVICE"))
	override(&c.AllowNotAllListeners, getenv("ALLOW_NOT_ALL_LISTENERS"))
	return c, nil
}

// LoadRest reads everything but upsd.conf.
func LoadRest(main conf.UPSD, p conf.Paths, log *slog.Logger) (Config, error) {
	c := Config{UPSD: main}
	ups, err := read(p.File("ups.conf"), conf.ParseUPSConf, log)
	if err != nil {
		return c, err
	}
	c.Devices = Devices(ups)
	c.StatePath = statePath(p, ups, main)
	if s := main.StatePath; s != "" && s != c.StatePath {
		log.Warn("STATEPATH of upsd.conf does not count beside NUT_STATEPATH and statepath in ups.conf", "STATEPATH", s, "used", c.StatePath)
	}
	if len(c.Devices) == 0 && !main.AllowNoDevice {
		return c, fmt.Errorf("%s names no device that has a driver and a port; add one, or set ALLOW_NO_DEVICE yes in upsd.conf", p.File("ups.conf"))
	}
	c.Users, err = read(p.File("upsd.users"), conf.ParseUsers, log)
	if err != nil {
		return c, err
	}
	warnOfReaders(p.File("upsd.users"), log)
	warnOfUsers(p.File("upsd.users"), c.Users, log)
	if c.TLS, err = LoadTLS(main); errors.Is(err, fs.ErrPermission) {
		return c, fmt.Errorf("%s: %w; the file and its folder must be readable for user id %d, which upsd runs as", p.File("upsd.conf"), err, os.Geteuid())
	} else if err != nil {
		return c, fmt.Errorf("%s: %w", p.File("upsd.conf"), err)
	}
	warnOfTLS(main, c.TLS, time.Now(), log)
	c.Texts, err = loadTexts(main, log)
	return c, err
}

// Devices returns the devices of ups.conf that upsd can serve.
func Devices(c conf.UPSConf) []Device {
	var ds []Device
	for _, sec := range c.Sections {
		if sec.Complete() {
			ds = append(ds, Device{Name: sec.Name, Driver: sec.Driver(), Port: sec.Port(), Desc: sec.Desc()})
		}
	}
	return ds
}

// statePath decides where drivers' sockets are: the environment beats ups.conf,
// which the drivers go by, and that beats upsd.conf.
func statePath(p conf.Paths, ups conf.UPSConf, main conf.UPSD) string {
	path := p.State
	if main.StatePath != "" {
		path = main.StatePath
	}
	for _, s := range ups.Global {
		if strings.EqualFold(s.Name, "statepath") && s.Value != "" {
			path = s.Value
		}
	}
	if p.StateByEnv {
		path = p.State
	}
	return path
}

// A DialFunc connects, as net.Dialer.DialContext does.
type DialFunc func(ctx context.Context, network, addr string) (net.Conn, error)

// Dialer returns how to reach the driver of a device through its socket, by way of
// dial.
func (c Config) Dialer(d Device, dial DialFunc) Dialer {
	path := drvsock.Path(c.StatePath, d.Driver, d.Name)
	return func(ctx context.Context) (net.Conn, error) { return dial(ctx, "unix", path) }
}

func read[T any](path string, parse func(string, io.Reader) (T, []conf.Problem, error), log *slog.Logger) (T, error) {
	v, problems, err := conf.ReadFile(path, parse)
	for _, p := range problems {
		log.Warn(p.String())
	}
	return v, err
}

func loadTexts(main conf.UPSD, log *slog.Logger) (cmdvartab.Table, error) {
	t := cmdvartab.Builtin()
	dir := main.DataPath
	if dir == "" {
		dir = builtinDataPath
	}
	f, err := os.Open(filepath.Join(dir, "cmdvartab"))
	if errors.Is(err, fs.ErrNotExist) && main.DataPath == "" {
		return t, nil
	}
	if err != nil {
		log.Warn("descriptions are only the built-in ones", "error", err)
		return t, nil
	}
	defer f.Close()
	return t.With(f)
}

// warnOfUsers warns of users whose lines are right but cannot mean what they say.
func warnOfUsers(path string, users conf.Users, log *slog.Logger) {
	warn := func(u conf.User, format string, args ...any) {
		log.Warn(conf.Problem{File: path, Line: u.Line, Text: fmt.Sprintf(format, args...)}.String())
	}
	for _, u := range users {
		if err := passwd.Check(string(u.Password)); err != nil {
			warn(u, "the password of [%s]: %v", u.Name, err)
		}
		for _, p := range u.Peers {
			var unknown user.UnknownUserError
			if _, err := user.Lookup(p); errors.As(err, &unknown) && strings.Trim(p, "0123456789") != "" {
				warn(u, "peer of [%s]: this host has no account %s", u.Name, p)
			}
		}
	}
}

// override lets a switch in the environment beat a setting. Only how it begins
// counts, as in C.
func override(to *bool, v string) {
	v = strings.ToUpper(v)
	for _, w := range []string{"TRUE", "YES", "ON", "1"} {
		if strings.HasPrefix(v, w) {
			*to = true
			return
		}
	}
	for _, w := range []string{"FALSE", "NO", "OFF", "0"} {
		if strings.HasPrefix(v, w) {
			*to = false
			return
		}
	}
}

// warnOfReaders warns of a file with secrets that everybody may read.
func warnOfReaders(path string, log *slog.Logger) {
	if fi, err := os.Stat(path); err == nil && fi.Mode().Perm()&0o005 != 0 {
		log.Warn("file can be read by every user of this host; chmod o-rwx it", "file", path)
	}
}
