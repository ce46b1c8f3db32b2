package ha

import (
	"fmt"

	"weir/conf"
	"weir/internal/netlnk"
	"weir/internal/track"
)

// Tracking is what instances and their sync groups watch.
type Tracking struct {
	Groups    []*conf.SyncGroup
	Scripts   []*conf.TrackScript
	Processes []*conf.TrackProcess
	Files     []*conf.TrackFile
	BFDs      []*conf.BFD
	Static    []Watched
}

// TrackingOf is that of a configuration.
func TrackingOf(c *conf.Config) Tracking {
	return Tracking{c.SyncGroups, c.TrackScripts, c.TrackProcesses, c.TrackFiles, c.BFDs, watchedOf(c)}
}

// groupOf is the sync group that an instance is a member of; nil is none.
func (t Tracking) groupOf(name string) *conf.SyncGroup {
	for _, g := range t.Groups {
		for _, member := range g.Members {
			if member == name {
				return g
			}
		}
	}
	return nil
}

// tracks are what an instance watches, its group's included.
func (t Tracking) tracks(c conf.VRRPInstance) []conf.Tracks {
	if g := t.groupOf(c.Name); g != nil {
		return []conf.Tracks{c.Tracks, g.Tracks}
	}
	return []conf.Tracks{c.Tracks}
}

// Track has the instances watch what a configuration says, with these verdicts so far, from
// the next Run or Commit on.
func (s *Instances) Track(t Tracking, verdicts map[track.Key]track.Verdict) {
	s.tracking, s.verdicts = t, verdicts
}

// Judge takes in what a tracker says.
func (s *Instances) Judge(k track.Key, v track.Verdict) {
	if s.verdicts == nil {
		s.verdicts = map[track.Key]track.Verdict{}
	}
	s.verdicts[k] = v
	s.settle()
}

// Settle works out again what the instances follow.
func (s *Instances) Settle() { s.settle() }

// settle gives every instance the fault and the priority that follow from its binding, its
// trackers, and its group.
func (s *Instances) settle() {
	faults, weights := map[string]string{}, map[*instance]int{}
	for _, in := range s.list {
		fault, weight := s.judge(in)
		if in.own != "" {
			fault = in.own
		}
		faults[in.cfg.Name], weights[in] = fault, weight
	}
	spread(s.tracking.Groups, faults)
	for _, in := range s.list {
		if in.synced != nil {
			in.synced.setFault(faults[in.cfg.Name] != "")
		}
	}
	for _, in := range s.list {
		if in.machine == nil {
			continue
		}
		in.weigh(weights[in])
		in.machine.SetFault(faults[in.cfg.Name])
	}
}

// weigh gives an instance the priority that its trackers make of the configured one.
func (in *instance) weigh(weight int) {
	if in.weight == weight {
		return
	}
	was := in.effective(in.cfg)
	in.weight = weight
	if in.effective(in.cfg) != was {
		in.machine.Reconfigure(in.machineOf(in.cfg), nil, nil)
	}
}

// effective is an instance's priority with the weights of its trackers: 1 to 254, but that of
// an owner is always 255 (vrrp_set_effective_priority in keepalived's vrrp_track.c).
func (in *instance) effective(c conf.VRRPInstance) uint8 {
	const owner = 255
	if c.Priority == owner {
		return owner
	}
	return uint8(min(max(int(c.Priority)+in.weight, 1), owner-1))
}

// judge works out what the trackers of an instance say: a fault, and what is added to its
// priority.
func (s *Instances) judge(in *instance) (fault string, weight int) {
	j := judgement{verdicts: s.verdicts, waits: in.waits}
	for _, t := range s.tracking.tracks(in.cfg) {
		for _, w := range t.Scripts {
			for _, c := range s.tracking.Scripts {
				if c.Name == w.Name {
					j.program(track.Key{Kind: track.KindScript, Name: c.Name}, weightOf(w, c.Weight, c.Reverse), "fails")
				}
			}
		}
		for _, w := range t.Processes {
			for _, c := range s.tracking.Processes {
				if c.Name == w.Name {
					j.program(track.Key{Kind: track.KindProcess, Name: c.Name}, weightOf(w, c.Weight, c.Reverse), "has no quorum")
				}
			}
		}
		for _, w := range t.Files {
			for _, c := range s.tracking.Files {
				if c.Name == w.Name {
					j.file(track.Key{Kind: track.KindFile, Name: c.Name}, weightOf(w, c.Weight, c.Reverse))
				}
			}
		}
		for _, w := range t.BFDs {
			for _, c := range s.tracking.BFDs {
				if c.Name == w.Name {
					j.session(track.Key{Kind: track.KindBFD, Name: c.Name}, weightOf(w, c.Weight, c.Reverse))
				}
			}
		}
	}
	j.quorums(in.cfg, s.quorums)
	j.isBroken(in)
	j.isWithout(s.tracking.watchedBy(in.cfg.Name), s.missing)
	if !j.waiting {
		in.waits = false
	}
	return j.fault, j.weight + in.bound.Weight
}

