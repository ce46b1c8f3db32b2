package vm

import (
	"strings"
	"testing"
	"time"
)

// Where the kernel has no ipvlan, an instance with use_ipvlan is in FAULT with the real keepalived
// and with weir, which says what is missing and goes on once it is there. As masters both leave the
// same devices, addresses, routes and settings, and their first advertisement comes from the same
// addresses; each gives way to the other. By weir, services are served on a VIP of the interface and
// on one of the ipvlan device, which answers ARP for it.
func TestIpvlan(t *testing.T) {
	program(t, "weir", "build", "./cmd/weir")
	out, status := guest(t, 10*time.Minute, ipvlanNetwork+ipvlanCompared+ipvlanServed)
	for _, line := range []string{"both are in FAULT", "weir goes on", "both leave the same", "the VIP of the interface is served", "the VIP of the device is served",
		"both are served by the way of the device", "weir and keepalived hear each other", "nothing is left"} {
		if !strings.Contains("\n"+out, "\n"+line+"\n") {
			t.Errorf("status %d, and not said: %s", status, line)
		}
	}
}

const (
	ipvlanNetwork = `set -e
modprobe -a veth bridge
for n in sw director client server other; do ip netns add $n; ip -n $n link set lo up; done
ip -n sw link add br0 type bridge forward_delay 0 mcast_snooping 0
ip -n sw link set br0 up
number=1
for n in director client server other; do
	ip link add eth0 netns $n address 02:00:00:00:00:0$number type veth peer name to-$n netns sw
	ip -n sw link set to-$n master br0 up
	ip -n $n link set eth0 up
	number=$((number + 1))
done
ip -n director addr add 10.1.0.1/24 dev eth0
ip -n director addr add 10.2.0.1/24 dev eth0
ip -n client addr add 10.1.0.10/24 dev eth0
ip -n other addr add 10.1.0.2/24 dev eth0
ip -n server addr add 10.2.0.31/24 dev eth0
ip -n server route add default via 10.2.0.1
mkdir /tmp/web
head -c 100000 /dev/urandom >/tmp/web/file
nsenter --net=/run/netns/server busybox httpd -p 8080 -h /tmp/web
conf() { # words of use_ipvlan, further VIPs
	cat <<end
vrrp_instance VI_1 {
    state BACKUP
    interface eth0
    virtual_router_id 51
    priority 100
    advert_int 1
    use_ipvlan $1
    virtual_ipaddress {
        10.1.0.100/24
        $2
    }
    virtual_ipaddress_excluded {
        2001:db8::7
    }
}
end
}
start() { # keepalived or weir, with the file that stands on the standard input
	cat >/tmp/$1.conf
	case $1 in
	keepalived) set -- $1 keepalived -P -n -l -D -f /tmp/$1.conf -p /tmp/pid -r /tmp/vpid ;;
	weir) set -- $1 build/guest/weir run -f /tmp/$1.conf ;;
	esac
	nsenter --net=/run/netns/director "${@:2}" >/tmp/$1.log 2>&1 &
	running=$!
}
logged() { # a program, a pattern
	for try in $(seq 300); do
		! grep -qiE "$2" /tmp/$1.log || return 0
		kill -0 $running || break
		sleep 0.1
	done
	echo "$1 has not logged $2:"; cat /tmp/$1.log; return 1
}
stop() { kill -TERM $running; wait $running || true; }
`
	ipvlanCompared = `
advert() { # the next one that leaves the director
	: >/tmp/tcpdump
	ip netns exec sw tcpdump -Z root -i to-director -n -e -l -c 1 'ip proto 112' >/tmp/advert 2>/tmp/tcpdump &
	tcpdump=$!
	until grep -q listening /tmp/tcpdump; do kill -0 $tcpdump; sleep 0.1; done
}
told() { # what a master leaves, without weir's marks
	wait $tcpdump
	for try in $(seq 100); do ! ip -n director addr | grep -q 2001:db8::7 || break; sleep 0.1; done
	(
		ip -n director -d -o link show type ipvlan
		ip -n director -o addr
		ip -n director route
		ip -n director -6 route
		nsenter --net=/run/netns/director sh -c 'cd /proc/sys/net/ipv4/conf
			grep . {all,eth0,vrrp.51}/{arp_ignore,arp_filter,rp_filter,promote_secondaries}'
		cat /tmp/advert
	) | sed -E 's/\\ +alias weir//; s/ proto 0x[0-9a-f]+//; s/ valid_lft .*//; s/ qlen [0-9]+//; s/^[0-9]+: //; s/^[0-9:.]+ //; s/, id [0-9]+//' >/tmp/$1.told
}
module=$(modinfo -n ipvlan)
mv $module /tmp/ipvlan.ko
start keepalived < <(conf "10.1.0.200/24")
logged keepalived "unable to create ipvlan interface"
logged keepalived "entering fault state"
stop
mv /tmp/ipvlan.ko $module
advert
start keepalived < <(conf "10.1.0.200/24")
logged keepalived "entering master state"
told keepalived
stop
cat /tmp/keepalived.told
modprobe -r ipvlan
mv $module /tmp/ipvlan.ko
advert
start weir < <(conf "10.1.0.200/24")
logged weir "load the kernel's module ipvlan .modprobe ipvlan."
logged weir "to=FAULT"
logged weir started
echo both are in FAULT
mv /tmp/ipvlan.ko $module
logged weir "to=MASTER"
echo weir goes on
told weir
cat /tmp/weir.told
[ "$(cat /tmp/keepalived.told)" = "$(cat /tmp/weir.told)" ] && echo both leave the same
`
	ipvlanServed = `
{
	conf "vv 10.1.0.201/24 private" "10.1.0.101/32 dev vv" | sed s,100/24,100/32,
	for vip in 10.1.0.100 10.1.0.101; do
		printf 'virtual_server %s 80 {\nlb_algo rr\nlb_kind NAT\nprotocol TCP\nreal_server 10.2.0.31 8080 {\n}\n}\n' $vip
	done
} >/tmp/weir.conf
nsenter --net=/run/netns/director build/guest/weir reload
for try in $(seq 100); do ! ip -n director addr show dev vv | grep -q 10.1.0.101 || break; sleep 0.1; done
ip -n director addr
! ip -n director link show dev vrrp.51 || exit 1
: >/tmp/tcpdump
ip netns exec director tcpdump -Z root -i vv -n -l 'arp[6:2] == 2' >/tmp/arp 2>/tmp/tcpdump &
tcpdump=$!
until grep -q listening /tmp/tcpdump; do kill -0 $tcpdump; sleep 0.1; done
fetch() {
	nsenter --net=/run/netns/client timeout 20 bash -c 'exec 3<>/dev/tcp/'$1'/80
printf "GET /file HTTP/1.0\r\n\r\n" >&3; cat <&3 >/tmp/got'
	[ "$(tail -c 100000 /tmp/got | sha256sum)" = "$(sha256sum </tmp/web/file)" ]
	ip -n client neigh show $1 | grep 02:00:00:00:00:01
}
fetch 10.1.0.100 && echo the VIP of the interface is served
fetch 10.1.0.101
nsenter --net=/run/netns/client ping -c 1 -W 5 10.1.0.101
for try in $(seq 50); do ! grep -q 'Reply 10.1.0.101 is-at 02:00:00:00:00:01' /tmp/arp || break; sleep 0.1; done
grep 'Reply 10.1.0.101 is-at 02:00:00:00:00:01' /tmp/arp && echo the VIP of the device is served
kill $tcpdump
# The way to clients leads by the ipvlan device where the interface has no address of their network.
ip -n director addr del 10.1.0.1/24 dev eth0
ip -n director route get 10.1.0.10 | grep "dev vv"
fetch 10.1.0.100
fetch 10.1.0.101 && echo both are served by the way of the device
conf "10.1.0.202/24" | sed 's/priority 100/priority 150/; s,10.1.0.100/24,10.1.0.100/32\n10.1.0.101/32,' >/tmp/other.conf
nsenter --net=/run/netns/other keepalived -P -n -l -D -f /tmp/other.conf -p /tmp/pid -r /tmp/vpid >/tmp/other.log 2>&1 &
other=$!
logged weir "from=MASTER to=BACKUP"
: >/tmp/weir.log
kill -TERM $other
wait $other || true
logged weir "from=BACKUP to=MASTER"
echo weir and keepalived hear each other
nsenter --net=/run/netns/director build/guest/weir stop --remove
wait $running || true
! ip -n director -o link | grep vv || exit 1
! ip -n director -o addr | grep -E '10.1.0.(100|101|20)' || exit 1
echo nothing is left
`
)
