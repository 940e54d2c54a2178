package hidups

import (
	"fmt"
	"log/slog"
	"math"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"testing"

	"gonut/internal/driver"
	"gonut/internal/hid"
	"gonut/internal/subdriver"
	transport "gonut/internal/transport/hid"
	"gonut/test/devices/bench"
)

func TestScratchWrites(t *testing.T) {
	lib := subdriver.Load("hid", subdriver.Embedded())
	files, _ := filepath.Glob("../../test/devices/hid/*.model")
	count := map[string]int{}
	ex := map[string]string{}
	note := func(k, e string) {
		count[k]++
		if len(ex[k]) < 300 && !strings.Contains(ex[k], e) {
			ex[k] += " " + e
		}
	}
	total, refused := 0, 0
	for _, file := range files {
		m := bench.ReadModel(t, file, lib)
		found, _ := lib.Find("usb", fmt.Sprintf("%04x:%04x", m.Recording.Info.VendorID, m.Recording.Info.ProductID), m.Recording.Info.Manufacturer, m.Recording.Info.Product)
		begin := func() (*Device, *transport.Fake) {
			rec := m.Recording
			rec.Features = map[byte][]byte{}
			for id, r := range m.Recording.Features {
				rec.Features[id] = append([]byte(nil), r...)
			}
			f := transport.NewFake(&rec)
			d, err := New(f, m.Table, found.Match, Options{PollOnly: true}, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			var u driver.Update
			d.Poll(t.Context(), driver.Init, &u)
			return d, f
		}
		d, f := begin()
		if d.walker == nil {
			continue
		}
		desc := d.desc
		name := strings.TrimSuffix(filepath.Base(file), ".model")
		for i := range m.Table.Rows {
			r := &m.Table.Rows[i]
			if r.RW == nil && r.Kind != subdriver.Cmd {
				continue
			}
			nm := strings.ReplaceAll(r.Name, "%i", "1")
			inputs := []string{"0", "1", "-1", "-2", "5", "10", "59", "60", "61", "99", "100", "101", "127", "128", "254", "255", "256", "1.5", "0.4", "3600", "32767", "32768", "65534", "65535", "65536", "99999", "2147483647", "2147483648", "4294967295", "4294967296", "1e3", "0x10", " 5", "abc", "NaN", "Inf", "-Inf", "1e300", "yes", "no", "on", "off", "enabled", "disabled", "high", "low", "medium", "normal", "2024/02/29", "2023/02/29", "1979/12/31", "2107/12/31", "2108/01/01", "12:34:56", "230", "220"}
			for _, in := range inputs {
				if r.Kind == subdriver.Cmd {
					f.Writes()
					err := d.Command(t.Context(), nm, in)
					total++
					ws := f.Writes()
					if err != nil {
						refused++
						if len(ws) > 0 {
							note("cmd failed after write "+name+" "+nm, in)
						}
						continue
					}
					for _, w := range ws {
						// find the field of the step
						for _, s := range r.Steps {
							p, e := hid.ParsePath(strings.ReplaceAll(s.Source, "%i", "2"), d.source.usage)
							if e != nil {
								continue
							}
							fl, ok := desc.Find(p, hid.Feature)
							if !ok || fl.Report != w.Data[0] {
								continue
							}
							bits, _ := fl.Bits(w.Data)
							v, _ := fl.Value(w.Data)
							x, e2 := strconv.ParseFloat(strings.TrimSpace(in), 64)
							if e2 != nil {
								note("cmd took text "+name+" "+nm, fmt.Sprintf("%q->%x", in, bits))
								continue
							}
							if math.Abs(v-x) > 0.5 && !(x == -1 && bits == 1<<fl.Size-1) && (fl.LogMax >= int64(x)) {
								note("cmd other value "+m.Table.Name+" "+nm+" as="+s.As+fmt.Sprintf(" step=%d", r.Step), fmt.Sprintf("%s:%q->%v(bits %x of %d)", name, in, v, bits, fl.Size))
							}
							if x < 0 && x != -1 {
								note("cmd took negative "+m.Table.Name+" "+nm, fmt.Sprintf("%q->%x", in, bits))
							}
							if x > float64(uint64(1)<<uint(fl.Size)) {
								note("cmd took too much "+m.Table.Name+" "+nm, fmt.Sprintf("%q->%x of %d", in, bits, fl.Size))
							}
						}
					}
					continue
				}
				total++
				var u driver.Update
				err := d.Set(t.Context(), nm, in)
				if err != nil {
					refused++
					continue
				}
				d.Poll(t.Context(), driver.Full, &u)
				got, ok := d.walker.Value(nm)
				x, e1 := strconv.ParseFloat(in, 64)
				y, e2 := strconv.ParseFloat(got, 64)
				switch {
				case !ok:
					note("set lost "+m.Table.Name+" "+nm+" "+r.Kind.String()+" as="+r.As+" fmt="+r.Format, fmt.Sprintf("%s:%q", name, in))
				case got == in, e1 == nil && e2 == nil && math.Abs(x-y) <= 0.5:
				default:
					note("set differs "+m.Table.Name+" "+nm+" "+r.Kind.String()+" as="+r.As+fmt.Sprintf(" step=%d", r.Step), fmt.Sprintf("%s:%q->%q", name, in, got))
				}
			}
		}
	}
	var ks []string
	for k := range count {
		ks = append(ks, k)
	}
	sort.Strings(ks)
	for _, k := range ks {
		fmt.Println(k, count[k], ex[k])
	}
	fmt.Println("total", total, "refused", refused)
}
