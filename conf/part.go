package conf

import (
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

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
	src *source
	*solo
}

// solo is what a part's text says, wherever it stands. Its places are those of the
// source that it was read from.
type solo struct {
	text   string
	tokens int
	server VirtualServer
	head   place
	// serves is false for one without real servers: it is left out.
	serves bool
	// read and resolved are the remarks of these two steps, said the keywords of
	// which something is said once.
	read, resolved []held
	said           []saidOnce
}

// held is a diagnostic that is not given yet.
type held struct {
	d  Diagnostic
	at place
}

type saidOnce struct {
	key any
	repeat
}

// parts are those of a run.
type parts struct {
	list []*part
	at   map[includeKey]*part
	// known are parts of before, by their text.
	known map[string]*solo
	// keeps says that they are to be kept: without the text around them, and
	// without the places of their values.
	keeps bool
	// misplaced is a part that stands inside a block.
	misplaced bool
}

// partKeyword begins a part.
const partKeyword = "virtual_server"

// maxPart is the longest part, in bytes: one that is longer is read with its file.
const maxPart = 1 << 18

// partAt is the part that a text begins with, with the end of its last line. It is
// empty where there is none: the block has to begin and end at the beginnings of
// lines, with nothing at such a place in between, and hold nothing that other lines
// of the file give a meaning to.
func partAt(text string) string {
	if !strings.HasPrefix(text, partKeyword) || len(text) == len(partKeyword) || !isBlank(text[len(partKeyword)]) {
		return ""
	}
	for end := 0; end < min(len(text), maxPart); {
		line, _, ended := strings.Cut(text[end:], "\n")
		begun := end
		if end += len(line); ended {
			end++
		}
		switch {
		case begun == 0 && strings.Contains(line, "group"):
			return ""
		case begun == 0, line == "", isBlank(line[0]), line[0] == '{', line[0] == '#', line[0] == '!':
		case line[0] == '}' && standsAlone(text[:end]):
			return text[:end]
		default:
			return ""
		}
	}
	return ""
}

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

// cut is where a part is in its file, in bytes.
type cut struct{ start, size int }

// cutsOf finds the parts of a file.
func cutsOf(text string) (cuts []cut) {
	for at := 0; ; {
		if size := len(partAt(text[at:])); size > 0 {
			cuts = append(cuts, cut{at, size})
			at += size
			continue
		}
		next := strings.Index(text[at:], "\n"+partKeyword)
		if next < 0 {
			return cuts
		}
		at += next + 1
	}
}

// part takes a part at the beginning of a line that no other goes on with.
func (l *lexer) part() bool {
	for len(l.cuts) > 0 && l.cuts[0].start < l.pos {
		l.cuts = l.cuts[1:]
	}
	if len(l.cuts) == 0 || l.cuts[0].start > l.pos || len(l.tokens) > 0 && l.tokens[len(l.tokens)-1].kind < lineToken {
		return false
	}
	at, text := l.here(), l.src.text[l.pos:l.pos+l.cuts[0].size]
	l.pos += len(text)
	l.line += int32(strings.Count(text, "\n"))
	l.emit(partToken, "", at)
	l.first = len(l.tokens)
	l.run.parts.add(text, at)
	return true
}

func (ps *parts) add(text string, at place) {
	p := &part{solo: ps.known[text]}
	if p.solo != nil {
		text = p.text
	} else if ps.keeps {
		text = strings.Clone(text)
	}
	p.src = &source{name: at.src.name, text: text, order: at.src.order, from: at.src.from, part: true, line: at}
	ps.list = append(ps.list, p)
	ps.at[includeKey{at.src, at.start}] = p
}

