package surround

import (
	"fmt"
	"strings"
	"time"
)

// kinds are the changes that happen to a machine, each by the name under which it is counted.
var kinds = []struct {
	name string
	do   func(*machine)
}{
	{"address added", func(m *machine) { m.try(m.near, "addr add "+m.pick(addresses...)+" dev "+m.device()) }},
	{"address removed", func(m *machine) { m.try(m.near, "addr del "+m.pick(addresses...)+" dev "+m.device()) }},
	{"own address changed", func(m *machine) {
		n := m.random.IntN(3)
		m.try(m.near, fmt.Sprintf("addr del 10.%d.0.1/24 dev eth%d", n+1, n))
		m.try(m.near, fmt.Sprintf("addr add 10.%d.0.%d/24 dev eth%d", n+1, 11+m.random.IntN(3), n))
	}},
	{"own address comes back", func(m *machine) {
		n := m.random.IntN(3)
		m.try(m.near, fmt.Sprintf("addr add 10.%d.0.1/24 dev eth%d", n+1, n))
	}},
	{"addresses flushed", func(m *machine) { m.try(m.near, "addr flush dev "+m.device()) }},
	{"switched off", func(m *machine) { m.try(m.near, "link set "+m.device()+" down") }},
	{"switched on", func(m *machine) { m.try(m.near, "link set "+m.device()+" up") }},
	{"carrier lost", func(m *machine) { m.try(m.far, "link set "+m.cable()+" down") }},
	{"carrier back", func(m *machine) { m.try(m.far, "link set "+m.cable()+" up") }},
	{"network restarted", func(m *machine) {
		n := m.random.IntN(3)
		m.try(m.near, fmt.Sprintf("link set eth%d down", n))
		m.try(m.near, fmt.Sprintf("addr flush dev eth%d", n))
		m.try(m.near, fmt.Sprintf("addr add 10.%d.0.1/24 dev eth%d", n+1, n))
		m.try(m.near, fmt.Sprintf("link set eth%d up", n))
	}},
	{"renamed", func(m *machine) {
		m.mixed = true
		d := m.device()
		if m.random.IntN(2) == 0 {
			m.try(m.near, "link set "+d+" down")
		}
		m.try(m.near, "link set "+d+" name "+m.pick("eth0", "eth1", "eth2", "eth8"))
		m.try(m.near, "link set "+m.device()+" up")
	}},
	{"deleted", func(m *machine) {
		m.mixed = true
		m.try(m.near, "link del "+m.device())
	}},
	{"made anew", func(m *machine) {
		m.mixed = true
		n := m.random.IntN(3)
		index := ""
		if m.random.IntN(2) == 0 { // under the number that it had
			if l, err := m.look().Link(fmt.Sprintf("eth%d", n)); err == nil {
				index = fmt.Sprintf("index %d", l.Index)
			}
		}
		m.try(m.near, fmt.Sprintf("link del eth%d", n))
		m.plug(n, index)
		m.try(m.near, fmt.Sprintf("link set eth%d up", n))
		m.try(m.near, fmt.Sprintf("addr add 10.%d.0.1/24 dev eth%d", n+1, n))
	}},
	{"taken to another namespace and back", func(m *machine) {
		m.mixed = true
		d := m.device()
		m.try(m.near, "link set "+d+" netns "+m.far.Name)
		m.try(m.far, "link set "+d+" netns "+m.near.Name)
		m.try(m.near, "link set "+d+" up")
		m.try(m.near, "addr add "+m.pick(addresses...)+" dev "+d)
	}},
	{"another Ethernet address", func(m *machine) {
		m.try(m.near, fmt.Sprintf("link set %s address 02:00:00:00:00:%02x", m.device(), 1+m.random.IntN(4)))
	}},
	{"a router with another Ethernet address", func(m *machine) {
		m.try(m.far, fmt.Sprintf("link set %s address 02:00:00:00:01:%02x", m.cable(), 1+m.random.IntN(4)))
	}},
	{"another MTU", func(m *machine) { m.try(m.near, "link set "+m.device()+" mtu "+m.pick("1500", "1400", "1280")) }},
	{"port of a bridge", func(m *machine) { m.try(m.near, "link set "+m.device()+" master br0") }},
	{"no port any more", func(m *machine) { m.try(m.near, "link set "+m.device()+" nomaster") }},
	{"route moved", func(m *machine) {
		m.try(m.near, "route replace 10.9.0.0/24 via "+m.pick("10.1.0.254", "10.2.0.254", "10.3.0.254"))
	}},
	{"route removed", func(m *machine) { m.try(m.near, "route del 10.9.0.0/24") }},
	{"route to a server", func(m *machine) {
		m.try(m.near, m.pick("route replace 10.9.0.31/32 dev eth2", "route replace unreachable 10.9.0.32/32",
			"route replace 10.9.0.32/32 via 10.1.0.254 mtu 1300", "route del 10.9.0.31/32", "route del 10.9.0.32/32", "route del unreachable 10.9.0.32/32"))
	}},
	{"default route", func(m *machine) {
		m.try(m.near, m.pick("route replace default via 10.1.0.254", "route replace default via 10.3.0.254", "route del default"))
	}},
	{"nexthop object", func(m *machine) {
		m.try(m.near, m.pick("nexthop replace id 7 via 10.1.0.254 dev eth0", "nexthop replace id 7 via 10.3.0.254 dev eth2", "nexthop del id 7",
			"route replace 10.9.0.0/24 nhid 7", "route replace 10.9.0.31/32 nhid 7"))
	}},
	{"rule", func(m *machine) {
		m.try(m.near, m.pick("rule add to 10.9.0.0/24 table 77", "rule del to 10.9.0.0/24 table 77", "route replace 10.9.0.0/24 via 10.3.0.254 table 77", "route flush table 77"))
	}},
	{"IPv6 off or on", func(m *machine) {
		m.sysctl(fmt.Sprintf("net/ipv6/conf/eth%d/disable_ipv6", m.random.IntN(3)), m.pick("0", "1"))
	}},
	{"neighbour", func(m *machine) {
		a := m.pick("10.1.0.254", "10.2.0.254", "10.2.0.31", "10.3.0.31")
		m.try(m.near, m.pick("neigh replace "+a+" lladdr 02:00:00:00:02:01 nud permanent dev "+m.device(), "neigh del "+a+" dev "+m.device()))
	}},
	{"VIPs taken away", func(m *machine) {
		m.try(m.near, m.pick("addr del 10.1.0.100/32 dev eth0", "addr del 10.2.0.100/24 dev eth1", "addr del 10.3.0.102/24 dev eth2"))
	}},
	{"reloaded", func(m *machine) { m.reload(m.pick(configuration, reordered)) }},
	{"a while", func(m *machine) { time.Sleep(time.Duration(m.random.IntN(200)) * time.Millisecond) }},
}

