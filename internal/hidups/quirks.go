package hidups

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"gonut/internal/hid"
	"gonut/internal/subdriver"
	"gonut/internal/words"
)

// Quirks are the names that tables and their match lines may use: what no row can say.
func Quirks() map[string]string {
	return map[string]string{
		"apc-firmware":   "versions of firmware are cut off the product's name",
		"apc-limits":     "voltages may be as high as the upper transfer voltage",
		"cps-limits":     "the ranges of voltages and power are repaired",
		"idowell-limits": "the maximum of runtime and voltage is repaired",
		"flicker":        "LB and RB are held back for three seconds",
		"max-report":     "more bytes are asked for than a report has",
		"pollonly":       "the interrupt pipe is not used",
		"interruptonly":  "only the interrupt pipe is used, unless the option pollonly is given",
		"mge-model":      "the model's name and class are put together from two texts",
		"release-202":    "devices of release 2.02 have a second HID descriptor, which is the right one",
	}
}

// Family is what tools for tables have to know of HID ones.
func Family() subdriver.Family {
	return subdriver.Family{
		Quirks: Quirks(), Source: checkSource, Try: Try,
		Options: []string{"offdelay", "ondelay", "pollfreq"},
		Consts: map[string]string{
			"interface": "number of the HID interface", "ep-in": "address of the input endpoint", "ep-out": "address of the output endpoint",
			"interrupt-size": "bytes to read from the interrupt pipe", "skip-report": "a report that is never asked for",
		},
	}
}

// checkSource reports what is wrong with the source of a row.
func checkSource(t *subdriver.Table, text string) error {
	if where, ok := strings.CutPrefix(text, "report:"); ok {
		_, err := findReport(where)
		return err
	}
	_, err := hid.ParsePath(text, func(name string) (hid.Usage, bool) {
		code, ok := t.Code(name)
		return hid.Usage(code), ok
	})
	var unknown hid.UnknownUsageError
	if errors.As(err, &unknown) {
		if n := words.Nearest(string(unknown), t.CodeNames()); n != "" {
			return fmt.Errorf("%w; did you mean %s?", err, n)
		}
	}
	return err
}

// Usages that repairs look for.
const (
	usageVoltage       hid.Usage = 0x00840030
	usageConfigVoltage hid.Usage = 0x00840040
	usageConfigPower   hid.Usage = 0x00840044
	usageHighTransfer  hid.Usage = 0x00840054
	usageRunTime       hid.Usage = 0x00850068
)

// quirks are those of the table and of the match line.
func (d *Device) quirks() []string {
	var names []string
	for _, q := range d.table.Quirks {
		names = append(names, q.Name)
	}
	return append(names, d.match.Quirks...)
}

// applyQuirks changes options and descriptor as the match line asks for.
func (d *Device) applyQuirks() {
	repairs := map[string]func(*hid.Descriptor) bool{
		"apc-limits": repairAPC, "cps-limits": repairCPS, "idowell-limits": repairIDowell,
	}
	for _, q := range d.quirks() {
		switch q {
		case "pollonly":
			d.o.PollOnly = true
		case "interruptonly":
			d.o.InterruptOnly = !d.o.PollOnly // the user knows better
		case "max-report":
			d.o.MaxReport = true
		case "flicker":
			if !d.o.Status.LowBatteryDelayGiven {
				d.o.Status.LowBatteryDelay = 3 * time.Second
				d.o.Status.DelayWithoutCalibrating = true
			}
		}
		if repair := repairs[q]; repair != nil && !d.o.KeepDescriptor && repair(d.desc) {
			d.log.Info("the report descriptor was repaired (the option disable_fix_report_desc keeps it)", "quirk", q)
		}
	}
	if n, ok := d.match.Consts["interrupt-size"]; ok && d.o.InterruptSize == 0 {
		d.o.InterruptSize = int(n)
	}
}

// repairAPC: many models declare that no voltage exceeds 255 V although their
// upper transfer voltage does.
func repairAPC(d *hid.Descriptor) bool {
	high := d.InReport(0x33, usageHighTransfer)
	if high == nil {
		return false
	}
	changed := false
	for _, f := range []*hid.Field{d.InReport(0x31, usageVoltage), d.InReport(0x30, usageConfigVoltage)} {
		if f == nil || f.LogMax >= high.LogMax {
			continue
		}
		limit := high.LogMax
		if f.Size < 62 {
			limit = min(limit, 1<<f.Size-1)
		}
		if limit > f.LogMax {
			f.LogMax, changed = limit, true
		}
	}
	return changed
}

