package check

import (
	"errors"
	"net/netip"
	"os"
	"syscall"
	"testing"

	"weir/conf"
)

// Over IPv6 a director that is not master needs a neighbour for the virtual address, which
// nobody has while no director is master. That says nothing about the server.
func TestCheckThroughAVIPThatNobodyHas(t *testing.T) {
	for _, tt := range []struct {
		target string
		errno  syscall.Errno
		own    bool
	}{
		{"[2001:db8::100]:80", syscall.EHOSTUNREACH, true},
		{"[2001:db8::100]:80", syscall.ENETUNREACH, true},
		{"[2001:db8::100]:80", syscall.ECONNREFUSED, false},
	} {
		server := netip.MustParseAddrPort("127.0.0.1:1") // where nothing answers
		c := newViaVIP(conf.Check{
			Kind: conf.CheckViaVIP, Connect: netip.MustParseAddrPort(tt.target), Via: &conf.ViaVIP{Server: server},
		}, &Shared{}).(ViaVIP)
		err := c.why(t.Context(), c.Endpoint, os.NewSyscallError("connect", tt.errno))
		if own := (*OwnError)(nil); errors.As(err, &own) != tt.own || own != nil && own.Remedy == "" {
			t.Errorf("%s, %v: %v; the director's own trouble: %v, want %v", tt.target, tt.errno, err, own != nil, tt.own)
		}
	}
}
