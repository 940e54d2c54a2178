package conf

import (
	"io"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"gonut/internal/netproto"
)

// ParseUPSD reads upsd.conf. Lines that cannot be used are problems, as they are
// only complaints to C; an address to listen on that cannot be one is the error,
// as upsd would end up listening elsewhere or not at all.
func ParseUPSD(name string, r io.Reader) (UPSD, []Problem, error) {
	c := UPSD{
		MaxAge:        15 * time.Second,
		TrackingDelay: time.Hour,
		DebugMin:      -1,
	}
	s := newSource(name, r)
	err := readDirectives(s, upsdDirectives(), &c)
	return c, s.problems, err
}

func upsdDirectives() []directive[UPSD] {
	d := []directive[UPSD]{
		{name: "MAXAGE", words: 2, most: 2, set: func(c *UPSD, l line) error {
			if n, ok := l.natural(); ok {
				c.MaxAge = seconds(n)
			}
			if c.MaxAge == 0 {
				l.warn("MAXAGE 0: data count as stale as soon as a driver says nothing for a second")
			}
			return nil
		}},
		{name: "TRACKINGDELAY", words: 2, most: 2, set: func(c *UPSD, l line) error {
			if n, ok := l.natural(); ok {
				c.TrackingDelay = seconds(n)
			}
			return nil
		}},
		{name: "ALLOW_NO_DEVICE", words: 2, most: 2, set: func(c *UPSD, l line) error {
			l.allow(&c.AllowNoDevice)
			return nil
		}},
		{name: "ALLOW_NOT_ALL_LISTENERS", words: 2, most: 2, set: func(c *UPSD, l line) error {
			l.allow(&c.AllowNotAllListeners)
			return nil
		}},
		{name: "STATEPATH", words: 2, most: 2, set: func(c *UPSD, l line) error {
			c.StatePath = l.words[1]
			return nil
		}},
		{name: "DATAPATH", words: 2, most: 2, set: func(c *UPSD, l line) error {
			c.DataPath = l.words[1]
			return nil
		}},
		{name: "LISTEN", words: 2, most: 3, set: listen},
		{name: "MAXCONN", words: 2, most: 2, set: func(c *UPSD, l line) error {
			if n, ok := l.natural(); ok {
				c.MaxConn = n
			}
			return nil
		}},
		{name: "MAXCONNPERHOST", words: 2, most: 2, set: func(c *UPSD, l line) error {
			if n, ok := l.natural(); ok {
				c.MaxConnPerHost = n
			}
			return nil
		}},
		{name: "COMPAT", words: 2, set: compat},
		{name: "DISABLE_WEAK_SSL", words: 2, most: 2, set: func(c *UPSD, l line) error {
			l.boolean(&c.DisableWeakSSL)
			return nil
		}},
		{name: "DEBUG_MIN", fold: true, words: 2, most: 2, set: func(c *UPSD, l line) error {
			l.debugMin(&c.DebugMin)
			return nil
		}},
	}
	d = append(d, upsdTLSDirectives()...)
	for _, old := range []string{"ACCEPT", "REJECT", "ACL"} {
		d = append(d, directive[UPSD]{name: old, words: 2, set: func(_ *UPSD, l line) error {
			l.warn("%s does nothing any more; use LISTEN and a firewall", old)
			return nil
		}})
	}
	return d
}

func upsdTLSDirectives() []directive[UPSD] {
	return []directive[UPSD]{
		{name: "CERTFILE", words: 2, most: 2, set: func(c *UPSD, l line) error {
			c.CertFile = l.words[1]
			return nil
		}},
		{name: "CERTPATH", words: 2, most: 2, set: func(c *UPSD, l line) error {
			c.CertPath = l.words[1]
			return nil
		}},
		{name: "CERTIDENT", words: 3, most: 3, set: func(c *UPSD, l line) error {
			c.CertIdentName, c.CertIdentPassword = l.certIdent()
			return nil
		}},
		{name: "CERTREQUEST", words: 2, most: 2, set: certRequest},
	}
}

// natural reads the number of a directive that must begin with a digit.
func (l line) natural() (int, bool) {
	if w := l.words[1]; w == "" || w[0] < '0' || w[0] > '9' {
		l.warn("%s wants a number and not %q; the line is ignored", l.words[0], w)
		return 0, false
	}
	return l.number(l.words[1])
}

