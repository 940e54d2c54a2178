package host

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"slices"

	"gonut/internal/conf"
	"gonut/internal/driver"
	"gonut/internal/upsd"
	"gonut/internal/words"
)

// Load reads the configuration of a host: nut.conf decides which parts it has, as
// it does for the start scripts of C NUT; without nut.conf those that have a file.
// drivers are the drivers that can run in this process. What is wrong with single
// lines is logged, but for upsmon.conf, for upsmon.Local does that; the error names
// everything that makes it impossible to start. Listen and what upsmon needs are left
// to the caller.
func Load(p conf.Paths, drivers []driver.Driver, getenv func(string) string, log *slog.Logger) (*Host, error) {
	serve, monitor, err := parts(p, log)
	if err != nil {
		return nil, err
	}
	h := &Host{Log: log}
	var errs []error
	if serve {
		c, err := upsd.Load(p, getenv, log)
		if err == nil {
			h.Units, err = loadUnits(p, drivers, log)
		}
		h.Server = &c
		errs = append(errs, err)
	}
	if monitor {
		c, _, err := conf.ReadFile(p.File("upsmon.conf"), conf.ParseUPSMon)
		h.Monitor = &c
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return h, nil
}

// parts says whether the host has drivers and upsd, and whether it has upsmon.
func parts(p conf.Paths, log *slog.Logger) (serve, monitor bool, err error) {
	c, problems, err := conf.ReadFile(p.File("nut.conf"), conf.ParseNUTConf)
	for _, pr := range problems {
		log.Warn(pr.String())
	}
	if errors.Is(err, fs.ErrNotExist) {
		serve, monitor = exists(p.File("ups.conf")), exists(p.File("upsmon.conf"))
		if !serve && !monitor {
			return false, false, fmt.Errorf("there is neither ups.conf nor upsmon.conf in %s; nut sandbox shows what they look like", p.Conf)
		}
		return serve, monitor, nil
	}
	if err != nil {
		return false, false, err
	}
	switch c.Mode {
	case "none":
		return false, false, fmt.Errorf("%s says MODE=none: nothing is to run; set MODE=standalone, netserver or netclient", p.File("nut.conf"))
	case "netclient":
		return false, true, nil
	}
	monitor = exists(p.File("upsmon.conf"))
	if !monitor && c.Mode != "controlled" && c.Mode != "manual" {
		log.Error("there is no upsmon.conf: nothing shuts this host down when its UPS fails", "file", p.File("upsmon.conf"), "MODE", c.Mode)
	}
	return true, monitor, nil
}

// loadUnits finds the driver of every section of ups.conf.
func loadUnits(p conf.Paths, drivers []driver.Driver, log *slog.Logger) ([]Unit, error) {
	file := p.File("ups.conf")
	c, _, err := conf.ReadFile(file, conf.ParseUPSConf) // upsd.Load logged the problems
	if err != nil {
		return nil, err
	}
	var units []Unit
	var errs []error
	for _, s := range c.Sections {
		if !s.Complete() {
			continue // upsd.Load warned
		}
		d, ok := find(drivers, s.Driver())
		if !ok {
			set, _ := s.Setting("driver")
			errs = append(errs, fmt.Errorf("%s:%d: driver %q of [%s] cannot run in one process with the rest%s; if it is another program's, start drivers and upsd as programs of their own", file, set.Line, s.Driver(), s.Name, near(drivers, s.Driver())))
			continue
		}
		cfg, warnings, err := d.ConfigFromFile(c, s.Name)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		for _, w := range warnings {
			log.Warn(w)
		}
		cfg.Values.ConfPath = p.Conf
		units = append(units, Unit{d, cfg})
	}
	return units, errors.Join(errs...)
}

func find(drivers []driver.Driver, name string) (driver.Driver, bool) {
	i := slices.IndexFunc(drivers, func(d driver.Driver) bool {
		return d.Name == name || slices.Contains(d.Aliases, name)
	})
	if i < 0 {
		return driver.Driver{}, false
	}
	return drivers[i], true
}

// near is a question about the driver that was probably meant, empty if none is.
func near(drivers []driver.Driver, name string) string {
	var known []string
	for _, d := range drivers {
		known = append(append(known, d.Name), d.Aliases...)
	}
	if n := words.Nearest(name, known); n != "" {
		return fmt.Sprintf("; did you mean %s?", n)
	}
	return ""
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
