//go:build unix

package host_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"gonut/internal/driver"
	"gonut/internal/drivers/dummyups"
	"gonut/internal/host"
	"gonut/internal/memnet"
	"gonut/internal/program"
)

// A stoppedTerminal takes what is written until it has seen a text, and then nothing
// until it is let go.
type stoppedTerminal struct {
	text    string
	stopped chan struct{} // closed when it has stopped
	release chan struct{}

	mu   sync.Mutex
	seen bytes.Buffer
}

func (s *stoppedTerminal) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen.Write(p)
	if strings.Contains(s.seen.String(), s.text) {
		select {
		case <-s.stopped:
		default:
			close(s.stopped)
		}
		<-s.release
	}
	return len(p), nil
}

func TestStoppedTerminalDelaysNoShutdown(t *testing.T) {
	files := good()
	down := filepath.Join(t.TempDir(), "down")
	files["a.dev"] = "ups.status: OB LB\n"
	files["upsmon.conf"] = "MONITOR a@127.0.0.1:3493 1 m p primary\nMINSUPPLIES 1\nSHUTDOWNCMD \"touch '" + down + "'\"\n" +
		"POLLFREQ 1\nPOLLFREQALERT 1\nHOSTSYNC 0\nFINALDELAY 0\n"
	p := write(t, files)
	term := &stoppedTerminal{text: "connected to the driver", stopped: make(chan struct{}), release: make(chan struct{})}
	env := map[string]string{"NUT_CONFPATH": p.Conf, "NUT_STATEPATH": p.State, "NUT_PIDPATH": p.State}
	ctx, cancel := context.WithCancel(t.Context())
	var mem memnet.Network
	ended := make(chan error, 1)
	go func() {
		ended <- host.Program([]driver.Driver{dummyups.Driver()}).Run(ctx, program.Env{
			Args: []string{"run", "-n"}, Stdin: strings.NewReader(""), Stdout: new(bytes.Buffer), Stderr: term,
			Getenv: func(name string) string { return env[name] }, Listen: mem.Listen, Dial: mem.Dial,
		})
	}()
	defer func() {
		cancel()
		close(term.release)
		<-ended
	}()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(time.Minute)
	for {
		select {
		case <-tick.C:
			if _, err := os.Stat(down); err == nil {
				select {
				case <-term.stopped:
				default:
					t.Error("the terminal was never stopped")
				}
				return
			}
		case err := <-ended:
			ended <- err
			t.Fatalf("run = %v before the shutdown", err)
		case <-limit:
			t.Fatal("the host was not shut down within a minute")
		}
	}
}
