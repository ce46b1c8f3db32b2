// Command stories tells stories of real servers that come and go to the real keepalived and to
// weir's pools and notifier, side by side in the guest. After each step it compares keepalived's IPVS table with weir's and with what the story says; at the end it
// tells where the two have run other programs. It prints a line for each story, and exits with 1
// where a table differs.
//
//	stories [-short] [NAME...]
package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
)

func main() {
	few := flag.Bool("short", false, "five stories alone")
	flag.Parse()
	failed := 0
	for n, s := range stories {
		if *few && n >= 5 {
			break
		}
		if flag.NArg() > 0 && !slices.Contains(flag.Args(), s.name) {
			continue
		}
		if err := tell(s); err != nil {
			fmt.Printf("FAIL %s: %v\n", s.name, err)
			failed++
			continue
		}
		fmt.Printf("ok %s\n", s.name)
	}
	if failed > 0 {
		os.Exit(1)
	}
}

// run runs a line of shell.
func run(line string) (string, error) {
	out, err := exec.Command("bash", "-c", line).CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("%s: %w\n%s", line, err, out)
	}
	return string(out), nil
}

// director is one of the two that are told a story.
type director struct {
	name, dir string
	table     func() (string, error)
	end       func()
}

// prepare makes a director's folder, with its configuration and what is up at the start.
func prepare(name string, s story) (*director, error) {
	d := &director{name: name, dir: "/tmp/" + name}
	if _, err := run(fmt.Sprintf(`rm -rf %[1]s; mkdir -p %[1]s/up; : >%[1]s/told`, d.dir)); err != nil {
		return nil, err
	}
	d.change(s.steps[0].change)
	return d, os.WriteFile(d.dir+"/conf", []byte(strings.ReplaceAll(s.conf(), "DIR", d.dir)), 0o600)
}

// change has checks pass ("+11") and fail ("-11").
func (d *director) change(words string) {
	for _, word := range strings.Fields(words) {
		path := d.dir + "/up/" + word[1:]
		if word[0] == '+' {
			os.WriteFile(path, nil, 0o600)
		} else {
			os.Remove(path)
		}
	}
}

// startKeepalived begins the real keepalived.
func (d *director) startKeepalived() error {
	log, err := os.Create(d.dir + "/log")
	if err != nil {
		return err
	}
	cmd := exec.Command("keepalived", "-C", "-n", "-l", "-D", "-f", d.dir+"/conf", "-p", d.dir+"/pid", "-c", d.dir+"/cpid")
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return err
	}
	d.table = ipvsTable
	d.end = func() {
		cmd.Process.Signal(os.Interrupt)
		cmd.Wait()
		time.Sleep(500 * time.Millisecond) // what its programs still write
	}
	return nil
}

// told lists the programs that a director has run, those of each subject in their order.
func (d *director) told() string {
	text, _ := os.ReadFile(d.dir + "/told")
	lines := strings.Fields(string(text))
	slices.SortStableFunc(lines, func(a, b string) int { return strings.Compare(subject(a), subject(b)) })
	return strings.Join(lines, " ")
}

// subject is "q" in "q+", and "1" in "1-".
func subject(word string) string { return word[:len(word)-1] }

func tell(s story) error {
	keepalived, err := prepare("keepalived", s)
	if err != nil {
		return err
	}
	if err := keepalived.startKeepalived(); err != nil {
		return err
	}
	weir, err := prepare("weir", s)
	if err == nil {
		err = weir.startWeir()
	}
	if err != nil {
		keepalived.end()
		return err
	}
	err = play(s, []*director{keepalived, weir})
	keepalived.end()
	weir.end()
	if err != nil {
		return err
	}
	if k, w := keepalived.told(), weir.told(); k != w {
		fmt.Printf("programs of %s: keepalived has run %q, weir %q\n", s.name, k, w)
	}
	return nil
}

// within is how long both have for a step.
const within = time.Minute

// play goes through the steps.
func play(s story, both []*director) error {
	for n, step := range s.steps {
		for _, d := range both {
			d.change(step.change)
		}
		for _, d := range both {
			got, err := "", error(nil)
			for deadline := time.Now().Add(within); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
				if got, err = d.table(); err == nil && got == step.want {
					break
				}
			}
			if err != nil || got != step.want {
				log, _ := os.ReadFile(d.dir + "/log")
				return fmt.Errorf("step %d (%s): %s has %q, want %q (%v)\n%s", n+1, step.change, d.name, got, step.want, err, log)
			}
		}
		time.Sleep(1500 * time.Millisecond) // it stays so through one more round of checks
		for _, d := range both {
			if got, err := d.table(); err != nil || got != step.want {
				return fmt.Errorf("step %d (%s): %s had %q, and now has %q (%v)", n+1, step.change, d.name, step.want, got, err)
			}
		}
	}
	return nil
}

// ipvsTable is the servers of keepalived's IPVS table with their weights, by address.
func ipvsTable() (string, error) {
	out, err := run("ipvsadm -Ln")
	if err != nil {
		return "", err
	}
	if !strings.Contains(out, "10.0.0.1:80") {
		return "", fmt.Errorf("there is no service: %s", out)
	}
	var all []string
	for _, line := range strings.Split(out, "\n") {
		if f := strings.Fields(line); len(f) >= 4 && f[0] == "->" && f[1] != "RemoteAddress:Port" {
			all = append(all, f[1]+"="+f[3])
		}
	}
	slices.Sort(all)
	return short(all), nil
}

// short leaves out what all addresses have.
func short(servers []string) string {
	return strings.NewReplacer("10.0.0.", "", ":80", "").Replace(strings.Join(servers, " "))
}
