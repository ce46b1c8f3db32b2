package conf

// Keyword is a keyword as the kind of block that it stands in knows it.
type Keyword struct {
	// Inner is the kind of the block that the keyword opens, nil where it opens none.
	Inner Grammar
	// Optional is a keyword that may also stand without its block.
	Optional bool
	// Row is what the grammar itself has to know of the keyword.
	Row any
}

// Grammar is a kind of block. It tells the builder of the tree which words may stand
// in the block, for only they show where a brace is missing or too many.
type Grammar interface {
	// Lookup is what the block knows of a word, nil where that is nothing.
	Lookup(word string) *Keyword
	// Holder is the name of the first keyword whose block may hold a word, "" where
	// no block inside this one may.
	Holder(word string) string
}

// innerOf is the kind of block that a keyword opens, nil where it opens none.
func innerOf(k *Keyword) Grammar {
	if k == nil {
		return nil
	}
	return k.Inner
}

// statement is a keyword, the words on its line, and the block it opens.
type statement struct {
	words []token
	block *block
	entry *Keyword
	// broken is a statement that a diagnostic has been given for: it is not
	// read, and what it would have set is not missed.
	broken bool
}

func (st *statement) keyword() string { return st.words[0].text }

// place is the keyword's.
func (st *statement) place() place { return st.words[0].place }

// all is the place from the keyword to the last word.
func (st *statement) all() place {
	return st.place().through(st.words[len(st.words)-1].place)
}

// title is the statement as it is named in messages, such as
// "real_server 192.168.25.31 80".
func (st *statement) title() string {
	title := st.keyword()
	for _, w := range st.words[1:] {
		if len(title) > maxWord {
			break
		}
		title += " " + w.text
	}
	return shorten(title)
}

// block is the statements between two braces.
type block struct {
	owner      *statement
	statements []*statement
	// unsure is a block of which something could not be read: what it seems
	// to lack may be there.
	unsure bool
	// unclosed is a block that lacks its closing brace: what follows may be
	// the rest of it, so that it collides with nothing.
	unclosed bool
}

// unclosed tells whether the statement's block lacks its closing brace.
func (st *statement) unclosed() bool { return st.block != nil && st.block.unclosed }

// frame is a block that is open while the tree is built.
type frame struct {
	*block
	// spec is the kind of block, nil in one that is skipped.
	spec Grammar
	// open is its brace, or its keyword where the brace is missing.
	open token
	// closed is the block inside that was closed last, which a stray brace
	// may have closed too early, and the brace that did it.
	closed      *frame
	closedBrace token
}

// builder makes the tree of blocks. It knows the tables of keywords, because
// only they tell where a brace is missing or too many: see recover.go.
type builder struct {
	diags  *collector
	run    *reading
	root   Grammar
	frames []*frame

	// The state of the file being read.
	tokens []token
	next   int
	base   int // frames[base-1] is the block that the file stands in
	// excess is how many braces open that never close; negative: the other
	// way round. It tells which of two readings of a mistake is right.
	excess int
	// skew is the first closing brace whose indentation does not fit the
	// block it closes.
	skew skew
	// surplus is the last brace that was too many.
	surplus place
}

// build makes the tree of a text and of all that it includes.
func (b *builder) build(f *lexed) *block {
	root := &block{}
	b.frames = []*frame{{block: root, spec: b.root}}
	b.file(f)
	return root
}

// file reads a file into the innermost open block.
func (b *builder) file(f *lexed) {
	outer := *b
	b.tokens, b.next, b.base, b.skew = f.tokens, 0, len(b.frames), skew{}
	b.excess = 0
	for i := range b.tokens {
		switch b.tokens[i].kind {
		case openToken:
			b.excess++
		case closeToken:
			b.excess--
		}
	}
	for b.item() {
	}
	b.unclosedAtEnd()
	b.top().closed = nil
	b.tokens, b.next, b.base, b.excess, b.skew = outer.tokens, outer.next, outer.base, outer.excess, outer.skew
}

