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
		{"ipv6", "upsd: [2001:db8::1] [2001:db8:1::7]/48 [2001:db8:2::/48]", "upsd: ALL", "2001:db8::1 2001:db8:1::5", "2001:db8::2 2001:db8:2::1"},
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
		{"bad mask", "upsd: 10.0.0.0/99 10.0.0.0/x 10.0.0.7/24", "ALL: ALL", "", "10.0.0.1"},
		{"mask with a hole", "upsd: 10.0.3.0/255.0.255.0", "ALL: ALL", "10.0.3.1 10.9.3.1", "10.0.4.1"},
		{"localhost", "upsd: localhost", "ALL: ALL", "127.0.0.1 ::1", "10.0.0.1"},
		{"service in any case", "", "UPSD: ALL", "", "10.0.0.1"},
		{"service by pattern", "", "ups?: ALL", "", "10.0.0.1"},
		{"service of another address", "upsd@10.1.1.2: ALL", "ALL: ALL", "", "10.0.0.1"},
		{"service of this address", "upsd@10.1.1.: ALL", "ALL: ALL", "10.0.0.1", ""},
		{"service but at this address", "", "upsd EXCEPT upsd@10.1.1.1: ALL", "10.0.0.1", ""},
		{"user in any case", "", "upsd: BOB@ALL a*@ALL UNKNOWN@ALL", "10.0.0.1 x@10.0.0.1", "bob@10.0.0.1 Alice@10.0.0.1 unknown@10.0.0.1"},
		{"user known", "", "upsd: KNOWN@ALL", "unknown@10.0.0.1", "x@10.0.0.1"},
		{"options after the verdict", "upsd: 10.0.0.1: deny : allow\nupsd: 10.0.0.2: allow : deny\n", "", "10.0.0.3", "10.0.0.1 10.0.0.2"},
		{"options that are none", "upsd: 10.0.0.1: junk\nupsd: 10.0.0.2: allow all\nupsd: 10.0.0.3: umask\n", "", "10.0.0.4", "10.0.0.1 10.0.0.2 10.0.0.3"},
		{"options with values", "upsd: 10.0.0.1: severity = auth.info : spawn echo a\\:b : ALLOW\n", "ALL: ALL", "10.0.0.1", "10.0.0.2"},
		{"a program's verdict", "upsd: 10.0.0.1: aclexec /bin/true\n", "", "10.0.0.2", "10.0.0.1"},
		{"broken", "upsd\nupsd: 10.0.0.1\n", "upsd\nALL: ALL", "10.0.0.1", "10.0.0.2"},
		{"empty option", "upsd: 10.0.0.1:\nupsd: 10.0.0.2: : allow\n", "", "10.0.0.3", "10.0.0.1 10.0.0.2"},
		{"length 0", "upsd: 0.0.0.0/0 [::]/0", "ALL: ALL", "fe80::1", "10.0.0.1"},
		{"mask 0", "upsd: 0.0.0.0/0.0.0.0", "ALL: ALL", "10.0.0.1", "fe80::1"},
		{"brackets of IPv6 only", "upsd: [10.0.0.1] 10.0.0.2", "ALL: ALL", "10.0.0.2", "10.0.0.1"},
		{"continued to the end", "", "upsd: ALL \\\n", "", "10.0.0.1"},
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
				who := Client{Addr: netip.MustParseAddr(host), Local: netip.MustParseAddr("10.1.1.1"), User: user}
				if got := r.Admits(who); got != want {
					t.Errorf("%s: Admits(%s) = %v; want %v", c.name, w, got, want)
				}
			}
		}
	}
}

func TestProblems(t *testing.T) {
	_, f, problems := load(t, "upsd: .example.org [::1/8] \\\n 10.0.0.1/8\nsshd: .example.org\nupsd: ALL: junk\nupsd ALL\nupsd: .example.org\n",
		"upsd: ups.example.org 10.0.0.1\nupsd: ALL: aclexec true: allow\nALL\nupsd: 0.0.0.0/0")
	want := []string{
		f.Allow + ":2: .example.org never matches: names of hosts are not looked up",
		f.Allow + ":2: [::1/8] never matches: IPv6 is written [address] or [address]/length",
		f.Allow + ":2: 10.0.0.1/8 never matches: the address has bits that the mask does not; write 10.0.0.0/255.0.0.0",
		f.Allow + ":4: there is no option \"junk\"; the line keeps out whom it names",
		f.Allow + ":5: no ':' between services and clients; the line is ignored",
		f.Allow + ":6: .example.org never matches: names of hosts are not looked up",
		f.Deny + ":1: ups.example.org never matches: names of hosts are not looked up",
		f.Deny + ":2: option aclexec runs a command, and none is run; the line keeps out whom it names",
		f.Deny + ":3: no ':' between services and clients; the line is ignored",
		f.Deny + ":4: 0.0.0.0/0 never matches: all addresses are ALL",
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
	if nobody.Changed(none) || !nobody.Admits(Client{Addr: netip.MustParseAddr("10.0.0.1")}) {
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
		(&Rules{service: "upsd", allow: rules, deny: rules}).Admits(Client{Addr: a, Local: a, User: user})
	})
}
