package conf

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// grammar marks lines of a document that tell what may be written, not how it looks.
var grammar = regexp.MustCompile(`\b(SYSTEM|TIME|MEASURE|SECONDS|NAME)\b|\[|…`)

// directivesOf are the words that begin the lines of a file.
func directivesOf(file string) []string {
	switch file {
	case "upsmon.conf":
		return slices.Concat(names(upsmonTimes()), names(upsmonShutdown()), names(upsmonRules()))
	case "upssched.conf":
		return names(upsschedDirectives())
	case "upsd.conf":
		return []string{"LISTEN", "MAXAGE", "MAXCONN", "STATEPATH", "CERTFILE", "TRACKINGDELAY"}
	}
	return nil
}

// examples returns the examples of configuration files in a document: what is indented
// or between fences and begins with a directive.
func examples(text string) map[string][]string {
	blocks := make(map[string][]string)
	var block []string
	flush := func() {
		defer func() { block = nil }()
		for _, file := range []string{"upsmon.conf", "upssched.conf", "upsd.conf"} {
			for _, l := range block {
				if f := strings.Fields(l); len(f) > 1 && l[0] != ' ' && slices.Contains(directivesOf(file), f[0]) && f[1] != "=" {
					blocks[file] = append(blocks[file], strings.Join(block, "\n")+"\n")
					return
				}
			}
		}
	}
	fenced := false
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		l, indented := strings.CutPrefix(line, "    ")
		switch {
		case strings.HasPrefix(line, "```"):
			flush()
			fenced = !fenced
		case fenced && !grammar.MatchString(line):
			block = append(block, line)
		case indented && !grammar.MatchString(l):
			block = append(block, l)
		case !fenced && !indented:
			flush()
		}
	}
	flush()
	return blocks
}

// TestDocuments reads every example of the documents. What they leave out stands in
// front of them.
func TestDocuments(t *testing.T) {
	files, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	before := map[string]string{
		"upsmon.conf":   "MONITOR ups@server 1 user password secondary\n",
		"upssched.conf": "CMDSCRIPT x\nPIPEFN x\nLOCKFN x\n",
	}
	found := make(map[string]int)
	for _, f := range append(files, "../../README.md", "../../CONTRIBUTING.md") {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for file, blocks := range examples(string(text)) {
			for _, b := range blocks {
				found[file]++
				whole := b
				if file == "upssched.conf" && !strings.Contains(b, "CMDSCRIPT") || file == "upsmon.conf" && !strings.Contains(b, "MONITOR") {
					whole = before[file] + b
				}
				if problems, err := parseAny(file, whole); err != nil || problems != nil {
					t.Errorf("%s: %s has %v, %v; want no problem in\n%s", f, file, problems, err, b)
				}
			}
		}
	}
	if found["upsmon.conf"] < 3 || found["upssched.conf"] < 1 {
		t.Errorf("found %v examples; want those of docs/extensions.md at least", found)
	}
}
