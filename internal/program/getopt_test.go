package program

import (
	"slices"
	"strings"
	"testing"
)

// TestGetopt compares with POSIX getopt, which C NUT's programs use. optstring is
// upsd's; x takes an argument as well.
func TestGetopt(t *testing.T) {
	const optstring = "+h46p:qr:i:fu:Vc:P:DFBx:"
	for _, c := range []struct {
		args     string // words between blanks, "_" is an empty one
		opts     string // letters with =argument
		operands string
		err      string
	}{
		{"", "", "", ""},
		{"-D", "D", "", ""},
		{"-DDD", "D D D", "", ""},
		{"-FB", "F B", "", ""},
		{"-unut", "u=nut", "", ""},
		{"-u nut", "u=nut", "", ""},
		{"-u -1", "u=-1", "", ""},
		{"-u -- -D", "u=-- D", "", ""},
		{"-u _ -D", "u= D", "", ""},
		{"-Dunut -F", "D u=nut F", "", ""},
		{"-DuF nut", "D u=F", "nut", ""},
		{"-D -- -F", "D", "-F", ""},
		{"--", "", "", ""},
		{"-- --", "", "--", ""},
		{"-D start ups -F", "D", "start ups -F", ""},
		{"- -D", "", "- -D", ""},
		{"-D - x", "D", "- x", ""},
		{"_ -D", "", "_ -D", ""},
		{"-4 -6", "4 6", "", ""},
		{"-x a=b -x c", "x=a=b x=c", "", ""},
		{"-P123 -c reload", "P=123 c=reload", "", ""},
		{"-Z", "", "", "invalid option -- 'Z'"},
		{"-DZF", "D", "", "invalid option -- 'Z'"},
		{"-D -: x", "D", "x", "invalid option -- ':'"},
		{"-+", "", "", "invalid option -- '+'"},
		{"--help", "", "", "invalid option -- '-'"},
		{"-u", "", "", "option requires an argument -- 'u'"},
		{"-D -Fu", "D F", "", "option requires an argument -- 'u'"},
	} {
		opts, operands, err := Getopt(split(c.args), optstring)
		var got []string
		for _, o := range opts {
			s := string(o.Letter)
			if strings.Contains(optstring, s+":") {
				s += "=" + o.Arg
			} else if o.Arg != "" {
				t.Errorf("Getopt(%s): -%s has the argument %q", c.args, s, o.Arg)
			}
			got = append(got, s)
		}
		text := ""
		if err != nil {
			text = err.Error()
		}
		if strings.Join(got, " ") != c.opts || !slices.Equal(operands, split(c.operands)) || text != c.err {
			t.Errorf("Getopt(%s) = %q, %q, %q; want %q, %q, %q", c.args, got, operands, text, c.opts, c.operands, c.err)
		}
	}
}

func split(text string) []string {
	ws := strings.Fields(text)
	for i, w := range ws {
		if w == "_" {
			ws[i] = ""
		}
	}
	return ws
}
