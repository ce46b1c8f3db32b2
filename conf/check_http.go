package conf

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"weir/conf/pcre"
	"weir/conf/text"
)

// HTTPCheck is what HTTP_GET and SSL_GET have of their own.
type HTTPCheck struct {
	VirtualHost  string `json:"virtualhost"`
	Protocol     string `json:"http_protocol"`
	FastRecovery bool   `json:"fast_recovery"`
	SNI          bool   `json:"enable_sni"`
	SNIName      string `json:"sni_name"`
	TLSCompliant bool   `json:"tls_compliant"`
	URLs         []URL  `json:"url"`
}

// URL is a page and what is expected of it.
type URL struct {
	given
	Path        string        `json:"path"`
	Digest      string        `json:"digest"`
	StatusCodes []StatusRange `json:"status_code"`
	VirtualHost string        `json:"virtualhost"`
	Regex       string        `json:"regex"`
	NoMatch     bool          `json:"regex_no_match"`
	Options     []string      `json:"regex_options"`
	StackStart  int           `json:"regex_stack"`
	StackMax    int           `json:"regex_stack_max"`
	MinOffset   int           `json:"regex_min_offset"`
	MaxOffset   int           `json:"regex_max_offset"`
	TLS         bool          `json:"tls_compliant"`
}

// StatusRange is the status codes from First to Last.
type StatusRange struct {
	First int `json:"first"`
	Last  int `json:"last"`
}

// String is a range as a file has it.
func (s StatusRange) String() string {
	if s.First == s.Last {
		return strconv.Itoa(s.First)
	}
	return fmt.Sprintf("%d-%d", s.First, s.Last)
}

// httpCheck is the keyword of HTTP_GET, and of SSL_GET.
func httpCheck(kind CheckKind, help string) *entry {
	begin := func(c *rawCheck) { c.HTTP = &HTTPCheck{} }
	return ownSection(kind, help, begin, targetEntries(), httpEntries()...)
}

func httpEntries() []*entry {
	type C = rawCheck
	retry := value("nb_get_retry", number(0, math.MaxInt32), func(c *C) *int { return &c.Retry }, "obsolete: see retry")
	retry.slot = "retry"
	return []*entry{
		retry.warns("retry"),
		value("virtualhost", nonEmpty("a host name"), func(c *C) *string { return &c.HTTP.VirtualHost }, "the Host of requests", otherwise("that of real_server, or of virtual_server"), example("www.example.org", "example.org")),
		value("http_protocol", oneOf(choice[string]{noun: "HTTP version", anyCase: true, known: []named[string]{{"1.0", "1.0"}, {"1.0C", "1.0C"}, {"1.1", "1.1"}}}),
			func(c *C) *string { return &c.HTTP.Protocol }, "the version of requests; with 1.0C and 1.1 it asks to close the connection", initially("1.0"), example("1.0", "1.1")),
		onOff("fast_recovery", func(c *C) *bool { return &c.HTTP.FastRecovery }, "the pages that have to be good for the server to be up are asked for without a delay", example("on", "off")),
		repeatable(section("url", urlBlock(), "a page", urlHead)),
		onOff("enable_sni", func(c *C) *bool { return &c.HTTP.SNI }, "send the server's name in TLS", example("on", "off")),
		value("sni_name", nonEmpty("a host name"), func(c *C) *string { return &c.HTTP.SNIName }, "the name in TLS SNI", otherwise("virtualhost, with enable_sni"), example("www.example.org", "example.org")),
		onOff("tls_compliant", func(c *C) *bool { return &c.HTTP.TLSCompliant }, "end connections as TLS wants it, by a close_notify", example("on", "off")),
	}
}

func urlHead(r *reader, st *text.Statement, c *rawCheck) *URL {
	if len(st.Words) > 1 {
		r.extra(st, 1)
	}
	c.HTTP.URLs = append(c.HTTP.URLs, URL{})
	return &c.HTTP.URLs[len(c.HTTP.URLs)-1]
}

func urlBlock() *blockSpec {
	type U = URL
	entries := []*entry{
		value("path", nonEmpty("a path"), func(u *U) *string { return &u.Path }, "the path of the page", example("/a", "/b")),
		value("digest", digest(), func(u *U) *string { return &u.Digest }, "the MD5 sum of its body, as genhash prints it", example("d41d8cd98f00b204e9800998ecf8427e", "60b725f10c9c85c70d97880dfe8191b3")),
		many("status_code", statusRange(), func(u *U) *[]StatusRange { return &u.StatusCodes }, "the status codes that are good", otherwise("200-299"), example("200 301-302", "200 301-303")),
		value("virtualhost", nonEmpty("a host name"), func(u *U) *string { return &u.VirtualHost }, "the Host of the request", otherwise("that of the check"), example("www.example.org", "example.org")),
		onOff("tls_compliant", func(u *U) *bool { return &u.TLS }, "end the connection as TLS wants it, by a close_notify", example("on", "off")),
	}
	return &blockSpec{name: "url", done: urlDone, entries: anew(append(entries, regexEntries()...)...)}
}

