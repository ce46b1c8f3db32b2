package interop

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"weir/internal/netlnk/nstest"
	"weir/test/cpu"
)

var (
	manyInstances = flag.Int("many-instances", 20, "how many instances TestManyInstances has; 200 is the long form")
	manyVIPs      = flag.Int("many-vips", 4, "how many VIPs each of them has; 20 is the long form")
	manyTime      = flag.Duration("many-time", 5*time.Second, "how long nothing may change; 5m is the long form")
	manyHogs      = flag.Int("many-hogs", 0, "how many programs that only use a CPU run meanwhile; 2 is the long form")
	manyBeside    = flag.Bool("many-beside", false, "have two keepalived run the same file, and print their CPU beside weir's")
)

// manyInterval is the interval between the advertisements of each instance.
const manyInterval = 100 * time.Millisecond

// Two directors with many instances that advertise ten times a second, on one processor: no
// instance changes its master, whatever else uses the processors.
func TestManyInstances(t *testing.T) {
	pairs := []*manyPair{startMany(t, "weir")}
	if *manyBeside {
		pairs = append(pairs, startMany(t, "keepalived"))
	}
	cpu.Hogs(t, *manyHogs)
	pairs[0].settle(t) // two keepalived may never come to rest
	for _, p := range pairs {
		p.begin(t)
	}
	time.Sleep(*manyTime) // all of which nothing may happen in
	for _, p := range pairs {
		moves := p.end(t)
		t.Logf("two %s, %d instances with %d VIPs each, beside %d hogs, for %v: %d addresses came or went; the master took %.1f %% of a CPU, the backup %.1f %%",
			p.name, *manyInstances, *manyVIPs, *manyHogs, *manyTime, moves, percent(p.used[0]), percent(p.used[1]))
		if p.name == "weir" && (moves > 0 || !p.first(t)) {
			t.Errorf("weir: %d addresses came or went, want none", moves)
		}
	}
}

// percent is the share of a CPU in the time that nothing may change.
func percent(used time.Duration) float64 { return 100 * used.Seconds() / manyTime.Seconds() }

// manyPair is two directors of one program.
type manyPair struct {
	name  string
	sides [2]*program
	used  [2]time.Duration // of a CPU

	stop  context.CancelFunc
	mu    sync.Mutex
	moves int // addresses that came or went on either
}

// startMany starts two directors.
func startMany(t *testing.T, name string) *manyPair {
	t.Helper()
	p, s := &manyPair{name: name}, newSegment(t)
	for i, priority := range []int{high, low} {
		h := s.host(t, fmt.Sprintf("d%d", i+1), fmt.Sprintf("192.168.25.3%d", i+1))
		text := manyConfig(priority)
		if name == "weir" {
			text = smallTables + text
		}
		p.sides[i] = startProgram(t, h, name, text)
		onOneProcessor(t, p.sides[i].cmd.Process.Pid)
	}
	return p
}

// settle waits until the first director has been master of all instances for a second.
func (p *manyPair) settle(t *testing.T) {
	t.Helper()
	var since time.Time
	nstest.WaitFor(t, fmt.Sprintf("the first %s is master of all", p.name), func() bool {
		if !p.first(t) {
			since = time.Time{}
		} else if since.IsZero() {
			since = time.Now()
		}
		return !since.IsZero() && time.Since(since) > time.Second
	})
}

// first says whether the first director, and it alone, has all VIPs.
func (p *manyPair) first(t *testing.T) bool {
	return p.has(t, 0) == *manyInstances**manyVIPs && p.has(t, 1) == 0
}

func manyConfig(priority int) string {
	var b strings.Builder
	for i := range *manyInstances {
		fmt.Fprintf(&b, "vrrp_instance VI_%d {\n    state BACKUP\n    interface ens160\n    virtual_router_id %d\n    priority %d\n    version 3\n    advert_int %.2f\n    virtual_ipaddress {\n",
			i, i+1, priority, manyInterval.Seconds())
		for v := range *manyVIPs {
			fmt.Fprintf(&b, "        %s/32\n", netip.AddrFrom4([4]byte{10, 25, byte(i + 1), byte(v + 1)}))
		}
		b.WriteString("    }\n}\n")
	}
	return b.String()
}

// has is how many VIPs a side has.
func (p *manyPair) has(t *testing.T, side int) (n int) {
	t.Helper()
	all, err := p.sides[side].AddrList(p.sides[side].dev, netlink.FAMILY_V4)
	for errors.Is(err, netlink.ErrDumpInterrupted) { // an address came or went meanwhile
		all, err = p.sides[side].AddrList(p.sides[side].dev, netlink.FAMILY_V4)
	}
	must(t, err)
	for _, a := range all {
		if a.IP[len(a.IP)-4] == 10 {
			n++
		}
	}
	return n
}

// begin counts addresses that come or go, and CPU, from now on.
func (p *manyPair) begin(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	p.stop = cancel
	for i, side := range p.sides {
		updates := make(chan netlink.AddrUpdate, 64)
		must(t, netlink.AddrSubscribeWithOptions(updates, ctx.Done(), netlink.AddrSubscribeOptions{Namespace: &side.ns, ErrorCallback: func(err error) {
			if ctx.Err() == nil {
				t.Errorf("listen to addresses: %v", err)
			}
		}}))
		go func() {
			for range updates {
				p.mu.Lock()
				p.moves++
				p.mu.Unlock()
			}
		}()
		p.used[i] = -cpu.WithChildren(t, side.cmd.Process.Pid)
	}
}

// end is how many came or went since.
func (p *manyPair) end(t *testing.T) int {
	t.Helper()
	p.stop()
	for i, side := range p.sides {
		p.used[i] += cpu.WithChildren(t, side.cmd.Process.Pid)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.moves
}

// onOneProcessor keeps a process, and what it starts, on the first processor.
func onOneProcessor(t *testing.T, pid int) {
	t.Helper()
	var first unix.CPUSet
	first.Set(0)
	for range 2 { // a thread may begin meanwhile, by one that was not yet kept there
		tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
		must(t, err)
		for _, task := range tasks {
			id, err := strconv.Atoi(task.Name())
			must(t, err)
			if err := unix.SchedSetaffinity(id, &first); err != nil && err != unix.ESRCH {
				t.Fatal(err)
			}
		}
	}
}
