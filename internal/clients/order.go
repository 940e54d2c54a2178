package clients

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"gonut/internal/conf"
	"gonut/internal/netproto"
	"gonut/internal/program"
	"gonut/upsclient"
)

// orderOptions are the option letters of programs that give orders.
const orderOptions = "u:p:wt:"

// orderHelp is what -h says of them.
const orderHelp = `
  -u NAME    the user of upsd.users
  -p TEXT    the password; others may see it in the list of processes.
             What is missing is taken from nutauth.conf or asked for
  -w         wait for what the driver says and print it
  -t SECS    for so long at most, default 10
`

// An order is something that upsd is told to do, by a user who may.
type order struct {
	*call
	login login
	wait  bool
	limit time.Duration
}

// option takes one of orderOptions.
func (r *order) option(o program.Option) error {
	switch o.Letter {
	case 'u':
		r.login.user, r.login.haveUser = o.Arg, true
	case 'p':
		r.login.password, r.login.havePassword = conf.Secret(o.Arg), true
	case 'w':
		r.wait = true
	case 't':
		n, err := strconv.ParseUint(strings.TrimSpace(o.Arg), 10, 32)
		if err != nil {
			return program.Exitf(1, "Could not convert the provided value for timeout ('-t' option) to unsigned int: %q is no number", o.Arg)
		}
		r.limit = time.Duration(n) * time.Second
	}
	return nil
}

// reach connects to the server of the system that the first operand names.
func (r *order) reach(ctx context.Context, operands []string) (netproto.System, *upsclient.Client, error) {
	if err := r.readAuth(); err != nil {
		return netproto.System{}, nil, err
	}
	system, err := r.system(operands, "  ")
	if err != nil {
		return netproto.System{}, nil, err
	}
	c, err := r.connect(ctx, system.Host)
	if err != nil {
		return netproto.System{}, nil, r.fail(err)
	}
	return system, c, nil
}

// authenticate tells the server who we are.
func (r *order) authenticate(ctx context.Context, c *upsclient.Client) error {
	for _, step := range []struct {
		what string
		tell func() error
	}{
		{"username", func() error { return c.Username(ctx, r.login.user) }},
		{"password", func() error { return c.Password(ctx, string(r.login.password)) }},
	} {
		if err := step.tell(); err != nil {
			return program.Exitf(1, "Set %s failed: %s", step.what, upsclient.Label(err))
		}
	}
	return nil
}

// give sends the order and reports what came of it.
func (r *order) give(ctx context.Context, c *upsclient.Client, request ...string) error {
	if r.wait {
		reply, err := c.Do(ctx, "SET", "TRACKING", "ON")
		if err := r.expectOK("Can't enable tracking of the result", reply, err); err != nil {
			return err
		}
	}
	reply, err := c.Do(ctx, request...)
	if err := r.expectOK("Unexpected response from upsd", reply, err); err != nil {
		return err
	}
	id, tracked := strings.CutPrefix(reply, netproto.TrackingPrefix)
	if r.wait && tracked {
		return r.await(ctx, c, strings.TrimSpace(id))
	}
	fmt.Fprintln(r.Stderr, reply)
	if r.Getenv("NUT_QUIET_OK_NOTRACKING") != "true" {
		r.warn("upsd has passed the request on; whether the device obeys is not known. Option -w\n" +
			"waits for what its driver says. (NUT_QUIET_OK_NOTRACKING=true hides this note.)")
	}
	return nil
}

// await asks every second what became of the order.
func (r *order) await(ctx context.Context, c *upsclient.Client, id string) error {
	deadline := time.Now().Add(r.limit)
	for {
		done, err := c.Tracking(ctx, id)
		var refused upsclient.Error
		switch {
		case errors.As(err, &refused):
			fmt.Fprintf(r.Stderr, "ERR %s\n", refused)
			return nil
		case err != nil:
			return r.fail(err)
		case done:
			fmt.Fprintln(r.Stderr, netproto.TrackingSuccess)
			return nil
		}
		if !time.Now().Before(deadline) {
			return program.Exitf(1, "Error: the driver has not said within %v what became of the request", r.limit)
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return r.fail(ctx.Err())
		}
	}
}

// expectOK reports a reply that is not OK as it was sent.
func (r *order) expectOK(what, reply string, err error) error {
	var refused upsclient.Error
	if err != nil && !errors.As(err, &refused) {
		return r.fail(err)
	}
	if err != nil || !strings.HasPrefix(reply, netproto.OK) {
		return program.Exitf(1, "%s: %s", what, reply)
	}
	return nil
}
