// Command stories tells stories of real servers that come and go to the real keepalived and to
// weir's pools and notifier, side by side in the guest. After each step it compares the IPVS table
// of keepalived with weir's and with what the story says, the lines in their FIFOs, and the programs
// that they have run. It prints a line for each story, and exits with 1 where one differs. A story
// that the machine was too slow for, again and again, is "slow", which is no verdict.
//
//	stories [-short] [-times] [NAME...]
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// sideBySide is how many stories are told at once: they wait most of the time.
const sideBySide = 4

// longest is how long a story may take, twice told: it ends with the stacks of its goroutines then.
const longest = 8 * time.Minute

// slow is the exit status of a story that the machine was too slow for.
const slow = 3

func main() {
	few := flag.Bool("short", false, "the short stories alone")
	times := flag.Bool("times", false, "hold the times of both to each other, too")
	alone := flag.Int("alone", -1, "tell the story of this number, in its namespaces")
	flag.Parse()
	if *alone >= 0 {
		exit(tellAlone(stories[*alone], place(*alone), *times))
	}
	var chosen []int
	for n, s := range stories {
		if (!*few || s.short) && (flag.NArg() == 0 || slices.Contains(flag.Args(), s.name)) {
			chosen = append(chosen, n)
		}
	}
	if !tellAll(chosen, *times) {
		os.Exit(1)
	}
}

// exit ends with an error's text, or well.
func exit(err error) {
	if err != nil {
		fmt.Println(err)
		if errors.Is(err, errSlow) {
			os.Exit(slow)
		}
		os.Exit(1)
	}
	os.Exit(0)
}

// tellAll tells stories side by side, each by a process of its own, and prints what became of
// them.
func tellAll(chosen []int, times bool) (good bool) {
	var printing sync.Mutex
	var telling sync.WaitGroup
	good = true
	slots := make(chan struct{}, sideBySide)
	for _, n := range chosen {
		slots <- struct{}{}
		telling.Go(func() {
			defer func() { <-slots }()
			out, err := tellIn(n, times)
			printing.Lock()
			defer printing.Unlock()
			verdict := "ok"
			var exit *exec.ExitError
			switch {
			case errors.As(err, &exit) && exit.ExitCode() == slow:
				verdict = "slow"
			case err != nil:
				verdict, good = "FAIL", false
				out = append(out, err.Error()...)
			}
			fmt.Println(verdict, stories[n].name)
			if out = bytes.TrimSpace(out); len(out) > 0 {
				fmt.Println("    " + string(bytes.ReplaceAll(out, []byte("\n"), []byte("\n    "))))
			}
		})
	}
	telling.Wait()
	return good
}

// tellIn has a story told in namespaces of its own.
func tellIn(n int, times bool) (out []byte, err error) {
	p := place(n)
	if err := p.make(); err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), longest)
	defer cancel()
	c := exec.CommandContext(ctx, "nsenter", "--net=/run/netns/"+p.weir(), self, "-alone", strconv.Itoa(n), "-times="+strconv.FormatBool(times))
	c.Cancel, c.WaitDelay = func() error { return c.Process.Signal(syscall.SIGQUIT) }, 10*time.Second
	return c.CombinedOutput()
}

// run runs a line of shell.
func run(line string) (string, error) {
	out, err := exec.Command("bash", "-c", line).CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("%s: %w\n%s", line, err, out)
	}
	return string(out), nil
}
