package dataplane

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/cilium/ebpf"

	"weir/internal/dataplane/abi"
	"weir/internal/dataplane/conn"
	"weir/internal/sched"
	"weir/lvs"
)

// localityPlan is a service by mark over 10.8.0.0/16.
func localityPlan(s lvs.Scheduler, servers ...lvs.RealServer) lvs.Plan {
	plan := planOf(lvs.VirtualServer{ServiceKey: lvs.MarkKey(1, false), Scheduler: s, RealServers: servers})
	plan.Marks = []lvs.MarkRule{rule(1, "10.8.0.0/16")}
	return plan
}

// lblc and lblcr, held to their plain Go model: random servers and destinations,
// connections that come and go, servers that are quiesced, leave and come back,
// and now and then a day that passes. The seed is printed.
func TestLocalityAgreesWithTheModel(t *testing.T) {
	for _, s := range []lvs.Scheduler{lvs.Locality, lvs.LocalityReplicated} {
		t.Run(string(s), func(t *testing.T) {
			seed := uint64(time.Now().UnixNano())
			t.Logf("seed %d", seed)
			l := localityRun{
				r: rand.New(rand.NewPCG(seed, 0)), scheduler: s, largest: map[string]int{},
				cache: sched.Cache{Replicated: s == lvs.LocalityReplicated},
			}
			l.all = randomServers(l.r)
			l.servers = slices.Clone(l.all)
			withPlane(t, localityPlan(s, l.servers...), func(b *bench) {
				l.bench = b
				for port := 1; port <= 600; port++ {
					l.connect(t, port)
					l.churn(t)
				}
			})
			t.Logf("connections to each: %v", l.largest)
		})
	}
}

// localityRun is one random history.
type localityRun struct {
	*bench
	r         *rand.Rand
	scheduler lvs.Scheduler
	cache     sched.Cache
	now       time.Duration
	all       []lvs.RealServer
	servers   []lvs.RealServer // those in the service, in the order they came
	open      []frame
	largest   map[string]int
}

func (l *localityRun) connect(t *testing.T, port int) {
	t.Helper()
	to := netip.AddrFrom4([4]byte{10, 8, 0, byte(1 + l.r.IntN(4))})
	loads := l.loadsByAddr(t)
	want := "drop"
	if i, ok := l.cache.Pick(to, loads, l.now); ok {
		want = fmt.Sprintf("rs%d", i)
	}
	f := syn(port).towards(netip.AddrPortFrom(to, 80).String())
	if got := l.pick(t, places[port%2], f); got != want {
		t.Fatalf("connection %d to %s went to %s, want %s; servers %+v", port, to, got, want, loads)
	}
	l.largest[want]++
	if want != "drop" {
		l.open = append(l.open, f)
	}
}

// loadsByAddr reads the servers' loads, and those of the servers that have left;
// rs1 is 192.0.2.11.
func (l *localityRun) loadsByAddr(t *testing.T) (loads []sched.Load) {
	t.Helper()
	out := slices.DeleteFunc(slices.Clone(l.all), l.serves)
	indexes := map[netip.AddrPort]uint32{}
	for index, s := range written[uint32, abi.BpfServer](l.maps.Servers) {
		indexes[s.AddrPort()] = index
	}
	for i, rs := range slices.Concat(l.servers, out) {
		index, known := indexes[rs.AddrPort()]
		if !known {
			continue // forgotten
		}
		load := entry[abi.BpfLoad](l.maps.Loads, index)
		loads = append(loads, sched.Load{
			Server: sched.Server{Index: numberOf(rs), Weight: int(load.Weight)},
			Active: int(load.Active), Inactive: int(load.Inactive),
			Full: load.Flags != 0 || load.Upper != 0 && uint32(load.Active+load.Inactive) >= load.Upper,
			Gone: i >= len(l.servers),
		})
	}
	return loads
}

func (l *localityRun) serves(rs lvs.RealServer) bool {
	return slices.ContainsFunc(l.servers, func(s lvs.RealServer) bool { return s.Addr == rs.Addr })
}

