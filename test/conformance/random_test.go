package conformance_test

import (
	"maps"
	"regexp"
	"strings"
	"testing"

	"weir/test/conformance"
)

// With every seed, the commands are valid in their order, but for those that are to be
// refused, and the same seed gives the same scenarios.
func TestRandom(t *testing.T) {
	for number := range uint64(500) {
		text := conformance.Random(7, number)
		if text != conformance.Random(7, number) {
			t.Fatalf("scenario %d is not always the same", number)
		}
		steps, err := conformance.Parse(text)
		if err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		lines := strings.Split(text, "\n")
		var table conformance.Table
		admin := func(words []string) {
			if err := table.Admin(words[1:]); err != nil {
				t.Fatalf("%v: %v in\n%s", words, err, text)
			}
		}
		for _, s := range steps {
			refused := s.Line > 1 && lines[s.Line-2] == "# refused:"
			switch {
			case s.Words[0] == "save":
				table.Save()
			case s.Words[0] == "restore":
				table.Restore()
			case s.Words[0] == "ipvsadm" && s.Words[1] != "-Ln" && !refused:
				admin(s.Words)
			}
			for _, words := range s.Meanwhile() {
				admin(words)
			}
		}
	}
}

// Everything that the generator can make occurs in 300 scenarios.
func TestCoverage(t *testing.T) {
	counts, table := conformance.Coverage(7, 300)
	t.Logf("in 300 scenarios of seed 7:\n%s", table)
	for _, f := range conformance.Features() {
		if counts[f.Name] == 0 {
			t.Errorf("%s never occurs", f.Name)
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

// No server that may have connections comes to direct routing or leaves it, by an edit or by
// its return: the kernel sends connections by direct routing to nobody then.
func TestRandomKeepsToDirectRouting(t *testing.T) {
	edited := 0
	for number := range uint64(2000) {
		text := conformance.Random(53, number)
		methods, there, used := map[string]string{}, map[string]bool{}, map[string]bool{} // by service and server
		var saved map[string]bool
		for line := range strings.Lines(text) {
			words := strings.Fields(line)
			switch {
			case len(words) < 2 || strings.HasPrefix(line, "$ tcp 1 to 10.0.1.100:8080"): // which is for no service
			case words[1] == "save":
				saved = maps.Clone(there)
			case line == "$ ipvsadm -C\n":
				there = map[string]bool{}
			case words[1] == "restore":
				there = saved
			case words[1] == "tcp" || words[1] == "udp" || words[1] == "syn":
				maps.Copy(used, there)
			case strings.HasPrefix(line, "$ ipvsadm -d ") || strings.HasPrefix(line, "$ ipvsadm -D "):
				gone := strings.ReplaceAll(strings.TrimSpace(line[len("$ ipvsadm -d "):]), " -r ", " ")
				maps.DeleteFunc(there, func(server string, _ bool) bool { return strings.HasPrefix(server+" ", gone+" ") })
			}
			for _, m := range ofServer.FindAllStringSubmatch(line, -1) {
				server := m[1] + " " + m[2]
				was := methods[server]
				methods[server], there[server] = m[3], true
				if was == m[3] || was == "" || !used[server] {
					continue
				}
				if edited++; was == "-g" || m[3] == "-g" {
					t.Fatalf("%s goes from %s to %s in\n%s", server, was, m[3], text)
				}
			}
		}
	}
	if edited == 0 {
		t.Error("no server with connections has got another method")
	}
}

var ofServer = regexp.MustCompile(`ipvsadm -[ae] (.*?) -r ([^ ]+) (-[mgi])`)
