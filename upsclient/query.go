package upsclient

import (
	"context"
	"strconv"
	"strings"
)

// A UPS is one device that a server knows.
type UPS struct {
	Name        string
	Description string // "Description unavailable" if it has none
}

// A Variable is one named value of a device.
type Variable struct {
	Name, Value string
}

// A Range is a closed interval of whole numbers that a variable may be set to.
type Range struct {
	Min, Max string
}

// A Type is what a variable may hold, word by word as the server says it: RW if
// it may be set; ENUM and RANGE if ListEnum or ListRange has more to tell;
// STRING:n with the longest length in bytes; NUMBER.
type Type []string

// Has reports whether one of the type's words is the given one, in any case; a
// length after a colon does not count.
func (t Type) Has(word string) bool {
	for _, w := range t {
		w, _, _ = strings.Cut(w, ":")
		if strings.EqualFold(w, word) {
			return true
		}
	}
	return false
}

// MaxLen returns the length of STRING:n, 0 if there is none.
func (t Type) MaxLen() int {
	for _, w := range t {
		name, length, _ := strings.Cut(w, ":")
		if n, err := strconv.Atoi(length); err == nil && strings.EqualFold(name, "STRING") {
			return n
		}
	}
	return 0
}

// Version returns what the server says it is: "Network UPS Tools upsd 2.8.0 - …".
func (c *Client) Version(ctx context.Context) (string, error) {
	return c.Do(ctx, "VER")
}

// ProtocolVersion returns the version of the protocol that the server speaks,
// such as "1.3". A server older than 2.8 refuses with ErrUnknownCommand.
func (c *Client) ProtocolVersion(ctx context.Context) (string, error) {
	return c.Do(ctx, "PROTVER")
}

// ListUPS returns the server's devices in the server's order.
func (c *Client) ListUPS(ctx context.Context) ([]UPS, error) {
	rows, err := c.rows(ctx, 1, "UPS")
	var list []UPS
	for _, r := range rows {
		u := UPS{Name: r[0]}
		if len(r) > 1 {
			u.Description = r[1]
		}
		list = append(list, u)
	}
	return list, err
}

// ListVars returns all variables of a device in the server's order.
func (c *Client) ListVars(ctx context.Context, ups string) ([]Variable, error) {
	return c.variables(ctx, "VAR", ups)
}

// ListRW returns the variables of a device that may be set.
func (c *Client) ListRW(ctx context.Context, ups string) ([]Variable, error) {
	return c.variables(ctx, "RW", ups)
}

func (c *Client) variables(ctx context.Context, list, ups string) ([]Variable, error) {
	rows, err := c.rows(ctx, 2, list, ups)
	var vs []Variable
	for _, r := range rows {
		vs = append(vs, Variable{Name: r[0], Value: r[1]})
	}
	return vs, err
}

// ListCommands returns the instant commands of a device.
func (c *Client) ListCommands(ctx context.Context, ups string) ([]string, error) {
	return c.column(ctx, "CMD", ups)
}

// ListEnum returns the values that a variable may be set to, none if it is no
// enumeration.
func (c *Client) ListEnum(ctx context.Context, ups, name string) ([]string, error) {
	return c.column(ctx, "ENUM", ups, name)
}

// ListRange returns the ranges in which a variable may be set, none if it has
// none.
func (c *Client) ListRange(ctx context.Context, ups, name string) ([]Range, error) {
	rows, err := c.rows(ctx, 2, "RANGE", ups, name)
	var list []Range
	for _, r := range rows {
		list = append(list, Range{Min: r[0], Max: r[1]})
	}
	return list, err
}

// ListClients returns the addresses of the clients that are logged in to a
// device; one may occur more than once.
func (c *Client) ListClients(ctx context.Context, ups string) ([]string, error) {
	return c.column(ctx, "CLIENT", ups)
}

func (c *Client) column(ctx context.Context, query ...string) ([]string, error) {
	rows, err := c.rows(ctx, 1, query...)
	var list []string
	for _, r := range rows {
		list = append(list, r[0])
	}
	return list, err
}

// rows is List for rows of at least n words.
func (c *Client) rows(ctx context.Context, n int, query ...string) ([][]string, error) {
	var rows [][]string
	err := c.exchange(ctx, append([]string{"LIST"}, query...), listPatience, func(ctx context.Context) (err error) {
		if rows, err = c.list(ctx, query); err != nil {
			return err
		}
		for _, r := range rows {
			if len(r) < n {
				return &ProtocolError{Reply: strings.Join(r, " "), Problem: "a row of the list is too short"}
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return rows, nil
}

// Get returns the value of one variable. It is ErrDataStale or
// ErrDriverNotConnected if the server has no fresh one, ErrVarNotSupported if the
// device has no such variable.
func (c *Client) Get(ctx context.Context, ups, name string) (string, error) {
	return c.value(ctx, "VAR", ups, name)
}

// Description returns the meaning of a variable in words, "Description
// unavailable" if the server has none.
func (c *Client) Description(ctx context.Context, ups, name string) (string, error) {
	return c.value(ctx, "DESC", ups, name)
}

// CommandDescription returns the meaning of an instant command in words,
// "Description unavailable" if the server has none.
func (c *Client) CommandDescription(ctx context.Context, ups, command string) (string, error) {
	return c.value(ctx, "CMDDESC", ups, command)
}

// UPSDescription returns the description of a device, "Unavailable" if it has
// none.
func (c *Client) UPSDescription(ctx context.Context, ups string) (string, error) {
	return c.value(ctx, "UPSDESC", ups)
}

// NumLogins returns how many clients are logged in to a device.
func (c *Client) NumLogins(ctx context.Context, ups string) (int, error) {
	var n int
	err := c.get(ctx, func(line string, rest []string) (err error) {
		if n, err = strconv.Atoi(rest[0]); err != nil || n < 0 {
			return &ProtocolError{Reply: line, Problem: "this is no number of logins"}
		}
		return nil
	}, "NUMLOGINS", ups)
	return n, err
}

// Type returns what a variable may hold.
func (c *Client) Type(ctx context.Context, ups, name string) (Type, error) {
	var t Type
	err := c.get(ctx, func(_ string, rest []string) error {
		t = rest
		return nil
	}, "TYPE", ups, name)
	return t, err
}

func (c *Client) value(ctx context.Context, query ...string) (string, error) {
	var v string
	err := c.get(ctx, func(_ string, rest []string) error {
		v = rest[0]
		return nil
	}, query...)
	return v, err
}

// get sends "GET query…" and hands the words after the repeated query, at least
// one, to take.
func (c *Client) get(ctx context.Context, take func(line string, rest []string) error, query ...string) error {
	return c.exchange(ctx, append([]string{"GET"}, query...), 1, func(ctx context.Context) error {
		line, err := c.line(ctx)
		if err != nil {
			return err
		}
		rest, ok := answers(line, query)
		if !ok || len(rest) == 0 {
			return &ProtocolError{Reply: line, Problem: "this does not answer the question"}
		}
		return take(line, rest)
	})
}
