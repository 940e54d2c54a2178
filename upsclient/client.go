// Package upsclient talks to upsd, the data server of Network UPS Tools, over
// its network protocol: it lists devices and their variables, reads and sets
// them, runs instant commands and takes part in forced shutdowns. It speaks version
// 1.3 of the protocol, as C NUT's upsd does.
//
// Dial connects, with TLS if both sides want it; New takes a connection that
// somebody else made. Values stay text, as on the wire: "12.30" is never turned
// into a number here. Every method takes a context, and every line of an answer
// has a deadline of its own (five seconds unless Options say otherwise), so that
// a silent server cannot hold a caller up. What a server sends is bounded: a line,
// the number of lines and the bytes of a list.
//
// # Errors
//
// An [Error] is the server's refusal ("ERR DATA-STALE"): the connection is well,
// the next request may be sent. Compare with errors.Is(err, upsclient.ErrDataStale).
// A [*ConnError] means that there is no connection (any more), a [*TLSError] that
// it cannot be protected as demanded, a [*ProtocolError] that the server's answer
// makes no sense. After these three the client is closed and every further call
// returns the same error; dial again.
//
// The package does not retry, reconnect, poll or log, and it knows no meaning of
// any variable.
package upsclient

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"gonut/internal/netproto"
	"gonut/internal/words"
)

// Limits of what a server may send before it is taken for broken or hostile.
const (
	maxLine      = 4096    // bytes in a reply line
	maxRows      = 1 << 16 // lines of a list
	maxListBytes = 4 << 20
	// A list may take so many times the reply time-out in all.
	listPatience = 12
)

// DefaultReplyTimeout is how long a server may take for each line of an answer,
// as in C's client library.
const DefaultReplyTimeout = 5 * time.Second

// A Client is one connection to upsd. It serves one goroutine at a time.
type Client struct {
	conn    net.Conn
	r       *bufio.Reader
	addr    string // for messages
	host    string // for the name in a certificate
	timeout time.Duration
	secure  bool
	err     error // why the client is of no use any more
	out     []byte
}

// New returns a client on an existing connection, which it owns from now on. Of
// the options only ReplyTimeout is used.
func New(conn net.Conn, o Options) *Client {
	c := &Client{
		conn:    conn,
		r:       bufio.NewReaderSize(conn, maxLine),
		timeout: o.ReplyTimeout,
	}
	if c.timeout <= 0 {
		c.timeout = DefaultReplyTimeout
	}
	if a := conn.RemoteAddr(); a != nil {
		c.addr = a.String()
		c.host, _, _ = net.SplitHostPort(c.addr)
	}
	return c
}

// Err returns the error that ended the connection, nil while it is well.
func (c *Client) Err() error { return c.err }

// Secure reports whether the connection is protected by TLS.
func (c *Client) Secure() bool { return c.secure }

// Addr is the address that was dialed, as it was given to Dial.
func (c *Client) Addr() string { return c.addr }

// errClosed is what a client says that its own side has closed.
var errClosed = errors.New("connection closed")

// Close ends the connection without a word to the server, which counts that as a
// logout too. Closing again does nothing.
func (c *Client) Close() error {
	if c.err == nil {
		c.err = &ConnError{Op: OpSend, Addr: c.addr, Err: errClosed}
		return c.conn.Close()
	}
	return nil
}

// Do sends one request and returns the one line that answers it. It is for
// requests that this package has no method for. Words are quoted where needed.
func (c *Client) Do(ctx context.Context, request ...string) (string, error) {
	var line string
	err := c.exchange(ctx, request, 1, func(ctx context.Context) (err error) {
		line, err = c.line(ctx)
		return err
	})
	return line, err
}

// List sends "LIST query…" and returns the rows of the answer, each without the
// words of the query that it repeats. It is for lists that this package has no
// method for.
func (c *Client) List(ctx context.Context, query ...string) ([][]string, error) {
	var rows [][]string
	request := append([]string{"LIST"}, query...)
	err := c.exchange(ctx, request, listPatience, func(ctx context.Context) (err error) {
		rows, err = c.list(ctx, query)
		return err
	})
	if err != nil {
		return nil, err
	}
	return rows, nil
}

// exchange sends a request and lets read take the answer. The whole takes at most
// patience reply time-outs, which the context that read gets says. Any error but a
// refusal breaks the client.
func (c *Client) exchange(ctx context.Context, request []string, patience int, read func(context.Context) error) error {
	if c.err != nil {
		return c.err
	}
	if err := sendable(request); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, time.Duration(patience)*c.timeout, os.ErrDeadlineExceeded)
	defer cancel()
	defer c.watch(ctx)()

	c.out = c.out[:0]
	for i, w := range request {
		if i > 0 {
			c.out = append(c.out, ' ')
		}
		c.out = words.AppendWord(c.out, w)
	}
	c.out = append(c.out, '\n')
	err := c.arm(ctx, OpSend)
	if err == nil {
		if _, werr := c.conn.Write(c.out); werr != nil {
			err = c.connError(ctx, OpSend, werr)
		}
	}
	clear(c.out) // it may hold a password
	if err == nil {
		err = read(ctx)
	}
	return c.judge(request, err)
}

