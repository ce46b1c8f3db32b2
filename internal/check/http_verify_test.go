package check_test

import (
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
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"weir/conf"
	"weir/internal/check"
)

// authority signs certificates.
type authority struct {
	t    *testing.T
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
	by   *authority // nil signs itself
}

func newAuthority(t *testing.T, name string, by *authority) *authority {
	t.Helper()
	a := &authority{t: t, key: newKey(t), by: by}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	a.cert = sign(t, template, &a.key.PublicKey, by, a)
	return a
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func sign(t *testing.T, template *x509.Certificate, public any, by, self *authority) *x509.Certificate {
	t.Helper()
	parent, signer := template, self
	if by != nil {
		parent, signer = by.cert, by
	}
	key := signer.key
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// shows is a certificate for a name, with those of the authorities between.
func (a *authority) shows(name string, change func(*x509.Certificate)) tls.Certificate {
	key := newKey(a.t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	if change != nil {
		change(template)
	}
	shown := tls.Certificate{Certificate: [][]byte{sign(a.t, template, &key.PublicKey, a, nil).Raw}, PrivateKey: key}
	for between := a; between.by != nil; between = between.by {
		shown.Certificate = append(shown.Certificate, between.cert.Raw)
	}
	return shown
}

// pem is the authority's certificate as a file.
func (a *authority) pem(name string) string {
	return write(a.t, a.t.TempDir(), name, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})))
}

// With verify_certificates SSL_GET wants a certificate of a known authority, for the name in
// SNI or else the virtualhost, at this time, for servers. Without it any does.
func TestVerifyCertificates(t *testing.T) {
	known, other := newAuthority(t, "known", nil), newAuthority(t, "other", nil)
	between := newAuthority(t, "between", known)
	late := func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }
	early := func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Minute) }
	client := func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }
	bare := between.shows("www.example.org", nil)
	bare.Certificate = bare.Certificate[:1]
	const wrong = "TLS handshake: the server's certificate: x509: "
	for _, tt := range []struct {
		name  string
		shown tls.Certificate
		words string
		want  string // of the failure; empty is up
	}{
		{"as it is to be", known.shows("www.example.org", nil), "virtualhost www.example.org", ""},
		{"a name in SNI", known.shows("www.example.org", nil), "virtualhost b.example.org\nsni_name www.example.org", ""},
		{"a virtualhost with a port", known.shows("www.example.org", nil), "virtualhost www.example.org:443", ""},
		{"a pattern", known.shows("*.example.org", nil), "virtualhost www.example.org", ""},
		{"no name asked for", known.shows("www.example.org", nil), "", ""},
		{"an authority between", between.shows("www.example.org", nil), "virtualhost www.example.org", ""},
		{"an address", known.shows("x", func(c *x509.Certificate) { c.IPAddresses = []net.IP{{192, 0, 2, 1}} }), "virtualhost 192.0.2.1", ""},
		{"another name", known.shows("www.example.com", nil), "virtualhost www.example.org", wrong + "certificate is valid for www.example.com, not www.example.org"},
		{"another name in SNI", known.shows("www.example.org", nil), "virtualhost www.example.org\nsni_name b.example.org", wrong + "certificate is valid for www.example.org, not b.example.org"},
		{"a pattern of another depth", known.shows("*.example.org", nil), "virtualhost a.b.example.org", wrong + "certificate is valid for *.example.org, not a.b.example.org"},
		{"another authority", other.shows("www.example.org", nil), "virtualhost www.example.org", wrong + "certificate signed by unknown authority"},
		{"another authority, no name", other.shows("www.example.org", nil), "", wrong + "certificate signed by unknown authority"},
		{"without that between", bare, "virtualhost www.example.org", wrong + "certificate signed by unknown authority"},
		{"expired", known.shows("www.example.org", late), "", wrong + "certificate has expired or is not yet valid"},
		{"not yet", known.shows("www.example.org", early), "", wrong + "certificate has expired or is not yet valid"},
		{"for clients", known.shows("www.example.org", client), "", wrong + "certificate specifies an incompatible key usage"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			target, l := listen(t, "127.0.0.1:0")
			defer l.Close()
			go func() {
				for {
					c, err := l.Accept()
					if err != nil {
						return
					}
					secure := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{tt.shown}})
					if _, err := secure.Read(make([]byte, 4096)); err == nil {
						say(ok + "\r\n")(secure)
					}
					secure.Close()
				}
			}()
			c := checkOf(t, conf.CheckSSL, target.Addr().String()+" "+fmt.Sprint(target.Port()), "connect_timeout 60\n"+tt.words+"\nurl {\npath /\n}").(*check.HTTP)
			if _, err := c.Check(t.Context()); err != nil {
				t.Errorf("without verify_certificates: %v", err)
			}
			client, err := check.LoadClient(&conf.Config{Weir: conf.Weir{Verify: known.pem("ca.pem")}})
			if err != nil {
				t.Fatal(err)
			}
			c.Shared.Client.Store(client)
			_, err = c.Check(t.Context())
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.HasPrefix(err.Error(), tt.want)) {
				t.Errorf("%v, want %q", err, tt.want)
			}
		})
	}
}

// The authorities are read when weir starts and at each reload.
func TestVerifyCertificatesFiles(t *testing.T) {
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe")
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{
		pipe:                               "verify_certificates: open " + pipe + ": it is not a regular file",
		"/dev/zero":                        "verify_certificates: open /dev/zero: it is not a regular file",
		filepath.Join(dir, "none"):         "verify_certificates: open " + filepath.Join(dir, "none") + ": no such file or directory",
		write(t, dir, "empty", ""):         "verify_certificates: " + filepath.Join(dir, "empty") + " holds no certificate in PEM",
		conf.SystemAuthorities:             "",
		newAuthority(t, "a", nil).pem("a"): "",
	} {
		client, err := check.LoadClient(&conf.Config{Weir: conf.Weir{Verify: file}})
		switch {
		case want != "" && (err == nil || err.Error() != want):
			t.Errorf("%s: %v, want %q", file, err, want)
		case want == "" && (err != nil || client.RootCAs == nil):
			t.Errorf("%s: %v, want authorities", file, err)
		}
	}
}
