package sched

import (
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"weir/lvs"
)

// Each scheduler of lvs has one row, and no row is of another.
func TestEverySchedulerHasARow(t *testing.T) {
	named := schedulersOfLVS(t)
	for _, name := range named {
		if _, ok := RowOf(name); !ok {
			t.Errorf("%s has no row", name)
		}
	}
	if len(Rows()) != len(named) {
		t.Errorf("there are %d rows for %d schedulers", len(Rows()), len(named))
	}
}

// schedulersOfLVS reads the constants of lvs.Scheduler from the source.
func schedulersOfLVS(t *testing.T) (names []lvs.Scheduler) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "../../lvs/lvs.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if typ, ok := spec.Type.(*ast.Ident); ok && typ.Name == "Scheduler" {
			name, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			names = append(names, lvs.Scheduler(name))
		}
		return false
	})
	return names
}

var update = flag.Bool("update", false, "write enum scheduler in bpf/ from the rows")

// Enum scheduler in bpf/, which the programs go by, has the rows' names and numbers.
// With -update it is written from the rows; `make generate` has to follow.
func TestNumbersAreTheDataPlanes(t *testing.T) {
	header, text := headerOfEnum(t)
	want := ""
	for i, row := range Rows() {
		if row.Number != uint32(i) {
			t.Errorf("%s has the number %d in row %d", row.Name, row.Number, i)
		}
		want += "\tSCHED_" + strings.ToUpper(string(row.Name)) + ",\n"
	}
	if *update {
		text = enumScheduler.ReplaceAllLiteralString(text, "enum scheduler {\n"+want+"}")
		if err := os.WriteFile(header, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got := ""
	for _, name := range regexp.MustCompile(`SCHED_\w+`).FindAllString(enumScheduler.FindString(text), -1) {
		got += "\t" + name + ",\n"
	}
	if got != want {
		t.Errorf("enum scheduler in %s is\n%swant (go test ./internal/sched -update)\n%s", header, got, want)
	}
}

var enumScheduler = regexp.MustCompile(`enum scheduler \{[^}]*\}`)

// headerOfEnum is the header of bpf/ that defines enum scheduler, and its text.
func headerOfEnum(t *testing.T) (path, text string) {
	t.Helper()
	err := filepath.WalkDir("../../bpf", func(name string, _ fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(name) != ".h" {
			return err
		}
		b, err := os.ReadFile(name)
		if enumScheduler.Match(b) {
			if path != "" {
				t.Errorf("%s and %s both define enum scheduler", path, name)
			}
			path, text = name, string(b)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if path == "" {
		t.Fatal("no header of bpf/ defines enum scheduler")
	}
	return path, text
}

// What a row says of a scheduler's table is what the scheduler lays out.
func TestTraitsTellTheTable(t *testing.T) {
	for _, row := range Rows() {
		l, err := New(row.Name, servers([]int{1, 2, 3}))
		if err != nil {
			t.Fatal(err)
		}
		if row.Traits.Cycles != (l.Cycle != nil) {
			t.Errorf("%s: Cycles is %v, but its cycle is %+v", row.Name, row.Traits.Cycles, l.Cycle)
		}
		list := names(l.Slots) == "rs3 rs2 rs1"
		if row.Traits.Scans != list {
			t.Errorf("%s: Scans is %v, but its slots are %v", row.Name, row.Traits.Scans, l.Slots)
		}
		if row.Traits.Hashes != (l.Cycle == nil && !list) {
			t.Errorf("%s: Hashes is %v, but it has %d slots", row.Name, row.Traits.Hashes, len(l.Slots))
		}
		if row.pick != nil && !row.Traits.Scans {
			t.Errorf("%s does not scan, but picks by the servers' loads", row.Name)
		}
	}
}
