package upsd

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gonut/internal/authority"
	"gonut/internal/conf"
)

// pki is an authority with the files of a server and of a client.
type pki struct {
	ca, server, client string
	roots              *x509.CertPool
	clientPair         tls.Certificate
}

func newPKI(t testing.TB) pki {
	t.Helper()
	dir := t.TempDir()
	a, err := authority.New("test", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	p := pki{ca: filepath.Join(dir, "ca.pem"), server: filepath.Join(dir, "server.pem"), client: filepath.Join(dir, "client.pem"), roots: x509.NewCertPool()}
	p.roots.AppendCertsFromPEM(a.PEM())
	for name, host := range map[string]string{p.server: "localhost", p.client: "client"} {
		text, err := a.Issue(time.Now(), host, "127.0.0.1")
		if err != nil {
			t.Fatal(err)
		}
		writeFile(t, name, text)
		if name == p.client {
			if p.clientPair, err = tls.X509KeyPair(text, text); err != nil {
				t.Fatal(err)
			}
		}
	}
	writeFile(t, p.ca, a.PEM())
	return p
}

func writeFile(t testing.TB, name string, text []byte) {
	t.Helper()
	if err := os.WriteFile(name, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

func setTLS(t testing.TB, s *Server, c conf.UPSD) {
	t.Helper()
	tc, err := LoadTLS(c)
	if err != nil {
		t.Fatal(err)
	}
	s.SetTLS(tc)
}

// startTLS makes the client an encrypted one.
func (c *client) startTLS(tc *tls.Config) error {
	c.t.Helper()
	c.want("STARTTLS and whatever", "OK STARTTLS")
	conn := tls.Client(c.conn, tc)
	conn.SetDeadline(time.Now().Add(5 * time.Second))
	if err := conn.HandshakeContext(context.Background()); err != nil {
		return err
	}
	conn.SetDeadline(time.Time{})
	c.conn, c.r = conn, bufio.NewReader(conn)
	return nil
}

func TestStartTLS(t *testing.T) {
	p := newPKI(t)
	s, f := serveSockets(t, loopbackConf("127.0.0.1"), testUsers, nil)
	c := dialSocket(t, f.Addrs()[0])
	c.want("STARTTLS", "ERR FEATURE-NOT-CONFIGURED")
	c.want("NETVER", "1.3")
	setTLS(t, s, conf.UPSD{CertFile: p.server})
	c.want("USERNAME sec", "OK")
	c.want("PASSWORD s", "OK")
	if err := c.startTLS(&tls.Config{RootCAs: p.roots, ServerName: "localhost"}); err != nil {
		t.Fatal(err)
	}
	c.want("STARTTLS", "ERR ALREADY-SSL-MODE")
	c.want("LOGIN fake", "OK") // what was said before stays valid
	c.want("LIST RW fake", "BEGIN LIST RW fake\nRW fake ups.rw.enum \"two\"\nRW fake ups.rw.noaux \"x\"\n"+
		"RW fake ups.rw.num \"7\"\nRW fake ups.rw.range \"5\"\nRW fake ups.rw.str \"hello\"\nEND LIST RW fake")

	// Another certificate without a restart; who is encrypted stays so.
	other := newPKI(t)
	setTLS(t, s, conf.UPSD{CertFile: other.server})
	d := dialSocket(t, f.Addrs()[0])
	if err := d.startTLS(&tls.Config{RootCAs: other.roots, ServerName: "localhost"}); err != nil {
		t.Error(err)
	}
	d.want("GET NUMLOGINS fake", "NUMLOGINS fake 1")
	c.want("LOGOUT", "OK Goodbye")
	if got := c.line(); got != "(EOF)" {
		t.Errorf("after LOGOUT: %q; want the end", got)
	}
}

func TestOldTLSIsRefused(t *testing.T) {
	p := newPKI(t)
	s, f := serveSockets(t, loopbackConf("127.0.0.1"), testUsers, nil)
	setTLS(t, s, conf.UPSD{CertFile: p.server})
	c := dialSocket(t, f.Addrs()[0])
	if err := c.startTLS(&tls.Config{RootCAs: p.roots, ServerName: "localhost", MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}); err == nil {
		t.Error("TLS 1.1 was accepted")
	}
}

func TestClientCertificates(t *testing.T) {
	p, foreign := newPKI(t), newPKI(t)
	s, f := serveSockets(t, loopbackConf("127.0.0.1"), testUsers, nil)
	for _, c := range []struct {
		name    string
		request int
		caPath  string
		cert    *tls.Certificate
		good    bool
	}{
		{"none asked, none shown", 0, "", nil, true},
		{"asked, none shown", 1, p.ca, nil, true},
		{"asked, good one shown", 1, filepath.Dir(p.ca), &p.clientPair, true},
		{"asked, foreign one shown", 1, p.ca, &foreign.clientPair, false},
		{"asked, nobody vouches", 1, "", &p.clientPair, false},
		{"required, none shown", 2, p.ca, nil, false},
		{"required, good one shown", 2, p.ca, &p.clientPair, true},
		{"required, foreign one shown", 2, p.ca, &foreign.clientPair, false},
	} {
		setTLS(t, s, conf.UPSD{CertFile: p.server, CertRequest: c.request, CertPath: c.caPath})
		tc := &tls.Config{RootCAs: p.roots, ServerName: "localhost"}
		if c.cert != nil {
			// Whatever authorities the server names.
			tc.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return c.cert, nil }
		}
		cl := dialSocket(t, f.Addrs()[0])
		good := cl.startTLS(tc) == nil
		if good { // in TLS 1.3 the refusal comes after the client's handshake
			good = cl.ask("NETVER") == "1.3"
		}
		if good != c.good {
			t.Errorf("%s: good %v; want %v", c.name, good, c.good)
		}
	}
}

func TestLoadTLSRefuses(t *testing.T) {
	p := newPKI(t)
	for _, c := range []struct {
		name string
		conf conf.UPSD
		err  string
	}{
		{"missing", conf.UPSD{CertFile: p.server + "x"}, "no such file"},
		{"no key", conf.UPSD{CertFile: p.ca}, "no PEM private key"},
		{"other name", conf.UPSD{CertFile: p.server, CertIdentName: "other"}, "CERTIDENT"},
		{"required without CERTPATH", conf.UPSD{CertFile: p.server, CertRequest: 2}, "CERTPATH"},
		{"no authorities", conf.UPSD{CertFile: p.server, CertRequest: 1, CertPath: p.ca + "x"}, "no such file"},
	} {
		if _, err := LoadTLS(c.conf); err == nil || !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: %v; want an error with %q", c.name, err, c.err)
		}
	}
	if tc, err := LoadTLS(conf.UPSD{CertFile: p.server, CertIdentName: "localhost", CertIdentPassword: "unused"}); err != nil || tc == nil {
		t.Errorf("LoadTLS() = %v, %v; want a configuration", tc, err)
	}
	if tc, err := LoadTLS(conf.UPSD{}); err != nil || tc != nil {
		t.Errorf("LoadTLS() without CERTFILE = %v, %v; want nil, nil", tc, err)
	}
}

// Whatever comes in clear together with STARTTLS is never done, neither before nor
// after the handshake.
func TestNothingInClearIsDoneAfterStartTLS(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		p := newPKI(t) // with the bubble's time
		setTLS(t, w.server, conf.UPSD{CertFile: p.server})
		c := w.as("admin", "secret")
		c.send("STARTTLS\nFSD fake\nGET VAR fake ")
		if got := c.line(); got != "OK STARTTLS" {
			t.Fatalf("got %q", got)
		}
		conn := tls.Client(c.conn, &tls.Config{RootCAs: p.roots, ServerName: "localhost"})
		if err := conn.Handshake(); err != nil {
			t.Fatal(err)
		}
		c.conn, c.r = conn, bufio.NewReader(conn)
		c.want("NETVER", "1.3")
		c.want(status, `VAR fake ups.status "OL"`)
	})
}

