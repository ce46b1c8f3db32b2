package conf

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"weir/lvs"
)

// service is a virtual_server with some lines and one real server.
func service(head, lines string) string {
	return "virtual_server " + head + " {\nlb_algo rr\nlb_kind NAT\n" + lines + "\nreal_server 10.0.0.2 80 {\n}\n}\n"
}

// TestServiceKeys reads what a virtual_server may be called, and a group's members.
func TestServiceKeys(t *testing.T) {
	tests := []struct{ name, in, want, warning string }{
		{"address and port", service("10.0.0.1 80", "protocol TCP"), "TCP 10.0.0.1:80", ""},
		{"all ports", service("10.0.0.1", "protocol TCP\npersistence_timeout 9"), "TCP 10.0.0.1:0", ""},
		{"all ports are persistent", service("10.0.0.1 0", "protocol tcp"), "TCP 10.0.0.1:0", "port-zero"},
		{"mark", service("fwmark 4294967295", ""), "FWM 4294967295", ""},
		{"mark with family", service("fwmark 3 inet", ""), "FWM 3", ""},
		{"mark has the servers' family", strings.Replace(service("fwmark 3", ""), "10.0.0.2", "2001:db8::2", 1), "FWM 3 IPv6", ""},
		{"a mark has no protocol", service("fwmark 3", "protocol UDP"), "FWM 3", "no-effect"},
		{"group", "virtual_server_group G {\n10.0.0.1 80\n10.0.1.1-3 81\n10.0.2.254-10.0.3.0 82\n10.0.4.0/31 83\nfwmark 7\n}\n" + service("group G", "protocol UDP"),
			"UDP 10.0.0.1:80, UDP 10.0.1.1:81, UDP 10.0.1.2:81, UDP 10.0.1.3:81, UDP 10.0.2.254:82, UDP 10.0.2.255:82, UDP 10.0.3.0:82, UDP 10.0.4.0:83, UDP 10.0.4.1:83, FWM 7", ""},
		{"group after its server", service("group G", "protocol UDP") + "virtual_server_group G {\n10.0.0.1 80\n}\n", "UDP 10.0.0.1:80", ""},
		{"group of both families", "virtual_server_group G {\n10.0.0.1 80\n2001:db8::9-b 80\nfwmark 7 inet6\n}\n" + service("group G", "protocol UDP"),
			"UDP 10.0.0.1:80, UDP [2001:db8::9]:80, UDP [2001:db8::a]:80, UDP [2001:db8::b]:80, FWM 7 IPv6", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := parseWith(t, tt.in, tt.warning)
			var got []string
			for _, key := range cfg.VirtualServers[0].Keys {
				got = append(got, key.String())
			}
			if diff := cmp.Diff(tt.want, strings.Join(got, ", ")); diff != "" {
				t.Errorf("services (-want +got):\n%s", diff)
			}
		})
	}
}

// TestScheduling reads every scheduler, and what goes with it.
func TestScheduling(t *testing.T) {
	for _, name := range strings.Fields("rr wrr lc wlc lblc lblcr dh sh sed nq mh fo ovf twos") {
		cfg := parseWith(t, "virtual_server 10.0.0.1 80 {\nprotocol TCP\nlb_kind DR\nlb_algo "+name+"\nreal_server 10.0.0.2 80 {\n}\n}\n", "")
		if got := cfg.VirtualServers[0].Scheduler; string(got) != name {
			t.Errorf("lb_algo %s is read as %s", name, got)
		}
	}
	of := func(scheduler, lines string) string {
		return strings.Replace(service("10.0.0.1 80", "protocol UDP\n"+lines), "lb_algo rr", "lb_algo "+scheduler, 1)
	}
	tests := []struct {
		scheduler, in string
		want          func(*VirtualServer)
	}{
		{"sh", "sh-port\nsh-fallback", func(v *VirtualServer) { v.SHPort, v.SHFallback = true, true }},
		{"mh", "mh-port", func(v *VirtualServer) { v.SHPort = true }},
		{"rr", "flag-1", func(v *VirtualServer) { v.SHFallback = true }},
		{"rr", "flag-2", func(v *VirtualServer) { v.SHPort = true }},
		{"rr", "ops", func(v *VirtualServer) { v.OnePacket = true }},
		{"rr", "persistence_timeout", func(v *VirtualServer) { v.PersistenceTimeout = 360 * time.Second }},
		{"rr", "persistence_timeout 2678400", func(v *VirtualServer) { v.PersistenceTimeout = maxWhole }},
		{"rr", "persistence_granularity 255.255.255.0", func(v *VirtualServer) {
			v.PersistenceTimeout, v.PersistenceGranularity = 360*time.Second, netip.MustParseAddr("255.255.255.0")
		}},
	}
	for _, tt := range tests {
		want := parseWith(t, of(tt.scheduler, ""), "").VirtualServers[0]
		tt.want(&want)
		got := parseWith(t, of(tt.scheduler, tt.in), "").VirtualServers[0]
		if diff := cmp.Diff(want, got, comparers...); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.in, diff)
		}
	}
	six := "virtual_server 2001:db8::1 80 {\nprotocol TCP\nlb_algo rr\nlb_kind NAT\npersistence_timeout 7\npersistence_granularity 64\nreal_server 2001:db8::2 80 {\n}\n}\n"
	if v := parseWith(t, six, "").VirtualServers[0]; v.PersistenceGranularity != netip.MustParseAddr("ffff:ffff:ffff:ffff::") || v.PersistenceTimeout != 7*time.Second {
		t.Errorf("granularity %v of %v", v.PersistenceGranularity, v.PersistenceTimeout)
	}
	if v := parseWith(t, service("10.0.0.1 80", "protocol TCP\nops"), "no-effect").VirtualServers[0]; v.OnePacket {
		t.Error("a TCP service is scheduled by the packet")
	}
}

