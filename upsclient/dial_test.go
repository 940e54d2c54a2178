package upsclient_test

import (
	"context"
	"errors"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"gonut/internal/memnet"
	"gonut/upsclient"
)

func TestDialAddress(t *testing.T) {
	for addr, want := range map[string]string{
		"host":         "host:3493",
		"host:1234":    "host:1234",
		"[::1]":        "[::1]:3493",
		"[::1]:99":     "[::1]:99",
		"::1":          "[::1]:3493",
		"192.0.2.1:70": "192.0.2.1:70",
	} {
		var got string
		_, err := upsclient.Dial(t.Context(), addr, upsclient.Options{
			Dial: func(_ context.Context, network, addr string) (net.Conn, error) {
				got = network + " " + addr
				return nil, syscall.ECONNREFUSED
			},
		})
		var lost *upsclient.ConnError
		if got != "tcp "+want || !errors.As(err, &lost) || lost.Op != upsclient.OpConnect || !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("Dial(%s) dialed %q, %v; want %s and a ConnError", addr, got, err, want)
		}
	}
}

func TestDialTriesTLS(t *testing.T) {
	tests := []struct {
		security upsclient.Security
		tls      *upsclient.TLS
		script   []step
		refused  bool
	}{
		{upsclient.TryTLS, nil, []step{{"STARTTLS", "ERR FEATURE-NOT-CONFIGURED\n"}, {"VER", "x\n"}}, false},
		{upsclient.TryTLS, &upsclient.TLS{Verify: true}, []step{{"STARTTLS", "ERR FEATURE-NOT-CONFIGURED\n"}}, true},
		{upsclient.RequireTLS, nil, []step{{"STARTTLS", "ERR FEATURE-NOT-SUPPORTED\n"}}, true},
		{upsclient.NoTLS, nil, []step{{"VER", "x\n"}}, false},
	}
	for _, tt := range tests {
		ours, theirs := net.Pipe()
		done := serve(t, theirs, tt.script...)
		c, err := upsclient.Dial(t.Context(), "host", upsclient.Options{
			Security: tt.security, TLS: tt.tls,
			Dial: func(context.Context, string, string) (net.Conn, error) { return ours, nil },
		})
		var noTLS *upsclient.TLSError
		if errors.As(err, &noTLS) != tt.refused {
			t.Errorf("Dial(%v, %v) = %v; want a TLSError: %v", tt.security, tt.tls, err, tt.refused)
		}
		if tt.refused && (!noTLS.Refused() || errors.Is(err, upsclient.ErrFeatureNotConfigured)) {
			t.Errorf("Dial(%v) = %v; want a TLSError that says so and is no refusal of a request", tt.security, err)
		}
		if err == nil {
			if _, err := c.Version(t.Context()); err != nil || c.Secure() {
				t.Errorf("Version in clear text = %v, Secure = %v; want nil, false", err, c.Secure())
			}
			c.Close()
		}
		<-done
	}
}

func TestDialTimeout(t *testing.T) {
	for _, tt := range []struct{ option, want time.Duration }{
		{0, upsclient.DefaultConnectTimeout},
		{2 * time.Second, 2 * time.Second},
		{-1, time.Hour}, // the caller's
	} {
		synctest.Test(t, func(t *testing.T) {
			var n memnet.Network
			l, err := n.Listen(t.Context(), "tcp", "host:3493") // accepts nobody
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			defer cancel()
			start := time.Now()
			_, err = upsclient.Dial(ctx, "host", upsclient.Options{ConnectTimeout: tt.option, Dial: n.Dial})
			var lost *upsclient.ConnError
			if !errors.As(err, &lost) || !lost.Timeout() || time.Since(start) != tt.want {
				t.Errorf("Dial with time-out %v = %v after %v; want a time-out after %v", tt.option, err, time.Since(start), tt.want)
			}
		})
	}
}

// A server that accepts and then says nothing costs the reply time-out.
func TestDialSilentServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		defer theirs.Close()
		go theirs.Read(make([]byte, 100))
		start := time.Now()
		_, err := upsclient.Dial(t.Context(), "host", upsclient.Options{
			Dial: func(context.Context, string, string) (net.Conn, error) { return ours, nil },
		})
		if !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != upsclient.DefaultReplyTimeout {
			t.Errorf("Dial = %v after %v; want a time-out after %v", err, time.Since(start), upsclient.DefaultReplyTimeout)
		}
	})
}
