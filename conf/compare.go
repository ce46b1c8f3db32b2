package conf

import (
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"sync"

	"weir/lvs"
)

// ChangeKind is how a block or a value differs.
type ChangeKind string

const (
	// Added is a block that was not there before.
	Added ChangeKind = "added"
	// Removed is one that is there no more.
	Removed ChangeKind = "removed"
	// Changed is a keyword whose value is another one.
	Changed ChangeKind = "changed"
)

// Change is one difference of two configurations: a block that has come or gone, or
// a keyword whose value is another one.
type Change struct {
	// Block are the blocks around the keyword, the outermost first, each with its
	// keyword and its name: "virtual_server TCP 10.0.0.1:80" (by its first service),
	// "real_server 10.0.0.2:80", "vrrp_instance VI_1".
	Block []string
	Kind  ChangeKind
	// Keyword is empty where the whole block has come or gone.
	Keyword string
	// From and To are the values, times as Go writes them. Those of secrets say only
	// that they differ.
	From, To string
	Trait    Trait
}

// Compare lists what a reload from one configuration to another changes, in the order
// of the new one; blocks that have gone come last. What has no effect in weir is left
// out. A virtual_server that a Loader has not read again costs nothing.
func Compare(was, now *Config) []Change {
	c := &comparison{language: compared()}
	c.blocks(nil, c.language.root, reflect.ValueOf(was).Elem(), reflect.ValueOf(now).Elem())
	return c.changes
}

// CompareVRRPInstance lists what a reload changes of one VRRP instance. Here and in the
// functions below, Block has the blocks within the one that is compared.
func CompareVRRPInstance(was, now *VRRPInstance) []Change {
	return compareBlocks(was, now, "vrrp_instance")
}

// CompareVirtualServer lists what a reload changes of one virtual_server.
func CompareVirtualServer(was, now *VirtualServer) []Change {
	return compareBlocks(was, now, "virtual_server")
}

// CompareRealServer lists what a reload changes of one real_server.
func CompareRealServer(was, now *RealServer) []Change {
	return compareBlocks(was, now, "virtual_server", "real_server")
}

// CompareCheck lists what a reload changes of one check. The two are of the same kind.
func CompareCheck(was, now *Check) []Change {
	return compareBlocks(was, now, "virtual_server", "real_server", string(now.Kind))
}

// compareBlocks compares two blocks by their place in the language.
func compareBlocks[B any](was, now *B, place ...string) []Change {
	c := &comparison{language: compared()}
	row := &entry{inner: c.language.root}
	for _, keyword := range place {
		row = row.inner.lookup(keyword)
	}
	c.pair(nil, row, reflect.ValueOf(was).Elem(), reflect.ValueOf(now).Elem())
	return c.changes
}

// compared is the language by which configurations are compared.
var compared = sync.OnceValue(keepalived)

// comparison is a walk over two configurations at once.
type comparison struct {
	language *language
	changes  []Change
}

// blocks compares two blocks of a kind, field by field: a field's keyword is that of
// its name in JSON. Fields of embedded structs are the block's own.
func (c *comparison) blocks(path []string, spec *blockSpec, was, now reflect.Value) {
	for _, f := range fieldsOf(was.Type()) {
		if f.name == "" {
			c.blocks(path, spec, was.Field(f.index), now.Field(f.index))
		} else {
			c.field(path, spec, f.name, was.Field(f.index), now.Field(f.index))
		}
	}
}

// blockField is a field of a block; its name is empty for an embedded struct.
type blockField struct {
	index int
	name  string
}

// knownFields are the fields of each type of block, worked out once.
var knownFields sync.Map

// fieldsOf are the fields of a type of block that are compared.
func fieldsOf(block reflect.Type) []blockField {
	if known, ok := knownFields.Load(block); ok {
		return known.([]blockField)
	}
	var all []blockField
	for i := range block.NumField() {
		field := block.Field(i)
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		switch {
		case field.Type == reflect.TypeFor[given]():
		case field.Anonymous:
			all = append(all, blockField{i, ""})
		case !field.IsExported() || name == "-":
		case name == "":
			all = append(all, blockField{i, snake(field.Name)})
		default:
			all = append(all, blockField{i, name})
		}
	}
	knownFields.Store(block, all)
	return all
}

// field compares two fields of a name.
func (c *comparison) field(path []string, spec *blockSpec, name string, was, now reflect.Value) {
	row := spec.lookup(name)
	switch {
	case row == nil:
		c.unnamed(path, spec, name, was, now)
	case row.effect != 0:
	case row.inner == nil || row.inner.line != nil:
		c.value(path, row, was, now)
	case !row.inner.acts():
	case was.Kind() == reflect.Slice:
		c.list(path, row, was, now)
	default:
		c.blocks(append(path[:len(path):len(path)], name), row.inner, was, now)
	}
}

