package upsmon

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// testFolders are where the packages of testdata/rows.txt have their tests.
var testFolders = map[string]string{
	"upsmon": ".", "monitor": "monitor", "conf": "../conf", "daemon": "../daemon", "interop": "../../test/interop",
}

// Every row of the behaviour has a transcript or a test that shows it.
func TestEveryRowIsShown(t *testing.T) {
	text, err := os.ReadFile("testdata/rows.txt")
	if err != nil {
		t.Fatal(err)
	}
	shown := map[string]bool{}
	for _, title := range titles(t) {
		shown[title] = true
	}
	for name, dir := range testFolders {
		for _, test := range tests(t, dir) {
			shown[name+"."+test] = true
		}
	}
	seen := map[string]bool{}
	rows := 0
	for i, line := range strings.Split(string(text), "\n") {
		if line == "" || line[0] == '#' {
			continue
		}
		row, where, ok := strings.Cut(line, " | ")
		id, what, described := strings.Cut(row, "\t")
		if !ok || !described || what == "" || seen[id] {
			t.Errorf("rows.txt:%d: %q; want a new name, a tab, what it is, a bar and what shows it", i+1, line)
			continue
		}
		seen[id] = true
		rows++
		for _, w := range strings.Split(where, " & ") {
			if !shown[w] {
				t.Errorf("rows.txt:%d: %s: nothing is called %q", i+1, id, w)
			}
		}
	}
	if rows < 150 {
		t.Errorf("%d rows; want all of them", rows)
	}
}

// titles returns the titles of all transcripts.
func titles(t *testing.T) []string {
	t.Helper()
	var all []string
	files, err := filepath.Glob("monitor/testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			if title, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "= "); ok {
				all = append(all, title)
			}
		}
	}
	return all
}

// tests returns the names of the tests in a folder.
func tests(t *testing.T, dir string) []string {
	t.Helper()
	var all []string
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`(?m)^func (Test\w+)\(`).FindAllSubmatch(text, -1) {
			all = append(all, string(m[1]))
		}
	}
	return all
}
