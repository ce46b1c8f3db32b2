package abi

import (
	"net"
	"net/netip"
	"testing"

	"weir/lvs"
)

// What is written as the tables hold it is read back as it was.
func TestRoundTrips(t *testing.T) {
	for _, s := range []string{"192.0.2.1", "2001:db8::1", "::"} {
		a := netip.MustParseAddr(s)
		if got := AddrOf(a).Netip(); got != a {
			t.Errorf("address %s came back as %s", a, got)
		}
	}
	for _, key := range []lvs.ServiceKey{
		{Protocol: lvs.TCP, Addr: netip.MustParseAddr("192.0.2.1"), Port: 80},
		{Protocol: lvs.UDP, Addr: netip.MustParseAddr("2001:db8::1"), Port: 65535},
	} {
		if got := ServiceKeyOf(key).LVS(); got != key {
			t.Errorf("service %s came back as %s", key, got)
		}
	}
	mac := net.HardwareAddr{1, 2, 3, 4, 5, 6}
	if got := WordMAC(MACWord(mac)); got.String() != mac.String() || MACWord(mac) != 0x060504030201 {
		t.Errorf("address %s is %#x, and came back as %s", mac, MACWord(mac), got)
	}
	prefix := netip.MustParsePrefix("::ffff:203.0.113.0/120")
	if got := MarkPrefixOf(prefix).Netip(); got != prefix {
		t.Errorf("prefix %s came back as %s", prefix, got)
	}
}

func TestWords(t *testing.T) {
	if got := Port(80); got != 80<<8 {
		t.Errorf("port 80 is %#x in network byte order", got)
	}
	conn := BpfConn{Word: 9<<40 | uint64(BpfMethodMETHOD_TUN|BpfMethodMETHOD_LOCAL_CLIENT)<<36 | uint64(BpfConnStateSTATE_UDP)<<32 | 77}
	if state, method, server := conn.Read(); state != BpfConnStateSTATE_UDP || method != BpfMethodMETHOD_TUN || server != 77 {
		t.Errorf("read state %d, method %d, server %d", state, method, server)
	}
	for name, words := range map[string][2]uint64{
		"turn":         {TurnWord(3, 2, 7), 2<<48 | 1<<32 | 7},
		"share":        {ShareWord(3, 7), 3<<32 | 7},
		"ports":        {PortsWord(Port(80), Port(443), 6), 6<<32 | 0xbb01<<16 | 0x5000},
		"director bit": {DirectorBit(0x060504030201), 1 << (6 ^ 0x0605&63)},
	} {
		if words[0] != words[1] {
			t.Errorf("the word of a %s is %#x, want %#x", name, words[0], words[1])
		}
	}
	if got := MaskOf(96); got != (BpfAddr{Hi: ^uint64(0), Lo: 0xffffffff}) {
		t.Errorf("96 ones are %+v", got)
	}
	if got := NetmaskOf(netip.Addr{}); got != (BpfAddr{Hi: ^uint64(0), Lo: ^uint64(0)}) {
		t.Errorf("no netmask is %+v", got)
	}
}
