package conf

import (
	"crypto/md5"
	"errors"
	"fmt"
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
	case "upssched.conf":
		_, ps, err = ReadFile(path, ParseUPSSched)
	case "nut.conf":
		_, ps, err = ReadFile(path, ParseNUTConf)
	}
	return ps, err
}

// pristine reports whether the file at path is as Debian's package brought it:
// what an administrator wrote there is no business of a test.
func pristine(path, status string) bool {
	text, err := os.ReadFile(path)
	if err != nil || !strings.HasPrefix(path, "/etc/") {
		return err == nil
	}
	return strings.Contains(status, fmt.Sprintf("\n %s %x\n", path, md5.Sum(text)))
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
	status, err := os.ReadFile("/var/lib/dpkg/status")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	for _, path := range paths {
		if !pristine(path, string(status)) {
			t.Logf("%s is not the package's, or not readable for this user: left out", path)
			continue
		}
		ps, err := check(path)
		if len(ps) > 0 || err != nil {
			t.Errorf("check(%s) = %v, %v; want no problem", path, ps, err)
		}
	}
}
