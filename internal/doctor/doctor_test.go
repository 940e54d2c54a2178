package doctor

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gonut/internal/daemon"
	"gonut/internal/driver"
	"gonut/internal/program"
	"gonut/internal/transport/usb"
)

// testDrivers are drivers of all families.
func testDrivers() []driver.Driver {
	return []driver.Driver{
		{Name: "dummy-ups", Options: []driver.Option{{Name: "mode"}}},
		{Name: "usbhid-ups", Options: []driver.Option{{Name: "vendorid"}, {Name: "productid"}, {Name: "serial"}, {Name: "pollonly", Flag: true}, {Name: "allow_duplicates", Flag: true}}},
		{Name: "nutdrv_qx", Aliases: []string{"blazer_ser"}, Options: []driver.Option{{Name: "protocol"}}},
		{Name: "snmp-ups"},
		{Name: "clone"},
	}
}

// testWorld is a host on which nothing is wrong and nothing runs.
func testWorld() world {
	nodes := map[string]node{
		"/run/nut":             {mode: 0o770, uid: 0, gid: 105, dir: true},
		"/conf/ok.dev":         {mode: 0o644},
		"/conf/secret.dev":     {mode: 0o600},
		"/dev/ttyS0":           {mode: 0o660, gid: 105},
		"/dev/ttyS1":           {mode: 0o660, gid: 20},
		"/dev/ttyS2":           {mode: 0o600},
		"/dev/ttyACM0":         {mode: 0o666},
		"/dev/bus/usb/001/004": {mode: 0o664, gid: 105},
		"/dev/bus/usb/001/005": {mode: 0o664},
		"/dev":                 {mode: 0o755, dir: true},
	}
	return world{
		stat: func(path string) (node, error) {
			n, ok := nodes[path]
			if !ok {
				return node{}, &fs.PathError{Op: "stat", Path: path, Err: fs.ErrNotExist}
			}
			return n, nil
		},
		exists: func(path string) bool { return path == "/run/udev" || path == "/lib/nut/cdriver" },
		resolve: func(path string) (string, error) {
			if path == "/dev/ups" {
				return "/dev/ttyS0", nil
			}
			return path, nil
		},
		glob: func(pattern string) []string {
			var found []string
			for path := range nodes {
				if ok, _ := filepath.Match(pattern, path); ok {
					found = append(found, path)
				}
			}
			slices.Sort(found)
			return found
		},
		names: func(string) []string { return []string{"cdriver"} },
		account: func(name string) (daemon.Account, error) {
			switch name {
			case "nut":
				return daemon.Account{Name: "nut", UID: 102, GID: 105, Groups: []int{105}}, nil
			case "root":
				return daemon.Account{Name: "root"}, nil
			}
			return daemon.Account{}, errors.New("unknown user")
		},
		userName:  func(uid int) string { return map[int]string{0: "root", 102: "nut"}[uid] },
		groupName: func(gid int) string { return map[int]string{0: "root", 20: "dialout", 105: "nut"}[gid] },
		usb:       func(context.Context) ([]usb.Device, error) { return nil, nil },
		holders:   func(string) []holder { return nil },
		lookup:    func(context.Context, string) error { return nil },
		ask:       func(context.Context, string, string, string) answer { return answer{} },
	}
}

// apc returns a USB device as an APC UPS shows itself.
func apc(number int, serial string) usb.Device {
	return usb.Device{Path: fmt.Sprintf("1-%d", number), Bus: 1, Number: number, Vendor: 0x051d, Product: 2, Name: "Back-UPS", Serial: serial,
		Configurations: []usb.Configuration{{Interfaces: []usb.InterfaceSetting{{Class: usb.ClassHID}}}}}
}

// firstHeld is a host on which another driver has the first of two devices.
func firstHeld(w *world) {
	w.usb = plugged(apc(4, "X1"), apc(104, "Y"))
	stat := w.stat
	w.stat = func(path string) (node, error) { return stat(strings.Replace(path, "/104", "/004", 1)) }
	w.holders = func(path string) []holder {
		if path != "/dev/bus/usb/001/004" {
			return nil
		}
		return []holder{{pid: 12, name: "usbhid-ups"}}
	}
}

