package check

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"weir/conf"
	"weir/conf/pcre"
)

// maxMatched is how much of a body a regular expression sees, in bytes.
const maxMatched = 1 << 20

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
	// Regex is what the body has to match, or must not match with NoMatch, from byte From
	// on and beginning at byte Last at the latest; nil for none.
	Regex      *pcre.Regexp
	NoMatch    bool
	From, Last int
}

func pageOf(c *conf.HTTPCheck, u conf.URL) Page {
	p := Page{Path: u.Path, Host: u.VirtualHost, CloseNotify: c.TLSCompliant || u.TLS, Status: u.StatusCodes, Digest: u.Digest}
	switch {
	case c.SNIName != "":
		p.Name = c.SNIName
	case c.SNI:
		p.Name = u.VirtualHost
	}
	if u.Regex != "" {
		p.Regex, _ = pcre.Compile(u.Regex, u.Options...) // conf has compiled it, too
		p.NoMatch, p.From, p.Last = u.NoMatch, u.MinOffset, u.MaxOffset
	}
	return p
}

// keep is how much of the body has to be kept, in bytes.
func (p *Page) keep() int {
	if p.Regex == nil {
		return 0
	}
	return maxMatched
}

// judge says what is wrong with an answer.
func (p *Page) judge(a *Answer) error {
	if !p.good(a.Status) {
		return fmt.Errorf("status %d, expected %s", a.Status, ranges(p.Status))
	}
	if sum := hex.EncodeToString(a.Sum); p.Digest != "" && sum != p.Digest {
		return fmt.Errorf("the MD5 sum of the body is %s, expected %s", sum, p.Digest)
	}
	if p.Regex == nil {
		return nil
	}
	return p.match(a.Body)
}

// match says why a body does not match as it has to.
func (p *Page) match(body []byte) error {
	matches, err := p.Regex.Match(body, p.From, p.Last)
	switch {
	case err != nil:
		return err
	case matches && p.NoMatch:
		return errors.New("the body matches regex, and regex_no_match is set")
	case !matches && !p.NoMatch && len(body) == maxMatched:
		return fmt.Errorf("the first %d MB of the body do not match regex", maxMatched>>20)
	case !matches && !p.NoMatch:
		return errors.New("the body does not match regex")
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
