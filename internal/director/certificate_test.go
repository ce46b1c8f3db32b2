package director

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"weir/conf"
)

// A reload takes up the certificate of SSL_GET, also another one in the same file; one
// that cannot be read refuses the reload, and the one of before stays.
func TestReloadTakesUpTheCertificate(t *testing.T) {
	dir := t.TempDir()
	certificate, key := filepath.Join(dir, "certificate"), filepath.Join(dir, "key")
	writeCertificate(t, certificate, key)
	simulate(t, func(t *testing.T, s *site) {
		n := s.add(s.segment.Machine("192.0.2.1/24"), &conf.Config{})
		n.start()
		defer n.stop()
		if n.shared.Client.Load() != nil {
			t.Error("there is a certificate without the block SSL")
		}
		with := &conf.Config{SSL: conf.SSL{Certificate: certificate, Key: key}}
		var seen []string
		for range 2 {
			if _, err := n.Reload(with); err != nil {
				t.Fatal(err)
			}
			shown, err := n.shared.Client.Load().GetClientCertificate(nil)
			if err != nil {
				t.Fatal(err)
			}
			seen = append(seen, string(shown.Certificate[0]))
			writeCertificate(t, certificate, key)
		}
		if seen[0] == seen[1] {
			t.Error("another certificate in the same file is not taken up")
		}
		if err := os.Remove(key); err != nil {
			t.Fatal(err)
		}
		before := n.shared.Client.Load()
		if _, err := n.Reload(with); err == nil || !strings.HasPrefix(err.Error(), "SSL key: open "+key) {
			t.Errorf("without the key: %v", err)
		}
		if n.shared.Client.Load() != before {
			t.Error("a refused reload has changed the certificate")
		}
		verified := &conf.Config{Weir: conf.Weir{Verify: certificate}}
		if _, err := n.Reload(verified); err != nil || n.shared.Client.Load().RootCAs == nil {
			t.Errorf("with verify_certificates: %v, and no authorities", err)
		}
		if _, err := n.Reload(&conf.Config{Weir: conf.Weir{Verify: key}}); err == nil || n.shared.Client.Load().RootCAs == nil {
			t.Errorf("without the file of verify_certificates: %v", err)
		}
		if _, err := n.Reload(&conf.Config{}); err != nil || n.shared.Client.Load() != nil {
			t.Errorf("without the block SSL: %v, %v", err, n.shared.Client.Load())
		}
	})
}

// writeCertificate makes a certificate that signs itself.
func writeCertificate(t *testing.T, certificate, key string) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(nil, template, template, public, private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	for path, block := range map[string]*pem.Block{certificate: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