// regexEntries are the keywords of a page whose body has to match.
func regexEntries() []*entry {
	type U = URL
	offset := number(0, math.MaxInt32)
	return []*entry{
		value("regex", nonEmpty("a regular expression"), func(u *U) *string { return &u.Regex }, "what its body has to match, a regular expression of PCRE2", withEscapes(), example("up|ok", "ok")),
		present("regex_no_match", func(u *U) *bool { return &u.NoMatch }, "the body must not match regex"),
		many("regex_options", oneWord("option of PCRE2", pcre.Options()...), func(u *U) *[]string { return &u.Options }, "options of PCRE2", example("caseless", "caseless dotall")),
		ignored("it bounds the memory of a match by itself", custom("regex_stack", "START MAX", "the stack of PCRE2", func(r *reader, st *text.Statement, u *U) bool {
			sizes, ok := rest(r, st, 1, offset)
			if ok && len(sizes) != 2 {
				r.errorAt(st.All(), "regex_stack takes two sizes", "expected regex_stack START MAX")
				return false
			}
			if ok {
				u.StackStart, u.StackMax = sizes[0], sizes[1]
			}
			return ok
		}))[0],
		value("regex_min_offset", offset, func(u *U) *int { return &u.MinOffset }, "where in the body a match begins at the earliest, in bytes", initially(0), example("1", "2")),
		value("regex_max_offset", offset, func(u *U) *int { return &u.MaxOffset }, "where in the body a match begins at the latest, in bytes", otherwise("anywhere"), example("8", "9")),
	}
}

func urlDone(r *reader, b *text.Block, into any) {
	r.require(b, "path", "expected path PATH")
	u := into.(*URL)
	if !u.Has("regex_max_offset") {
		u.MaxOffset = pcre.Anywhere
	}
	if u.Regex == "" {
		return
	}
	if _, err := pcre.Compile(u.Regex, u.Options...); err != nil {
		r.errorAt(u.PlaceOf("regex"), "regex: "+err.Error(), "expected a regular expression of PCRE2, without recursion and verbs")
	}
	if u.MaxOffset != pcre.Anywhere && u.MinOffset > u.MaxOffset {
		r.errorAt(u.PlaceOf("regex_max_offset"), fmt.Sprintf("no match begins at byte %d at the earliest and at byte %d at the latest", u.MinOffset, u.MaxOffset), "expected regex_min_offset up to regex_max_offset")
	}
}

// resolveHTTP fills in the host, and the good status codes.
func (c *rawCheck) resolveHTTP(r *reader, server *rawServer) {
	if !c.Has("virtualhost") {
		c.HTTP.VirtualHost = server.VirtualHost
	}
	if len(c.HTTP.URLs) == 0 && !c.mentions("url") {
		r.errorAt(c.head.Place(), string(c.Kind)+" has no url", "expected url { path PATH }")
	}
	for i := range c.HTTP.URLs {
		u := &c.HTTP.URLs[i]
		if len(u.StatusCodes) == 0 {
			u.StatusCodes = []StatusRange{{200, 299}}
		}
		if u.VirtualHost == "" {
			u.VirtualHost = c.HTTP.VirtualHost
		}
	}
}

// digest is an MD5 sum.
func digest() kind[string] {
	return kind[string]{"32 hexadecimal digits", func(word string) (string, *complaint) {
		if len(word) != 32 || strings.Trim(strings.ToLower(word), "0123456789abcdef") != "" {
			return "", complain("%s is not an MD5 sum", text.Quote(word))
		}
		return strings.ToLower(word), nil
	}}
}

// statusRange is a status code, or two with - between.
func statusRange() kind[StatusRange] {
	k := number(100, 599)
	return kind[StatusRange]{"status codes from 100 to 599, such as 200 or 200-204", func(word string) (s StatusRange, c *complaint) {
		first, last, ranged := strings.Cut(word, "-")
		if s.First, c = k.parse(first); c != nil || !ranged {
			s.Last = s.First
			return s, c
		}
		if s.Last, c = k.parse(last); c == nil && s.Last < s.First {
			c = complain("%s ends before it begins", text.Quote(word))
		}
		return s, c
	}}
}