func keyboard() usb.Device {
	return usb.Device{Bus: 1, Number: 9, Vendor: 0x046d, Product: 1, Name: "Keyboard",
		Configurations: []usb.Configuration{{Interfaces: []usb.InterfaceSetting{{Class: usb.ClassHID, Subclass: 1, Protocol: 1}}}}}
}

// A clinic runs the program on a ups.conf in a world.
func clinic(t *testing.T, w world, upsConf string, args ...string) (code int, out string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "ups.conf"), []byte(upsConf), 0o644); err != nil {
		t.Fatal(err)
	}
	stat := w.stat
	w.stat = func(path string) (node, error) { return stat(strings.Replace(path, dir, "/conf", 1)) }
	var stdout, stderr bytes.Buffer
	env := map[string]string{"NUT_CONFPATH": dir, "NUT_STATEPATH": "/run/nut"}
	err := run(t.Context(), program.Env{
		Args: append([]string{"doctor"}, args...), Stdout: &stdout, Stderr: &stderr,
		Getenv: func(n string) string { return env[n] },
	}, testDrivers(), w)
	code = program.Code(err, &stderr)
	return code, strings.ReplaceAll(stdout.String()+stderr.String(), dir, "/conf")
}

func TestFindings(t *testing.T) {
	rule := `echo 'SUBSYSTEM=="usb", ATTR{idVendor}=="051d", ATTR{idProduct}=="0002", MODE="0660", GROUP="nut"' >>/etc/udev/rules.d/62-nut-local.rules && udevadm control --reload && udevadm trigger --settle; upsdrvctl start a`
	for _, c := range []struct {
		name  string
		conf  string // the section of ups a
		world func(*world)
		want  string
		code  int
	}{
		{name: "works", conf: "driver = dummy-ups\nport = ok.dev",
			world: func(w *world) {
				w.ask = func(_ context.Context, socket, pidFile, driver string) answer {
					if socket != "/run/nut/dummy-ups-a" || driver != "dummy-ups" || !strings.HasSuffix(pidFile, "/dummy-ups-a.pid") {
						return answer{}
					}
					return answer{kind: working, pid: 7, status: "OL"}
				}
			},
			want: "a: ok: its driver works (process 7), ups.status is OL\n"},
		{name: "not running", conf: "driver = dummy-ups\nport = ok.dev", code: 1,
			want: "a: its driver is not running; nothing stands in its way\n    upsdrvctl start a\n"},
		{name: "hangs", conf: "driver = dummy-ups\nport = ok.dev", code: 1,
			world: func(w *world) { w.ask = say(answer{kind: hanging, pid: 7}) },
			want:  "a: its driver (process 7) runs and does not answer on its socket\n    upsdrvctl stop a; upsdrvctl start a\n"},
		{name: "stale", conf: "driver = dummy-ups\nport = ok.dev", code: 1,
			world: func(w *world) { w.ask = say(answer{kind: stale, pid: 7}) },
			want:  "a: its driver (process 7) runs and has lost its device, which seems to be there\n    upsdrvctl stop a; upsdrvctl start a\n"},
		{name: "stale because unplugged", conf: "driver = usbhid-ups\nport = auto", code: 1,
			world: func(w *world) { w.ask = say(answer{kind: stale, pid: 7}) },
			want:  "a: no USB device is plugged in that may be a UPS\n    lsusb\n"},
		{name: "may not ask", conf: "driver = dummy-ups\nport = ok.dev", code: 1,
			world: func(w *world) { w.ask = say(answer{kind: refusing, status: "permission denied"}) },
			want:  "a: its driver may not be asked: permission denied\n    sudo nut doctor drivers a\n"},
		{name: "no driver", conf: "port = x", code: 1,
			want: "a: its section has no line driver = …\n    ${EDITOR:-vi} +1 /conf/ups.conf\n"},
		{name: "unknown driver", conf: "driver = usbhidups\nport = auto", code: 1,
			want: "a: ups.conf:2: there is no driver usbhidups; did you mean usbhid-ups?\n    sed -i '2s|usbhidups|usbhid-ups|' /conf/ups.conf\n"},
		{name: "quite unknown driver", conf: "driver = apcsmart\nport = auto", code: 1,
			want: "a: ups.conf:2: there is no driver apcsmart in /lib/nut nor in this binary; nut without arguments lists those that it has\n    ${EDITOR:-vi} +2 /conf/ups.conf\n"},
		{name: "C's driver", conf: "driver = cdriver\nport = /dev/ttyS0\nanything = goes\nflag", code: 1,
			want: "a: its driver is not running; nothing stands in its way\n    upsdrvctl start a\n"},
		{name: "wrong options", conf: "driver = dummy-ups\nmod = x\nport = ok.dev\nnonsense\npollinterval = -2", code: 1,
			want: "a: note: ups.conf:6: pollinterval wants a number from 1 on and not \"-2\"\n" +
				"a: ups.conf:3: mod is no option of driver dummy-ups (did you mean mode?); nut dummy-ups -h lists them\n    sed -i '3s|mod|mode|' /conf/ups.conf\n" +
				"a: ups.conf:5: nonsense is no option of driver dummy-ups; nut dummy-ups -h lists them\n    ${EDITOR:-vi} +5 /conf/ups.conf\n" +
				"a: ups.conf:6: pollinterval = -2: it must be a number of seconds above 0\n    ${EDITOR:-vi} +6 /conf/ups.conf\n"},
		{name: "no port", conf: "driver = dummy-ups", code: 1,
			want: "a: ups.conf: section [a] has no port = …\n    ${EDITOR:-vi} +1 /conf/ups.conf\n"},
		{name: "no user", conf: "driver = dummy-ups\nport = ok.dev\nuser = joe", code: 1,
			want: "a: its driver would run as user joe, who does not exist\n    useradd --system --user-group --no-create-home --shell /usr/sbin/nologin joe\n"},
		{name: "no node", conf: "driver = nutdrv_qx\nport = /dev/ttyACM3", code: 1,
			want: "a: there is no device /dev/ttyACM3; there is /dev/ttyACM0\n    sed -i '3s|/dev/ttyACM3|/dev/ttyACM0|' /conf/ups.conf\n"},
		{name: "no node but several", conf: "driver = nutdrv_qx\nport = /dev/ttyS7", code: 1,
			want: "a: there is no device /dev/ttyS7; there is /dev/ttyS0, /dev/ttyS1, /dev/ttyS2\n    ${EDITOR:-vi} +3 /conf/ups.conf\n"},
		{name: "no node and no other", conf: "driver = nutdrv_qx\nport = /dev/ttyUSB0", code: 1,
			want: "a: there is no device /dev/ttyUSB0; is it plugged in and switched on?\n    dmesg | tail -n 30\n"},
		{name: "folder", conf: "driver = nutdrv_qx\nport = /dev/../dev", code: 1,
			world: func(w *world) { w.resolve = func(string) (string, error) { return "/dev", nil } },
			want:  "a: /dev/../dev is a folder and no device\n    ${EDITOR:-vi} +3 /conf/ups.conf\n"},
		{name: "group", conf: "driver = blazer_ser\nport = /dev/ttyS1", code: 1,
			want: "a: no permission: /dev/ttyS1 is owned by root:dialout with mode 0660, and the driver runs as nut\n    usermod -a -G dialout nut; upsdrvctl start a\n"},
		{name: "mode", conf: "driver = blazer_ser\nport = /dev/ttyS2", code: 1,
			want: "a: no permission: /dev/ttyS2 is owned by root:root with mode 0600, and the driver runs as nut\n" +
				`    echo 'KERNEL=="ttyS2", MODE="0660", GROUP="nut"' >>/etc/udev/rules.d/62-nut-local.rules && udevadm control --reload && udevadm trigger --settle; upsdrvctl start a` + "\n"},
		{name: "mode without udev", conf: "driver = blazer_ser\nport = /dev/ttyS2", code: 1,
			world: func(w *world) { w.exists = func(string) bool { return false } },
			want: "a: no permission: /dev/ttyS2 is owned by root:root with mode 0600, and the driver runs as nut\n" +
				"    chgrp nut /dev/ttyS2 && chmod g+rw /dev/ttyS2; upsdrvctl start a\n"},
		{name: "root may", conf: "driver = blazer_ser\nport = /dev/ttyS2\nuser = root", code: 1,
			want: "a: its driver is not running; nothing stands in its way\n    upsdrvctl start a\n"},
		{name: "held", conf: "driver = blazer_ser\nport = /dev/ups", code: 1,
			world: func(w *world) {
				w.holders = func(path string) []holder {
					if path != "/dev/ttyS0" {
						return nil
					}
					return []holder{{pid: 12, name: "minicom"}}
				}
			},
			want: "a: /dev/ttyS0 is in use by minicom (process 12)\n    kill 12\n"},
		{name: "no USB", conf: "driver = usbhid-ups\nport = auto", code: 1,
			world: func(w *world) { w.usb = plugged(keyboard()) },
			want:  "a: no USB device is plugged in that may be a UPS\n    lsusb\n"},
		{name: "other USB", conf: "driver = usbhid-ups\nport = auto\nvendorid = 0463", code: 1,
			world: func(w *world) { w.usb = plugged(keyboard(), apc(4, "X1")) },
			want:  "a: no USB device fits the options of its section; there is " + apc(4, "X1").String() + "\n    lsusb\n"},
		{name: "USB is fine", conf: "driver = usbhid-ups\nport = auto\nvendorid = 051D", code: 1,
			world: func(w *world) { w.usb = plugged(apc(5, "Y"), apc(4, "X1")) },
			want:  "a: its driver is not running; nothing stands in its way\n    upsdrvctl start a\n"},
		{name: "USB permission", conf: "driver = usbhid-ups\nport = auto\nserial = Y", code: 1,
			world: func(w *world) { w.usb = plugged(apc(4, "X1"), apc(5, "Y")) },
			want:  "a: no permission: /dev/bus/usb/001/005 is owned by root:root with mode 0664, and the driver runs as nut (051d:0002 Back-UPS)\n    " + rule + "\n"},
		{name: "USB held by a service", conf: "driver = usbhid-ups\nport = auto", code: 1,
			world: func(w *world) {
				w.usb = plugged(apc(4, "X1"))
				w.holders = func(string) []holder { return []holder{{pid: 12, name: "apcupsd", unit: "apcupsd.service"}} }
			},
			want: "a: /dev/bus/usb/001/004 is in use by apcupsd (process 12)\n    systemctl disable --now apcupsd.service\n"},
		{name: "one of two held", conf: "driver = usbhid-ups\nport = auto", code: 1, world: firstHeld,
			want: "a: /dev/bus/usb/001/004 is in use by usbhid-ups (process 12)\n    kill 12\n"},
		{name: "one of two held, and the other will do", conf: "driver = usbhid-ups\nport = auto\nallow_duplicates", code: 1, world: firstHeld,
			want: "a: its driver is not running; nothing stands in its way\n    upsdrvctl start a\n"},
		{name: "held by hidraw", conf: "driver = usbhid-ups\nport = auto\nserial = Y", code: 1,
			world: func(w *world) {
				w.usb = plugged(apc(4, "X1"), apc(5, "Y"))
				w.glob = func(pattern string) []string {
					if pattern != "/sys/bus/usb/devices/1-5/1-5:*/*/hidraw/hidraw*" {
						return nil
					}
					return []string{"/sys/bus/usb/devices/1-5/1-5:1.0/0003:051D:0002.0001/hidraw/hidraw3"}
				}
				w.holders = func(path string) []holder {
					if path != "/dev/hidraw3" {
						return nil
					}
					return []holder{{pid: 12, name: "usbhid-ups"}}
				}
			},
			want: "a: /dev/hidraw3 is in use by usbhid-ups (process 12)\n    kill 12\n"},
		{name: "USB held by the stale driver itself", conf: "driver = usbhid-ups\nport = auto", code: 1,
			world: func(w *world) {
				w.usb = plugged(apc(4, "X1"))
				w.ask = say(answer{kind: stale, pid: 12})
				w.holders = func(string) []holder { return []holder{{pid: 12, name: "usbhid-ups"}} }
			},
			want: "a: its driver (process 12) runs and has lost its device, which seems to be there\n    upsdrvctl stop a; upsdrvctl start a\n"},
		{name: "USB without node", conf: "driver = usbhid-ups\nport = auto", code: 1,
			world: func(w *world) { w.usb = plugged(apc(6, "Z")) },
			want: "a: " + apc(6, "Z").String() + " is plugged in, but /dev/bus/usb/001/006 does not exist; in a container the node has to be passed in\n" +
				"    ls -lR /dev/bus/usb\n"},
		{name: "no file", conf: "driver = dummy-ups\nport = none.dev", code: 1,
			want: "a: its file of values cannot be used: stat /conf/none.dev: file does not exist\n    ${EDITOR:-vi} +3 /conf/ups.conf\n"},
		{name: "no such recording", conf: "driver = usbhid-ups\nport = replay:none.rec", code: 1,
			want: "a: its recording cannot be used: stat /conf/none.rec: file does not exist\n    ${EDITOR:-vi} +3 /conf/ups.conf\n"},
		{name: "secret file", conf: "driver = dummy-ups\nport = secret.dev", code: 1,
			want: "a: no permission: /conf/secret.dev is owned by root:root with mode 0600, and the driver runs as nut\n    chgrp nut /conf/secret.dev && chmod g+r /conf/secret.dev\n"},
		{name: "repeater", conf: "driver = dummy-ups\nport = b@host", code: 1,
			want: "a: its driver is not running; nothing stands in its way\n    upsdrvctl start a\n"},
		{name: "repeater without host", conf: "driver = dummy-ups\nport = b@host:7", code: 1,
			world: func(w *world) {
				w.lookup = func(_ context.Context, host string) error { return errors.New("no such host " + host) }
			},
			want: "a: the name host of its device leads nowhere: no such host host\n    ${EDITOR:-vi} +3 /conf/ups.conf\n"},
		{name: "nobody's device", conf: "driver = nutdrv_qx\nport = /dev/null", code: 1,
			world: func(w *world) { w.holders = func(string) []holder { return []holder{{pid: 1, name: "init"}} } },
			want:  "a: its driver is not running; nothing stands in its way\n    upsdrvctl start a\n"},
		{name: "no host", conf: "driver = snmp-ups\nport = ups.example:161", code: 1,
			world: func(w *world) {
				w.lookup = func(_ context.Context, host string) error {
					if host != "ups.example" {
						return nil
					}
					return errors.New("no such host")
				}
			},
			want: "a: the name ups.example of its device leads nowhere: no such host\n    ${EDITOR:-vi} +3 /conf/ups.conf\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := testWorld()
			if c.world != nil {
				c.world(&w)
			}
			code, out := clinic(t, w, "[a]\n"+c.conf+"\n", "drivers")
			if code != c.code || out != c.want {
				t.Errorf("doctor ended with %d and said\n%s\nwant %d\n%s", code, out, c.code, c.want)
			}
		})
	}
}

