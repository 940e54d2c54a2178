package authority

import (
	"context"
	"crypto/x509"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gonut/internal/certs"
	"gonut/internal/program"
)

func runIn(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out, errs strings.Builder
	err := Program().Run(context.Background(), program.Env{Args: append([]string{"cert"}, args...), Stdout: &out, Stderr: &errs})
	return out.String() + errs.String(), err
}

func TestProgram(t *testing.T) {
	dir := t.TempDir()
	out, err := runIn(t, "-dir", dir, "ups.example", "192.0.2.1")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"CERTFILE " + filepath.Join(dir, "upsd.pem"), "CERTVERIFY 1", "FORCESSL 1"} {
		if !strings.Contains(out, want) {
			t.Errorf("output lacks %q:\n%s", want, out)
		}
	}
	for name, mode := range map[string]os.FileMode{"upsd.pem": 0o600, "ca-key.pem": 0o600, "ca.pem": 0o644} {
		if fi, err := os.Stat(filepath.Join(dir, name)); err != nil || fi.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v; want mode %v", name, fi, err, mode)
		}
	}
	pair, err := certs.Pair(filepath.Join(dir, "upsd.pem"), "")
	if err != nil {
		t.Fatal(err)
	}
	roots, err := certs.Roots(filepath.Join(dir, "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	for host, good := range map[string]bool{
		"ups.example": true, "192.0.2.1": true, "localhost": true, "127.0.0.1": true, "::1": true, "other.example": false,
	} {
		if err := certs.Verify([]*x509.Certificate{pair.Leaf}, roots, host); (err == nil) != good {
			t.Errorf("Verify for %s = %v; want good %v", host, err, good)
		}
	}

	// A second server gets the same authority; no file is ever replaced.
	if out, err := runIn(t, "-dir", dir, "ups.example"); err == nil {
		t.Errorf("upsd.pem was replaced:\n%s", out)
	}
	if _, err := runIn(t, "-dir", dir, "-name", "second", "second.example"); err != nil {
		t.Fatal(err)
	}
	second, err := certs.Pair(filepath.Join(dir, "second.pem"), "")
	if err != nil {
		t.Fatal(err)
	}
	if err := certs.Verify([]*x509.Certificate{second.Leaf}, roots, "second.example"); err != nil {
		t.Errorf("the second certificate is of another authority: %v", err)
	}

	if err := os.Remove(filepath.Join(dir, "ca-key.pem")); err != nil {
		t.Fatal(err)
	}
	if _, err := runIn(t, "-dir", dir, "-name", "third"); err == nil || !strings.Contains(err.Error(), "-dir") {
		t.Errorf("without the authority's key: %v; want an error that says what to do", err)
	}
}

func TestProgramRefuses(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("file", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"-name", "../x"}, {"-name", "ca"}, {"-nonsense"}, {"-dir", "file"},
		{"two words"}, {""}, {"192.0.2.1:3493"}, {"[::1]"}, {"-dir", ".", "-name", "a", "ups.example", "a/b"},
	} {
		if out, err := runIn(t, args...); err == nil {
			t.Errorf("nut cert %q = %s; want an error", args, out)
		}
	}
}

// What is printed can be copied into upsd.conf, which knows no current folder.
func TestProgramMakesItsFolder(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	out, err := runIn(t, "-dir", "new/certs", "ups.example", "fd00::1", "*.example")
	if err != nil {
		t.Fatal(err)
	}
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	if want := "CERTFILE " + filepath.Join(here, "new", "certs", "upsd.pem") + "\n"; !strings.Contains(out, want) {
		t.Errorf("output lacks %q:\n%s", want, out)
	}
	if _, err := runIn(t, "-dir", "new/certs"); err == nil || !strings.Contains(err.Error(), "-name") {
		t.Errorf("a second time: %v; want an error that says what to do", err)
	}
}

func TestHelp(t *testing.T) {
	var out, errs strings.Builder
	err := Program().Run(context.Background(), program.Env{Args: []string{"cert", "-h"}, Stdout: &out, Stderr: &errs})
	if err != nil || errs.Len() > 0 || !strings.Contains(out.String(), "-dir folder") {
		t.Errorf("-h printed %q and %q, %v; want the help on standard output", out.String(), errs.String(), err)
	}
}

func TestIssueNeedsAHost(t *testing.T) {
	a, err := New("x", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Issue(time.Now()); err == nil {
		t.Error("Issue() without hosts gave no error")
	}
}
