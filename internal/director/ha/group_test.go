package ha

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"weir/conf"
	"weir/internal/netlnk/fakenet"
	"weir/internal/track"
	"weir/vrrp"
)

// group has the bed's instances be the members of one group.
func group(change func(*Tracking), members ...string) Tracking {
	t := Tracking{Groups: []*conf.SyncGroup{{Name: "G", Members: members}}}
	if change != nil {
		change(&t)
	}
	return t
}

// ours and theirs are two instances on two segments: eth0 and eth1.
func pair(priority uint8, state conf.State) []conf.VRRPInstance {
	a, b := on(51, priority, vip1), on(52, priority)
	b.Interface = "eth1"
	b.VIPs = []conf.VIP{{Prefix: netip.MustParsePrefix("10.2.0.100/32"), Device: "eth1"}}
	a.State, b.State = state, state
	return []conf.VRRPInstance{a, b}
}

// states are those of a bed's instances.
func (b *bed) states() string {
	b.t.Helper()
	synctest.Wait()
	var all []string
	for _, in := range b.Snapshot() {
		all = append(all, string(in.State))
	}
	return strings.Join(all, " ")
}

func (b *bed) wantStates(want string) {
	b.t.Helper()
	if got := b.states(); got != want {
		b.t.Errorf("states %q, want %q", got, want)
	}
}

// inGroup runs a body with a pair of instances in a group on a machine with two devices, of
// which no other director is on the second one.
func inGroup(t *testing.T, tracking Tracking, cfgs []conf.VRRPInstance, body func(b *bed, s *fakenet.Segment, other *fakenet.Machine)) {
	simulate(t, func(t *testing.T, s *fakenet.Segment, m, other *fakenet.Machine) {
		m.Plug("eth1", 3, "10.2.0.1/24")
		b := newBed(t, m, cfgs...)
		b.tracking = tracking
		defer b.run()()
		body(b, s, other)
	})
}

// With state BACKUP the group waits until all members want to take over; with MASTER the
// first one takes the others along.
func TestGroupTakesOverTogether(t *testing.T) {
	for _, state := range []conf.State{conf.Backup, conf.Master} {
		t.Run(string(state), func(t *testing.T) {
			cfgs := pair(100, state)
			cfgs[1].AdvertInterval = 3 * time.Second
			inGroup(t, group(nil, "VI_51", "VI_52"), cfgs, func(b *bed, _ *fakenet.Segment, _ *fakenet.Machine) {
				time.Sleep(2 * time.Second)
				if state == conf.Master {
					b.wantStates("master master")
					return
				}
				b.wantStates("backup backup")
				time.Sleep(3 * time.Second)
				b.wantStates("backup backup") // the first one wants to
				time.Sleep(5 * time.Second)
				b.wantStates("master master")
			})
		})
	}
}

// A higher master of one instance takes the other one's mastership, too; a fault of one is a
// fault of both, and they come back together.
func TestGroupLeavesTogether(t *testing.T) {
	inGroup(t, group(nil, "VI_51", "VI_52"), pair(100, conf.Backup), func(b *bed, _ *fakenet.Segment, other *fakenet.Machine) {
		time.Sleep(8 * time.Second)
		b.wantStates("master master")
		o := newBed(b.t, other, on(51, 200, vip1))
		stop := o.run()
		time.Sleep(4 * time.Second)
		b.wantStates("backup backup")
		time.Sleep(20 * time.Second)
		b.wantStates("backup backup")
		stop()
		time.Sleep(8 * time.Second)
		b.wantStates("master master")
		b.fake.SetUp("eth1", false)
		b.follow()
		b.wantStates("fault fault")
		if fault := b.list[0].machine.Snapshot().Fault; fault != "vrrp_instance VI_52 of vrrp_sync_group G: interface eth1 is down" {
			t.Errorf("fault %q", fault)
		}
		b.fake.SetUp("eth1", true)
		b.follow()
		b.wantStates("backup backup")
		time.Sleep(8 * time.Second)
		b.wantStates("master master")
	})
}

// A member whose adverts cannot be sent takes the others down, and up again.
func TestGroupOfOneThatCannotSend(t *testing.T) {
	inGroup(t, group(nil, "VI_51", "VI_52"), pair(100, conf.Backup), func(b *bed, s *fakenet.Segment, _ *fakenet.Machine) {
		time.Sleep(8 * time.Second)
		b.wantStates("master master")
		b.fake.Refuse("send", 4)
		for range 40 {
			time.Sleep(time.Second)
			synctest.Wait()
			if got := b.states(); got == "master fault" || got == "fault master" {
				t.Fatalf("states %q after %s", got, time.Second)
			}
		}
		b.wantStates("master master")
	})
}