// A virtual driver is as well as those that it repeats.
func TestSources(t *testing.T) {
	for _, c := range []struct {
		port   string
		source answer
		want   string
	}{
		{"dummy-ups-b", answer{}, "a: the driver that it repeats, dummy-ups-b, is not running\n    upsdrvctl start b\n"},
		{"/run/nut/dummy-ups-b", answer{}, "a: the driver that it repeats, /run/nut/dummy-ups-b, is not running\n    upsdrvctl start b\n"},
		{"dummy-ups-c", answer{}, "a: the driver that it repeats, dummy-ups-c, is not running and in no section of ups.conf\n    ${EDITOR:-vi} +3 /conf/ups.conf\n"},
		{"dummy-ups-b", answer{kind: stale}, "a: the driver that it repeats, dummy-ups-b, has no current values itself\n    nut doctor drivers b\n"},
		{"dummy-ups-b", answer{kind: working}, "a: its driver is not running; nothing stands in its way\n    upsdrvctl start a\n"},
	} {
		w := testWorld()
		w.ask = func(_ context.Context, socket, _, _ string) answer {
			if strings.HasPrefix(socket, "/run/nut/dummy-ups-") {
				return c.source
			}
			return answer{}
		}
		upsConf := "[a]\ndriver = clone\nport = " + c.port + "\n[b]\ndriver = dummy-ups\nport = ok.dev\n"
		if code, out := clinic(t, w, upsConf, "drivers", "a"); code != 1 || out != c.want {
			t.Errorf("clone of %s: doctor ended with %d and said\n%s\nwant 1\n%s", c.port, code, out, c.want)
		}
	}
}