// TestPorts settles the real servers' ports: only NAT changes one.
func TestPorts(t *testing.T) {
	group := "virtual_server_group G {\n10.0.0.1 80\n10.0.0.1 443\n}\n"
	check := "{\nTCP_CHECK {\n}\n}\n}\n"
	tests := []struct {
		name, in      string
		port, checked uint16
		warning       string
	}{
		{"NAT to another", "virtual_server 10.0.0.1 80 {\nprotocol TCP\nlb_algo rr\nlb_kind NAT\nreal_server 10.0.0.2 8080 " + check, 8080, 8080, ""},
		{"NAT to the same", "virtual_server 10.0.0.1 80 {\nprotocol TCP\nlb_algo rr\nlb_kind NAT\nreal_server 10.0.0.2 " + check, 80, 80, ""},
		{"a group by NAT", group + "virtual_server group G {\nprotocol TCP\nlb_algo rr\nlb_kind NAT\nreal_server 10.0.0.2 8080 " + check, 8080, 8080, ""},
		{"a group of two ports by DR", group + "virtual_server group G {\nprotocol TCP\nlb_algo rr\nlb_kind DR\nreal_server 10.0.0.2 80 " + check, 0, 80, "dr-port"},
		{"a mark by DR", "virtual_server fwmark 3 {\nlb_algo rr\nlb_kind DR\nreal_server 10.0.0.2 80 " + check, 0, 80, "dr-port"},
		{"a mark by NAT", "virtual_server fwmark 3 {\nlb_algo rr\nlb_kind NAT\nreal_server 10.0.0.2 81 " + check, 81, 81, ""},
		{"a mark and a check's port", "virtual_server fwmark 3 {\nlb_algo rr\nlb_kind DR\nreal_server 10.0.0.2 {\nTCP_CHECK {\nconnect_port 82\n}\n}\n}\n", 0, 82, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			rs := parseWith(t, tt.in, tt.warning).VirtualServers[0].RealServers[0]
			if rs.Port != tt.port || rs.Checks[0].Connect.Port() != tt.checked {
				t.Errorf("port %d, checked %d; want %d and %d", rs.Port, rs.Checks[0].Connect.Port(), tt.port, tt.checked)
			}
		})
	}
}

