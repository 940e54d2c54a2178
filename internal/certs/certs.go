// Package certs reads certificates and keys from the files that NUT's
// configuration names, and checks a peer's certificate by NUT's rules. Both sides
// of TLS use it. It makes no connections.
package certs

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
)

// Roots reads the certificates of authorities from a PEM file, or from every file
// of a folder that holds some; a folder may be one of OpenSSL's.
func Roots(path string) (*x509.CertPool, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read certificates: %w", err)
	}
	files := []string{path}
	if info.IsDir() {
		if files, err = filepath.Glob(filepath.Join(path, "*")); err != nil {
			return nil, fmt.Errorf("read certificates of folder %s: %w", path, err)
		}
	}
	pool, found := x509.NewCertPool(), false
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			if info.IsDir() { // folders inside, links to nowhere
				continue
			}
			return nil, fmt.Errorf("read certificates: %w", err)
		}
		found = pool.AppendCertsFromPEM(b) || found
	}
	if !found {
		return nil, fmt.Errorf("read certificates of %s: no PEM certificate is there", path)
	}
	return pool, nil
}

// Pair reads a certificate with its chain, the own one first, and its key, all
// from one PEM file. password decrypts the key if it is encrypted.
func Pair(file, password string) (tls.Certificate, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("read certificate and key: %w", err)
	}
	var chain, key []byte
	for block, rest := pem.Decode(b); block != nil; block, rest = pem.Decode(rest) {
		switch {
		case block.Type == "CERTIFICATE":
			chain = append(chain, pem.EncodeToMemory(block)...)
		case strings.HasSuffix(block.Type, "PRIVATE KEY") && key == nil:
			plain, err := decrypt(block, password)
			if err != nil {
				return tls.Certificate{}, fmt.Errorf("decrypt key of %s: %w", file, err)
			}
			key = pem.EncodeToMemory(plain)
		}
	}
	switch {
	case chain == nil:
		return tls.Certificate{}, fmt.Errorf("read certificate of %s: no PEM certificate is there", file)
	case key == nil:
		return tls.Certificate{}, fmt.Errorf("read key of %s: no PEM private key is there; it belongs below the certificate", file)
	}
	c, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("use certificate and key of %s: %w", file, err)
	}
	return c, nil
}

// Verify checks that one of roots (nil: the system's) vouches for the first
// certificate of a peer, with the help of the others, and that it is for name.
func Verify(peer []*x509.Certificate, roots *x509.CertPool, name string) error {
	if len(peer) == 0 {
		return errors.New("the peer shows no certificate")
	}
	between := x509.NewCertPool()
	for _, c := range peer[1:] {
		between.AddCert(c)
	}
	if _, err := peer[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: between}); err != nil {
		return err
	}
	return verifyName(peer[0], name)
}

// verifyName checks the hosts that a certificate names. One that names none may
// carry a host in its subject, as old recipes make them.
func verifyName(c *x509.Certificate, name string) error {
	if len(c.DNSNames)+len(c.IPAddresses)+len(c.EmailAddresses)+len(c.URIs) > 0 {
		return c.VerifyHostname(name)
	}
	if !strings.EqualFold(c.Subject.CommonName, name) {
		return fmt.Errorf("certificate is for %q, not for %q", c.Subject.CommonName, name)
	}
	return nil
}

// Names reports whether a certificate is the one that CERTIDENT means by name: a
// host or an address that it is for, its subject in one line, or the subject's
// common name.
func Names(c *x509.Certificate, name string) bool {
	if c.Subject.CommonName == name || c.Subject.String() == name || slashed(c) == name {
		return true
	}
	return c.VerifyHostname(strings.Trim(name, "[]")) == nil || net.ParseIP(name) != nil && verifyName(c, name) == nil
}

// slashed is the subject as OpenSSL prints it: "/C=DE/O=Home/CN=ups".
func slashed(c *x509.Certificate) string {
	var b strings.Builder
	for _, n := range c.Subject.Names {
		short, ok := map[string]string{
			"2.5.4.3": "CN", "2.5.4.6": "C", "2.5.4.7": "L", "2.5.4.8": "ST", "2.5.4.10": "O", "2.5.4.11": "OU",
			"1.2.840.113549.1.9.1": "emailAddress",
		}[n.Type.String()]
		if !ok {
			short = n.Type.String()
		}
		fmt.Fprintf(&b, "/%s=%v", short, n.Value)
	}
	return b.String()
}
