package dataplane

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"weir/internal/dataplane/abi"
	"weir/internal/dataplane/conn"
	"weir/lvs"
)

// What the tables are said to take is what the kernel charges for them, within a tenth.
func TestNeedIsWhatTheKernelTakes(t *testing.T) {
	for _, o := range []Options{
		{Connections: 1 << 16, Templates: 1 << 14, RealServers: 1 << 10, Services: 1 << 8},
		{Connections: 1 << 12, Templates: 1 << 15, RealServers: 1 << 16, Services: 1 << 12},
		{Connections: 1 << 20, Templates: 1 << 20, RealServers: 1 << 16, Services: 1 << 12},
	} {
		t.Run(fmt.Sprint(o.Connections), func(t *testing.T) {
			withSizes(t, o, func(b *bench) {
				charged := b.charged(t, every)
				if said := b.need.first(); float64(said) < 0.9*float64(charged) || float64(said) > 1.1*float64(charged) {
					t.Errorf("%+v: %d bytes, the kernel charges %d", o, said, charged)
				}
			})
		})
	}
}

// What connections are said to take in the end is what the kernel charges then, within a tenth.
func TestNeedOfManyConnections(t *testing.T) {
	withSizes(t, Options{Connections: 600_000, Templates: 1 << 10, RealServers: 1 << 10, Services: 1 << 8}, func(b *bench) {
		before := b.charged(t, every)
		b.growToTheEnd(t)
		first, last := conn.Bytes(600_000)
		if said, took := last-first, b.charged(t, every)-before; float64(said) < 0.9*float64(took) || float64(said) > 1.1*float64(took) {
			t.Errorf("they take %d bytes more, the kernel charges %d", said, took)
		}
	})
}

// What TableUses says that all tables take now is what the kernel charges for them, within a
// tenth, before connections and templates come, with many templates, and when the tables of
// connections have grown; in the end it is what was said before.
func TestTableUsesAreWhatTheKernelTakes(t *testing.T) {
	const templates = 6000 // more than have expiry entries at first
	withSizes(t, Options{Connections: 600_000, Templates: 1 << 14, RealServers: 1 << 10, Services: 1 << 8}, func(b *bench) {
		b.set(t, persistent(twoServers(lvs.RoundRobin)))
		sum := func() (now, full uint64) {
			for _, u := range b.TableUses() {
				now, full = now+u.Bytes, full+u.Full
			}
			return now, full
		}
		wantCharged := func(when string) {
			t.Helper()
			charged := b.charged(t, every)
			if said, _ := sum(); float64(said) < 0.9*float64(charged) || float64(said) > 1.1*float64(charged) {
				t.Errorf("%s: %d bytes, the kernel charges %d", when, said, charged)
			}
		}
		wantUse := func(want string) {
			t.Helper()
			got := ""
			for _, u := range b.TableUses() {
				got += fmt.Sprintf("%s %d/%d/%d ", u.Name, u.InUse, u.Room, u.Most)
			}
			if got = strings.TrimSpace(got); got != want {
				t.Errorf("in use, room and most are\n%s, want\n%s", got, want)
			}
		}
		ofTemplates := only(abi.BpfMapTemplates, abi.BpfMapTemplateEntries)
		_, said := sum()
		wantUse("connections 0/65536/600000 templates 0/16384/16384 servers 2/1024/1024 services 1/256/256 others 0/0/0")
		wantCharged("at first")

		before, charged := b.conns.TemplateUse().Bytes, b.charged(t, ofTemplates)
		b.clients(t, templates)
		b.sweepTemplates(t)
		b.sweepTemplates(t) // those that got their entries by the first sweep are met by this one
		wantUse("connections 6000/65536/600000 templates 6000/16384/16384 servers 2/1024/1024 services 1/256/256 others 0/0/0")
		took := float64(b.charged(t, ofTemplates) - charged)
		if more := float64(b.conns.TemplateUse().Bytes - before); more < 0.9*took || more > 1.1*took {
			t.Errorf("%d templates take %.0f bytes more, the kernel charges %.0f", templates, more, took)
		}
		wantCharged("with templates")

		b.growToTheEnd(t)
		wantUse("connections 6000/600000/600000 templates 6000/16384/16384 servers 2/1024/1024 services 1/256/256 others 0/0/0")
		wantCharged("in the end")
		if now, full := sum(); full != said || now > full {
			t.Errorf("in the end they take %d of %d bytes, and %d were said before", now, full, said)
		}
	})
}

