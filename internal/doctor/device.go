package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"gonut/internal/conf"
	"gonut/internal/driver"
	"gonut/internal/transport/hid"
	"gonut/internal/transport/usb"
)

// device checks what the section's port and options point at. It returns nothing
// if nothing is wrong with it, or nothing is known of it.
func (p *practice) device(ctx context.Context, pt *patient) []finding {
	port := pt.Port()
	wrong := func(text, remedy string) []finding { return []finding{{pt.Name, true, text, remedy}} }
	var text, remedy string
	switch {
	case strings.HasPrefix(port, driver.ReplayPrefix):
		text, remedy = p.readable(pt, strings.TrimPrefix(port, driver.ReplayPrefix), "its recording")
	case isNode(port):
		text, remedy = p.node(pt, port)
	case isUSB(pt):
		text, remedy = p.usb(ctx, pt)
	case repeatsDrivers(pt.Driver()):
		text, remedy = p.sources(ctx, pt, port)
	case isFile(pt.Driver()) && strings.Contains(port, "@"):
		text, remedy = p.remote(ctx, pt, port)
	case isFile(pt.Driver()):
		text, remedy = p.valuesFile(pt, port)
	case isNetwork(pt.Driver()):
		text, remedy = p.remote(ctx, pt, port)
	}
	if text == "" {
		return nil
	}
	return wrong(text, remedy)
}

// isUSB reports whether the device is looked for on the USB.
func isUSB(pt *patient) bool {
	return pt.own != nil && slices.ContainsFunc(pt.own.Options, hasName("vendorid"))
}

func hasName(name string) func(driver.Option) bool {
	return func(o driver.Option) bool { return o.Name == name }
}

func isFile(name string) bool { return name == "dummy-ups" }

func repeatsDrivers(name string) bool {
	return slices.Contains([]string{"clone", "clone-outlet", "failover"}, name)
}

// isNode reports whether the port is a device of its own. /dev/null, which stands where
// a driver needs no port, is everybody's.
func isNode(port string) bool { return strings.HasPrefix(port, "/dev/") && port != os.DevNull }

func isNetwork(name string) bool {
	return slices.Contains([]string{"snmp-ups", "netxml-ups", "apcupsd-ups"}, name)
}

// node checks a device that is a file, such as a serial port.
func (p *practice) node(pt *patient, port string) (text, remedy string) {
	path, err := p.world.resolve(port)
	var n node
	if err == nil {
		n, err = p.world.stat(path)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return p.missingNode(pt, port)
	case err != nil:
		return fmt.Sprintf("%s cannot be looked at: %v", port, err), "sudo nut doctor drivers " + quote(pt.Name)
	case n.dir:
		return port + " is a folder and no device", p.edit(portLine(pt.Section))
	case !n.allows(pt.account, mayRead|mayWrite):
		return p.forbidden(pt, path, n), p.allow(pt, path, n)
	}
	return p.held(pt, path)
}

// missingNode names what is there instead.
func (p *practice) missingNode(pt *patient, port string) (text, remedy string) {
	text = "there is no device " + port
	kind := strings.TrimRight(port, "0123456789")
	var others []string
	for _, pattern := range []string{kind + "[0-9]*", "/dev/serial/by-id/*"} {
		others = append(others, p.world.glob(pattern)...)
	}
	if len(others) == 0 {
		return text + "; is it plugged in and switched on?", "dmesg | tail -n 30"
	}
	text += "; there is " + strings.Join(others[:min(len(others), 4)], ", ")
	if len(others) == 1 {
		return text, p.replace(portLine(pt.Section), port, others[0])
	}
	return text, p.edit(portLine(pt.Section))
}

// forbidden says why the driver may not open a node.
func (p *practice) forbidden(pt *patient, path string, n node) string {
	return fmt.Sprintf("no permission: %s is %s, and the driver runs as %s", path, p.world.describe(n), pt.account.Name)
}

// allow is the command that lets the driver open a node.
func (p *practice) allow(pt *patient, path string, n node) string {
	restart := "; upsdrvctl start " + quote(pt.Name)
	group := p.world.groupName(n.gid)
	if n.gid != 0 && n.mode&0o060 == 0o060 {
		return fmt.Sprintf("usermod -a -G %s %s", quote(group), quote(pt.account.Name)) + restart
	}
	mine := p.world.groupName(pt.account.GID)
	if !p.world.exists("/run/udev") {
		return fmt.Sprintf("chgrp %s %s && chmod g+rw %[2]s", quote(mine), quote(path)) + restart
	}
	return udevRule(fmt.Sprintf(`KERNEL=="%s"`, filepath.Base(path)), mine) + restart
}

