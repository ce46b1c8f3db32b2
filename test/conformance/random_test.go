package conformance_test

import (
	"maps"
	"strings"
	"testing"

	"weir/test/conformance"
)

// With every seed, the commands are valid in their order, every scheduler and kind of service
// occurs, and the same seed gives the same scenarios.
func TestRandom(t *testing.T) {
	var all strings.Builder
	for number := range uint64(500) {
		text := conformance.Random(7, number)
		if text != conformance.Random(7, number) {
			t.Fatalf("scenario %d is not always the same", number)
		}
		all.WriteString(text)
		steps, err := conformance.Parse(text)
		if err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		var table conformance.Table
		for _, s := range steps {
			if s.Words[0] != "ipvsadm" || s.Words[1] == "-Ln" {
				continue
			}
			if err := table.Admin(s.Words[1:]); err != nil {
				t.Fatalf("line %d: %v in\n%s", s.Line, err, text)
			}
		}
	}
	for _, scheduler := range append([]string{"twos"}, conformance.Schedulers...) {
		if !strings.Contains(all.String(), " -s "+scheduler) {
			t.Errorf("no service has %s", scheduler)
		}
	}
	for _, word := range []string{" -p 300", " -M 255", " -M 126", " -o", "-fallback", "-port", " -g", " -m", " -x ", " -y ", " -w 0",
		"\n$ echo", "\n$ close", "\n$ mark", " -D ", " -d ", " -e ", " -E ", " hold", " same", "[fd00:1::100]", "sysctl"} {
		if !strings.Contains(all.String(), word) {
			t.Errorf("%q never occurs", word)
		}
	}
}

// No server comes back whose connections may have been closed while it was removed: packets
// that their clients' kernels repeat would come before or after the listing.
func TestRandomDependsOnNoMoment(t *testing.T) {
	for number := range uint64(2000) {
		text := conformance.Random(47, number)
		left, shut := map[string]bool{}, map[string]bool{}
		there := map[string][]string{} // servers by service
		for line := range strings.Lines(text) {
			verb, rest, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "$ ipvsadm "), " ")
			service, at, _ := strings.Cut(rest, " -r ")
			at, _, _ = strings.Cut(at, " ")
			server := service + " " + at
			switch {
			case strings.HasPrefix(line, "$ close"):
				maps.Copy(shut, left)
			case verb == "-a":
				if shut[server] {
					t.Fatalf("%s comes back in\n%s", server, text)
				}
				there[service] = append(there[service], server)
			case verb == "-d":
				left[server] = true
			case verb == "-D":
				for _, server := range there[service] {
					left[server] = true
				}
			}
		}
	}
}
