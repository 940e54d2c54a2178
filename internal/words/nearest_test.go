package words

import "testing"

func TestNearest(t *testing.T) {
	known := []string{"MONITOR", "MINSUPPLIES", "POLLFREQ", "POLLFREQALERT", "NOTIFYCMD", "NOTIFYMSG"}
	for word, want := range map[string]string{
		"MONITR": "MONITOR", "monitor": "MONITOR", "MONTIOR": "MONITOR", "MONITORS": "MONITOR", "MONI": "",
		"POLFREQ": "POLLFREQ", "POLLFREQALRT": "POLLFREQALERT", "NOTIFYMS": "NOTIFYMSG", "xyz": "", "": "", "N": "",
		"MINSUPLIS": "MINSUPPLIES", "something": "",
	} {
		if got := Nearest(word, known); got != want {
			t.Errorf("Nearest(%q) = %q; want %q", word, got, want)
		}
	}
	// Of two that are equally near, the first; never one that shares no letter.
	if got := Nearest("ab", []string{"ax", "ay"}); got != "ax" {
		t.Errorf("Nearest(ab) = %q; want ax", got)
	}
	if got := Nearest("x", []string{"y"}); got != "" {
		t.Errorf("Nearest(x) of y = %q; want none", got)
	}
	if got := Nearest("", []string{"a"}); got != "" {
		t.Errorf("Nearest() of a = %q; want none", got)
	}
	if got := Nearest("a", nil); got != "" {
		t.Errorf("Nearest(a) of nothing = %q; want none", got)
	}
}

func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"a", "", 1}, {"", "ab", 2}, {"abc", "abc", 0}, {"abc", "abd", 1}, {"abc", "acb", 1},
		{"abc", "ab", 1}, {"abc", "xabc", 1}, {"kitten", "sitting", 3}, {"ca", "abc", 3},
	} {
		if got := distance(c.a, c.b); got != c.want {
			t.Errorf("distance(%q, %q) = %d; want %d", c.a, c.b, got, c.want)
		}
		if got := distance(c.b, c.a); got != c.want {
			t.Errorf("distance(%q, %q) = %d; want %d", c.b, c.a, got, c.want)
		}
	}
}
