package service

import "fmt"

// pool hands out the numbers by which services or servers are known to the data
// plane, the lowest free one first.
type pool struct {
	used []bool
	low  int // below it none is free
}

// take hands one out; again says that it was handed out before.
func (p *pool) take(most uint32) (i uint32, again bool, err error) {
	for p.low < len(p.used) && p.used[p.low] {
		p.low++
	}
	if uint32(p.low) >= most {
		return 0, false, fmt.Errorf("all %d places are taken", most)
	}
	i, again = uint32(p.low), p.low < len(p.used)
	p.claim(i)
	return i, again, nil
}

func (p *pool) claim(i uint32) {
	for uint32(len(p.used)) <= i {
		p.used = append(p.used, false)
	}
	p.used[i] = true
}

func (p *pool) free(i uint32) {
	p.used[i] = false
	p.low = min(p.low, int(i))
}
