package netlnk

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// The hooks that come in behind the data plane's place (include/uapi/linux/netfilter.h),
// by family: what is routed, and what a device receives.
var (
	routedHooks = map[uint32]bool{unix.NF_INET_PRE_ROUTING: true, unix.NF_INET_LOCAL_IN: true, unix.NF_INET_FORWARD: true, inetIngress: true}
	deviceHooks = map[uint32]bool{unix.NF_NETDEV_INGRESS: true}
)

// inetIngress, netdevEgress and policyDrop are NF_INET_INGRESS, NF_NETDEV_EGRESS and NF_DROP of
// that header.
const (
	inetIngress  = 5
	netdevEgress = 1
	policyDrop   = 0
)

// firewallFamilies are the families of nftables' tables whose chains filter IP packets.
var firewallFamilies = map[uint8]struct {
	name  string
	hooks map[uint32]bool
}{
	unix.NFPROTO_IPV4: {"ip", routedHooks}, unix.NFPROTO_IPV6: {"ip6", routedHooks},
	unix.NFPROTO_INET: {"inet", routedHooks}, unix.NFPROTO_NETDEV: {"netdev", deviceHooks},
}

// FirewallChains are nftables' chains that filter what comes in and have rules, or drop
// what no rule takes: "inet filter input"; iptables writes such chains. In the end stand
// tables of iptables' legacy form that have rules: "iptables-legacy filter".
func FirewallChains() ([]string, error) {
	chains, err := nftablesChains()
	if err != nil {
		return nil, err
	}
	return append(chains, legacyTables()...), nil
}

// ChainsAtEgress says whether nftables has chains for what leaves by devices.
func ChainsAtEgress() (yes bool, err error) {
	err = eachChain(func(m []byte) {
		hook := nested(nested(m[nl.SizeofNfgenmsg:])[unix.NFTA_CHAIN_HOOK])
		yes = yes || m[0] == unix.NFPROTO_NETDEV && hook[unix.NFTA_HOOK_HOOKNUM] != nil && number(hook[unix.NFTA_HOOK_HOOKNUM]) == netdevEgress
	})
	return yes, err
}

// nftablesChains are none on a kernel without nftables.
func nftablesChains() (chains []string, err error) {
	err = eachChain(func(m []byte) {
		if name, ok := filteringChain(m); ok {
			chains = append(chains, name)
		}
	})
	slices.Sort(chains)
	return chains, err
}

// eachChain calls a function with each of nftables' chains, as a message of netfilter.
func eachChain(each func(message []byte)) error {
	const getChain = unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_GETCHAIN
	messages, err := dump(func() ([][]byte, error) {
		request := nl.NewNetlinkRequest(getChain, unix.NLM_F_DUMP)
		request.AddData(&nl.Nfgenmsg{NfgenFamily: unix.NFPROTO_UNSPEC, Version: nl.NFNETLINK_V0})
		return request.Execute(unix.NETLINK_NETFILTER, 0)
	})
	if err == unix.EINVAL || err == unix.EOPNOTSUPP || err == unix.EPROTONOSUPPORT {
		return nil
	}
	if err != nil {
		return fmt.Errorf("list the firewall's chains: %w", err)
	}
	for _, m := range messages {
		if len(m) >= nl.SizeofNfgenmsg {
			each(m)
		}
	}
	return nil
}

// filteringChain is the name of the chain that a message tells of, where it filters what
// comes in. Numbers are in network byte order.
func filteringChain(m []byte) (name string, ok bool) {
	family, known := firewallFamilies[m[0]]
	attrs := nested(m[nl.SizeofNfgenmsg:])
	hook := nested(attrs[unix.NFTA_CHAIN_HOOK])
	if !known || attrs[unix.NFTA_CHAIN_HOOK] == nil || text(attrs[unix.NFTA_CHAIN_TYPE]) != "filter" {
		return "", false
	}
	drops := len(attrs[unix.NFTA_CHAIN_POLICY]) == 4 && number(attrs[unix.NFTA_CHAIN_POLICY]) == policyDrop
	if !family.hooks[number(hook[unix.NFTA_HOOK_HOOKNUM])] || !drops && number(attrs[unix.NFTA_CHAIN_USE]) == 0 {
		return "", false
	}
	return strings.Join([]string{family.name, text(attrs[unix.NFTA_CHAIN_TABLE]), text(attrs[unix.NFTA_CHAIN_NAME])}, " "), true
}

// nested are the attributes in a message or in another attribute, by their types; none where it
// has no such form.
func nested(b []byte) map[uint16][]byte {
	all := map[uint16][]byte{}
	list, err := nl.ParseRouteAttr(b)
	if err != nil {
		return all
	}
	for _, a := range list {
		all[a.Attr.Type&^(unix.NLA_F_NESTED|unix.NLA_F_NET_BYTEORDER)] = a.Value
	}
	return all
}

func text(b []byte) string { return strings.TrimRight(string(b), "\x00") }

// number is 0 where there is none.
func number(b []byte) uint32 {
	if len(b) < 4 {
		return 0
	}
	return binary.BigEndian.Uint32(b)
}
