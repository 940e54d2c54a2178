package sandbox

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestParseScript(t *testing.T) {
	const text = "# a short outage\n0 status\n\n10 CUT apc\n1m30s restore apc rack\n1m30s quit\n"
	got, err := ParseScript("story", strings.NewReader(text), []string{"apc", "rack"})
	want := []Command{
		{0, "status", []string{}},
		{10 * time.Second, "cut", []string{"apc"}},
		{90 * time.Second, "restore", []string{"apc", "rack"}},
		{90 * time.Second, "quit", []string{}},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("ParseScript = %v, %v; want %v", got, err, want)
	}
}

func TestParseScriptSaysWhatIsWrong(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"10s\n", "story:1: want a time and a command, such as: 10s cut"},
		{"\n\ncut 10s\n", `story:3: "cut" is no time since the start; write it like 10, 10s or 1m30s`},
		{"nan cut\n", `story:1: "nan" is no time since the start; write it like 10, 10s or 1m30s`},
		{"-1s cut\n", `story:1: "-1s" is no time since the start; write it like 10, 10s or 1m30s`},
		{"1s cutt\n", `story:1: unknown command "cutt"; did you mean cut?`},
		{"1s explode\n", `story:1: unknown command "explode"; known are cut, restore, lowbatt, replace, unplug, status, help, quit`},
		{"1s cut foo\n", `story:1: unknown ups "foo"; there are apc and rack`},
		{"5s cut\n1s restore\n", "story:2: 1s is earlier than the line before (5s)"},
		{"1s cut \"a # b\n", `story:1: unbalanced word: '#' inside quotes needs a '\' before it`},
	} {
		_, err := ParseScript("story", strings.NewReader(test.text), []string{"apc", "rack"})
		if err == nil || err.Error() != test.want {
			t.Errorf("ParseScript(%q) = %v; want %s", test.text, err, test.want)
		}
	}
}