// boolean stores the value of a directive that is one of the boolean words.
func (l line) boolean(to *bool) {
	v, ok := boolean(l.words[1])
	if !ok {
		l.warn("%s wants yes or no and not %q; the line is ignored", l.words[0], l.words[1])
		return
	}
	*to = v
}

// allow is boolean for the directives that take any number but 0 for true as well.
func (l line) allow(to *bool) {
	if w := l.words[1]; w != "" && '0' <= w[0] && w[0] <= '9' {
		if n, ok := l.number(w); ok {
			*to = n != 0
		}
		return
	}
	l.boolean(to)
}

func (l line) debugMin(to *int) {
	n, ok := strictNumber(l.words[1])
	if !ok || n < 0 {
		l.warn("%s wants a number from 0 on and not %q; the line is ignored", l.words[0], l.words[1])
		return
	}
	*to = n
}

// certIdent reads a name and a password. An '=' that was not quoted makes three
// words of a name like /CN=x.
func (l line) certIdent() (string, Secret) {
	if l.words[2] == "=" {
		l.warn("%s: the name %s ends before '='; a name with '=' needs quotes", l.words[0], l.words[1])
	}
	return l.words[1], Secret(l.words[2])
}

func listen(c *UPSD, l line) error {
	a := Listen{Addr: l.words[1], Port: netproto.Port, Line: l.no}
	if a.Addr == "" {
		return l.fatal("LISTEN wants an address, a host's name or * and has an empty word")
	}
	if ap, err := netip.ParseAddrPort(a.Addr); err == nil {
		return l.fatal("LISTEN wants address and port as two words: LISTEN %s %d", ap.Addr(), ap.Port())
	}
	if inner, ok := strings.CutPrefix(a.Addr, "["); ok {
		return l.fatal("LISTEN takes an IPv6 address without brackets: LISTEN %s", strings.TrimSuffix(inner, "]"))
	}
	if !strings.HasPrefix(a.Addr, "/") && strings.Contains(a.Addr, "/") {
		return l.fatal("LISTEN: the path of a unix socket begins with '/', and %s does not", a.Addr)
	}
	if numeric(a.Addr) {
		return l.fatal("LISTEN: %s is no IPv4 address, which is four numbers up to 255: 192.0.2.1", a.Addr)
	}
	if strings.HasPrefix(a.Addr, "/") {
		l.surplus(2)
	} else if len(l.words) > 2 {
		a.Port = l.words[2]
	}
	// Anything but a number is the name of a service, which upsd looks up.
	if n, err := strconv.Atoi(a.Port); a.Port == "" || err == nil && (n < 0 || n > 65535) || strings.Trim(a.Port, "0123456789") == "" && err != nil {
		return l.fatal("LISTEN: there is no port %q; it is a number up to 65535, %s if left out", a.Port, netproto.Port)
	}
	c.Listen = append(c.Listen, a)
	return nil
}

// numeric reports whether text is meant to be an IPv4 address and is none: no host's
// name ends in a number.
func numeric(text string) bool {
	last := text[strings.LastIndexByte(text, '.')+1:]
	if last == "" || strings.Trim(last, "0123456789") != "" {
		return false
	}
	_, err := netip.ParseAddr(text)
	return err != nil
}

// compat reads which clients get answers of their own.
func compat(c *UPSD, l line) error {
	for _, w := range l.words[1:] {
		if w != "go.nut" {
			l.warn("COMPAT knows go.nut and not %q; the word is ignored", w)
			continue
		}
		c.CompatGoNUT = true
	}
	return nil
}

func certRequest(c *UPSD, l line) error {
	w := l.words[1]
	for i, known := range []string{"NO", "REQUEST", "REQUIRE"} {
		if w == known {
			c.CertRequest = i
			return nil
		}
	}
	n, ok := strictNumber(w)
	if !ok || n < 0 || n > 2 {
		// To go on would mean to take clients without certificates.
		return l.fatal("CERTREQUEST wants NO, REQUEST or REQUIRE (0, 1 or 2) and not %q", w)
	}
	c.CertRequest = n
	return nil
}
