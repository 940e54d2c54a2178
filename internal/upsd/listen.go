package upsd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"gonut/internal/conf"
	"gonut/internal/drvsock"
	"gonut/internal/netproto"
)

// A Family restricts LISTEN to one version of IP.
type Family string

// The families that -4 and -6 stand for.
const (
	AnyFamily Family = ""
	IPv4      Family = "4"
	IPv6      Family = "6"
)

// A ListenFunc opens a listener, as net.ListenConfig.Listen does.
type ListenFunc func(ctx context.Context, network, addr string) (net.Listener, error)

// Times of listeners.
const (
	relistenEvery = 5 * time.Second
	lookupTimeout = 5 * time.Second
)

// A Front is all that upsd listens on.
type Front struct {
	server *Server
	listen ListenFunc
	family Family
	log    *slog.Logger
	spots  []*spot
}

// A spot is one LISTEN line and the sockets that are open for it; none while its
// address is not there yet.
type spot struct {
	conf.Listen
	open []net.Listener
}

// OpenFront opens what c says to listen on. An address that the host does not have
// yet, and a name that does not resolve yet, are said once and tried again by
// Serve. An address that somebody else uses is an error, unless c allows that not
// all are open or it is only a loopback address beside others.
func OpenFront(ctx context.Context, s *Server, c conf.UPSD, family Family, listen ListenFunc, log *slog.Logger) (*Front, error) {
	f := &Front{server: s, listen: listen, family: family, log: log}
	f.choose(c.Listen)
	if len(f.spots) == 0 {
		return nil, fmt.Errorf("upsd.conf has no LISTEN for version %s of IP, and the command line (-%[1]s) asks for no other", f.family)
	}
	var open, waiting int
	var refused []error
	strict := false
	for _, sp := range slices.Clone(f.spots) {
		err := f.try(ctx, sp)
		switch {
		case err == nil:
			open++
		case f.covered(sp):
			log.Info("another LISTEN covers this address", "address", sp.Addr, "port", sp.Port)
			f.spots = slices.DeleteFunc(f.spots, func(o *spot) bool { return o == sp })
		case notYet(err):
			waiting++
			log.Error(sp.place()+"cannot listen yet; trying again", "address", sp.Addr, "port", sp.Port, "error", err)
		default:
			refused = append(refused, fmt.Errorf("%s%w; %s", sp.place(), err, advice(err)))
			strict = strict || !loopback(sp.Addr)
		}
	}
	switch {
	case len(refused) > 0 && (open+waiting == 0 || strict && !c.AllowNotAllListeners):
		f.Close()
		return nil, errors.Join(refused...)
	case len(refused) > 0:
		log.Warn("not listening everywhere", "error", errors.Join(refused...))
	}
	return f, nil
}

// place says which line of upsd.conf asked for the spot.
func (sp *spot) place() string {
	if sp.Line == 0 {
		return ""
	}
	return fmt.Sprintf("upsd.conf:%d: ", sp.Line)
}

// excludes reports an address of the version of IP that is not wanted.
func (f *Front) excludes(addr string) bool {
	ip, err := netip.ParseAddr(addr)
	return err == nil && f.family != AnyFamily && ip.Unmap().Is4() != (f.family == IPv4)
}

// advice says what to do about an address that was refused.
func advice(err error) string {
	if errors.Is(err, syscall.EADDRINUSE) {
		return "stop who uses it or change LISTEN in upsd.conf"
	}
	return "change LISTEN in upsd.conf"
}

// choose makes the spots that upsd.conf asks for, C's if it asks for none.
func (f *Front) choose(listen []conf.Listen) {
	if len(listen) == 0 {
		listen = []conf.Listen{{Addr: "::1", Port: netproto.Port}, {Addr: "127.0.0.1", Port: netproto.Port}}
	}
	for _, l := range listen {
		if !f.excludes(l.Addr) {
			f.spots = append(f.spots, &spot{Listen: l})
		} else if l.Line > 0 {
			f.log.Warn("not listening: the command line asks for the other version of IP only", "address", l.Addr)
		}
	}
	// Those that take in all addresses come first, for they cannot be had once a part
	// of them is taken.
	slices.SortStableFunc(f.spots, func(a, b *spot) int { return cmp.Compare(width(b.Addr), width(a.Addr)) })
}

// width orders addresses by how much they take in.
func width(addr string) int {
	ip, err := netip.ParseAddr(addr)
	switch {
	case addr == "*":
		return 2
	case err == nil && ip.IsUnspecified():
		return 1
	}
	return 0
}