func TestClearTextInsteadOfHandshake(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		p := newPKI(t) // with the bubble's time
		setTLS(t, w.server, conf.UPSD{CertFile: p.server})
		c := w.as("admin", "secret")
		c.want("STARTTLS", "OK STARTTLS")
		c.send("FSD fake\n")
		io.Copy(io.Discard, c.r) // to the end
		w.dial().want(status, `VAR fake ups.status "OL"`)
	})
}

// A reload that takes TLS away between the reply to STARTTLS and the handshake ends
// the connection, and nothing more.
func TestTLSIsTakenAwayBeforeTheHandshake(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		p := newPKI(t) // with the bubble's time
		setTLS(t, w.server, conf.UPSD{CertFile: p.server})
		c := w.dial()
		c.send("STARTTLS\n")
		synctest.Wait() // the reply waits for its reader
		w.server.SetTLS(nil)
		if got := c.line(); got != "OK STARTTLS" {
			t.Fatalf("got %q", got)
		}
		conn := tls.Client(c.conn, &tls.Config{RootCAs: p.roots, ServerName: "localhost"})
		if err := conn.Handshake(); err == nil {
			t.Error("a handshake without TLS succeeded")
		}
		w.dial().want(status, `VAR fake ups.status "OL"`)
	})
}

func TestSilentHandshakeIsCutOff(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		p := newPKI(t) // with the bubble's time
		setTLS(t, w.server, conf.UPSD{CertFile: p.server})
		c, good := w.dial(), w.dial()
		c.want("STARTTLS", "OK STARTTLS")
		synctest.Wait()
		good.want(status, `VAR fake ups.status "OL"`)
		begin := time.Now()
		var one [1]byte
		c.conn.SetReadDeadline(time.Now().Add(time.Hour))
		if _, err := c.conn.Read(one[:]); err != io.EOF {
			t.Errorf("Read() = %v; want the end", err)
		}
		if d := time.Since(begin); d != handshakeTimeout {
			t.Errorf("cut off after %v; want %v", d, handshakeTimeout)
		}
		synctest.Wait()
		if text := w.log.text(); !strings.Contains(text, "longer than 5s") {
			t.Errorf("the log does not say what was wrong:\n%s", text)
		}
	})
}
