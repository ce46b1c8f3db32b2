package check

import (
	"encoding/hex"
	"fmt"
	"strings"

	"weir/conf"
)

// Page is what HTTP_GET asks for, and what it expects.
type Page struct {
	Path string
	// Host is the Host of the request; empty is the target.
	Host string
	// Name is the name in TLS SNI, empty for none.
	Name string
	// CloseNotify ends the connection as TLS wants it: tls_compliant.
	CloseNotify bool
	Status      []conf.StatusRange
	// Digest is the MD5 sum of the body in small hexadecimal digits; empty for any.
	Digest string
}

func pageOf(c *conf.HTTPCheck, u conf.URL) Page {
	p := Page{Path: u.Path, Host: u.VirtualHost, CloseNotify: c.TLSCompliant || u.TLS, Status: u.StatusCodes, Digest: u.Digest}
	switch {
	case c.SNIName != "":
		p.Name = c.SNIName
	case c.SNI:
		p.Name = u.VirtualHost
	}
	return p
}

// judge says what is wrong with an answer.
func (p *Page) judge(a *Answer) error {
	if !p.good(a.Status) {
		return fmt.Errorf("status %d, expected %s", a.Status, ranges(p.Status))
	}
	if sum := hex.EncodeToString(a.Sum); p.Digest != "" && sum != p.Digest {
		return fmt.Errorf("the MD5 sum of the body is %s, expected %s", sum, p.Digest)
	}
	return nil
}

func (p *Page) good(status int) bool {
	for _, r := range p.Status {
		if status >= r.First && status <= r.Last {
			return true
		}
	}
	return false
}

// ranges are status codes as a configuration has them.
func ranges(all []conf.StatusRange) string {
	var texts []string
	for _, r := range all {
		texts = append(texts, r.String())
	}
	return strings.Join(texts, " ")
}
