package dataplane

import (
	"errors"
	"iter"
	"net/netip"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"

	"weir/internal/dataplane/abi"
	"weir/internal/dataplane/conn"
	"weir/lvs"
)

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

// known is how many services and servers are known, with removed ones that connections
// refer to.
func (b *bench) known(t testing.TB) (services, servers int) {
	t.Helper()
	stats, err := b.Stats()
	if err != nil {
		t.Fatal(err)
	}
	return len(stats.Services), len(stats.Servers)
}

func (b *bench) set(t testing.TB, plan lvs.Plan) {
	t.Helper()
	if err := b.Set(plan); err != nil {
		t.Fatal(err)
	}
}

func (b *bench) renew(t testing.TB, d time.Duration) {
	t.Helper()
	if err := b.Renew(vi1, time.Now(), d); err != nil {
		t.Fatal(err)
	}
}

// subtest runs one inside the namespace, with the data plane as those before left it.
func (b *bench) subtest(t *testing.T, name string, body func(t *testing.T)) {
	t.Run(name, func(t *testing.T) { b.ns.Do(func() { body(t) }) })
}

// picks opens n connections and names their servers.
func (b *bench) picks(t testing.TB, p place, port, n int) string {
	t.Helper()
	var got []string
	for i := range n {
		got = append(got, b.pick(t, p, syn(port+i)))
	}
	return strings.Join(got, " ")
}

func (f frame) key() abi.BpfFlowKey {
	from, to := netip.MustParseAddrPort(f.from), netip.MustParseAddrPort(f.to)
	return abi.BpfFlowKey{
		From: abi.AddrOf(from.Addr()), To: abi.AddrOf(to.Addr()),
		Ports: abi.PortsWord(abi.Port(from.Port()), abi.Port(to.Port()), 6),
	}
}

func (b *bench) conn(t testing.TB, f frame) abi.BpfConn {
	t.Helper()
	c, err := b.conns.Find(f.key())
	if err != nil {
		t.Fatalf("connection of %s: %v", f.from, err)
	}
	return c
}

func (b *bench) state(t testing.TB, f frame) abi.BpfConnState {
	t.Helper()
	return abi.BpfConnState(b.conn(t, f).Word >> 32 & 15)
}

// age makes a connection look as if it was last seen so long ago.
func (b *bench) age(t testing.TB, f frame, d time.Duration) {
	t.Helper()
	c := b.conn(t, f)
	c.Stamp, c.Cached = conn.Tick()-uint32(d/conn.TickLength), 0
	b.put(t, c)
	if err := b.conns.ForgetFlows(); err != nil { // else they would go on past it
		t.Fatal(err)
	}
	b.eachSlot(t, func(c *abi.BpfConn) { c.Due = conn.Tick() })
}

// goBy makes everything that knows when it was last used so many ticks older.
func (b *bench) goBy(t testing.TB, ticks uint32) {
	t.Helper()
	b.olderConns(t, ticks)
	older[abi.BpfTemplateKey](t, b.maps.Templates, func(t *abi.BpfTemplate) { t.Stamp -= ticks })
	b.eachLine(t, func(l *abi.BpfFlowLine) { l.Used -= ticks })
	b.eachSlot(t, func(c *abi.BpfConn) { c.Due -= ticks })
	b.eachTemplateEntry(t, func(e *abi.TemplateEntry) { e.Due -= ticks })
}

// olderConns makes the connections so many ticks older, and not their lines and entries.
func (b *bench) olderConns(t testing.TB, ticks uint32) {
	t.Helper()
	b.eachSlot(t, func(c *abi.BpfConn) { c.Stamp -= ticks })
}

// everyConn goes through the connections.
func (b *bench) everyConn(t testing.TB) iter.Seq2[abi.BpfFlowKey, abi.BpfConn] {
	return func(yield func(abi.BpfFlowKey, abi.BpfConn) bool) {
		t.Helper()
		var all []abi.BpfConn
		b.eachSlot(t, func(c *abi.BpfConn) {
			if c.Lives() {
				all = append(all, *c)
			}
		})
		for _, c := range all {
			if !yield(c.Key, c) {
				return
			}
		}
	}
}

// put writes a connection to its slot.
func (b *bench) put(t testing.TB, c abi.BpfConn) {
	t.Helper()
	chunk, each := innerOf(t, b.maps.ConnSlots, 0), uint32(0)
	each = chunk.MaxEntries()
	chunk.Close()
	chunk = innerOf(t, b.maps.ConnSlots, (c.Place-1)/each)
	defer chunk.Close()
	if err := chunk.Put((c.Place-1)%each, c); err != nil {
		t.Fatal(err)
	}
}

// innerOf is the table at a place of a table of tables.
func innerOf(t testing.TB, outer *ebpf.Map, at uint32) (inner *ebpf.Map) {
	t.Helper()
	if err := outer.Lookup(at, &inner); err != nil {
		t.Fatal(err)
	}
	return inner
}

// growToTheEnd makes the largest tables of connections that there may be.
func (b *bench) growToTheEnd(t testing.TB) {
	t.Helper()
	for {
		if grown, err := b.conns.Grow(); err != nil {
			t.Fatal(err)
		} else if !grown {
			return
		}
	}
}

