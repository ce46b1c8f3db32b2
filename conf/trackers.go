package conf

import (
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"weir/conf/text"
)

// TrackScript is a vrrp_script.
type TrackScript struct {
	given
	Name     string        `json:"vrrp_script"`
	Script   Script        `json:"script"`
	User     Script        `json:"user"`
	Interval time.Duration `json:"interval"`
	Timeout  time.Duration `json:"timeout"`
	Weight   int           `json:"weight"`
	Reverse  bool          `json:"reverse"`
	Rise     int           `json:"rise"`
	Fall     int           `json:"fall"`
	InitFail bool          `json:"init_fail"`
}

// weighted is a weight with [reverse] behind it.
func weighted[T any](most int, weight func(*T) *int, reverse func(*T) *bool, help string) *entry {
	k := number(-most, most)
	return custom("weight", k.expects+" [reverse]", help, func(r *reader, st *text.Statement, into *T) bool {
		n, back, next, ok := readWeight(r, st, 0, most)
		if ok && next == 3 && !back {
			next-- // noreverse belongs to the users of a tracker
		}
		if ok && len(st.Words) > next {
			r.extra(st, next)
			return false
		}
		if ok {
			*weight(into), *reverse(into) = n, back
		}
		return ok
	}, begins(weight, 0))
}

func trackScriptBlock() *blockSpec {
	type S = TrackScript
	const tick = time.Millisecond
	return &blockSpec{name: "vrrp_script", done: func(r *reader, b *text.Block, into any) {
		r.require(b, "script", `expected script "PATH [ARGUMENT...]"`)
		if s := into.(*S); !s.Has("timeout") {
			s.Timeout = s.Interval
		}
	}, entries: []*entry{
		script("script", func(s *S) *Script { return &s.Script }, "the program: exit code 0 is good"),
		value("interval", seconds(tick, maxWhole), func(s *S) *time.Duration { return &s.Interval }, "the time between its runs", initially(time.Second)),
		value("timeout", seconds(tick, maxWhole), func(s *S) *time.Duration { return &s.Timeout }, "how long a run may take", otherwise("interval")),
		weighted(253, func(s *S) *int { return &s.Weight }, func(s *S) *bool { return &s.Reverse }, "what is added to the priority while it is good (positive) or bad (negative); 0 is a fault while it is bad"),
		value("rise", number(1, math.MaxInt32), func(s *S) *int { return &s.Rise }, "so many good runs make it good", initially(1)),
		value("fall", number(1, math.MaxInt32), func(s *S) *int { return &s.Fall }, "so many bad runs make it bad", initially(1)),
		custom("user", "USER [[:]GROUP]", "the user and group that it runs as", func(r *reader, st *text.Statement, s *S) bool { return s.User.user(r, st, 1) }, otherwise("script_user")),
		present("init_fail", func(s *S) *bool { return &s.InitFail }, "it is bad until its first run"),
	}}
}

// TrackProcess is a vrrp_track_process.
type TrackProcess struct {
	given
	Name           string        `json:"vrrp_track_process"`
	Process        []string      `json:"process"`
	ParamMatch     string        `json:"param_match"`
	Weight         int           `json:"weight"`
	Reverse        bool          `json:"reverse"`
	Quorum         int           `json:"quorum"`
	QuorumMax      int           `json:"quorum_max"`
	ForkDelay      time.Duration `json:"fork_delay"`
	TerminateDelay time.Duration `json:"terminate_delay"`
	FullCommand    bool          `json:"full_command"`
}

