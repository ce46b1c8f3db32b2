package dataplane

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"weir/internal/dataplane/abi"
	"weir/internal/netlnk/nstest"
	"weir/lvs"
)

// eachSummed runs a test for each way to read who sums a checksum that this kernel has.
func eachSummed(t *testing.T, body func(t *testing.T, by func(*bench))) {
	best, bit := summedHere()
	for by, name := range []string{abi.SummedByHelpers: "helpers", abi.SummedByMemory: "memory", abi.SummedByMember: "member"} {
		if uint32(by) > best {
			t.Logf("this kernel has no %s", name)
			continue
		}
		t.Run(name, func(t *testing.T) {
			body(t, func(b *bench) {
				variables := b.spec.Variables
				if err := errors.Join(variables[abi.BpfVarSummedBy].Set(uint32(by)),
					variables[abi.BpfVarSummedAt].Set(bit/8), variables[abi.BpfVarSummedShift].Set(bit%8)); err != nil {
					t.Fatal(err)
				}
			})
		})
	}
}

// summedFlow is a connection behind NAT, whose packets are compared on both sides.
type summedFlow struct {
	proto, client, vip, server string
}

var summedFlows = []summedFlow{
	{"tcp", "198.51.100.9:%d", "192.0.2.100:80", "192.0.2.11:8080"},
	{"udp", "198.51.100.9:%d", "192.0.2.100:80", "192.0.2.11:8080"},
	{"tcp", "198.51.100.9:%d", "192.0.2.100:81", "192.0.2.11:81"},
	{"tcp", "[2001:db8:9::9]:%d", "[2001:db8::100]:80", "[2001:db8::11]:8080"},
	{"udp", "[2001:db8:9::9]:%d", "[2001:db8::100]:80", "[2001:db8::11]:8080"},
	{"udp", "[2001:db8:9::9]:%d", "[2001:db8::100]:81", "[2001:db8::11]:81"},
}

func summedPlan() (plan lvs.Plan) {
	for _, f := range []struct {
		vip    string
		server string
	}{{"192.0.2.100", "192.0.2.11"}, {"2001:db8::100", "2001:db8::11"}} {
		for port, at := range map[uint16]uint16{80: 8080, 81: 81} {
			for _, proto := range []lvs.Protocol{lvs.TCP, lvs.UDP} {
				s := virtual(proto, addr(f.vip), lvs.RoundRobin, masqueraded(f.server, at))
				s.Port = port
				plan.Services = append(plan.Services, s)
			}
		}
	}
	return plan
}

// packets are those of one connection in turn, and what is to become of each. The third of
// the client and the second of the server go by the flow cache.
func (f summedFlow) packets(port int, payload string) (in, out []frame) {
	f.client = fmt.Sprintf(f.client, port)
	ask := frame{dst: ourMAC, src: clientMAC, from: f.client, to: f.vip, proto: f.proto, payload: payload}
	answer := frame{dst: ourMAC, src: rs1MAC, from: f.server, to: f.client, proto: f.proto, payload: payload}
	for _, p := range []frame{ask.with("S"), answer.with("SA"), ask.with("A"), ask.with("PA"), answer.with("A"), answer.with("PA")} {
		sent := p.sentOn(rs1MAC, f.server)
		if p.src == rs1MAC {
			sent = p.forwarded(clientMAC)
			sent.from = f.vip
		}
		in, out = append(in, p), append(out, sent)
	}
	return in, out
}

// Whoever is to finish a packet's checksum, and however many segments it has, NAT leaves it
// as it should be for the next who does: real packets through a veth pair.
func TestNATWhoeverSums(t *testing.T) {
	eachSummed(t, func(t *testing.T, set func(*bench)) {
		name := nsName(t)
		ns, far := nstest.New(t, name), nstest.New(t, name+"x")
		nstest.Veth(ns, "eth0", far, "eth0")
		ns.Batch("link set eth0 address "+ourMAC, "addr add 192.0.2.1/24 dev eth0 nodad", "addr add 2001:db8::1/64 dev eth0 nodad",
			"neigh add 192.0.2.11 lladdr "+rs1MAC+" dev eth0 nud permanent", "neigh add 2001:db8::11 lladdr "+rs1MAC+" dev eth0 nud permanent")
		var wire vnet
		far.Do(func() { wire = openVNet(t) })
		onNetwork(t, ns, name, 1<<15, func(b *bench) {
			set(b)
			plan := summedPlan()
			plan.Devices = []lvs.Device{{Name: "eth0", Hook: lvs.HookTC}}
			b.set(t, plan)
			port := 4000
			for _, f := range summedFlows {
				for _, payload := range []string{"", "odd", strings.Repeat("long", 1000)} {
					for _, partial := range []bool{false, true} {
						if len(payload) > 1400 && !partial {
							continue
						}
						port++
						t.Run(fmt.Sprint(f.proto, f.vip, len(payload), partial), func(t *testing.T) { wire.carry(t, f, port, payload, partial) })
					}
				}
			}
		})
	})
}

func (v vnet) carry(t *testing.T, f summedFlow, port int, payload string, partial bool) {
	in, out := f.packets(port, payload)
	for i := range in {
		sent := v.packet(in[i], partial)
		v.send(t, sent)
		want := v.packet(out[i], partial)
		got := v.receive(t, want)
		if diff := cmp.Diff(dump(want), dump(got)); diff != "" {
			t.Fatalf("packet %d, virtio header in front (-want +got):\n%s", i, diff)
		}
	}
}

