// Package rig runs the servers that the benchmark measures, ours and C's, each in
// a folder and on a port of its own with drivers that this process plays. It ends
// what it started by its process number.
package rig

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"gonut/bench/load"
)

// A Program is a upsd that can be measured.
type Program struct{ Path string }

// FindC returns the path of C's upsd, empty if it is not installed. That of
// Debian's /usr/sbin is a script which asks nut.conf first.
func FindC() string {
	for _, path := range []string{"/lib/nut/upsd", "/usr/lib/nut/upsd", "/usr/local/ups/sbin/upsd", "/usr/sbin/upsd"} {
		if fi, err := os.Stat(path); err == nil && fi.Mode().IsRegular() {
			return path
		}
	}
	return ""
}

// Setup is what a server is to have.
type Setup struct {
	Devices int
	TLS     []string // lines of upsd.conf
}

// maxConn is enough for ten thousand clients and a thousand devices.
const maxConn = 15000

// startLimit bounds how long a server may take until it serves all its devices.
const startLimit = time.Minute

// A Server is a upsd at work.
type Server struct {
	Drivers *Drivers
	Addr    string

	dir  string
	cmd  *exec.Cmd
	log  *os.File
	done chan struct{}
}

// Start runs a server and returns when it serves all its devices.
func Start(ctx context.Context, p Program, s Setup) (*Server, error) {
	srv := &Server{}
	if err := srv.start(ctx, p, s); err != nil {
		err = fmt.Errorf("start %s: %w%s", p.Path, err, srv.lastWords())
		srv.Close()
		return nil, err
	}
	return srv, nil
}

func (s *Server) start(ctx context.Context, p Program, setup Setup) (err error) {
	if s.dir, err = os.MkdirTemp("", "nutbench"); err != nil {
		return err
	}
	port, err := freePort()
	if err != nil {
		return err
	}
	s.Addr = "127.0.0.1:" + port
	if err := s.configure(setup, port); err != nil {
		return err
	}
	if s.Drivers, err = startDrivers(s.dir, setup.Devices); err != nil {
		return err
	}
	if s.log, err = os.Create(filepath.Join(s.dir, "log")); err != nil {
		return err
	}
	args := []string{"-F"}
	if os.Geteuid() == 0 { // another account could not enter the folder
		args = append(args, "-u", "root")
	}
	s.cmd = exec.Command(p.Path, args...)
	s.cmd.Args[0] = "upsd"
	s.cmd.Env = append(os.Environ(), "NUT_CONFPATH="+s.dir, "NUT_STATEPATH="+s.dir, "NUT_ALTPIDPATH="+s.dir, "NUT_PIDPATH="+s.dir)
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	if err := s.cmd.Start(); err != nil {
		return err
	}
	s.done = make(chan struct{})
	go func() {
		defer close(s.done)
		s.cmd.Wait()
	}()
	return s.awaitDevices(ctx, setup.Devices)
}

// configure writes the files of a server.
func (s *Server) configure(setup Setup, port string) error {
	var ups strings.Builder
	for i := range setup.Devices {
		fmt.Fprintf(&ups, "[%s]\n\tdriver = bench\n\tport = x\n\tdesc = \"Bench %d\"\n", Name(i), i)
	}
	upsd := fmt.Sprintf("LISTEN 127.0.0.1 %s\nMAXCONN %d\n", port, maxConn)
	for _, line := range setup.TLS {
		upsd += line + "\n"
	}
	for name, text := range map[string]string{"ups.conf": ups.String(), "upsd.conf": upsd, "upsd.users": ""} {
		if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o640); err != nil {
			return err
		}
	}
	return nil
}

// freePort returns a port of 127.0.0.1 that nobody listens on.
func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, err
}

// awaitDevices returns when the server serves the data of all devices.
func (s *Server) awaitDevices(ctx context.Context, n int) error {
	deadline := time.Now().Add(startLimit)
	err := errors.New("it never listened")
	for time.Now().Before(deadline) {
		select {
		case <-s.done:
			return fmt.Errorf("it ended: %v", s.cmd.ProcessState)
		case <-ctx.Done():
			return ctx.Err()
		default:
		}
		if err = s.asksAll(ctx, n); err == nil {
			return nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	return fmt.Errorf("it did not serve all devices within %v: %w", startLimit, err)
}

func (s *Server) asksAll(ctx context.Context, n int) error {
	c, err := load.Dial(ctx, s.Addr, time.Now().Add(startLimit))
	if err != nil {
		return err
	}
	defer c.Close()
	for i := range n {
		x := GetStatus(Name(i))
		if err := c.Ask(&x); err != nil {
			return err
		}
	}
	return nil
}

// PID is the process number of the server.
func (s *Server) PID() int { return s.cmd.Process.Pid }

// Dir is the server's folder.
func (s *Server) Dir() string { return s.dir }

// lastWords returns what the server has written, for an error.
func (s *Server) lastWords() string {
	b, err := os.ReadFile(filepath.Join(s.dir, "log"))
	if err != nil || len(b) == 0 {
		return ""
	}
	return "\n" + string(b[max(0, len(b)-2000):])
}

// Close ends the server and its drivers and removes its folder.
func (s *Server) Close() {
	if s.done != nil {
		s.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-s.done:
		case <-time.After(5 * time.Second):
			s.cmd.Process.Kill()
			<-s.done
		}
	}
	if s.Drivers != nil {
		s.Drivers.Close()
	}
	if s.log != nil {
		s.log.Close()
	}
	if s.dir != "" {
		os.RemoveAll(s.dir)
	}
}