func trackProcessBlock() *blockSpec {
	type P = TrackProcess
	delay := seconds(0, time.Hour)
	return &blockSpec{name: "vrrp_track_process", done: func(r *reader, b *text.Block, into any) {
		r.require(b, "process", "expected process NAME [ARGUMENT...]")
		p := into.(*P) // arguments are in no process's short name
		p.FullCommand = p.FullCommand || len(p.Process) > 1 || p.Has("param_match")
	}, entries: []*entry{
		many("process", nonEmpty("a program's name"), func(p *P) *[]string { return &p.Process }, "the program, and its arguments", firstCounts()),
		optional("param_match", oneWord("way to match", "initial", "partial"), "", func(p *P) *string { return &p.ParamMatch }, "how much of the arguments has to match; without a word all", otherwise("all")),
		weighted(254, func(p *P) *int { return &p.Weight }, func(p *P) *bool { return &p.Reverse }, "what is added to the priority while enough processes run; 0 is a fault while not"),
		value("quorum", number(1, 65535), func(p *P) *int { return &p.Quorum }, "so many processes are enough", initially(1)),
		value("quorum_max", number(0, 65535), func(p *P) *int { return &p.QuorumMax }, "more than so many are too many", otherwise("no limit")),
		gap("fork_delay", time.Hour, func(p *P) *time.Duration { return &p.ForkDelay }, "how long a new process is not counted", initially(time.Duration(0))),
		gap("terminate_delay", time.Hour, func(p *P) *time.Duration { return &p.TerminateDelay }, "how long an ended process is counted", initially(time.Duration(0))),
		custom("delay", delay.expects, "up_delay and down_delay at once", func(r *reader, st *text.Statement, p *P) bool {
			d, ok := one(r, st, delay)
			p.ForkDelay, p.TerminateDelay = d, d
			return ok
		}),
		present("full_command", func(p *P) *bool { return &p.FullCommand }, "match the whole command"),
	}}
}

// TrackFile is a track_file.
type TrackFile struct {
	given
	Name      string `json:"track_file"`
	File      string `json:"file"`
	Weight    int    `json:"weight"`
	Reverse   bool   `json:"reverse"`
	Init      bool   `json:"init_file"`
	InitValue int    `json:"init_value"`
	Overwrite bool   `json:"overwrite"`
}

func trackFileBlock() *blockSpec {
	type F = TrackFile
	weight := weighted(254, func(f *F) *int { return &f.Weight }, func(f *F) *bool { return &f.Reverse }, "what the number in the file is multiplied with and added to the priority, or to the weight of a real server; 0 is a fault while it is not 0")
	begins(func(f *F) *int { return &f.Weight }, 1)(weight)
	return &blockSpec{name: "track_file", done: func(r *reader, b *text.Block, _ any) {
		r.require(b, "file", "expected file PATH")
	}, entries: []*entry{
		value("file", nonEmpty("a path"), func(f *F) *string { return &f.File }, "the file: one whole number", firstCounts()),
		weight,
		custom("init_file", "[NUMBER] [overwrite]", "make the file where it is missing when weir starts, or in any case", readInitFile, reloads(AtStart)),
	}}
}

func readInitFile(r *reader, st *text.Statement, f *TrackFile) (ok bool) {
	f.Init, ok = true, true
	for n := 1; n < len(st.Words) && ok; n++ {
		if st.Words[n].Text == "overwrite" {
			f.Overwrite = true
			continue
		}
		f.InitValue, ok = word(r, st, n, number(-254, 254))
	}
	return ok
}

// BFD is a bfd_instance.
type BFD struct {
	given
	Name        string     `json:"bfd_instance"`
	Neighbor    netip.Addr `json:"neighbor_ip"`
	Source      netip.Addr `json:"source_ip"`
	MinRx       float64    `json:"min_rx"`
	MinTx       float64    `json:"min_tx"`
	IdleTx      float64    `json:"idle_tx"`
	Multiplier  int        `json:"multiplier"`
	Passive     bool       `json:"passive"`
	TTL         int        `json:"ttl"`
	HopLimit    int        `json:"hoplimit"`
	MaxHops     int        `json:"max_hops"`
	Multihop    bool       `json:"multihop"`
	Weight      int        `json:"weight"`
	Reverse     bool       `json:"reverse"`
	VRRPOnly    bool       `json:"vrrp"`
	CheckerOnly bool       `json:"checker"`
}

// milliseconds is a time of BFD in decimal milliseconds with up to three places, from a
// least one on.
func milliseconds(least float64) kind[float64] {
	const most = math.MaxUint32 / 1000
	expects := fmt.Sprintf("milliseconds from %g to %d, such as 10 or 12.5", least, most)
	return kind[float64]{expects, func(word string) (float64, *complaint) {
		whole, fraction, _ := strings.Cut(strings.TrimPrefix(word, "+"), ".")
		if !isDigits(whole + fraction) {
			return 0, complain("%s is not a number of milliseconds", text.Quote(word))
		}
		if len(fraction) > 3 {
			return 0, complain("%s is finer than a microsecond", text.Shorten(word))
		}
		n, err := strconv.ParseFloat(word, 64)
		if err != nil || n < least || n > most {
			return 0, complain("%s is out of range", text.Shorten(word))
		}
		return n, nil
	}}
}