func say(a answer) func(context.Context, string, string, string) answer {
	return func(context.Context, string, string, string) answer { return a }
}

func plugged(ds ...usb.Device) func(context.Context) ([]usb.Device, error) {
	return func(context.Context) ([]usb.Device, error) { return ds, nil }
}

func TestFindingsAboutSeveral(t *testing.T) {
	for _, c := range []struct {
		name, conf, want string
		args             []string
		code             int
	}{
		{name: "same port", code: 1,
			conf: "[a]\ndriver = nutdrv_qx\nport = /dev/ups\n[b]\ndriver = nutdrv_qx\nport = /dev/ttyS0\n",
			want: "a: it is to use the same device as b: /dev/ttyS0\n    ${EDITOR:-vi} +3 /conf/ups.conf\n" +
				"b: it is to use the same device as a: /dev/ttyS0\n    ${EDITOR:-vi} +6 /conf/ups.conf\n"},
		{name: "one of two", code: 1, args: []string{"b"},
			conf: "[a]\ndriver = nosuch\n[b]\ndriver = dummy-ups\nport = ok.dev\n",
			want: "b: its driver is not running; nothing stands in its way\n    upsdrvctl start b\n"},
		{name: "unknown section", code: 2, args: []string{"bb"},
			conf: "[b]\ndriver = dummy-ups\nport = ok.dev\n",
			want: "nut doctor: /conf/ups.conf has no section [bb]; did you mean b?\n"},
		{name: "no sections", code: 2, want: "nut doctor: /conf/ups.conf has no sections: there are no drivers to look at\n"},
		{name: "no state path", code: 1,
			conf: "[b]\ndriver = dummy-ups\nport = ok.dev\n",
			want: "all: the folder of driver sockets cannot be used: stat /run/nut: file does not exist\n    install -d -o root -g nut -m 0770 /run/nut\n" +
				"b: its driver is not running; nothing stands in its way\n    upsdrvctl start b\n"},
		{name: "no state path and no account", code: 1,
			conf: "[b]\ndriver = dummy-ups\nport = ok.dev\n",
			want: "b: its driver would run as user nut, who does not exist\n    useradd --system --user-group --no-create-home --shell /usr/sbin/nologin nut\n" +
				"all: the folder of driver sockets cannot be used: stat /run/nut: file does not exist\n    install -d -o root -g nut -m 0770 /run/nut\n"},
		{name: "closed state path", code: 1,
			conf: "[b]\ndriver = dummy-ups\nport = ok.dev\n",
			want: "all: drivers run as nut and may not make their sockets in /run/nut, which is owned by root:root with mode 0755\n    install -d -o root -g nut -m 0770 /run/nut\n" +
				"b: its driver is not running; nothing stands in its way\n    upsdrvctl start b\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := testWorld()
			stat := w.stat
			w.stat = func(path string) (node, error) {
				switch {
				case path == "/run/nut" && strings.HasPrefix(c.name, "no state path"):
					return stat("/nonexistent" + path[4:])
				case path == "/run/nut" && c.name == "closed state path":
					return node{mode: 0o755, dir: true}, nil
				}
				return stat(path)
			}
			if c.name == "no state path and no account" {
				w.account = func(string) (daemon.Account, error) { return daemon.Account{}, fs.ErrNotExist }
			}
			code, out := clinic(t, w, c.conf, append([]string{"drivers"}, c.args...)...)
			out = strings.ReplaceAll(out, "/nonexistent", "/run")
			if code != c.code || out != c.want {
				t.Errorf("doctor ended with %d and said\n%s\nwant %d\n%s", code, out, c.code, c.want)
			}
		})
	}
}

