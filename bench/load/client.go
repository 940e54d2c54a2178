// Package load puts load on a server of NUT's network protocol and checks every byte
// of what it answers. It knows no server from another and starts none.
package load

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"
)

// An Exchange is a request and the only answer to it that is right.
type Exchange struct{ Send, Want []byte }

// The exchanges that need no device.
func starttls() Exchange { return Exchange{[]byte("STARTTLS\n"), []byte("OK STARTTLS\n")} }
func logout() Exchange   { return Exchange{[]byte("LOGOUT\n"), []byte("OK Goodbye\n")} }
func greeting() Exchange { return Exchange{[]byte("NETVER\n"), []byte("1.3\n")} }

// A WrongAnswer is what a server said instead of the right answer.
type WrongAnswer struct{ Request, Got string }

func (e *WrongAnswer) Error() string { return fmt.Sprintf("%q was answered %q", e.Request, e.Got) }

// A Client is one connection. It serves one goroutine.
type Client struct {
	conn net.Conn
	buf  []byte
}

// Dial connects. Whatever happens on the connection has to be over by deadline.
func Dial(ctx context.Context, addr string, deadline time.Time) (*Client, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	return &Client{conn: conn}, conn.SetDeadline(deadline)
}

// Close ends the connection at once.
func (c *Client) Close() { c.conn.Close() }

// Write sends bytes without waiting for an answer.
func (c *Client) Write(p []byte) (int, error) { return c.conn.Write(p) }

// Ask sends a request and waits for its answer.
func (c *Client) Ask(x *Exchange) error {
	if _, err := c.conn.Write(x.Send); err != nil {
		return err
	}
	return c.expect(x)
}

// expect reads the answer. The first bytes that are wrong end it: the rest may
// never come.
func (c *Client) expect(x *Exchange) error {
	if cap(c.buf) < len(x.Want) {
		c.buf = make([]byte, len(x.Want))
	}
	buf := c.buf[:len(x.Want)]
	for n := 0; n < len(buf); {
		m, err := c.conn.Read(buf[n:])
		if !bytes.Equal(buf[n:n+m], x.Want[n:n+m]) {
			return &WrongAnswer{string(x.Send), string(buf[:n+m])}
		}
		n += m
		if err != nil && n < len(buf) {
			return err
		}
	}
	return nil
}

// StartTLS encrypts the connection. Certificates are not checked: nothing that is
// worth protecting is ever sent.
func (c *Client) StartTLS(ctx context.Context) error {
	x := starttls()
	if err := c.Ask(&x); err != nil {
		return err
	}
	t := tls.Client(c.conn, &tls.Config{InsecureSkipVerify: true})
	if err := t.HandshakeContext(ctx); err != nil {
		return fmt.Errorf("handshake: %w", err)
	}
	c.conn = t
	return nil
}

// kind sorts an error into one of a few kinds, to count them.
func kind(err error) string {
	var wrong *WrongAnswer
	var ne net.Error
	switch {
	case errors.As(err, &wrong):
		return "wrong answer"
	case errors.As(err, &ne) && ne.Timeout(), errors.Is(err, context.DeadlineExceeded):
		return "timeout"
	}
	return "lost connection"
}
