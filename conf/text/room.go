package text

// Room is memory for the tokens and the tree of a part. Once nothing of the part is needed any
// more, Empty gives it to the next one: a large file has thousands of parts.
type Room struct {
	tokens     []Token
	statements Pool[Statement]
	blocks     Pool[openBlock]
}

// openBlock is a block, and what is known of it while it is open.
type openBlock struct {
	Block
	frame
}

// Empty takes back all that was made in the room.
func (r *Room) Empty() {
	r.statements.Empty()
	r.blocks.Empty()
}

// Pool makes many things of one kind: few allocations at a time, and none where it has made
// as many before it was emptied.
type Pool[T any] struct {
	room []T
	used int
}

// A Pool makes room for so many at least at a time, and for so many at most.
const poolLeast, poolMost = 32, 1024

// Next is the zero value, of which the Pool knows until it is emptied.
func (p *Pool[T]) Next() *T {
	if p.used == len(p.room) {
		p.room, p.used = make([]T, min(max(poolLeast, 2*len(p.room)), poolMost)), 0
	}
	one := &p.room[p.used]
	p.used++
	*one = *new(T)
	return one
}

// Empty takes back all that was made.
func (p *Pool[T]) Empty() { p.used = 0 }