// TestWeirBlock reads what keepalived.conf has no words for.
func TestWeirBlock(t *testing.T) {
	cfg := parseWith(t, `global_defs {
  lvs_timeouts tcp 900 tcpfin 7 udp 8
}
weir {
  mark 7 to 10.0.0.1 protocol TCP port 80-443
  mark 8 from 10.9.0.0/16 port 53
  deny 203.0.113.0/24
  deny 2001:db8::/32 protocol UDP port 53
  allow 203.0.113.7 port 80
  tables { connections 2048 }
  timeouts { udp 9 }
  expire_quiescent_template 1
  service TCP 10.0.0.1 80 {
    conn_reuse_mode 0
    expire_nodest_conn 1
  }
}
`+service("10.0.0.1 80", "protocol TCP")+service("10.0.0.1 81", "protocol TCP"), "")
	want := Weir{
		Marks: []lvs.MarkRule{
			{Mark: 7, Destination: netip.MustParsePrefix("10.0.0.1/32"), Protocol: lvs.TCP, FirstPort: 80, LastPort: 443},
			{Mark: 8, Source: netip.MustParsePrefix("10.9.0.0/16"), FirstPort: 53, LastPort: 53},
		},
		Deny: []lvs.AccessRule{
			{Network: netip.MustParsePrefix("203.0.113.0/24")},
			{Network: netip.MustParsePrefix("2001:db8::/32"), Protocol: lvs.UDP, Port: 53},
		},
		Allow:  []lvs.AccessRule{{Network: netip.MustParsePrefix("203.0.113.7/32"), Port: 80}},
		Tables: Tables{Connections: 2048, Templates: 1 << 18, Services: 4096, Servers: 65536},
		Rules:  Rules{ReuseMode: 1, ExpireQuiescentTemplate: true},
		Timeouts: Timeouts{Timeouts: lvs.Timeouts{
			None: 2 * time.Second, Established: 900 * time.Second, SynSent: 120 * time.Second, SynRecv: 60 * time.Second,
			FinWait: 7 * time.Second, TimeWait: 120 * time.Second, Close: 10 * time.Second, CloseWait: 60 * time.Second,
			LastAck: 30 * time.Second, Listen: 120 * time.Second, SynAck: 120 * time.Second, UDP: 9 * time.Second,
		}},
	}
	if diff := cmp.Diff(want, cfg.Weir, comparers...); diff != "" {
		t.Errorf("weir (-want +got):\n%s", diff)
	}
	rules := []lvs.ConnRules{
		{ReuseMode: lvs.ReuseKeeps, ExpireNoDest: true, ExpireQuiescentTemplate: true},
		{ReuseMode: lvs.ReuseSchedules, ExpireQuiescentTemplate: true},
	}
	for i, v := range cfg.VirtualServers {
		if v.Rules != rules[i] {
			t.Errorf("%s has the rules %+v, want %+v", v.Name, v.Rules, rules[i])
		}
	}
}

// TestServiceMistakes wants one error each.
func TestServiceMistakes(t *testing.T) {
	group := "virtual_server_group G {\n%s\n}\n" + service("group G", "protocol UDP")
	tests := []struct{ in, want string }{
		{service("fwmark 0", ""), "0 is out of range"},
		{service("fwmark", ""), "fwmark lacks its value"},
		{service("group", ""), "group lacks its value"},
		{service("group H", "protocol TCP"), "no virtual_server_group H"},
		{service("10.0.0.1 65536", "protocol TCP"), "65536 is out of range"},
		{fmt.Sprintf(group, ""), "has no address"},
		{fmt.Sprintf(group, "10.0.0.9-1 80"), "ends before it begins"},
		{fmt.Sprintf(group, "10.0.0.1-::1 80"), "not a range of addresses"},
		{fmt.Sprintf(group, "10.0.0.0/8 80"), "more than 4096 services"},
		{fmt.Sprintf(group, "10.0.0.1 80-90"), "not a whole number"},
		{fmt.Sprintf(group, "10.0.0.1 80\n::1 80\nfwmark 3"), "both families"},
		{fmt.Sprintf(group, "10.0.0.1 80") + service("10.0.0.1 80", "protocol UDP"), "given twice"},
		{"virtual_server_group G {\n10.0.0.1\n}\nvirtual_server_group G {\n10.0.0.2\n}\n", "given twice"},
		{"virtual_server fwmark 3 {\nlb_algo rr\nlb_kind DR\nreal_server 10.0.0.2 {\nTCP_CHECK {\n}\n}\n}\n", "no port"},
		{"weir {\nmark 3 too 10.0.0.1\n}\n", "unknown word"},
		{"weir {\nmark 3 from 10.0.0.1 to ::1\n}\n", "different families"},
		{"weir {\nmark 3 port 9-8\n}\n", "ends before it begins"},
		{"weir {\ndeny\n}\n", "deny lacks its value"},
		{"weir {\nallow 10.0.0.0/40\n}\n", "not a network"},
		{"weir {\ndeny 10.0.0.1 dport 9\n}\n", "deny: unknown word"},
		{"weir {\ndeny 10.0.0.1 port 0\n}\n", "out of range"},
		{"weir {\nservice TCP 10.0.0.1 80 {\n}\n}\n", "no virtual_server"},
		{"weir {\ntimeouts {\nudp 0\n}\n}\n", "out of range"},
		{"weir {\nsloppy_tcp 2\n}\n", "neither 0 nor 1"},
		{"global_defs {\nlvs_timeouts tcp\n}\n", "tcp lacks its value"},
		{"global_defs {\nlvs_timeouts\n}\n", "lacks its times"},
		{service("10.0.0.1 80", "protocol UDP\npersistence_granularity 255.255.255"), "not a netmask"},
	}
	for _, tt := range tests {
		_, diags := parseLinted("test.conf", []byte(tt.in))
		if diags.Errors() != 1 || !strings.Contains(diags.All()[0].Message, tt.want) {
			t.Errorf("%q: got %v, want one error with %q", tt.in, diags.All(), tt.want)
		}
	}
}
