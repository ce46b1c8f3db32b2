package interop

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// No keepalived of Debian's has auth_hmac: two weirs speak it to each other here.

const (
	hmacKey1 = "key 1 hex:000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n"
	hmacKey2 = "key 2 a-second-key-of-forty-bytes-to-change-to\n"
	// wrongKey1 has the number of the first one and another value.
	wrongKey1 = "key 1 hex:ff0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n"
)

// signing is a mode with auth_hmac.
type signing struct {
	mode
	short bool
}

// TestWeirsWithHMAC: two whole weirs with auth_hmac elect one master, take over, and go on through a
// change of keys. One with another key is refused, and told of.
func TestWeirsWithHMAC(t *testing.T) {
	t.Parallel()
	for _, m := range []signing{
		{mode{name: "v2", version: 2, interval: time.Second}, false},
		{mode{name: "v3", version: 3, interval: 500 * time.Millisecond, unicast: true}, true},
		{mode{name: "v3 IPv6", version: 3, interval: 500 * time.Millisecond, ipv6: true}, false},
	} {
		if !m.short && !*all {
			continue
		}
		t.Run(strings.ReplaceAll(m.String(), " ", "-"), func(t *testing.T) {
			t.Parallel()
			m.run(t)
		})
	}
}

func (m signing) run(t *testing.T) {
	c := cell{mode: m.mode, segment: newSegment(t), vip: vip}
	if c.ipv6 {
		c.vip = fd25VIP
	}
	c.first, c.second = c.side(t, "weir", 31, high), c.side(t, "weir-2", 32, low)
	c.watch = watchVIP(t, c.vip, c.first.host, c.second.host)
	// signed is a director's file with these keys.
	signed := func(s *side, keys string, active int) string {
		return smallTables + strings.Replace(c.config(s), "virtual_ipaddress {", fmt.Sprintf("auth_hmac {\n%sactive_key %d\n}\nvirtual_ipaddress {", keys, active), 1)
	}
	start := func(s *side, keys string, active int) {
		s.program = startProgram(t, s.host, "weir", signed(s, keys, active))
	}
	// reload has a director take up other keys.
	reload := func(s *side, keys string, active int) {
		n := strings.Count(s.program.log(t), ` msg=reloaded `)
		s.program.reload(t, signed(s, keys, active))
		eventually(t, s.name+" has reloaded", starting, func() bool { return strings.Count(s.program.log(t), ` msg=reloaded `) > n })
	}
	stays := func(what string, owner int) {
		t.Helper()
		holdsFor(t, what, 5*c.interval, func() bool { return c.watch.owner() == owner })
	}

	start(c.second, hmacKey1+hmacKey2, 1)
	c.within(t, "the second is master alone", starting, 1)
	start(c.first, hmacKey1+hmacKey2, 1)
	c.within(t, "the first preempts", starting, 0)
	stays("the first is master", 0)

	c.first.program.stop()
	c.within(t, "the second takes over", starting, 1)
	start(c.first, hmacKey1+hmacKey2, 1)
	c.within(t, "the first preempts again", starting, 0)

	// The second knows the key that the first signs with from now on.
	reload(c.first, hmacKey1+hmacKey2, 2)
	stays("the first is master with its other key", 0)
	reload(c.second, hmacKey1+hmacKey2, 2)
	stays("the first is master with the same key", 0)

	apart := func(what string) {
		t.Helper()
		eventually(t, what, starting, func() bool { return c.watch.has(0) && c.watch.has(1) })
	}
	tells := func(s *side, what string) {
		t.Helper()
		eventually(t, s.name+" tells why", starting, func() bool { return strings.Contains(s.program.log(t), what) })
	}
	reload(c.second, hmacKey1, 1)
	apart("the second does not know the first's key")
	tells(c.second, "signed by key 2, which is not known")
	reload(c.second, hmacKey1+hmacKey2, 2)
	c.within(t, "the first is master alone", starting, 0)

	reload(c.first, hmacKey1+hmacKey2, 1)
	stays("the first is master with its first key", 0)
	reload(c.second, wrongKey1+hmacKey2, 1)
	apart("the second refuses the first's signature")
	for _, s := range []*side{c.first, c.second} {
		tells(s, "the signature is wrong: another key 1, or the packet was changed")
	}
	reload(c.second, hmacKey1, 1)
	c.within(t, "the first is master alone again", starting, 0)
}
