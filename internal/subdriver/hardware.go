package subdriver

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// A USBDevice is one pair of ids that a table is for.
type USBDevice struct {
	Vendor, Product string // four hexadecimal digits each
	Table           string
	Driver          string
	Condition       string // on the device's texts, empty if there is none
}

// DriverOf returns the program that reads the tables of a family.
func DriverOf(family string) string {
	return map[string]string{"hid": "usbhid-ups", "snmp": "snmp-ups", "qx": "nutdrv_qx", "modbus": "apc_modbus", "contact": "genericups", "xml": "netxml-ups"}[family]
}

// USBDevices returns all ids of the libraries, sorted, each with the first table
// that takes it without a condition, or all that take it with one.
func USBDevices(libs ...*Library) []USBDevice {
	var ds []USBDevice
	for _, l := range libs {
		for _, t := range l.Tables {
			for _, m := range t.Matches {
				if m.Kind != "usb" {
					continue
				}
				for _, id := range m.IDs {
					vendor, product, _ := strings.Cut(id, ":")
					ds = append(ds, USBDevice{vendor, product, t.Name, DriverOf(t.Family), m.condition()})
				}
			}
		}
	}
	slices.SortFunc(ds, func(a, b USBDevice) int {
		return strings.Compare(a.Vendor+a.Product+a.Driver+a.Table+a.Condition, b.Vendor+b.Product+b.Driver+b.Table+b.Condition)
	})
	return slices.Compact(ds)
}

func (m *Match) condition() string {
	var cs []string
	if m.Vendor != nil {
		cs = append(cs, "manufacturer "+m.Vendor.String())
	}
	if m.Product != nil {
		cs = append(cs, "product "+m.Product.String())
	}
	if m.Text != nil {
		cs = append(cs, "text "+m.Text.String())
	}
	return strings.Join(cs, ", ")
}

// ids returns each pair of ids once.
func ids(ds []USBDevice) []USBDevice {
	return slices.CompactFunc(slices.Clone(ds), func(a, b USBDevice) bool { return a.Vendor == b.Vendor && a.Product == b.Product })
}

// WriteUdev writes the rules that let the group nut use the devices.
func WriteUdev(w io.Writer, ds []USBDevice) error {
	b := &strings.Builder{}
	b.WriteString(`# Lets members of the group nut use the UPSes that NUT's device tables know.
# Made by "nut subdriver udev"; do not edit, run it again. C NUT's file
# 62-nut-usbups.rules, which has the devices of its other drivers, may stay beside it.
ACTION=="remove", GOTO="nut_usb_end"
SUBSYSTEM=="usb", ENV{DEVTYPE}=="usb_device", GOTO="nut_usb_device"
SUBSYSTEM=="hidraw", GOTO="nut_usb_hidraw"
GOTO="nut_usb_end"

LABEL="nut_usb_device"
`)
	for _, d := range ids(ds) {
		fmt.Fprintf(b, "ATTR{idVendor}==%q, ATTR{idProduct}==%q, MODE=\"0660\", GROUP=\"nut\"\n", d.Vendor, d.Product)
	}
	b.WriteString("GOTO=\"nut_usb_end\"\n\nLABEL=\"nut_usb_hidraw\"\n")
	for _, d := range ids(ds) {
		if d.Driver == DriverOf("hid") {
			fmt.Fprintf(b, "ATTRS{idVendor}==%q, ATTRS{idProduct}==%q, MODE=\"0660\", GROUP=\"nut\"\n", d.Vendor, d.Product)
		}
	}
	b.WriteString("\nLABEL=\"nut_usb_end\"\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// WriteHwdb writes the entries of systemd's hardware data base: a UPS must not be
// put to sleep, and other programs can see which driver it is for.
func WriteHwdb(w io.Writer, ds []USBDevice) error {
	b := &strings.Builder{}
	b.WriteString("# The UPSes that NUT's device tables know.\n# Made by \"nut subdriver hwdb\"; do not edit, run it again.\n")
	for _, d := range ids(ds) {
		fmt.Fprintf(b, "\nusb:v%sp%s*\n ID_AUTOSUSPEND=0\n NUT_DRIVER=%s\n", strings.ToUpper(d.Vendor), strings.ToUpper(d.Product), d.Driver)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// WriteHardware writes the page of the manual that lists what is supported.
func WriteHardware(w io.Writer, libs ...*Library) error {
	b := &strings.Builder{}
	b.WriteString("# Hardware that the device tables know\n\nMade by `nut subdriver hardware` from the tables; do not edit, run it again.\n")
	for _, l := range libs {
		for _, t := range l.Tables {
			if len(t.Matches) > 0 {
				t.hardware(b)
			}
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (t *Table) hardware(b *strings.Builder) {
	fmt.Fprintf(b, "\n## %s (%s, table %s/%s)\n\n", t.Data(), DriverOf(t.Family), t.Family, t.Name)
	if about := t.about(); about != "" {
		fmt.Fprintf(b, "%s.\n\n", about)
	}
	for _, l := range t.devicesByKind() {
		fmt.Fprintf(b, "- %s\n", l)
	}
	for _, m := range t.Refusals {
		fmt.Fprintf(b, "- not %s: %s\n", strings.Join(m.IDs, " "), m.Reason)
	}
	if len(t.Models) > 0 {
		var names []string
		for _, m := range t.Models {
			name := m.Name
			if name == "" {
				name = m.Product + " " + m.Model
			}
			names = append(names, name)
		}
		slices.SortFunc(names, func(a, b string) int { return strings.Compare(strings.ToLower(a), strings.ToLower(b)) })
		fmt.Fprintf(b, "\nModels known by name: %s.\n", strings.Join(slices.Compact(names), ", "))
	}
}

// devicesByKind are lines with the ids of devices: those that the table takes whatever
// they call themselves, and those that it takes on a condition.
func (t *Table) devicesByKind() (lines []string) {
	var kinds []string
	always := map[string][]string{}
	for _, m := range t.Matches {
		if !slices.Contains(kinds, m.Kind) {
			kinds = append(kinds, m.Kind)
		}
		if m.conditions() == 0 {
			always[m.Kind] = append(always[m.Kind], m.IDs...)
		}
	}
	for _, k := range kinds {
		slices.Sort(always[k])
		if ids := slices.Compact(always[k]); len(ids) > 0 {
			lines = append(lines, fmt.Sprintf("%s: `%s`", k, strings.Join(ids, "` `")))
		}
	}
	for _, m := range t.Matches {
		if !slices.ContainsFunc(m.IDs, func(id string) bool { return slices.Contains(always[m.Kind], id) }) {
			lines = append(lines, fmt.Sprintf("%s: `%s` if %s", m.Kind, strings.Join(m.IDs, "` `"), m.condition()))
		}
	}
	return lines
}

// about is the comment that the file begins with.
func (t *Table) about() string {
	first, _, _ := strings.Cut(t.text, "\n")
	text, ok := strings.CutPrefix(first, "#")
	if !ok {
		return ""
	}
	return strings.TrimRight(strings.TrimSpace(text), ".")
}
