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

// cases are what networks, operators and neighbours do to weir, what is right then, and the
// tests that hold weir to it, each by its package's folder and its name.
var cases = []struct {
	name, right string
	tests       []string
}{
	// People's networks.
	{"address-changes", "an instance whose address goes or changes is where a new start would put it; nothing stays master that cannot send",
		[]string{"test/interop TestAddressChanges", "internal/director TestAddressesComeAndGo", "test/surround TestConvergence"}},
	{"firewall", "weir says what of the machine's rules its packets pass over, and has rules of its own; fail2ban can set them",
		[]string{"test/cluster TestFirewallAndRules", "test/cluster TestFail2banAction", "internal/netlnk TestFirewallChains", "internal/dataplane TestDenyAndAllow"}},
	{"icmp-checksum", "what weir writes has a right checksum, whoever finishes those of the packet it is about",
		[]string{"internal/dataplane TestErrorsAboutHalfFinishedPackets", "test/traffic TestChecksumOffloads", "test/vm TestDevices"}},
	{"ipv6-vip-source", "a VIP is the source neither of checks nor of advertisements",
		[]string{"test/cluster TestIPv6VIPIsNoSource", "internal/director/ha TestSourceIsNoVIP"}},
	{"many-vips", "announcing 2,000 VIPs holds no advertisement up",
		[]string{"test/cluster TestManyVIPs", "internal/director/ha TestManyVIPsCostNoAdvertisement"}},
	{"memory", "an error about memory names the tables, what they take and what to write",
		[]string{"internal/dataplane TestLimitedMemory", "internal/dataplane TestErrorsAboutMemoryNameTheTables"}},
	{"network-restart", "an interface that goes down and comes back is used again, and only one director is master",
		[]string{"test/interop TestNetworkRestart", "test/surround TestConvergence"}},
	{"no-address-at-start", "an instance whose interface has no address is in FAULT until it has one",
		[]string{"test/interop TestNoAddressAtStart", "test/interop TestInterfaceComesLater"}},
	{"no-ethernet", "clients and servers behind devices without Ethernet are served",
		[]string{"test/traffic TestTrafficWithoutEthernet", "internal/netlnk TestResolveWithoutEthernet", "test/vm TestDevices"}},
	{"one-mac", "where all frames carry one Ethernet address no client is refused",
		[]string{"test/cluster TestOneEthernetAddressForAllMachines", "internal/dataplane TestOneEthernetAddressForAll"}},
	{"open-files", "a director without files for its checks takes no server out, and raises its limit to what it needs",
		[]string{"test/cluster TestOutOfFilesTakesNoServerOut", "test/cluster TestFewFilesTakeNoGoodServerOut"}},
	{"other-interface", "clients reach a VIP by whichever device they come",
		[]string{"test/traffic TestTrafficByOtherDevices", "internal/dataplane TestEverywhere"}},
	{"route-moves", "a server is sent to by the route that leads to it now",
		[]string{"test/surround TestRouteMoves", "test/surround TestConvergence"}},
	{"snat-gateway", "what the kernel's connection tracking knows goes there, beside a service of all ports",
		[]string{"test/cluster TestServersBehindSNAT"}},
	{"standby-as-client", "a standby, and whom it routes for, are clients like any other",
		[]string{"test/cluster TestStandbyAsClient", "test/cluster TestDirectorAsGateway", "internal/dataplane TestClientsBehindAnotherDirector"}},
	{"two-nics", "a frame is redirected only to a device that sends it, or else takes tc, whatever the cards",
		[]string{"test/vm TestDevices", "internal/netlnk TestXDPSends"}},
	{"vip-device-down", "an instance whose VIP's device loses its carrier is in FAULT, and the other director serves",
		[]string{"test/interop TestVIPDeviceDown", "internal/director TestDeviceOfAVIPGoesDown"}},
	// The process, its files and limits, and its neighbours.
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

// TestCases holds that the tests of the table exist.
func TestCases(t *testing.T) {
	byFolder := map[string]map[string]bool{}
	for _, c := range cases {
		if c.right == "" || len(c.tests) == 0 {
			t.Errorf("%s: nothing says what is right, or nothing tests it", c.name)
		}
		for _, test := range c.tests {
			folder, name, _ := strings.Cut(test, " ")
			if byFolder[folder] == nil {
				byFolder[folder] = testsOf(t, folder)
			}
			if !byFolder[folder][name] {
				t.Errorf("%s: there is no test %s in %s", c.name, name, folder)
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
