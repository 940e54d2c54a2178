package upsclient

import (
	"context"
	"errors"
	"strings"

	"gonut/internal/netproto"
)

// Username tells the server who we are. It is looked at only when something that
// needs a right is asked for.
func (c *Client) Username(ctx context.Context, name string) error {
	return c.expectOK(ctx, "USERNAME", name)
}

// Password tells the server our password. It travels as it is: use TLS where
// others can listen.
func (c *Client) Password(ctx context.Context, password string) error {
	return c.expectOK(ctx, "PASSWORD", password)
}

// Login counts this connection as a host that the device feeds, until the
// connection ends. The user needs the upsmon role.
func (c *Client) Login(ctx context.Context, ups string) error {
	return c.expectOK(ctx, "LOGIN", ups)
}

// Primary asks for the primary's right to set FSD. A server that does not know
// the word is asked for MASTER, the older one.
func (c *Client) Primary(ctx context.Context, ups string) error {
	err := c.expectOK(ctx, "PRIMARY", ups)
	if errors.Is(err, ErrUnknownCommand) {
		return c.expectOK(ctx, "MASTER", ups)
	}
	return err
}

// FSD declares a forced shutdown of everything that the device feeds. Nothing
// takes it back but a restart of the server.
func (c *Client) FSD(ctx context.Context, ups string) error {
	return c.expectOK(ctx, "FSD", ups)
}

// Logout says goodbye, waits for the answer and closes the connection in any
// case.
func (c *Client) Logout(ctx context.Context) error {
	if c.err != nil {
		return c.err
	}
	_, err := c.Do(ctx, "LOGOUT")
	c.Close()
	return err
}

// Set gives a variable a value. The server only hands the request on; a nil error
// does not mean that the device has obeyed. With tracking enabled the id of the
// request is returned, to be asked about with Tracking; otherwise it is empty.
func (c *Client) Set(ctx context.Context, ups, name, value string) (id string, err error) {
	return c.request(ctx, "SET", "VAR", ups, name, value)
}

// Command runs an instant command, with an optional parameter. The result is as
// of Set.
func (c *Client) Command(ctx context.Context, ups, command string, param ...string) (id string, err error) {
	return c.request(ctx, append([]string{"INSTCMD", ups, command}, param...)...)
}

// EnableTracking asks the server to give every later Set and Command an id. Name
// and password must have been told.
func (c *Client) EnableTracking(ctx context.Context) error {
	return c.expectOK(ctx, "SET", "TRACKING", "ON")
}

// Tracking asks what became of a request. done is false while the device has not
// said anything. Then a nil error means success, an Error the device's refusal:
// ErrUnknown, ErrInvalidArgument or ErrFailed.
func (c *Client) Tracking(ctx context.Context, id string) (done bool, err error) {
	err = c.exchange(ctx, []string{"GET", "TRACKING", id}, 1, func(ctx context.Context) error {
		line, err := c.line(ctx)
		if err != nil {
			return err
		}
		switch strings.TrimSpace(line) {
		case netproto.TrackingSuccess:
			done = true
		case netproto.TrackingPending:
		default:
			return &ProtocolError{Reply: line, Problem: "this is no result of a tracked request"}
		}
		return nil
	})
	var refused Error
	if errors.As(err, &refused) {
		done = true
	}
	return done, err
}

// request sends a request that may be tracked.
func (c *Client) request(ctx context.Context, request ...string) (id string, err error) {
	err = c.exchange(ctx, request, 1, func(ctx context.Context) error {
		line, err := c.ok(ctx)
		if err == nil {
			id = trackingID(line)
		}
		return err
	})
	return id, err
}

// trackingID returns the id in the answer to a tracked request, empty if there is
// none.
func trackingID(line string) string {
	id, ok := strings.CutPrefix(line, netproto.TrackingPrefix)
	if !ok {
		return ""
	}
	id, _, _ = strings.Cut(strings.TrimSpace(id), " ")
	return id
}

func (c *Client) expectOK(ctx context.Context, request ...string) error {
	return c.exchange(ctx, request, 1, func(ctx context.Context) error {
		_, err := c.ok(ctx)
		return err
	})
}

// ok reads an answer that begins with OK.
func (c *Client) ok(ctx context.Context) (string, error) {
	line, err := c.line(ctx)
	if err != nil {
		return "", err
	}
	if word, _, _ := strings.Cut(line, " "); word != netproto.OK {
		return "", &ProtocolError{Reply: line, Problem: "neither OK nor ERR"}
	}
	return line, nil
}
