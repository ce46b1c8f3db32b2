package vm

import (
	"strings"
	"testing"
	"time"
)

// A client in one VLAN and a server behind NAT in another, both on one link to the director,
// which has a VLAN device for each with weir attached: a megabyte arrives whole. The test runs
// in the guest because not every kernel has VLAN devices.
func TestVLANDevices(t *testing.T) {
	program(t, "weir", "build", "./cmd/weir")
	out, status := guest(t, 5*time.Minute, `set -e
modprobe -a 8021q veth
for n in director trunk client server; do ip netns add $n; ip -n $n link set lo up; done
ip link add eth0 netns director type veth peer name eth0 netns trunk
for n in director trunk; do
	ip -n $n link set eth0 up
	for id in 100 200; do ip -n $n link add link eth0 name eth0.$id type vlan id $id; done
done
ip -n trunk link set eth0.100 netns client
ip -n trunk link set eth0.200 netns server
for n in director:100 director:200 client:100 server:200; do ip -n ${n%:*} link set eth0.${n#*:} up; done
ip -n director addr add 10.1.0.1/24 dev eth0.100
ip -n director addr add 10.1.0.100/32 dev eth0.100
ip -n director addr add 10.2.0.1/24 dev eth0.200
ip -n client addr add 10.1.0.10/24 dev eth0.100
ip -n server addr add 10.2.0.31/24 dev eth0.200
ip -n server route add default via 10.2.0.1
cat >/tmp/weir.conf <<end
virtual_server 10.1.0.100 80 {
    lb_algo rr
    lb_kind NAT
    protocol TCP
    real_server 10.2.0.31 8080 {
        weight 1
    }
}
weir {
    device eth0.100 {
        hook tc
    }
    device eth0.200 {
        hook tc
    }
}
end
mkdir /tmp/web
head -c 1000000 /dev/urandom >/tmp/web/file
nsenter --net=/run/netns/server busybox httpd -p 8080 -h /tmp/web
nsenter --net=/run/netns/director build/guest/weir run -f /tmp/weir.conf 2>/tmp/log &
until grep -q started /tmp/log; do kill -0 $! || { cat /tmp/log; exit 1; }; sleep 0.2; done
nsenter --net=/run/netns/client timeout 20 bash -c 'exec 3<>/dev/tcp/10.1.0.100/80
printf "GET /file HTTP/1.0\r\n\r\n" >&3; cat <&3 >/tmp/got'
[ "$(tail -c 1000000 /tmp/got | sha256sum)" = "$(sha256sum </tmp/web/file)" ]
echo the file came whole`)
	if status != 0 || !strings.Contains(out, "the file came whole") {
		t.Errorf("status %d", status)
	}
}
