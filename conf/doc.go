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

import "path/filepath"

// Load reads the configuration file at path and what it includes. The Config
// is nil when the Diagnostics hold an error: a bad file changes nothing.
func Load(path string) (*Config, Diagnostics) {
	p := newParser(disk{})
	text, err := p.files.read(path, true)
	if err != nil {
		p.diags.add(Diagnostic{Severity: Error, File: path, Message: "cannot be read: " + reason(err)})
		return nil, p.diags.finish(path, 1)
	}
	return p.run(path, text)
}

// Parse reads text as Load would read a file called name; includes are looked
// for on disk, beside that name.
func Parse(name string, text []byte) (*Config, Diagnostics) {
	return newParser(disk{}).run(name, text)
}

// parser holds what the steps share during one run.
type parser struct {
	files    files
	diags    collector
	language *language
}

func newParser(f files) *parser {
	return &parser{files: f, language: newLanguage()}
}

func (p *parser) run(name string, text []byte) (*Config, Diagnostics) {
	b := &builder{parser: p}
	root := b.build(filepath.Clean(name), name, text)
	raw := p.language.newRaw()
	r := &reader{language: p.language, diags: &p.diags}
	r.block(p.language.root, root, raw)
	raw.unsure = root.unsure
	cfg := resolve(r, raw)
	r.sayRepeats()
	diags := p.diags.finish(name, b.filesRead)
	if diags.HasErrors() {
		return nil, diags
	}
	return cfg, diags
}
