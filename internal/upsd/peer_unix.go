//go:build linux || darwin || freebsd

package upsd

import "net"

// peerOf asks the kernel who is at the other end.
func peerOf(conn net.Conn) peer {
	c, ok := conn.(*net.UnixConn)
	if !ok {
		return peer{}
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return peer{}
	}
	var uid uint32
	var uidErr error
	err = raw.Control(func(fd uintptr) { uid, uidErr = peerUID(int(fd)) })
	if err != nil || uidErr != nil {
		return peer{}
	}
	return peer{known: true, uid: int(uid)}
}
