package daemon

import (
	"fmt"
	"net"
	"os"
	"strings"
	"time"
)

// Syslog never holds up its daemon: a line that cannot be handed over at once is
// lost, and a missing syslog is looked for again after a while.
const (
	syslogWait  = 100 * time.Millisecond
	syslogRetry = 5 * time.Second
)

// facilityDaemon is syslog's number of LOG_DAEMON, shifted to its place.
const facilityDaemon = 3 << 3

// A syslogConn hands lines to the syslog of this host in RFC 3164's form.
type syslogConn struct {
	ident string
	paths []string
	on    bool
	least int // the highest number (lowest severity) that is sent
	conn  net.Conn
	retry time.Time // do not try to connect before
}

func newSyslog(ident string) *syslogConn {
	return &syslogConn{ident: ident, paths: syslogPaths(), least: 7}
}

// send hands over one line. It is called with the log's mutex held.
func (s *syslogConn) send(now time.Time, severity int, text string) {
	if !s.on || severity > s.least {
		return
	}
	line := fmt.Appendf(nil, "<%d>%s %s[%d]: %s", facilityDaemon|severity,
		now.Format(time.Stamp), s.ident, os.Getpid(), strings.ReplaceAll(text, "\n", " "))
	fresh := s.conn == nil
	if !s.connect(now) {
		return
	}
	if s.hand(line) || fresh {
		return
	}
	// The syslog daemon may have been restarted since.
	s.retry = time.Time{}
	if s.connect(now) {
		s.hand(line)
	}
}

func (s *syslogConn) connect(now time.Time) bool {
	if s.conn != nil {
		return true
	}
	if now.Before(s.retry) {
		return false
	}
	s.retry = now.Add(syslogRetry)
	for _, p := range s.paths {
		for _, network := range []string{"unixgram", "unix"} {
			if c, err := net.DialTimeout(network, p, syslogWait); err == nil {
				s.conn = c
				return true
			}
		}
	}
	return false
}

func (s *syslogConn) hand(line []byte) bool {
	if _, stream := s.conn.(*net.UnixConn); stream && s.conn.RemoteAddr().Network() == "unix" {
		line = append(line, '\n')
	}
	s.conn.SetWriteDeadline(time.Now().Add(syslogWait))
	if _, err := s.conn.Write(line); err != nil {
		s.conn.Close()
		s.conn = nil
		return false
	}
	return true
}
