package main

import (
	"strings"
	"testing"
)

func TestVerdict(t *testing.T) {
	for _, c := range []struct {
		name      string
		c, ours   []float64
		want      want
		verdict   verdict
		ratioText string
	}{
		{"no demand", []float64{1}, []float64{2}, want{}, nothing, "2"},
		{"enough", []float64{10, 20, 30}, []float64{26}, want{ratioMin: 1.3}, met, "1.3"},
		{"not enough", []float64{10, 20, 30}, []float64{25}, want{ratioMin: 1.3}, missed, "1.25"},
		{"too much", []float64{2}, []float64{3}, want{ratioMax: 1.4}, missed, "1.5"},
		{"below a bound", nil, []float64{3}, want{most: 4}, met, "–"},
		{"above a bound", []float64{9}, []float64{5}, want{most: 4}, missed, "0.556"},
		{"no C", nil, []float64{5}, want{ratioMin: 1}, unknown, "–"},
		{"nothing of ours", []float64{5}, nil, want{ratioMin: 1}, missed, "–"},
	} {
		f := figure{name: c.name, want: c.want}
		f.values[theirs], f.values[ours] = c.c, c.ours
		if got := f.verdict(); got != c.verdict {
			t.Errorf("%s: verdict %q; want %q", c.name, got, c.verdict)
		}
		var out strings.Builder
		newTable(&out).add(&f)
		if cells := strings.Split(out.String(), " | "); cells[4] != c.ratioText {
			t.Errorf("%s: the row %q has the ratio %q; want %q", c.name, out.String(), cells[4], c.ratioText)
		}
	}
}

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		vs   []float64
		want float64
	}{{nil, 0}, {[]float64{3}, 3}, {[]float64{9, 1, 5}, 5}, {[]float64{4, 1, 2, 9}, 3}} {
		if got := median(c.vs); got != c.want {
			t.Errorf("median(%v) = %v; want %v", c.vs, got, c.want)
		}
	}
}

func TestUnknownOption(t *testing.T) {
	if err := run(t.Context(), []string{"-run", "("}); err == nil {
		t.Error("run() with a broken expression gave no error")
	}
	if err := run(t.Context(), []string{"-run", "^nothing$"}); err != nil {
		t.Errorf("run() of no chapter = %v", err)
	}
}
