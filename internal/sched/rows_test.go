package sched

import (
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

// The numbers are those of enum scheduler in bpf/, which the programs go by.
func TestNumbersAreTheDataPlanes(t *testing.T) {
	enum := enumScheduler(t)
	names := regexp.MustCompile(`SCHED_(\w+)`).FindAllStringSubmatch(enum, -1)
	if len(names) != len(Rows()) {
		t.Errorf("enum scheduler has %d names, there are %d rows", len(names), len(Rows()))
	}
	for i, row := range Rows() {
		if row.Number != uint32(i) {
			t.Errorf("%s has the number %d in row %d", row.Name, row.Number, i)
		}
		if want := strings.ToUpper(string(row.Name)); i >= len(names) || names[i][1] != want {
			t.Errorf("number %d of enum scheduler is not SCHED_%s", i, want)
		}
	}
}

// enumScheduler is the body of the enum, wherever it stands in bpf/.
func enumScheduler(t *testing.T) string {
	t.Helper()
	var found [][]byte
	err := filepath.WalkDir("../../bpf", func(path string, d fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".h" {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if m := regexp.MustCompile(`(?s)enum scheduler \{(.*?)\}`).FindSubmatch(text); m != nil {
			found = append(found, m[1])
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(found) != 1 {
		t.Fatalf("%d headers of bpf/ define enum scheduler, want 1", len(found))
	}
	return string(found[0])
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
