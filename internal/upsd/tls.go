package upsd

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"gonut/internal/certs"
	"gonut/internal/conf"
	"gonut/internal/netproto"
)

// handshakeTimeout is how long a client may take to agree on TLS. Others do not
// notice how long it takes.
const handshakeTimeout = 5 * time.Second

// LoadTLS reads what upsd.conf says of TLS; nil means that STARTTLS is not
// configured. Nothing older than TLS 1.2 is ever spoken, whatever DISABLE_WEAK_SSL
// says.
func LoadTLS(c conf.UPSD) (*tls.Config, error) {
	if c.CertFile == "" {
		return nil, nil
	}
	pair, err := certs.Pair(c.CertFile, string(c.CertIdentPassword))
	if err != nil {
		return nil, err
	}
	if c.CertIdentName != "" && !certs.Names(pair.Leaf, c.CertIdentName) {
		return nil, fmt.Errorf("use certificate %s: it is for %q, CERTIDENT says %q", c.CertFile, pair.Leaf.Subject, c.CertIdentName)
	}
	t := &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	switch c.CertRequest {
	case 1:
		t.ClientAuth = tls.VerifyClientCertIfGiven
	case 2:
		t.ClientAuth = tls.RequireAndVerifyClientCert
	default:
		return t, nil
	}
	if c.CertPath == "" {
		if c.CertRequest == 2 {
			return nil, errors.New("upsd.conf has CERTREQUEST REQUIRE but no CERTPATH: set it to the certificates of those who may vouch for clients")
		}
		t.ClientCAs = x509.NewCertPool() // as in C, nobody vouches for any
		return t, nil
	}
	t.ClientCAs, err = certs.Roots(c.CertPath)
	return t, err
}

// warnOfTLS warns of settings that do not do what they look like.
func warnOfTLS(c conf.UPSD, t *tls.Config, now time.Time, log *slog.Logger) {
	switch {
	case t != nil:
		warnOfReaders(c.CertFile, log)
		if leaf := t.Certificates[0].Leaf; now.After(leaf.NotAfter) || now.Before(leaf.NotBefore) {
			log.Error("our certificate is not valid now, and clients that look at it stay away", "CERTFILE", c.CertFile,
				"from", leaf.NotBefore.Format(time.DateOnly), "until", leaf.NotAfter.Format(time.DateOnly))
		}
		if c.CertRequest == 1 && c.CertPath == "" {
			log.Warn("upsd.conf has CERTREQUEST REQUEST but no CERTPATH: clients that show a certificate are turned away, for nobody vouches for it")
		}
	case c.CertPath != "" || c.CertIdentName != "" || c.CertRequest > 0:
		log.Error("no TLS: upsd.conf has no CERTFILE, without which its other lines of certificates do nothing; set CERTFILE to a PEM file with our certificate and its key (a database of NSS cannot be read; export it with pk12util)")
	}
}

// SetTLS makes STARTTLS use t from now on; nil means that it is refused. Clients
// that are encrypted already stay so.
func (s *Server) SetTLS(t *tls.Config) { s.tls.Store(t) }

// startTLS answers STARTTLS. What follows the reply is serve's business.
func (s *session) startTLS(_ request, out []byte) ([]byte, netproto.Error) {
	switch {
	case s.tls:
		return nil, netproto.ErrAlreadySSLMode
	case s.server.tls.Load() == nil:
		return nil, netproto.ErrFeatureNotConfigured
	}
	s.endFeed() // nothing may come between the reply and the handshake
	s.wants = wantTLS
	return appendLine(out, netproto.StartTLS), ""
}

var (
	errNoTLS         = errors.New("a reload took TLS away before the handshake")
	errSlowHandshake = fmt.Errorf("it took longer than %v", handshakeTimeout)
)

// encrypt makes the connection a TLS one. What came in clear behind STARTTLS was
// thrown away by answer: nothing that was said before is done after.
func (s *session) encrypt(ctx context.Context) error {
	s.mu.Lock() // nobody else may write meanwhile
	defer s.mu.Unlock()
	settings := s.server.tls.Load()
	if settings == nil {
		return errNoTLS
	}
	t := tls.Server(s.conn, settings)
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	if err := s.conn.SetDeadline(time.Now().Add(handshakeTimeout)); err != nil {
		return err
	}
	if err := t.HandshakeContext(ctx); err != nil {
		if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) {
			err = errSlowHandshake
		}
		s.remark("a client did not get as far as TLS", "error", err)
		return err
	}
	if err := s.conn.SetDeadline(time.Time{}); err != nil {
		return err
	}
	ackNow(s.conn)
	s.begun = nil
	s.stream, s.tls = t, true
	s.hear()
	return nil
}
