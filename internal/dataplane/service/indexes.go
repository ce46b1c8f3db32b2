package service

import "fmt"

// pool hands out the numbers by which services or servers are known to the data
// plane, the lowest free one first.
type pool struct {
	used []bool
	low  int // below it none is free
}

func (p *pool) take(most uint32) (uint32, error) {
	for p.low < len(p.used) && p.used[p.low] {
		p.low++
	}
	if uint32(p.low) >= most {
		return 0, fmt.Errorf("all %d places are taken", most)
	}
	i := uint32(p.low)
	p.claim(i)
	return i, nil
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
