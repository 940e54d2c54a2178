package ups

import (
	"math"
	"slices"
	"testing"
)

func TestFlags(t *testing.T) {
	for _, c := range []struct {
		words []string
		flags Flags
		back  []string
	}{
		{nil, 0, nil},
		{[]string{"RW"}, RW, []string{"RW"}},
		{[]string{"number", "rw"}, RW | Number, []string{"RW", "NUMBER"}},
		{[]string{"STRING", "RW", "NUMBER", "RW"}, RW | String | Number, []string{"RW", "STRING", "NUMBER"}},
		{[]string{"IMMUTABLE", ""}, 0, nil},
	} {
		if got := ParseFlags(c.words); got != c.flags {
			t.Errorf("ParseFlags(%q) = %v; want %v", c.words, got, c.flags)
		}
		if got := (c.flags | Immutable).Words(); !slices.Equal(got, c.back) {
			t.Errorf("Words(%v and Immutable) = %q; want %q", c.flags, got, c.back)
		}
	}
}

func TestAtoi(t *testing.T) {
	for text, want := range map[string]int{
		"": 0, "0": 0, "12": 12, "-3": -3, "+4": 4, " \t\n7": 7, "12abc": 12, "1.9": 1, "abc": 0, "-": 0, "+-1": 0, "0x10": 0,
		"--1": 0, "1 2": 1, "007": 7, "99999999999999999999": math.MaxInt, "-99999999999999999999": math.MinInt,
	} {
		if got := Atoi(text); got != want {
			t.Errorf("Atoi(%q) = %d; want %d", text, got, want)
		}
	}
}
