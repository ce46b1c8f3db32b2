package conf

import (
	"io/fs"
	"path"
	"slices"

	"weir/conf/text"
)

// TestLinter is the one of the package lint, which these tests cannot import: see
// linter_test.go.
var TestLinter Linter

// memory is files that exist only in a test.
type memory map[string]string

func (m memory) Read(name string, _ bool) (string, error) {
	text, ok := m[name]
	if !ok {
		return "", &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return text, nil
}

func (m memory) Glob(pattern string) ([]string, error) {
	var names []string
	for name := range m {
		ok, err := path.Match(pattern, name)
		if err != nil {
			return nil, err
		}
		if ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// parseMemory reads the file called name.
func parseMemory(m memory, name string) (*Config, text.Diagnostics) {
	return newParser(m, Options{ID: "node01", Linter: TestLinter}).parse(name, m[name])
}

// parseLinted reads a text as Parse does, with the linter.
func parseLinted(name string, content []byte) (*Config, Diagnostics) {
	return newParser(text.Disk{}, Options{Linter: TestLinter}).parse(name, string(content))
}
