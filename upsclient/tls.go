package upsclient

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"

	"gonut/internal/certs"
)

// TLS is a client's side of a protected connection.
type TLS struct {
	// Verify demands that the server proves who it is: its certificate is for
	// Name and one of Roots vouches for it.
	Verify bool
	// Roots are the authorities that may vouch; nil means the system's.
	Roots *x509.CertPool
	// Name is the name or address that the server's certificate must be for;
	// empty means the host that was dialed. A certificate that names no hosts, as
	// old recipes make them, may carry the name in its subject (CN).
	Name string
	// Certificate is shown to a server that asks for one; nil means none.
	Certificate *tls.Certificate
}

// TLSFiles are the places where the parts of a TLS live, as NUT's configuration
// files name them.
type TLSFiles struct {
	CAPath   string // CERTPATH: a PEM file of authorities or a folder of such files
	CertFile string // CERTFILE: a PEM file with our certificate, its chain and its key
	Ident    string // CERTIDENT: the name that our certificate must be for; empty: any
	Password string // CERTIDENT: what the key is encrypted with
	Verify   bool   // CERTVERIFY
	Name     string // CERTHOST: the name that the server's certificate must be for
}

// Load reads the files.
func (f TLSFiles) Load() (*TLS, error) {
	t := &TLS{Verify: f.Verify, Name: f.Name}
	if f.Verify && f.CAPath == "" {
		return nil, errors.New("verify servers: CERTVERIFY needs CERTPATH, the certificates of those who may vouch for them")
	}
	if f.CAPath != "" {
		roots, err := certs.Roots(f.CAPath)
		if err != nil {
			return nil, err
		}
		t.Roots = roots
	}
	if f.CertFile != "" {
		c, err := certs.Pair(f.CertFile, f.Password)
		if err != nil {
			return nil, err
		}
		if f.Ident != "" && !certs.Names(c.Leaf, f.Ident) {
			return nil, fmt.Errorf("use certificate %s: it is for %q, CERTIDENT says %q", f.CertFile, c.Leaf.Subject, f.Ident)
		}
		t.Certificate = &c
	}
	return t, nil
}

// StartTLS protects the connection. A server that does not offer TLS refuses with
// an Error and the connection goes on as it was; any other failure is a *TLSError
// and ends it. What was told before, such as the user's name, stays valid.
func (c *Client) StartTLS(ctx context.Context, t *TLS) error {
	line, err := c.Do(ctx, "STARTTLS")
	if err != nil {
		return err
	}
	if !strings.HasPrefix(line, "OK") || c.r.Buffered() > 0 {
		// Clear text behind the OK could only come from somebody in between.
		return c.judge([]string{"STARTTLS"}, &ProtocolError{Reply: line, Problem: "not the start of a TLS session"})
	}
	if err := c.handshake(ctx, t); err != nil {
		return c.fail(&TLSError{Addr: c.addr, Err: err})
	}
	return c.checkProtocol(ctx)
}

func (c *Client) handshake(ctx context.Context, t *TLS) error {
	name := t.Name
	if name == "" {
		name = c.host
	}
	config := &tls.Config{
		ServerName:         name,
		MinVersion:         tls.VersionTLS12,
		InsecureSkipVerify: true, // VerifyConnection does it, with the subject's name if need be
	}
	if t.Certificate != nil {
		// As C's library, without a look at the authorities that the server lists.
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return t.Certificate, nil
		}
	}
	if t.Verify {
		config.VerifyConnection = func(s tls.ConnectionState) error {
			return certs.Verify(s.PeerCertificates, t.Roots, name)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	conn := tls.Client(c.conn, config)
	if err := conn.HandshakeContext(ctx); err != nil {
		return err
	}
	c.conn = conn
	c.r.Reset(conn)
	c.secure = true
	return nil
}

// checkProtocol asks for the protocol's version, as C's library does: with TLS
// 1.3 a server that does not like our certificate says so only now.
func (c *Client) checkProtocol(ctx context.Context) error {
	version, err := c.ProtocolVersion(ctx)
	var refused Error
	var lost *ConnError
	switch {
	case errors.As(err, &refused): // a server that is older than the word
		return nil
	case errors.As(err, &lost):
		return c.fail(&TLSError{Addr: c.addr, Err: lost.Err})
	case err != nil:
		return err
	}
	if !strings.HasPrefix(version, "1.") {
		err := &ProtocolError{Reply: version, Problem: "this version of the protocol is not known"}
		return c.judge([]string{"PROTVER"}, err)
	}
	return nil
}
