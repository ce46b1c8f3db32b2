package service

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"

	"weir/lvs"
)

// setDirectors marks the servers that are other directors. It is called with the lock.
func (r *Registry) setDirectors(all []lvs.Director) (err error) {
	was := r.directors
	r.directors = map[netip.Addr]bool{}
	for _, d := range all {
		if d.Addr.IsValid() {
			r.directors[d.Addr.WithZone("").Unmap()] = true
		}
	}
	if maps.Equal(was, r.directors) {
		return nil
	}
	for key, s := range r.servers {
		addr := key.addr.Addr()
		if was[addr] == r.directors[addr] || !s.present {
			continue
		}
		if e := r.putServer(key, s); e != nil {
			err = errors.Join(err, fmt.Errorf("mark real server %s as a director: %w", key.addr, e))
		}
	}
	return err
}