// Two of the same kind without a word on which is which.
func TestSectionsThatCannotBeToldApart(t *testing.T) {
	w := testWorld()
	w.usb = plugged(apc(4, "X1"))
	_, out := clinic(t, w, "[a]\ndriver = usbhid-ups\nport = auto\n[b]\ndriver = usbhid-ups\nport = auto\n[c]\ndriver = usbhid-ups\nport = auto\nserial = X1\n", "drivers")
	for _, want := range []string{
		"a: it is to use the same device as b: any that usbhid-ups finds; tell them apart with serial =\n",
		"c: its driver is not running; nothing stands in its way\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("doctor said\n%s\nwant %q in it", out, want)
		}
	}
}

func TestUsage(t *testing.T) {
	for args, want := range map[string]struct {
		code int
		text string
	}{
		"":       {2, "usage: nut doctor"},
		"-h":     {0, "usage: nut doctor"},
		"plants": {2, `no subject "plants"`},
	} {
		if code, out := clinic(t, testWorld(), "", strings.Fields(args)...); code != want.code || !strings.Contains(out, want.text) {
			t.Errorf("doctor %s = %d, %q; want %d, %q", args, code, out, want.code, want.text)
		}
	}
}

func TestNodeAllows(t *testing.T) {
	nut := daemon.Account{UID: 102, GID: 105, Groups: []int{105, 20}}
	for _, c := range []struct {
		n    node
		want bool
	}{
		{node{mode: 0o600, uid: 102}, true},
		{node{mode: 0o066, uid: 102, gid: 105}, false}, // the owner's bits count, and only those
		{node{mode: 0o060, gid: 20}, true},
		{node{mode: 0o606, gid: 20}, false},
		{node{mode: 0o606}, true},
		{node{mode: 0o604}, false},
		{node{mode: 0o660}, false},
	} {
		if got := c.n.allows(nut, mayRead|mayWrite); got != c.want {
			t.Errorf("%+v allows = %v; want %v", c.n, got, c.want)
		}
	}
	if !(node{}).allows(daemon.Account{}, mayRead|mayWrite) {
		t.Error("root is refused; want root to be allowed everything")
	}
}

