package conf

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// The devices of use_vmac have keepalived's names, and the addresses stand on them.
func TestDevicesOfUseVMAC(t *testing.T) {
	cfg, diags := Parse("test.conf", []byte(`global_defs {
    vmac_addr_prefix other
}
vrrp_instance A {
    interface eth0
    virtual_router_id 51
    use_vmac
    use_vmac_addr
    virtual_ipaddress {
        192.0.2.1
        192.0.2.2 dev eth0
        192.0.2.3 dev eth1
    }
    virtual_ipaddress_excluded {
        2001:db8::1
    }
}
vrrp_instance B {
    interface eth0
    virtual_router_id 52
    use_vmac name v6 group 7
    virtual_ipaddress {
        2001:db8::2
    }
}
vrrp_instance C {
    interface eth2
    virtual_router_id 51
    use_vmac 02:00:00:00:07
    vmac_xmit_base
    virtual_ipaddress {
        192.0.2.4
        192.0.2.5 dev eth0
        192.0.2.6 dev eth3 use_vmac
    }
}
`))
	if cfg == nil {
		t.Fatal(diags.All())
	}
	var got []string
	for _, i := range cfg.VRRPInstances {
		for _, v := range i.OwnDevices() {
			got = append(got, fmt.Sprint(i.Name, " ", v.Name, "@", v.Base, " ", v.MAC))
		}
		for _, a := range i.Addresses() {
			got = append(got, fmt.Sprint(i.Name, " ", a.Prefix.Addr(), " ", a.Device))
		}
		got = append(got, i.Name+" sends by "+i.Sender())
	}
	want := []string{
		"A vrrp.51@eth0 00:00:5e:00:01:33", "A other.51@eth1 00:00:5e:00:01:33", "A other6.51@eth0 00:00:5e:00:02:33",
		"A 192.0.2.1 vrrp.51", "A 192.0.2.2 vrrp.51", "A 192.0.2.3 other.51", "A 2001:db8::1 other6.51", "A sends by vrrp.51",
		"B v6@eth0 00:00:5e:00:02:34", "B 2001:db8::2 v6", "B sends by v6",
		"C vrrp1.51@eth2 02:00:00:00:07:33", "C other1.51@eth3 02:00:00:00:07:33",
		"C 192.0.2.4 vrrp1.51", "C 192.0.2.5 eth0", "C 192.0.2.6 other1.51", "C sends by eth2",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// The kernel has an Ethernet address once on an interface.
func TestTwoOfOneMACAreRefused(t *testing.T) {
	instance := func(name, vrid string) string {
		return "vrrp_instance " + name + " {\ninterface eth0\nvirtual_router_id " + vrid + "\nuse_vmac v" + name + " 02:00:00:00:00:01\nvirtual_ipaddress {\n192.0.2." + vrid + "\n}\n}\n"
	}
	cfg, diags := Parse("test.conf", []byte(instance("A", "1")+instance("B", "2")))
	if all := diags.All(); cfg != nil || !strings.Contains(fmt.Sprint(all), "which vrrp_instance A has there") {
		t.Errorf("config %v, diagnostics %v", cfg, all)
	}
}

// The device of use_ipvlan has keepalived's name and its address; advertisements come from there,
// and the VIPs stay on the interface but for those that name the device.
func TestDevicesOfUseIpvlan(t *testing.T) {
	cfg, diags := Parse("test.conf", []byte(`vrrp_instance A {
    interface eth0
    virtual_router_id 51
    use_ipvlan 192.0.2.200/24 private
    virtual_ipaddress {
        192.0.2.1
        192.0.2.2 dev eth1
    }
}
vrrp_instance B {
    interface eth0
    virtual_router_id 51
    use_ipvlan name bridge group 7
    virtual_ipaddress {
        2001:db8::2
        2001:db8::3 dev bridge
    }
}
vrrp_instance C {
    interface eth1
    virtual_router_id 52
    use_ipvlan vepa 192.0.2.201
    use_vmac
    unicast_src_ip 192.0.2.202
    unicast_peer {
        192.0.2.203
    }
    virtual_ipaddress {
        192.0.2.4
    }
    virtual_ipaddress_excluded {
        2001:db8::4
    }
}
`))
	if cfg == nil {
		t.Fatal(diags.All())
	}
	var got []string
	for _, i := range cfg.VRRPInstances {
		for _, v := range i.OwnDevices() {
			got = append(got, fmt.Sprint(i.Name, " ", v.Name, "@", v.Base, " ", v.MAC, " ", v.Ipvlan, " ", v.Addr, " IPv6=", v.IPv6))
		}
		for _, a := range i.Addresses() {
			got = append(got, fmt.Sprint(i.Name, " ", a.Prefix.Addr(), " ", a.Device, " ", a.Base))
		}
		got = append(got, fmt.Sprint(i.Name, " sends by ", i.Sender(), " from ", i.SourceIP))
	}
	want := []string{
		"A vrrp.51@eth0  private 192.0.2.200/24 IPv6=false", "A 192.0.2.1 eth0 ", "A 192.0.2.2 eth1 ", "A sends by vrrp.51 from 192.0.2.200",
		"B bridge@eth0  bridge invalid Prefix IPv6=true", "B 2001:db8::2 eth0 ", "B 2001:db8::3 bridge eth0", "B sends by bridge from invalid IP",
		"C vrrp.52@eth1  vepa 192.0.2.201/32 IPv6=true", "C 192.0.2.4 eth1 ", "C 2001:db8::4 eth1 ", "C sends by vrrp.52 from 192.0.2.202",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if all := fmt.Sprint(diags.All()); !strings.Contains(all, "use_vmac has no effect beside use_ipvlan") {
		t.Errorf("nothing says that use_vmac is left out: %s", all)
	}
}

// An ipvlan device's address is of the instance's family.
func TestIpvlanOfAnotherFamilyIsRefused(t *testing.T) {
	cfg, diags := Parse("test.conf", []byte("vrrp_instance A {\ninterface eth0\nvirtual_router_id 1\nuse_ipvlan 2001:db8::1\nvirtual_ipaddress {\n192.0.2.1\n}\n}\n"))
	if cfg != nil || !strings.Contains(fmt.Sprint(diags.All()), "2001:db8::1 is not of the family") {
		t.Errorf("config %v, diagnostics %v", cfg, diags.All())
	}
}
