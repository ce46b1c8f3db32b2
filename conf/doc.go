// Package conf reads keepalived.conf, the language of weir's configuration.
//
// A text passes four steps, one file or two each:
//
//	lexer.go    text to words, braces and line ends, each with its place
//	tree.go     tokens to statements and blocks; includes; misplaced braces
//	language.go statements against the tables of keywords, into raw blocks
//	resolve_*   raw blocks to the typed Config: inheritance, defaults, and
//	            the rules that span blocks
//
// Every step goes on after a mistake, so that one run finds them all, and
// takes care that one mistake gives one Diagnostic. The tables of keywords are
// one file per block (global.go, vrrp.go, virtualserver.go, checker.go,
// weir.go); a new keyword is one line in a table.
package conf

import (
	"net/netip"
	"path/filepath"
)

// Options are what a run is told besides the file.
type Options struct {
	// ID is the config id, which @ID lines are for; empty is the host's name up
	// to its first dot.
	ID string
	// Silence are kinds of warnings that are not wanted.
	Silence []string
	// Networks are those of this machine by interface; VIPs are looked for in
	// them. None are where the file is another machine's.
	Networks map[string][]netip.Prefix
}

// Load reads the configuration file at path and what it includes. The Config
// is nil when the Diagnostics hold an error: a bad file changes nothing.
func Load(path string) (*Config, Diagnostics) { return Options{}.Load(path) }

// Load is like the function of this name.
func (o Options) Load(path string) (*Config, Diagnostics) {
	p := newParser(disk{}, o)
	text, err := p.run.includes.files.read(path, true)
	if err != nil {
		p.diags.add(Diagnostic{Severity: Error, File: path, Message: "cannot be read: " + reason(err)})
		return nil, p.diags.finish(path, 1)
	}
	return p.parse(path, text)
}

// Parse reads text as Load would read a file called name; includes are looked
// for on disk, beside that name.
func Parse(name string, text []byte) (*Config, Diagnostics) {
	return newParser(disk{}, Options{}).parse(name, text)
}

// parser holds what the steps share during one run.
type parser struct {
	diags    collector
	language *language
	run      *reading
	options  Options
}

func newParser(f files, o Options) *parser {
	run := newReading(f)
	run.id = o.ID
	return &parser{language: newLanguage(), run: run, options: o}
}

func (p *parser) parse(name string, text []byte) (*Config, Diagnostics) {
	b := &builder{parser: p}
	file := p.run.file(filepath.Clean(name), &source{name: name, text: string(text)}, &p.diags)
	root := b.build(file)
	raw := p.language.newRaw()
	r := &reader{language: p.language, diags: &p.diags}
	r.block(p.language.root, root, raw)
	raw.unsure = raw.unsure || root.unsure
	refs(r, raw)
	cfg := resolve(r, raw)
	if p.diags.counts[Error] == 0 {
		lint(r, cfg, p.options)
	}
	r.sayRepeats()
	diags := p.diags.finish(name, p.run.includes.read)
	diags.silence(append(cfg.Weir.Silence, p.options.Silence...))
	if diags.HasErrors() {
		return nil, diags
	}
	return cfg, diags
}
