package upsd

import (
	"crypto/tls"
	"net"
	"testing"
	"time"

	"gonut/internal/conf"
)

// A client with Nagle's algorithm sends its first request behind the handshake at
// once. Otherwise no attempt is quicker than the kernel's 40 ms, which is how long it
// delays an acknowledgement; one that is quicker proves that it does not.
func TestFirstRequestBehindTheHandshake(t *testing.T) {
	p := newPKI(t)
	_, f := serveSockets(t, loopbackConf("127.0.0.1"), testUsers, func(s *Server) { setTLS(t, s, conf.UPSD{CertFile: p.server}) })
	const delay = 40 * time.Millisecond
	best := time.Hour
	for attempt := 0; attempt < 50 && best >= delay; attempt++ {
		c := dialSocket(t, f.Addrs()[0])
		if err := c.conn.(*net.TCPConn).SetNoDelay(false); err != nil {
			t.Fatal(err)
		}
		if err := c.startTLS(&tls.Config{RootCAs: p.roots, ServerName: "localhost"}); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		c.want("NETVER", "1.3")
		best = min(best, time.Since(start))
	}
	if best >= delay {
		t.Errorf("the best of 50 first requests took %v; want less than %v", best, delay)
	}
}
