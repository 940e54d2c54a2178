package upsclient_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gonut/upsclient"
)

// An authority makes certificates for a test.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	a := authority{key: newKey(t)}
	a.cert = sign(t, &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"},
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}, nil, a.key, a.key)
	return a
}

// issue makes a certificate with a subject's name and, if there are any, hosts.
func (a authority) issue(t *testing.T, cn string, hosts ...string) tls.Certificate {
	t.Helper()
	key := newKey(t)
	leaf := sign(t, &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: cn}, DNSNames: hosts,
		NotAfter: time.Now().Add(time.Hour),
	}, a.cert, key, a.key)
	return tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf}
}

func (a authority) pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.cert)
	return p
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func sign(t *testing.T, c, parent *x509.Certificate, own, signer *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	if parent == nil {
		parent = c
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &own.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return leaf
}

// serveTLS plays a server that answers STARTTLS, then PROTVER and VER.
func serveTLS(conn net.Conn, config *tls.Config, behindOK string) (done chan struct{}) {
	done = make(chan struct{})
	go func() {
		defer close(done)
		defer conn.Close()
		if line, err := bufio.NewReader(conn).ReadString('\n'); err != nil || line != "STARTTLS\n" {
			return
		}
		conn.Write([]byte("OK STARTTLS\n" + behindOK))
		s := tls.Server(conn, config)
		for r := bufio.NewScanner(s); r.Scan(); {
			answer := map[string]string{"PROTVER": "1.3\n", "VER": "in TLS\n"}[r.Text()]
			if _, err := s.Write([]byte(answer)); err != nil {
				return
			}
		}
	}()
	return done
}

// loopback returns both ends of a connection with buffers, which a handshake needs
// in which both sides speak at once.
func loopback(t *testing.T) (ours, theirs net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if ours, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if theirs, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	return ours, theirs
}

func TestStartTLS(t *testing.T) {
	good, bad := newAuthority(t), newAuthority(t)
	own := good.issue(t, "client")
	tests := []struct {
		name   string
		server tls.Certificate
		client tls.ClientAuthType
		tls    upsclient.TLS
		ok     bool
	}{
		{"unverified", bad.issue(t, "x"), tls.NoClientCert, upsclient.TLS{}, true},
		{"verified by host", good.issue(t, "x", "ups.example"), tls.NoClientCert, upsclient.TLS{Verify: true}, true},
		{"verified by CERTHOST", good.issue(t, "x", "other"), tls.NoClientCert, upsclient.TLS{Verify: true, Name: "other"}, true},
		{"verified by the subject", good.issue(t, "ups.example"), tls.NoClientCert, upsclient.TLS{Verify: true}, true},
		{"subject counts only without hosts", good.issue(t, "ups.example", "other"), tls.NoClientCert, upsclient.TLS{Verify: true}, false},
		{"wrong host", good.issue(t, "x", "other"), tls.NoClientCert, upsclient.TLS{Verify: true}, false},
		{"wrong subject", good.issue(t, "x"), tls.NoClientCert, upsclient.TLS{Verify: true}, false},
		{"unknown authority", bad.issue(t, "x", "ups.example"), tls.NoClientCert, upsclient.TLS{Verify: true}, false},
		{"certificate asked and shown", good.issue(t, "x"), tls.RequireAndVerifyClientCert, upsclient.TLS{Certificate: &own}, true},
		{"certificate asked, none there", good.issue(t, "x"), tls.RequireAndVerifyClientCert, upsclient.TLS{}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ours, theirs := loopback(t)
			done := serveTLS(theirs, &tls.Config{
				Certificates: []tls.Certificate{tt.server}, ClientAuth: tt.client, ClientCAs: good.pool(),
			}, "")
			tt.tls.Roots = good.pool()
			c, err := upsclient.Dial(t.Context(), "ups.example", upsclient.Options{
				TLS:  &tt.tls,
				Dial: func(context.Context, string, string) (net.Conn, error) { return ours, nil },
			})
			var failed *upsclient.TLSError
			switch {
			case tt.ok && err != nil:
				t.Errorf("Dial = %v; want nil", err)
			case tt.ok:
				if v, err := c.Version(t.Context()); v != "in TLS" || err != nil || !c.Secure() {
					t.Errorf("Version = %q, %v, Secure = %v; want the answer in TLS", v, err, c.Secure())
				}
				c.Close()
			case !errors.As(err, &failed) || failed.Refused():
				t.Errorf("Dial = %v; want a TLSError", err)
			}
			<-done
		})
	}
}

