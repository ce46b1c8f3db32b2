package director

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"weir/conf"
	"weir/conf/conftest"
	"weir/internal/check"
	"weir/internal/netlnk/fakenet"
)

// A reload that changes any one keyword says so beforehand, and then does what a
// director does that starts with the new file; or it says that this takes a restart. What
// is at its start counts from the next start on.
func TestReloadTakesUpEveryKeyword(t *testing.T) {
	all := conftest.Reloads()
	for _, e := range conf.Examples() {
		all = append(all, conftest.Of(e.Block, e.Keyword, e.Was, e.Now))
	}
	for _, r := range all {
		t.Run(strings.TrimSpace(r.Block+" "+r.Keyword), func(t *testing.T) {
			if r.Nothing != "" {
				t.Log(r.Nothing)
				return
			}
			synctest.Test(t, func(t *testing.T) { reloadOf(t, r) })
		})
	}
}

func reloadOf(t *testing.T, r conftest.Reload) {
	reloaded := newSeen(t, parsed(t, r.Was))
	now := parsed(t, r.Now)
	plan, err := reloaded.Plan(now)
	if err != nil {
		t.Fatal(err)
	}
	changes, err := reloaded.Reload(now)
	if err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(plan) != fmt.Sprint(changes) {
		t.Errorf("planned %+v\ndone    %+v", plan, changes)
	}
	traits := map[conf.Trait]bool{}
	for _, c := range conf.Compare(parsed(t, r.Was), now) {
		traits[c.Trait] = true
		if !strings.Contains(tell(plan), c.Keyword) && c.Trait != conf.Anew {
			t.Errorf("the plan does not name %s:\n%s", c.Keyword, tell(plan))
		}
	}
	if plan.Empty() || len(traits) == 0 {
		t.Fatal("the plan is empty")
	}
	if traits[conf.Restart] {
		if len(plan.Restart) == 0 {
			t.Errorf("the plan does not say that it takes a restart:\n%s", tell(plan))
		}
		return
	}
	started := newSeen(t, now)
	if got, want := reloaded.does(), started.does(); got != want {
		t.Errorf("after the reload\n%s\na fresh start\n%s", got, want)
	}
}

// seen is a director alone on its segment, and what its checks ask.
type seen struct {
	*node
	mu    sync.Mutex
	asked map[string]bool
}

func newSeen(t *testing.T, cfg *conf.Config) *seen {
	s := &site{t: t, segment: fakenet.NewSegment(), down: &outage{}}
	m := s.segment.Machine("10.1.2.1/8")
	for i, name := range []string{"eth1", "e0"} {
		m.Plug(name, 20+i, fmt.Sprintf("10.%d.0.1/16", 20+i))
	}
	n := &seen{node: s.add(m, cfg), asked: map[string]bool{}}
	n.checks.New = func(c conf.Check) check.Checker { return noted{c, n} }
	n.checks.Follow = func(c conf.Check) check.Source { return noted{c, n} }
	n.start()
	t.Cleanup(n.stop)
	return n
}

// noted is a check that passes, and is noted.
type noted struct {
	spec conf.Check
	seen *seen
}

func (c noted) String() string { return "noted" }

func (c noted) Check(context.Context) (check.Weight, error) {
	c.spec.Alpha, c.spec.Warmup = false, 0
	c.seen.mu.Lock()
	defer c.seen.mu.Unlock()
	c.seen.asked[fmt.Sprintf("%+v", c.spec.Bare())] = true
	return check.Weight{}, nil
}

// Run notes a check that is told instead of asking.
func (c noted) Run(ctx context.Context, _ func(check.Verdict)) error {
	for ctx.Err() == nil {
		_, _ = c.Check(ctx)
		select {
		case <-ctx.Done():
		case <-time.After(time.Minute):
		}
	}
	return nil
}

// does is what the director has its machine do once it has settled: the data plane's
// plan, the addresses, and what the checks ask within five minutes.
func (n *seen) does() string {
	time.Sleep(5 * time.Minute)
	n.mu.Lock()
	clear(n.asked)
	n.mu.Unlock()
	time.Sleep(5 * time.Minute)
	synctest.Wait()
	plan := n.machine.Plan()
	speaker := n.bfd.(*sessions)
	speaker.mu.Lock()
	lines := []string{fmt.Sprintf("%+v", plan), fmt.Sprintf("%+v", speaker.set)}
	speaker.mu.Unlock()
	for _, dev := range []string{"lo", "eth0", "eth1", "e0"} {
		addrs, err := n.machine.List(dev)
		lines = append(lines, fmt.Sprint(dev, addrs, err))
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for a := range n.asked {
		lines = append(lines, a)
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func parsed(t *testing.T, content string) *conf.Config {
	t.Helper()
	cfg, diags := conf.Parse("main.conf", []byte(content))
	if cfg == nil {
		t.Fatalf("%v\n%s", diags.All(), content)
	}
	return cfg
}
