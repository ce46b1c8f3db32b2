package dataplane

import (
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"

	"weir/internal/dataplane/abi"
	"weir/internal/dataplane/conn"
	"weir/lvs"
)

// An olderBuild is the pinned tables of one that had connections in hash tables by their keys.
type olderBuild struct {
	tables  []*ebpf.Map // the first is small, and there from the start
	entries *ebpf.Map   // of the expiry of connections
	taken   uint32      // how many of these
}

// olderEntry is an expiry entry as that build has it (struct expiry_entry).
type olderEntry struct {
	Key        abi.BpfFlowKey
	Taken, Due uint32
}

// olderReply is an entry for answers (struct conn with struct conn_reply in it).
type olderReply struct {
	Word           uint64
	Service, Stamp uint32
	VIP            abi.BpfAddr
	Ports          uint64
	Dst, Src       [6]uint8
	Ifindex        uint32
	Cached, Expiry uint32
}

// olderConn is the entry of a connection (struct conn with struct template_key in it).
type olderConn struct {
	Word           uint64
	Service, Stamp uint32
	Template       abi.BpfTemplateKey
	Cached, Expiry uint32
}

func makeMap(t testing.TB, spec ebpf.MapSpec) *ebpf.Map {
	t.Helper()
	m, err := ebpf.NewMap(&spec)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// pinOlder makes the tables of an older build and pins them, in the place of this one's. Each of the
// two tables of connections has this room.
func (b *bench) pinOlder(t *testing.T, room uint32) *olderBuild {
	t.Helper()
	inner := &ebpf.MapSpec{Type: ebpf.Hash, KeySize: 40, ValueSize: 64, MaxEntries: 1}
	outer := makeMap(t, ebpf.MapSpec{Name: "conn_tables", Type: ebpf.ArrayOfMaps, KeySize: 4, ValueSize: 4, MaxEntries: 3, InnerMap: inner})
	defer outer.Close()
	o := &olderBuild{entries: makeMap(t, ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 48, MaxEntries: 1 << 13, Flags: 1 << 10})}
	t.Cleanup(func() { o.entries.Close() })
	for at := range uint32(2) {
		table := makeMap(t, ebpf.MapSpec{Type: ebpf.Hash, KeySize: 40, ValueSize: 64, MaxEntries: room})
		t.Cleanup(func() { table.Close() })
		if err := outer.Put(at, table); err != nil {
			t.Fatal(err)
		}
		o.tables = append(o.tables, table)
	}
	sizes := makeMap(t, ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 16, MaxEntries: 1})
	defer sizes.Close()
	if err := sizes.Put(uint32(0), [4]uint32{1 << 13, 1 << 10, 1, 1}); err != nil { // entries, half open, newest, older
		t.Fatal(err)
	}
	for name, m := range map[string]*ebpf.Map{"conn_tables": outer, "expiry_chunks": o.entries, "conn_sizes": sizes} {
		if err := pinCopy(m, filepath.Join(b.pinDir, name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{abi.BpfMapConnSlots, abi.BpfMapConnIndex, abi.BpfVarSlotSizes, abi.BpfMapHalfOpenSlots} {
		if err := os.Remove(filepath.Join(b.pinDir, name)); err != nil {
			t.Fatal(err)
		}
	}
	return o
}

// put enters a connection as that build had it in a table: with its entry of expiry, and, where its
// answers pass the director, an entry for these, under the key that they carry.
func (o *olderBuild) put(t *testing.T, table uint32, c abi.BpfConn, answers *abi.BpfFlowKey) {
	t.Helper()
	_, _, server := c.Read()
	o.taken++
	expiry := table<<30 | o.taken
	if err := o.entries.Put(o.taken-1, olderEntry{c.Key, server + 1, c.Due}); err != nil {
		t.Fatal(err)
	}
	old := olderConn{Word: c.Word, Service: c.Service, Stamp: c.Stamp, Template: c.Template, Cached: c.Cached, Expiry: expiry}
	if err := o.tables[table].Put(c.Key, old); err != nil {
		t.Fatal(err)
	}
	if answers == nil {
		return
	}
	reply := olderReply{
		Word: 13<<32 | uint64(server), Service: c.Service, Stamp: c.Stamp, VIP: c.Key.To, Ports: c.Key.Ports,
		Dst: c.Route.Dst, Src: c.Route.Src, Ifindex: c.Route.Ifindex, Expiry: table << 30,
	}
	if err := o.tables[table].Put(*answers, reply); err != nil {
		t.Fatal(err)
	}
}

// wantClosed expects a connection that has been taken over to be in a state that the older build's
// programs do not change, unless it is one of UDP, which has only one.
func (o *olderBuild) wantClosed(t *testing.T, table uint32, c olderCase) {
	t.Helper()
	state := entry[olderConn](o.tables[table], c.first.flow()).Word >> 32 & 15
	if want := abi.BpfConnStateSTATE_CLOSE; c.first.proto == "tcp" && state != uint64(want) {
		t.Errorf("%s: the older build's programs find it in state %d, want %d", c.name, state, want)
	}
}

func (f frame) flow() abi.BpfFlowKey {
	key := f.key()
	if f.proto == "udp" {
		key.Ports = key.Ports&0xffffffff | 17<<abi.PortsProtocolShift
	}
	return key
}

// An olderCase is a connection that an older build has begun, and what becomes of it.
type olderCase struct {
	name   string
	first  frame
	flags  []string // of the client's packets behind the first
	server string   // where its packets go
	answer *frame   // behind NAT
	// Its entry says that it was used long ago: since then the flow cache had its packets.
	cached bool
}

func olderCases() []olderCase {
	client := func(port int, six bool, proto, flags string, vport int) frame {
		f := frame{dst: ourMAC, src: clientMAC, from: fmt.Sprintf("198.51.100.9:%d", port), to: fmt.Sprintf("192.0.2.100:%d", vport), proto: proto, flags: flags}
		if six {
			f.from, f.to = fmt.Sprintf("[2001:db8:9::9]:%d", port), fmt.Sprintf("[2001:db8::100]:%d", vport)
		}
		return f
	}
	answerOf := func(f frame, from string) *frame {
		return &frame{dst: ourMAC, src: rs1MAC, from: from, to: f.from, proto: f.proto}
	}
	var all []olderCase
	for i, six := range []bool{false, true} {
		nat4, nat6 := "192.0.2.11:", "[2001:db8::11]:"
		nat := []string{nat4, nat6}[i]
		name := []string{"IPv4 ", "IPv6 "}[i]
		port := 5000 + 100*i
		tcp := client(port, six, "tcp", "S", 81)
		ending := client(port+1, six, "tcp", "S", 81)
		udp := client(port+2, six, "udp", "", 81)
		all = append(all,
			olderCase{name: name + "TCP behind NAT", first: tcp, flags: []string{"A", "AP"}, answer: answerOf(tcp, nat+"8080")},
			olderCase{name: name + "TCP behind NAT that ends", first: ending, flags: []string{"A", "FA"}, answer: answerOf(ending, nat+"8080")},
			olderCase{name: name + "UDP behind NAT", first: udp, answer: answerOf(udp, nat+"8053")},
			olderCase{name: name + "half open", first: client(port+3, six, "tcp", "S", 80)},
			olderCase{name: name + "TCP", first: client(port+4, six, "tcp", "S", 80), flags: []string{"A"}},
			olderCase{name: name + "TCP that ends", first: client(port+5, six, "tcp", "S", 80), flags: []string{"A", "FA"}},
			olderCase{name: name + "TCP, another one", first: client(port+6, six, "tcp", "S", 80), flags: []string{"A"}},
			olderCase{name: name + "UDP", first: client(port+7, six, "udp", "", 80)},
			olderCase{name: name + "UDP, another one", first: client(port+8, six, "udp", "", 80)},
			olderCase{name: name + "TCP in the flow cache", first: client(port+9, six, "tcp", "S", 80), flags: []string{"A", "A", "A"}, cached: true},
			olderCase{name: name + "TCP in the flow cache, another one", first: client(port+10, six, "tcp", "S", 80), flags: []string{"A", "A", "A"}, cached: true},
			olderCase{name: name + "TCP in the flow cache, a third one", first: client(port+11, six, "tcp", "S", 80), flags: []string{"A", "A", "A"}, cached: true},
		)
	}
	return all
}

func olderPlan() lvs.Plan {
	onPort := func(s lvs.VirtualServer, port uint16) lvs.VirtualServer { s.Port = port; return s }
	return planOf(
		virtual(lvs.TCP, vip4, lvs.RoundRobin, real("192.0.2.11", 1), real("192.0.2.12", 1)),
		virtual(lvs.UDP, vip4, lvs.RoundRobin, real("192.0.2.11", 1), real("192.0.2.12", 1)),
		virtual(lvs.TCP, vip6, lvs.RoundRobin, real("2001:db8::11", 1), real("2001:db8::12", 1)),
		virtual(lvs.UDP, vip6, lvs.RoundRobin, real("2001:db8::11", 1), real("2001:db8::12", 1)),
		onPort(virtual(lvs.TCP, vip4, lvs.RoundRobin, masqueraded("192.0.2.11", 8080)), 81),
		onPort(virtual(lvs.UDP, vip4, lvs.RoundRobin, masqueraded("192.0.2.11", 8053)), 81),
		onPort(virtual(lvs.TCP, vip6, lvs.RoundRobin, masqueraded("2001:db8::11", 8080)), 81),
		onPort(virtual(lvs.UDP, vip6, lvs.RoundRobin, masqueraded("2001:db8::11", 8053)), 81),
	)
}

// loads are the servers' counts of connections, by their indexes.
func (b *bench) loads(t *testing.T) (all [16]string) {
	t.Helper()
	for i := range all {
		l := entry[abi.BpfLoad](b.maps.Loads, uint32(i))
		all[i] = fmt.Sprintf("%d active, %d inactive", l.Active, l.Inactive)
	}
	return all
}

func (b *bench) halfOpenCount() int64 {
	return entry[abi.BpfConnLimits](b.maps.ConnLimits, uint32(0)).HalfOpen
}

// A start over the tables of an older build takes its connections over: those that a packet asks
// for before Set, in either direction, those that nobody has asked for, and those that the older
// build's programs have begun meanwhile. They keep their servers, states and reply routes, and are
// counted once. One that the older build would have ended ends. Nothing of the older tables is left.
func TestOlderConnectionsAreTakenOver(t *testing.T) {
	other := virtual(lvs.UDP, vip4, lvs.RoundRobin, real("192.0.2.12", 1))
	other.Port = 82
	before := olderPlan()
	before.Services = append(before.Services, other)
	withPlane(t, before, func(b *bench) {
		cases := olderCases()
		for i, c := range cases {
			cases[i].server = b.begin(t, c)
		}
		expired := frame{dst: ourMAC, src: clientMAC, from: "198.51.100.9:6000", to: "192.0.2.100:80", proto: "udp"}
		b.begin(t, olderCase{first: expired})
		removed := frame{dst: ourMAC, src: clientMAC, from: "198.51.100.9:6000", to: "192.0.2.100:82", proto: "udp"}
		b.begin(t, olderCase{first: removed})
		b.set(t, olderPlan())
		conns := map[string]abi.BpfConn{}
		for _, c := range cases {
			conns[c.name] = b.connOf(t, c.first)
		}
		old := b.connOf(t, expired)
		old.Stamp -= 1 << 20
		b.moveLines(t)
		loads, half := b.loads(t), b.halfOpenCount()
		services, servers := b.known(t)
		if half != 2 {
			t.Fatalf("%d connections are half open, want 2", half)
		}

		older := b.pinOlder(t, 1<<13)
		enter := func(table uint32, c olderCase) {
			var answers *abi.BpfFlowKey
			if c.answer != nil {
				key := c.answer.flow()
				answers = &key
			}
			entry := conns[c.name]
			if c.cached {
				entry.Stamp -= 1 << 20
			}
			older.put(t, table, entry, answers)
		}
		for i, c := range cases[:len(cases)-2] {
			enter(uint32(i%2), c)
		}
		older.put(t, 0, old, nil)
		older.put(t, 0, b.connOf(t, removed), nil)
		next := b.successor(t, slog.New(slog.DiscardHandler))
		for i, c := range cases[:len(cases)-2] {
			switch i % 3 {
			case 0:
				next.wantTaken(t, c, conns[c.name])
				older.wantClosed(t, uint32(i%2), c)
			case 1:
				if c.answer != nil {
					next.wantAnswer(t, c)
				}
			}
		}
		if err := next.Close(); err != nil { // the start is cut off, and another follows
			t.Fatal(err)
		}
		var log strings.Builder
		next = b.successor(t, slog.New(slog.NewTextHandler(&log, nil)))
		defer next.Close()
		for _, c := range cases[len(cases)-2:] { // programs of the older build are still on devices
			enter(1, c)
		}
		if err := next.conns.Sweep(true); err != nil { // which must not take a connection for expired, or a server for unused
			t.Fatal(err)
		}
		next.set(t, olderPlan())
		if now, nowServers := next.known(t); now != services || nowServers != servers {
			t.Errorf("%d services and %d servers are known, want %d and %d", now, nowServers, services, servers)
		}
		next.wantNoOlderPins(t)
		if want := fmt.Sprintf("connections of an older build were taken over\" connections=%d ", len(cases)+2); !strings.Contains(log.String(), want) {
			t.Errorf("the log does not say %q:\n%s", want, &log)
		}
		if now := next.loads(t); now != loads || next.halfOpenCount() != half {
			t.Errorf("the servers have %v, and %d connections are half open; want %v and %d", now, next.halfOpenCount(), loads, half)
		}
		for _, c := range cases {
			next.wantTaken(t, c, conns[c.name])
			if c.answer != nil {
				next.wantAnswer(t, c)
			}
		}
		if _, err := next.conns.Find(expired.flow()); err != nil {
			t.Errorf("the connection whose time is over was not taken over, and is counted for ever: %v", err)
		}
		next.sweepUntil(t, len(cases)+1)
		next.wantWholeIndex(t)
		_, _, server := old.Read()
		if now := next.loads(t); now[server] == loads[server] {
			t.Errorf("the expired connection still counts: %s", now[server])
		}
		next.eachSlot(t, func(c *abi.BpfConn) { c.Stamp, c.Cached = conn.Tick()-1<<20, 0 }) // and nothing is left in the counts
		if err := next.conns.ForgetFlows(); err != nil {
			t.Fatal(err)
		}
		if err := next.conns.Sweep(true); err != nil {
			t.Fatal(err)
		}
		if now := next.loads(t); strings.Trim(fmt.Sprint(now), "[]") != strings.TrimSpace(strings.Repeat("0 active, 0 inactive ", len(now))) || next.halfOpenCount() != 0 {
			t.Errorf("without connections the servers have %v, and %d connections are half open", now, next.halfOpenCount())
		}
	})
}

// Where an older build's programs may still be on a device, since not all of those that are asked
// for could be set, its connections are taken over and its tables stay, until all are set.
func TestOlderTablesStayUntilDevicesAreSet(t *testing.T) {
	withPlane(t, olderPlan(), func(b *bench) {
		c := olderCases()[0]
		late := olderCases()[4]
		c.server, late.server = b.begin(t, c), b.begin(t, late)
		conns := [2]abi.BpfConn{b.connOf(t, c.first), b.connOf(t, late.first)}
		older := b.pinOlder(t, 1<<13)
		answers := c.answer.flow()
		older.put(t, 1, conns[0], &answers)
		next := b.successor(t, slog.New(slog.DiscardHandler))
		defer next.Close()
		plan := olderPlan()
		plan.Devices = []lvs.Device{{Name: "eth7", Hook: lvs.HookTC}}
		if err := next.Set(plan); err == nil {
			t.Fatal("a device that does not exist can be set")
		}
		next.connOf(t, c.first)
		older.put(t, 1, conns[1], nil)
		next.repairContents()
		next.wantTaken(t, late, conns[1])
		if err := next.devices.Set(devicesOf(olderPlan()), nil); err != nil {
			t.Fatal(err)
		}
		next.repairContents()
		next.wantNoOlderPins(t)
		next.wantTaken(t, c, conns[0])
		next.wantAnswer(t, c)
		next.wantTaken(t, late, conns[1])
		next.wantWholeIndex(t)
	})
}

// An older build's tables may have grown: there is as much room from the start.
func TestOlderTablesThatHaveGrown(t *testing.T) {
	const many = 100_000
	withPlaneOf(t, 1<<18, olderPlan(), func(b *bench) {
		first := olderCases()[4]
		b.begin(t, first)
		c := b.connOf(t, first.first)
		older := b.pinOlder(t, many)
		keys, values := make([]abi.BpfFlowKey, many), make([]olderConn, many)
		for i := range keys {
			keys[i] = c.Key
			keys[i].From.Lo += uint64(i) << 40
			values[i] = olderConn{Word: c.Word, Service: c.Service, Stamp: c.Stamp, Expiry: 1<<30 | uint32(i+1)}
		}
		if _, err := older.tables[1].BatchUpdate(keys, values, nil); err != nil {
			t.Fatal(err)
		}
		next := b.successor(t, slog.New(slog.DiscardHandler))
		defer next.Close()
		if room := next.conns.Use().Room; room != 1<<18 {
			t.Errorf("there is room for %d connections, want %d", room, 1<<18)
		}
		begun := time.Now()
		next.set(t, olderPlan())
		t.Logf("%d connections in %s", many, time.Since(begun))
		next.sweepUntil(t, many)
		next.wantWholeIndex(t)
		for i := 0; i < many; i += 1000 {
			if _, err := next.conns.Find(keys[i]); err != nil {
				t.Fatalf("connection %d: %v", i, err)
			}
		}
	})
}

// begin has this build begin a connection, and tells the Ethernet address of its server.
func (b *bench) begin(t *testing.T, c olderCase) string {
	t.Helper()
	out := b.send(t, places[0], c.first, back)
	if c.answer != nil {
		answer := *c.answer
		if answer.proto == "tcp" {
			answer.flags = "SA"
		}
		b.send(t, places[0], answer, back)
	}
	for _, flags := range c.flags {
		b.send(t, places[0], c.first.with(flags), back)
	}
	return destinationOf(out)
}

// moveLines moves the lines of the flow cache to where flows do not look for them: an older build
// has them in other places.
func (b *bench) moveLines(t *testing.T) {
	t.Helper()
	var before [10]abi.BpfFlowLine
	at := 0
	b.eachLine(t, func(l *abi.BpfFlowLine) {
		*l, before[at] = before[at], *l
		at = (at + 1) % len(before)
	})
}

func (b *bench) connOf(t *testing.T, f frame) abi.BpfConn {
	t.Helper()
	c, err := b.conns.Find(f.flow())
	if err != nil {
		t.Fatalf("connection of %s: %v", f.from, err)
	}
	return c
}

// destinationOf is the Ethernet address that a frame goes to.
func destinationOf(out []byte) string { return net.HardwareAddr(out[:6]).String() }

// wantTaken sends a packet of the connection that does not change its state, and compares it.
func (b *bench) wantTaken(t *testing.T, c olderCase, want abi.BpfConn) {
	t.Helper()
	f := c.first
	if n := len(c.flags); n > 0 {
		f.flags = c.flags[n-1]
	}
	out := b.send(t, places[0], f, back)
	if got := destinationOf(out); got != c.server {
		t.Errorf("%s: a packet goes to %s, want %s", c.name, got, c.server)
	}
	got := b.connOf(t, c.first)
	got.Word, want.Word = got.Word&(1<<40-1), want.Word&(1<<40-1) // another incarnation
	if got.Word != want.Word || got.Service != want.Service || got.Template != want.Template || got.Route != want.Route {
		t.Errorf("%s: taken over as %+v, want %+v", c.name, got, want)
	}
}

// wantAnswer sends an answer of the connection's server, which goes back to its client.
func (b *bench) wantAnswer(t *testing.T, c olderCase) {
	t.Helper()
	f := *c.answer
	if f.proto == "tcp" {
		f.flags = "A"
	}
	want := f.forwarded(clientMAC)
	want.from = c.first.to
	b.wantFrame(t, places[0], f, want)
}

// successor is the data plane of another process over the same pins.
func (b *bench) successor(t *testing.T, log *slog.Logger) *bench {
	t.Helper()
	next := benchOf(t, Options{PinDir: b.pinDir, Connections: b.room(), RealServers: 1024, Log: log})
	next.ns = b.ns
	return next
}

func (b *bench) wantNoOlderPins(t *testing.T) {
	t.Helper()
	pins, err := os.ReadDir(b.pinDir)
	if err != nil {
		t.Fatal(err)
	}
	for _, pin := range pins {
		switch pin.Name() {
		case "conn_tables", "expiry_chunks", "conn_sizes", "half_open_ring":
			t.Errorf("%s is still pinned", pin.Name())
		}
	}
}