func (b *builder) top() *frame { return b.frames[len(b.frames)-1] }

// item reads what stands at the next token, and tells whether more follows.
func (b *builder) item() bool {
	if b.diags.full() {
		return false
	}
	switch t := b.tokens[b.next]; t.kind {
	case endToken:
		return false
	case lineToken:
		b.next++
	case closeToken:
		b.next++
		b.close(t)
	case openToken:
		b.next++
		b.nameless(t)
	case wordToken:
		b.statement()
	case partToken:
		b.part(t)
	}
	return true
}

// statement reads one statement, up to its line's end or brace.
func (b *builder) statement() {
	st := &statement{}
	first := b.next
	for ; b.tokens[b.next].kind == wordToken; b.next++ {
		st.broken = st.broken || b.tokens[b.next].broken
	}
	st.words = b.tokens[first:b.next:b.next]
	if b.special(st) {
		return
	}
	b.settle(st)
	b.top().statements = append(b.top().statements, st)
	brace, opens := b.brace()
	switch {
	case opens:
		b.opened(st, brace)
	case innerOf(st.entry) != nil && !st.entry.Optional:
		b.unopened(st)
	}
}

// brace takes the opening brace of the statement just read, on its line or
// alone on the next one that holds anything.
func (b *builder) brace() (token, bool) {
	i := b.next
	for b.tokens[i].kind == lineToken {
		i++
	}
	if b.tokens[i].kind != openToken {
		return token{}, false
	}
	b.next = i + 1
	return b.tokens[i], true
}

// opened begins the block of a statement.
func (b *builder) opened(st *statement, brace token) {
	inner := innerOf(st.entry)
	switch {
	case b.top().spec == nil || st.entry == nil || st.broken && inner == nil:
		b.push(st, nil, brace)
	case inner == nil && b.excess > 0:
		b.excess--
		b.breaks(st, brace.place, st.keyword()+" opens no block", `take this "{" out`)
	case inner == nil:
		b.breaks(st, brace.place, st.keyword()+" opens no block", "the block is skipped; "+st.keyword()+" stands on a line of its own")
		b.push(st, nil, brace)
	default:
		b.push(st, inner, brace)
	}
}

func (b *builder) push(st *statement, spec Grammar, open token) {
	st.block = &block{owner: st}
	b.frames = append(b.frames, &frame{block: st.block, spec: spec, open: open})
}

// breaks gives the statement's one diagnostic.
func (b *builder) breaks(st *statement, at place, message, hint string) {
	if !st.broken {
		b.diags.errorAt(at, message, hint)
	}
	st.broken = true
}

// nameless is a brace that no keyword stands before.
func (b *builder) nameless(brace token) {
	if b.excess > 0 && b.top().spec != nil {
		b.excess--
		if !b.repeated(brace) {
			b.diags.errorAt(brace.place, `this "{" has no keyword`, "take it out")
		}
		return
	}
	if b.top().spec != nil {
		b.diags.errorAt(brace.place, "a block without a keyword", "the block is skipped; expected a keyword before the brace")
	}
	st := &statement{words: []token{brace}, broken: true}
	b.push(st, nil, brace)
}

// close ends the innermost block.
func (b *builder) close(brace token) {
	if len(b.frames) == b.base {
		b.excess++
		hint := "take it out: no block is open here"
		if b.base > 1 {
			hint = "a block ends in the file in which it begins"
		}
		if !b.repeated(brace) {
			b.diags.errorAt(brace.place, `stray "}"`, hint)
		}
		return
	}
	f := b.pop()
	b.top().closed, b.top().closedBrace = f, brace
	b.compareIndent(f, brace)
}

// repeated tells whether a brace that is too many stands right behind another:
// a row of them is one mistake.
func (b *builder) repeated(brace token) bool {
	follows := b.surplus.src == brace.src && b.surplus.end == brace.start
	b.surplus = brace.place
	return follows
}

func (b *builder) pop() *frame {
	f := b.top()
	b.frames = b.frames[:len(b.frames)-1]
	return f
}
