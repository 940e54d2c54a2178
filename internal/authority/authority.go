// Package authority makes the certificates that a few hosts need to speak TLS with
// each other: an authority of their own and what it vouches for. It is the program
// "nut cert". It contacts nobody and knows nothing of upsd.
package authority

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// Validity is how long certificates are good for. It is long because a monitor
// that loses its server to an expired certificate no longer guards its host.
const Validity = 10 * 365 * 24 * time.Hour

// An Authority vouches for certificates.
type Authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// New makes an authority of that name.
func New(name string, now time.Time) (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	t := template(name, now)
	t.IsCA, t.BasicConstraintsValid, t.MaxPathLenZero = true, true, true
	t.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	der, err := x509.CreateCertificate(rand.Reader, t, t, &key.PublicKey, key)
	if err != nil {
		return nil, fmt.Errorf("make certificate of authority: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	return &Authority{cert, key}, err
}

func template(name string, now time.Time) *x509.Certificate {
	serial, _ := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120)) // the reader never fails
	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    now.Add(-24 * time.Hour), // clocks of small hosts run late
		NotAfter:     now.Add(Validity),
	}
}

// Open reads an authority from the files that Write wrote.
func Open(dir string) (*Authority, error) {
	cert, err := readPEM(filepath.Join(dir, caFile), "CERTIFICATE")
	if err != nil {
		return nil, err
	}
	key, err := readPEM(filepath.Join(dir, caKeyFile), "PRIVATE KEY")
	if err != nil {
		return nil, err
	}
	a := &Authority{}
	if a.cert, err = x509.ParseCertificate(cert); err != nil {
		return nil, fmt.Errorf("read %s: %w", caFile, err)
	}
	k, err := x509.ParsePKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", caKeyFile, err)
	}
	var ok bool
	if a.key, ok = k.(*ecdsa.PrivateKey); !ok || !a.key.PublicKey.Equal(a.cert.PublicKey) {
		return nil, fmt.Errorf("%s is not the key of %s", caKeyFile, caFile)
	}
	return a, nil
}

func readPEM(path, kind string) ([]byte, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read authority: %w", err)
	}
	block, _ := pem.Decode(b)
	if block == nil || block.Type != kind {
		return nil, fmt.Errorf("read authority: %s holds no %s", path, kind)
	}
	return block.Bytes, nil
}

// Names of the files of an authority.
const (
	caFile    = "ca.pem"
	caKeyFile = "ca-key.pem"
)

// Write writes the authority's certificate and key into dir. It replaces no file.
func (a *Authority) Write(dir string) error {
	key, err := x509.MarshalPKCS8PrivateKey(a.key)
	if err != nil {
		return err
	}
	if err := writeNew(filepath.Join(dir, caKeyFile), 0o600, block("PRIVATE KEY", key)); err != nil {
		return err
	}
	return writeNew(filepath.Join(dir, caFile), 0o644, a.PEM())
}

// PEM returns the certificate that others must trust.
func (a *Authority) PEM() []byte { return block("CERTIFICATE", a.cert.Raw) }

// Issue makes a certificate for a server, and for a client as well, that is
// reached by the given names and addresses. It returns what CERTFILE wants: the
// certificate, the authority's, and the key, in one PEM text.
func (a *Authority) Issue(now time.Time, hosts ...string) ([]byte, error) {
	if len(hosts) == 0 {
		return nil, errors.New("make certificate: no host's name was given")
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	t := template(hosts[0], now)
	t.KeyUsage = x509.KeyUsageDigitalSignature
	t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
		} else {
			t.DNSNames = append(t.DNSNames, h)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, t, a.cert, &key.PublicKey, a.key)
	if err != nil {
		return nil, fmt.Errorf("make certificate: %w", err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	text := block("CERTIFICATE", der)
	text = append(text, a.PEM()...)
	return append(text, block("PRIVATE KEY", keyDER)...), nil
}

func block(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// writeNew writes a file that does not exist yet.
func writeNew(path string, mode os.FileMode, text []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("write certificate: %w, and is not replaced; choose another name with -name, or move it away", err)
	}
	if err != nil {
		return fmt.Errorf("write certificate: %w", err)
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Close()); err != nil {
		os.Remove(path) // half a key is in the way of the next attempt
		return fmt.Errorf("write certificate: %w", err)
	}
	return nil
}
