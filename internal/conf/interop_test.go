package conf

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// check parses the file at path by its base name and returns its problems.
func check(path string) ([]Problem, error) {
	var ps []Problem
	var err error
	switch base, _, _ := strings.Cut(filepath.Base(path), ".sample"); base {
	case "ups.conf":
		_, ps, err = ReadFile(path, ParseUPSConf)
	case "upsd.conf":
		_, ps, err = ReadFile(path, ParseUPSD)
	case "upsd.users":
		_, ps, err = ReadFile(path, ParseUsers)
	case "upsmon.conf":
		_, ps, err = ReadFile(path, ParseUPSMon)
	case "nut.conf":
		_, ps, err = ReadFile(path, ParseNUTConf)
	}
	return ps, err
}

// TestInstalledSamples reads the configuration files that come with C NUT's
// packages. C has nothing to say about them, so neither may we.
func TestInstalledSamples(t *testing.T) {
	var paths []string
	for _, pattern := range []string{"/etc/nut/*", "/usr/share/doc/nut*/examples/*"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, found...)
	}
	if len(paths) == 0 {
		t.Skip("C NUT's packages are not installed")
	}
	for _, path := range paths {
		if fi, err := os.Stat(path); err != nil || fi.IsDir() {
			continue
		}
		ps, err := check(path)
		if errors.Is(err, fs.ErrPermission) {
			t.Logf("%s is not readable for this user", path)
			continue
		}
		if len(ps) > 0 || err != nil {
			t.Errorf("check(%s) = %v, %v; want no problem", path, ps, err)
		}
	}
}
