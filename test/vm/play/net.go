package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"

	"github.com/vishvananda/netns"
)

// The network of the scenarios. One bridge, in the namespace sw, connects all machines.
//
//	cl     client: 10.0.1.1, fd00:1::1, and every address of 10.9.0.0/16 and fd00:9::/64
//	lb     director, a new one for each play: 10.0.1.254, 10.0.2.254, fd00:1::fe,
//	       fd00:2::fe, the VIPs, and, for marks, all of 10.8.0.0/16 and fd00:8::/64
//	rsN    server: 10.0.2.N, fd00:2::N, the VIPs on lo without ARP; it answers by the
//	       director (NAT), except from a VIP (direct routing, tunnels); the kernel's devices
//	       remove the outer headers of tunnels, of the same family and of the other
const serverCount = 6

var vips = []string{"10.0.1.100", "10.0.1.101", "fd00:1::100", "fd00:1::101"}

const directorMAC = "02:00:00:00:01:fe"

func serverMAC(n int) string { return fmt.Sprintf("02:00:00:00:02:%02x", n) }

// in runs f on a thread in the namespace. Processes that f starts are in the namespace,
// goroutines are not.
func in(ns string, f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with f
		handle, err := netns.GetFromName(ns)
		if err == nil {
			defer handle.Close()
			err = netns.Set(handle)
		}
		if err == nil {
			err = f()
		}
		done <- err
	}()
	return <-done
}

// run runs a command with this text on its standard input.
func run(stdin string, argv ...string) error {
	c := exec.Command(argv[0], argv[1:]...)
	c.Stdin = strings.NewReader(stdin)
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	if err := c.Run(); err != nil {
		return fmt.Errorf("%s: %w: %s\n%s", strings.Join(argv, " "), err, out.String(), stdin)
	}
	return nil
}

// ip runs commands of ip(8), one a line, in the namespace.
func ip(ns string, lines ...string) error {
	return run(strings.Join(lines, "\n")+"\n", "ip", "-n", ns, "-batch", "-")
}

// sysctl sets NAME=VALUE in the namespace.
func sysctl(ns string, settings ...string) error {
	return in(ns, func() error {
		for _, s := range settings {
			name, value, _ := strings.Cut(s, "=")
			if err := os.WriteFile("/proc/sys/"+strings.ReplaceAll(name, ".", "/"), []byte(value), 0o644); err != nil {
				return err
			}
		}
		return nil
	})
}

func makeNet() error {
	// A namespace has its own IPVS only where the module was loaded before it was made.
	if err := run("", "modprobe", "-a", "ip_vs", "veth", "bridge", "ipip", "sit", "ip6_tunnel"); err != nil {
		return err
	}
	if err := run("", "ip", "netns", "add", "sw"); err != nil {
		return err
	}
	if err := ip("sw", "link add br0 type bridge forward_delay 0 mcast_snooping 0", "link set br0 up"); err != nil {
		return err
	}
	err := addMachine("cl", "02:00:00:00:00:01",
		"addr add 10.0.1.1/24 dev eth0", "addr add fd00:1::1/64 dev eth0 nodad",
		"route add local 10.9.0.0/16 dev lo", "route add local fd00:9::/64 dev lo",
		"route add 10.0.2.0/24 via 10.0.1.254", "route add fd00:2::/64 via fd00:1::fe",
		"route add 10.8.0.0/16 via 10.0.1.254", "route add fd00:8::/64 via fd00:1::fe")
	if err != nil {
		return err
	}
	// A client may use a source port again at once.
	if err := sysctl("cl", "net.ipv4.tcp_max_tw_buckets=0"); err != nil {
		return err
	}
	for _, tables := range []string{"iptables", "ip6tables"} { // of connections that are left half open
		if err := run("", "ip", "netns", "exec", "cl", tables, "-A", "OUTPUT", "-p", "tcp", "--sport", "40000:49999", "--tcp-flags", "RST", "RST", "-j", "DROP"); err != nil {
			return err
		}
	}
	for n := 1; n <= serverCount; n++ {
		if err := addServer(n); err != nil {
			return err
		}
	}
	return keepOrder()
}

// keepOrder assigns each flow to one CPU of the guest (RPS), so that its packets stay in
// order. Otherwise each packet is processed by the CPU that sent it: a server's ACK of a FIN,
// sent by the CPU that received the FIN, may come after the server's own FIN, sent by the CPU
// of its program. The client has forgotten the connection by then and sends a reset, which
// turns TIME_WAIT into CLOSE, whose timeout is only 10 seconds.
func keepOrder() error {
	return run("", "ip", "netns", "exec", "sw", "sh", "-c", fmt.Sprintf(
		"for queue in /sys/class/net/*/queues/rx-0; do echo %x >$queue/rps_cpus || exit; done", 1<<runtime.NumCPU()-1))
}

