//go:build unix

package interop

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"
)

// TestClientsOverTLS lets C's clients and ours talk to our upsd over TLS. (Debian's
// C upsd takes certificates only from a NSS database, for which this test has no
// tool.)
func TestClientsOverTLS(t *testing.T) {
	cert, key := certificate(t)
	h := newHost(t, map[string]string{
		"ups.conf":   "[ups]\n driver = dummy-ups\n port = ups.dev\n",
		"ups.dev":    "ups.status: OL\nups.mfr: Acme\n",
		"upsd.conf":  "LISTEN 127.0.0.1 @PORT@\nCERTFILE @DIR@/conf/upsd.pem\n",
		"upsd.users": "[admin]\n password = \"a b\"\n actions = SET\n instcmds = ALL\n",
		"upsd.pem":   cert + key,
		"ca.pem":     cert,
		"tls.auth":   "CERTPATH = @DIR@/conf/ca.pem\nCERTVERIFY = 1\nFORCESSL = 1\nUSER = admin\nPASS = \"a b\"\n",
		"other.auth": "CERTPATH = @DIR@/conf/ca.pem\nCERTVERIFY = 1\nCERTHOST = other.example\n",
	})
	h.start(ourDriver("dummy-ups", "ups"))
	upsd := h.start(ourUPSD())
	h.await("ups", "ups.status", "OL")
	for _, p := range []program{
		cProgram("upsc", h.system("ups"), "ups.mfr"),
		ourProgram("upsc", h.system("ups"), "ups.mfr"),
		ourProgram("upsc", "-A", h.dir+"/conf/tls.auth", h.system("ups"), "ups.mfr"),
	} {
		r := h.run(p)
		if r.stdout != "Acme\n" || r.code != 0 || p.ours && r.stderr != "" {
			t.Errorf("%s %q over TLS = %+v; want Acme", p.name, p.args, r)
		}
	}
	r := h.run(ourProgram("upsrw", "-w", "-A", h.dir+"/conf/tls.auth", "-s", "ups.mfr=New name", h.system("ups")))
	if r.stderr != "SUCCESS\n" || r.code != 0 {
		t.Errorf("upsrw over TLS = %+v; want SUCCESS", r)
	}
	r = h.run(ourProgram("upsc", "-A", h.dir+"/conf/other.auth", h.system("ups")))
	if !strings.HasPrefix(r.stderr, "Error: SSL error: ") || r.code != 1 {
		t.Errorf("upsc with another CERTHOST = %+v; want an SSL error", r)
	}
	if strings.Contains(upsd.output(), "a b") {
		t.Error("upsd's log holds a password")
	}
}

// certificate makes a certificate for 127.0.0.1 that signs itself, and its key.
func certificate(t *testing.T) (cert, key string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "upsd of a test"}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &k.PublicKey, k)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	block := func(kind string, b []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b}))
	}
	return block("CERTIFICATE", der), block("PRIVATE KEY", keyDER)
}
