package text

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
)

// reason is an error of the file system without the path, which the
// diagnostic already names.
func reason(err error) string {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err.Error()
	}
	return err.Error()
}

const (
	// maxIncludeDepth and maxIncludes stop includes that have no end though
	// no file includes itself.
	maxIncludeDepth = 32
	maxIncludes     = 4096
	maxIncluded     = MaxFile // bytes in all
	// maxBraces bounds the patterns one include may stand for.
	maxBraces = 256
)

// includes are the files that a run includes.
type includes struct {
	files Files
	// lexed are the files by the place of their include.
	lexed map[includeKey][]*Lexed
	// paths are the files being read, the including ones first.
	paths   []string
	read    int
	bytes   int
	stopped bool
	// check is what include_check asks of every include.
	check includeCheck
}

// includeKey is the place of an include, or of a part.
type includeKey struct {
	src   *Source
	start int32
}

// Lexed is a file that has been cut into tokens.
type Lexed struct {
	src *Source
	// Tokens end with one for the end of the file.
	Tokens []Token
}

// includeCheck says which includes of nothing are mistakes.
type includeCheck struct{ readable, match, wildcard, brace bool }

// includeLevels are the words that include, and what they ask for.
var includeLevels = map[string]includeCheck{
	"include":  {},
	"includer": {readable: true},
	"includem": {match: true},
	"includew": {wildcard: true, match: true},
	"includeb": {brace: true, match: true},
	"includea": {readable: true, match: true, wildcard: true, brace: true},
}

// setCheck takes what stands behind include_check.
func (in *includes) setCheck(words []Token) {
	if len(words) == 0 || words[0].kind != wordToken {
		in.check = includeLevels["includea"]
	}
	checks := map[string]*bool{"readable": &in.check.readable, "match": &in.check.match, "wildcard_match": &in.check.wildcard, "brace_match": &in.check.brace}
	for _, w := range words {
		if to := checks[strings.TrimLeft(w.Text, "+-")]; w.kind == wordToken && to != nil {
			*to = !strings.HasPrefix(w.Text, "-")
		}
	}
}

// or is what either asks for.
func (c includeCheck) or(o includeCheck) includeCheck {
	return includeCheck{c.readable || o.readable, c.match || o.match, c.wildcard || o.wildcard, c.brace || o.brace}
}

