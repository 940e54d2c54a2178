package upsclient

import (
	"context"
	"errors"
	"net"
	"time"

	"gonut/internal/netproto"
)

// DefaultConnectTimeout is how long connecting may take, as in C's clients.
const DefaultConnectTimeout = 10 * time.Second

// Options say how to connect. The zero value is ready for use: ten seconds to
// connect, five for a line of an answer, TLS without verification if the server
// offers it.
type Options struct {
	// ConnectTimeout is the time for the connection, with TLS; 0 means
	// DefaultConnectTimeout, negative no limit.
	ConnectTimeout time.Duration
	// ReplyTimeout is the time for every line of an answer; 0 means
	// DefaultReplyTimeout.
	ReplyTimeout time.Duration
	// Security says whether TLS is tried, required or left alone.
	Security Security
	// TLS is used where Security asks for it. nil protects against listeners
	// only, not against a false server.
	TLS *TLS
	// Dial makes the connection; nil means net.Dialer's.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// Wrap, if it is not nil, returns what is used in place of a connection that is
	// ready for requests, on the clear side of TLS. It is for those who want to see
	// what goes to and fro.
	Wrap func(net.Conn) net.Conn
}

// Security says whether a connection uses TLS.
type Security int

// TryTLS goes on in clear text if the server does not offer TLS, unless the
// server must be verified; RequireTLS does not; NoTLS does not even ask.
const (
	TryTLS Security = iota
	RequireTLS
	NoTLS
)

// Dial connects to the upsd at addr, which is "host" or "host:port" with IPv6
// addresses in brackets; the port is 3493 if there is none. The host is also the
// name that a certificate is checked for. A failed connection is a *ConnError or
// a *TLSError.
func Dial(ctx context.Context, addr string, o Options) (*Client, error) {
	host, port := splitAddr(addr)
	target := net.JoinHostPort(host, port)
	if o.ConnectTimeout >= 0 {
		limit := o.ConnectTimeout
		if limit == 0 {
			limit = DefaultConnectTimeout
		}
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, limit)
		defer cancel()
	}
	dial := o.Dial
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	conn, err := dial(ctx, "tcp", target)
	if err != nil {
		return nil, &ConnError{Op: OpConnect, Addr: target, Err: err}
	}
	c := New(conn, o)
	c.addr, c.host = target, host
	if err := c.secureAs(ctx, o); err != nil {
		c.Close()
		return nil, err
	}
	if o.Wrap != nil {
		c.conn = o.Wrap(c.conn)
		c.r.Reset(c.conn)
	}
	return c, nil
}

// secureAs starts TLS as the options demand.
func (c *Client) secureAs(ctx context.Context, o Options) error {
	if o.Security == NoTLS {
		return nil
	}
	t := o.TLS
	if t == nil {
		t = &TLS{}
	}
	err := c.StartTLS(ctx, t)
	var refused Error
	if errors.As(err, &refused) {
		if o.Security == TryTLS && !t.Verify {
			return nil
		}
		return &TLSError{Addr: c.addr, Err: refused}
	}
	return err
}

// splitAddr adds the port that the address lacks.
func splitAddr(addr string) (host, port string) {
	host, port, err := net.SplitHostPort(addr)
	if err == nil {
		return host, port
	}
	if n := len(addr); n > 2 && addr[0] == '[' && addr[n-1] == ']' {
		addr = addr[1 : n-1]
	}
	return addr, netproto.Port
}
