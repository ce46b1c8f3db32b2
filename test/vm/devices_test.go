package vm

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// models are the cards that QEMU emulates, by the names that this test has for their kinds. A
// tap is a card of two queues at a bridge of the host, as a virtual machine has it: what it
// takes and brings may lack checksums, and be as long as segments are.
var models = map[string]string{
	"virtio": "virtio-net-pci", "e1000": "e1000", "e1000e": "e1000e", "vmxnet3": "vmxnet3", "rtl8139": "rtl8139", "i82559": "i82559c",
	"tap": "virtio-net-pci",
}

// deviceCase is one guest with devices of many kinds.
type deviceCase struct {
	name             string
	clients, servers string
	pairs            bool   // each client with the server of the same number only
	hooks            string // of every device of the director
}

// oneOfAKind has each kind of device once as the clients' and once as the servers'.
var oneOfAKind = []deviceCase{
	{"virtio on both sides", "virtio", "virtio", false, "native"},
	{"one of a kind", "virtio,e1000,bridge,vlan,bond,ipip,veth,tap,wireguard", "e1000,veth,vlan,bond,ipip,gre,bridge,wireguard,tap", true, "tc"},
}

// wholeMatrix has each kind with each; no guest has room for the cards of all.
var wholeMatrix = []deviceCase{
	{"virtio on both sides", "virtio", "virtio", false, "native"},
	{"several queues and unfinished checksums, native XDP", "tap", "tap", false, "native"},
	{"several queues and unfinished checksums, tc", "tap,tap-vlan", "tap,tap-vlan,veth", false, "tc"},
	{"software devices", "virtio,e1000,veth,bridge,vlan,bond,ipip,gre,wireguard", "virtio,e1000,veth,bridge,vlan,bond,ipip,gre,wireguard", false, "tc"},
	{"cards without XDP", "virtio,e1000e,vmxnet3", "virtio,e1000e,vmxnet3", false, "tc"},
	{"older cards", "virtio,rtl8139,i82559", "virtio,rtl8139,i82559", false, "tc"},
}

// Clients and servers behind devices of many kinds are served by each forward method, in
// IPv4 and IPv6, with the hooks that weir chooses by itself: native XDP only where every
// device by which packets leave has it. DEVICES=all tries each kind with each.
func TestDevices(t *testing.T) {
	program(t, "weir", "build", "./cmd/weir")
	cells := program(t, "cells", "build", "./test/vm/cells")
	cases := oneOfAKind
	if os.Getenv("DEVICES") == "all" {
		cases = wholeMatrix
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			command := fmt.Sprintf("%s -weir build/guest/weir -clients %s -servers %s -pairs=%t", cells, c.clients, c.servers, c.pairs)
			out, status := guestWith(t, 30*time.Minute, command, "-n", c.cards())
			if status != 0 || !strings.Contains(out, "every cell passed") {
				t.Errorf("status %d", status)
			}
			devices := len(strings.Split(c.clients+","+c.servers, ","))
			if got := strings.Count(out, " hook="+c.hooks); got < devices {
				t.Errorf("%d devices have the hook %s, want %d", got, c.hooks, devices)
			}
		})
	}
}

// cards are those of the guest: two on a hub of their own for each card of a case.
func (c deviceCase) cards() string {
	var cards []string
	for _, kind := range strings.Split(c.clients+","+c.servers, ",") {
		kind = strings.TrimSuffix(kind, "-vlan")
		if model := models[kind]; model != "" {
			hub := strconv.Itoa(len(cards) / 2)
			if kind == "tap" {
				hub = "tap" + hub
			}
			cards = append(cards, model+":"+hub, model+":"+hub)
		}
	}
	return strings.Join(cards, " ")
}
