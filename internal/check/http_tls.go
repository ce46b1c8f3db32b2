package check

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"

	"weir/conf"
)

// clientOf is the client's side of TLS for a page. As in keepalived the server's certificate
// is not verified, unless there are authorities (LoadClient), and servers of old versions are
// spoken with too: the check asks whether the server serves.
func (s *Shared) clientOf(page Page) *tls.Config {
	client := &tls.Config{}
	if given := s.Client.Load(); given != nil {
		client = given.Clone()
	}
	client.ServerName, client.InsecureSkipVerify = page.Name, true
	if client.RootCAs != nil {
		client.VerifyConnection = func(c tls.ConnectionState) error { return verify(c, client.RootCAs, page) }
	}
	client.MinVersion = tls.VersionTLS10
	for _, suite := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
		client.CipherSuites = append(client.CipherSuites, suite.ID)
	}
	client.Renegotiation = tls.RenegotiateOnceAsClient // old servers ask so for the certificate
	return client
}

// verify says what is wrong with the certificate that a server has shown. Where the page has
// neither a name in SNI nor a virtualhost, it may be for any name.
func verify(c tls.ConnectionState, authorities *x509.CertPool, page Page) error {
	name := cmp.Or(page.Name, page.Host)
	if host, _, err := net.SplitHostPort(name); err == nil {
		name = host
	}
	behind := x509.NewCertPool()
	for _, other := range c.PeerCertificates[1:] {
		behind.AddCert(other)
	}
	_, err := c.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: authorities, Intermediates: behind, DNSName: name})
	if err != nil {
		return fmt.Errorf("the server's certificate: %w", err)
	}
	return nil
}

// LoadClient reads the files of the block SSL, which have the certificate that SSL_GET shows
// to servers that ask for one, and the authorities of verify_certificates, which become
// RootCAs. It is nil where there is neither. The errors name the file. It takes no longer than
// conf.ReadFile for each, whatever hangs.
func LoadClient(cfg *conf.Config) (*tls.Config, error) {
	client, err := ownCertificate(cfg.SSL)
	if err != nil || cfg.Weir.Verify == "" {
		return client, err
	}
	if client == nil {
		client = &tls.Config{}
	}
	client.RootCAs, err = authorities(cfg.Weir.Verify)
	if err != nil {
		return nil, fmt.Errorf("verify_certificates: %w", err)
	}
	return client, nil
}

func authorities(file string) (*x509.CertPool, error) {
	if file == conf.SystemAuthorities {
		return x509.SystemCertPool()
	}
	text, err := conf.ReadFile(file)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s holds no certificate in PEM", file)
	}
	return pool, nil
}

// ownCertificate reads the files of the block SSL; nil where it is empty.
func ownCertificate(s conf.SSL) (*tls.Config, error) {
	if s.Certificate == "" && s.Key == "" {
		return nil, nil
	}
	if s.Certificate == "" || s.Key == "" {
		return nil, errors.New("SSL: expected both certificate and key")
	}
	chain, err := conf.ReadFile(s.Certificate)
	if err != nil {
		return nil, fmt.Errorf("SSL certificate: %w", err)
	}
	key, err := conf.ReadFile(s.Key)
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
