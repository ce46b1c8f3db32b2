package conf

import (
	"fmt"

	"weir/conf/text"
)

// rawConfig is what a text says, before inheritance and defaults.
type rawConfig struct {
	global    Global
	machine   Machine
	ssl       SSL
	instances []*rawInstance
	sync      []*SyncGroup
	garp      []*GARPGroup
	scripts   []*TrackScript
	processes []*TrackProcess
	files     []*TrackFile
	bfds      []*BFD
	services  []*rawService
	groups    map[string]*rawGroup
	weir      rawWeir
	// named are the blocks that have names, by keyword and name.
	named map[[2]string]*text.Statement
	// weighed are the weights of the trackers, once asked for.
	weighed map[[2]string]int
	// unsure is a text of which something could not be read.
	unsure bool
}

// newRaw is the configuration of an empty text.
func newRaw(l *language) *rawConfig {
	c := &rawConfig{groups: map[string]*rawGroup{}, named: map[[2]string]*text.Statement{}}
	c.weir.devices = map[string]*rawDevice{}
	for keyword, into := range map[string]any{"global_defs": &c.global, "weir": &c.weir, "SSL": &c.ssl} {
		l.root.lookup(keyword).inner.fill(into)
	}
	l.root.fill(c)
	weir := l.root.lookup("weir").inner
	weir.lookup("tables").inner.fill(&c.weir.Tables)
	weir.lookup("timeouts").inner.fill(&c.weir.Timeouts)
	return c
}

// another is an empty configuration, for what stands twice; this one lacks it then.
func (c *rawConfig) another(l *language) any {
	c.unsure = true
	return newRaw(l)
}

func (c *rawConfig) note(keyword string, at text.Place) { c.machine.note(keyword, at) }
func (c *rawConfig) fresh(s *blockSpec) bool            { return c.machine.fresh(s) }

// rootBlock is the table of what stands outside any block.
func rootBlock() *blockSpec {
	type C = rawConfig
	file := trackFileBlock()
	files := section("track_file", file, "a file whose number counts for priorities", namedHead(func(c *C, f *TrackFile, name string) { f.Name, c.files = name, append(c.files, f) }))
	entries := []*entry{
		always(section("global_defs", globalBlock(), "what holds for all", plain(func(c *C) *Global { return &c.global })), func(c *C) *Global { return &c.global }),
		section("vrrp_instance", instanceBlock(), "a group of directors that share addresses", addInstance),
		section("vrrp_sync_group", syncGroupBlock(), "instances that change their states together", namedHead(func(c *C, g *SyncGroup, name string) { g.Name, c.sync = name, append(c.sync, g) })),
		section("garp_group", garpGroupBlock(), "interfaces whose gratuitous ARPs share a gap", func(r *reader, st *text.Statement, c *C) *GARPGroup {
			g := &GARPGroup{}
			c.garp = append(c.garp, g)
			return g
		}),
		section("vrrp_script", trackScriptBlock(), "a program whose result counts for priorities", namedHead(func(c *C, s *TrackScript, name string) { s.Name, c.scripts = name, append(c.scripts, s) })),
		section("vrrp_track_process", trackProcessBlock(), "processes that count for priorities", namedHead(func(c *C, p *TrackProcess, name string) { p.Name, c.processes = name, append(c.processes, p) })),
		files, synonym("vrrp_track_file", files),
		section("bfd_instance", bfdBlock(), "a BFD session", namedHead(func(c *C, b *BFD, name string) { b.Name, c.bfds = name, append(c.bfds, b) })),
		section("virtual_server_group", groupBlock(), "services that one virtual_server stands for", func(r *reader, st *text.Statement, c *C) *rawGroup { return groupHead(r, st, c.groups) }),
		section("virtual_server", serviceBlock(), "a service that clients know, and the real servers behind it", addService),
		section("SSL", sslBlock(), "the client's certificate of SSL_GET", plain(func(c *C) *SSL { return &c.ssl })),
		always(section("weir", weirBlock(), "what keepalived.conf has no words for", plain(func(c *C) *rawWeir { return &c.weir })), func(c *C) *rawWeir { return &c.weir }),
	}
	return &blockSpec{entries: append(entries, machineEntries(func(c *C) *Machine { return &c.machine })...)}
}

// addInstance takes a vrrp_instance in. One without a name leaves open which there are.
func addInstance(r *reader, st *text.Statement, c *rawConfig) *rawInstance {
	i := instanceHead(r, st)
	if i == nil {
		c.unsure = true
		return nil
	}
	c.instances = append(c.instances, i)
	return i
}

// addService takes a virtual_server in.
func addService(r *reader, st *text.Statement, c *rawConfig) *rawService {
	s := serviceHead(r, st)
	if s != nil {
		c.services = append(c.services, s)
	}
	return s
}

// namedHead is the head of a block that has a name of its own.
func namedHead[C any](add func(c *rawConfig, block *C, name string)) func(*reader, *text.Statement, *rawConfig) *C {
	return func(r *reader, st *text.Statement, c *rawConfig) *C {
		name, ok := one(r, st, nonEmpty("a name"))
		if !ok {
			c.unsure = true
			return nil
		}
		key := [2]string{st.Keyword(), name}
		if first := c.named[key]; first != nil {
			r.errorAt(st.All(), fmt.Sprintf("%s %s is given twice", key[0], text.Shorten(name)), "take one of them out", "first given at "+first.Place().String())
			return nil
		}
		c.named[key] = st
		b := new(C)
		add(c, b, name)
		return b
	}
}

// keepalived is the language of keepalived.conf, with the weir block.
func keepalived() *language { return newLanguage(rootBlock()) }
