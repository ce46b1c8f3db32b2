// Package conf reads keepalived.conf, the language of weir's configuration.
//
// A text passes these steps, one file or two each:
//
//	text/       text to words, and these to statements and blocks: see the package
//	part.go     virtual servers by themselves, on all CPUs
//	language.go statements against the tables of keywords, into raw blocks
//	resolve_*   raw blocks to the typed Config: inheritance, defaults, and
//	            the rules that span blocks; refs.go: names that nothing has
//
// words.go and foreign.go know what people write for other words, and whose files they
// hand to weir.
//
// The package lint explains what is right and hardly meant. show.go, schema.go,
// reference.go and compare.go are made of types and tables.
//
// Every step goes on after a mistake, so that one run finds them all, and
// takes care that one mistake gives one Diagnostic. A panic is a Diagnostic, too: see
// guard.go. The tables of keywords are
// one file per block or part of one (global_*.go, vrrp_*.go, virtualserver.go,
// check*.go, weir_*.go), beside the types of Config. No block's file names the
// root: root.go lists the blocks. A new keyword is one line in a table, with a field
// in the type beside it.
package conf

import (
	"errors"
	"io/fs"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"time"

	"weir/conf/text"
)

// Load reads the configuration file at path and what it includes. The Config
// is nil when the Diagnostics hold an error: a bad file changes nothing.
func Load(path string) (*Config, text.Diagnostics) { return Options{}.Load(path) }

// Load is like the function of this name.
func (o Options) Load(path string) (*Config, text.Diagnostics) {
	return newParser(text.Disk{}, o).load(path)
}

// Parse reads text as Load would read a file called name; includes are looked
// for on disk, beside that name.
func Parse(name string, content []byte) (*Config, text.Diagnostics) {
	return newParser(text.Disk{}, Options{}).parse(name, string(content))
}

// Parse is like the function of this name.
func (o Options) Parse(name string, content []byte) (*Config, text.Diagnostics) {
	return newParser(text.Disk{}, o).parse(name, string(content))
}

// Loader reads configurations one after the other, and no virtual server again whose
// text has stayed the same. Those of its Configs do not say where their values come
// from. One goroutine at a time may use it.
type Loader struct {
	// Linter also looks at what is right; nil is nobody.
	Linter   Linter
	language *language
	kept     kept
}

// Load is like the function of this name. It waits no longer than readWithin for files.
func (l *Loader) Load(path string) (*Config, text.Diagnostics) {
	return l.load(text.Within(text.Disk{}, readWithin), Options{Linter: l.Linter}, path)
}

// Reload is Load for a process that runs: the file has to be a regular one, since a pipe
// or a device that a caller names is another one here.
func (l *Loader) Reload(path string) (*Config, text.Diagnostics) {
	return l.load(text.Within(text.Disk{Regular: true}, readWithin), Options{Linter: l.Linter}, path)
}

// Parse is Reload of a file whose text is here already.
func (l *Loader) Parse(path string, content []byte) (*Config, text.Diagnostics) {
	files := text.Given(text.Within(text.Disk{Regular: true}, readWithin), string(content))
	return l.load(files, Options{Linter: l.Linter}, path)
}

// ReadFile reads a file that a configuration names, such as a certificate: a regular one, for
// which it waits no longer than readWithin. The error names it.
func ReadFile(path string) ([]byte, error) { return ReadFileWithin(path, readWithin) }

// ReadFileWithin is ReadFile for who waits no longer than a time of its own.
func ReadFileWithin(path string, within time.Duration) ([]byte, error) {
	content, err := text.Within(text.Disk{Regular: true}, within).Read(path, true)
	if err == nil {
		return []byte(content), nil
	}
	if at := (*fs.PathError)(nil); errors.As(err, &at) {
		err = at.Err
	}
	return nil, &fs.PathError{Op: "open", Path: path, Err: err}
}

