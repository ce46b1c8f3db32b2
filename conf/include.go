package conf

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// files is where texts come from: the disk, or memory in tests.
type files interface {
	// read is the text of a file. Only the first file of a run may be other
	// than regular, such as a pipe: an include never waits for a device.
	read(path string, first bool) ([]byte, error)
	// glob lists the files that match a pattern. Its error is
	// filepath.ErrBadPattern.
	glob(pattern string) ([]string, error)
}

// disk is the files of this machine.
type disk struct{}

func (disk) read(path string, first bool) ([]byte, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, err
	case info.IsDir():
		return nil, errors.New("it is a directory")
	case !first && !info.Mode().IsRegular():
		return nil, errors.New("it is not a regular file")
	}
	return os.ReadFile(path)
}

func (disk) glob(pattern string) ([]string, error) { return filepath.Glob(pattern) }

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
	maxIncluded     = 64 << 20 // bytes in all
	// maxBraces bounds the patterns one include may stand for.
	maxBraces = 256
)

// include reads the files that an include statement names, in its place.
func (b *builder) include(st *statement) {
	words := st.words
	if len(words) != 2 || words[1].text == "" {
		b.diags.errorAt(st.place(), "include takes one file name or pattern", "expected include FILE")
		return
	}
	at, pattern := words[1].place, words[1].text
	if len(b.paths) > maxIncludeDepth {
		b.tooMany(at)
		return
	}
	if !filepath.IsAbs(pattern) {
		pattern = filepath.Join(filepath.Dir(b.paths[len(b.paths)-1]), pattern)
	}
	paths, err := b.expand(pattern)
	switch {
	case err != nil:
		b.diags.errorAt(at, "include: bad pattern: "+err.Error(), "expected a file name, or a pattern with * ? [ ] or { , }")
	case len(paths) == 0:
		b.diags.warnAt(at, "include-missing", "include: no file matches "+pattern, "nothing is read; create the file or remove this line")
	}
	for _, path := range paths {
		b.includeFile(path, at)
	}
}

// tooMany ends the including. It is said once: more of the same would say nothing new.
func (b *builder) tooMany(at place) {
	if !b.includesStopped {
		b.diags.errorAt(at, "include: too much to read",
			fmt.Sprintf("expected at most %d files, nested %d deep, of %d MiB in all", maxIncludes, maxIncludeDepth, maxIncluded>>20))
	}
	b.includesStopped = true
}

// expand lists the files of a pattern, sorted.
func (b *builder) expand(pattern string) ([]string, error) {
	var paths []string
	patterns, err := expandBraces(pattern)
	if err != nil {
		return nil, err
	}
	for _, p := range patterns {
		matches, err := b.files.glob(p)
		if err != nil {
			return nil, err
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

// includeFile reads one file at an include statement.
func (b *builder) includeFile(path string, at place) {
	clean := filepath.Clean(path)
	if slices.Contains(b.paths, clean) {
		b.diags.errorAt(at, fmt.Sprintf("include: %s includes itself", path), "take one of the includes out", b.chain(clean)...)
		return
	}
	if b.filesRead > maxIncludes || b.included > maxIncluded {
		b.tooMany(at)
		return
	}
	text, err := b.files.read(path, false)
	if err != nil {
		b.diags.errorAt(at, fmt.Sprintf("include: %s cannot be read: %s", path, reason(err)), "expected a file that may be read")
		return
	}
	b.included += len(text)
	b.file(clean, &source{name: path, text: string(text), from: at})
}

// chain says over which files a file comes back to itself; the including file
// and line follow from the diagnostic's own place.
func (b *builder) chain(path string) []string {
	i := slices.Index(b.paths, path)
	if i == len(b.paths)-1 {
		return nil
	}
	return []string{"by way of " + strings.Join(b.paths[i+1:], ", ")}
}
