package clients

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
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gonut/internal/program"
)

// tlsServer is a upsd whose certificate, written to a file, signs itself and is
// for ups.example.
type tlsServer struct {
	config *tls.Config
	ca     string
}

func newTLSServer(t *testing.T) tlsServer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ups.example"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return tlsServer{&tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, ca}
}

// dial connects to the server, wherever it is said to be.
func (s tlsServer) dial(context.Context, string, string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	go func() {
		defer theirs.Close()
		if line, err := bufio.NewReader(theirs).ReadString('\n'); err != nil || line != "STARTTLS\n" {
			return
		}
		fmt.Fprint(theirs, "OK STARTTLS\n")
		conn := tls.Server(theirs, s.config)
		for r := bufio.NewScanner(conn); r.Scan(); {
			fmt.Fprintln(conn, map[string]string{
				"PROTVER": "1.3", "LOGOUT": "OK Goodbye", "GET VAR ups a.b": `VAR ups a.b "in TLS"`,
			}[r.Text()])
		}
	}()
	return ours, nil
}

func TestProgramsSpeakTLS(t *testing.T) {
	s := newTLSServer(t)
	for _, tt := range []struct{ auth, system, stdout, stderr string }{ // stderr: how it begins
		{"", "ups@anywhere", "in TLS\n", ""},
		{"FORCESSL = 1\nCERTVERIFY = 1\nCERTPATH = " + s.ca, "ups@ups.example", "in TLS\n", ""},
		{"CERTVERIFY = 1\nCERTPATH = " + s.ca, "ups@anywhere", "", "Error: SSL error: certificate is for \"ups.example\""},
		{"CERTVERIFY = 1\nCERTPATH = " + s.ca + "\n[anywhere]\nCERTHOST = ups.example", "ups@anywhere", "in TLS\n", ""},
		{"CERTPATH = /nonexistent", "ups@anywhere", "", "Error: prepare TLS: read certificates: "},
		{"CERTFILE = " + s.ca, "ups@anywhere", "", "Error: prepare TLS: read key of "},
		{"none", "ups@anywhere", "in TLS\n", ""},
	} {
		auth := filepath.Join(t.TempDir(), "nutauth.conf")
		if err := os.WriteFile(auth, []byte(tt.auth+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if tt.auth == "none" {
			auth = "none"
		}
		var stdout, stderr strings.Builder
		err := UPSC().Run(t.Context(), program.Env{
			Args: []string{"upsc", "-A", auth, tt.system, "a.b"}, Stdout: &stdout, Stderr: &stderr,
			Getenv: func(string) string { return "" }, Dial: s.dial,
		})
		program.Code(err, &stderr)
		if stdout.String() != tt.stdout || !strings.HasPrefix(stderr.String(), tt.stderr) || tt.stderr == "" && stderr.Len() > 0 {
			t.Errorf("upsc %s with %q = %q, %q; want %q, %q", tt.system, tt.auth, stdout.String(), stderr.String(), tt.stdout, tt.stderr)
		}
	}
}