// What voltages and power of CyberPower devices may be.
const (
	cpsMaxVoltage = 511
	cpsMaxPower   = 2048
)

// repairCPS: the range of the transfer voltage is declared for output and input
// voltage too, or their maximum is encoded as a negative number; and the nominal
// power of larger models exceeds its maximum.
func repairCPS(d *hid.Descriptor) bool {
	high, out, in := d.InReport(0x10, usageHighTransfer), d.InReport(0x12, usageVoltage), d.InReport(0x0F, usageVoltage)
	changed := false
	widen := func(f *hid.Field) {
		f.LogMin, f.LogMax, changed = 0, cpsMaxVoltage, true
	}
	same := func(f *hid.Field) bool {
		return f != nil && high != nil && f.LogMin == high.LogMin && f.LogMax == high.LogMax
	}
	if same(out) {
		widen(out)
		if same(in) {
			widen(in)
		}
	}
	for _, f := range []*hid.Field{out, in} {
		if f != nil && f.AssumedMax && f.LogMax < cpsMaxVoltage && f.Size >= 9 {
			f.LogMax, changed = cpsMaxVoltage, true
		}
	}
	for i := range d.Fields {
		f := &d.Fields[i]
		if f.Path[len(f.Path)-1] == usageConfigPower && f.LogMax < cpsMaxPower && f.Size >= 12 {
			f.LogMax, changed = cpsMaxPower, true
		}
	}
	return changed
}

// repairIDowell: the bytes of two maxima are in the wrong order, so that they look
// negative.
func repairIDowell(d *hid.Descriptor) bool {
	changed := false
	for _, u := range []hid.Usage{usageRunTime, usageVoltage} {
		f := d.InReport(0x02, u)
		if f == nil || !f.AssumedMax || f.Size > 32 {
			continue
		}
		f.LogMax, changed = 1<<f.Size-1, true
		if f.Size == 32 {
			f.LogMax = 1<<31 - 1
		}
	}
	return changed
}

// identify finds out who the device is and returns the classes of its model.
func (d *Device) identify(ctx context.Context) []string {
	info := d.conn.Info()
	d.model, d.serial = strings.TrimRight(info.Product, " "), strings.TrimSpace(info.Serial)
	var classes []string
	for _, q := range d.quirks() {
		switch q {
		case "mge-model":
			classes = d.mgeModel(ctx)
		case "apc-firmware":
			d.splitFirmware(info.Product)
		}
	}
	return classes
}

// splitFirmware cuts what APC appends to the product's name: "Back-UPS 500 FW: 6.5.I
// USB FW: c1 " is a model and two firmware versions. They keep their blanks, as in C.
func (d *Device) splitFirmware(product string) {
	rest, usb, ok := strings.Cut(product, "USB FW:")
	if ok {
		d.extra["ups.firmware.aux"] = usb
	}
	model, firmware, ok := strings.Cut(rest, "FW:")
	if ok {
		d.extra["ups.firmware"] = strings.TrimRight(firmware, " ")
	}
	d.model = strings.TrimRight(model, " ")
}

// mgeModel puts the name of MGE and Eaton models together, and finds the class by
// which rows differ. Dell has complete names already.
func (d *Device) mgeModel(ctx context.Context) []string {
	info := d.conn.Info()
	if info.VendorID == 0x047C {
		return nil
	}
	product := d.model
	if product == "" {
		product = "unknown"
	}
	model := d.readText(ctx, "UPS.PowerSummary.iModel")
	if model == "" {
		if power, ok := d.readNumber(ctx, "UPS.Flow.[4].ConfigApparentPower"); ok {
			model = strconv.Itoa(int(power))
		}
	}
	if model == "" {
		return nil
	}
	d.model = product + " " + model
	known, ok := d.table.ModelOf(product, model)
	if !ok {
		return nil
	}
	if known.Name != "" {
		d.model = known.Name
	}
	return strings.Split(known.Class, ",")
}

func (d *Device) readText(ctx context.Context, path string) string {
	v := d.readValue(ctx, path, subdriver.Index)
	return strings.TrimSpace(v.Text)
}

func (d *Device) readNumber(ctx context.Context, path string) (float64, bool) {
	v := d.readValue(ctx, path, subdriver.Numeric)
	return v.Number, v.Err == nil
}

func (d *Device) readValue(ctx context.Context, path string, form subdriver.Form) subdriver.Value {
	r, err := d.source.Resolve(path, form)
	if err != nil {
		return subdriver.Value{Err: err}
	}
	vs, err := d.source.Read(ctx, []subdriver.Ref{r})
	if err != nil {
		return subdriver.Value{Err: err}
	}
	return vs[0]
}
