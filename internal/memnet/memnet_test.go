package memnet_test

import (
	"context"
	"errors"
	"net"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"gonut/internal/memnet"
)

func TestDialReachesListener(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n memnet.Network
		l, err := n.Listen(t.Context(), "tcp", "host:3493")
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			c, err := l.Accept()
			if err != nil {
				return
			}
			defer c.Close()
			c.Write([]byte("hello"))
		}()
		c, err := n.Dial(t.Context(), "tcp", "host:3493")
		if err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 10)
		got, err := c.Read(buf)
		if string(buf[:got]) != "hello" || err != nil {
			t.Errorf("Read = %q, %v; want hello", buf[:got], err)
		}
		c.SetReadDeadline(time.Now().Add(time.Hour))
		if _, err := c.Read(buf); err == nil {
			t.Error("Read after the peer closed = nil; want an error")
		}
		l.Close()
		if _, err := n.Listen(t.Context(), "tcp", "host:3493"); err != nil {
			t.Errorf("Listen after Close = %v; want nil", err)
		}
	})
}

func TestErrorsAreThoseOfSockets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n memnet.Network
		if _, err := n.Dial(t.Context(), "tcp", "nobody:1"); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("Dial = %v; want ECONNREFUSED", err)
		}
		l, _ := n.Listen(t.Context(), "unix", "/x")
		if _, err := n.Listen(t.Context(), "unix", "/x"); !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("second Listen = %v; want EADDRINUSE", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := n.Dial(ctx, "unix", "/x"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Dial without Accept = %v; want DeadlineExceeded", err)
		}
		l.Close()
		if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Accept = %v; want ErrClosed", err)
		}
	})
}

func TestPortZeroGivesAFreePort(t *testing.T) {
	var n memnet.Network
	a, err := n.Listen(t.Context(), "tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b, err := n.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil || a.Addr().String() == b.Addr().String() {
		t.Errorf("second Listen = %v, %v; want another port than %v", b.Addr(), err, a.Addr())
	}
	if _, err := n.Listen(t.Context(), "tcp6", a.Addr().String()); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("Listen on %v = %v; want EADDRINUSE", a.Addr(), err)
	}
}
