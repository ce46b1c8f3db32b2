package dataplane

import "weir/internal/dataplane/conn"

// TableUse is how much of the tables of one kind is in use, and what they take of the kernel's
// memory.
type TableUse struct {
	Name string
	// InUse counts the entries in use. Room is for how many there is room now, and Most in the
	// end; both are 0 of tables whose entries are not counted.
	InUse, Room, Most int
	Bytes, Full       uint64 // that the tables take now, and when they are full
}

// TableUses are those of all tables. It asks nothing of the kernel.
func (p *Plane) TableUses() []TableUse {
	services, servers := p.services.Known()
	n, o := p.need, p.need.options
	return []TableUse{
		clientUse("connections", p.conns.Use()),
		clientUse("templates", p.conns.TemplateUse()),
		{"servers", servers, o.RealServers, o.RealServers, n.servers.first, n.servers.full},
		{"services", services, o.Services, o.Services, n.services.first, n.services.full},
		{Name: "others", Bytes: n.rest.first, Full: n.rest.full},
	}
}

func clientUse(name string, u conn.Use) TableUse {
	return TableUse{name, u.InUse, u.Room, u.Most, u.Bytes, u.Full}
}
