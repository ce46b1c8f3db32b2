package check

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"

	"golang.org/x/net/dns/dnsmessage"

	"weir/conf"
)

// DNS is DNS_CHECK: the server is up when it answers a question without an error, with or
// without a record.
type DNS struct {
	Endpoint
	Type dnsmessage.Type
	// Name is the domain, with the dot at its end.
	Name string
}

// dnsTypes are those of a configuration (RFC 1035, RFC 3596, RFC 4034).
var dnsTypes = map[string]dnsmessage.Type{
	"A": dnsmessage.TypeA, "NS": dnsmessage.TypeNS, "CNAME": dnsmessage.TypeCNAME, "SOA": dnsmessage.TypeSOA, "MX": dnsmessage.TypeMX,
	"TXT": dnsmessage.TypeTXT, "AAAA": dnsmessage.TypeAAAA, "RRSIG": 46, "DNSKEY": 48,
}

func newDNS(c conf.Check, _ *Shared) Checker {
	return DNS{endpointOf(c), dnsTypes[c.DNS.Type], strings.TrimSuffix(c.DNS.Name, ".") + "."}
}

func (c DNS) String() string { return string(conf.CheckDNS) + " " + c.Target.String() }

// Check asks by one datagram, and waits for the answer to it. It leaves the weight as it
// is. The errors are those of Endpoint.reason, and "the server answers CODE", such as
// RCodeServerFailure.
func (c DNS) Check(ctx context.Context) (Weight, error) {
	id := uint16(rand.Uint32())
	query, err := c.query(id)
	if err != nil {
		return Weight{}, err
	}
	conn, err := c.dial(ctx, "udp")
	if err != nil {
		return Weight{}, err
	}
	defer conn.Close()
	release, err := bound(ctx, conn, c.deadline())
	if err != nil {
		return Weight{}, c.reason(ctx, err)
	}
	defer release()
	if _, err := conn.Write(query); err != nil {
		return Weight{}, c.reason(ctx, err)
	}
	code, err := answerTo(conn, id)
	switch {
	case err != nil:
		return Weight{}, c.reason(ctx, err)
	case code != dnsmessage.RCodeSuccess:
		return Weight{}, fmt.Errorf("the server answers %s", strings.TrimPrefix(code.String(), "RCode"))
	}
	return Weight{}, nil
}

// answerTo is the code of the answer to a question. What is no answer to it is passed over.
func answerTo(conn net.Conn, id uint16) (dnsmessage.RCode, error) {
	room := make([]byte, 512) // the header is at its beginning
	for {
		n, err := conn.Read(room)
		if err != nil {
			return 0, err
		}
		var p dnsmessage.Parser
		if header, err := p.Start(room[:n]); err == nil && header.ID == id && header.Response {
			return header.RCode, nil
		}
	}
}

// query is the question, with recursion desired.
func (c DNS) query(id uint16) ([]byte, error) {
	name, err := dnsmessage.NewName(c.Name)
	if err != nil {
		return nil, err
	}
	m := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: id, RecursionDesired: true},
		Questions: []dnsmessage.Question{{Name: name, Type: c.Type, Class: dnsmessage.ClassINET}},
	}
	return m.Pack()
}