func numberOf(rs lvs.RealServer) uint32 { return uint32(rs.Addr.As4()[3]) - 10 }

// churn lets some connections go on, and now and then something happen.
func (l *localityRun) churn(t *testing.T) {
	t.Helper()
	for range l.r.IntN(3) {
		if len(l.open) == 0 {
			break
		}
		f := l.open[l.r.IntN(len(l.open))].with([]string{"A", "FA", "RA"}[l.r.IntN(3)])
		if _, _, err := places[0].run(l.bench, f.bytes()); err != nil {
			t.Fatal(err)
		}
	}
	switch i := l.r.IntN(len(l.all)); l.r.IntN(25) {
	case 0:
		l.toggle(l.all[i])
	case 1:
		l.all[i].Weight = l.r.IntN(6)
		if at := slices.IndexFunc(l.servers, func(rs lvs.RealServer) bool { return rs.Addr == l.all[i].Addr }); at >= 0 {
			l.servers[at].Weight = l.all[i].Weight
		}
	case 2:
		l.day(t)
	default:
		return
	}
	l.set(t, localityPlan(l.scheduler, l.servers...))
	if err := l.conns.Sweep(false); err != nil {
		t.Fatal(err)
	}
}

// toggle takes a server out, or puts it back.
func (l *localityRun) toggle(rs lvs.RealServer) {
	if at := slices.IndexFunc(l.servers, func(s lvs.RealServer) bool { return s.Addr == rs.Addr }); at >= 0 {
		l.servers = slices.Delete(slices.Clone(l.servers), at, at+1)
		return
	}
	l.servers = append(slices.Clone(l.servers), rs)
}

// day makes every set look a day older, though just used.
func (l *localityRun) day(t *testing.T) {
	t.Helper()
	const d = 24*time.Hour + time.Minute
	l.now += d
	l.ageCache(t, func(line *abi.BpfCacheLine) { line.Modified -= uint32(d / conn.TickLength) })
}

func (b *bench) ageCache(t *testing.T, change func(*abi.BpfCacheLine)) (lines int) {
	t.Helper()
	all := map[abi.BpfCacheKey]abi.BpfCacheLine{}
	var key abi.BpfCacheKey
	var line abi.BpfCacheLine
	for entries := b.maps.Cache.Iterate(); entries.Next(&key, &line); {
		all[key] = line
	}
	for key, line := range all {
		change(&line)
		if err := b.maps.Cache.Put(key, line); err != nil {
			t.Fatal(err)
		}
	}
	return len(all)
}

// A set of lblcr whose members fill several blocks, held to the model: it grows to all
// servers, and each day that passes takes one out, wherever that one stands.
func TestSetsOfSeveralBlocks(t *testing.T) {
	var servers []lvs.RealServer
	for i := range 70 {
		servers = append(servers, real(fmt.Sprintf("10.1.0.%d", 11+i), 1+i%3))
	}
	withPlane(t, lvs.Plan{}, func(b *bench) {
		b.ns.IP("route", "add", "10.1.0.0/16", "via", "192.0.2.11")
		b.set(t, localityPlan(lvs.LocalityReplicated, servers...))
		l := localityRun{bench: b, cache: sched.Cache{Replicated: true}, all: servers, servers: servers}
		to, most, least := netip.MustParseAddr("10.8.0.1"), uint32(0), uint32(0)
		for port := 1; port <= 330; port++ {
			if port > 250 && port%2 == 0 {
				l.day(t)
			}
			want, _ := l.cache.Pick(to, l.loadsByAddr(t), l.now)
			f := syn(port).towards(netip.AddrPortFrom(to, 80).String())
			b.pick(t, places[0], f)
			server := entry[abi.BpfServer](b.maps.Servers, uint32(b.conn(t, f).Word))
			if got := numberOf(lvs.RealServer{Addr: server.AddrPort().Addr()}); got != want {
				t.Fatalf("connection %d went to server %d, want %d", port, got, want)
			}
			b.ageCache(t, func(line *abi.BpfCacheLine) { most, least = max(most, line.Size), line.Size })
		}
		if most != 70 || least > 40 {
			t.Errorf("the set had %d members at the most, and %d at last: want 70, and 40 or fewer", most, least)
		}
	})
}

