package daemon

import (
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"
)

// A ServiceNotifier tells the service manager (systemd, or whoever set
// NOTIFY_SOCKET) how this daemon is doing. Without one all methods do nothing; a
// nil one does nothing either. Failures are ignored: no daemon should end because
// its manager does not listen.
type ServiceNotifier struct {
	addr     string
	watchdog time.Duration
}

// NewServiceNotifier reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID.
func NewServiceNotifier(getenv func(string) string) *ServiceNotifier {
	n := &ServiceNotifier{addr: getenv("NOTIFY_SOCKET")}
	if n.addr == "" || n.addr[0] != '/' && n.addr[0] != '@' {
		return &ServiceNotifier{}
	}
	usec, err := strconv.ParseInt(getenv("WATCHDOG_USEC"), 10, 64)
	if pid := getenv("WATCHDOG_PID"); err == nil && usec > 0 && (pid == "" || pid == strconv.Itoa(os.Getpid())) {
		n.watchdog = time.Duration(usec) * time.Microsecond
	}
	return n
}

// Enabled reports whether anybody listens.
func (n *ServiceNotifier) Enabled() bool { return n != nil && n.addr != "" }

// WatchdogInterval returns within which time the manager must hear Watchdog or
// else ends this process, or 0 if it does not watch. Report twice as often.
func (n *ServiceNotifier) WatchdogInterval() time.Duration {
	if n == nil {
		return 0
	}
	return n.watchdog
}

// Ready says that start-up or a reload is complete, and which process is the main
// one: this. status may be empty.
func (n *ServiceNotifier) Ready(status string) {
	n.send(fmt.Sprintf("READY=1\nMAINPID=%d\n%s%s", os.Getpid(), monotonic(), statusLine(status)))
}

// Reloading says that the configuration is being read again; Ready must follow.
func (n *ServiceNotifier) Reloading() { n.send("RELOADING=1\n" + monotonic()) }

// Stopping says that the daemon is about to end. status may be empty.
func (n *ServiceNotifier) Stopping(status string) { n.send("STOPPING=1\n" + statusLine(status)) }

// Status gives one line for people.
func (n *ServiceNotifier) Status(text string) { n.send(statusLine(text)) }

// Watchdog says that the daemon makes progress. It must be called by the goroutine
// that does the work.
func (n *ServiceNotifier) Watchdog() {
	if n.WatchdogInterval() > 0 {
		n.send("WATCHDOG=1\n")
	}
}

// Extend asks for more time before the manager loses patience with a start or a
// stop. A negative d means without end.
func (n *ServiceNotifier) Extend(d time.Duration) {
	usec := "infinity"
	if d >= 0 {
		usec = strconv.FormatInt(d.Microseconds(), 10)
	}
	n.send("EXTEND_TIMEOUT_USEC=" + usec + "\n")
}

func statusLine(text string) string {
	if text == "" {
		return ""
	}
	return "STATUS=" + text + "\n"
}

func monotonic() string {
	if usec := monotonicUsec(); usec > 0 {
		return "MONOTONIC_USEC=" + strconv.FormatInt(usec, 10) + "\n"
	}
	return ""
}

// notifyWait bounds how long a manager that does not read may hold us up.
const notifyWait = 500 * time.Millisecond

func (n *ServiceNotifier) send(text string) {
	if !n.Enabled() || text == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), notifyWait)
	defer cancel()
	var d net.Dialer
	c, err := d.DialContext(ctx, "unixgram", n.addr)
	if err != nil {
		return
	}
	defer c.Close()
	c.SetWriteDeadline(time.Now().Add(notifyWait))
	c.Write([]byte(text))
}
