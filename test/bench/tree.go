package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"weir/test/bench/floor"
)

// tree is a checked-out commit of the project.
type tree struct {
	name, root string
	other      bool // not the commit that this program is of
}

// binary is the test binary of one part's benchmarks, to be run in dir.
type binary struct {
	tree, path, dir string
	other           bool
}

// errNoBenchmark says that a tree has no benchmark of that name.
var errNoBenchmark = errors.New("no such benchmark")

// thisTree is the project that the working directory is in.
func thisTree(ctx context.Context) (tree, error) {
	root, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return tree{}, fmt.Errorf("find the project's folder: %w", err)
	}
	return tree{name: "this", root: strings.TrimSpace(string(root))}, nil
}

// checkOut has git check a commit out into a folder inside dir. The caller calls
// remove. An interrupt ends neither half-way, or git would remember the folder.
func (t tree) checkOut(ctx context.Context, commit, dir string) (other tree, remove func() error, err error) {
	root := filepath.Join(dir, "other")
	git := func(args ...string) error {
		c := exec.Command("git", append([]string{"-C", t.root, "worktree"}, args...)...)
		c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // ctrl-C is for this program alone
		if out, err := c.CombinedOutput(); err != nil {
			return fmt.Errorf("git worktree %s: %w\n%s", strings.Join(args, " "), err, out)
		}
		return nil
	}
	if err := git("add", "--detach", root, commit); err != nil {
		return tree{}, nil, err
	}
	remove = func() error { return git("remove", "--force", root) }
	if ctx.Err() != nil {
		return tree{}, nil, errors.Join(ctx.Err(), remove())
	}
	return tree{name: commit, root: root, other: true}, remove, nil
}

// build builds the part's benchmarks into dir. The package is the one that has the
// benchmark: a commit may have it elsewhere than another does. The error is
// errNoBenchmark where none has it.
func (t tree) build(ctx context.Context, p *part, dir string) (*binary, error) {
	pkg, err := t.packageOf(p.bench)
	if err != nil {
		return nil, err
	}
	b := &binary{tree: t.name, path: filepath.Join(dir, t.name+"-"+p.name+".test"), dir: filepath.Join(t.root, pkg), other: t.other}
	c := exec.CommandContext(ctx, "go", "test", "-c", "-o", b.path, "./"+pkg)
	c.Dir = t.root
	c.Env = append(os.Environ(), "CGO_ENABLED=0") // it may be for another root folder
	if out, err := c.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build %s of %s: %w\n%s", pkg, t.name, err, out)
	}
	return b, nil
}

// buildWeir builds weir into dir, as it is for users.
func (t tree) buildWeir(ctx context.Context, dir string) error {
	c := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", filepath.Join(dir, "weir"), "./cmd/weir")
	c.Dir = t.root
	c.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("build weir of %s: %w\n%s", t.name, err, out)
	}
	return nil
}

// packageOf is the folder, below the root, of the package that has the benchmark.
func (t tree) packageOf(benchmark string) (string, error) {
	var found []string
	err := t.walk("_test.go", func(path string) error {
		text, err := os.ReadFile(filepath.Join(t.root, path))
		if err == nil && strings.Contains(string(text), "\nfunc "+benchmark+"(b *testing.B)") {
			found = append(found, filepath.Dir(path))
		}
		return err
	})
	switch {
	case err != nil:
		return "", err
	case len(found) == 0:
		return "", fmt.Errorf("%s in %s: %w", benchmark, t.name, errNoBenchmark)
	case len(found) > 1:
		return "", fmt.Errorf("%s in %s: several packages have it: %s", benchmark, t.name, strings.Join(found, ", "))
	}
	return found[0], nil
}

// instructions is how many instructions each BPF program has, over all committed
// objects of the data plane and of the real server. The objects that only measure
// are left out.
func (t tree) instructions() (map[string]int, error) {
	all := map[string]int{}
	err := t.walk("_bpfel.o", func(path string) error {
		if strings.HasPrefix(path, "test/") {
			return nil
		}
		counts, err := floor.Instructions(filepath.Join(t.root, path))
		for program, n := range counts {
			all[program] = n
		}
		return err
	})
	return all, err
}

// walk calls back for each file whose name ends so, with its path below the root.
// Hidden folders are left out, and what a build leaves.
func (t tree) walk(suffix string, visit func(path string) error) error {
	return filepath.WalkDir(t.root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != t.root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "build"):
			return fs.SkipDir
		case d.IsDir() || !strings.HasSuffix(d.Name(), suffix):
			return nil
		}
		below, err := filepath.Rel(t.root, path)
		if err != nil {
			return err
		}
		return visit(below)
	})
}
