package interop

import (
	"testing"
	"time"
)

// TestWholeWeir: the program itself, with its data plane, reads the same file as keepalived,
// and takes the VIP over from it in the modes that are not the seed's.
func TestWholeWeir(t *testing.T) {
	t.Parallel()
	for _, m := range []mode{
		{name: "v2 AH", version: 2, auth: "AH", interval: time.Second},
		{name: "v3 IPv4", version: 3, unicast: true, interval: 400 * time.Millisecond},
		{name: "v3 IPv6", version: 3, ipv6: true, interval: 400 * time.Millisecond},
	} {
		t.Run(m.String(), func(t *testing.T) {
			t.Parallel()
			c := cell{mode: m, segment: newSegment(t), vip: vip}
			if c.ipv6 {
				c.vip = fd25VIP
			}
			c.first, c.second = c.side(t, "keepalived", 31, low), c.side(t, "weir", 32, high)
			c.watch = watchVIP(t, c.vip, c.first.host, c.second.host)
			c.start(t, c.first)
			c.within(t, "keepalived is master", patience, 0)
			c.second.program = startProgram(t, c.second.host, "weir", smallTables+c.config(c.second))
			c.within(t, "weir is master", patience, 1)
			holdsFor(t, "weir stays master", 3*c.interval, func() bool { return c.watch.owner() == 1 })
			c.second.program.stop()
			c.within(t, "keepalived is master again", patience, 0)
		})
	}
}