// readWithin is how long a Loader waits for all files of a configuration together, and ReadFile
// for one: the disk of one may hang.
const readWithin = 10 * time.Second

func (l *Loader) load(f text.Files, o Options, path string) (*Config, text.Diagnostics) {
	if l.language == nil {
		l.language = keepalived()
	}
	l.kept.begin()
	p := &parser{language: l.language, parts: newParts(&l.kept), options: o}
	p.run = text.NewReading(o.ID, f, p.parts.alone)
	cfg, diags := p.load(path)
	if cfg != nil {
		l.kept.keep(p.parts)
	}
	return cfg, diags
}

// parser holds what the steps share during one run.
type parser struct {
	diags    text.Collector
	language *language
	run      *text.Reading
	// parts are what is read by itself; nil has everything read as one.
	parts   *parts
	options Options
}

func newParser(f text.Files, o Options) *parser {
	ps := newParts(nil)
	if o.Show {
		return &parser{language: keepalived(), run: text.NewReading(o.ID, f, nil), options: o}
	}
	run := text.NewReading(o.ID, f, ps.alone)
	return &parser{language: keepalived(), run: run, parts: ps, options: o}
}

func (p *parser) load(path string) (*Config, text.Diagnostics) {
	content, err := p.run.Open(path)
	if err != nil {
		p.diags.Add(text.Diagnostic{Severity: text.Error, Kind: text.KindFile, File: path, Message: "cannot be read: " + err.Error()})
		return nil, p.diags.Finish(path, 1)
	}
	return p.parse(path, content)
}

// parse reads a text by parts and, where that would not come to the same, whole.
func (p *parser) parse(name, content string) (*Config, text.Diagnostics) {
	src := &text.Source{Name: name, Text: content}
	if cfg, diags, same := p.guarded(src); same {
		return cfg, diags
	}
	p.diags, p.run, p.parts = text.Collector{}, p.run.Whole(), nil
	if len(content) > largeText {
		runtime.GC() // so that both readings are not in memory at once
		defer debug.SetGCPercent(debug.SetGCPercent(largeGarbage))
	}
	cfg, diags, _ := p.guarded(src)
	return cfg, diags
}

// largeText is a text, in bytes, whose reading takes much memory; largeGarbage how much
// garbage may lie about meanwhile, in % of what is in use.
const largeText, largeGarbage = 1 << 20, 20

// read takes the steps. Unless same is true, reading the whole says something else.
func (p *parser) read(src *text.Source) (cfg *Config, diags text.Diagnostics, same bool) {
	if program := foreign(src.Text, p.language); program != "" {
		p.diags.Stop(src.Start(), "this is "+program+", not a configuration of keepalived", "expected the blocks of keepalived.conf, such as vrrp_instance and virtual_server")
		return nil, p.diags.Finish(src.Name, 1), true
	}
	file := p.run.File(filepath.Clean(src.Name), src, &p.diags)
	if !p.parts.readAll(p.language, p.options.Linter) {
		return nil, diags, false
	}
	root := text.Build(file, &p.diags, p.run, p.language.root)
	raw := newRaw(p.language)
	r := &reader{language: p.language, diags: &p.diags}
	if p.options.Show {
		r.blocks = map[*text.Block]readBlock{}
	}
	r.block(p.language.root, root, raw)
	raw.unsure = raw.unsure || root.Unsure
	refs(r, raw)
	cfg = resolve(r, raw)
	if p.diags.Counts[text.Error] == 0 {
		lintAll(p.options.Linter, r, raw, cfg, p.options)
	}
	r.sayRepeats()
	if !p.parts.fit(&p.diags) {
		return nil, diags, false
	}
	diags = p.diags.Finish(src.Name, p.run.Files())
	diags.Judge(append(cfg.Weir.Silence, p.options.Silence...), Refused)
	if diags.HasErrors() {
		return nil, diags, true
	}
	if p.options.Show {
		cfg.Statements = &Statements{root, r.blocks}
	}
	return cfg, diags, true
}
