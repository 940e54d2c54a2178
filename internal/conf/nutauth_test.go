package conf

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// authFolder writes files into a folder and returns the path of the first name.
func authFolder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "nutauth.conf")
}

func TestNUTAuthHeaders(t *testing.T) {
	for header, want := range map[string]string{ // "" is an error
		"[user@host:99]":     "user host 99",
		"[@host:99]":         " host 99",
		"[host:99]":          " host 99",
		"[host]":             " host 3493",
		"[@host]":            " host 3493",
		"[@:99]":             " localhost 99",
		"[:99]":              " localhost 99",
		"[u@:99]":            "u localhost 99",
		"[[::1]:99]":         " ::1 99",
		"[u@[::1]]":          "u ::1 3493",
		"[a@b@host]":         "a@b host 3493",
		"[host:http]":        " host 80",
		"[]":                 "global",
		"[_global_defaults]": "global",
		`"[my user@host]"`:   "my user host 3493",
		"[user@]":            "",
		"[@]":                " localhost 3493",
		"[host:]":            "",
		"[::1]":              "",
		"[[::1]":             "",
		"[[::1]x]":           "",
		"[my user@host]":     "",
		"[host":              "",
	} {
		got := ""
		a, _, err := ReadNUTAuth(authFolder(t, map[string]string{"nutauth.conf": header + "\nPASS = x\n"}))
		switch {
		case err != nil:
			if !strings.Contains(err.Error(), "nutauth.conf:1: ") {
				t.Errorf("header %s: error %v; want one with file and line", header, err)
			}
		case a.Global.HasPassword:
			got = "global"
		default:
			s := a.Sections[0]
			got = s.User + " " + s.Host + " " + s.Port
		}
		if got != want {
			t.Errorf("header %s = %q, %v; want %q", header, got, err, want)
		}
	}
}

func TestNUTAuthKeys(t *testing.T) {
	a, problems, err := ReadNUTAuth(authFolder(t, map[string]string{"nutauth.conf": `
user = everybody
FORCESSL
CERTPATH = /etc/ca
[host]
Username = mon
password = "a b=\#"
CERTFILE = own.pem
CERTIDENT_NAME = me
CERTIDENT_PASS = hush
CERTHOST = ups.example
CERTVERIFY = maybe
SSLBACKEND = OPENSSL
certpath = lower
PASSWROD = x
a b
[bob@host]
USER = eve
PASS = pw
FORCESSL = off
`}))
	if err != nil {
		t.Fatal(err)
	}
	want := NUTAuth{
		Global: Auth{Username: "everybody", CertPath: "/etc/ca", ForceSSL: On},
		Sections: []Auth{
			{Host: "host", Port: "3493", Username: "mon", Password: "a b=#", HasPassword: true,
				CertFile: "own.pem", CertIdentName: "me", CertIdentPass: "hush", CertHost: "ups.example",
				SSLBackend: "OPENSSL"},
			{User: "bob", Host: "host", Port: "3493", Username: "bob", Password: "pw", HasPassword: true,
				ForceSSL: Off},
		},
	}
	if d := cmp.Diff(want, a); d != "" {
		t.Errorf("ReadNUTAuth differs (-want +got):\n%s", d)
	}
	var texts []string
	for _, p := range problems {
		texts = append(texts, strings.TrimPrefix(p.String(), p.File))
	}
	for i, want := range []string{
		":12: CERTVERIFY is on or off", ":14: unknown key certpath; did you mean CERTPATH?", ":15: unknown key PASSWROD", ":16: a: write a = value", ":18: this section is for user bob",
	} {
		if i >= len(texts) || !strings.HasPrefix(texts[i], want) {
			t.Errorf("problems = %q; want number %d to begin %q", texts, i, want)
		}
	}
	if len(texts) != 5 {
		t.Errorf("problems = %q; want 5", texts)
	}

	got := a.Lookup("", "HOST", "3493")
	if got.Username != "mon" || got.CertPath != "/etc/ca" || got.ForceSSL != On {
		t.Errorf("Lookup(HOST) = %+v; want the section, completed by what holds for all", got)
	}
	if got := a.Lookup("bob", "host", "3493"); got.Username != "bob" || got.ForceSSL != Off || got.CertFile != "own.pem" {
		t.Errorf("Lookup(bob, host) = %+v; want bob's section, then the host's", got)
	}
	if got := a.Lookup("", "host", "99"); got.Username != "everybody" || got.HasPassword {
		t.Errorf("Lookup(other port) = %+v; want what holds for all", got)
	}
}

