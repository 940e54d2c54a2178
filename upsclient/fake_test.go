package upsclient_test

import (
	"bufio"
	"context"
	"net"
	"strings"
	"testing"

	"gonut/upsclient"
)

// exampleServer is a network with one small server.
func exampleServer(context.Context, string, string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	go func() {
		defer theirs.Close()
		answers := map[string]string{
			"STARTTLS":                  "ERR FEATURE-NOT-CONFIGURED\n",
			"GET VAR office ups.status": "VAR office ups.status \"OL CHRG\"\n",
			"GET VAR cellar ups.status": "ERR UNKNOWN-UPS\n",
			"LOGOUT":                    "OK Goodbye\n",
		}
		for s := bufio.NewScanner(theirs); s.Scan(); {
			if _, err := theirs.Write([]byte(answers[s.Text()])); err != nil {
				return
			}
		}
	}()
	return ours, nil
}

// A step is what a server expects to read and what it answers: text as it is.
type step struct{ request, reply string }

// serve plays a server that follows a script and then closes the connection.
func serve(t *testing.T, conn net.Conn, script ...step) (done chan struct{}) {
	t.Helper()
	done = make(chan struct{})
	go func() {
		defer close(done)
		defer conn.Close()
		r := bufio.NewReader(conn)
		for _, s := range script {
			line, err := r.ReadString('\n')
			if got := strings.TrimSuffix(line, "\n"); err != nil || got != s.request {
				t.Errorf("server read %q, %v; want %q", got, err, s.request)
				return
			}
			if _, err := conn.Write([]byte(s.reply)); err != nil {
				return // the client has had enough
			}
		}
	}()
	return done
}

// client returns a client of a server that follows the script.
func client(t *testing.T, script ...step) *upsclient.Client {
	t.Helper()
	ours, theirs := net.Pipe()
	done := serve(t, theirs, script...)
	c := upsclient.New(ours, upsclient.Options{})
	t.Cleanup(func() {
		c.Close()
		<-done
	})
	return c
}
