package conf

import (
	"fmt"
	"math"
	"strings"

	"weir/conf/text"
	"weir/lvs"
)

// markWords is the grammar of a mark line.
const markWords = "mark MARK [from NETWORK] [to NETWORK] [protocol TCP|UDP] [port PORT[-PORT]]"

// readMark reads a rule that gives packets a mark.
func readMark(r *reader, st *text.Statement, into any) {
	w := into.(*rawWeir)
	var rule lvs.MarkRule
	var ok bool
	if rule.Mark, ok = after(r, st, 0, mark()); !ok {
		return
	}
	for i := 2; i < len(st.Words); i += 2 {
		switch option := st.Words[i]; option.Text {
		case "from":
			rule.Source, ok = after(r, st, i, network())
		case "to":
			rule.Destination, ok = after(r, st, i, network())
		case "protocol":
			rule.Protocol, ok = after(r, st, i, protocol())
		case "port":
			var ports [2]uint16
			ports, ok = after(r, st, i, portRange())
			rule.FirstPort, rule.LastPort = ports[0], ports[1]
		default:
			r.errorAt(option.Place, fmt.Sprintf("mark: unknown word %s", text.Quote(option.Text)), "expected "+markWords)
			return
		}
		if !ok {
			return
		}
	}
	if rule.Source.IsValid() && rule.Destination.IsValid() && rule.Source.Addr().Is4() != rule.Destination.Addr().Is4() {
		r.errorAt(st.All(), "mark: the two networks are of different families", "expected both IPv4, or both IPv6")
		return
	}
	w.Marks = append(w.Marks, rule)
}

// portRange is one port or a range.
func portRange() kind[[2]uint16] {
	k := number[uint16](1, math.MaxUint16)
	return kind[[2]uint16]{"a port from 1 to 65535, or two with - between", func(word string) (ports [2]uint16, c *complaint) {
		first, last, ranged := strings.Cut(word, "-")
		if ports[0], c = k.parse(first); c != nil || !ranged {
			return [2]uint16{ports[0], ports[0]}, c
		}
		if ports[1], c = k.parse(last); c == nil && ports[1] < ports[0] {
			c = complain("%s ends before it begins", text.Quote(word))
		}
		return ports, c
	}}
}
