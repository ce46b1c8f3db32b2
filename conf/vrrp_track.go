package conf

import (
	"fmt"
	"slices"
	"strings"

	"weir/conf/text"
)

// Track is a line of a track_ block: what is watched, and what it weighs.
type Track struct {
	Name string `json:"name"`
	// Weight is added to the priority; without one of its own, that of the
	// tracker is.
	Weight    int  `json:"weight"`
	HasWeight bool `json:"has_weight"`
	Reverse   bool `json:"reverse"`
	at        text.Place
}

// Tracks are what an instance or a sync group watches.
type Tracks struct {
	Interfaces []Track `json:"track_interface"`
	Scripts    []Track `json:"track_script"`
	Files      []Track `json:"track_file"`
	Processes  []Track `json:"track_process"`
	BFDs       []Track `json:"track_bfd"`
}

// Notify is what is run or told when an instance or a sync group changes its
// state.
type Notify struct {
	OnMaster        Script `json:"notify_master"`
	OnBackup        Script `json:"notify_backup"`
	OnFault         Script `json:"notify_fault"`
	OnStop          Script `json:"notify_stop"`
	OnAny           Script `json:"notify"`
	PriorityChanges bool   `json:"notify_priority_changes"`
	SMTPAlert       bool   `json:"smtp_alert"`
}

func trackEntries[T any](at func(*T) *Tracks) []*entry {
	block := func(name string, most int, list func(*T) *[]Track, help string) *entry {
		return section(name, trackBlock(name, most, list), help, plain(func(t *T) *T { return t }))
	}
	return []*entry{
		block("track_interface", 253, func(t *T) *[]Track { return &at(t).Interfaces }, "interfaces: without a weight one that is down is a fault"),
		block("track_script", 253, func(t *T) *[]Track { return &at(t).Scripts }, "vrrp_scripts"),
		block("track_file", 254, func(t *T) *[]Track { return &at(t).Files }, "track_files"),
		block("track_process", 254, func(t *T) *[]Track { return &at(t).Processes }, "vrrp_track_processes"),
		block("track_bfd", 253, func(t *T) *[]Track { return &at(t).BFDs }, "bfd_instances: without a weight one that is down is a fault"),
	}
}

// trackBlock is a list of what is watched.
func trackBlock[T any](name string, most int, at func(*T) *[]Track) *blockSpec {
	expects := fmt.Sprintf("NAME [weight -%d..%d [reverse|noreverse]]", most, most)
	return list(name, expects, func(r *reader, st *text.Statement, into *T) {
		t := Track{Name: st.Words[0].Text, at: st.Place()}
		var ok bool
		rest := 1
		if len(st.Words) > 1 && st.Words[1].Text == "weight" {
			if t.Weight, t.Reverse, rest, ok = readWeight(r, st, 1, most); !ok {
				return
			}
			t.HasWeight = true
		}
		if len(st.Words) > rest {
			r.errorAt(st.Words[rest].Place, fmt.Sprintf("unknown word %s in %s", text.Quote(st.Words[rest].Text), name), "expected "+expects)
			return
		}
		if slices.ContainsFunc(*at(into), func(other Track) bool { return other.Name == t.Name }) {
			r.warnAt(st.Place(), "listed-twice", fmt.Sprintf("%s stands twice in %s: the first one counts", text.Shorten(t.Name), name), "take one of them out")
			return
		}
		*at(into) = append(*at(into), t)
		note(into, name, st.Place())
	})
}

// readWeight reads N [reverse|noreverse] behind the word at i.
func readWeight(r *reader, st *text.Statement, i, most int) (weight int, reverse bool, next int, ok bool) {
	if weight, ok = after(r, st, i, number(-most, most)); !ok {
		return 0, false, 0, false
	}
	next = i + 2
	if len(st.Words) > next && (st.Words[next].Text == "reverse" || st.Words[next].Text == "noreverse") {
		reverse = st.Words[next].Text == "reverse"
		next++
	}
	return weight, reverse, next, true
}

func notifyEntries[T any](at func(*T) *Notify) []*entry {
	return []*entry{
		script("notify_master", func(t *T) *Script { return &at(t).OnMaster }, "runs on becoming master"),
		script("notify_backup", func(t *T) *Script { return &at(t).OnBackup }, "runs on becoming standby"),
		script("notify_fault", func(t *T) *Script { return &at(t).OnFault }, "runs on a fault"),
		script("notify_stop", func(t *T) *Script { return &at(t).OnStop }, "runs on stopping"),
		script("notify", func(t *T) *Script { return &at(t).OnAny }, "runs on every change, with four arguments: INSTANCE or GROUP, the name, the state, the priority"),
		onOff("notify_priority_changes", func(t *T) *bool { return &at(t).PriorityChanges }, "lines in the FIFO when the priority changes", otherwise("vrrp_notify_priority_changes")),
		onOff("smtp_alert", func(t *T) *bool { return &at(t).SMTPAlert }, "mails on a change of state", otherwise("smtp_alert_vrrp")),
	}
}

// SyncGroup is a vrrp_sync_group: instances that change their states together.
type SyncGroup struct {
	given
	Name    string   `json:"vrrp_sync_group"`
	Members []string `json:"group"`
	Tracks
	Notify
	GlobalTracking bool `json:"global_tracking"`
	TrackingWeight bool `json:"sync_group_tracking_weight"`
}

func syncGroupBlock() *blockSpec {
	type G = SyncGroup
	names := list("group", "the names of vrrp_instances", func(r *reader, st *text.Statement, g *G) {
		for _, w := range st.Words {
			g.Members = append(g.Members, w.Text)
			g.noteLine(w.Place)
		}
		g.note("group", st.Place())
	})
	names.words = isName
	entries := []*entry{
		section("group", names, "the instances", plain(func(g *G) *G { return g })),
		present("sync_group_tracking_weight", func(g *G) *bool { return &g.TrackingWeight }, "let trackers of the instances have weights"),
	}
	entries = append(entries, ignored("keepalived does not use it either",
		present("global_tracking", func(g *G) *bool { return &g.GlobalTracking }, "obsolete").warns("track_interface, track_script or track_file in the group"))...)
	entries = append(entries, trackEntries(func(g *G) *Tracks { return &g.Tracks })...)
	entries = append(entries, notifyEntries(func(g *G) *Notify { return &g.Notify })...)
	done := func(r *reader, b *text.Block, into any) {
		r.require(b, "group", "expected group { INSTANCE... }")
		if g := into.(*G); len(g.Members) == 1 && !b.Unsure {
			r.warnAt(g.PlaceOf("group"), "sync-group-single", syncSingle, "expected at least two")
		}
	}
	return &blockSpec{name: "vrrp_sync_group", done: done, entries: entries}
}

// syncSingle is said of a group with one member.
const syncSingle = "a vrrp_sync_group of one instance keeps nothing together"

// isName tells whether a word may be the name of an instance: the braces have shown
// that the line belongs to a list.
func isName(word string) bool { return word != "" && !strings.ContainsAny(word, "{}$@~") }
