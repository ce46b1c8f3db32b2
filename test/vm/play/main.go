// Command play plays scenarios in the guest, each against the kernel's IPVS, controlled by
// the real ipvsadm, and against weir's data plane. Where they differ it prints both
// transcripts, and exits with status 1.
//
//	play -seed N -n COUNT     plays COUNT random scenarios
//	play FILE...              plays these files
//	play -record FILE         prints the file with what IPVS does
package main

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	"weir/test/conformance"
)

func main() {
	if len(os.Args) == 3 && os.Args[1] == "director" { // started by startWeir
		exit(direct(os.Args[2]))
		return
	}
	seed := flag.Uint64("seed", 1, "seed of the random scenarios")
	n := flag.Uint64("n", 0, "how many of them")
	first := flag.Uint64("first", 0, "number of the first one")
	record := flag.Bool("record", false, "print what IPVS does, compare nothing")
	flag.Parse()
	var all []scenario
	for i := range *n {
		all = append(all, scenario{fmt.Sprintf("seed %d, scenario %d", *seed, *first+i), conformance.Random(*seed, *first+i)})
	}
	for _, path := range flag.Args() {
		text, err := os.ReadFile(path)
		if err != nil {
			exit(err)
		}
		all = append(all, scenario{path, string(text)})
	}
	exit(playAll(all, *record))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "play:", err)
		os.Exit(1)
	}
}

type scenario struct{ name, text string }

func playAll(all []scenario, record bool) error {
	began := time.Now()
	if err := makeNet(); err != nil {
		return err
	}
	servers, err := serve()
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "the network is there after %.1f s\n", time.Since(began).Seconds())
	if record {
		return servers.recordAll(all, began)
	}
	differ := 0
	for i, s := range all {
		if i%20 == 19 {
			fmt.Printf("%d scenarios, %d differ so far, %.1f s\n", i, differ, time.Since(began).Seconds())
		}
		at := time.Now()
		differences, err := servers.compare(i, s)
		if err != nil {
			return err
		}
		if took := time.Since(at); took > 30*time.Second {
			fmt.Printf("%s took %.0f s\n", s.name, took.Seconds())
		}
		if differences != "" {
			differ++
			fmt.Printf("DIFFERENT: %s\n%s", s.name, differences)
		}
	}
	fmt.Printf("%d scenarios, %d differ, %.1f s\n", len(all), differ, time.Since(began).Seconds())
	if differ > 0 {
		return fmt.Errorf("%d of %d scenarios differ", differ, len(all))
	}
	return nil
}

// recordAll prints scenarios with what IPVS does.
func (s *servers) recordAll(all []scenario, began time.Time) error {
	for i, one := range all {
		if err := s.record(i, one); err != nil {
			return err
		}
		if i%20 == 19 {
			fmt.Fprintf(os.Stderr, "%d scenarios, %.1f s\n", i+1, time.Since(began).Seconds())
		}
	}
	return nil
}

// record prints a scenario with what IPVS does twice in a row, where the machine was not too
// slow for that to count. It says so if there was no such outcome.
func (s *servers) record(i int, of scenario) error {
	before, last := "", ""
	for try := range 4 {
		began := time.Now()
		ipvs, err := s.play(fmt.Sprintf("ipvs%d-%d", i, try), of.text, startIPVS)
		if err != nil {
			return fmt.Errorf("%s against IPVS: %w\n%s", of.name, err, of.text)
		}
		last = ipvs
		if time.Since(began) < fair(of.text) {
			if same, err := agree(before, ipvs); same || err != nil {
				fmt.Print(ipvs)
				return err
			}
			before = ipvs
		}
	}
	fmt.Printf("%s\n%s", conformance.TooSlow, last)
	return nil
}

// agree says whether two transcripts of IPVS have the same outcome.
func agree(before, ipvs string) (bool, error) {
	if before == "" {
		return false, nil
	}
	differences, err := conformance.Compare(before, ipvs)
	return differences == "", err
}

// fair is how long a scenario may take for its outcome to count: after that its connections,
// whose timeouts are one and two minutes, may expire. Those of scenarios with short timeouts,
// and those that were reset, expire sooner.
func fair(text string) time.Duration {
	switch {
	case strings.Contains(text, "$ sleep"):
		return 24 * time.Second
	case strings.Contains(text, "rst\n"), strings.Contains(text, "$ reset"):
		return 9 * time.Second
	}
	return 50 * time.Second
}

// compare plays a scenario against both, and returns how they differ. Where the machine was
// too slow, or IPVS itself does something else the next time, it tries again.
func (s *servers) compare(i int, of scenario) (differences string, err error) {
	before := ""
	for try := 0; ; try++ {
		began := time.Now()
		ipvs, err := s.play(fmt.Sprintf("ipvs%d-%d", i, try), of.text, startIPVS)
		if err != nil {
			return "", fmt.Errorf("%s against IPVS: %w\n%s", of.name, err, of.text)
		}
		took := time.Since(began)
		weir, err := s.play(fmt.Sprintf("weir%d-%d", i, try), of.text, startWeir)
		if err != nil {
			return "", fmt.Errorf("%s against weir: %w\n%s", of.name, err, of.text)
		}
		took = max(took, time.Since(began)-took)
		differences, err := conformance.Compare(ipvs, weir)
		if err != nil {
			return "", fmt.Errorf("%s: %w", of.name, err)
		}
		again, err := agree(before, ipvs)
		if err != nil {
			return "", fmt.Errorf("%s: %w", of.name, err)
		}
		if differences == "" || again && took < fair(of.text) || try == 3 {
			return told(differences, ipvs, weir), nil
		}
		fmt.Printf("%s took %.0f s and differs: once more\n", of.name, took.Seconds())
		before = ipvs
	}
}

func told(differences, ipvs, weir string) string {
	if differences == "" {
		return ""
	}
	return fmt.Sprintf("%s--- IPVS:\n%s--- weir:\n%s---\n", differences, ipvs, weir)
}
