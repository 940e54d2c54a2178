package driver_test

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"gonut/internal/conf"
	"gonut/internal/driver"
)

// read parses ups.conf and takes the section [ups] for the bench's driver.
func read(t *testing.T, text string) (driver.Config, []string, error) {
	t.Helper()
	f, _, err := conf.ParseUPSConf("ups.conf", strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	d := newBench().driver()
	d.Aliases = []string{"bench-old"}
	return d.ConfigFromFile(f, "ups")
}

// Each row is one directive of ups.conf and what becomes of it; the first row of a
// directive is its default.
func TestDirectives(t *testing.T) {
	none := driver.NewConfig("", "")
	tests := []struct {
		global, section string
		get             func(c driver.Config) any
		want            any
	}{
		{"", "", func(c driver.Config) any { return c.Values.Port }, "here"},
		{"", "port = there\nport = elsewhere", func(c driver.Config) any { return c.Values.Port }, "elsewhere"},
		{"", "", func(c driver.Config) any { return c.Values.UPS }, "ups"},
		{"", "", func(c driver.Config) any { return c.PollInterval }, 2 * time.Second},
		{"pollinterval = 7", "", func(c driver.Config) any { return c.PollInterval }, 7 * time.Second},
		{"pollinterval = 7", "pollinterval = 9", func(c driver.Config) any { return c.PollInterval }, 9 * time.Second},
		{"", "", func(c driver.Config) any { return c.Synchronous }, "auto"},
		{"synchronous = yes", "", func(c driver.Config) any { return c.Synchronous }, "yes"},
		{"synchronous = yes", "synchronous = whatever", func(c driver.Config) any { return c.Synchronous }, "no"},
		{"", "", func(c driver.Config) any { return c.MaxTries }, -1},
		{"reconnect_max_tries = 3", "", func(c driver.Config) any { return c.MaxTries }, 3},
		{"reconnect_max_tries = 3", "reconnect_max_tries = 0", func(c driver.Config) any { return c.MaxTries }, 0},
		{"", "reconnect_max_tries = never", func(c driver.Config) any { return c.MaxTries }, -1},
		{"", "", func(c driver.Config) any { return c.ReportEvery }, -1},
		{"reconnect_report_freq = 5", "", func(c driver.Config) any { return c.ReportEvery }, 5},
		{"reconnect_report_freq = 5", "reconnect_report_freq = 6", func(c driver.Config) any { return c.ReportEvery }, 6},
		{"", "", func(c driver.Config) any { return c.Debug }, 0},
		{"debug_min = 2", "", func(c driver.Config) any { return c.Debug }, 2},
		{"Debug_Min = 2", "DEBUG_MIN = 1", func(c driver.Config) any { return c.Debug }, 1},
		{"", "debug_min = -1", func(c driver.Config) any { return c.Debug }, 0},
		{"LIBUSB_DEBUG = 3", "", func(c driver.Config) any { return c.LibUSBDebug }, "3"},
		{"LIBUSB_DEBUG = 3", "LIBUSB_DEBUG = 1", func(c driver.Config) any { return c.LibUSBDebug }, "1"},
		{"user = a\ngroup = b", "", func(c driver.Config) any { return c.User + " " + c.Group }, "a b"},
		{"user = a\ngroup = b", "user = c\ngroup = d", func(c driver.Config) any { return c.User + " " + c.Group }, "c d"},
		{"chroot = /jail", "", func(c driver.Config) any { return c.Chroot }, "/jail"},
		{"StatePath = /run/x", "", func(c driver.Config) any { return c.StatePath }, "/run/x"},
		{"", "sdcommands = \"shutdown.return, load.off,load.on\"", func(c driver.Config) any { return c.ShutdownCommands }, []string{"shutdown.return", "load.off", "load.on"}},
		{"", "", func(c driver.Config) any { return c.IgnoreLB || c.NoLock || c.AllowKillpower }, false},
		{"", "ignorelb", func(c driver.Config) any { return c.IgnoreLB }, true},
		{"", "ignorelb = no", func(c driver.Config) any { return c.IgnoreLB }, true}, // as in C; the parser of ups.conf warns
		{"", "nolock", func(c driver.Config) any { return c.NoLock && c.Values.NoLock }, true},
		{"", "allow_killpower", func(c driver.Config) any { return c.AllowKillpower }, true},
		{"", "default.battery.charge.low = 20\nDefault.Battery.Charge.Low = 30", func(c driver.Config) any { return c.Presets },
			[]driver.Preset{{Name: "battery.charge.low", Value: "30"}}},
		{"", "override.ups.mfr = \"A B\"\ndefault.ups.mfr = C", func(c driver.Config) any { return c.Presets },
			[]driver.Preset{{Name: "ups.mfr", Value: "A B", Frozen: true}, {Name: "ups.mfr", Value: "C"}}},
		{"", "speed = 1200\nSPEED = 2400", func(c driver.Config) any { return c.Values.Get("speed") }, "2400"},
		{"", "loud", func(c driver.Config) any { return c.Values.Has("loud") && !c.Values.Has("speed") }, true},
		{"", "colour", func(c driver.Config) any { return c.Values.Has("colour") && c.Values.Get("colour") == "" }, true},
		{"", "colour = red", func(c driver.Config) any { return c.Values.Get("colour") }, "red"},
		{"", "loud = no", func(c driver.Config) any { return c.Values.Has("loud") }, true},
		{"", "driver = lt-bench", func(c driver.Config) any { return c.Values.UPS }, "ups"},
		{"", "driver = bench-old", func(c driver.Config) any { return c.Values.UPS }, "ups"},
		// What is meant for others, or for nobody, changes nothing.
		{"driverpath = /x\nmaxstartdelay = 1\nmaxretry = 1\nretrydelay = 1\nnowait\nnonsense = 1",
			"desc = x\nsdorder = 1\nmaxstartdelay = 1\nmaxretry = 1\nretrydelay = 1\nnowait\nsddelay = 1",
			func(c driver.Config) any { c.Values = none.Values; return c }, none},
	}
	for _, tt := range tests {
		c, _, err := read(t, tt.global+"\n[ups]\ndriver = bench\nport = here\n"+tt.section+"\n")
		if err != nil {
			t.Errorf("%q and %q: %v", tt.global, tt.section, err)
			continue
		}
		if got := tt.get(c); !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%q and %q: got %v; want %v", tt.global, tt.section, got, tt.want)
		}
	}
}