// Trackers of every kind make priorities and faults, in an instance and in its group.
func TestTrackersJudge(t *testing.T) {
	script := func(weight int) func(*Tracking) {
		return func(t *Tracking) {
			t.Scripts = []*conf.TrackScript{{Name: "s", Weight: weight}}
			t.Files = []*conf.TrackFile{{Name: "f", Weight: 2}}
			t.Processes = []*conf.TrackProcess{{Name: "p", Weight: weight}}
			t.BFDs = []*conf.BFD{{Name: "b", Weight: weight}}
		}
	}
	for _, tt := range []struct {
		name     string
		tracks   conf.Tracks
		weight   int
		verdicts map[track.Key]track.Verdict
		priority int
		fault    string
	}{
		{"good adds", conf.Tracks{Scripts: []conf.Track{{Name: "s"}}}, 10, verdict("vrrp_script", "s", true, 0), 110, ""},
		{"bad adds nothing", conf.Tracks{Scripts: []conf.Track{{Name: "s"}}}, 10, verdict("vrrp_script", "s", false, 0), 100, ""},
		{"bad takes away", conf.Tracks{Scripts: []conf.Track{{Name: "s"}}}, -10, verdict("vrrp_script", "s", false, 0), 90, ""},
		{"a weight of its own", conf.Tracks{Scripts: []conf.Track{{Name: "s", HasWeight: true, Weight: -20}}}, 10, verdict("vrrp_script", "s", false, 0), 80, ""},
		{"reversed", conf.Tracks{Scripts: []conf.Track{{Name: "s", HasWeight: true, Weight: 5, Reverse: true}}}, 10, verdict("vrrp_script", "s", true, 0), 95, ""},
		{"not known yet", conf.Tracks{Scripts: []conf.Track{{Name: "s"}}}, 10, nil, 100, ""},
		{"not known, without weight", conf.Tracks{Scripts: []conf.Track{{Name: "s"}}}, 0, nil, 100, "vrrp_script s has not run yet"},
		{"a fault", conf.Tracks{Scripts: []conf.Track{{Name: "s"}}}, 0, verdict("vrrp_script", "s", false, 0), 100, "vrrp_script s fails"},
		{"no fault", conf.Tracks{Scripts: []conf.Track{{Name: "s"}}}, 0, verdict("vrrp_script", "s", true, 0), 100, ""},
		{"processes", conf.Tracks{Processes: []conf.Track{{Name: "p"}}}, 0, verdict("vrrp_track_process", "p", false, 0), 100, "vrrp_track_process p has no quorum"},
		{"a file", conf.Tracks{Files: []conf.Track{{Name: "f"}}}, 0, verdict("track_file", "f", false, 7), 114, ""},
		{"a file without weight", conf.Tracks{Files: []conf.Track{{Name: "f", HasWeight: true}}}, 0, verdict("track_file", "f", false, 7), 100, "track_file f has the number 7"},
		{"a file below all", conf.Tracks{Files: []conf.Track{{Name: "f"}}}, 0, verdict("track_file", "f", false, -127), 1, "track_file f has the number -127"},
		{"a file at the bottom", conf.Tracks{Files: []conf.Track{{Name: "f"}}}, 0, verdict("track_file", "f", false, -126), 1, ""},
		{"a file above all", conf.Tracks{Files: []conf.Track{{Name: "f"}}}, 0, verdict("track_file", "f", false, 1<<31), 254, ""},
		{"a session is up", conf.Tracks{BFDs: []conf.Track{{Name: "b"}}}, 10, verdict("bfd_instance", "b", true, 0), 110, ""},
		{"a session is down", conf.Tracks{BFDs: []conf.Track{{Name: "b"}}}, -10, verdict("bfd_instance", "b", false, 0), 90, ""},
		{"a session begins", conf.Tracks{BFDs: []conf.Track{{Name: "b"}}}, -10, nil, 90, ""},
		{"a session begins, without weight", conf.Tracks{BFDs: []conf.Track{{Name: "b"}}}, 0, nil, 100, "bfd_instance b is down"},
		{"a session without weight", conf.Tracks{BFDs: []conf.Track{{Name: "b"}}}, 0, verdict("bfd_instance", "b", true, 0), 100, ""},
		{"a session in reverse", conf.Tracks{BFDs: []conf.Track{{Name: "b", HasWeight: true, Reverse: true}}}, 0, verdict("bfd_instance", "b", true, 0), 100, "bfd_instance b is up, and is reversed"},
	} {
		for _, inGroup := range []bool{false, true} {
			t.Run(fmt.Sprint(tt.name, " group ", inGroup), func(t *testing.T) {
				simulate(t, func(t *testing.T, _ *fakenet.Segment, m, _ *fakenet.Machine) {
					c := on(51, 100, vip1)
					tracking := Tracking{}
					if script(tt.weight)(&tracking); inGroup {
						tracking.Groups = []*conf.SyncGroup{{Name: "G", Members: []string{"VI_51"}, Tracks: tt.tracks}}
					} else {
						c.Tracks = tt.tracks
					}
					b := newBed(t, m, c)
					b.Track(tracking, tt.verdicts)
					defer b.run()()
					synctest.Wait()
					now := b.list[0].machine.Snapshot()
					if tt.fault != "" && tt.priority == 1 {
						now.Priority = 1 // it does not count in fault
					}
					if int(now.Priority) != tt.priority || now.Fault != tt.fault || (now.State == vrrp.Fault) != (tt.fault != "") {
						t.Errorf("priority %d, fault %q in %s, want %d, %q", now.Priority, now.Fault, now.State, tt.priority, tt.fault)
					}
				})
			})
		}
	}
}

