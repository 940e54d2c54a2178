package main

import (
	"errors"
	"strings"
	"testing"

	"gonut/internal/conf"
	"gonut/internal/driver"
)

// Each driver knows a wrong value when it sees it, without its device, and tells the
// line; a right one is no reason to complain.
func TestWrongOptionsAreToldBeforeTheStart(t *testing.T) {
	for _, tt := range []struct{ driver, port, option, want string }{
		{"dummy-ups", "simulator", "sim_speed = 0", "ups.conf:4: sim_speed = 0: it must be above 0"},
		{"dummy-ups", "simulator", "sim_charge = x", "ups.conf:4: sim_charge = x: "},
		{"dummy-ups", "ups@a@b", "", "ups.conf:3: port = ups@a@b: "},
		{"dummy-ups", "recording:none", "", "ups.conf:3: port = recording:none: there is no such recording"},
		{"dummy-ups", "simulator", "sim_speed = 2", ""},
		{"dummy-ups", "ups@localhost", "", ""},
		{"dummy-ups", "none.dev", "", ""}, // the file may come
		{"clone", "dummy-ups-x", "offdelay = -3", "ups.conf:4: offdelay = -3: "},
		{"clone", "dummy-ups-x", "offdelay = 3", ""},
		{"clone-outlet", "dummy-ups-x", "", "give prefix = outlet.N"},
		{"clone-outlet", "dummy-ups-x", "prefix = outlet.1", ""},
		{"failover", ", ,", "", "ups.conf:3: port = , ,: it names no driver"},
		{"failover", "a-b", "fsdmode = 3", "ups.conf:4: fsdmode = 3: there are 0, 1 and 2"},
		{"failover", "a-b", "fsdmode = 2", ""},
		{"apcupsd-ups", "a b", "", "ups.conf:3: port = a b: it must be host[:port]"},
		{"apcupsd-ups", "host", "", ""},
		{"nut-upower", "auto", "lowbatt = 101", "ups.conf:4: lowbatt = 101: it must be from 0 to 100"},
		{"nut-upower", "auto", "lowbatt = 10", ""},
		{"usbhid-ups", "auto", "offdelay = soon", "ups.conf:4: offdelay = soon: this is no whole number"},
		{"usbhid-ups", "auto", "offdelay = 30", ""},
		{"mge-shut", "/dev/ttyS0", "offdelay = soon", "ups.conf:4: offdelay = soon: this is no whole number"},
		{"mge-shut", "/dev/ttyS0", "offdelay = 30", ""},
	} {
		f, _, err := conf.ParseUPSConf("ups.conf", strings.NewReader("[u]\ndriver = "+tt.driver+"\nport = \""+tt.port+"\"\n"+tt.option+"\n"))
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range drivers() {
			if d.Name != tt.driver {
				continue
			}
			_, _, err := d.ConfigFromFile(f, "u")
			switch {
			case tt.want == "" && err != nil:
				t.Errorf("%s, port = %s, %s: %v; want nil", tt.driver, tt.port, tt.option, err)
			case tt.want != "" && (!errors.Is(err, driver.ErrConfig) || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("%s, port = %s, %s: %v; want %q", tt.driver, tt.port, tt.option, err, tt.want)
			}
		}
	}
}
