package upsd

import (
	"net"

	"golang.org/x/sys/unix"
)

// ackNow acknowledges what has come so far. After a handshake we have nothing to
// say, and a client that leaves Nagle's algorithm on, as C's do, would wait for 40 ms
// until it may send its first request.
func ackNow(conn net.Conn) {
	c, ok := conn.(*net.TCPConn)
	if !ok {
		return
	}
	if raw, err := c.SyscallConn(); err == nil {
		raw.Control(func(fd uintptr) { unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_QUICKACK, 1) })
	}
}
