//go:build linux

package interop

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// accessRules are pairs of what hosts.allow and hosts.deny say.
var accessRules = [][2]string{
	{"", "UPSD: ALL"}, {"", "ups*, sshd: 127.0.0.2"}, {"upsd@127.0.0.2: ALL", "ALL: ALL"}, {"", "upsd EXCEPT upsd@127.: ALL"},
	{"upsd: 127.0.0", "ALL: ALL"}, {"upsd: 127.?.*.2", "ALL: ALL"}, {"upsd: .5.1 [127.0.0.1]", "ALL: ALL"},
	{"", "upsd: 127.0.0.5/24"}, {"", "upsd: 127.0.0.0/255.0.255.0"}, {"", "upsd: 0.0.0.0/0"}, {"", "upsd: 127.0.0.0/08"},
	{"upsd: ALL EXCEPT 127.0.0. EXCEPT Mon@127.0.0.1", "ALL: ALL"},
	{"upsd: ADMIN@ALL UNKNOWN@ALL", "ALL: ALL"}, {"upsd: a*@127.0.0.1 KNOWN@127.0.5.1", "ALL: ALL"},
	{"", "upsd: 127.0.0.1: allow\nALL: ALL"}, {"upsd: ALL: deny: allow", ""}, {"upsd: ALL: junk", ""}, {"upsd: ALL: allow x", ""}, {"upsd: ALL:", ""},
	{"upsd: ALL: setenv = A b\\:c : ALLOW", "ALL: ALL"}, {"upsd\nupsd: 127.0.0.1", "ALL: ALL"}, {"", "upsd: 127.0.0.1 \\\n 127.0.0.2"},
}

// TestHostsAllowAsC lets C's upsd, which is linked with tcp-wrappers, and ours read
// the same rules and asks both who may come in.
func TestHostsAllowAsC(t *testing.T) {
	upsd := cPath(t, "upsd")
	if os.Geteuid() != 0 || exec.Command("unshare", "-m", "true").Run() != nil {
		missing(t, "a file system of one's own needs root and unshare (apt-get install util-linux)")
	}
	marks := []string{"admin", "Mon"}
	for i := range accessRules {
		marks = append(marks, mark(i))
	}
	var c, ours []string
	for _, p := range []struct {
		command string
		answers *[]string
	}{{upsd, &c}, {nutPath(t) + " upsd", &ours}} {
		h := newHost(t, map[string]string{
			"ups.conf": "maxretry = 1\n", "upsd.conf": "ALLOW_NO_DEVICE true\nLISTEN 127.0.0.1 @PORT@\n",
			"upsd.users": "[" + strings.Join(marks, "]\npassword = p\n[") + "]\npassword = p\n", "allow": "", "deny": "",
		})
		conf := filepath.Join(h.dir, "conf")
		inOwnEtc := cProgram("unshare", "-m", "sh", "-c", fmt.Sprintf("mount --bind %[1]s/allow /etc/hosts.allow && mount --bind %[1]s/deny /etc/hosts.deny && exec %[2]s -F -u root", conf, p.command))
		inOwnEtc.ready = (*host).listening
		h.start(inOwnEtc)
		for i, r := range accessRules {
			h.write("deny", r[1]+"\n") // first, for the other file has the mark
			h.write("allow", fmt.Sprintf("upsd: mark*@ALL EXCEPT %[1]s@ALL : deny\nupsd: %[1]s@ALL\n%[2]s\n", mark(i), r[0]))
			h.eventually("the rules are read", func() error {
				if got := admitted(h, "127.0.0.1", mark(i)); got != "in" {
					return errIs(got)
				}
				return nil
			})
			for _, from := range []string{"127.0.0.1", "127.0.0.2", "127.0.5.1"} {
				for _, user := range marks[:2] {
					*p.answers = append(*p.answers, fmt.Sprintf("%q %s@%s: %s", r, user, from, admitted(h, from, user)))
				}
			}
		}
	}
	for i := range c {
		if c[i] != ours[i] {
			t.Errorf("ours: %s\nC's:  %s", ours[i], c[i])
		}
	}
}

// mark names the only one of its kind that may come in as soon as rule i is in force.
func mark(i int) string { return fmt.Sprintf("mark%d", i) }

// admitted says whether the rules let a user in: then LOGIN without a ups is asked for
// its argument.
func admitted(h *host, from, user string) string {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: 10 * time.Second}
	c, err := d.Dial("tcp", h.addr())
	if err != nil {
		return err.Error()
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	fmt.Fprintf(c, "USERNAME %s\nPASSWORD p\nLOGIN\n", user)
	c.(*net.TCPConn).CloseWrite()
	reply, err := io.ReadAll(c)
	switch {
	case err != nil:
		return err.Error()
	case string(reply) == "OK\nOK\nERR INVALID-ARGUMENT\n":
		return "in"
	case string(reply) == "OK\nOK\nERR ACCESS-DENIED\n":
		return "out"
	}
	return fmt.Sprintf("%q", reply)
}