// A spy writes down what goes to and fro.
type spy struct {
	net.Conn
	seen *strings.Builder
}

func (s spy) Write(b []byte) (int, error) {
	s.seen.WriteString("> " + string(b))
	return s.Conn.Write(b)
}

func (s spy) Read(b []byte) (int, error) {
	n, err := s.Conn.Read(b)
	s.seen.WriteString("< " + string(b[:n]))
	return n, err
}

// Who wraps a connection sees the clear side of TLS and nothing of STARTTLS.
func TestWrappedConnectionIsClear(t *testing.T) {
	ours, theirs := loopback(t)
	done := serveTLS(theirs, &tls.Config{Certificates: []tls.Certificate{newAuthority(t).issue(t, "x")}}, "")
	var seen strings.Builder
	c, err := upsclient.Dial(t.Context(), "ups.example", upsclient.Options{
		Dial: func(context.Context, string, string) (net.Conn, error) { return ours, nil },
		Wrap: func(c net.Conn) net.Conn { return spy{c, &seen} },
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Version(t.Context()); err != nil || !c.Secure() {
		t.Errorf("Version = %v, Secure = %v", err, c.Secure())
	}
	if got, want := seen.String(), "> VER\n< in TLS\n"; got != want {
		t.Errorf("seen %q; want %q", got, want)
	}
	c.Close()
	<-done
}

// Whoever can write into the clear text must not be able to answer first.
func TestClearTextBehindStartTLS(t *testing.T) {
	ours, theirs := net.Pipe()
	a := newAuthority(t)
	done := serveTLS(theirs, &tls.Config{Certificates: []tls.Certificate{a.issue(t, "x")}}, "1.3\n")
	_, err := upsclient.Dial(t.Context(), "ups.example", upsclient.Options{
		Dial: func(context.Context, string, string) (net.Conn, error) { return ours, nil },
	})
	var strange *upsclient.ProtocolError
	if !errors.As(err, &strange) {
		t.Errorf("Dial = %v; want a ProtocolError", err)
	}
	<-done
}

func TestTLSFiles(t *testing.T) {
	a := newAuthority(t)
	dir := t.TempDir()
	write := func(name string, blocks ...*pem.Block) string {
		var b []byte
		for _, block := range blocks {
			b = append(b, pem.EncodeToMemory(block)...)
		}
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	own := a.issue(t, "client")
	der, err := x509.MarshalPKCS8PrivateKey(own.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	certBlock := &pem.Block{Type: "CERTIFICATE", Bytes: own.Certificate[0]}
	both := write("own.pem", certBlock, &pem.Block{Type: "PRIVATE KEY", Bytes: der})
	ca := write("ca.pem", &pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
	alone := write("alone.pem", certBlock)

	for _, tt := range []struct {
		files upsclient.TLSFiles
		ok    bool
	}{
		{upsclient.TLSFiles{}, true},
		{upsclient.TLSFiles{CAPath: ca, Verify: true, CertFile: both}, true},
		{upsclient.TLSFiles{CAPath: dir, Verify: true}, true},
		{upsclient.TLSFiles{CertFile: both, Ident: "client"}, true},
		{upsclient.TLSFiles{CertFile: both, Ident: "somebody"}, false},
		{upsclient.TLSFiles{Verify: true}, false},
		{upsclient.TLSFiles{CAPath: filepath.Join(dir, "none.pem")}, false},
		{upsclient.TLSFiles{CertFile: alone}, false},
		{upsclient.TLSFiles{CertFile: filepath.Join(dir, "none.pem")}, false},
	} {
		got, err := tt.files.Load()
		if (err == nil) != tt.ok {
			t.Errorf("Load(%+v) = %v; want success: %v", tt.files, err, tt.ok)
		}
		if err == nil && (got.Verify != tt.files.Verify || (got.Roots == nil) != (tt.files.CAPath == "") || (got.Certificate == nil) != (tt.files.CertFile == "")) {
			t.Errorf("Load(%+v) = %+v; want what the files say", tt.files, got)
		}
	}
}