func verdict(kind track.Kind, name string, good bool, number int64) map[track.Key]track.Verdict {
	return map[track.Key]track.Verdict{{Kind: kind, Name: name}: {Good: good, Number: number}}
}

// A priority that falls hands the mastership to a backup that is higher now, and one that
// rises takes it back.
func TestPriorityMovesMastership(t *testing.T) {
	simulate(t, func(t *testing.T, _ *fakenet.Segment, m1, m2 *fakenet.Machine) {
		c := on(51, 150, vip1)
		c.Tracks.Scripts = []conf.Track{{Name: "s"}}
		b, o := newBed(t, m1, c), newBed(t, m2, on(51, 140, vip1))
		k := track.Key{Kind: track.KindScript, Name: "s"}
		b.Track(Tracking{Scripts: []*conf.TrackScript{{Name: "s", Weight: -20}}}, map[track.Key]track.Verdict{k: {Good: true}})
		defer b.run()()
		defer o.run()()
		for _, good := range []bool{true, false, true} {
			b.Judge(k, track.Verdict{Good: good})
			time.Sleep(5 * time.Second)
			if want := map[bool]string{true: "master", false: "backup"}[good]; b.states() != want {
				t.Errorf("good %v: %s, want %s", good, b.states(), want)
			}
		}
	})
}

// Tracked interfaces make faults and priorities.
func TestTrackedInterfaces(t *testing.T) {
	for _, tt := range []struct {
		track    conf.Track
		up, down string
	}{
		{conf.Track{Name: "eth1"}, "100 ", "100 interface eth1, which is tracked, is down"},
		{conf.Track{Name: "eth1", Reverse: true}, "100 interface eth1, which is tracked in reverse, is up", "100 "},
		{conf.Track{Name: "eth1", Weight: 10}, "110 ", "100 "},
		{conf.Track{Name: "eth1", Weight: -10}, "100 ", "90 "},
	} {
		t.Run(fmt.Sprint(tt.track), func(t *testing.T) {
			simulate(t, func(t *testing.T, _ *fakenet.Segment, m, _ *fakenet.Machine) {
				m.Plug("eth1", 3, "10.2.0.1/24")
				c := on(51, 100, vip1)
				c.Interfaces = []conf.Track{tt.track}
				b := newBed(t, m, c)
				defer b.run()()
				for _, want := range []string{tt.up, tt.down, tt.up} {
					b.follow()
					synctest.Wait()
					if now := b.list[0].machine.Snapshot(); fmt.Sprint(now.Priority, " ", now.Fault) != want {
						t.Errorf("%d %q, want %q", now.Priority, now.Fault, want)
					}
					m.SetUp("eth1", want != tt.up)
				}
			})
		})
	}
}