func TestFindingsCannotCommandTheTerminal(t *testing.T) {
	got := finding{ups: "a", text: "a \x1b[2J device\nby \u009b Ümit"}.String()
	if want := "a: a ?[2J device; by ? Ümit\n"; got != want {
		t.Errorf("printed %q; want %q", got, want)
	}
}

func TestQuote(t *testing.T) {
	for in, want := range map[string]string{"a": "a", "/dev/ttyS0": "/dev/ttyS0", "": "''", "my ups": "'my ups'", "a'b;c": `'a'\''b;c'`, "$(x)": "'$(x)'"} {
		if got := quote(in); got != want {
			t.Errorf("quote(%q) = %s; want %s", in, got, want)
		}
	}
}

// The commands are to be pasted into a root shell: nothing of ups.conf may get out
// of its quotes.
func TestRemediesAreSafeToPaste(t *testing.T) {
	code, out := clinic(t, testWorld(), "[a]\ndriver = \"usbhid-up;reboot\"\nport = x\n[\"$(reboot)\"]\ndriver = dummy-ups\nport = ok.dev\n", "drivers")
	for line := range strings.Lines(out) {
		bare := strings.Join(slices.Collect(func(yield func(string) bool) {
			for i, part := range strings.Split(line, "'") {
				if i%2 == 0 && !yield(part) {
					return
				}
			}
		}), "")
		if strings.HasPrefix(line, "    ") && (strings.Contains(bare, ";reboot") || strings.Contains(bare, "$(")) {
			t.Errorf("a remedy would run a command of ups.conf: %s", line)
		}
	}
	if code != ill {
		t.Errorf("doctor = %d; want %d\n%s", code, ill, out)
	}
}

