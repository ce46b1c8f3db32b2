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
		}, otherwise("32 bytes of text"), example("0A", "0B")),
		custom("require_reply", "[hexadecimal digits, X for any]", "an answer has to come, and to begin so", func(r *reader, st *text.Statement, c *C) (ok bool) {
			c.UDP.RequireReply, ok = true, true
			if len(st.Words) > 1 {
				c.UDP.Reply, ok = hexWords(r, st, "0123456789abcdefABCDEFxX")
			}
			return ok
		}, otherwise("no answer is needed"), example("0A XX", "0A X1")),
		value("min_reply_length", length, func(c *C) *int { return &c.UDP.MinLength }, "the least length of the answer in bytes", initially(0), example("1", "2")),
		value("max_reply_length", length, func(c *C) *int { return &c.UDP.MaxLength }, "the greatest length of the answer in bytes", initially(255), example("512", "513")),
	}
}

// hexWords are bytes in hexadecimal digits, which blanks may part: the digits of a word
// are taken in pairs, and one that is left over is a byte of its own.
func hexWords(r *reader, st *text.Statement, digits string) (string, bool) {
	k := kind[string]{"bytes in hexadecimal digits, such as 0A 1f", func(word string) (string, *complaint) {
		if word == "" || strings.Trim(word, digits) != "" {
			return "", complain("%s is no bytes in hexadecimal digits", text.Quote(word))
		}
		if last := len(word) - 1; last%2 == 0 {
			word = word[:last] + "0" + word[last:]
		}
		return word, nil
	}}
	var all strings.Builder
	for i := 1; i < len(st.Words); i++ {
		for _, part := range strings.Fields(st.Words[i].Text) {
			one := *st
			one.Words = []text.Token{st.Words[0], st.Words[i]}
			one.Words[1].Text = part
			bytes, ok := word(r, &one, 1, k)
			if !ok {
				return "", false
			}
			all.WriteString(bytes)
		}
	}
	if all.Len() == 0 {
		r.errorAt(st.Place(), st.Keyword()+" lacks its value", "expected "+k.expects)
		return "", false
	}
	return all.String(), true
}
