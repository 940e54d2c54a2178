package usbhidups_test

import (
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gonut/internal/driver"
	"gonut/internal/drivers/usbhidups"
	transport "gonut/internal/transport/hid"
	"gonut/test/devices/bench"
)

func recording(t *testing.T, name string) *transport.Recording {
	t.Helper()
	return bench.ReadRecording(t, filepath.Join("../../../test/devices/hid", name+".rec"))
}

// The expected values are what C's upsc printed for the same devices. Of the first
// the load was another one while the reports were recorded (0, not 5).
func TestRecordingsGiveTheVariablesThatCPublished(t *testing.T) {
	tests := map[string]map[string]string{
		"apc-bk650m2-ch": {
			"battery.charge": "100", "battery.charge.low": "50", "battery.mfr.date": "2001/01/01", "battery.runtime": "3618",
			"battery.runtime.low": "300", "battery.type": "PbAc", "battery.voltage": "13.5", "battery.voltage.nominal": "12.0",
			"device.mfr": "American Power Conversion", "device.model": "BK650M2-CH", "device.type": "ups",
			"driver.name": "usbhid-ups", "input.sensitivity": "low", "input.transfer.high": "278", "input.transfer.low": "160",
			"input.voltage": "232.0", "input.voltage.nominal": "220", "ups.beeper.status": "disabled", "ups.delay.shutdown": "20",
			"ups.load": "0", "ups.mfr": "American Power Conversion", "ups.mfr.date": "2020/05/08", "ups.model": "BK650M2-CH",
			"ups.productid": "0002", "ups.realpower.nominal": "390", "ups.status": "OL DISCHRG", "ups.test.result": "Done and passed",
			"ups.timer.reboot": "0", "ups.timer.shutdown": "-1", "ups.vendorid": "051d",
		},
		"apc-backups-cs-500": {
			"battery.charge": "100", "battery.charge.low": "10", "battery.charge.warning": "50", "battery.mfr.date": "2004/07/03",
			"battery.runtime": "2580", "battery.type": "PbAc", "battery.voltage": "13.6", "battery.voltage.nominal": "12.0",
			"device.mfr": "American Power Conversion", "device.model": "Back-UPS 500", "device.type": "ups",
			"ups.firmware": " 6.5.I", "ups.firmware.aux": " c1 ", "ups.mfr": "American Power Conversion",
			"ups.mfr.date": "2004/07/03", "ups.model": "Back-UPS 500", "ups.productid": "0002", "ups.status": "OL",
			"ups.timer.reboot": "0", "ups.vendorid": "051d",
		},
	}
	ours := map[string]bool{"device.serial": true, "ups.serial": true} // removed from the recordings
	for name, want := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, _ := start(t, name, recording(t, name), map[string]string{"pollonly": ""})
				for _, v := range b.Session.State().Snapshot().Variables {
					if _, ok := want[v.Name]; !ok && !ours[v.Name] && !strings.HasPrefix(v.Name, "driver.") {
						t.Errorf("%s = %q is published; C did not", v.Name, v.Value)
					}
				}
				for n, value := range want {
					if got := b.Session.State().Value(n); got != value {
						t.Errorf("%s = %q; want %q", n, got, value)
					}
				}
			})
		})
	}
}

func TestCommandsOfARecording(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, _ := start(t, "apc-backups-cs-500", recording(t, "apc-backups-cs-500"), nil)
		b.Line("commands shutdown.reboot test.panel.start test.panel.stop")
	})
}

func TestLostDeviceIsFoundAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, fake := start(t, "apc", recording(t, "apc-backups-cs-500"), nil)
		fake.Unplug()
		time.Sleep(20 * time.Second)
		synctest.Wait()
		if !b.Session.State().Stale() {
			t.Error("the data of an unplugged device are not stale")
		}
		fake.Plug()
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if b.Session.State().Stale() || b.Session.State().Value("ups.status") != "OL" {
			t.Errorf("after replugging stale is %t and ups.status %q; want false and OL", b.Session.State().Stale(), b.Session.State().Value("ups.status"))
		}
	})
}

func TestDeviceThatAnswersNothingIsOpenedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, fake := start(t, "apc", recording(t, "apc-backups-cs-500"), map[string]string{"pollonly": ""})
		for id := range 256 {
			fake.Fail(byte(id), transport.ErrTimeout)
		}
		time.Sleep(40 * time.Second)
		synctest.Wait()
		if !b.Session.State().Stale() {
			t.Error("the data of a device that answers nothing are not stale")
		}
		for id := range 256 {
			fake.Fail(byte(id), nil)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if b.Session.State().Stale() {
			t.Error("the device was not opened again")
		}
	})
}

