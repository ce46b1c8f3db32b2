package conf

import (
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"weir/conf/text"
	"weir/lvs"
)

// Large configurations are thousands of virtual servers, one after the other, and
// none of them depends on what stands around it. So each is a part: it is cut out of
// its file before the words are, read by itself, on all CPUs at once, and, by a
// Loader, not again while its text stays the same. What it gave rise to is then said
// in its place, so that the outcome is that of reading the whole.
//
// That only holds for text that is right. Where anything is wrong, or a virtual
// server stands where none may, the whole is read anew without parts: only the whole
// tells where a brace is missing.

// part is a virtual server that is read by itself.
type part struct {
	src *text.Source
	*solo
}

// solo is what a part's text says, wherever it stands. Its places are those of the
// source that it was read from.
type solo struct {
	text   string
	lines  int32
	tokens int
	server VirtualServer
	head   text.Place
	// serves is false for one without real servers: it is left out.
	serves bool
	// read and resolved are the remarks of these two steps, said the keywords of
	// which something is said once.
	read, resolved []text.Held
	said           []saidOnce
	kept           keptSolo
}

type saidOnce struct {
	key any
	repeat
}

// parts are those of a run.
type parts struct {
	list []*part
	// kept are parts of before, and for the next reading: they are kept without the text around
	// them, and without the places of their values. nil keeps none.
	kept *kept
	// alone finds them.
	alone *text.Alone
}

// partKeyword begins a part.
const partKeyword = "virtual_server"

// standsAlone tells whether no line of the text takes others to understand.
func standsAlone(text string) bool {
	for _, c := range []byte("$@~\\") {
		if strings.IndexByte(text, c) >= 0 {
			return false
		}
	}
	for _, word := range []string{"include", "BFD_CHECK", "FILE_CHECK"} {
		if strings.Contains(text, word) {
			return false
		}
	}
	return true
}

func newParts(kept *kept) *parts {
	ps := &parts{kept: kept}
	ps.alone = &text.Alone{Keyword: partKeyword, Stands: func(head, text string) bool {
		return !strings.Contains(head, "group") && standsAlone(text)
	}, Expected: kept.expected, Known: kept.known, Add: ps.add, Take: ps.take}
	return ps
}

// add is for a part and its place.
func (ps *parts) add(text string, at text.Place, known text.Known) {
	p := &part{}
	if known != nil {
		p.solo = known.(*solo)
		text = p.text
	} else if ps.kept != nil {
		text = strings.Clone(text)
	}
	p.src = at.AsPart(text)
	ps.list = append(ps.list, p)
}

// take is the keyword that takes a part into the configuration.
func (ps *parts) take(number int) *text.Keyword {
	return &text.Keyword{Row: &entry{name: partKeyword, read: ps.list[number].take}}
}

// readAll reads the parts, many of them on all CPUs, and tells whether that could be
// done. Many words in short parts are left to the reading of the whole, which bounds them.
func (ps *parts) readAll(l *language, linter Linter) bool {
	if ps == nil {
		return true
	}
	var next, read, remarks atomic.Int64
	var failed atomic.Bool
	size := 0
	for _, p := range ps.list {
		size += len(p.src.Text)
	}
	most := int64(text.MostInParts(size))
	work := func() {
		defer func() {
			if recover() != nil {
				failed.Store(true) // reading the whole tells where, see guarded
			}
		}()
		var room room
		for i := int(next.Add(1)) - 1; i < len(ps.list) && !failed.Load(); i = int(next.Add(1)) - 1 {
			p := ps.list[i]
			if p.solo == nil {
				if p.solo = readSolo(l, linter, p.src, &room); p.solo != nil && ps.kept != nil {
					p.server.forget()
				}
			}
			if p.solo == nil || read.Add(int64(p.tokens)) > most || remarks.Add(int64(len(p.read)+len(p.resolved))) > text.MaxDiagnostics {
				failed.Store(true)
			}
		}
	}
	var others sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(ps.list)/partsPerCPU) - 1 {
		others.Go(work)
	}
	work()
	others.Wait()
	return !failed.Load()
}

