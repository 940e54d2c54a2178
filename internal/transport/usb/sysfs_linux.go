package usb

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// A System is where devices are found. The zero System is the running one;
// tests point the fields to folders of their own.
type System struct {
	Sysfs   string // "/sys" if empty
	Devices string // "/dev/bus/usb" if empty
}

func (s System) sysfs() string {
	if s.Sysfs == "" {
		return "/sys"
	}
	return s.Sysfs
}

func (s System) nodes() string {
	if s.Devices == "" {
		return "/dev/bus/usb"
	}
	return s.Devices
}

// HasNodes reports whether there is a folder of devices that can be opened: in a
// container there may be none.
func (s System) HasNodes() bool {
	_, err := os.Stat(s.nodes())
	return err == nil
}

func (s System) node(d Device) string {
	return filepath.Join(s.nodes(), fmt.Sprintf("%03d", d.Bus), fmt.Sprintf("%03d", d.Number))
}

// List returns the devices that are plugged in, hubs left out, in the order of
// their places. A device that goes away meanwhile is not in it.
func (s System) List(ctx context.Context) ([]Device, error) {
	dir := filepath.Join(s.sysfs(), "bus/usb/devices")
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // a kernel without USB has no USB devices
	}
	if err != nil {
		return nil, fmt.Errorf("list USB devices: %w", err)
	}
	var ds []Device
	for _, e := range entries {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if name := e.Name(); !strings.Contains(name, ":") && !strings.HasPrefix(name, "usb") {
			d, err := readDevice(filepath.Join(dir, name))
			if err == nil && d.Class != ClassHub {
				ds = append(ds, d)
			}
		}
	}
	slices.SortFunc(ds, func(a, b Device) int {
		if a.Bus != b.Bus {
			return a.Bus - b.Bus
		}
		return a.Number - b.Number
	})
	return ds, nil
}

// readDevice reads one device's folder in sysfs.
func readDevice(dir string) (Device, error) {
	d := Device{Path: filepath.Base(dir)}
	raw, err := os.ReadFile(filepath.Join(dir, "descriptors"))
	if err != nil {
		return Device{}, err
	}
	if err := d.ParseDescriptors(raw); err != nil {
		return Device{}, fmt.Errorf("%s: %w", dir, err)
	}
	if d.Bus, err = number(dir, "busnum"); err != nil {
		return Device{}, err
	}
	if d.Number, err = number(dir, "devnum"); err != nil {
		return Device{}, err
	}
	if c, err := number(dir, "bConfigurationValue"); err == nil {
		d.Configuration = uint8(c)
	}
	d.Port = lastPort(attribute(dir, "devpath"))
	d.Manufacturer = plainText(attribute(dir, "manufacturer"))
	d.Name = plainText(attribute(dir, "product"))
	d.Serial = plainText(attribute(dir, "serial"))
	return d, nil
}

// lastPort takes the port on the nearest hub from a path like "1.4.2".
func lastPort(devpath string) int {
	n, err := strconv.Atoi(devpath[strings.LastIndexByte(devpath, '.')+1:])
	if err != nil {
		return 0
	}
	return n
}

// attribute returns a file's text without the line feed that sysfs adds, empty
// if it cannot be read.
func attribute(dir, name string) string {
	p, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(string(p), "\n")
}

func number(dir, name string) (int, error) {
	n, err := strconv.Atoi(attribute(dir, name))
	if err != nil {
		return 0, fmt.Errorf("read %s: %w", filepath.Join(dir, name), err)
	}
	return n, nil
}
