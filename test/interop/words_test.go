//go:build unix

package interop

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
	"time"

	"gonut/internal/words"
)

// TestWordsAsC compares our word grammar with C's: C's upsd echoes the third word of
// "GET VAR x server.version" as it understood it. Ours has to echo the same.
func TestWordsAsC(t *testing.T) {
	for name, upsd := range map[string]program{"C's upsd": cUPSD(), "our upsd": ourUPSD()} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t, map[string]string{
				"ups.conf": "maxretry = 1\n", "upsd.conf": "ALLOW_NO_DEVICE true\nLISTEN 127.0.0.1 @PORT@\n",
			})
			h.start(upsd)
			conn, err := net.Dial("tcp", h.addr())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			in := bufio.NewReader(conn)
			r := rand.New(rand.NewPCG(7, 0))
			for range 3000 {
				text, want := question(r)
				if want == "" {
					continue // no reply, and C forgets the rest of what it has read
				}
				if err := conn.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
					t.Fatal(err)
				}
				if _, err := conn.Write([]byte(text)); err != nil {
					t.Fatal(err)
				}
				got, err := in.ReadString('\n')
				if err != nil {
					t.Fatalf("the reply to %q: %v", text, err)
				}
				if i := strings.LastIndex(got, ` "`); i >= 0 { // the version is each one's own
					got = got[:i] + "\n"
				}
				if got != want+"\n" {
					t.Errorf("the reply to %q is %q; want %q", text, got, want)
				}
			}
		})
	}
}

// question returns a request made of the bytes that matter to the grammar, ended so
// that it is one record, and the reply that our lexer expects; none if the record
// is broken.
func question(r *rand.Rand) (text, want string) {
	const alphabet = "aabz  \"\"\\\\==#\t\r\v\x01\x7f\x80\xff"
	var b strings.Builder
	b.WriteString("GET VAR ")
	for range r.IntN(14) {
		b.WriteByte(alphabet[r.IntN(len(alphabet))])
	}
	if r.IntN(4) == 0 {
		b.WriteByte('\n') // within quotes or after a backslash it goes on
	}
	b.WriteString(" server.version\n")
	var l words.Lexer
	n, done, err := l.Feed([]byte(b.String()))
	for !done {
		b.WriteString("\" server.version\n")
		var more int
		more, done, err = l.Feed([]byte(b.String()[n:]))
		n += more
	}
	text = b.String()[:n]
	if err != nil {
		return text, ""
	}
	switch ws := l.Words(); {
	case len(ws) < 4:
		return text, "ERR INVALID-ARGUMENT"
	case ws[3] == "server.version":
		return text, fmt.Sprintf("VAR %s server.version", ws[2])
	case strings.HasPrefix(ws[3], "server."):
		return text, "ERR VAR-NOT-SUPPORTED"
	default:
		return text, "ERR UNKNOWN-UPS"
	}
}
