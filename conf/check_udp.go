package conf

import (
	"math"
	"strings"

	"weir/conf/text"
)

// UDPCheck is what UDP_CHECK has of its own.
type UDPCheck struct {
	Payload      string `json:"payload"`
	RequireReply bool   `json:"require_reply"`
	Reply        string `json:"reply"`
	MinLength    int    `json:"min_reply_length"`
	MaxLength    int    `json:"max_reply_length"`
}

// udpCheck is the keyword of UDP_CHECK.
func udpCheck() *entry {
	begin := func(c *rawCheck) { c.UDP = &UDPCheck{} }
	return ownSection(CheckUDP, "a datagram is answered, or at least not refused", begin, targetEntries(), udpEntries()...)
}

func udpEntries() []*entry {
	type C = rawCheck
	length := number(0, math.MaxUint16)
	return []*entry{
		custom("payload", "hexadecimal digits", "what is sent", func(r *reader, st *text.Statement, c *C) (ok bool) {
			c.UDP.Payload, ok = hexWords(r, st, "0123456789abcdefABCDEF")
			return ok
		}),
		custom("require_reply", "[hexadecimal digits, X for any]", "an answer has to come, and to begin so", func(r *reader, st *text.Statement, c *C) (ok bool) {
			c.UDP.RequireReply, ok = true, true
			if len(st.Words) > 1 {
				c.UDP.Reply, ok = hexWords(r, st, "0123456789abcdefABCDEFxX")
			}
			return ok
		}),
		value("min_reply_length", length, func(c *C) *int { return &c.UDP.MinLength }, "the least length of the answer", initially(0)),
		value("max_reply_length", length, func(c *C) *int { return &c.UDP.MaxLength }, "the greatest length of the answer", initially(255)),
	}
}

// hexWords are bytes in hexadecimal digits, which blanks may part.
func hexWords(r *reader, st *text.Statement, digits string) (string, bool) {
	k := kind[string]{"an even number of hexadecimal digits", func(word string) (string, *complaint) {
		if len(word)%2 != 0 || word == "" || strings.Trim(word, digits) != "" {
			return "", complain("%s is no bytes in hexadecimal digits", text.Quote(word))
		}
		return word, nil
	}}
	parts, ok := rest(r, st, 1, k)
	return strings.Join(parts, ""), ok
}
