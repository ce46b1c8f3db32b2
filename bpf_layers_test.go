package weir

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// bpfLayers are the folders of bpf/ from the bottom up, with the two kinds of file
// that stand in bpf/ itself. A file includes files of lower layers and of its own.
var bpfLayers = []string{
	"abi.h",   // what C and Go share
	"base",    // the kernel's headers, the tables, the clock
	"parse",   // from a frame to a flow key
	"verdict", // what is decided on a packet, and counted
	"service", // services, servers, leases, loads
	"conn",    // connections, templates, the flow cache, the sweep
	"sched",   // which server a new connection gets
	"forward", // how a packet reaches its server or client
	"balance", // the path of a parsed packet
	"slow",    // ICMP errors, fragments, tags
	"hook",    // XDP and tc
	"*.bpf.c", // entry points
}

// bpfClang is the compiler that the committed objects are built with.
const bpfClang = "clang-19"

// cFile is a C file of bpf/, with what the rules need to know of it.
type cFile struct {
	path     string // below bpf/
	includes []string
	defines  map[string]kind // at file scope
	uses     map[use]bool
	text     string // without comments and strings
}

// kind is what a name stands for; C has tags, functions and the rest apart.
type kind string

const (
	tag      kind = "struct or enum"
	function kind = "function"
	macro    kind = "constant"
	table    kind = "map"
)

type use struct {
	name string
	kind kind
}

func TestBPFIncludesRunDownTheLayers(t *testing.T) {
	files := bpfFiles(t)
	for _, f := range files {
		from := layerOf(f.path)
		if from < 0 {
			t.Errorf("bpf/%s is in no layer: add its folder to the table in this test and to ARCHITECTURE.md", f.path)
			continue
		}
		for _, included := range f.includes {
			if files[included] == nil {
				t.Errorf("bpf/%s includes %q: the path must begin at bpf/, as in \"conn/word.h\"", f.path, included)
			} else if to := layerOf(included); to > from {
				t.Errorf("bpf/%s (layer %s) includes %s (layer %s), which is above it", f.path, bpfLayers[from], included, bpfLayers[to])
			}
		}
	}
	if circle := circleOf(files); circle != nil {
		t.Errorf("headers include each other in a circle: %s", strings.Join(circle, " -> "))
	}
}

// A header that uses a name includes the header that defines it, and no header is
// included for nothing.
func TestBPFHeadersIncludeWhatTheyUse(t *testing.T) {
	files := bpfFiles(t)
	homes := map[use][]string{}
	for _, f := range files {
		for name, kind := range f.defines {
			homes[use{name, kind}] = append(homes[use{name, kind}], f.path)
		}
	}
	for _, f := range files {
		needed := map[string]bool{}
		for used := range f.uses {
			if _, own := f.defines[used.name]; own {
				continue
			}
			for _, home := range homes[used] {
				if strings.HasSuffix(home, ".c") {
					continue
				}
				needed[home] = true
				if !slices.Contains(f.includes, home) {
					t.Errorf("bpf/%s uses the %s %s and does not include %s", f.path, used.kind, used.name, home)
				}
			}
		}
		for _, included := range f.includes {
			if !needed[included] && included != "base/bpf.h" { // the kernel's names are not looked for
				t.Errorf("bpf/%s includes %s and uses nothing of it", f.path, included)
			}
		}
	}
}

// A function is defined before it is used: a prototype hides that an include points up.
func TestBPFDeclaresNothingAhead(t *testing.T) {
	for _, f := range bpfFiles(t) {
		for _, item := range fileScope(f.text) {
			ahead := strings.HasPrefix(item, "struct ") && regexp.MustCompile(`^(struct|enum) \w+;$`).MatchString(item)
			if ahead || isPrototype(item) {
				t.Errorf("bpf/%s declares ahead what it does not define: %s", f.path, item)
			}
		}
	}
}

// Entry points stand in the .bpf.c files alone, where a reader looks for them.
func TestBPFEntryPointsAreInProgramFiles(t *testing.T) {
	entry := regexp.MustCompile(`SEC\("([^".][^"]*)"\)`)
	for _, f := range bpfFiles(t) {
		text, err := os.ReadFile(filepath.Join("bpf", f.path))
		if err != nil {
			t.Fatal(err)
		}
		if section := entry.FindStringSubmatch(string(text)); section != nil && strings.HasSuffix(f.path, ".h") {
			t.Errorf("bpf/%s has a program of the section %q: move it to a .bpf.c file", f.path, section[1])
		}
	}
}

func TestBPFHeadersCompileAlone(t *testing.T) {
	clang, err := exec.LookPath(bpfClang)
	if err != nil {
		t.Fatalf("%v: install what `make packages` installs", err)
	}
	for _, f := range bpfFiles(t) {
		if !strings.HasSuffix(f.path, ".h") {
			continue
		}
		t.Run(f.path, func(t *testing.T) {
			t.Parallel()
			c := exec.Command(clang, "-target", "bpf", "-mcpu=v3", "-O2", "-Wall", "-Werror", "-Wno-unused-function",
				"-fsyntax-only", "-I.", "-I/usr/include/x86_64-linux-gnu", "-x", "c", "-")
			c.Dir = "bpf"
			c.Stdin = strings.NewReader(fmt.Sprintf("#include %q\n", f.path))
			if out, err := c.CombinedOutput(); err != nil {
				t.Errorf("bpf/%s does not compile by itself: %v\n%s", f.path, err, out)
			}
		})
	}
}