// reordered is the configuration with its first instance last, and another VIP less.
var reordered = func() string {
	first, rest, _ := strings.Cut(configuration, "vrrp_instance W")
	instances, services, _ := strings.Cut(rest, "virtual_server 10.1.0.100")
	return "vrrp_instance W" + strings.Replace(instances, "    10.3.0.101 dev eth2 no_track\n", "", 1) + first + "virtual_server 10.1.0.100" + services
}()

// addresses are those that come and go, whichever device they fit.
var addresses = []string{
	"10.1.0.1/24", "10.1.0.7/24", "10.1.0.8/32", "10.2.0.1/24", "10.2.0.9/24", "10.3.0.1/24", "10.3.0.2/16", "10.3.0.1/32", "2001:db8:1::1/64",
}

// change does one of them, and at times waits a moment.
func (m *machine) change() (name string) {
	k := kinds[m.random.IntN(len(kinds))]
	k.do(m)
	if m.random.IntN(3) == 0 {
		time.Sleep(time.Duration(m.random.IntN(40)) * time.Millisecond)
	}
	return k.name
}

func (m *machine) pick(from ...string) string { return from[m.random.IntN(len(from))] }

// device is one of the machine's, more often one that weir uses.
func (m *machine) device() string {
	return m.pick("eth0", "eth1", "eth2", "eth0", "eth1", "eth2", "eth8")
}

// cable is the far end of one.
func (m *machine) cable() string { return m.pick("p0", "p1", "p2") }