// eachTemplateEntry may change every expiry entry of a template.
func (b *bench) eachTemplateEntry(t testing.TB, change func(*abi.TemplateEntry)) {
	t.Helper()
	var table *ebpf.Map
	if err := b.maps.TemplateEntries.Lookup(uint32(0), &table); err != nil {
		t.Fatal(err)
	}
	defer table.Close()
	for i := range table.MaxEntries() {
		e := entry[abi.TemplateEntry](table, i)
		before := e
		if change(&e); e == before {
			continue
		}
		if err := table.Put(i, e); err != nil {
			t.Fatal(err)
		}
	}
}

// eachLine may change every line of the flow cache.
func (b *bench) eachLine(t testing.TB, change func(*abi.BpfFlowLine)) {
	t.Helper()
	eachOf(t, b.maps.FlowChunks, 2, change)
}

// eachSlot may change every slot of the connections.
func (b *bench) eachSlot(t testing.TB, change func(*abi.BpfConn)) {
	t.Helper()
	eachOf(t, b.maps.ConnSlots, 1, change)
}

// room is how many connections the data plane has room for in the end.
func (b *bench) room() int { return b.need.options.Connections }

// eachOf may change every value of all chunks of a table, which have so many values an entry.
func eachOf[V comparable](t testing.TB, outer *ebpf.Map, values int, change func(*V)) {
	t.Helper()
	for at := range outer.MaxEntries() {
		var chunk *ebpf.Map
		if err := outer.Lookup(at, &chunk); errors.Is(err, ebpf.ErrKeyNotExist) {
			continue
		} else if err != nil {
			t.Fatal(err)
		}
		eachIn(t, chunk, values*int(chunk.MaxEntries()), change)
		chunk.Close()
	}
}

// eachIn may change every one of n values in mapped memory. It writes only those that it changes:
// programs may change the others meanwhile.
func eachIn[V comparable](t testing.TB, m *ebpf.Map, n int, change func(*V)) {
	t.Helper()
	memory, err := m.Memory()
	if err != nil {
		t.Fatal(err)
	}
	all := make([]V, n)
	size := int(unsafe.Sizeof(all[0]))
	raw := unsafe.Slice((*byte)(unsafe.Pointer(&all[0])), n*size)
	if _, err := memory.ReadAt(raw, 0); err != nil {
		t.Fatal(err)
	}
	for i := range all {
		was := all[i]
		if change(&all[i]); all[i] == was {
			continue
		}
		if _, err := memory.WriteAt(raw[i*size:(i+1)*size], int64(i*size)); err != nil {
			t.Fatal(err)
		}
	}
}

// older changes every value of a table.
func older[K comparable, V any](t testing.TB, m *ebpf.Map, age func(*V)) {
	t.Helper()
	aged := map[K]V{}
	var key K
	var value V
	for all := m.Iterate(); all.Next(&key, &value); {
		age(&value)
		aged[key] = value
	}
	for key, value := range aged {
		if err := m.Put(key, value); err != nil {
			t.Fatal(err)
		}
	}
}

// sweepUntil sweeps once and expects so many connections to stay.
func (b *bench) sweepUntil(t testing.TB, live int) {
	t.Helper()
	if err := b.conns.Sweep(false); err != nil {
		t.Fatal(err)
	}
	if b.conns.Live() != live {
		t.Errorf("the sweep left %d connections, want %d", b.conns.Live(), live)
	}
}

func (b *bench) wantServer(t testing.TB, addr string, want Counter) {
	t.Helper()
	stats, err := b.Stats()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range stats.Servers {
		if s.Server.Addr.String() == addr {
			if s.Counter != want {
				t.Errorf("%s counts %+v, want %+v", addr, s.Counter, want)
			}
			return
		}
	}
	t.Errorf("no counters for %s", addr)
}

func (b *bench) wantReason(t testing.TB, reason string, want uint64) {
	t.Helper()
	stats, err := b.Stats()
	if err != nil {
		t.Fatal(err)
	}
	if got := stats.Reasons[reason]; got != want {
		t.Errorf("%s is %d, want %d (all: %v)", reason, got, want, stats.Reasons)
	}
}

// arpFrom is an ARP reply that says an address is here.
func arpFrom(a netip.Addr) []byte {
	b := append(mac("ff:ff:ff:ff:ff:ff"), mac(ourMAC)...)
	b = append(b, 0x08, 0x06, 0, 1, 0x08, 0, 6, 4, 0, 2)
	b = append(append(b, mac(ourMAC)...), a.AsSlice()...)
	return append(append(b, mac(clientMAC)...), 198, 51, 100, 9)
}

// advertisementOf is an IPv6 neighbour advertisement (RFC 4861 section 4.4).
func advertisementOf(a netip.Addr) []byte {
	b := append(mac("33:33:00:00:00:01"), mac(ourMAC)...)
	b = append(b, 0x86, 0xdd, 0x60, 0, 0, 0, 0, 24, 58, 255)
	b = append(append(b, a.AsSlice()...), addr("ff02::1").AsSlice()...)
	b = append(b, 136, 0, 0, 0, 0x20, 0, 0, 0)
	return append(b, a.AsSlice()...)
}

// addrs are the plan's virtual addresses.
func addrs(plan lvs.Plan) (list []netip.Addr) {
	for _, vs := range plan.Services {
		list = append(list, vs.Addr)
	}
	return list
}