// bpfFiles reads the C files of bpf/, but for those that only measure.
func bpfFiles(t *testing.T) map[string]*cFile {
	files := map[string]*cFile{}
	err := fs.WalkDir(os.DirFS("bpf"), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			if d != nil && d.Name() == "bench" {
				return fs.SkipDir
			}
			return err
		}
		if ext := path.Ext(name); ext != ".h" && ext != ".c" {
			return nil
		}
		text, err := os.ReadFile(filepath.Join("bpf", name))
		if err == nil {
			files[name] = readC(name, string(text))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Fatal("bpf/ has no C files")
	}
	return files
}

var (
	cComment  = regexp.MustCompile(`(?s)/\*.*?\*/|//[^\n]*`)
	cString   = regexp.MustCompile(`"[^"\n]*"`)
	cInclude  = regexp.MustCompile(`(?m)^#include "([^"]+)"`)
	cDefine   = regexp.MustCompile(`(?m)^#define (\w+)(.*)$`)
	cTag      = regexp.MustCompile(`^(struct|enum) (\w+) \{`)
	cMap      = regexp.MustCompile(`^(?:MAP|SPARSE_HASH|ADDRS)\((\w+)|\} (\w+) SEC\(\)`)
	cKnob     = regexp.MustCompile(`^(?:volatile const \w+ |VARIABLE\()(\w+)`)
	cFunction = regexp.MustCompile(`^(?:[\w*]+\s+\*?)*?\*?(\w+)\(`)
	cName     = regexp.MustCompile(`\w+`)
)

func readC(name, text string) *cFile {
	f := &cFile{path: name, defines: map[string]kind{}, uses: map[use]bool{}}
	text = cComment.ReplaceAllString(text, "")
	for _, m := range cInclude.FindAllStringSubmatch(text, -1) {
		f.includes = append(f.includes, m[1])
	}
	text = strings.ReplaceAll(cString.ReplaceAllString(text, ""), "\\\n", " ")
	for _, m := range cDefine.FindAllStringSubmatch(text, -1) {
		if !strings.HasPrefix(m[1], "WEIR_") {
			f.defines[m[1]] = macro
		}
	}
	f.text = text
	for _, item := range fileScope(text) {
		f.define(item)
	}
	f.use()
	return f
}

// define notes what an item at file scope defines.
func (f *cFile) define(item string) {
	if m := cTag.FindStringSubmatch(item); m != nil {
		f.defines[m[2]] = tag
		if m[1] == "enum" {
			body := item[strings.Index(item, "{")+1:]
			for _, constant := range strings.Split(body, ",") {
				if name := cName.FindString(constant); name != "" {
					f.defines[name] = macro
				}
			}
		}
		return
	}
	if m := cMap.FindStringSubmatch(item); m != nil {
		f.defines[m[1]+m[2]] = table
		return
	}
	if m := cKnob.FindStringSubmatch(item); m != nil {
		f.defines[m[1]] = macro
		return
	}
	if m := cFunction.FindStringSubmatch(item); m != nil && strings.Contains(item, "{") {
		f.defines[m[1]] = function
	}
}

// use notes which names the file uses, and as what.
func (f *cFile) use() {
	last := ""
	for _, at := range cName.FindAllStringIndex(f.text, -1) {
		name, before, after := f.text[at[0]:at[1]], strings.TrimRight(f.text[:at[0]], " \t\n"), strings.TrimLeft(f.text[at[1]:], " \t\n")
		member := strings.HasSuffix(before, "->") || strings.HasSuffix(before, ".")
		switch {
		case last == "struct" || last == "enum":
			f.uses[use{name, tag}] = true
		case member:
		default:
			f.uses[use{name, macro}] = true
			if strings.HasPrefix(after, "(") || strings.HasSuffix(before, ",") && strings.HasPrefix(after, ",") {
				f.uses[use{name, function}] = true
			}
			if strings.HasSuffix(before, "&") && !strings.HasSuffix(before, "&&") {
				f.uses[use{name, table}] = true
			}
		}
		last = name
	}
}

// fileScope cuts a C text without comments and strings into its items at file scope,
// each on one line; preprocessor lines are left out.
func fileScope(text string) []string {
	var items []string
	var item strings.Builder
	depth := 0
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		for _, c := range line {
			item.WriteRune(c)
			switch c {
			case '{':
				depth++
			case '}':
				depth--
			}
			body := strings.TrimSpace(item.String())
			ends := c == ';' || c == '}' && regexp.MustCompile(`\)\s*\{`).MatchString(body)
			if depth == 0 && ends {
				items = append(items, strings.Join(strings.Fields(body), " "))
				item.Reset()
			}
		}
	}
	return items
}

// isPrototype says whether an item declares a function without its body.
func isPrototype(item string) bool {
	return strings.HasSuffix(item, ");") && !strings.ContainsAny(item, "{=") && cFunction.MatchString(item) &&
		strings.Contains(strings.SplitN(item, "(", 2)[0], " ")
}

// layerOf is the place of a file's layer, from the bottom; below 0: it has none.
func layerOf(name string) int {
	dir := path.Dir(name)
	if dir == "." {
		dir = name
		if strings.HasSuffix(name, ".bpf.c") {
			dir = "*.bpf.c"
		}
	}
	return slices.Index(bpfLayers, dir)
}

// circleOf is a circle of includes, or nil.
func circleOf(files map[string]*cFile) []string {
	done := map[string]bool{}
	var way []string
	var visit func(name string) []string
	visit = func(name string) []string {
		if at := slices.Index(way, name); at >= 0 {
			return append(slices.Clone(way[at:]), name)
		}
		if done[name] || files[name] == nil {
			return nil
		}
		way = append(way, name)
		for _, included := range files[name].includes {
			if circle := visit(included); circle != nil {
				return circle
			}
		}
		way = way[:len(way)-1]
		done[name] = true
		return nil
	}
	for name := range files {
		if circle := visit(name); circle != nil {
			return circle
		}
	}
	return nil
}