// covered reports whether a socket of ours takes already what comes to the spot, whose
// own socket nobody can have then.
func (f *Front) covered(sp *spot) bool {
	ip, err := netip.ParseAddr(sp.Addr)
	if err != nil {
		return false
	}
	ip = ip.Unmap()
	for _, a := range f.Addrs() {
		t, ok := a.(*net.TCPAddr)
		if !ok || fmt.Sprint(t.Port) != sp.Port {
			continue
		}
		have := t.AddrPort().Addr().Unmap()
		if have == ip || have.IsUnspecified() && have.Is4() == ip.Is4() {
			return true
		}
	}
	return false
}

// try opens the sockets of a spot: for "*" all versions of IP that there are, for a
// name the first of its addresses that can be had.
func (f *Front) try(ctx context.Context, sp *spot) error {
	if strings.HasPrefix(sp.Addr, "/") {
		l, err := listenUnix(ctx, sp.Addr)
		if err != nil {
			return err
		}
		f.opened(sp, l)
		return nil
	}
	port, err := net.DefaultResolver.LookupPort(ctx, "tcp", sp.Port)
	if err != nil { // which time does not heal
		return fmt.Errorf("there is no service %q; give the number of the port", sp.Port)
	}
	addrs, err := f.resolve(ctx, sp.Addr)
	if err != nil {
		return err
	}
	var errs []error
	for _, a := range addrs {
		l, err := f.listen(ctx, a.network, net.JoinHostPort(a.host, fmt.Sprint(port)))
		if err != nil {
			errs = append(errs, err)
			continue
		}
		f.opened(sp, l)
		if sp.Addr != "*" {
			return nil
		}
	}
	if len(sp.open) == 0 {
		return errors.Join(errs...)
	}
	for _, err := range errs { // "*" is content with one version of IP
		if !notYet(err) {
			f.log.Error("listening on a part of it only", "address", sp.Addr, "port", sp.Port, "error", err)
		}
	}
	return nil
}

func (f *Front) opened(sp *spot, l net.Listener) {
	sp.open = append(sp.open, l)
	f.log.Info("listening", "on", l.Addr())
}

// An address is one socket that a spot may stand for.
type address struct{ network, host string }

func (f *Front) resolve(ctx context.Context, host string) ([]address, error) {
	if host == "*" {
		all := []address{{"tcp6", "::"}, {"tcp4", "0.0.0.0"}}
		return slices.DeleteFunc(all, func(a address) bool { return f.family != AnyFamily && a.network != "tcp"+string(f.family) }), nil
	}
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip"+string(f.family), host)
	if err != nil {
		return nil, err
	}
	var as []address
	for _, ip := range ips {
		network := "tcp4"
		if ip.Unmap().Is6() {
			network = "tcp6"
		}
		as = append(as, address{network, ip.Unmap().String()})
	}
	return as, nil
}

// notYet reports an error that time may heal: the address or the folder of a socket
// is not there, the name is not known or has no address of the family.
func notYet(err error) bool {
	var dns *net.DNSError
	var none *net.AddrError
	return errors.As(err, &dns) || errors.As(err, &none) || errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EAFNOSUPPORT) ||
		errors.Is(err, fs.ErrNotExist)
}

// loopback reports the addresses that C forgives not to have; by their spelling.
func loopback(addr string) bool {
	return slices.Contains([]string{"localhost", "localhost6", "127.0.0.1", "::1"}, addr)
}

// listenUnix opens a unix socket that every user of the host may connect to, as
// every user may connect to a loopback address.
func listenUnix(ctx context.Context, path string) (net.Listener, error) {
	l, err := drvsock.Listen(ctx, path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o666); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// Addrs returns the addresses that are open now.
func (f *Front) Addrs() []net.Addr {
	var as []net.Addr
	for _, sp := range f.spots {
		for _, l := range sp.open {
			as = append(as, l.Addr())
		}
	}
	return as
}

// Close closes what Serve does not serve.
func (f *Front) Close() {
	for _, sp := range f.spots {
		for _, l := range sp.open {
			l.Close()
		}
	}
}

// Serve serves clients on everything that is open until ctx ends, and keeps trying
// to open the rest.
func (f *Front) Serve(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	for _, sp := range f.spots {
		wg.Go(func() { f.keep(ctx, sp) })
	}
}

// keep serves one spot and opens it again when it is lost.
func (f *Front) keep(ctx context.Context, sp *spot) {
	for {
		var wg sync.WaitGroup
		for _, l := range sp.open {
			wg.Go(func() {
				if err := f.server.Serve(ctx, l); err != nil {
					f.log.Error("stopped listening; trying again", "error", err)
				}
			})
		}
		wg.Wait()
		sp.open = nil
		for sp.open == nil {
			select {
			case <-time.After(relistenEvery):
			case <-ctx.Done():
				return
			}
			f.try(ctx, sp) // complained about once already
		}
	}
}
