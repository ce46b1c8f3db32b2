package main

import (
	"errors"
	"fmt"
	"os/exec"
	"strings"
)

// ipvs is the kernel's IPVS, controlled by the real ipvsadm.
type ipvs struct{ ns, saved string }

func startIPVS(ns string) (director, error) { return &ipvs{ns: ns}, nil }

func (d *ipvs) stop() error { return nil }

func (d *ipvs) step(words []string) (_ string, err error) {
	switch words[0] {
	case "save":
		d.saved, err = d.run("", "ipvsadm", "-Sn")
		return "", err
	case "restore":
		return d.run(d.saved, "ipvsadm", "-R")
	case "mark":
		tables := "iptables"
		if strings.Contains(words[1], ":") {
			tables = "ip6tables"
		}
		return d.run("", tables, "-t", "mangle", "-A", "PREROUTING", "-d", words[1], "-j", "MARK", "--set-mark", words[2])
	case "sysctl":
		return "", sysctl(d.ns, words[1])
	}
	return d.run("", words...)
}

// run runs a command in the director's namespace, with this standard input. It returns the
// output without the blanks at the ends of lines, and the exit status, as recorded scenarios
// have them.
func (d *ipvs) run(stdin string, argv ...string) (string, error) {
	var out []byte
	err := in(d.ns, func() (err error) {
		c := exec.Command(argv[0], argv[1:]...)
		c.Stdin = strings.NewReader(stdin)
		out, err = c.CombinedOutput()
		return err
	})
	var text strings.Builder
	for line := range strings.Lines(string(out)) {
		fmt.Fprintln(&text, strings.TrimRight(line, " \n"))
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		fmt.Fprintf(&text, "exit %d\n", exit.ExitCode())
		err = nil
	}
	return text.String(), err
}
