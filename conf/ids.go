package conf

import (
	"fmt"
	"slices"

	"weir/conf/text"
)

// Variant is a configuration as one config id has it.
type Variant struct {
	ID string
	// Config is nil where the Diagnostics hold an error.
	Config      *Config
	Diagnostics text.Diagnostics
}

// Variants is a text as each of several config ids has it.
type Variants []Variant

// maxIDs bounds the config ids that are tried where none are asked for.
const maxIDs = 1000

// Variants reads a text, called name, for each of ids. Without ids they are this host's
// and those that lines of the text are for: what is wrong in a line for another host is
// wrong, too. Elsewhere leaves this host's out where lines are for others, and o.Networks and o.Here.
func (o Options) Variants(name string, content []byte, ids []string, elsewhere bool) Variants {
	host, whole := text.HostID(), string(content)
	todo := slices.Clone(ids)
	if len(ids) == 0 {
		todo = []string{host}
	}
	var all Variants
	named := false
	for i := 0; i < len(todo) && i < maxIDs; i++ {
		own := o
		if own.ID = todo[i]; elsewhere || own.ID != host && len(ids) == 0 {
			own.Networks, own.Here = nil, nil
		}
		p := newParser(text.Disk{}, own)
		cfg, diags := p.parse(name, whole)
		all = append(all, Variant{own.ID, cfg, diags})
		if len(ids) > 0 {
			continue
		}
		for _, id := range p.run.IDs() {
			named = named || id == host
			if !slices.Contains(todo, id) {
				todo = append(todo, id)
			}
		}
	}
	if elsewhere && len(ids) == 0 && len(all) > 1 && !named {
		all = all[1:]
	}
	return all
}

// CheckFile reads what read gives by Variants; an error of read is a diagnostic.
func (o Options) CheckFile(name string, read func() ([]byte, error), ids []string, elsewhere bool) (Variants, text.Diagnostics) {
	content, err := read()
	if err != nil {
		diags := &text.Collector{}
		diags.Add(text.Diagnostic{Severity: text.Error, Kind: text.KindFile, File: name, Message: "cannot be read: " + err.Error()})
		return nil, diags.Finish(name, 1)
	}
	variants := o.Variants(name, content, ids, elsewhere)
	return variants, variants.Diagnose()
}

// IDs are the config ids, in the order of reading.
func (v Variants) IDs() []string {
	ids := []string{}
	for _, one := range v {
		ids = append(ids, one.ID)
	}
	return ids
}

// Diagnose is what all variants gave rise to, each once.
func (v Variants) Diagnose() text.Diagnostics {
	var read []text.Diagnostics
	for _, one := range v {
		read = append(read, one.Diagnostics)
	}
	return text.Merge(v.IDs(), read)
}

// Summary counts what a configuration holds; that of the first id stands for all.
func (v Variants) Summary() string {
	if v[0].Config == nil {
		return ""
	}
	if len(v) == 1 {
		return v[0].Config.Summary()
	}
	return fmt.Sprintf("%s; read for %s", v[0].Config.Summary(), text.Plural(len(v), "config id"))
}
