package check

import (
	"context"
	"crypto/md5"
	"fmt"

	"weir/conf"
)

// HTTP is HTTP_GET, and SSL_GET where Shared is set: the server is up when all its pages
// are as expected. A try asks for one page.
type HTTP struct {
	Endpoint
	Kind  conf.CheckKind
	Pages []Page
	// Protocol is 1.0, 1.0C or 1.1.
	Protocol string
	// Shared is the client's side of TLS; nil where there is none.
	Shared *Shared

	round
}

func newHTTP(c conf.Check, shared *Shared) Checker {
	h := &HTTP{
		Endpoint: endpointOf(c), Kind: c.Kind, Protocol: c.HTTP.Protocol, Pages: make([]Page, 0, len(c.HTTP.URLs)),
		round: round{pages: len(c.HTTP.URLs), fast: c.HTTP.FastRecovery},
	}
	if c.Kind == conf.CheckSSL {
		h.Shared = shared
	}
	for _, u := range c.HTTP.URLs {
		h.Pages = append(h.Pages, pageOf(c.HTTP, u))
	}
	return h
}

func (h *HTTP) String() string { return string(h.Kind) + " " + h.Target.String() }

// Check asks for the next page. It leaves the weight as it is. The errors are those of
// Endpoint.reason, and what is wrong with the page, behind its path.
func (h *HTTP) Check(ctx context.Context) (Weight, error) {
	return Weight{}, h.tried(h.get(ctx, h.Pages[h.next]))
}

// get asks for a page and judges the answer.
func (h *HTTP) get(ctx context.Context, page Page) error {
	answer, err := h.fetch(ctx, page, reading{md5.New(), page.keep(), false})
	if err != nil {
		return err
	}
	if err := page.judge(answer); err != nil {
		return fmt.Errorf("%s: %w", page.Path, err)
	}
	return nil
}
