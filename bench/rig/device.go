package rig

import (
	_ "embed"
	"fmt"
	"strings"

	"gonut/bench/load"
)

// deviceText is what every device of the benchmark says of itself: a variable and
// its value a line, in the order in which servers list them.
//
//go:embed device.txt
var deviceText string

// Name returns the name of the i-th device, counted from 0.
func Name(i int) string { return fmt.Sprintf("ups%d", i) }

// dump is the answer of a driver that is asked for everything.
func dump() []byte {
	var b strings.Builder
	for line := range strings.Lines(deviceText) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		fmt.Fprintf(&b, "SETINFO %s \"%s\"\n", name, value)
	}
	b.WriteString("ADDCMD test.battery.start\nDATAOK\nDUMPDONE\n")
	return []byte(b.String())
}

// GetStatus asks for the status of a device.
func GetStatus(ups string) load.Exchange {
	return load.Exchange{
		Send: []byte("GET VAR " + ups + " ups.status\n"),
		Want: []byte("VAR " + ups + " ups.status \"OL\"\n"),
	}
}

// ListVar asks for all variables of a device.
func ListVar(ups string) load.Exchange {
	var want strings.Builder
	fmt.Fprintf(&want, "BEGIN LIST VAR %s\n", ups)
	for line := range strings.Lines(deviceText) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		fmt.Fprintf(&want, "VAR %s %s \"%s\"\n", ups, name, value)
	}
	fmt.Fprintf(&want, "END LIST VAR %s\n", ups)
	return load.Exchange{Send: []byte("LIST VAR " + ups + "\n"), Want: []byte(want.String())}
}

// ListUPS asks which devices there are; the rig has n.
func ListUPS(n int) load.Exchange {
	var want strings.Builder
	want.WriteString("BEGIN LIST UPS\n")
	for i := range n {
		fmt.Fprintf(&want, "UPS %s \"Bench %d\"\n", Name(i), i)
	}
	want.WriteString("END LIST UPS\n")
	return load.Exchange{Send: []byte("LIST UPS\n"), Want: []byte(want.String())}
}