// unnamed compares fields whose name is no keyword of their block. What a kind of check
// has of its own stands beside what all have.
func (c *comparison) unnamed(path []string, spec *blockSpec, name string, was, now reflect.Value) {
	if was.Kind() == reflect.Pointer && !was.IsNil() && !now.IsNil() {
		c.blocks(path, spec, was.Elem(), now.Elem())
		return
	}
	switch name {
	case "machine": // what stands outside any block
		c.blocks(path, spec, was, now)
	case "vrrp_instance":
		c.texts(path, name, InPlace, was.String(), now.String())
	case "tunnel":
		for _, keyword := range []string{"lb_kind", "lvs_method"} {
			if row := spec.lookup(keyword); row != nil {
				c.value(path, row, was, now)
				return
			}
		}
	case "beyond":
		own := "service"
		if spec.name == "vrrp_instance" {
			own = "vrrp"
		}
		c.blocks(path, c.language.root.lookup("weir").inner.lookup(own).inner, was, now)
	case "rules":
		c.blocks(path, c.language.root.lookup("weir").inner.lookup("service").inner, was, now)
	case "path": // the file of a FILE_CHECK's track_file
		c.value(path, spec.lookup("track_file"), was, now)
	case "init_value", "overwrite":
		c.value(path, spec.lookup("init_file"), was, now)
	case "reply": // the pattern of require_reply
		c.value(path, spec.lookup("require_reply"), was, now)
	case "checks":
		c.checks(path, spec, was.Interface().([]Check), now.Interface().([]Check))
	case "connect":
		w, n := was.Interface().(netip.AddrPort), now.Interface().(netip.AddrPort)
		c.value(path, spec.lookup("connect_ip"), reflect.ValueOf(w.Addr()), reflect.ValueOf(n.Addr()))
		c.value(path, spec.lookup("connect_port"), reflect.ValueOf(w.Port()), reflect.ValueOf(n.Port()))
	}
}

// checks compares the checks of a server: the first of a kind with the first, and so
// on.
func (c *comparison) checks(path []string, spec *blockSpec, was, now []Check) {
	rest := append([]Check(nil), was...)
	for i := range now {
		row := spec.lookup(string(now[i].Kind))
		inner := append(path[:len(path):len(path)], row.name)
		n := 0
		for n < len(rest) && rest[n].Kind != now[i].Kind {
			n++
		}
		if n == len(rest) {
			c.block(inner, row, Added)
			continue
		}
		c.blocks(inner, row.inner, reflect.ValueOf(rest[n]), reflect.ValueOf(now[i]))
		rest = append(rest[:n], rest[n+1:]...)
	}
	for _, gone := range rest {
		c.block(append(path[:len(path):len(path)], string(gone.Kind)), spec.lookup(string(gone.Kind)), Removed)
	}
}

func (c *comparison) block(path []string, row *entry, kind ChangeKind) {
	c.changes = append(c.changes, Change{Block: path, Kind: kind, Trait: row.reload})
}

// list compares blocks of which there may be several: those that are the same thing,
// and else those of the same name.
func (c *comparison) list(path []string, row *entry, was, now reflect.Value) {
	partners, stays := make([]int, now.Len()), make([]bool, was.Len())
	for i := range partners {
		partners[i] = -1
	}
	if t := now.Type(); t == reflect.TypeFor[[]URL]() || t == reflect.TypeFor[[]*GARPGroup]() { // they have no names: their order counts
		for i := range min(len(partners), len(stays)) {
			partners[i], stays[i] = i, true
		}
	}
	before := map[string][]int{}
	for i := range was.Len() {
		names := namesOf(was.Index(i))
		for _, name := range append(names.things, names.others...) {
			before[name] = append(before[name], i)
		}
	}
	find := func(i int, names []string) {
		for _, name := range names {
			for _, at := range before[name] {
				if partners[i] < 0 && !stays[at] {
					partners[i], stays[at] = at, true
				}
			}
		}
	}
	all := make([]blockNames, len(partners))
	for i := range partners {
		all[i] = namesOf(now.Index(i))
		find(i, all[i].things)
	}
	for i := range partners {
		find(i, all[i].others)
		inner := append(path[:len(path):len(path)], strings.TrimSpace(row.name+" "+all[i].title))
		if partners[i] < 0 {
			c.block(inner, row, Added)
			continue
		}
		c.pair(inner, row, reflect.Indirect(was.Index(partners[i])), reflect.Indirect(now.Index(i)))
	}
	for i := range stays {
		if !stays[i] {
			c.block(append(path[:len(path):len(path)], strings.TrimSpace(row.name+" "+namesOf(was.Index(i)).title)), row, Removed)
		}
	}
}