// weighing is how much a tracker counts for one instance.
type weighing struct {
	weight  int
	reverse bool
}

// sign is what a weight is multiplied with.
func (w weighing) sign() int {
	if w.reverse {
		return -1
	}
	return 1
}

// change is what is added to the priority while a tracker is good, or is not: a positive
// weight counts while it is good, a negative one while it is not.
func (w weighing) change(good bool) int {
	if good == (w.weight > 0) {
		return w.weight * w.sign()
	}
	return 0
}

func weightOf(t conf.Track, weight int, reverse bool) weighing {
	if t.HasWeight {
		return weighing{t.Weight, t.Reverse}
	}
	return weighing{weight, reverse}
}

// judgement gathers what trackers say.
type judgement struct {
	verdicts map[track.Key]track.Verdict
	waits    bool // an instance that begins waits for a first verdict
	waiting  bool
	fault    string
	weight   int
}

func (j *judgement) fail(format string, args ...any) {
	if j.fault == "" {
		j.fault = fmt.Sprintf(format, args...)
	}
}

// program is a script or a process: good or not.
func (j *judgement) program(k track.Key, w weighing, bad string) {
	v, known := j.verdicts[k]
	switch {
	case !known && w.weight == 0 && j.waits:
		j.waiting = true
		j.fail("%s %s has not run yet", k.Kind, k.Name)
	case !known:
	case w.weight != 0:
		j.weight += w.change(v.Good)
	case v.Good == w.reverse && w.reverse:
		j.fail("%s %s does not fail, and is reversed", k.Kind, k.Name)
	case v.Good == w.reverse:
		j.fail("%s %s %s", k.Kind, k.Name, bad)
	}
}

// session is one of BFD: up or down. One that has not been up yet is down, as in keepalived;
// an instance that runs already waits for what becomes of it.
func (j *judgement) session(k track.Key, w weighing) {
	v, known := j.verdicts[k]
	j.waiting = j.waiting || !known && j.waits
	switch {
	case !known && !j.waits:
	case w.weight != 0:
		j.weight += w.change(v.Good)
	case v.Good && w.reverse:
		j.fail("%s %s is up, and is reversed", k.Kind, k.Name)
	case !v.Good && !w.reverse:
		j.fail("%s %s is down", k.Kind, k.Name)
	}
}

// mostOfFile is the most that a file adds to a priority; less than its negative is a fault.
const mostOfFile = 253

// file is a number: with weight 0 one that is not 0 is a fault.
func (j *judgement) file(k track.Key, w weighing) {
	v, known := j.verdicts[k]
	if !known {
		return
	}
	n := v.Number * int64(w.weight) * int64(w.sign())
	switch {
	case w.weight == 0 && (v.Number != 0) != w.reverse, w.weight != 0 && n < -mostOfFile:
		j.fail("track_file %s has the number %d", k.Name, v.Number)
	case w.weight != 0:
		j.weight += int(min(n, mostOfFile))
	}
}

// bindTracked looks at the interfaces that an instance watches. Without a weight, one that
// is down is a fault; with one, the priority changes.
func (b *Binding) bindTracked(tracks []conf.Tracks, p *netlnk.Picture) {
	for _, t := range tracks {
		for _, i := range t.Interfaces {
			l, err := p.Link(i.Name)
			up := err == nil && l.Up
			w := weighing{i.Weight, i.Reverse}
			switch {
			case w.weight != 0:
				b.Weight += w.change(up)
			case up != w.reverse || b.Fault != "":
			case w.reverse:
				b.Fault = fmt.Sprintf("interface %s, which is tracked in reverse, is up", i.Name)
			default:
				b.Fault = fmt.Sprintf("interface %s, which is tracked, is down", i.Name)
			}
		}
	}
}

// BindTracked completes bindings by what the instances and their sync groups track of this
// machine: interfaces, and each other's faults.
func BindTracked(t Tracking, cfgs []conf.VRRPInstance, bindings []Binding, p *netlnk.Picture) {
	faults := map[string]string{}
	for i, c := range cfgs {
		bindings[i].bindTracked(t.tracks(c), p)
		bindings[i].bindWatched(t.watchedBy(c.Name), p)
		faults[c.Name] = bindings[i].Fault
	}
	spread(t.Groups, faults)
	for i, c := range cfgs {
		bindings[i].Fault = faults[c.Name]
	}
}
