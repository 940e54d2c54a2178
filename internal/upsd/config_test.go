package upsd

import (
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gonut/internal/authority"
	"gonut/internal/conf"
)

// TestLoadSaysWhatIsWrong shows what is said of files whose lines are right one by
// one: an error, or lines in the log.
func TestLoadSaysWhatIsWrong(t *testing.T) {
	p := newPKI(t)
	past := time.Now().Add(-authority.Validity - 48*time.Hour)
	a, err := authority.New("old", past)
	if err != nil {
		t.Fatal(err)
	}
	text, err := a.Issue(past, "localhost")
	if err != nil {
		t.Fatal(err)
	}
	old := filepath.Join(t.TempDir(), "old.pem")
	writeFile(t, old, text)
	for _, c := range []struct {
		name, file, text string // in place of a good file
		log, err         string
	}{
		{"nothing", "upsd.conf", "", "", ""},
		{"all of TLS", "upsd.conf", "CERTFILE " + p.server + "\nCERTREQUEST REQUIRE\nCERTPATH " + p.ca + "\n", "", ""},
		{"requests without certificate", "upsd.conf", "CERTREQUEST REQUEST\n", "no CERTFILE", ""},
		{"a name without certificate", "upsd.conf", "CERTIDENT name password\n", "no CERTFILE", ""},
		{"a path without certificate", "upsd.conf", "CERTPATH /etc/nut\n", "no CERTFILE", ""},
		{"requests without authority", "upsd.conf", "CERTFILE " + p.server + "\nCERTREQUEST REQUEST\n", "nobody vouches", ""},
		{"no such certificate", "upsd.conf", "CERTFILE /nowhere/x.pem\n", "", "upsd.conf: read certificate"},
		{"an old certificate", "upsd.conf", "CERTFILE " + old + "\n", "not valid now", ""},
		{"two folders", "upsd.conf", "STATEPATH /elsewhere\n", "STATEPATH", ""},
		{"the same folder", "upsd.conf", "STATEPATH /state\n", "", ""},
		{"no descriptions", "upsd.conf", "DATAPATH /nowhere\n", "/nowhere/cmdvartab", ""},
		{"cut hash", "upsd.users", "[a]\npassword = p\n[b]\npassword = $2a$10$abc\n", "upsd.users:3: the password of [b]: it looks like a hash", ""},
		{"no such account", "upsd.users", "[a]\npeer = root no-such-account 0\n", "upsd.users:1: peer of [a]: this host has no account no-such-account", ""},
		{"an empty port", "ups.conf", "[a]\ndriver = x\nport = \"\"\n", "", ""},
		{"no device", "ups.conf", "[a]\ndriver = x\n", "no line port", "ups.conf names no device"},
	} {
		dir := t.TempDir()
		good := map[string]string{"upsd.conf": "", "upsd.users": "", "ups.conf": "[a]\ndriver = x\nport = y\n"}
		good[c.file] = c.text
		for name, text := range good {
			writeFile(t, filepath.Join(dir, name), []byte(text))
		}
		l := &log{}
		_, err := Load(conf.Paths{Conf: dir, State: "/state", StateByEnv: true}, func(string) string { return "" }, slog.New(slog.NewTextHandler(l, nil)))
		if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: error %v; want %q", c.name, err, c.err)
		}
		if text := l.text(); (text == "") != (c.log == "") || !strings.Contains(text, c.log) {
			t.Errorf("%s: the log has %q; want %q", c.name, text, c.log)
		}
		if strings.Contains(l.text(), "$2a$10$abc") || strings.Contains(l.text(), "name password") {
			t.Errorf("%s: the log has a secret: %s", c.name, l.text())
		}
	}
}
