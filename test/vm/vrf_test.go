package vm

import (
	"strings"
	"testing"
	"time"
)

// An instance of weir's and one of the real keepalived's, whose interfaces are in VRFs, hear each
// other by unicast: each gives way to the other.
func TestVRF(t *testing.T) {
	program(t, "weir", "build", "./cmd/weir")
	out, status := guest(t, 5*time.Minute, `set -e
modprobe -a veth vrf
for n in weir keepalived; do ip netns add $n; ip -n $n link set lo up; done
ip link add eth0 netns weir type veth peer name eth0 netns keepalived
number=1
for n in weir keepalived; do
	ip -n $n link add blue type vrf table 10
	ip -n $n link set blue up
	ip -n $n link set eth0 master blue
	ip -n $n link set eth0 up
	ip -n $n addr add 10.1.0.$number/24 dev eth0
	number=$((number + 1))
done
conf() { # its number, the other's, its priority
	cat <<end
vrrp_instance VI_1 {
    state BACKUP
    interface eth0
    virtual_router_id 51
    priority $3
    advert_int 1
    unicast_src_ip 10.1.0.$1
    unicast_peer {
        10.1.0.$2
    }
    virtual_ipaddress {
        10.1.0.100/24 dev eth0
    }
}
end
}
logged() { # a program, a pattern
	for try in $(seq 300); do
		! grep -qiE "$2" /tmp/$1.log || return 0
		sleep 0.1
	done
	echo "$1 has not logged $2:"; cat /tmp/$1.log; return 1
}
conf 1 2 100 >/tmp/weir.conf
nsenter --net=/run/netns/weir build/guest/weir run -f /tmp/weir.conf >/tmp/weir.log 2>&1 &
logged weir "to=MASTER"
conf 2 1 150 >/tmp/keepalived.conf
nsenter --net=/run/netns/keepalived keepalived -P -n -l -D -f /tmp/keepalived.conf -p /tmp/pid -r /tmp/vpid >/tmp/keepalived.log 2>&1 &
keepalived=$!
logged weir "from=MASTER to=BACKUP"
logged keepalived "entering master state"
: >/tmp/weir.log
kill -TERM $keepalived
wait $keepalived || true
logged weir "from=BACKUP to=MASTER"
ip -n weir addr show dev eth0 | grep 10.1.0.100
nsenter --net=/run/netns/weir build/guest/weir stop
echo they hear each other`)
	if status != 0 || !strings.Contains(out, "they hear each other") {
		t.Errorf("status %d", status)
	}
}