// udevRule is the command that gives a device to a group, now and whenever it is
// plugged in.
func udevRule(match, group string) string {
	return fmt.Sprintf(`echo '%s, MODE="0660", GROUP="%s"' >>/etc/udev/rules.d/62-nut-local.rules && udevadm control --reload && udevadm trigger --settle`, match, group)
}

// held tells which other process has the device open.
func (p *practice) held(pt *patient, path string) (text, remedy string) {
	for _, h := range p.world.holders(path) {
		if h.pid == pt.pid {
			continue
		}
		remedy = fmt.Sprintf("kill %d", h.pid)
		if h.unit != "" {
			remedy = "systemctl disable --now " + quote(h.unit)
		}
		return fmt.Sprintf("%s is in use by %s (process %d)", path, h.name, h.pid), remedy
	}
	return "", ""
}

// usb checks the devices on the USB that the section's options allow.
func (p *practice) usb(ctx context.Context, pt *patient) (text, remedy string) {
	ds, err := p.world.usb(ctx)
	if errors.Is(err, usb.ErrUnsupported) {
		return "", ""
	}
	if err != nil {
		return fmt.Sprintf("the USB cannot be looked at: %v", err), ""
	}
	m, err := hid.NewMatcher(pt.config.Values.Get)
	if err != nil {
		return err.Error(), p.edit(pt.Line)
	}
	var fit, maybe []usb.Device
	for _, d := range ds {
		if !mayBeUPS(d) {
			continue
		}
		maybe = append(maybe, d)
		if m.Match(info(d)) {
			fit = append(fit, d)
		}
	}
	if len(fit) == 0 {
		return absent(maybe, selects(pt)), "lsusb"
	}
	for _, d := range fit {
		path := fmt.Sprintf("/dev/bus/usb/%03d/%03d", d.Bus, d.Number)
		if text, remedy = p.usbNode(pt, d, path); text != "" {
			continue
		}
		// A driver passes over what is in use only if its section says so.
		if text, remedy = p.held(pt, path); text == "" || !pt.Has("allow_duplicates") {
			return text, remedy
		}
	}
	return text, remedy
}

// absent says that no device fits, and which there are.
func absent(others []usb.Device, selected bool) string {
	if len(others) == 0 {
		return "no USB device is plugged in that may be a UPS"
	}
	var names []string
	for _, d := range others {
		names = append(names, d.String())
	}
	text := "no USB device fits"
	if selected {
		text += " the options of its section"
	}
	return text + "; there is " + strings.Join(names, ", ")
}

// selects reports whether the section says which of several devices it means.
func selects(pt *patient) bool {
	return slices.ContainsFunc(hid.MatchOptions(), pt.Has)
}

// usbNode checks whether the driver may open the node of one device.
func (p *practice) usbNode(pt *patient, d usb.Device, path string) (text, remedy string) {
	n, err := p.world.stat(path)
	if err != nil || !n.allows(pt.account, mayRead|mayWrite) {
		// The driver uses hidraw then, whose nodes it locks.
		for _, raw := range p.world.glob(fmt.Sprintf("/sys/bus/usb/devices/%s/%[1]s:*/*/hidraw/hidraw*", d.Path)) {
			if text, remedy = p.held(pt, "/dev/"+filepath.Base(raw)); text != "" {
				return text, remedy
			}
		}
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Sprintf("%s is plugged in, but %s does not exist; in a container the node has to be passed in", d, path),
			"ls -lR /dev/bus/usb"
	case err != nil:
		return err.Error(), ""
	case !n.allows(pt.account, mayRead|mayWrite):
		rule := fmt.Sprintf(`SUBSYSTEM=="usb", ATTR{idVendor}=="%04x", ATTR{idProduct}=="%04x"`, d.Vendor, d.Product)
		remedy = udevRule(rule, p.world.groupName(pt.account.GID)) + "; upsdrvctl start " + quote(pt.Name)
		if !p.world.exists("/run/udev") {
			remedy = p.allow(pt, path, n)
		}
		return p.forbidden(pt, path, n) + fmt.Sprintf(" (%04x:%04x %s)", d.Vendor, d.Product, d.Name), remedy
	}
	return "", ""
}

// mayBeUPS reports whether a device has an interface of a class that UPSes have:
// HID (no keyboard or mouse) or the maker's own.
func mayBeUPS(d usb.Device) bool {
	const vendorSpecific, boot = 0xff, 1
	for _, i := range d.Active().Interfaces {
		if i.Class == vendorSpecific || i.Class == usb.ClassHID && i.Subclass != boot {
			return true
		}
	}
	return false
}

