package conf

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestSamples reads the sample files twice: as they are, and with every example
// line in effect.
func TestSamples(t *testing.T) {
	example := regexp.MustCompile(`(?m)^#([\tA-Z\[a-z])`) // comments have a blank after the '#'
	for _, file := range []string{"ups.conf", "upsd.conf", "upsd.users", "upsmon.conf", "upssched.conf", "nut.conf"} {
		text, err := os.ReadFile(filepath.Join("..", "..", "conf", file))
		if err != nil {
			t.Fatal(err)
		}
		active := example.ReplaceAllString(string(text), "$1")
		if file == "ups.conf" { // its last paragraph is a list with remarks
			active, _, _ = strings.Cut(active, "# What any section may hold")
		}
		if strings.Count(active, "\n") < 10 || active == string(text) {
			t.Errorf("%s has no example lines", file)
		}
		for what, text := range map[string]string{"as it is": string(text), "with its examples": active} {
			if problems, err := parseAny(file, text); err != nil || problems != nil {
				t.Errorf("parse(%s %s) = %v, %v; want no problem", file, what, problems, err)
			}
		}
	}
}