// The sum of the whole packet that a device has told stays right. Test runs of Linux 6.15 on
// compare it.
func TestNATOfSummedPackets(t *testing.T) {
	const checksumComplete = 1 << 2 // BPF_F_TEST_SKB_CHECKSUM_COMPLETE, linux/bpf.h
	eachSummed(t, func(t *testing.T, set func(*bench)) {
		withPlane(t, summedPlan(), func(b *bench) {
			set(b)
			run := func(in []byte) ([]byte, error) {
				o := &ebpf.RunOptions{Data: in, DataOut: make([]byte, len(in)+256), Flags: checksumComplete, Context: skbContext{Ifindex: uint32(b.index)}}
				_, err := b.tc().Run(o)
				return o.DataOut, err
			}
			if _, err := run(syn(1).bytes()); errors.Is(err, unix.EINVAL) {
				t.Skip("this kernel's test runs know no sum of the whole packet")
			}
			port := 4000
			for _, f := range summedFlows {
				best, _ := summedHere()
				if strings.HasPrefix(f.client, "[") && (best == abi.SummedByHelpers || t.Name() == "TestNATOfSummedPackets/helpers") {
					continue // the helpers know it from Linux 6.16 on, by a flag of their own
				}
				for _, payload := range []string{"", "odd", strings.Repeat("long", 300)} {
					port++
					in, out := f.packets(port, payload)
					for i := range in {
						got, err := run(in[i].bytes())
						if err != nil {
							t.Fatalf("%s to %s, packet %d: %v", f.proto, f.vip, i, err)
						}
						if diff := cmp.Diff(dump(out[i].bytes()), dump(got)); diff != "" {
							t.Fatalf("%s to %s, packet %d (-want +got):\n%s", f.proto, f.vip, i, diff)
						}
					}
				}
			}
		})
	})
}

// A vnet is a socket on which frames have a struct virtio_net_hdr in front: it tells of a
// checksum that is to be finished, and of segments (linux/virtio_net.h).
type vnet int

const (
	vnetBytes     = 10
	vnetPartial   = 1 // VIRTIO_NET_HDR_F_NEEDS_CSUM
	vnetTCP4      = 1 // VIRTIO_NET_HDR_GSO_TCPV4
	vnetTCP6      = 4 // VIRTIO_NET_HDR_GSO_TCPV6
	vnetUDP       = 5 // VIRTIO_NET_HDR_GSO_UDP_L4
	vnetSegment   = 1000
	packetVnetHdr = 15 // PACKET_VNET_HDR, linux/if_packet.h
)

// openVNet opens it on eth0 of the namespace that it is called in.
func openVNet(t *testing.T) vnet {
	t.Helper()
	dev, err := net.InterfaceByName("eth0")
	if err != nil {
		t.Fatal(err)
	}
	v := vnet(openCable(t, dev.Index))
	limit := unix.NsecToTimeval(int64(30 * time.Second))
	if err := errors.Join(unix.SetsockoptInt(int(v), unix.SOL_PACKET, packetVnetHdr, 1),
		unix.SetsockoptTimeval(int(v), unix.SOL_SOCKET, unix.SO_RCVTIMEO, &limit)); err != nil {
		t.Fatal(err)
	}
	return v
}

// packet is the frame behind its header. A long one is several segments.
func (v vnet) packet(f frame, partial bool) []byte {
	head, b := make([]byte, vnetBytes), f.bytes()
	l4, check := f.transportAt()
	if !partial {
		return append(head, b...)
	}
	half(b, l4, check)
	head[0] = vnetPartial
	headers := l4 + 20
	if f.proto == "udp" {
		headers = l4 + 8
	}
	if len(b) > 1514 {
		head[1] = map[string]byte{"tcp4": vnetTCP4, "tcp6": vnetTCP6, "udp4": vnetUDP, "udp6": vnetUDP}[f.proto+map[byte]string{8: "4", 0x86: "6"}[b[12]]]
		binary.LittleEndian.PutUint16(head[2:], uint16(headers))
		binary.LittleEndian.PutUint16(head[4:], vnetSegment)
	}
	binary.LittleEndian.PutUint16(head[6:], uint16(l4))
	binary.LittleEndian.PutUint16(head[8:], uint16(check-l4))
	return append(head, b...)
}

func (v vnet) send(t *testing.T, packet []byte) {
	t.Helper()
	if _, err := unix.Write(int(v), packet); err != nil {
		t.Fatal(err)
	}
}

// receive reads the next frame that is from weir and as long, with a header of which only
// those fields stay that are compared.
func (v vnet) receive(t *testing.T, want []byte) []byte {
	t.Helper()
	buffer := make([]byte, 1<<16)
	for {
		n, from, err := unix.Recvfrom(int(v), buffer, 0)
		if err != nil {
			t.Fatalf("waiting for a frame: %v", err)
		}
		sender, ok := from.(*unix.SockaddrLinklayer)
		if !ok || sender.Pkttype == unix.PACKET_OUTGOING || n != len(want) || !bytes.Equal(buffer[vnetBytes:vnetBytes+12], want[vnetBytes:vnetBytes+12]) {
			continue
		}
		got := buffer[:n]
		got[0] &= vnetPartial // not whether somebody has verified it
		if got[1] != 0 {      // how long the headers are is a hint
			copy(got[2:4], want[2:4])
		}
		return got
	}
}
