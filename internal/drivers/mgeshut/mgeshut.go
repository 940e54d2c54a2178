// Package mgeshut is the driver of MGE and Eaton UPSes at a serial line: the HID
// device of usbhid-ups, with the same table, over SHUT.
package mgeshut

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"time"

	"gonut/internal/conf"
	"gonut/internal/driver"
	"gonut/internal/hidups"
	"gonut/internal/subdriver"
	"gonut/internal/transport/hid"
	"gonut/internal/transport/record"
	"gonut/internal/transport/serial"
	"gonut/internal/transport/shut"
)

// Version is driver.version.internal: what the driver can do is that of C's 0.73.
const Version = "0.73"

// Driver returns the driver.
func Driver() driver.Driver { return With(openPort) }

// With returns the driver over other lines than serial ports.
func With(open func(v driver.Values) (shut.Line, error)) driver.Driver {
	return driver.Driver{
		Name: "mge-shut", Version: Version, Description: "Eaton / SHUT driver",
		Options:   Options(),
		Check:     func(v driver.Values) error { _, err := hidups.ParseOptions(v); return err },
		FullEvery: hidups.DefaultFullEvery,
		// Each report takes two tenths of a second, and there are a hundred.
		CallLimit:        2 * time.Minute,
		ShutdownCommands: hidups.ShutdownCommands(),
		Open: func(ctx context.Context, v driver.Values, log *slog.Logger) (driver.Device, error) {
			return openDevice(ctx, v, log, open)
		},
	}
}

// Options are the options of ups.conf that only this driver has.
func Options() []driver.Option {
	return append(hidups.CommonOptions(), driver.Option{Name: "notification", Help: "Accepted for compatibility: the UPS is always asked"})
}

// openPort opens a serial line with the power that the interface of the UPS takes
// from it.
func openPort(v driver.Values) (shut.Line, error) {
	p, err := serial.Open(v.Port, serial.Mode{Baud: 2400, Shared: v.NoLock})
	if err != nil {
		return nil, err
	}
	// Pseudo-terminals and some adapters have no such lines; then nothing depends
	// on them.
	_ = p.Lines(false, true)
	return p, nil
}

func openDevice(ctx context.Context, v driver.Values, log *slog.Logger, open func(driver.Values) (shut.Line, error)) (driver.Device, error) {
	o, err := hidups.ParseOptions(v)
	if err != nil {
		return nil, err
	}
	o.PollOnly = true
	if n := v.Get("notification"); n != "" {
		if k, err := strconv.Atoi(n); err != nil || k < 1 || k > 3 {
			return nil, v.Wrong("notification", "there are 1, 2 and 3")
		}
	}
	table, match, err := shutTable(v, log)
	if err != nil {
		return nil, err
	}
	conn, err := connect(ctx, v, open)
	if err != nil {
		return nil, err
	}
	log.Info("found a device", "device", conn.Info(), "table", table.Data())
	d, err := hidups.New(conn, table, match, o, log)
	if err != nil {
		conn.Close()
		return nil, err
	}
	return d, nil
}

// connect gets in touch with the device. Recorded is what it answers, and the bytes
// on the line only where serial numbers may be recorded: they are in pieces there.
func connect(ctx context.Context, v driver.Values, open func(driver.Values) (shut.Line, error)) (hid.Conn, error) {
	onLine := func(line shut.Line, err error) (hid.Conn, error) {
		if errors.Is(err, os.ErrPermission) {
			err = fmt.Errorf("%w: the driver's user must be allowed to use the port (on most systems: member of the group dialout)", err)
		}
		if err != nil {
			return nil, err
		}
		conn, err := shut.New(ctx, line)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", v.Port, err)
		}
		return conn, nil
	}
	if v.Tape.Private() || v.Tape.HasLine() {
		return onLine(v.Tape.Line(v.Port, func() (record.Line, error) { return open(v) }))
	}
	return v.Tape.HIDConn(func() (hid.Conn, error) { return onLine(open(v)) })
}

// shutTable is the table of all devices that speak SHUT.
func shutTable(v driver.Values, log *slog.Logger) (*subdriver.Table, *subdriver.Match, error) {
	path := v.ConfPath
	if path == "" {
		path = conf.FindPaths(func(string) string { return "" }).Conf
	}
	lib := subdriver.Load("hid", subdriver.Layers(path))
	for _, p := range lib.Problems {
		log.Warn("device table", "problem", p)
	}
	found, _ := lib.Find("usb", "0463:ffff", "", "")
	if found.Table == nil {
		return nil, nil, driver.Configf("no device table is for 0463:ffff, which the serial devices are like")
	}
	return found.Table, found.Match, nil
}
