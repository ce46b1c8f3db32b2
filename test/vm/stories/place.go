package main

import (
	"fmt"
	"strings"
)

// place is where a story is told: a folder, and three namespaces. One is keepalived's, 10.0.0.2,
// one weir's, 10.0.0.3, and in the third is the real server of stories that have one, 10.0.0.11.
type place int

func (p place) dir() string        { return fmt.Sprint("/tmp/story", int(p)) }
func (p place) keepalived() string { return fmt.Sprint("keepalived", int(p)) }
func (p place) weir() string       { return fmt.Sprint("weir", int(p)) }
func (p place) server() string     { return fmt.Sprint("server", int(p)) }

// make makes the folder and the namespaces.
func (p place) make() error {
	_, err := run(strings.NewReplacer("DIR", p.dir(), "KEEPALIVED", p.keepalived(), "WEIR", p.weir(), "SERVER", p.server()).Replace(`set -e
mkdir -p DIR/server
for n in KEEPALIVED WEIR SERVER; do ip netns add $n; ip -n $n link set lo up; done
ip -n SERVER link add br0 type bridge forward_delay 0 mcast_snooping 0
ip -n SERVER link set br0 up
ip -n SERVER addr add 10.0.0.11/24 dev br0
host=2
for n in KEEPALIVED WEIR; do
	ip -n SERVER link add $n type veth peer name eth0 netns $n
	ip -n SERVER link set $n master br0 up
	ip -n $n addr add 10.0.0.$host/24 dev eth0
	ip -n $n link set eth0 up
	host=$((host + 1))
done
# The kernel refuses a datagram by ICMP only so often a second, and here two ask.
ip netns exec SERVER sysctl -qw net.ipv4.icmp_ratelimit=0
cat >DIR/note <<'end'
#!/bin/bash
# The arguments behind the first, which is the file, as one line.
file=$1
shift
IFS=,
echo "$*" >>"$file"
end
chmod 755 DIR/note`))
	return err
}

// in runs a line of shell in a namespace.
func in(ns, line string) (string, error) {
	return run("exec nsenter --net=/run/netns/" + ns + " bash -c '" + strings.ReplaceAll(line, "'", `'\''`) + "'")
}
