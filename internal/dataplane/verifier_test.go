package dataplane

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"maps"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cilium/ebpf"

	"weir/internal/dataplane/abi"
	"weir/internal/dataplane/attach"
)

// How many instructions the verifier may go through, counted along all paths: of one program,
// where the kernel's own limit is a million (BPF_COMPLEXITY_LIMIT_INSNS,
// include/linux/bpf.h), and of all together, on which the time of a start depends. The
// number is the same on every machine with one kernel. Linux 6.1 needs some 30 % more than
// 6.18, so a program near the limit here is refused there; the guest runs this test, too.
const (
	verifiedMost    = 800_000
	verifiedMostAll = 3_000_000
)

var verifierProfile = flag.String("verifier-profile", "", "show by function how many instructions of this program are verified")

func TestVerifierWork(t *testing.T) {
	spec, tables := verifierSpec(t)
	sum := 0
	for _, name := range slices.Sorted(maps.Keys(spec.Programs)) {
		n := processed(t, verifierLog(t, spec, tables, name, ebpf.LogLevelStats))
		t.Logf("%s: %d instructions", name, n)
		if n > verifiedMost {
			t.Errorf("%s takes the verifier %d instructions, at most %d are allowed; "+
				"-args -verifier-profile %s shows of what: a loop or a function that many paths lead to "+
				"is verified once where it is a global function", name, n, verifiedMost, name)
		}
		sum += n
	}
	t.Logf("all together: %d instructions", sum)
	if sum > verifiedMostAll {
		t.Errorf("the programs take the verifier %d instructions, at most %d are allowed", sum, verifiedMostAll)
	}
	if *verifierProfile != "" {
		showProfile(t, spec, *verifierProfile, verifierLog(t, spec, tables, *verifierProfile, ebpf.LogLevelInstruction))
	}
}

// verifierSpec is the object as it is loaded for a device, and its tables, which are small.
func verifierSpec(t *testing.T) (*ebpf.CollectionSpec, *ebpf.Collection) {
	t.Helper()
	object, err := abi.Load()
	if err != nil {
		t.Fatal(err)
	}
	o, err := Options{Connections: 1 << 10, Services: 64, RealServers: 64, CacheLines: 64}.checked()
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{size(object, o), setSummed(object), setConntrack(object)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	spec, err := attach.SpecFor(object, net.HardwareAddr{2, 0, 0, 0, 0, 1})
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range spec.Maps {
		table.Pinning = ebpf.PinNone
	}
	bare := spec.Copy()
	bare.Programs = nil
	tables, err := ebpf.NewCollection(bare)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tables.Close)
	return spec, tables
}

// verifierLog loads a program and returns what the verifier writes at this level.
func verifierLog(t *testing.T, spec *ebpf.CollectionSpec, tables *ebpf.Collection, name string, level ebpf.LogLevel) string {
	t.Helper()
	one := spec.Copy()
	one.Programs = map[string]*ebpf.ProgramSpec{name: spec.Programs[name]}
	loaded, err := ebpf.NewCollectionWithOptions(one, ebpf.CollectionOptions{
		MapReplacements: tables.Maps,
		Programs:        ebpf.ProgramOptions{LogLevel: level},
	})
	var refused *ebpf.VerifierError
	if errors.As(err, &refused) {
		t.Fatalf("%s: %+v", name, refused)
	}
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	defer loaded.Close()
	return loaded.Programs[name].VerifierLog
}

var (
	processedLine   = regexp.MustCompile(`(?m)^processed (\d+) insns`)
	instructionLine = regexp.MustCompile(`^(\d+): \(`)
)

// processed is how many instructions the verifier has gone through.
func processed(t *testing.T, log string) int {
	t.Helper()
	found := processedLine.FindStringSubmatch(log)
	if found == nil {
		t.Fatalf("the verifier does not say what it has done: %s", log)
	}
	n, err := strconv.Atoi(found[1])
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// showProfile shows a program's functions, with how many of the instructions that the
// verifier has gone through are theirs, most first.
func showProfile(t *testing.T, spec *ebpf.CollectionSpec, name, log string) {
	var names []string
	var begins []int
	at := 0
	for _, i := range spec.Programs[name].Instructions {
		if i.Symbol() != "" {
			names, begins = append(names, i.Symbol()), append(begins, at)
		}
		at += int(i.Size()) / 8 // in the verifier's numbers one of 16 bytes counts twice
	}
	counts := map[string]int{}
	for line := range strings.Lines(log) {
		if found := instructionLine.FindStringSubmatch(line); found != nil {
			n, _ := strconv.Atoi(found[1])
			i, exact := slices.BinarySearch(begins, n)
			if !exact {
				i--
			}
			counts[names[i]]++
		}
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Compare(counts[b], counts[a]) })
	var table strings.Builder
	for _, f := range names {
		fmt.Fprintf(&table, "%8d %s\n", counts[f], f)
	}
	t.Logf("%s by function:\n%s", name, &table)
}