// A driver is asked over its socket; this one plays it.
func TestAsk(t *testing.T) {
	dir := t.TempDir()
	socket := filepath.Join(dir, "s")
	e := program.Env{Getenv: func(string) string { return "" }, Dial: (&net.Dialer{}).DialContext}
	if got := ask(t.Context(), e, socket, filepath.Join(dir, "pid"), "d"); got != (answer{}) {
		t.Errorf("ask without a driver = %+v; want nothing", got)
	}
	dump := "DATAOK"
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			lines := bufio.NewScanner(c)
			for lines.Scan() {
				switch lines.Text() {
				case "PING":
					fmt.Fprintln(c, "PONG")
				case "GETPID":
					fmt.Fprintln(c, "PID 4711")
				case "DUMPSTATUS", "DUMPALL":
					fmt.Fprintf(c, "SETINFO ups.status \"OB LB\"\n%s\nDUMPDONE\n", dump)
				}
			}
			c.Close()
		}
	}()
	if got, want := ask(t.Context(), e, socket, filepath.Join(dir, "pid"), "d"), (answer{working, 4711, "OB LB"}); got != want {
		t.Errorf("ask = %+v; want %+v", got, want)
	}
	dump = "DATASTALE"
	if got, want := ask(t.Context(), e, socket, filepath.Join(dir, "pid"), "d"), (answer{stale, 4711, "OB LB"}); got != want {
		t.Errorf("ask a stale driver = %+v; want %+v", got, want)
	}
}