func TestNUTAuthIncludes(t *testing.T) {
	a, _, err := ReadNUTAuth(authFolder(t, map[string]string{
		"nutauth.conf": "INCLUDE more.conf\ninclude missing.conf\nUSER = g\n[host]\nINCLUDE_REQUIRED pw.conf\n",
		"more.conf":    "[other]\nPASS = o\n",
		"pw.conf":      "PASS = h\n",
	}))
	if err != nil {
		t.Fatal(err)
	}
	if a.Global.Username != "g" {
		t.Errorf("Global.Username = %q; want g: sections of an included file end with it", a.Global.Username)
	}
	if got := a.Lookup("", "other", "3493").Password; got != "o" {
		t.Errorf("password of other = %#q; want o", string(got))
	}
	if got := a.Lookup("", "host", "3493").Password; got != "h" {
		t.Errorf("password of host = %#q; want h", string(got))
	}
}

func TestNUTAuthErrors(t *testing.T) {
	for text, want := range map[string]string{
		"INCLUDE_REQUIRED missing.conf": "nutauth.conf:1: ",
		"INCLUDE":                       "nutauth.conf:1: ",
		"INCLUDE a b":                   "nutauth.conf:1: ",
		"INCLUDE nutauth.conf":          "more than 8 deep",
		"[host]\nINCLUDE other.conf":    "other.conf:1: ",
	} {
		_, _, err := ReadNUTAuth(authFolder(t, map[string]string{
			"nutauth.conf": text + "\n", "other.conf": "[else]\nPASS = x\n",
		}))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ReadNUTAuth(%q) = %v; want an error with %q", text, err, want)
		}
	}
	if _, _, err := ReadNUTAuth(filepath.Join(t.TempDir(), "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("ReadNUTAuth(missing) = %v; want fs.ErrNotExist", err)
	}
}

func TestNUTAuthWorldReadable(t *testing.T) {
	path := authFolder(t, map[string]string{"nutauth.conf": "USER = a\n"})
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	_, problems, err := ReadNUTAuth(path)
	if err != nil || len(problems) != 1 || !strings.Contains(problems[0].Text, "chmod o-rwx") {
		t.Errorf("problems of a file that all may read = %v, %v; want one", problems, err)
	}
}

func TestFindNUTAuth(t *testing.T) {
	home, etc := t.TempDir(), t.TempDir()
	env := map[string]string{"HOME": home}
	find := func() string {
		path, chosen := FindNUTAuth(func(n string) string { return env[n] }, Paths{Conf: etc})
		if chosen {
			return "chosen " + path
		}
		return path
	}
	check := func(want string) {
		t.Helper()
		if got := find(); got != want {
			t.Errorf("FindNUTAuth = %q; want %q", got, want)
		}
	}
	touch := func(path string) string {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	check("")
	check(touch(filepath.Join(etc, "nutauth.conf")))
	check(touch(filepath.Join(home, ".nutauth.conf")))
	check(touch(filepath.Join(home, ".config", "nut", "nutauth.conf")))
	env["NUT_AUTHCONF_PATH"] = "/p"
	check("chosen " + filepath.Join("/p", "nutauth.conf"))
	env["NUT_AUTHCONF_FILE"] = "/f"
	check("chosen /f")
}

// TestNUTAuthSample reads the sample file with every example line in effect.
func TestNUTAuthSample(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "conf", "nutauth.conf"))
	if err != nil {
		t.Fatal(err)
	}
	example := regexp.MustCompile(`(?m)^#([\tA-Z\[])`) // comments have a blank after the '#'
	a, problems, err := ReadNUTAuth(authFolder(t, map[string]string{
		"nutauth.conf":         example.ReplaceAllString(string(text), "$1"),
		"garage-password.conf": "PASS = x\n",
	}))
	if err != nil || problems != nil || len(a.Sections) != 3 || a.Global.ForceSSL != On {
		t.Errorf("sample = %+v, %v, %v; want three sections and no problem", a, problems, err)
	}
	if got := a.Lookup("", "nas.example", "3493"); got.Password != "change me" || got.CertPath == "" || got.CertVerify != On {
		t.Errorf("Lookup(nas.example) = %+v; want the sample's section", got)
	}
}

// Without a file nothing is decided: TLS is tried and certificates are not refused.
func TestNUTAuthZero(t *testing.T) {
	if a := (NUTAuth{}).Lookup("", "host", "3493"); a.ForceSSL != Unset || a.CertVerify != Unset {
		t.Errorf("Lookup in no file = ForceSSL %d, CertVerify %d; want neither set", a.ForceSSL, a.CertVerify)
	}
}
