package conf

import (
	"fmt"
	"testing"
)

// What is said of words that are nearly addresses.
func TestAddressHints(t *testing.T) {
	for _, tt := range []struct{ word, want string }{
		{"[2001:db8::1]", "write 2001:db8::1, without the brackets"},
		{"[10.0.0.1]", "write 10.0.0.1, without the brackets"},
		{"2001:db8::1]", "write 2001:db8::1, without the brackets"},
		{"10.0.0.01", "write 10.0.0.1: a number that begins with 0 is octal for some programs"},
		{"010.000.00.01", "write 10.0.0.1: a number that begins with 0 is octal for some programs"},
		{"10.0.0.1:80", "write 10.0.0.1, without the port"},
		{"[2001:db8::1]:80", "write 2001:db8::1, without the port"},
		{"10.0.0.1,80", "write 10.0.0.1, without the port"},
		{"2001:db8::1/64", "write 2001:db8::1, without the mask"},
		{"10.0.0.1/255.255.255.0", "write 10.0.0.1, without the mask"},
		{"fe80::1%eth0", "write fe80::1, without the zone"},
		{"10.0.0.1,", "write 10.0.0.1"},
		{"10.0.0.1;", "write 10.0.0.1"},
		{"10.0.0", "expected four numbers with dots between them, as in 192.0.2.1, and not 3"},
		{"10.0.0.1.1", "expected four numbers with dots between them, as in 192.0.2.1, and not 5"},
		{"10..0.1", "expected four numbers with dots between them, as in 192.0.2.1: one is missing"},
		{"10.0.0.256", "expected numbers from 0 to 255, and not 256"},
		{"2001:db8::1::2", "expected :: once at most"},
		{"2001:db8:::1", "expected :: once at most"},
		{"2001:db8:1", "expected eight groups of digits, or :: in place of some, and not 3"},
		{"1:2:3:4:5:6:7:8:9", "expected eight groups of digits, or :: in place of some, and not 9"},
		{"1:2:3:4::5:6:7:8:9", "expected at most eight groups of digits"},
		{"2001:db8::12345", "expected groups of at most four digits, and not 12345"},
		{"www.example.org", "expected an IP address: names are not looked up"},
		{"web1", "expected an IP address: names are not looked up"},
		{"<VIP>", ""},
		{"", ""},
	} {
		if got := AddressHint(tt.word); got != tt.want {
			t.Errorf("%q: %q, want %q", tt.word, got, tt.want)
		}
		if _, c := address().parse(tt.word); c.fits() && !c.ignored {
			t.Errorf("%q is an address", tt.word)
		}
	}
}

// What is said of words that are nearly networks.
func TestNetworkHints(t *testing.T) {
	for _, tt := range []struct{ word, want string }{
		{"10.0.0.0/255.255.255.0", "write 10.0.0.0/24"},
		{"10.0.0.0/33", "expected a length from 0 to 32 behind the /"},
		{"2001:db8::/129", "expected a length from 0 to 128 behind the /"},
		{"10/8", "write 10.0.0.0/8"},
		{"10.0.0/24", "write 10.0.0.0/24"},
		{"[2001:db8::]/32", "write 2001:db8::/32, without the brackets"},
		{"10.0.0.00/24", "write 10.0.0.0/24: a number that begins with 0 is octal for some programs"},
		{"10.0.0.1:80", "write 10.0.0.1, without the port"},
		{"10.0.0.300/24", "expected numbers from 0 to 255, and not 300"},
		{"office.example.org/24", "expected an IP address: names are not looked up"},
		{"10.0.0.0/", "expected a length from 0 to 32 behind the /"},
		{"?", ""},
	} {
		if got := NetworkHint(tt.word); got != tt.want {
			t.Errorf("%q: %q, want %q", tt.word, got, tt.want)
		}
		if _, c := network().parse(tt.word); c.fits() {
			t.Errorf("%q is a network", tt.word)
		}
	}
}

// The hints reach whoever writes the words where addresses stand: a port stands apart where one may.
func TestHintsWhereAddressesStand(t *testing.T) {
	instance := "vrrp_instance V {\ninterface eth0\nvirtual_router_id 7\nvirtual_ipaddress {\n%s\n}\n}\n"
	server := "virtual_server 10.0.0.1 80 {\nprotocol TCP\nreal_server %s 80 {\n}\n}\n"
	for _, tt := range []struct{ text, word, want string }{
		{server, "[2001:db8::1]", "write 2001:db8::1, without the brackets"},
		{server, "10.0.0.2:80", "write the port apart: 10.0.0.2 80"},
		{server, "10.0.0.2,80", "write the port apart: 10.0.0.2 80"},
		{server, "web1.example.org", "expected an IP address: names are not looked up"},
		{"virtual_server %s 80 {\n}\n", "[2001:db8::1]:80", "write the port apart: 2001:db8::1 80"},
		{"virtual_server_group G {\n%s 80\n}\n", "10.0.0.01", "write 10.0.0.1: a number that begins with 0 is octal for some programs"},
		{"virtual_server_group G {\n%s 80\n}\n", "10.0.0/24", "write 10.0.0.0/24"},
		{instance, "10.0.0.9:80", "write 10.0.0.9, without the port"},
		{instance, "[2001:db8::1]/64", "write 2001:db8::1/64, without the brackets"},
		{instance, "10.0.0.09/24", "write 10.0.0.9/24: a number that begins with 0 is octal for some programs"},
		{instance, "foo", "expected " + addressHint},
		{"vrrp_instance V {\nunicast_peer {\n%s\n}\n}\n", "10.0.0.3:112", "write 10.0.0.3, without the port"},
		{"static_routes {\n10.0.0.0/8 via %s\n}\n", "10.0.0.01", "write 10.0.0.1: a number that begins with 0 is octal for some programs"},
		{"static_rules {\nfrom %s table 3\n}\n", "10.0.0.0/255.0.0.0", "write 10.0.0.0/8"},
		{"weir {\ndeny %s\n}\n", "10.0.0/24", "write 10.0.0.0/24"},
	} {
		_, diags := Parse("test.conf", fmt.Appendf(nil, tt.text, tt.word))
		found := false
		for _, d := range diags.All() {
			found = found || d.Severity == Error && d.Hint == tt.want
		}
		if !found {
			t.Errorf("%s in %q: %v, want the hint %q", tt.word, tt.text, diags.All(), tt.want)
		}
	}
}