// partsPerCPU is how many parts are worth another CPU.
const partsPerCPU = 16

// fit tells whether the parts have come to what the whole comes to.
func (ps *parts) fit(diags *text.Collector) bool {
	if ps == nil || len(ps.list) == 0 {
		return true
	}
	return !ps.alone.Misplaced() && diags.Counts[text.Error] == 0 && max(diags.Counts[text.Warning], diags.Counts[text.Note]) <= text.MaxDiagnostics
}

// room is memory for what a part is read into and nothing is kept of.
type room struct {
	text    text.Room
	servers text.Pool[rawServer]
}

func (r *room) empty() {
	r.text.Empty()
	r.servers.Empty()
}

// readSolo reads a part. It is nil where something is wrong. What it keeps nothing of is put
// into room, which it leaves empty.
func readSolo(l *language, linter Linter, src *text.Source, room *room) *solo {
	defer room.empty()
	diags := &text.Collector{Holds: true}
	file := text.LexAlone(src, diags, &room.text)
	root := text.BuildAlone(file, diags, l.root, &room.text)
	raw := &rawConfig{}
	r := &reader{language: l, diags: diags, room: &room.servers}
	r.block(l.root, root, raw)
	if diags.Counts[text.Error] > 0 || len(root.Statements) != 1 || len(raw.services) != 1 {
		return nil
	}
	s := raw.services[0]
	one := &solo{text: src.Text, lines: int32(strings.Count(src.Text, "\n")), tokens: len(file.Tokens), head: s.head.All(), read: diags.Held}
	diags.Held = nil
	r.diags.Now = s.head.All()
	s.resolveKeys(r, raw)
	s.sayProtocol(r)
	one.serves = s.resolve(r)
	one.server = s.VirtualServer
	lintService(linter, r, &one.server)
	if diags.Counts[text.Error] > 0 {
		return nil
	}
	one.resolved = diags.Held
	for _, key := range r.order {
		one.said = append(one.said, saidOnce{key, *r.said[key]})
	}
	return one
}

// StaysAs says whether a virtual server is sure to be as another one, but for its real servers:
// its text is the same, and so is what the rest of the file says of it.
func (v *VirtualServer) StaysAs(was *VirtualServer) bool {
	now, alone := v.at.Part()
	before, wasAlone := was.at.Part()
	return alone && wasAlone && now == before && v.SMTPAlert == was.SMTPAlert && v.Rules == was.Rules && reflect.DeepEqual(v.Beyond, was.Beyond)
}

// forget takes out what only concerns the text.
func (v *VirtualServer) forget() {
	v.given = given{}
	for i := range v.RealServers {
		rs := &v.RealServers[i]
		rs.given = given{}
		for n := range rs.Checks {
			rs.Checks[n].given = given{}
		}
	}
}

// take takes a part into the configuration.
func (p *part) take(r *reader, _ *text.Statement, into any) {
	c := into.(*rawConfig)
	p.say(r, p.read)
	for _, s := range p.said {
		at := s.at
		at.Src = p.src
		r.once(s.key, s.d, at)
		r.said[s.key].more += s.more
	}
	c.services = append(c.services, &rawService{part: p})
}

// resolve adds the part's virtual server to a list of them.
func (p *part) resolve(r *reader, first map[lvs.ServiceKey]text.Place, services []VirtualServer) []VirtualServer {
	head := p.head
	head.Src = p.src
	if givenBefore(r, first, p.server.Keys, head) {
		return services
	}
	p.say(r, p.resolved)
	if !p.serves {
		return services
	}
	server := p.server
	server.at = head
	return append(services, server)
}

// say gives the diagnostics that were held.
func (p *part) say(r *reader, list []text.Held) {
	for _, h := range list {
		h.D.Notes = slices.Clone(h.D.Notes)
		h.At.Src = p.src
		r.diags.At(h.D, h.At)
	}
}