// What docs/api.md says of the memory of one connection is what the entries of now take, and what
// the kernel charges for a million of them.
func TestBytesOfAConnectionAreDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	said := map[string]float64{}
	for _, row := range regexp.MustCompile(`(?m)^\| (.*) \| (\d+) \|$`).FindAllStringSubmatch(string(page), -1) {
		said[row[1]], _ = strconv.ParseFloat(row[2], 64)
	}
	const slot, index, cache = "its slot", "its part of the index", "its lines in the flow caches of all CPUs, at most"
	const room = 1 << 20
	withSizes(t, Options{Connections: room, Templates: 1 << 10, RealServers: 1 << 10, Services: 1 << 8}, func(b *bench) {
		b.growToTheEnd(t)
		near := func(what string, got, want float64) {
			t.Helper()
			if got < want-1 || got > want+1 {
				t.Errorf("%s takes %.1f bytes a connection, docs/api.md says %.0f", what, got, want)
			}
		}
		near("two lines", 2*float64(unsafe.Sizeof(abi.BpfFlowLine{})), said[cache])
		near("a slot", float64(b.charged(t, only(abi.BpfMapConnSlots)))/room, said[slot])
		near("its part of the index", float64(b.charged(t, only(abi.BpfMapConnIndex)))/room, said[index])
		if got := float64(b.charged(t, only(abi.BpfMapFlowChunks))) / room; got > said[cache]+1 || got < said[cache]/2 {
			t.Errorf("the flow cache takes %.1f bytes a connection, docs/api.md says %.0f at most", got, said[cache])
		}
	})
	if got := said[slot] + said[index] + said[cache]; got != said["a connection"] {
		t.Errorf("the parts are %.0f bytes, docs/api.md says %.0f in all", got, said["a connection"])
	}
}

// Which tables charged is to look at.
func every(string) bool { return true }

func only(names ...string) func(string) bool {
	return func(name string) bool { return slices.Contains(names, name) }
}

// charged is what the kernel charges for those tables whose names are meant, in bytes.
func (b *bench) charged(t testing.TB, meant func(name string) bool) (bytes uint64) {
	t.Helper()
	charge := func(name string, m *ebpf.Map) {
		info, err := m.Info()
		if err != nil {
			t.Fatal(name, err)
		}
		n, _ := info.Memlock()
		bytes += n
	}
	for name, m := range b.maps.ByName() {
		if !meant(name) {
			continue
		}
		charge(name, m)
		if m.Type() != ebpf.ArrayOfMaps {
			continue
		}
		for at := range m.MaxEntries() {
			var inner *ebpf.Map
			if err := m.Lookup(at, &inner); err == nil {
				charge(name, inner)
				inner.Close()
			}
		}
	}
	return bytes
}

// Which errors are about memory, and what they say: the sizes that there are, and smaller
// ones that fit into the limit.
func TestErrorsAboutMemoryNameTheTables(t *testing.T) {
	n := need{
		options:     Options{Connections: 1 << 20, Templates: 1 << 18, RealServers: 1 << 16, Services: 1 << 12},
		connections: part{full: 400 << 20}, templates: part{full: 32 << 20}, servers: part{full: 14 << 20}, services: part{full: 1 << 20}, rest: part{full: 8 << 20},
		process: besides,
	}
	for limit, want := range map[uint64]string{
		0:         "connections 262144 templates 65536 servers 65536 services 4096 } } take some 131 MiB",
		300 << 20: "connections 524288 templates 131072 servers 65536 services 4096 } } take some 239 MiB",
		128 << 20: "connections 131072 templates 32768 servers 65536 services 4096 } } take some 77 MiB",
		1 << 20:   "connections 1024 templates 1024 servers 65536 services 4096 } } take some 24 MiB",
	} {
		if got := n.remedy(limit); !strings.HasSuffix(got, "weir { tables { "+want) {
			t.Errorf("with %s: %s, want %s", mib(limit), got, want)
		}
	}
	many := n
	many.process += 40_000 * perServer // the tables fit into 512 MiB, and the process beside them does not
	if got, want := many.remedy(512<<20), "connections 524288 templates 131072 servers 65536 services 4096 } } take some 239 MiB"; !strings.HasSuffix(got, want) {
		t.Errorf("with many servers: %s, want %s", got, want)
	}
	for errno, told := range map[unix.Errno]bool{unix.ENOMEM: true, unix.E2BIG: true, unix.EPERM: false, unix.EINVAL: false} {
		err := n.explain(fmt.Errorf("map create: %w", errno))
		if !errors.Is(err, errno) || strings.Contains(err.Error(), "weir { tables { ") != told ||
			strings.Contains(err.Error(), "(connections 1048576: 400 MiB, templates 262144: 32 MiB, servers 65536: 14 MiB, services 4096: 1 MiB)") != told {
			t.Errorf("%v became %v", errno, err)
		}
	}
}

