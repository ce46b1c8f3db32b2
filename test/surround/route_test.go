package surround

import (
	"fmt"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"weir/internal/netlnk/nstest"
)

// The way to the servers behind NAT moves to another device of the director: clients are
// answered within 2 s, without a reload.
func TestRouteMoves(t *testing.T) {
	client, router, server := nstest.New(t, "client"), nstest.New(t, "router"), nstest.New(t, "server")
	m := bareMachine(t, "director")
	nstest.Veth(client, "eth0", m.near, "eth0")
	nstest.Veth(m.near, "eth1", router, "eth1")
	nstest.Veth(m.near, "eth2", router, "eth2")
	nstest.Veth(router, "eth3", server, "eth0")
	client.IP("addr", "add", "10.9.0.10/24", "dev", "eth0")
	m.near.Batch("addr add 10.9.0.1/24 dev eth0", "addr add 10.2.0.1/24 dev eth1", "addr add 10.4.0.1/24 dev eth2")
	router.Batch("addr add 10.2.0.254/24 dev eth1", "addr add 10.4.0.254/24 dev eth2", "addr add 10.3.0.254/24 dev eth3")
	server.Batch("addr add 10.3.0.31/24 dev eth0", "route add default via 10.3.0.254")
	router.Do(func() {
		if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0o644); err != nil {
			t.Fatal(err)
		}
	})
	way := func(net int) {
		m.near.IP("route", "replace", "10.3.0.0/24", "via", fmt.Sprintf("10.%d.0.254", net))
		router.IP("route", "replace", "10.9.0.0/24", "via", fmt.Sprintf("10.%d.0.1", net))
	}
	way(2)
	serve(t, server, "10.3.0.31:80")
	m.start(`vrrp_instance V {
  interface eth0
  virtual_router_id 7
  priority 255
  advert_int 1
  virtual_ipaddress {
    10.9.0.100
  }
}
virtual_server 10.9.0.100 80 {
  lb_algo rr
  lb_kind NAT
  protocol TCP
  real_server 10.3.0.31 80 {
  }
}
`)
	defer m.stop()
	answered := func() bool { return ask(client, "10.9.0.100:80") == "served" }
	nstest.WaitFor(t, "an answer by eth1", answered)
	for _, net := range []int{4, 2} {
		way(net)
		begun := time.Now()
		nstest.WaitFor(t, "an answer by the other device", answered)
		if took := time.Since(begun); took > followBound+slack {
			t.Errorf("answered after %s", took)
		}
	}
}

// serve answers connections to an address of a namespace.
func serve(t *testing.T, n *nstest.Namespace, addr string) {
	t.Helper()
	var l net.Listener
	var err error
	n.Do(func() { l, err = net.Listen("tcp4", addr) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			io.WriteString(c, "served")
			c.Close()
		}
	}()
}

// ask is what an address answers, from a namespace; "" is nothing.
func ask(n *nstest.Namespace, addr string) (answer string) {
	n.Do(func() {
		c, err := net.DialTimeout("tcp4", addr, time.Second)
		if err != nil {
			return
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(time.Second))
		text, _ := io.ReadAll(c)
		answer = string(text)
	})
	return answer
}