// pair compares two blocks that are the same one before and after.
func (c *comparison) pair(path []string, row *entry, was, now reflect.Value) {
	w, service := was.Addr().Interface().(*VirtualServer)
	if service {
		c.keys(path, row.inner, w, now.Addr().Interface().(*VirtualServer))
	}
	c.blocks(path, row.inner, was, now)
}

// keys compares which services a virtual_server is: those of its group's lines, or of
// its address family. That its protocol is another one is said by that keyword.
func (c *comparison) keys(path []string, spec *blockSpec, was, now *VirtualServer) {
	if now.Group != "" {
		c.texts(path, "virtual_server_group", InPlace, joined(was.Keys), joined(now.Keys))
		return
	}
	if len(was.Keys) == 0 || len(now.Keys) == 0 {
		return
	}
	if w, n := was.Keys[0], now.Keys[0]; w.Mark != 0 && w != n {
		family := map[bool]string{false: "inet", true: "inet6"}
		c.texts(path, "ip_family", spec.lookup("ip_family").reload, family[w.Addr.Is6()], family[n.Addr.Is6()])
	}
}

// blockNames are what a block can be found by.
type blockNames struct {
	// things are what it is, however it is called; others are what it is called.
	things, others []string
	title          string
}

func namesOf(v reflect.Value) blockNames {
	v = reflect.Indirect(v)
	switch b := v.Addr().Interface().(type) {
	case *VRRPInstance:
		thing := fmt.Sprint(b.Interface, " ", b.VRID, " ", b.IPv6())
		return blockNames{[]string{thing}, []string{"=" + b.Name}, b.Name}
	case *VirtualServer:
		n := blockNames{title: b.Keys[0].String(), others: []string{"=" + b.Name}}
		for _, key := range b.Keys {
			n.things = append(n.things, key.String())
		}
		return n
	case *RealServer:
		name := netip.AddrPortFrom(b.Addr, b.Port).String()
		return blockNames{[]string{name}, nil, name}
	}
	for i := range v.NumField() {
		if v.Field(i).Kind() == reflect.String {
			name := v.Field(i).String()
			return blockNames{[]string{name}, nil, name}
		}
	}
	return blockNames{}
}

// acts tells whether any keyword of a kind of block has an effect.
func (s *blockSpec) acts() bool {
	if s.line != nil {
		return true
	}
	for _, e := range s.entries {
		if e.effect == 0 && (e.inner == nil || e.inner.acts()) {
			return true
		}
	}
	return false
}

// value compares the values of a keyword.
func (c *comparison) value(path []string, row *entry, was, now reflect.Value) {
	if was.Comparable() && was.Equal(now) {
		return // most are the same: their texts would take long
	}
	from, to := changeText(was, row), changeText(now, row)
	if row.secret && from != to {
		from, to = "as it was", "another"
	}
	c.texts(path, row.slotName(), row.reload, from, to)
}

// slotName is what a keyword is called in a change: by the name of its synonyms that
// the values have.
func (e *entry) slotName() string {
	if e.slot != "" {
		return e.slot
	}
	return e.name
}

func (c *comparison) texts(path []string, keyword string, trait Trait, from, to string) {
	if from != to {
		c.changes = append(c.changes, Change{Block: path, Kind: Changed, Keyword: keyword, From: from, To: to, Trait: trait})
	}
}

func joined(keys []lvs.ServiceKey) string {
	all := make([]string, len(keys))
	for i, k := range keys {
		all[i] = k.String()
	}
	return strings.Join(all, ", ")
}

// Example is a keyword with two values, the second one of which may follow by a reload.
type Example struct{ Block, Keyword, Was, Now string }

// Examples are those that rows have.
func Examples() (all []Example) {
	seen := map[*blockSpec]bool{}
	var visit func(*blockSpec)
	visit = func(s *blockSpec) {
		seen[s] = true
		for _, e := range s.entries {
			if e.example[0] != "" && e.effect == 0 {
				all = append(all, Example{s.name, e.name, e.example[0], e.example[1]})
			}
			if e.inner != nil && !seen[e.inner] && e.effect == 0 {
				visit(e.inner)
			}
		}
	}
	visit(compared().root)
	return all
}