func TestReportThatFailsKeepsItsLastValue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, fake := start(t, "apc", recording(t, "apc-bk650m2-ch"), map[string]string{"pollonly": ""})
		fake.Fail(0x31, errors.New("input/output error"))
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := b.Session.State().Value("input.voltage"); b.Session.State().Stale() || got != "232.0" {
			t.Errorf("input.voltage = %q, stale %t; want 232.0, false", got, b.Session.State().Stale())
		}
		if got := b.Session.State().Value("experimental.driver.data.held"); !strings.HasPrefix(got, "input.voltage@") {
			t.Errorf("experimental.driver.data.held = %q; want input.voltage and when it was read", got)
		}
	})
}

// All else may be right: if the report that tells whether there is power does not come
// any more, ups.status is not the truth.
func TestStatusReportThatFailsMakesTheDataStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, fake := start(t, "apc", recording(t, "apc-bk650m2-ch"), map[string]string{"pollonly": ""})
		fake.Fail(0x16, errors.New("input/output error"))
		time.Sleep(time.Minute)
		synctest.Wait()
		if !b.Session.State().Stale() {
			t.Errorf("ups.status = %q although its report cannot be read for a minute", b.Session.State().Value("ups.status"))
		}
		fake.Fail(0x16, nil)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if b.Session.State().Stale() {
			t.Error("the data are stale although the report came")
		}
	})
}

func open(t *testing.T, rec *transport.Recording, options map[string]string) error {
	t.Helper()
	d := usbhidups.With(func(*slog.Logger) transport.Opener { return transport.NewFake(rec) })
	dev, err := d.Open(t.Context(), driver.Values{UPS: "ups", Port: "auto", Set: options, ConfPath: t.TempDir()}, slog.New(slog.DiscardHandler))
	if err == nil {
		dev.Close()
	}
	return err
}

func TestWhichDevicesAreTaken(t *testing.T) {
	base := recording(t, "apc-backups-cs-500")
	tests := []struct {
		name    string
		vendor  uint16
		product uint16
		options map[string]string
		want    string // part of the error, empty for none
		config  bool   // it is an error of the configuration
	}{
		{"known", 0x051D, 0x0002, nil, "", false},
		{"known by its ids as options", 0x051D, 0x0002, map[string]string{"vendorid": "051D", "productid": "0002"}, "", false},
		{"not what is asked for", 0x051D, 0x0002, map[string]string{"vendorid": "0764"}, "plugged in are 051d:0002", false},
		{"unknown product of a known vendor", 0x051D, 0x7777, nil, "the option productid = 7777 makes the driver try", false},
		{"the same, asked for", 0x051D, 0x7777, map[string]string{"productid": "7777"}, "", false},
		{"unknown vendor", 0x1234, 0x0001, nil, "is in no table", false},
		{"unknown vendor with a table", 0x1234, 0x0001, map[string]string{"vendorid": "1234", "productid": "0001", "subdriver": "apc"}, "", false},
		{"table by its title", 0x1234, 0x0001, map[string]string{"vendorid": "1234", "productid": "0001", "subdriver": "APC HID 0.101"}, "", false},
		{"table without ids", 0x1234, 0x0001, map[string]string{"subdriver": "apc"}, "needs vendorid and productid", true},
		{"no such table", 0x1234, 0x0001, map[string]string{"vendorid": "1", "productid": "1", "subdriver": "zzz"}, "no table is called", true},
		{"explored", 0x1234, 0x0001, map[string]string{"vendorid": "1234", "explore": ""}, "", false},
		{"explored without vendor", 0x1234, 0x0001, map[string]string{"explore": ""}, "needs vendorid", true},
		{"for another driver", 0x09AE, 0x0001, nil, "tripplite_usb", true},
		{"broken expression", 0x051D, 0x0002, map[string]string{"product": "("}, "option product", true},
		{"broken number", 0x051D, 0x0002, map[string]string{"offdelay": "soon"}, "offdelay = soon", true},
		{"broken endpoint", 0x051D, 0x0002, map[string]string{"usb_hid_ep_in": "left"}, "option usb_hid_ep_in", true},
	}
	for _, test := range tests {
		rec := *base
		rec.Info.VendorID, rec.Info.ProductID = test.vendor, test.product
		err := open(t, &rec, test.options)
		switch {
		case test.want == "" && err != nil:
			t.Errorf("%s: Open = %v; want no error", test.name, err)
		case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
			t.Errorf("%s: Open = %v; want %q", test.name, err, test.want)
		}
		if errors.Is(err, driver.ErrConfig) != test.config {
			t.Errorf("%s: ErrConfig is %t for %v; want %t", test.name, errors.Is(err, driver.ErrConfig), err, test.config)
		}
	}
}

func TestAReplacementThatMatchesIsNotTakenForTheLostDevice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rec := recording(t, "apc-backups-cs-500")
		b, fake := start(t, "apc", rec, nil)
		fake.Unplug()
		rec.Info.Serial = "another"
		fake.Plug()
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if !b.Session.State().Stale() {
			t.Error("another device of the same kind took the place of the lost one")
		}
	})
}
