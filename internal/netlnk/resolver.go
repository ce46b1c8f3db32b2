package netlnk

import (
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Resolver resolves many addresses at one moment: it asks the kernel once for each
// device and neighbour, by sockets that it keeps open. Close it after that.
type Resolver struct {
	routes     *netlink.Handle
	sockets    map[int]*nl.SocketHandle
	links      map[int]*netlink.LinkAttrs
	neighbours map[neighbourKey]netlink.Neigh
}

type neighbourKey struct {
	index int
	addr  netip.Addr
}

// NewResolver opens one in the network namespace of the calling thread.
func NewResolver() (*Resolver, error) {
	routes, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open a routing socket: %w", err)
	}
	socket, err := nl.Subscribe(unix.NETLINK_ROUTE)
	if err != nil {
		routes.Close()
		return nil, fmt.Errorf("open a neighbour socket: %w", err)
	}
	return &Resolver{
		routes: routes, sockets: map[int]*nl.SocketHandle{unix.NETLINK_ROUTE: {Socket: socket}},
		links: map[int]*netlink.LinkAttrs{}, neighbours: map[neighbourKey]netlink.Neigh{},
	}, nil
}

// Close closes its sockets.
func (r *Resolver) Close() {
	r.routes.Close()
	for _, s := range r.sockets {
		s.Close()
	}
}

// Resolve does what the functions Resolve and Refresh do.
func (r *Resolver) Resolve(dst netip.Addr) (NextHop, error) {
	hop, key, err := routeBy(r.routes.RouteGetWithOptions, dst)
	if err != nil || hop.Local {
		return hop, err
	}
	l, err := r.link(hop.Index)
	if err != nil {
		return NextHop{}, fmt.Errorf("device %d on the way to %s: %w", hop.Index, dst, err)
	}
	n, err := r.neighbour(hop.Index, key)
	if err != nil {
		return NextHop{}, err
	}
	hop.over(l, n)
	return hop, nil
}

func (r *Resolver) link(index int) (*netlink.LinkAttrs, error) {
	if l := r.links[index]; l != nil {
		return l, nil
	}
	l, err := r.routes.LinkByIndex(index)
	if err != nil {
		return nil, err
	}
	r.links[index] = l.Attrs()
	return l.Attrs(), nil
}

// neighbour reads an entry, and has the kernel look after one that needs it.
func (r *Resolver) neighbour(index int, addr netip.Addr) (netlink.Neigh, error) {
	key := neighbourKey{index, addr}
	if n, known := r.neighbours[key]; known {
		return n, nil
	}
	n, err := neighbourBy(r.sockets, index, addr)
	if err == nil {
		r.neighbours[key] = n
		err = refresh(r.routes.NeighSet, n, index, addr)
	}
	return n, err
}
