package netproto

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"

	"gonut/internal/ups"
)

// What can be wrong with an address. Errors of ParseSystem and ParseHost wrap
// these.
var (
	// ErrNoUPSName means that nothing stands before the '@'.
	ErrNoUPSName = errors.New("the name of the ups is missing")
	// ErrNoHost means that nothing stands where the host should be.
	ErrNoHost = errors.New("the host is missing")
	// ErrPortWithoutHost means that a ups' name is followed by ':' without '@'.
	ErrPortWithoutHost = errors.New("a port needs a host: upsname@host:port")
	// ErrPort means that the port is no number from 1 to 65535.
	ErrPort = errors.New("the port must be a number from 1 to 65535")
	// ErrBrackets means that an IPv6 address stands without brackets.
	ErrBrackets = errors.New("an IPv6 address needs brackets: [::1]:3493")
	// ErrHost means that the host cannot be one.
	ErrHost = errors.New("the host must not contain '@', '[' or ']'")
)

// A Host is where an upsd listens.
type Host struct {
	Name string // a name or an address, without brackets
	Port string // decimal, 1 to 65535
}

// Addr returns the host in the form that package net dials.
func (h Host) Addr() string { return net.JoinHostPort(h.Name, h.Port) }

// String returns the host as a user writes it; the standard port is left out.
func (h Host) String() string {
	if h.Port != Port {
		return h.Addr()
	}
	if strings.Contains(h.Name, ":") {
		return "[" + h.Name + "]"
	}
	return h.Name
}

// A System is a ups and the upsd that knows it.
type System struct {
	UPS string
	Host
}

// String returns the system as a user writes it.
func (s System) String() string { return s.UPS + "@" + s.Host.String() }

// ParseSystem reads upsname[@host[:port]], the way in which every client, upsmon
// and their configuration name a ups. Without a host it is on localhost. The
// error wraps one of the errors above.
func ParseSystem(text string) (System, error) {
	name, rest, hasHost := strings.Cut(text, "@")
	s := System{UPS: name, Host: Host{Name: "localhost", Port: Port}}
	err := error(nil)
	switch {
	case name == "":
		err = ErrNoUPSName
	case hasHost:
		s.Host, err = parseHost(rest)
	case strings.Contains(name, ":"):
		err = ErrPortWithoutHost
	}
	if err != nil {
		return System{}, fmt.Errorf("read address %q: %w", text, err)
	}
	return s, nil
}

// ParseHost reads host[:port]. The error wraps one of the errors above.
func ParseHost(text string) (Host, error) {
	h, err := parseHost(text)
	if err != nil {
		return Host{}, fmt.Errorf("read address %q: %w", text, err)
	}
	return h, nil
}

func parseHost(text string) (Host, error) {
	h := Host{Port: Port}
	port, hasPort := "", false
	if inner, ok := strings.CutPrefix(text, "["); ok {
		name, after, closed := strings.Cut(inner, "]")
		if !closed {
			return h, ErrBrackets
		}
		h.Name = name
		// As in C, other text after the bracket means nothing.
		port, hasPort = strings.CutPrefix(after, ":")
	} else {
		h.Name, port, hasPort = strings.Cut(text, ":")
		if strings.Contains(port, ":") {
			return h, ErrBrackets
		}
	}
	if h.Name == "" {
		return h, ErrNoHost
	}
	if strings.ContainsAny(h.Name, "@[]") {
		return h, ErrHost
	}
	if hasPort {
		// C reads the digits that the port begins with.
		n := ups.Atoi(port)
		if n < 1 || n > 65535 {
			return h, ErrPort
		}
		h.Port = strconv.Itoa(n)
	}
	return h, nil
}
