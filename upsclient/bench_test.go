package upsclient_test

import (
	"bufio"
	"net"
	"testing"

	"gonut/upsclient"
)

// BenchmarkGet asks a server on the loopback device for one variable.
func BenchmarkGet(b *testing.B) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		for r := bufio.NewReader(conn); ; {
			if _, err := r.ReadSlice('\n'); err != nil {
				return
			}
			if _, err := conn.Write([]byte("VAR ups ups.status \"OL CHRG\"\n")); err != nil {
				return
			}
		}
	}()
	c, err := upsclient.Dial(b.Context(), l.Addr().String(), upsclient.Options{Security: upsclient.NoTLS})
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Get(b.Context(), "ups", "ups.status"); err != nil {
			b.Fatal(err)
		}
	}
}