func bfdBlock() *blockSpec {
	type B = BFD
	neighbor := value("neighbor_ip", address(), func(b *B) *netip.Addr { return &b.Neighbor }, "the address of the BFD neighbour", reloads(Anew))
	return &blockSpec{name: "bfd_instance", done: func(r *reader, b *text.Block, into any) {
		if !has(b, "neighbour_ip") {
			r.require(b, "neighbor_ip", "expected neighbor_ip IP")
		}
		own, other := into.(*B).Source, into.(*B).Neighbor
		if own.IsValid() && other.IsValid() && (own == other || own.Is4() != other.Is4()) {
			r.errorAt(into.(*B).PlaceOf("source_ip"), "source_ip and neighbor_ip do not go together", "expected two addresses of the same family")
		}
	}, entries: []*entry{
		neighbor, synonym("neighbour_ip", neighbor),
		value("source_ip", address(), func(b *B) *netip.Addr { return &b.Source }, "the address of this machine for the session", reloads(Anew), otherwise("the kernel's choice"), example("10.1.9.1", "10.1.9.2")),
		value("min_rx", milliseconds(1), func(b *B) *float64 { return &b.MinRx }, "the least time between received packets, in milliseconds", initially(10.0), example("20", "20.5")),
		value("min_tx", milliseconds(1), func(b *B) *float64 { return &b.MinTx }, "the least time between sent packets, in milliseconds", initially(10.0), example("20", "30.125")),
		value("idle_tx", milliseconds(1000), func(b *B) *float64 { return &b.IdleTx }, "the same while the session is down", initially(1000.0), example("1001", "1002")),
		value("multiplier", number(1, 255), func(b *B) *int { return &b.Multiplier }, "so many lost packets end the session", initially(5), example("3", "4")),
		present("passive", func(b *B) *bool { return &b.Passive }, "wait for the other end to begin"),
		value("ttl", number(1, 255), func(b *B) *int { return &b.TTL }, "the TTL of packets, and less max_hops the least of those that are taken", otherwise("255"), reloads(Anew), example("254", "253")),
		value("hoplimit", number(1, 255), func(b *B) *int { return &b.HopLimit }, "the same for IPv6", otherwise("255; 64 is taken"), reloads(Anew), example("254", "253")),
		value("max_hops", number(-1, 255), func(b *B) *int { return &b.MaxHops }, "how many hops the other end may be away", initially(0), example("1", "2")),
		onOff("multihop", func(b *B) *bool { return &b.Multihop }, "the port of multihop sessions, 4784", reloads(Anew), example("off", "on")),
		weighted(253, func(b *B) *int { return &b.Weight }, func(b *B) *bool { return &b.Reverse }, "what is added to the priority while the session is up"),
		present("vrrp", func(b *B) *bool { return &b.VRRPOnly }, "only for VRRP instances"),
		present("checker", func(b *B) *bool { return &b.CheckerOnly }, "only for BFD_CHECK"),
	}}
}

// GARPGroup is a garp_group: interfaces whose gratuitous ARPs share a gap.
type GARPGroup struct {
	given
	GARPInterval time.Duration `json:"garp_interval"`
	GNAInterval  time.Duration `json:"gna_interval"`
	Interfaces   []string      `json:"interfaces"`
}

func garpGroupBlock() *blockSpec {
	type G = GARPGroup
	names := list("interfaces", "the names of network interfaces", func(r *reader, st *text.Statement, g *G) {
		list, ok := rest(r, st, 0, device())
		if g.Interfaces = append(g.Interfaces, list...); ok {
			g.note("interfaces", st.Place())
		}
	})
	done := func(r *reader, b *text.Block, _ any) {
		if !has(b, "garp_interval", "gna_interval") {
			r.warnAt(b.Owner.Place(), "garp-group-empty", "a garp_group without a delay changes nothing", "expected garp_interval or gna_interval")
		}
	}
	return &blockSpec{name: "garp_group", done: done, entries: []*entry{
		value("garp_interval", seconds(0, maxDelay), func(g *G) *time.Duration { return &g.GARPInterval }, "the gap between gratuitous ARPs", otherwise("vrrp_garp_interval")),
		value("gna_interval", seconds(0, maxDelay), func(g *G) *time.Duration { return &g.GNAInterval }, "the gap between neighbour advertisements", otherwise("vrrp_gna_interval")),
		many("interface", device(), func(g *G) *[]string { return &g.Interfaces }, "the interface"),
		section("interfaces", names, "the interfaces", plain(func(g *G) *G { return g })),
	}}
}
