package clients

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"

	"gonut/internal/program"
)

// A fakeServer is a network with one upsd that has an answer for each request.
type fakeServer struct {
	answers map[string]string // request → reply lines without the last line feed
	mu      sync.Mutex
	seen    []string
	dialed  []string
}

// defaultAnswers are those that every test may need.
func defaultAnswers() map[string]string {
	return map[string]string{
		"STARTTLS":                 "ERR FEATURE-NOT-CONFIGURED",
		"LOGOUT":                   "OK Goodbye",
		"USERNAME admin":           "OK",
		"PASSWORD secret":          "OK",
		"SET TRACKING ON":          "OK",
		"GET VAR ups a.b":          `VAR ups a.b "value"`,
		"LIST UPS":                 "BEGIN LIST UPS\nUPS ups \"the \\\"first\\\"\"\nUPS two \"\"\nEND LIST UPS",
		"LIST VAR ups":             "BEGIN LIST VAR ups\nVAR ups a.b \"x \\\"y\\\"\"\nVAR ups ups.status \"OL\"\nEND LIST VAR ups",
		"LIST VAR stale":           "ERR DATA-STALE",
		"LIST VAR broken":          "BEGIN LIST VAR broken\nVAR broken a.b \"1\"\nERR DATA-STALE",
		"LIST VAR empty":           "BEGIN LIST VAR empty\nEND LIST VAR empty",
		"LIST CLIENT ups":          "BEGIN LIST CLIENT ups\nCLIENT ups 10.0.0.1\nCLIENT ups ::1\nEND LIST CLIENT ups",
		"LIST CLIENT two":          "BEGIN LIST CLIENT two\nEND LIST CLIENT two",
		"LIST CMD ups":             "BEGIN LIST CMD ups\nCMD ups load.off\nCMD ups x.y\nEND LIST CMD ups",
		"GET CMDDESC ups x.y":      "ERR DATA-STALE",
		"GET CMDDESC ups load.off": `CMDDESC ups load.off "Turn off"`,
	}
}

func (f *fakeServer) dial(_ context.Context, _, addr string) (net.Conn, error) {
	f.mu.Lock()
	f.dialed = append(f.dialed, addr)
	f.mu.Unlock()
	if strings.HasPrefix(addr, "refused:") {
		return nil, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
	}
	if strings.HasPrefix(addr, "nohost:") {
		return nil, &net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", IsNotFound: true}}
	}
	ours, theirs := net.Pipe()
	go f.serve(theirs)
	return ours, nil
}

func (f *fakeServer) serve(conn net.Conn) {
	defer conn.Close()
	for s := bufio.NewScanner(conn); s.Scan(); {
		f.mu.Lock()
		f.seen = append(f.seen, s.Text())
		reply, ok := f.answers[s.Text()]
		f.mu.Unlock()
		if !ok {
			reply = "ERR UNKNOWN-COMMAND"
		}
		switch reply {
		case "(close)":
			return
		case "(silence)":
			continue
		}
		if _, err := fmt.Fprintf(conn, "%s\n", reply); err != nil {
			return
		}
	}
}

// requests are those that the server was sent, but for STARTTLS and LOGOUT.
func (f *fakeServer) requests() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var rs []string
	for _, r := range f.seen {
		if r != "STARTTLS" && r != "LOGOUT" {
			rs = append(rs, r)
		}
	}
	return rs
}

// A run is how a program ended.
type run struct {
	stdout, stderr string
	code           int
}

// runProgram runs a program against the server.
func runProgram(t *testing.T, p program.Program, f *fakeServer, env map[string]string, stdin string, args ...string) run {
	t.Helper()
	if env == nil {
		env = map[string]string{}
	}
	if env["NUT_CONFPATH"] == "" {
		env["NUT_CONFPATH"] = "/nonexistent"
	}
	var stdout, stderr bytes.Buffer
	err := p.Run(t.Context(), program.Env{
		Args:   append([]string{p.Name}, args...),
		Stdin:  strings.NewReader(stdin),
		Stdout: &stdout,
		Stderr: &stderr,
		Getenv: func(name string) string { return env[name] },
		Dial:   f.dial,
	})
	code := program.Code(err, &stderr)
	return run{stdout.String(), stderr.String(), code}
}
