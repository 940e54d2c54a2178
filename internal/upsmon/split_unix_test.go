//go:build unix

package upsmon

import (
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"gonut/internal/daemon"
)

// Neither checking nor clearing nor writing the flag waits for the other end of a pipe
// that somebody put there.
func TestFlagIsNoPipe(t *testing.T) {
	s := newSite(t, "")
	if err := syscall.Mkfifo(s.path("flag"), 0o600); err != nil {
		t.Skip(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		if set, err := checkFlag(s.path("flag")); set || err == nil || !strings.Contains(err.Error(), "not a file") {
			t.Errorf("checkFlag(pipe) = %t, %v; want false and an error", set, err)
		}
		if err := clearFlag(s.path("flag")); err == nil {
			t.Error("clearFlag(pipe) = nil; want an error")
		}
		if err := writeFlag(s.path("flag")); err != nil {
			t.Errorf("writeFlag(pipe) = %v; want nil", err)
		}
	}()
	select {
	case <-done:
	case <-ctx.Done():
		t.Fatal("still waiting for the pipe")
	}
}

// The unprivileged part reports to the watchdog that the service manager set for the
// process that it started.
func TestChildHasTheWatchdog(t *testing.T) {
	for _, tt := range []struct {
		env        string
		background bool
		want       string
	}{
		{"A=1 WATCHDOG_PID=42 WATCHDOG_USEC=9", false, "A=1 WATCHDOG_USEC=9 NUT_UPSMON_CHILD=1"},
		{"WATCHDOG_PID=43", true, "WATCHDOG_PID=43 NUT_UPSMON_CHILD=background"},
	} {
		if got := childEnviron(strings.Fields(tt.env), 42, tt.background); !slices.Equal(got, strings.Fields(tt.want)) {
			t.Errorf("childEnviron(%s, 42, %t) = %s; want %s", tt.env, tt.background, got, tt.want)
		}
	}
}

// The unprivileged part lives until SHUTDOWNCMD is done, and knows how it went.
func TestChildWaitsForTheCommand(t *testing.T) {
	for _, tt := range []struct {
		name      string
		powerDown bool
		order     byte
		answer    []byte // nothing: the parent is killed
		ok        bool
	}{
		{"all is well", true, orderShutdown, []byte{answerDone}, true},
		{"without the flag", false, orderShutdownOnly, []byte{answerDone}, true},
		{"the command fails", true, orderShutdown, []byte{answerFailed}, false},
		{"the parent is killed", true, orderShutdown, nil, false},
	} {
		fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
		if err != nil {
			t.Fatal(err)
		}
		parent := os.NewFile(uintptr(fds[0]), "child")
		link := &childLink{conn: os.NewFile(uintptr(fds[1]), "parent"), answer: make(chan byte, 1)}
		ended, result := make(chan struct{}), make(chan error, 1)
		go link.listen(ended)
		go func() { result <- link.Shutdown(t.Context(), tt.powerDown) }()
		b := make([]byte, 1)
		if _, err := io.ReadFull(parent, b); err != nil || b[0] != tt.order {
			t.Errorf("%s: order %d, %v; want %d", tt.name, b[0], err, tt.order)
		}
		select {
		case err := <-result:
			t.Errorf("%s: Shutdown() = %v before the command has ended", tt.name, err)
		default:
		}
		parent.Write(tt.answer)
		parent.Close()
		if err := <-result; (err == nil) != tt.ok {
			t.Errorf("%s: Shutdown() = %v; want success: %t", tt.name, err, tt.ok)
		}
		<-ended
		link.close()
	}
}

// The service manager hears of the loop twice within its time, whether polls are
// frequent or rare.
func TestWatchdogIsFed(t *testing.T) {
	const interval = 20 * time.Second
	for _, tt := range []struct{ name, pollFreq string }{
		{"rare polls", "POLLFREQ 300\nPOLLFREQALERT 300\nDEADTIME 900\n"},
		{"polls just before the turn", "POLLFREQ 6\n"},
		{"a poll every second", "POLLFREQ 1\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "manager")
			manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
			if err != nil {
				t.Fatal(err)
			}
			fed := make(chan int)
			go func() {
				n := 0
				for b := make([]byte, 256); ; {
					got, err := manager.Read(b)
					if err != nil {
						fed <- n
						return
					}
					if string(b[:got]) == "WATCHDOG=1\n" {
						n++
					}
				}
			}()
			service := daemon.NewServiceNotifier(func(name string) string {
				return map[string]string{"NOTIFY_SOCKET": path, "WATCHDOG_USEC": strconv.FormatInt(interval.Microseconds(), 10)}[name]
			})
			inWorld(t, func(w *world) {
				w.serve("server", newDriver("ups", "OL"))
				w.startWith("host", primary+tt.pollFreq, Deps{Service: service})
				time.Sleep(10 * time.Minute)
			})
			manager.SetReadDeadline(time.Now())
			want := int(10 * time.Minute / (interval / 2))
			if n := <-fed; n < want || n > 4*want {
				t.Errorf("fed %d times in ten minutes; want %d to %d", n, want, 4*want)
			}
		})
	}
}
