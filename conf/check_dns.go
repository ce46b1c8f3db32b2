package conf

import (
	"slices"
	"strings"

	"weir/conf/text"
)

// DNSCheck is what DNS_CHECK has of its own.
type DNSCheck struct {
	Type string `json:"type"`
	Name string `json:"name"`
}

// dnsCheck is the keyword of DNS_CHECK.
func dnsCheck() *entry {
	begin := func(c *rawCheck) { c.DNS = &DNSCheck{} }
	return ownSection(CheckDNS, "a name server answers", begin, targetEntries(), dnsEntries()...)
}

func dnsEntries() []*entry {
	type C = rawCheck
	types := []string{"A", "NS", "CNAME", "SOA", "MX", "TXT", "AAAA", "RRSIG", "DNSKEY"}
	return []*entry{
		value("type", kind[string]{"one of " + strings.Join(types, " "), func(word string) (string, *complaint) {
			if !slices.Contains(types, strings.ToUpper(word)) {
				return "", complain("unknown record type %s", text.Quote(word))
			}
			return strings.ToUpper(word), nil
		}}, func(c *C) *string { return &c.DNS.Type }, "the record that is asked for", initially("SOA"), example("A", "MX")),
		value("name", domain(), func(c *C) *string { return &c.DNS.Name }, "the domain that is asked for", initially("."), firstCounts(), example("example.org", "example.com")),
	}
}

// domain is a domain's name, with or without the dot at its end (RFC 1035, 2.3.4).
func domain() kind[string] {
	k := nonEmpty("a domain")
	return kind[string]{k.expects, func(word string) (string, *complaint) {
		name := strings.TrimSuffix(word, ".")
		if name == "" {
			return k.parse(word)
		}
		for label := range strings.SplitSeq(name, ".") {
			if label == "" || len(label) > 63 {
				return "", complain("%s has a label of %d bytes", text.Quote(word), len(label))
			}
		}
		if len(name) > 253 {
			return "", complain("%s is longer than 253 bytes", text.Shorten(word))
		}
		return word, nil
	}}
}
