package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
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
)

// The files of testdata were made by openssl req and openssl pkcs8 -topk8; the
// password is "secret".
func TestPair(t *testing.T) {
	for _, tt := range []struct{ file, password, want string }{ // want: a part of the error
		{"clear.pem", "", ""},
		{"clear.pem", "needless", ""},
		{"pbes2.pem", "secret", ""},
		{"pbes2-sha1.pem", "secret", ""},
		{"pbes2-sha512.pem", "secret", ""},
		{"des3.pem", "secret", ""},
		{"rfc1421.pem", "secret", ""},
		{"scrypt.pem", "secret", "is not known"},
		{"pbes2.pem", "wrong", "wrong password"},
		{"rfc1421.pem", "", "wrong password"},
		{"des3.pem", "", "wrong password"},
		{"missing.pem", "", "no such file"},
	} {
		c, err := Pair(filepath.Join("testdata", tt.file), tt.password)
		switch {
		case tt.want == "" && (err != nil || c.Leaf == nil || c.Leaf.Subject.CommonName != "ups.example"):
			t.Errorf("Pair(%s) = %v; want the certificate of ups.example", tt.file, err)
		case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), tt.file)):
			t.Errorf("Pair(%s) = %v; want an error with %q and the file", tt.file, err, tt.want)
		}
	}
	half := filepath.Join(t.TempDir(), "half.pem")
	b, err := os.ReadFile("testdata/clear.pem")
	if err != nil {
		t.Fatal(err)
	}
	cert, _ := pem.Decode(b)
	for _, text := range []string{"", "no PEM at all", string(pem.EncodeToMemory(cert))} {
		if err := os.WriteFile(half, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Pair(half, ""); err == nil || !strings.Contains(err.Error(), half) {
			t.Errorf("Pair of %.20q = %v; want an error with the file", text, err)
		}
	}
}

func FuzzDecrypt(f *testing.F) {
	files, err := filepath.Glob("testdata/*.pem")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		_, rest := pem.Decode(b)
		key, _ := pem.Decode(rest)
		f.Add(key.Bytes, "secret")
	}
	f.Fuzz(func(t *testing.T, der []byte, password string) {
		var k encryptedKey
		var s pbes2
		var p pbkdf2Params
		if unmarshal(der, &k) == nil && unmarshal(k.Algorithm.Parameters.FullBytes, &s) == nil &&
			unmarshal(s.KDF.Parameters.FullBytes, &p) == nil && p.Iterations > 10_000 {
			t.Skip("only slow")
		}
		decryptPKCS8(der, password)
	})
}

// issue makes a certificate that signs itself.
func issue(t *testing.T, c x509.Certificate) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c.SerialNumber, c.NotAfter = big.NewInt(1), time.Now().Add(time.Hour)
	der, err := x509.CreateCertificate(rand.Reader, &c, &c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	out, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestVerifyAndNames(t *testing.T) {
	subject := pkix.Name{CommonName: "ups.example", Organization: []string{"Home"}, Country: []string{"DE"}}
	old := issue(t, x509.Certificate{Subject: subject})
	hosts := issue(t, x509.Certificate{Subject: subject, DNSNames: []string{"*.lan", "nas"}, IPAddresses: []net.IP{net.IPv4(10, 0, 0, 1), net.IPv6loopback}})
	for _, tt := range []struct {
		cert          *x509.Certificate
		name          string
		verify, names bool
	}{
		{old, "ups.example", true, true},
		{old, "UPS.example", true, false},
		{old, "other", false, false},
		{old, "", false, false},
		{old, "/C=DE/O=Home/CN=ups.example", false, true},
		{old, "CN=ups.example,O=Home,C=DE", false, true},
		{hosts, "ups.example", false, true},
		{hosts, "nas", true, true},
		{hosts, "a.lan", true, true},
		{hosts, "a.b.lan", false, false},
		{hosts, "10.0.0.1", true, true},
		{hosts, "10.0.0.2", false, false},
		{hosts, "::1", true, true},
	} {
		roots := x509.NewCertPool()
		roots.AddCert(tt.cert)
		if err := Verify([]*x509.Certificate{tt.cert}, roots, tt.name); (err == nil) != tt.verify {
			t.Errorf("Verify(%v, %q) = %v; want success: %v", tt.cert.DNSNames, tt.name, err, tt.verify)
		}
		if got := Names(tt.cert, tt.name); got != tt.names {
			t.Errorf("Names(%v, %q) = %v; want %v", tt.cert.DNSNames, tt.name, got, tt.names)
		}
	}
	roots := x509.NewCertPool()
	roots.AddCert(hosts)
	var unknown x509.UnknownAuthorityError
	if err := Verify([]*x509.Certificate{old}, roots, "ups.example"); !errors.As(err, &unknown) {
		t.Errorf("Verify by another authority = %v; want UnknownAuthorityError", err)
	}
	if err := Verify(nil, roots, "x"); err == nil {
		t.Error("Verify(no certificate) = nil; want an error")
	}
}

func TestRoots(t *testing.T) {
	a, b := issue(t, x509.Certificate{Subject: pkix.Name{CommonName: "a"}}), issue(t, x509.Certificate{Subject: pkix.Name{CommonName: "b"}})
	dir := t.TempDir()
	write := func(name string, c *x509.Certificate) {
		text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("a.pem", a)
	write("12345678.0", b)
	if err := os.WriteFile(filepath.Join(dir, "README"), []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string][2]bool{dir: {true, true}, filepath.Join(dir, "a.pem"): {true, false}} {
		pool, err := Roots(path)
		if err != nil {
			t.Fatalf("Roots(%s) = %v", path, err)
		}
		got := [2]bool{
			Verify([]*x509.Certificate{a}, pool, "a") == nil,
			Verify([]*x509.Certificate{b}, pool, "b") == nil,
		}
		if got != want {
			t.Errorf("Roots(%s) vouches for a, b: %v; want %v", path, got, want)
		}
	}
	for _, path := range []string{"", filepath.Join(dir, "missing"), filepath.Join(dir, "README"), filepath.Join(dir, "folder")} {
		if _, err := Roots(path); err == nil {
			t.Errorf("Roots(%q) = nil; want an error", path)
		}
	}
}
