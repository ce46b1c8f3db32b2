package dataplane

import (
	"log/slog"
	"strings"
	"testing"

	"weir/test/conformance"
)

// A restart of the process before each edit changes nothing of what the real IPVS did: what
// was removed before it keeps its connections and counts, and has them when it comes back.
func TestGoldenAcrossRestarts(t *testing.T) {
	scenarios, err := conformance.Load("../../test/conformance/testdata/scenarios")
	if err != nil {
		t.Fatal(err)
	}
	planes := goldenPlanes(t)
	for _, s := range scenarios {
		if !strings.HasPrefix(s.Name, "conn-") && !strings.HasPrefix(s.Name, "persist-delete") && !strings.HasPrefix(s.Name, "fwmark-") {
			continue
		}
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			b := <-planes
			defer func() { planes <- b }()
			b.ns.Do(func() {
				b.anew(t)
				p := &player{bench: b, t: t, compare: compareInOrder}
				for _, step := range s.Steps {
					if words := step.Words; words[0] == "ipvsadm" && strings.Contains("-A -a -E -e -d -D -C", words[1]) {
						b.restart(t)
						b.set(t, p.table.Plan())
					}
					p.step = step
					p.play()
				}
			})
		})
	}
}

// restart has another process of the same sizes take the tables up, after a sweep.
func (b *bench) restart(t *testing.T) {
	t.Helper()
	o := Options{PinDir: b.pinDir, Connections: b.room(), RealServers: int(b.maps.Servers.MaxEntries()), Log: slog.New(slog.DiscardHandler)}
	if err := b.conns.Sweep(true); err != nil {
		t.Fatal(err)
	}
	next, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Plane.Close(); err != nil {
		t.Fatal(err)
	}
	b.Plane = next
}

// A server that is reached by another method now: its connections of before stay with theirs.
// The kernel sends those by direct routing by the route of the others, to nobody
// (docs/differences.md).
func TestEditOfTheMethod(t *testing.T) {
	for _, tt := range []struct{ from, to, listed string }{{"-m", "-g", "Route"}, {"-g", "-i", "Tunnel"}} {
		t.Run(tt.from+" "+tt.to, func(t *testing.T) {
			steps, err := conformance.Parse(strings.NewReplacer("FROM", tt.from, "TO", tt.to, "LISTED", tt.listed).Replace(`$ ipvsadm -A -t 10.0.1.100:80 -s rr
$ ipvsadm -a -t 10.0.1.100:80 -r 10.0.2.1:80 FROM
$ tcp 2 hold
10.9.0.1:20001 -> 10.0.1.100:80 rs1 rs1
$ ipvsadm -e -t 10.0.1.100:80 -r 10.0.2.1:80 TO
$ echo
1:rs1 2:rs1
$ tcp 2 hold
10.9.0.1:20003 -> 10.0.1.100:80 rs1 rs1
$ echo
1:rs1 2:rs1 3:rs1 4:rs1
$ ipvsadm -Ln
TCP  10.0.1.100:80 rr
  -> 10.0.2.1:80                  LISTED   1      4          0
`))
			if err != nil {
				t.Fatal(err)
			}
			playOn(t, goldenPlanes(t), conformance.Scenario{Steps: steps})
		})
	}
}