// include reads the files that an include line names.
func (run *Reading) include(l *lexer, line []Token) {
	in := &run.includes
	words := line
	for len(words) > 0 && words[len(words)-1].kind != wordToken {
		words = words[:len(words)-1]
	}
	if line[0].broken || len(words) > 1 && words[1].broken {
		return
	}
	if len(words) != 2 || words[1].Text == "" {
		l.diags.ErrorAt(line[0].Place, line[0].Text+" takes one file name or pattern", "expected "+line[0].Text+" FILE")
		return
	}
	at, pattern := words[1].Place, words[1].Text
	if strings.ContainsAny(at.Text(), `"'\`) {
		l.diags.WarnAt(at, "quotes", line[0].Text+": keepalived takes quotes for a part of the file's name, and reads nothing; weir reads "+Quote(pattern), "take the quotes out")
	}
	if len(in.paths) > maxIncludeDepth {
		in.tooMany(l, at)
		return
	}
	if !filepath.IsAbs(pattern) {
		pattern = filepath.Join(filepath.Dir(in.paths[len(in.paths)-1]), pattern)
	}
	check := in.check.or(includeLevels[line[0].Text])
	paths, err := in.expand(pattern, check.brace)
	switch {
	case err != nil:
		l.diags.ErrorAt(at, line[0].Text+": "+err.Error(), "expected a file name, or a pattern with * ? [ ] or { , }")
	case len(paths) == 0 && (check.match && !hasWildcard(pattern) || check.wildcard && hasWildcard(pattern)):
		l.diags.ErrorAt(at, line[0].Text+": no file matches "+pattern, "create the file or remove this line")
	case len(paths) == 0:
		l.diags.WarnAt(at, "include-missing", "include: no file matches "+pattern, "nothing is read; create the file or remove this line")
	}
	key := includeKey{at.Src, line[0].start}
	for _, path := range paths {
		if f := run.includeFile(l, path, at); f != nil {
			in.lexed[key] = append(in.lexed[key], f)
		}
	}
}

func hasWildcard(pattern string) bool { return strings.ContainsAny(pattern, "*?[") }

// tooMany ends the including. It is said once: more of the same would say nothing new.
func (in *includes) tooMany(l *lexer, at Place) {
	if !in.stopped {
		l.diags.ErrorAt(at, "include: too much to read",
			fmt.Sprintf("expected at most %d files, nested %d deep, of %d MiB in all", maxIncludes, maxIncludeDepth, maxIncluded>>20))
	}
	in.stopped = true
}

// expand lists the files of a pattern, sorted. With every each of its braces'
// patterns has to match one.
func (in *includes) expand(pattern string, every bool) ([]string, error) {
	var paths []string
	patterns, err := expandBraces(pattern)
	if err != nil {
		return nil, fmt.Errorf("bad pattern: %w", err)
	}
	for _, p := range patterns {
		matches, err := in.files.Glob(p)
		if errors.Is(err, filepath.ErrBadPattern) {
			return nil, fmt.Errorf("bad pattern: %w", err)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p, err)
		}
		if len(matches) == 0 && every && len(patterns) > 1 {
			return nil, fmt.Errorf("no file matches %s", p)
		}
		paths = append(paths, matches...)
	}
	slices.Sort(paths)
	return slices.Compact(paths), nil
}

// expandBraces turns a{b,c}d into abd and acd, as csh does; braces may nest.
func expandBraces(pattern string) ([]string, error) {
	done, todo := []string(nil), []string{pattern}
	for len(todo) > 0 {
		if len(done)+len(todo) > maxBraces {
			return nil, fmt.Errorf("braces stand for more than %d names", maxBraces)
		}
		p := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		closing := strings.IndexByte(p, '}')
		if closing < 0 {
			done = append(done, p)
			continue
		}
		// The innermost pair ends at the first closing brace.
		opening := strings.LastIndexByte(p[:closing], '{')
		if opening < 0 {
			return nil, errors.New("} without {")
		}
		for _, choice := range strings.Split(p[opening+1:closing], ",") {
			todo = append(todo, p[:opening]+choice+p[closing+1:])
		}
	}
	return done, nil
}

// includeFile reads one file at an include.
func (run *Reading) includeFile(l *lexer, path string, at Place) *Lexed {
	in := &run.includes
	clean := filepath.Clean(path)
	if slices.Contains(in.paths, clean) {
		l.diags.ErrorAt(at, fmt.Sprintf("include: %s includes itself", path), "take one of the includes out", in.chain(clean)...)
		return nil
	}
	if in.stopped || in.read > maxIncludes || in.bytes > maxIncluded {
		in.tooMany(l, at)
		return nil
	}
	text, err := in.files.Read(path, false)
	if err != nil {
		l.diags.ErrorAt(at, fmt.Sprintf("include: %s cannot be read: %s", path, reason(err)), "expected a file that may be read")
		return nil
	}
	in.bytes += len(text)
	return run.File(clean, &Source{Name: path, Text: text, from: at}, l.diags)
}

// File cuts a file into tokens.
func (run *Reading) File(path string, src *Source, diags *Collector) *Lexed {
	in := &run.includes
	src.order = in.read
	in.read++
	in.paths = append(in.paths, path)
	tokens := lex(src, diags, run)
	in.paths = in.paths[:len(in.paths)-1]
	run.Tokens += len(tokens)
	return &Lexed{src: src, Tokens: tokens}
}

// chain says over which files a file comes back to itself; the including file
// and line follow from the diagnostic's own place.
func (in *includes) chain(path string) []string {
	i := slices.Index(in.paths, path)
	if i == len(in.paths)-1 {
		return nil
	}
	return []string{"by way of " + strings.Join(in.paths[i+1:], ", ")}
}