// judge lets refusals pass and breaks the client on everything else.
func (c *Client) judge(request []string, err error) error {
	var refused Error
	if err == nil || errors.As(err, &refused) {
		return err
	}
	var strange *ProtocolError
	if errors.As(err, &strange) {
		strange.Addr = c.addr
		strange.Request = describe(request)
	}
	return c.fail(err)
}

// fail makes err the end of the client.
func (c *Client) fail(err error) error {
	c.err = err
	c.conn.Close()
	return err
}

// describe names a request in messages, without secrets.
func describe(request []string) string {
	if request[0] == "PASSWORD" {
		return "PASSWORD ***"
	}
	return words.Join(request...)
}

// sendable refuses words that would not arrive as they are.
func sendable(request []string) error {
	if len(request) == 0 || request[0] == "" {
		return errors.New("send request: it is empty")
	}
	for i, w := range request {
		if len(w) > words.MaxWord {
			return fmt.Errorf("send %s: word %d has %d bytes, the protocol allows %d", request[0], i+1, len(w), words.MaxWord)
		}
		if strings.ContainsFunc(w, func(r rune) bool { return r < ' ' }) {
			return fmt.Errorf("send %s: word %d holds a control character", request[0], i+1)
		}
	}
	return nil
}

// watch interrupts reading and writing when ctx ends. The function that it
// returns ends that; after it the connection's deadline is left alone.
func (c *Client) watch(ctx context.Context) (end func()) {
	conn, ended := c.conn, make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		conn.SetDeadline(time.Unix(1, 0))
		close(ended)
	})
	return func() {
		if !stop() {
			<-ended
		}
	}
}

// arm gives the next read or write its time. A connection that is already closed
// says so when it is read or written.
func (c *Client) arm(ctx context.Context, op Op) error {
	c.conn.SetDeadline(time.Now().Add(c.timeout))
	// A context that ended before this moment would have been forgotten.
	if ctx.Err() != nil {
		return c.connError(ctx, op, ctx.Err())
	}
	return nil
}

// connError wraps what went wrong with the connection.
func (c *Client) connError(ctx context.Context, op Op, err error) error {
	if ctx.Err() != nil {
		err = ctx.Err()
		if context.Cause(ctx) == os.ErrDeadlineExceeded { // our patience, not the caller's
			err = os.ErrDeadlineExceeded
		}
	}
	return &ConnError{Op: op, Addr: c.addr, Err: err}
}

// line reads one line. One that begins with ERR is returned as an Error.
func (c *Client) line(ctx context.Context) (string, error) {
	if ready, _ := c.r.Peek(c.r.Buffered()); bytes.IndexByte(ready, '\n') < 0 {
		if err := c.arm(ctx, OpReceive); err != nil {
			return "", err
		}
	}
	b, err := c.r.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		return "", &ProtocolError{Reply: string(b[:60]) + "…", Problem: fmt.Sprintf("the line is longer than %d bytes", maxLine)}
	}
	if err != nil {
		return "", c.connError(ctx, OpReceive, err)
	}
	line := printable(b)
	if err := netproto.ParseError(line); err != nil {
		if err == Error("") {
			err = ErrUnknown
		}
		return line, err
	}
	return line, nil
}

// printable drops the line's end and control characters, which the grammar
// refuses anyway and which could play tricks with a terminal.
func printable(b []byte) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' || r == 0x7F {
			return -1
		}
		return r
	}, string(b))
}

// list reads the answer to "LIST query…".
func (c *Client) list(ctx context.Context, query []string) ([][]string, error) {
	line, err := c.line(ctx)
	if err != nil {
		return nil, err
	}
	if _, ok := answers(line, append([]string{"BEGIN", "LIST"}, query...)); !ok {
		return nil, &ProtocolError{Reply: line, Problem: "this does not begin the list asked for"}
	}
	var rows [][]string
	for size := 0; ; size += len(line) {
		line, err = c.line(ctx)
		var refused Error
		switch {
		case errors.As(err, &refused):
			return nil, &ProtocolError{Reply: line, Problem: "an error in the middle of a list"}
		case err != nil:
			return nil, err
		}
		if row, ok := answers(line, query); ok {
			rows = append(rows, row)
		} else if rest, ok := answers(line, append([]string{"END", "LIST"}, query...)); ok && len(rest) == 0 {
			return rows, nil
		} else {
			return nil, &ProtocolError{Reply: line, Problem: "this does not belong to the list asked for"}
		}
		if len(rows) > maxRows || size > maxListBytes {
			return nil, &ProtocolError{Reply: line, Problem: "the list does not end"}
		}
	}
}

// answers splits a line and takes off the words of the request that it repeats.
// Servers repeat them unquoted, which is why a name with a blank comes back as two
// words; a server that quotes is understood too.
func answers(line string, request []string) (rest []string, ok bool) {
	got, _ := words.Split(line) // with an error, what came before it
	if rest, ok = cutPrefix(got, request); ok {
		return rest, true
	}
	asSent, _ := words.Split(strings.Join(request, " "))
	return cutPrefix(got, asSent)
}

func cutPrefix(got, want []string) (rest []string, ok bool) {
	if len(got) < len(want) {
		return nil, false
	}
	for i, w := range want {
		if !strings.EqualFold(got[i], w) {
			return nil, false
		}
	}
	return got[len(want):], true
}
