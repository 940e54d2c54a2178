package upsmon

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A certificate signs itself and is for the host server.
type certificate struct {
	tls.Certificate
	file string // what vouches for it
}

func newCertificate(t *testing.T) certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ups of a test"}, DNSNames: []string{"server"},
		NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<32, 0), // fake time is long ago
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return certificate{tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, file}
}

// What FORCESSL, CERTVERIFY and CERTHOST mean for a server with TLS and for one
// without.
func TestTLSRules(t *testing.T) {
	cert := newCertificate(t)
	const clear, secure, fails = "in clear", "in TLS", "not at all"
	for _, tt := range []struct{ config, with, without string }{
		{"", secure, clear},
		{"CERTHOST server x -1 -1\n", secure, clear},
		{"CERTHOST server x -1 0\n", secure, clear},
		{"CERTHOST server x -1 1\n", secure, fails},
		{"CERTHOST other x -1 1\n", secure, clear},
		{"CERTHOST server:3494 x -1 1\n", secure, clear},
		{"FORCESSL 1\n", secure, fails},
		{"FORCESSL 2\n", secure, clear},
		{"FORCESSL 1\nCERTHOST server x -1 -1\n", secure, fails},
		{"FORCESSL 1\nCERTHOST server x -1 1\n", secure, fails},
		{"FORCESSL 1\nCERTHOST server x -1 0\n", clear, clear},
		{"CERTVERIFY 1\nCERTPATH @CA@\n", secure, fails},
		{"CERTVERIFY 2\nCERTPATH @CA@\n", secure, clear},
		{"CERTVERIFY 1\nCERTPATH @CA@\nCERTHOST server other 1 0\n", fails, fails},
		{"CERTVERIFY 1\nCERTPATH @CA@\nCERTHOST server other 0 0\n", secure, clear},
		{"CERTPATH @CA@\nCERTHOST server server 1 0\n", secure, fails},
		{"CERTPATH @CA@\nCERTHOST server server 1 0\nCERTHOST server other 1 0\n", secure, fails},
		{"CERTPATH @CA@\nCERTHOST [::1]:3493 other 1 1\n", secure, clear},
	} {
		for _, offered := range []bool{true, false} {
			want := map[bool]string{true: tt.with, false: tt.without}[offered]
			inWorld(t, func(w *world) {
				s := w.serve("server", newDriver("ups", "OL"))
				if offered {
					s.SetTLS(&tls.Config{Certificates: []tls.Certificate{cert.Certificate}})
				}
				var log logBuffer
				c, err := parseAll(primary + strings.ReplaceAll(tt.config, "@CA@", cert.file))
				if err != nil {
					t.Fatal(err)
				}
				h := w.startConf("host", c, Deps{Logger: log.logger()})
				time.Sleep(time.Minute)
				got := fails
				if r, _ := h.d.Report(); r.Protected() {
					got = clear
					if log.count("Connected to NUT server server in SSL") > 0 {
						got = secure
					}
				}
				if got != want {
					t.Errorf("%q with a server that has TLS %t: connected %s; want %s; log: %s", tt.config, offered, got, want, log.b.String())
				}
				unverified := log.count("Certificate verification is disabled") > 0
				if verified := strings.Contains(tt.config, "VERIFY 1") && !strings.Contains(tt.config, "other 0") || strings.Contains(tt.config, "server server 1"); got == secure && unverified == verified {
					t.Errorf("%q: a warning that nothing is verified = %t; want %t", tt.config, unverified, !verified)
				}
			})
		}
	}
}

// Certificates are read again with every connection, and what is wrong with them then
// costs the connection, not upsmon.
func TestTLSFilesChange(t *testing.T) {
	cert, other := newCertificate(t), newCertificate(t)
	inWorld(t, func(w *world) {
		s := w.serve("server", newDriver("ups", "OL"))
		s.SetTLS(&tls.Config{Certificates: []tls.Certificate{cert.Certificate}})
		h := w.start("host", primary+"CERTVERIFY 1\nCERTPATH "+other.file+"\n")
		time.Sleep(time.Minute)
		if r, _ := h.d.Report(); r.Units[0].Comm != "lost" || !strings.Contains(r.Units[0].CommError, "SSL error") {
			t.Errorf("report with a certificate that nobody vouches for = %+v; want an SSL error", r)
		}
		text, err := os.ReadFile(cert.file)
		if err == nil {
			err = os.WriteFile(other.file, text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		if r, _ := h.d.Report(); !r.Protected() {
			t.Errorf("report with the right certificate = %+v; want protected", r)
		}
	})
}
