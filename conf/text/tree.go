package text

import "fmt"

// Keyword is a keyword as the kind of block that it stands in knows it.
type Keyword struct {
	// Inner is the kind of the block that the keyword opens, nil where it opens none.
	Inner Grammar
	// Optional is a keyword that may also stand without its block.
	Optional bool
	// Fixed is a keyword behind which so many Values stand, and what follows them is too much.
	Fixed  bool
	Values int
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
	// Guess is the keyword with a block that an unknown word was meant to be, nil
	// where it is near none. first is the word that its block begins with, "" for none.
	Guess(st *Statement, first string) *Keyword
	// Near tells whether a word is near one that may stand in the block.
	Near(word string) bool
	// Listed tells whether the block is a list, of which a word may begin a line.
	Listed(word string) bool
}

// innerOf is the kind of block that a keyword opens, nil where it opens none.
func innerOf(k *Keyword) Grammar {
	if k == nil {
		return nil
	}
	return k.Inner
}

// Statement is a keyword, the words on its line, and the block it opens.
type Statement struct {
	// Words are those on its line, the keyword first.
	Words []Token
	// Block is what it opens, nil where that is nothing.
	Block *Block
	// Entry is what the block around it knows of the keyword, nil where it is unknown.
	Entry *Keyword
	// Broken is a statement that a diagnostic has been given for: it is not
	// read, and what it would have set is not missed.
	Broken bool
}

// Keyword is the statement's first word.
func (st *Statement) Keyword() string { return st.Words[0].Text }

// Place is the keyword's.
func (st *Statement) Place() Place { return st.Words[0].Place }

// All is the place from the keyword to the last word.
func (st *Statement) All() Place {
	return st.Place().Through(st.Words[len(st.Words)-1].Place)
}

// Title is the statement as it is named in messages, such as
// "real_server 192.168.25.31 80".
func (st *Statement) Title() string {
	title := st.Keyword()
	for _, w := range st.Words[1:] {
		if len(title) > maxWord {
			break
		}
		title += " " + w.Text
	}
	return Shorten(title)
}

// Block is the statements between two braces.
type Block struct {
	// Owner is the statement that opens it, nil for the whole file.
	Owner      *Statement
	Statements []*Statement
	// guess is what the unknown keyword that opens the block was meant to be: it is
	// read as a block of the other. It is nil where nobody knows.
	guess *Keyword
	// Unsure is a block of which something could not be read: what it seems
	// to lack may be there.
	Unsure bool
	// unclosed is a block that lacks its closing brace: what follows may be
	// the rest of it, so that it collides with nothing.
	unclosed bool
	// Shifted is a block that a brace which is missing or too many has given more
	// than is its own: what stands in it twice may be of two blocks.
	Shifted bool
}

// Guess is what the statement's unknown keyword, which opens a block, was meant to be, nil
// where nobody knows.
func (st *Statement) Guess() *Keyword {
	if st.Block == nil {
		return nil
	}
	return st.Block.guess
}

// Unclosed tells whether the statement's block lacks its closing brace.
func (st *Statement) Unclosed() bool { return st.Block != nil && st.Block.unclosed }

// frame is a block that is open while the tree is built.
type frame struct {
	*Block
	// spec is the kind of block, nil in one that is skipped.
	spec Grammar
	// open is its brace, or its keyword where the brace is missing.
	open Token
	// closed is the block inside that was closed last, which a stray brace
	// may have closed too early, and the brace that did it.
	closed      *frame
	closedBrace Token
}

// builder makes the tree of blocks. It knows the tables of keywords, because
// only they tell where a brace is missing or too many: see recover.go.
type builder struct {
	diags  *Collector
	run    *Reading
	root   Grammar
	frames []*frame

	// The state of the file being read.
	tokens []Token
	next   int
	base   int // frames[base-1] is the block that the file stands in
	// excess is how many braces open that never close; negative: the other
	// way round. It tells which of two readings of a mistake is right.
	excess int
	// skew is the first closing brace whose indentation does not fit the
	// block it closes.
	skew skew
	// surplus is the last brace that was too many.
	surplus Place
	// crowded is the end of the last line of several keywords.
	crowded Place

	room *Room
}

// Build makes the tree of a file and of all that it includes, which run has read. Root
// is the kind of block that the file as a whole is.
func Build(f *Lexed, diags *Collector, run *Reading, root Grammar) *Block {
	return (&builder{diags: diags, run: run, root: root, room: &Room{}}).build(f)
}

// BuildAlone makes the tree of a part, in room.
func BuildAlone(f *Lexed, diags *Collector, root Grammar, room *Room) *Block {
	return (&builder{diags: diags, run: &Reading{}, root: root, room: room}).build(f)
}

func (b *builder) build(f *Lexed) *Block {
	root := &Block{}
	b.frames = []*frame{{Block: root, spec: b.root}}
	b.file(f)
	return root
}

