package clients

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"gonut/internal/program"
)

// driverEnv is an environment in which one driver listens under a path.
func driverEnv(path string, serve func(net.Conn)) program.Env {
	return program.Env{
		Stdin:  strings.NewReader(""),
		Stdout: new(bytes.Buffer), Stderr: new(bytes.Buffer),
		Getenv: func(name string) string {
			if name == "NUT_STATEPATH" {
				return "/state"
			}
			return ""
		},
		Dial: func(_ context.Context, network, addr string) (net.Conn, error) {
			if network+" "+addr != "unix "+path {
				return nil, errors.New("nobody listens at " + addr)
			}
			ours, theirs := net.Pipe()
			go serve(theirs)
			return ours, nil
		},
	}
}

func TestSockDebug(t *testing.T) {
	talk := func(c net.Conn) {
		defer c.Close()
		line, _ := bufio.NewReader(c).ReadString('\n')
		fmt.Fprintf(c, "SETINFO ups.status \"OL CHRG\"\n\nSETINFO x \"a # b\"\nGOT %s", line)
	}
	for _, tt := range []struct{ path, arg string }{{"/state/dummy-ups-x", "dummy-ups-x"}, {"/a/b", "/a/b"}} {
		e := driverEnv(tt.path, talk)
		stdin, hold := io.Pipe() // does not end
		defer hold.Close()
		e.Stdin = stdin
		go hold.Write([]byte("DUMPALL\n"))
		e.Args = []string{"sockdebug", tt.arg}
		err := SockDebug().Run(t.Context(), e)
		code := program.Code(err, e.Stderr)
		got := e.Stdout.(*bytes.Buffer).String()
		want := "connected: fd -1\nnumarg=3 : [SETINFO] [ups.status] [OL CHRG] \nnumarg=0 : \nParse error: [unbalanced word"
		if !strings.HasPrefix(got, want) || !strings.HasSuffix(got, "numarg=2 : [GOT] [DUMPALL] \n") || code != 1 {
			t.Errorf("sockdebug %s = %q, code %d, %v; want %q…", tt.arg, got, code, err, want)
		}
	}
}

func TestSockDebugEnds(t *testing.T) {
	e := driverEnv("/s", func(c net.Conn) { io.Copy(io.Discard, c) })
	for _, tt := range []struct {
		args []string
		want string
		code int
	}{
		{[]string{"/s"}, "standard input has ended\n", 1},
		{[]string{"/none"}, "connect to driver: nobody listens at /none; is it running, and may this user enter the folder?\n", 1},
		{nil, "usage: sockdebug SOCKET\n", 0},
		{[]string{"--help"}, "usage: sockdebug SOCKET\n", 0},
		{[]string{"a", "b"}, "usage: sockdebug SOCKET\n", 0},
	} {
		stderr := new(bytes.Buffer)
		e.Stderr, e.Args = stderr, append([]string{"sockdebug"}, tt.args...)
		code := program.Code(SockDebug().Run(t.Context(), e), stderr)
		if !strings.HasPrefix(stderr.String(), tt.want) || code != tt.code {
			t.Errorf("sockdebug %q = %q, code %d; want %q and %d", tt.args, stderr, code, tt.want, tt.code)
		}
	}
}
