package hostaccess

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func load(t *testing.T, allow, deny string) (*Rules, Files, []string) {
	t.Helper()
	dir := t.TempDir()
	f := Files{filepath.Join(dir, "allow"), filepath.Join(dir, "deny")}
	for name, text := range map[string]string{f.Allow: allow, f.Deny: deny} {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	r, problems, err := Load(f, "upsd")
	if err != nil {
		t.Fatal(err)
	}
	return r, f, problems
}

func TestAdmits(t *testing.T) {
	for _, c := range []struct {
		name, allow, deny string
		in, out           string // addresses, some with user@
	}{
		{"no rules", "", "", "10.0.0.1 ::1", ""},
		{"other service", "", "sshd: ALL", "10.0.0.1", ""},
		{"deny all", "", "ALL: ALL", "", "10.0.0.1 127.0.0.1 ::1"},
		{"allow beats deny", "upsd: 10.0.0.1", "ALL: ALL", "10.0.0.1 ::ffff:10.0.0.1", "10.0.0.2"},
		{"lists", "upsd, sshd : 10.0.0.1,10.0.0.2  10.0.0.3", "upsd:ALL", "10.0.0.1 10.0.0.2 10.0.0.3", "10.0.0.4"},
		{"prefix", "upsd: 192.168.", "upsd: ALL", "192.168.7.9", "192.169.0.1 10.0.0.1"},
		{"mask", "upsd: 192.168.4.0/255.255.252.0", "upsd: ALL", "192.168.7.9", "192.168.8.1"},
		{"length", "upsd: 10.0.0.0/8 [fd00::]/8", "upsd: ALL", "10.9.9.9 fd12::1", "11.0.0.1 fe80::1"},
		{"ipv6", "upsd: [2001:db8::1] [2001:db8:1::/48]", "upsd: ALL", "2001:db8::1 2001:db8:1::5", "2001:db8::2"},
		{"local", "ALL: LOCAL", "ALL: ALL", "127.0.0.1 127.8.8.8 ::1", "10.0.0.1"},
		{"except", "ALL: 10. EXCEPT 10.0.0.1 EXCEPT bob@10.0.0.1", "ALL: ALL", "10.0.0.2 bob@10.0.0.1", "10.0.0.1"},
		{"except service", "", "ALL EXCEPT upsd: ALL", "10.0.0.1", ""},
		{"user", "upsd: admin@10.0.0.1", "upsd: ALL", "admin@10.0.0.1", "10.0.0.1 admin@10.0.0.2"},
		{"options", "upsd: 10.0.0.1: DENY\nupsd: ALL: ALLOW", "ALL: ALL", "10.0.0.2", "10.0.0.1"},
		{"allow in deny", "", "upsd: 10.0.0.1: allow\nALL: ALL", "10.0.0.1", "10.0.0.2"},
		{"twist", "upsd: ALL: twist /bin/echo no", "", "", "10.0.0.1"},
		{"continued", "upsd: 10.0.0.1 \\\n  10.0.0.2\n", "ALL: ALL", "10.0.0.1 10.0.0.2", "10.0.0.3"},
		{"comments", "# upsd: ALL\n\n   # more\n", "ALL: ALL", "", "10.0.0.1"},
		{"wildcard", "upsd: 10.0.?.*", "ALL: ALL", "10.0.1.55", "10.0.11.55"},
		{"names", "upsd: .example.org ALL@x", "ALL: ALL", "", "10.0.0.1"},
		{"bad mask", "upsd: 10.0.0.0/255.0.255.0 10.0.0.0/99 10.0.0.0/x", "ALL: ALL", "", "10.0.0.1"},
	} {
		r, _, _ := load(t, c.allow, c.deny)
		for _, want := range []bool{true, false} {
			list := c.in
			if !want {
				list = c.out
			}
			for _, w := range strings.Fields(list) {
				user, host, ok := strings.Cut(w, "@")
				if !ok {
					user, host = "", w
				}
				if got := r.Admits(netip.MustParseAddr(host), user); got != want {
					t.Errorf("%s: Admits(%s) = %v; want %v", c.name, w, got, want)
				}
			}
		}
	}
}

func TestProblems(t *testing.T) {
	_, f, problems := load(t, "upsd ALL\nupsd: .example.org\nsshd: .example.org\n", "upsd: ups.example.org 10.0.0.1\n")
	want := []string{
		f.Allow + ":1: no ':' between services and clients; the line is ignored",
		f.Allow + ":2: .example.org never matches: names of hosts are not looked up",
		f.Deny + ":1: ups.example.org never matches: names of hosts are not looked up",
	}
	if strings.Join(problems, "\n") != strings.Join(want, "\n") {
		t.Errorf("problems = %q; want %q", problems, want)
	}
}

func TestChanged(t *testing.T) {
	r, f, _ := load(t, "", "ALL: ALL")
	if r.Changed(f) {
		t.Error("Changed() = true right after Load")
	}
	later := time.Now().Add(time.Minute)
	if err := os.Chtimes(f.Deny, later, later); err != nil {
		t.Fatal(err)
	}
	if !r.Changed(f) {
		t.Error("Changed() = false after a file was touched")
	}
	r, _, _ = Load(f, "upsd")
	os.Remove(f.Allow)
	if !r.Changed(f) {
		t.Error("Changed() = false after a file was removed")
	}
	none := Files{filepath.Join(t.TempDir(), "no"), filepath.Join(t.TempDir(), "no")}
	var nobody *Rules
	if nobody.Changed(none) || !nobody.Admits(netip.MustParseAddr("10.0.0.1"), "") {
		t.Error("no files: want no rules and no change")
	}
}

func FuzzAdmits(f *testing.F) {
	f.Add("upsd: ALL EXCEPT [::1]/64 : DENY\\\n", "10.0.0.1", "bob")
	f.Add("upsd@x, ALL : a@b.c. 1.2.3.4/255.255.0.0", "fe80::1", "")
	f.Fuzz(func(t *testing.T, text, addr, user string) {
		rules, _, _ := parse(strings.NewReader(text), "f", "upsd")
		a, err := netip.ParseAddr(addr)
		if err != nil {
			return
		}
		(&Rules{allow: rules, deny: rules}).Admits(a, user)
	})
}