// readAll reads the parts, many of them on all CPUs, and tells whether that could be
// done. tokens counts those around them.
func (ps *parts) readAll(l *language, tokens int) bool {
	if ps == nil {
		return true
	}
	var next, read, remarks atomic.Int64
	var failed atomic.Bool
	read.Store(int64(tokens))
	work := func() {
		var room []token
		for i := int(next.Add(1)) - 1; i < len(ps.list) && !failed.Load(); i = int(next.Add(1)) - 1 {
			p := ps.list[i]
			if p.solo == nil {
				if p.solo, room = readSolo(l, p.src, room); p.solo != nil && ps.keeps {
					p.server.forget()
				}
			}
			if p.solo == nil || read.Add(int64(p.tokens)) > maxTokens || remarks.Add(int64(len(p.read)+len(p.resolved))) > maxDiagnostics {
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
func (ps *parts) fit(diags *collector) bool {
	if ps == nil || len(ps.list) == 0 {
		return true
	}
	return !ps.misplaced && diags.counts[Error] == 0 && max(diags.counts[Warning], diags.counts[Note]) <= maxDiagnostics
}

// readSolo reads a part. It is nil where something is wrong. The tokens, of which
// nothing is kept, are put into room, which it returns for the next part.
func readSolo(l *language, src *source, room []token) (*solo, []token) {
	p := &parser{language: l, diags: collector{holds: true}, run: &reading{}}
	t := &lexer{src: src, line: 1, column: 1, diags: &p.diags, tokens: slices.Grow(room[:0], len(src.text)/5+8)}
	t.all()
	t.emit(endToken, "", t.here())
	root := (&builder{parser: p}).build(&lexed{src: src, tokens: t.tokens})
	raw := &rawConfig{}
	r := &reader{language: l, diags: &p.diags}
	r.block(l.root, root, raw)
	if p.diags.counts[Error] > 0 || len(root.statements) != 1 || len(raw.services) != 1 {
		return nil, t.tokens
	}
	s := raw.services[0]
	one := &solo{text: src.text, tokens: len(t.tokens), head: s.head.all(), read: p.diags.held}
	p.diags.held = nil
	s.resolveKeys(r, raw)
	s.sayProtocol(r)
	one.serves = s.resolve(r)
	one.server = s.VirtualServer
	lintService(r, &one.server)
	if p.diags.counts[Error] > 0 {
		return nil, t.tokens
	}
	one.resolved = p.diags.held
	for _, key := range r.order {
		one.said = append(one.said, saidOnce{key, *r.said[key]})
	}
	return one, t.tokens
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
func (p *part) take(r *reader, _ *statement, into any) {
	c := into.(*rawConfig)
	p.say(r, p.read)
	for _, s := range p.said {
		at := s.at
		at.src = p.src
		r.once(s.key, s.d, at)
		r.said[s.key].more += s.more
	}
	c.services = append(c.services, &rawService{part: p})
}

// resolve adds the part's virtual server to a list of them.
func (p *part) resolve(r *reader, first map[lvs.ServiceKey]place, services []VirtualServer) []VirtualServer {
	head := p.head
	head.src = p.src
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
func (p *part) say(r *reader, list []held) {
	for _, h := range list {
		h.d.Notes = slices.Clone(h.d.Notes)
		h.at.src = p.src
		r.diags.at(h.d, h.at)
	}
}

// part is where the file being read has a part.
func (b *builder) part(t token) {
	b.next++
	if len(b.frames) != 1 {
		b.run.parts.misplaced = true
		return
	}
	p := b.run.parts.at[includeKey{t.src, t.start}]
	t.text = partKeyword
	b.top().statements = append(b.top().statements, &statement{words: []token{t}, entry: &entry{name: t.text, read: p.take}})
}

// keep are the parts of a run for the next one. One whose remarks name lines of the
// file is none.
func (ps *parts) keep() map[string]*solo {
	if ps == nil {
		return nil
	}
	known := make(map[string]*solo, len(ps.list))
	for _, p := range ps.list {
		if !slices.ContainsFunc(append(p.read, p.resolved...), func(h held) bool { return len(h.d.Notes) > 0 }) {
			known[p.text] = p.solo
		}
	}
	return known
}
