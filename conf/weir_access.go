package conf

import (
	"fmt"
	"math"

	"weir/conf/text"
	"weir/lvs"
)

// accessWords is the grammar of a deny or an allow line.
func accessWords(keyword string) string {
	return keyword + " NETWORK [protocol TCP|UDP] [port PORT]"
}

// readDeny and readAllow read a rule about clients.
func readDeny(r *reader, st *text.Statement, into any) {
	w := into.(*rawWeir)
	w.Deny = appendAccess(r, st, w.Deny)
}

func readAllow(r *reader, st *text.Statement, into any) {
	w := into.(*rawWeir)
	w.Allow = appendAccess(r, st, w.Allow)
}

func appendAccess(r *reader, st *text.Statement, to []lvs.AccessRule) []lvs.AccessRule {
	rule, ok := readAccess(r, st)
	if !ok {
		return to
	}
	return append(to, rule)
}

func readAccess(r *reader, st *text.Statement) (rule lvs.AccessRule, ok bool) {
	if rule.Network, ok = after(r, st, 0, network()); !ok {
		return rule, false
	}
	for i := 2; i < len(st.Words); i += 2 {
		switch option := st.Words[i]; option.Text {
		case "protocol":
			rule.Protocol, ok = after(r, st, i, protocol())
		case "port":
			rule.Port, ok = after(r, st, i, number[uint16](1, math.MaxUint16))
		default:
			r.errorAt(option.Place, fmt.Sprintf("%s: unknown word %s", st.Words[0].Text, text.Quote(option.Text)), "expected "+accessWords(st.Words[0].Text))
			return rule, false
		}
		if !ok {
			return rule, false
		}
	}
	return rule, true
}

// accessText is a rule of deny or allow as the file has it.
func accessText(r lvs.AccessRule) string {
	text := r.Network.String()
	if r.Protocol != 0 {
		text += " protocol " + r.Protocol.String()
	}
	if r.Port != 0 {
		text += fmt.Sprintf(" port %d", r.Port)
	}
	return text
}
