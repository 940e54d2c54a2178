package hostaccess

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// A list is patterns, less those behind EXCEPT.
type list struct {
	patterns []pattern
	except   *list
}

// A pattern is one word of a list: host, user@host, service or service@host, where
// that host is ours.
type pattern struct {
	before string // of '@'; empty if there is none
	host   string // or service
}

// The words that stand for many.
const (
	all     = "ALL"
	known   = "KNOWN"
	unknown = "UNKNOWN"
	local   = "LOCAL"
)

func parseList(ws []string) (l list) {
	for i, w := range ws {
		if strings.EqualFold(w, "EXCEPT") {
			except := parseList(ws[i+1:])
			l.except = &except
			return l
		}
		p := pattern{host: w}
		if before, host, ok := strings.Cut(w, "@"); ok && before != "" {
			p = pattern{before, host}
		}
		l.patterns = append(l.patterns, p)
	}
	return l
}

// all returns the patterns of the list, those behind EXCEPT included.
func (l list) all() []pattern {
	ps := slices.Clone(l.patterns)
	if l.except != nil {
		ps = append(ps, l.except.all()...)
	}
	return ps
}

func (l list) match(matches func(pattern) bool) bool {
	for _, p := range l.patterns {
		if matches(p) {
			return l.except == nil || !l.except.match(matches)
		}
	}
	return false
}

// named reports whether the pattern means the service, at whatever address of ours.
func (p pattern) named(service string) bool {
	if p.before != "" {
		return likeText(p.before, service)
	}
	return likeText(p.host, service)
}

func (p pattern) service(c Client, service string) bool {
	return p.named(service) && (p.before == "" || likeHost(p.host, c.Local))
}

func (p pattern) client(c Client) bool {
	return likeHost(p.host, c.Addr) && (p.before == "" || likeText(p.before, c.User))
}

// likeText compares a text with a pattern, in any case of letters.
func likeText(p, text string) bool {
	p, text = strings.ToUpper(p), strings.ToUpper(text)
	switch {
	case strings.ContainsAny(p, "*?"):
		return glob(p, text)
	case strings.HasPrefix(p, "."):
		return strings.HasSuffix(text, p)
	case p == all:
		return true
	case p == known:
		return text != unknown
	case strings.HasSuffix(p, "."):
		return strings.HasPrefix(text, p)
	}
	return p == text
}

// likeHost compares an address with a pattern.
func likeHost(h string, addr netip.Addr) bool {
	switch {
	case isWord(h, local), isWord(h, "localhost"):
		return addr.IsLoopback()
	case isWord(h, known), isWord(h, unknown), h == "":
		return false
	}
	if net, ok := network(h); ok {
		return net.contains(addr)
	}
	return !strings.ContainsAny(h, "/[") && likeText(h, addr.String())
}

func isWord(w, word string) bool { return strings.EqualFold(w, word) }

// never returns why the pattern can match no client, empty if it can.
func (p pattern) never() string {
	h := p.host
	if net, ok := network(h); ok {
		if !net.whole() {
			return "the address has bits that the mask does not; write " + net.mended()
		}
		return ""
	}
	switch {
	case isWord(h, all), isWord(h, local), isWord(h, "localhost"):
		return ""
	case !strings.ContainsAny(h, "/[") && strings.Trim(h, "0123456789.*?") == "":
		return ""
	case strings.HasSuffix(h, "/0"):
		return "all addresses are ALL"
	case strings.Contains(h, "["):
		return "IPv6 is written [address] or [address]/length"
	}
	return "names of hosts are not looked up"
}

// A block is the addresses that agree with one wherever the mask has a bit.
type block struct {
	addr netip.Addr
	mask netip.Addr
}

// network reads address/length, address/mask of IPv4 and [address] and
// [address]/length of IPv6.
func network(h string) (block, bool) {
	host, mask, has := strings.Cut(h, "/")
	host, bracketed := strings.CutPrefix(host, "[")
	if bracketed {
		var closed bool
		if host, closed = strings.CutSuffix(host, "]"); !closed {
			return block{}, false
		}
	}
	a, err := netip.ParseAddr(host)
	if err != nil || a.Zone() != "" || a.Is6() != bracketed || a.Is4() && !has {
		return block{}, false
	}
	bits := a.BitLen()
	if has {
		if m, err := netip.ParseAddr(mask); err == nil && a.Is4() && m.Is4() {
			return block{a, m}, true
		}
		if bits, err = strconv.Atoi(mask); err != nil || a.Is4() && bits == 0 {
			return block{}, false
		}
	}
	ones := strings.Repeat("\xff", a.BitLen()/8)
	full, _ := netip.AddrFromSlice([]byte(ones)) // cannot fail
	p, err := full.Prefix(bits)
	if err != nil {
		return block{}, false
	}
	b := block{a, p.Addr()}
	if a.Is6() {
		b.addr = b.masked(a) // the library forgives other bits here, and only here
	}
	return b, true
}

func (b block) contains(addr netip.Addr) bool {
	return addr.BitLen() == b.addr.BitLen() && b.masked(addr) == b.addr
}

// masked returns the bits of the address that the mask has.
func (b block) masked(addr netip.Addr) netip.Addr {
	x, mask := addr.AsSlice(), b.mask.AsSlice()
	for i := range x {
		x[i] &= mask[i]
	}
	out, _ := netip.AddrFromSlice(x) // cannot fail
	return out
}

func (b block) whole() bool { return b.masked(b.addr) == b.addr }

// mended is the block as it was meant.
func (b block) mended() string { return b.masked(b.addr).String() + "/" + b.mask.String() }

// glob compares a text with a pattern in which * is any text and ? any byte.
func glob(p, text string) bool {
	star, again := -1, 0 // where the last * stood, and which byte it has to take next
	i, j := 0, 0
	for j < len(text) {
		switch {
		case i < len(p) && p[i] == '*':
			star, again = i, j
			i++
		case i < len(p) && (p[i] == '?' || p[i] == text[j]):
			i++
			j++
		case star >= 0:
			again++
			i, j = star+1, again
		default:
			return false
		}
	}
	return strings.Trim(p[i:], "*") == ""
}