// addMachine makes a namespace whose eth0 is on the bridge.
func addMachine(name, mac string, lines ...string) error {
	if err := run("", "ip", "netns", "add", name); err != nil {
		return err
	}
	if err := sysctl(name, "net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.default.rp_filter=0",
		"net.ipv6.conf.all.accept_dad=0", "net.ipv6.conf.default.accept_dad=0",
		"net.ipv4.ip_nonlocal_bind=1", "net.ipv6.ip_nonlocal_bind=1"); err != nil {
		return err
	}
	if err := ip("sw", "link add "+name+" type veth peer name eth0 netns "+name+" address "+mac, "link set "+name+" master br0 up"); err != nil {
		return err
	}
	return ip(name, append([]string{"link set lo up", "link set eth0 up"}, lines...)...)
}

func addServer(n int) error {
	name := fmt.Sprintf("rs%d", n)
	lines := []string{
		fmt.Sprintf("addr add 10.0.2.%d/24 dev eth0", n), fmt.Sprintf("addr add fd00:2::%d/64 dev eth0 nodad", n),
		"route add default via 10.0.2.254", "route add default via fd00:2::fe",
		"route add default via 10.0.1.1 dev eth0 onlink table 100",
		"route add fd00:1::1/128 dev eth0 table 100", "route add default via fd00:1::1 dev eth0 table 100",
	}
	for _, vip := range vips {
		if strings.Contains(vip, ":") {
			lines = append(lines, "addr add "+vip+"/128 dev lo nodad", "-6 rule add from "+vip+" lookup 100")
		} else {
			lines = append(lines, "addr add "+vip+"/32 dev lo", "rule add from "+vip+" lookup 100")
		}
	}
	if err := addMachine(name, serverMAC(n)); err != nil {
		return err
	}
	if err := sysctl(name, "net.ipv4.conf.all.arp_ignore=1", "net.ipv4.conf.all.arp_announce=2",
		"net.ipv4.tcp_synack_retries=0"); err != nil { // a half-open connection sends nothing later
		return err
	}
	if err := ip(name, "link set tunl0 up", "link set ip6tnl0 up", "link set sit0 up",
		fmt.Sprintf("link add t46 type ip6tnl mode any local fd00:2::%d remote any", n), "link set t46 up"); err != nil {
		return err
	}
	var v6 []string // ip -batch takes the family for the whole batch
	lines = splitOff(lines, "-6 ", &v6)
	if err := ip(name, lines...); err != nil {
		return err
	}
	return run(strings.Join(v6, "\n")+"\n", "ip", "-6", "-n", name, "-batch", "-")
}

// splitOff moves the lines with this prefix to another list, without the prefix.
func splitOff(lines []string, prefix string, to *[]string) (rest []string) {
	for _, l := range lines {
		if after, ok := strings.CutPrefix(l, prefix); ok {
			*to = append(*to, after)
		} else {
			rest = append(rest, l)
		}
	}
	return rest
}

func addDirector(name string) error {
	lines := []string{
		"addr add 10.0.1.254/24 dev eth0", "addr add 10.0.2.254/24 dev eth0",
		"addr add fd00:1::fe/64 dev eth0 nodad", "addr add fd00:2::fe/64 dev eth0 nodad",
		"route add 10.9.0.0/16 via 10.0.1.1", "route add fd00:9::/64 via fd00:1::1",
		"route add local 10.8.0.0/16 dev lo", "route add local fd00:8::/64 dev lo",
	}
	for _, vip := range vips {
		lines = append(lines, "addr add "+vip+" dev eth0")
	}
	for n := 1; n <= serverCount; n++ {
		for _, a := range []string{"10.0.2.%d", "fd00:2::%d"} {
			lines = append(lines, fmt.Sprintf("neigh add "+a+" lladdr %s dev eth0 nud permanent", n, serverMAC(n)))
		}
	}
	if err := addMachine(name, directorMAC, lines...); err != nil {
		return err
	}
	return sysctl(name, "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1",
		"net.ipv4.conf.all.send_redirects=0", "net.ipv4.conf.eth0.send_redirects=0",
		"net.ipv4.icmp_ratelimit=0", "net.ipv6.icmp.ratelimit=0") // no ICMP error is left out
}

// unplug removes the director from the bridge. Its namespace stays until the guest ends,
// since deleting it would keep this slow machine busy.
func unplug(name string) error { return ip("sw", "link del "+name) }