// info is a device as the options of drivers see it.
func info(d usb.Device) hid.Info {
	return hid.Info{
		VendorID: d.Vendor, ProductID: d.Product, Release: d.Release,
		Manufacturer: d.Manufacturer, Product: d.Name, Serial: d.Serial,
		Bus: fmt.Sprintf("%03d", d.Bus), Device: fmt.Sprintf("%03d", d.Number), BusPort: fmt.Sprintf("%03d", d.Port),
	}
}

// valuesFile checks the file of a dummy device.
func (p *practice) valuesFile(pt *patient, port string) (text, remedy string) {
	if port == "simulator" || pt.Get("mode") == "simulator" || strings.Contains(port, ":") {
		return "", "" // built in
	}
	return p.readable(pt, port, "its file of values")
}

// readable checks a file that the driver plays.
func (p *practice) readable(pt *patient, path, what string) (text, remedy string) {
	if !filepath.IsAbs(path) {
		path = filepath.Join(p.paths.Conf, path)
	}
	n, err := p.world.stat(path)
	switch {
	case err != nil:
		return fmt.Sprintf("%s cannot be used: %v", what, err), p.edit(portLine(pt.Section))
	case !n.allows(pt.account, mayRead):
		return p.forbidden(pt, path, n), fmt.Sprintf("chgrp %s %s && chmod g+r %[2]s", quote(p.world.groupName(pt.account.GID)), quote(path))
	}
	return "", ""
}

// sources checks the drivers that a virtual one repeats.
func (p *practice) sources(ctx context.Context, pt *patient, port string) (text, remedy string) {
	for _, name := range strings.FieldsFunc(port, func(r rune) bool { return r == ',' || r == ' ' }) {
		socket := name
		if !filepath.IsAbs(socket) {
			socket = filepath.Join(p.statePath(), name)
		}
		state := p.world.ask(ctx, socket, "", "")
		if state.kind == working || state.kind == refusing {
			continue
		}
		i := slices.IndexFunc(p.file.Sections, func(s conf.Section) bool {
			return s.Driver()+"-"+s.Name == filepath.Base(name)
		})
		switch {
		case state.kind != absentDriver:
			text, remedy = "the driver that it repeats, "+name+", has no current values itself", "nut doctor drivers"
		case i < 0:
			return "the driver that it repeats, " + name + ", is not running and in no section of ups.conf", p.edit(portLine(pt.Section))
		default:
			text, remedy = "the driver that it repeats, "+name+", is not running", "upsdrvctl start"
		}
		if i >= 0 {
			remedy += " " + quote(p.file.Sections[i].Name)
		}
		return text, remedy
	}
	return "", ""
}

// remote checks that the name of a device on the network leads somewhere.
func (p *practice) remote(ctx context.Context, pt *patient, port string) (text, remedy string) {
	host := port
	if _, rest, ok := strings.Cut(host, "://"); ok {
		host, _, _ = strings.Cut(rest, "/")
	}
	if _, rest, ok := strings.Cut(host, "@"); ok {
		host = rest
	}
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.Trim(host, "[]")
	if err := p.world.lookup(ctx, host); err != nil {
		return fmt.Sprintf("the name %s of its device leads nowhere: %v", host, err), p.edit(portLine(pt.Section))
	}
	return "", ""
}

// sharedPorts returns for each section that another one wants the same device a
// text that says so.
func (p *practice) sharedPorts() map[string]string {
	texts := make(map[string]string)
	users := make(map[string][]string)
	for _, s := range p.file.Sections {
		if key := p.portKey(s); key != "" {
			users[key] = append(users[key], s.Name)
		}
	}
	for key, names := range users {
		for i, n := range names {
			if len(names) > 1 {
				others := slices.Delete(slices.Clone(names), i, i+1)
				texts[n] = fmt.Sprintf("it is to use the same device as %s: %s", strings.Join(others, ", "), key)
			}
		}
	}
	return texts
}

// portKey returns what names the device of a section, empty if that does not tell
// one from another.
func (p *practice) portKey(s conf.Section) string {
	if port := s.Port(); isNode(port) {
		if path, err := p.world.resolve(port); err == nil {
			return path
		}
		return port
	}
	for _, d := range p.drivers {
		if d.Name != s.Driver() || !slices.ContainsFunc(d.Options, hasName("vendorid")) {
			continue
		}
		var how []string
		for _, o := range hid.MatchOptions() {
			if s.Has(o) {
				how = append(how, o+" = "+s.Get(o))
			}
		}
		if how == nil {
			return "any that " + d.Name + " finds; tell them apart with serial ="
		}
		return "that with " + strings.Join(how, ", ")
	}
	return ""
}
