package weir

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// abuses are what operators and neighbours do to weir, what is right then, and the tests that
// hold weir to it, each by its package's folder and its name.
var abuses = []struct {
	name, right string
	tests       []string
}{
	{"director-mac", "an advertisement with a client's Ethernet address bans nobody; what is learned of directors is bounded and expires",
		[]string{"internal/director/ha TestForgedDirectors", "internal/director/ha TestLowerDirector", "test/cluster TestHostileNeighbour"}},
	{"fifo-reload", "a FIFO as configuration is refused, and is in the way of no plan, no reload and no SIGTERM",
		[]string{"test/cluster TestConfigurationThatIsAFIFO", "conf TestIncludeNoFile", "internal/api TestFileThatIsNotRegular"}},
	{"memory-limit", "what cannot be had is named, with the tables that need it and the remedy",
		[]string{"internal/dataplane TestLimitedMemory", "internal/dataplane TestErrorsAboutMemoryNameTheTables", "cmd/weir TestNeeds"}},
	{"reload-stdin", "what the caller pipes is what weir takes up; a file that asks for nothing is refused",
		[]string{"test/cluster TestReloadReadsWhatTheCallerMeant", "cmd/weir TestGiven", "cmd/weir TestGivenHasBounds", "internal/api TestFileThatAsksForNothing"}},
	{"remove-services", "removing is as fast as adding, and no lease, no verdict and no question waits for it",
		[]string{"internal/dataplane TestRemovingManyServices", "internal/director TestLargeReloadsHoldNothingUp", "internal/director/setter TestLargeChange", "test/cluster TestRemovingHoldsNothingUp"}},
	{"restart-streams", "a planned restart loses no connection, by each forward method",
		[]string{"test/cluster TestRestartUnderLoad", "test/cluster TestRestartOfADirectorWithoutVRRP", "test/cluster TestStartThatIsToldToEnd"}},
	{"same-pin-dir", "a second weir is refused before it touches anything, and is told who is there",
		[]string{"cmd/weir TestRunRefusesASecondProcess", "internal/dataplane TestDataPlaneWithOtherPins"}},
	{"sigpipe", "a log whose reader has ended, or that nobody empties, ends and hangs nothing",
		[]string{"test/cluster TestLogWithoutAReader", "test/cluster TestSignalsOfOtherPrograms"}},
	{"unicast-stranger", "where the file asks for it, an advertisement of a stranger or from too far away changes nothing",
		[]string{"vrrp TestCheck", "vrrp TestLinkForeign", "vrrp TestHostilePackets"}},
	{"vrrp-backlog", "a burst of advertisements of low priority delays neither the answer to a higher one nor an advertisement",
		[]string{"vrrp TestStormOfAdverts", "test/cluster TestHostileNeighbour"}},
}

// TestAbuses holds that the tests of the table exist.
func TestAbuses(t *testing.T) {
	byFolder := map[string]map[string]bool{}
	for _, a := range abuses {
		if a.right == "" || len(a.tests) == 0 {
			t.Errorf("%s: nothing says what is right, or nothing tests it", a.name)
		}
		for _, test := range a.tests {
			folder, name, _ := strings.Cut(test, " ")
			if byFolder[folder] == nil {
				byFolder[folder] = testsOf(t, folder)
			}
			if !byFolder[folder][name] {
				t.Errorf("%s: there is no test %s in %s", a.name, name, folder)
			}
		}
	}
}

// testsOf are the names of the tests in a package's folder.
func testsOf(t *testing.T, folder string) map[string]bool {
	files, err := filepath.Glob(filepath.Join(folder, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, text, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && strings.HasPrefix(f.Name.Name, "Test") {
				names[f.Name.Name] = true
			}
		}
	}
	return names
}