// Lines that nobody used for a day leave, with their members; what is used stays,
// and so does the number of a server that only the cache still refers to.
func TestCacheExpires(t *testing.T) {
	plan := localityPlan(lvs.LocalityReplicated, real("192.0.2.11", 1), real("192.0.2.12", 1))
	withPlane(t, plan, func(b *bench) {
		for port := 1; port <= 20; port++ {
			f := syn(port).towards(fmt.Sprintf("10.8.0.%d:80", port))
			b.pick(t, places[0], f)
			b.pick(t, places[0], f.with("R"))
			b.age(t, f, time.Hour)
		}
		b.set(t, localityPlan(lvs.LocalityReplicated, real("192.0.2.11", 1)))
		b.sweepUntil(t, 0)
		b.sweepUntil(t, 0)
		lines := b.ageCache(t, func(*abi.BpfCacheLine) {})
		if _, servers := b.known(t); lines != 20 || servers != 2 {
			t.Errorf("%d lines and %d servers, want 20 and 2", lines, servers)
		}
		b.ageCache(t, func(l *abi.BpfCacheLine) { l.Used -= uint32(25 * time.Hour / conn.TickLength) })
		b.sweepUntil(t, 0)
		b.sweepUntil(t, 0)
		var key abi.BpfCacheKey
		var m abi.BpfMemberBlock
		lines = b.ageCache(t, func(*abi.BpfCacheLine) {})
		_, servers := b.known(t)
		if entries := b.maps.MemberBlocks.Iterate(); lines != 0 || servers != 1 || entries.Next(&key, &m) {
			t.Errorf("after a day %d lines and %d servers, want 0 and 1, and no members", lines, servers)
		}
	})
}

// Another scheduler, or the service removed: the cache begins anew.
func TestCacheBelongsToTheScheduler(t *testing.T) {
	servers := []lvs.RealServer{real("192.0.2.11", 1), real("192.0.2.12", 1)}
	withPlane(t, localityPlan(lvs.Locality, servers...), func(b *bench) {
		for i, step := range []struct {
			name string
			plan lvs.Plan
			left int
		}{
			{"the same again", localityPlan(lvs.Locality, servers...), 1},
			{"lblcr", localityPlan(lvs.LocalityReplicated, servers...), 0},
			{"rr", localityPlan(lvs.RoundRobin, servers...), 0},
			{"none", lvs.Plan{}, 0},
		} {
			b.pick(t, places[0], syn(i+1).towards("10.8.0.1:80"))
			b.set(t, step.plan)
			if left := b.ageCache(t, func(*abi.BpfCacheLine) {}); left != step.left {
				t.Errorf("%s: %d lines left, want %d", step.name, left, step.left)
			}
		}
	})
}

// Above its limit the cache lets go of lines that were not used for six minutes, a
// third more than are too many.
func TestCacheLimit(t *testing.T) {
	withPlane(t, localityPlan(lvs.Locality, real("192.0.2.11", 1)), func(b *bench) {
		for port := 1; port <= 10; port++ {
			b.pick(t, places[0], syn(port).towards(fmt.Sprintf("10.8.0.%d:80", port)))
		}
		b.ageCache(t, func(l *abi.BpfCacheLine) { l.Used -= uint32(7 * time.Minute / conn.TickLength) })
		args := abi.BpfCacheSweep{Epoch: b.conns.Epoch(), Now: conn.Tick(), Goal: 4} // with 3 too many
		if _, err := b.programs.Cache.Run(&ebpf.RunOptions{Context: args, ContextOut: &args}); err != nil {
			t.Fatal(err)
		}
		if left := b.ageCache(t, func(*abi.BpfCacheLine) {}); args.Lines != 6 || left != 6 {
			t.Errorf("%d of 10 lines left with 3 too many, and %d were counted, want 6", left, args.Lines)
		}
	})
}
