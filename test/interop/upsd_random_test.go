//go:build unix

package interop

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestUPSDAnswersRandomRequestsAsC sends both servers the same random conversations,
// cut into packets anywhere, and compares what they answer. What differs on purpose
// is not asked: the words below make no such request.
func TestUPSDAnswersRandomRequestsAsC(t *testing.T) {
	cPath(t, "upsd")
	ask := func(p program) (replies []string) {
		h := newHost(t, upsdFiles())
		h.scriptedDriver("dummy-fake")
		h.start(p)
		h.await("fake", "ups.ro.num", "3")
		r := rand.New(rand.NewPCG(3, 1))
		for i := range 400 {
			text := conversation(r)
			replies = append(replies, fmt.Sprintf("%q → %s", text, converse(h, r, i, text)))
		}
		return replies
	}
	c, ours := ask(cUPSD()), ask(ourUPSD())
	for i := range c {
		if c[i] != ours[i] {
			t.Errorf("ours: %s\nC's:  %s", ours[i], c[i])
		}
	}
}

// conversation returns requests as one user may send them.
func conversation(r *rand.Rand) string {
	one := func(of ...string) string { return of[r.IntN(len(of))] }
	ups := func() string { return one("fake", "fake", "FAKE", `"fake"`, "Third", `""`, "nope", `f\ake`) }
	name := func() string {
		return one("ups.status", "UPS.Test", "ups.rw.str", "ups.rw.enum", "ups.rw.range", "ups.rw.num", "ups.rw.noaux", "ups.ro.num", "ups.mixed",
			"none", `""`, "server.x", "server.", "Server.VERSION", "server.info")
	}
	value := func() string {
		return one("x", "5", "5abc", "17", "25", "-3", `" 5"`, "one", "ONE", `"a b"`, "12345678", "123456789", `""`, `a\"b`, `a\\b`, "a=b", "\x01", "é", "0x5")
	}
	command := func() string { return one("load.off", "LOAD.off", "beeper.mute", "nope", `""`) }
	blank := func() string { return one(" ", " ", " ", "  ", "\t", "\r", "\v ", "\f") }
	request := func() string {
		switch r.IntN(13) {
		case 0, 1, 2:
			return one("GET", "get") + blank() + one("VAR", "VAR", "TYPE", "DESC", "X", `""`) + blank() + ups() + blank() + name()
		case 3:
			return "GET" + blank() + one("NUMLOGINS", "UPSDESC", "VAR", "TRACKING", "CMDDESC nope") + blank() + ups()
		case 4, 5:
			return "LIST" + blank() + one("VAR", "RW", "CMD", "CLIENT", "UPS", "X", "ENUM", "RANGE") + blank() + ups() + one("", "", blank()+name())
		case 6, 7, 8:
			return "SET" + blank() + one("VAR", "VAR", "var", "X") + blank() + ups() + blank() + name() + one("", blank()+value(), blank()+value(), blank()+value())
		case 9:
			return "SET TRACKING" + blank() + one("ON", "off", "x", `""`)
		case 10:
			return "INSTCMD" + blank() + ups() + one("", blank()+command(), blank()+command(), blank()+command()+blank()+value())
		case 11:
			return one("LOGIN", "PRIMARY", "MASTER", "FSD", "LOGOUT", "USERNAME") + blank() + one("Third", "nope", ups()+" x")
		}
		return one("", "#", `""`, "NETVER", "netver\x00", `NETVER ""`, "PROTVER x", "STARTTLS", "GET", "LIST", "SET", "=", "GET=VAR", `"GET" "VAR" "fake" "ups.status"`,
			"\"NET\nVER\"", "NET\\\nVER", "GET TRACKING", "GET TRACKING id", strings.Repeat("a ", 40), strings.Repeat("x", 2000), "PASSWORD a=b")
	}
	var b strings.Builder
	if who := r.IntN(6); who > 0 {
		b.WriteString([]string{"", "USERNAME admin\nPASSWORD secret\n", "PASSWORD \"mon pw\"\nUSERNAME mon\n", "USERNAME sec\nPASSWORD s\n", "USERNAME few\nPASSWORD f\n", "USERNAME admin\n"}[who])
	}
	for range 1 + r.IntN(20) {
		b.WriteString(request() + one("", "", "", "", " ", "# c", " surplus") + one("\n", "\n", "\r\n"))
	}
	return b.String()
}

var (
	anyID      = regexp.MustCompile(`(?m)^OK TRACKING [0-9A-F-]{36}$`)
	ownVersion = regexp.MustCompile(`(server\.(?:info|version)) "[^"\n]*"`)
)

// converse sends a conversation from an address of its own, so that it stands alone in
// everything that is counted by host, and returns the replies.
func converse(h *host, r *rand.Rand, i int, text string) string {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 1, byte(i), byte(i>>8+1))}, Timeout: 10 * time.Second}
	c, err := d.Dial("tcp", h.addr())
	if err != nil {
		return err.Error()
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	for len(text) > 0 {
		n := min(len(text), 1+r.IntN(400))
		if _, err := io.WriteString(c, text[:n]); err != nil {
			return err.Error()
		}
		text = text[n:]
	}
	c.(*net.TCPConn).CloseWrite()
	out, err := io.ReadAll(c)
	if err != nil {
		return err.Error()
	}
	return ownVersion.ReplaceAllString(anyID.ReplaceAllString(string(out), "OK TRACKING (id)"), `$1 (own)`)
}
