// Package memnet connects parts of one process as a network connects hosts: by
// address, with listeners and connections that keep deadlines. The networks tcp4
// and tcp6 are the same as tcp, and port 0 gives a port that is free. It works inside
// testing/synctest bubbles, where sockets do not. It has no security and no
// buffers: a write waits for its reader.
package memnet

import (
	"context"
	"net"
	"strconv"
	"sync"
	"syscall"
)

// A Network is a set of addresses. The zero value is empty and ready for use.
type Network struct {
	mu        sync.Mutex
	listeners map[string]*listener
	lastPort  int // given for port 0
}

// Listen opens an address of any form; the network's name is part of it.
func (n *Network) Listen(_ context.Context, network, address string) (net.Listener, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	a := newAddr(network, address)
	if host, port, err := net.SplitHostPort(address); err == nil && port == "0" {
		n.lastPort++
		a.address = net.JoinHostPort(host, strconv.Itoa(firstPort+n.lastPort))
	}
	if n.listeners[a.key()] != nil {
		return nil, &net.OpError{Op: "listen", Net: network, Addr: a, Err: syscall.EADDRINUSE}
	}
	l := &listener{net: n, addr: a, conns: make(chan net.Conn), closed: make(chan struct{})}
	if n.listeners == nil {
		n.listeners = make(map[string]*listener)
	}
	n.listeners[a.key()] = l
	return l, nil
}

// Dial connects to an address that somebody listens on. It waits for the listener
// to accept.
func (n *Network) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	a := newAddr(network, address)
	n.mu.Lock()
	l := n.listeners[a.key()]
	n.mu.Unlock()
	refused := &net.OpError{Op: "dial", Net: network, Addr: a, Err: syscall.ECONNREFUSED}
	if l == nil {
		return nil, refused
	}
	ours, theirs := net.Pipe()
	select {
	case l.conns <- conn{theirs, a}:
		return conn{ours, a}, nil
	case <-l.closed:
		return nil, refused
	case <-ctx.Done():
		return nil, &net.OpError{Op: "dial", Net: network, Addr: a, Err: ctx.Err()}
	}
}

type listener struct {
	net    *Network
	addr   addr
	conns  chan net.Conn
	once   sync.Once
	closed chan struct{}
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, &net.OpError{Op: "accept", Net: l.addr.network, Addr: l.addr, Err: net.ErrClosed}
	}
}

func (l *listener) Close() error {
	l.once.Do(func() {
		close(l.closed)
		l.net.mu.Lock()
		defer l.net.mu.Unlock()
		delete(l.net.listeners, l.addr.key())
	})
	return nil
}

func (l *listener) Addr() net.Addr { return l.addr }

// A conn says which address it belongs to; net.Pipe only says "pipe".
type conn struct {
	net.Conn
	addr addr
}

func (c conn) LocalAddr() net.Addr  { return c.addr }
func (c conn) RemoteAddr() net.Addr { return c.addr }

// firstPort is below all ports that are given for port 0.
const firstPort = 49151

type addr struct{ network, address string }

func newAddr(network, address string) addr {
	if network == "tcp4" || network == "tcp6" {
		network = "tcp"
	}
	return addr{network, address}
}

func (a addr) Network() string { return a.network }
func (a addr) String() string  { return a.address }
func (a addr) key() string     { return a.network + "!" + a.address }
