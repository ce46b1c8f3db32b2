package director

import (
	"testing"
	"testing/synctest"
	"time"

	"weir/conf"
	"weir/internal/check"
	"weir/internal/cluster"
)

// The VIP moves where the quorum of its virtual server is lost on the master alone, and comes
// back with it. Where it is lost on both, it stays where there is a weight; with the weight 0
// nobody has it.
func TestTrackQuorum(t *testing.T) {
	for _, tt := range []struct {
		weight     conf.QuorumWeight
		here, both cluster.State // the first director, while the quorum is lost here, and on both
	}{
		{"", cluster.Master, cluster.Master},
		{"-60", cluster.Backup, cluster.Master},
		{"0", cluster.Fault, cluster.Fault},
	} {
		t.Run("weight "+string(tt.weight), func(t *testing.T) {
			simulate(t, func(t *testing.T, s *site) {
				first, second := tracking(s, "192.0.2.1/24", 150, tt.weight), tracking(s, "192.0.2.2/24", 100, tt.weight)
				defer first.stop()
				defer second.stop()
				lose := func(n *losing, lost bool) {
					n.down.set("192.0.2.11:80", lost)
					n.down.set("192.0.2.12:80", lost)
					time.Sleep(time.Minute)
				}
				states := func(when string, one, other cluster.State) {
					t.Helper()
					synctest.Wait()
					for n, want := range map[*losing]cluster.State{first: one, second: other} {
						snap, err := n.Snapshot(t.Context())
						if err != nil {
							t.Fatal(err)
						}
						if got := snap.Instances[0]; got.State != want {
							t.Errorf("%s: priority %d is %s, want %s", when, got.Priority, got.State, want)
						}
					}
				}
				other := func(s cluster.State) cluster.State {
					if s == cluster.Master {
						return cluster.Backup
					}
					return cluster.Master
				}
				lose(first, false)
				states("all are well", cluster.Master, cluster.Backup)
				lose(first, true)
				states("lost here", tt.here, other(tt.here))
				lose(second, true)
				if tt.weight == "0" {
					states("lost on both", cluster.Fault, cluster.Fault)
				} else {
					states("lost on both", tt.both, other(tt.both))
				}
				lose(first, false)
				lose(second, false)
				states("back", cluster.Master, cluster.Backup)
			})
		})
	}
}

// A reload that begins to track quorums takes up those that are lost, and one that ends it
// lets them be. The change is planned.
func TestTrackQuorumIsReloaded(t *testing.T) {
	simulate(t, func(t *testing.T, s *site) {
		n := tracking(s, "192.0.2.1/24", 150, "")
		defer n.stop()
		n.down.set("192.0.2.11:80", true)
		n.down.set("192.0.2.12:80", true)
		time.Sleep(time.Minute)
		n.want(cluster.Master, theVIP)
		for _, step := range []struct {
			weight conf.QuorumWeight
			state  cluster.State
			vips   string
		}{{"0", cluster.Fault, ""}, {"", cluster.Master, theVIP}} {
			c := trackingConfig(150, step.weight)
			plan, err := n.Plan(c)
			if err != nil || len(plan.Instances) != 1 || plan.Instances[0].Settings[0].Name != "track_quorum" {
				t.Errorf("the plan is %+v, %v", plan, err)
			}
			if _, err := n.Reload(c); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
			n.want(step.state, step.vips)
		}
	})
}

// losing is a director with an outage of its own.
type losing struct {
	*node
	down *outage
}

func trackingConfig(priority uint8, weight conf.QuorumWeight) *conf.Config {
	i := vrrpOn(51, priority, theVIP)
	i.Beyond.TrackQuorum = weight
	c := cfg(i)
	c.VirtualServers[0].Quorum = 1
	return c
}

func tracking(s *site, addr string, priority uint8, weight conf.QuorumWeight) *losing {
	n := &losing{s.add(s.segment.Machine(addr), trackingConfig(priority, weight)), &outage{}}
	n.checks.New = func(c conf.Check) check.Checker { return asked{c, n.down} }
	n.start()
	return n
}