// openWith is set in a process that the test below starts in a control group of its own, whose
// data plane is pinned at limitedPins.
const (
	openWith    = "WEIR_TEST_OPEN_WITH_CONNECTIONS"
	limitedPins = "/sys/fs/bpf/weirt-limited-memory"
)

// In a control group whose limit the default tables do not fit into once they are full, the data
// plane warns and says what to write, and starts; its tables do not grow beyond the limit. Of the
// size that it names they do.
func TestLimitedMemory(t *testing.T) {
	if text := os.Getenv(openWith); text != "" {
		openLimited(t, text)
		return
	}
	out, killed := inMemoryGroup(t, 256<<20, "0")
	sizes := regexp.MustCompile(`weir \{ tables \{ connections (\d+) templates`).FindStringSubmatch(out)
	if sizes == nil || killed || !strings.Contains(out, "it is open") ||
		!strings.Contains(out, `level=WARN msg="the limit of memory is too low for as many connections and templates as the tables are to hold" limit="256 MiB"`) ||
		!regexp.MustCompile(`it does not grow: \d+ MiB are needed, and \d+ MiB of 256 MiB are free \(the limit of control group .*/weir-test-memory\)`).MatchString(out) {
		t.Fatalf("it says\n%s", out)
	}
	if out, killed := inMemoryGroup(t, 256<<20, sizes[1]); killed || !strings.Contains(out, "it has grown") || strings.Contains(out, "level=WARN") {
		t.Errorf("with connections %s it says\n%s", sizes[1], out)
	}
}

// openLimited opens the data plane with so many connections, and tells how that went.
func openLimited(t *testing.T, connections string) {
	n, err := strconv.Atoi(connections)
	if err != nil {
		t.Fatal(err)
	}
	o := Options{PinDir: limitedPins, Connections: n, Templates: n / 4, Log: slog.New(slog.NewTextHandler(os.Stdout, nil))}
	plane, err := Open(o)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("it is open")
	for grown := true; grown && err == nil; {
		grown, err = plane.conns.Grow()
	}
	if err != nil {
		fmt.Println("it does not grow:", err)
	} else {
		fmt.Println("it has grown")
	}
	if err := plane.Remove(); err != nil {
		t.Error(err)
	}
}

// inMemoryGroup runs this test in a control group with a limit of memory, and returns what
// was printed, and whether the kernel has ended it for its memory.
func inMemoryGroup(t *testing.T, limit int, connections string) (printed string, killed bool) {
	root, file := "/sys/fs/cgroup/memory", "memory.limit_in_bytes"
	if _, err := os.Stat("/sys/fs/cgroup/cgroup.controllers"); err == nil {
		root, file = "/sys/fs/cgroup", "memory.max"
	}
	group := filepath.Join(root, "weir-test-memory")
	if err := os.Mkdir(group, 0o755); err != nil {
		t.Fatal(err)
	}
	defer func() { // the kernel takes a moment to let the last process's memory go
		for end := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
			if err := unix.Rmdir(group); err == nil || time.Now().After(end) {
				if err != nil {
					t.Error(err)
				}
				return
			}
		}
	}()
	if err := os.WriteFile(filepath.Join(group, file), []byte(strconv.Itoa(limit)), 0o644); err != nil {
		t.Fatal(err)
	}
	c := exec.Command("sh", "-c", `echo $$ > "$0/cgroup.procs" && exec "$@"`, group, os.Args[0], "-test.run", "^TestLimitedMemory$")
	c.Env = append(os.Environ(), openWith+"="+connections)
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	err := c.Run()
	if killed = err != nil && c.ProcessState != nil && c.ProcessState.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL; err != nil && !killed {
		t.Fatalf("%v\n%s", err, &out)
	}
	return out.String(), killed
}
