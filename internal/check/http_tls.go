package check

import (
	"crypto/tls"
	"errors"
	"fmt"
	"os"

	"weir/conf"
)

// clientOf is the client's side of TLS to a server of this name, which is empty for none.
// As in keepalived the server's certificate is not verified, and servers of old versions
// are spoken with too: the check asks whether the server serves.
func (s *Shared) clientOf(name string) *tls.Config {
	client := &tls.Config{}
	if given := s.Client.Load(); given != nil {
		client = given.Clone()
	}
	client.ServerName, client.InsecureSkipVerify = name, true
	client.MinVersion = tls.VersionTLS10
	for _, suite := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
		client.CipherSuites = append(client.CipherSuites, suite.ID)
	}
	client.Renegotiation = tls.RenegotiateOnceAsClient // old servers ask so for the certificate
	return client
}

// LoadClient reads the files of the block SSL: the certificate that SSL_GET shows to
// servers that ask for one. It is nil where the block is empty. The errors name the file.
func LoadClient(s conf.SSL) (*tls.Config, error) {
	if s.Certificate == "" && s.Key == "" {
		return nil, nil
	}
	if s.Certificate == "" || s.Key == "" {
		return nil, errors.New("SSL: expected both certificate and key")
	}
	chain, err := os.ReadFile(s.Certificate)
	if err != nil {
		return nil, fmt.Errorf("SSL certificate: %w", err)
	}
	key, err := os.ReadFile(s.Key)
	if err != nil {
		return nil, fmt.Errorf("SSL key: %w", err)
	}
	if key, err = decryptKey(key, s.Password); err != nil {
		return nil, fmt.Errorf("SSL key %s: %w", s.Key, err)
	}
	certificate, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return nil, fmt.Errorf("SSL certificate %s with key %s: %w", s.Certificate, s.Key, err)
	}
	// It is shown whichever authorities the server names, as OpenSSL does it.
	return &tls.Config{GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		return &certificate, nil
	}}, nil
}
