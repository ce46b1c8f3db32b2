package dataplane

import (
	"fmt"
	"slices"
)

// indexes hands out the numbers by which services and servers are known to the
// data plane, the lowest free one first.
type indexes struct {
	services, servers pool
}

type pool struct {
	used []bool
}

func (p *pool) take(most uint32) (uint32, error) {
	i := slices.Index(p.used, false)
	if i < 0 {
		if uint32(len(p.used)) >= most {
			return 0, fmt.Errorf("all %d places are taken", most)
		}
		p.used = append(p.used, false)
		i = len(p.used) - 1
	}
	p.used[i] = true
	return uint32(i), nil
}

func (p *pool) claim(i uint32) {
	for uint32(len(p.used)) <= i {
		p.used = append(p.used, false)
	}
	p.used[i] = true
}

func (p *pool) free(i uint32) { p.used[i] = false }