func TestBadDirectives(t *testing.T) {
	for text, want := range map[string]string{
		"[other]\ndriver = bench\nport = x":                             "there is no section [ups]",
		"[UPS]\ndriver = bench\nport = x":                               "did you mean UPS?",
		"[ups]\ndriver = bench":                                         "section [ups] has no port",
		"[ups]\ndriver = usbhid-ups\nport = x":                          "ups.conf:2: the section is for driver usbhid-ups",
		"[ups]\ndriver = bench\nport = x\npollinterval = 0":             "ups.conf:4: pollinterval = 0",
		"[ups]\ndriver = bench\nport = x\npollinterval = soon":          "ups.conf:4: pollinterval = soon",
		"pollinterval = -1\n[ups]\ndriver = bench\nport = x":            "ups.conf:1: pollinterval = -1",
		"[ups]\ndriver = bench\nport = x\nspeeed = 1":                   "ups.conf:4: speeed is no option of driver bench (did you mean speed?)",
		"[ups]\ndriver = bench\nport = x\nspeed":                        "ups.conf:4: option speed of driver bench wants a value",
		"[ups]\ndriver = bench\nport = x\nIgnoreLB":                     "ups.conf:4: IgnoreLB is no option of driver bench (did you mean ignorelb?)",
		"[ups]\ndriver = bench\nport = x\npassword = hush\npaswort = y": "did you mean password?",
	} {
		_, _, err := read(t, text)
		if !errors.Is(err, driver.ErrConfig) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v; want %q", text, err, want)
		}
	}
}

// What the configuration shows of itself; secrets are not among it.
func TestConfigIsPublished(t *testing.T) {
	c, _, err := read(t, `
[ups]
	driver = bench
	port = here
	nolock
	ignorelb
	allow_killpower
	sdcommands = load.off
	default.battery.charge.low = 30
	override.battery.charge = 90
	speed = 9600
	loud
	password = hush
`)
	if err != nil {
		t.Fatal(err)
	}
	s := driver.NewSession(newBench().driver(), c, driver.Hooks{}, nil)
	var got []string
	for _, v := range s.State().Snapshot().Variables {
		if strings.HasPrefix(v.Name, "driver.flag.") || strings.HasPrefix(v.Name, "driver.parameter.") {
			got = append(got, v.Name+" = "+v.Value)
		}
	}
	want := []string{
		"driver.flag.allow_killpower = 1",
		"driver.flag.ignorelb = enabled",
		"driver.flag.loud = enabled",
		"driver.flag.nolock = enabled",
		"driver.parameter.default.battery.charge.low = 30",
		"driver.parameter.override.battery.charge = 90",
		"driver.parameter.pollinterval = 2",
		"driver.parameter.port = here",
		"driver.parameter.sdcommands = load.off",
		"driver.parameter.speed = 9600",
		"driver.parameter.synchronous = auto",
	}
	if !slices.Equal(got, want) {
		t.Errorf("published %q; want %q", got, want)
	}
}

// What a driver finds wrong with a value is told with the line where it stands.
func TestWrongTellsThePlace(t *testing.T) {
	c, _, err := read(t, "[ups]\ndriver = bench\nport = here\nSpeed = 1\nSPEED = 2\n")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"speed": "ups.conf:5: speed = 2: too slow",
		"port":  "ups.conf:3: port = here: too slow",
		"mode":  "mode = : too slow",
	} {
		err := c.Values.Wrong(name, "too %s", "slow")
		if !errors.Is(err, driver.ErrConfig) || err.Error() != want {
			t.Errorf("Wrong(%s) = %v; want %q", name, err, want)
		}
	}
}
