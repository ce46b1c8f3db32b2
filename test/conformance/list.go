package conformance

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"weir/lvs"
)

// Listed is a real server's line in the output of ipvsadm -Ln.
type Listed struct {
	Service          lvs.ServiceKey
	Server           netip.AddrPort
	Persistent       int // templates; only with --persistent-conn
	Active, Inactive int
}

// String is the line as Compare shows it.
func (l Listed) String() string {
	return fmt.Sprintf("%s -> %s: %d persistent, %d active, %d inactive", l.Service, l.Server, l.Persistent, l.Active, l.Inactive)
}

// Listing reads the output of ipvsadm -Ln, with or without --persistent-conn.
func (s Step) Listing() (all []Listed, err error) {
	persistent := strings.Contains(strings.Join(s.Words, " "), "--persistent-conn")
	var key lvs.ServiceKey
	for _, line := range s.Output {
		words := strings.Fields(line)
		switch {
		case len(words) >= 2 && (words[0] == "TCP" || words[0] == "UDP" || words[0] == "FWM"):
			if key, err = Service(words[0], words[1], len(words) > 2 && words[2] == "IPv6"); err != nil {
				return nil, err
			}
		case len(words) == 6 && words[0] == "->" && words[1] != "RemoteAddress:Port":
			l := Listed{Service: key}
			if l.Server, err = netip.ParseAddrPort(words[1]); err != nil {
				return nil, err
			}
			columns := map[int]*int{4: &l.Active, 5: &l.Inactive}
			if persistent {
				columns[3] = &l.Persistent
			}
			for at, to := range columns {
				if *to, err = strconv.Atoi(words[at]); err != nil {
					return nil, err
				}
			}
			all = append(all, l)
		}
	}
	return all, nil
}