// file reads a file into the innermost open block.
func (b *builder) file(f *Lexed) {
	outer := *b
	b.tokens, b.next, b.base, b.skew = f.Tokens, 0, len(b.frames), skew{}
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
	if b.diags.Full() {
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
	st := b.room.statements.Next()
	first := b.next
	for ; b.tokens[b.next].kind == wordToken; b.next++ {
		st.Broken = st.Broken || b.tokens[b.next].broken
	}
	st.Words = b.tokens[first:b.next:b.next]
	b.diags.Now = st.Place()
	b.split(st)
	b.assigns(st)
	if b.special(st) {
		return
	}
	b.settle(st)
	b.top().Statements = append(b.top().Statements, st)
	brace, opens := b.brace()
	switch {
	case opens:
		b.opened(st, brace)
	case innerOf(st.Entry) != nil && !st.Entry.Optional:
		b.unopened(st)
	}
}

// split ends a statement behind its values where another keyword of its block follows: both are
// read, and one diagnostic for the line says that they stand together.
func (b *builder) split(st *Statement) {
	spec := b.top().spec
	if spec == nil {
		return
	}
	e := spec.Lookup(st.Keyword())
	if e == nil || !e.Fixed || len(st.Words) <= e.Values+1 {
		return
	}
	next := st.Words[e.Values+1]
	if spec.Lookup(next.Text) == nil {
		return
	}
	if line := st.Words[len(st.Words)-1].Place; line != b.crowded {
		b.crowded = line
		b.diags.ErrorAt(next.Place, fmt.Sprintf("%s stands on the line of %s", next.Text, st.Keyword()), "write each keyword on a line of its own")
	}
	b.next -= len(st.Words) - e.Values - 1
	st.Words = st.Words[: e.Values+1 : e.Values+1]
}

// brace takes the opening brace of the statement just read, on its line or
// alone on the next one that holds anything.
func (b *builder) brace() (Token, bool) {
	i := b.next
	for b.tokens[i].kind == lineToken {
		i++
	}
	if b.tokens[i].kind != openToken {
		return Token{}, false
	}
	b.next = i + 1
	return b.tokens[i], true
}

// opened begins the block of a statement.
func (b *builder) opened(st *Statement, brace Token) {
	inner := innerOf(st.Entry)
	var guess *Keyword
	if b.top().spec != nil && st.Entry == nil && !st.Broken {
		guess = b.top().spec.Guess(st, b.firstInside())
	}
	switch {
	case guess != nil:
		b.push(st, guess.Inner, brace)
		st.Block.guess = guess
	case b.top().spec == nil || st.Entry == nil || st.Broken && inner == nil:
		b.push(st, nil, brace)
	case inner == nil && b.excess > 0:
		b.excess--
		b.breaks(st, brace.Place, st.Keyword()+" opens no block", `take this "{" out`)
	case inner == nil:
		b.breaks(st, brace.Place, st.Keyword()+" opens no block", "the block is skipped; "+st.Keyword()+" stands on a line of its own")
		b.push(st, nil, brace)
	default:
		b.push(st, inner, brace)
	}
}

// firstInside is the word that the block whose brace was read last begins with, "" where
// it begins with none.
func (b *builder) firstInside() string {
	i := b.next
	for b.tokens[i].kind == lineToken {
		i++
	}
	if b.tokens[i].kind != wordToken {
		return ""
	}
	return b.tokens[i].Text
}

func (b *builder) push(st *Statement, spec Grammar, open Token) {
	opened := b.room.blocks.Next()
	opened.Block, opened.frame = Block{Owner: st}, frame{Block: &opened.Block, spec: spec, open: open}
	st.Block = &opened.Block
	b.frames = append(b.frames, &opened.frame)
}

// breaks gives the statement's one diagnostic.
func (b *builder) breaks(st *Statement, at Place, message, hint string) {
	if !st.Broken {
		b.diags.ErrorAt(at, message, hint)
	}
	st.Broken = true
}

// nameless is a brace that no keyword stands before.
func (b *builder) nameless(brace Token) {
	if b.excess > 0 && b.top().spec != nil {
		b.excess--
		if !b.repeated(brace) {
			b.diags.ErrorAt(brace.Place, `this "{" has no keyword`, "take it out")
		}
		return
	}
	if b.top().spec != nil {
		b.diags.ErrorAt(brace.Place, "a block without a keyword", "the block is skipped; expected a keyword before the brace")
	}
	st := &Statement{Words: []Token{brace}, Broken: true}
	b.push(st, nil, brace)
}

// close ends the innermost block.
func (b *builder) close(brace Token) {
	if len(b.frames) == b.base {
		b.excess++
		hint := "take it out: no block is open here"
		if b.base > 1 {
			hint = "a block ends in the file in which it begins"
		}
		if !b.repeated(brace) {
			b.diags.ErrorAt(brace.Place, `stray "}"`, hint)
		}
		return
	}
	f := b.pop()
	b.top().closed, b.top().closedBrace = f, brace
	b.compareIndent(f, brace)
}

// repeated tells whether a brace that is too many stands right behind another:
// a row of them is one mistake.
func (b *builder) repeated(brace Token) bool {
	follows := b.surplus.Src == brace.Src && b.surplus.end == brace.start
	b.surplus = brace.Place
	return follows
}

func (b *builder) pop() *frame {
	f := b.top()
	b.frames = b.frames[:len(b.frames)-1]
	return f
}
