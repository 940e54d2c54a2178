package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// A figure is what one quantity came out as, on either side in every round.
type figure struct {
	name   string
	unit   string
	digits int
	values [sides][]float64
	want   want
	note   string
}

// A want is what we want of our median, and how it compares with C's. 0 is no
// demand.
type want struct {
	ratioMin, ratioMax float64
	most               float64
}

func (w want) String() string {
	var parts []string
	if w.ratioMin > 0 {
		parts = append(parts, fmt.Sprintf("≥ %s×", short(w.ratioMin)))
	}
	if w.ratioMax > 0 {
		parts = append(parts, fmt.Sprintf("≤ %s×", short(w.ratioMax)))
	}
	if w.most > 0 {
		parts = append(parts, fmt.Sprintf("≤ %s", short(w.most)))
	}
	return strings.Join(parts, ", ")
}

// short prints a number with as many digits as matter.
func short(f float64) string { return fmt.Sprintf("%.3g", f) }

// A verdict is whether a figure is as wanted.
type verdict string

const (
	met     verdict = "met"
	missed  verdict = "MISSED"
	unknown verdict = "not compared" // for want of C's figure
	nothing verdict = ""
)

// ratio is ours to C's; false if either is missing.
func (f *figure) ratio() (float64, bool) {
	c := median(f.values[theirs])
	if len(f.values[theirs]) == 0 || len(f.values[ours]) == 0 || c == 0 {
		return 0, false
	}
	return median(f.values[ours]) / c, true
}

func (f *figure) verdict() verdict {
	if f.want == (want{}) {
		return nothing
	}
	if len(f.values[ours]) == 0 || f.want.most > 0 && median(f.values[ours]) > f.want.most {
		return missed
	}
	r, ok := f.ratio()
	switch {
	case f.want.ratioMin == 0 && f.want.ratioMax == 0:
		return met
	case !ok:
		return unknown
	case f.want.ratioMin > 0 && r < f.want.ratioMin, f.want.ratioMax > 0 && r > f.want.ratioMax:
		return missed
	}
	return met
}

// median returns the middle of the values, 0 if there are none.
func median(vs []float64) float64 {
	if len(vs) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(vs))
	if n := len(s); n%2 == 0 {
		return (s[n/2-1] + s[n/2]) / 2
	}
	return s[len(s)/2]
}

// A table prints figures as they come, in Markdown.
type table struct {
	out    io.Writer
	counts map[verdict]int
}

func newTable(out io.Writer) *table { return &table{out, make(map[verdict]int)} }

func (t *table) begin(c chapter) {
	fmt.Fprintf(t.out, "\n### %s: %s\n\n| figure | unit | C | ours | ours / C | wanted | |\n|---|---|---|---|---|---|---|\n", c.name, c.about)
}

// add prints figures, each with median and range.
func (t *table) add(fs ...*figure) {
	for _, f := range fs {
		ratio := "–"
		if r, ok := f.ratio(); ok {
			ratio = short(r)
		}
		v := f.verdict()
		t.counts[v]++
		last := strings.TrimSpace(string(v) + " " + f.note)
		fmt.Fprintf(t.out, "| %s | %s | %s | %s | %s | %s | %s |\n",
			f.name, f.unit, f.text(theirs), f.text(ours), ratio, f.want, last)
	}
}

func (f *figure) text(s side) string {
	vs := f.values[s]
	switch len(vs) {
	case 0:
		return "–"
	case 1:
		return fmt.Sprintf("%.*f", f.digits, vs[0])
	}
	return fmt.Sprintf("%.*f (%.*f–%.*f)", f.digits, median(vs), f.digits, slices.Min(vs), f.digits, slices.Max(vs))
}

// say prints a remark between two rows.
func (t *table) say(format string, args ...any) {
	fmt.Fprintf(t.out, "| *%s* | | | | | | |\n", fmt.Sprintf(format, args...))
}

func (t *table) sum() {
	fmt.Fprintf(t.out, "\n%d figures are as wanted, %d are not, %d have nothing to be compared with.\n", t.counts[met], t.counts[missed], t.counts[unknown])
}
