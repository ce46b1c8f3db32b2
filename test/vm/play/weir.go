package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"strings"

	"weir/internal/dataplane"
	"weir/lvs"
	"weir/test/conformance"
)

// weir is a separate process with weir's data plane in the director's namespace. It takes
// plans as lines of JSON, and answers each with the counts of its servers.
type weir struct {
	*exec.Cmd
	table conformance.Table
	plans *json.Encoder
	to    io.Closer
	from  *json.Decoder
}

// reply is the answer to a plan.
type reply struct {
	Error   string
	Servers []dataplane.ServerStats
}

func startWeir(ns string) (director, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	d := &weir{Cmd: exec.Command(self, "director", "/sys/fs/bpf/"+ns)}
	d.Stderr = os.Stderr
	to, err := d.StdinPipe()
	if err != nil {
		return nil, err
	}
	from, err := d.StdoutPipe()
	if err != nil {
		return nil, err
	}
	d.to, d.plans, d.from = to, json.NewEncoder(to), json.NewDecoder(from)
	if err := in(ns, d.Start); err != nil {
		return nil, err
	}
	_, err = d.set()
	return d, err
}

func (d *weir) stop() error {
	d.to.Close()
	return d.Wait()
}

// set sends the plan, with eth0 as its device and lvs.HookAuto.
func (d *weir) set() (r reply, err error) {
	plan := d.table.Plan()
	plan.Devices = []lvs.Device{{Name: "eth0", Hook: lvs.HookAuto}}
	if err := d.plans.Encode(plan); err != nil {
		return r, err
	}
	if err := d.from.Decode(&r); err != nil {
		return r, fmt.Errorf("weir's answer: %w", err)
	}
	if r.Error != "" {
		return r, errors.New(r.Error)
	}
	return r, nil
}

func (d *weir) step(words []string) (string, error) {
	var err error
	before := d.table
	switch {
	case words[0] == "save":
		d.table.Save()
		return "", nil
	case words[0] == "restore":
		d.table.Restore()
	case words[0] == "mark":
		err = d.table.Mark(words[1], words[2])
	case words[0] == "sysctl":
		err = d.table.Sysctl(words[1])
	case slices.Contains(words, "-Ln"):
		r, err := d.set()
		return d.list(r.Servers, slices.Contains(words, "--persistent-conn")), err
	default:
		err = d.table.Admin(words[1:])
	}
	if err == nil {
		_, err = d.set()
	}
	if err != nil && words[0] == "ipvsadm" { // as ipvsadm tells of a command that is refused
		d.table = before
		return fmt.Sprintf("%v\nexit 1\n", strings.ReplaceAll(err.Error(), "\n", "; ")), nil
	}
	return "", err
}

// list prints the servers of the table as ipvsadm does, with the parts that transcripts are
// compared by.
func (d *weir) list(counts []dataplane.ServerStats, persistent bool) string {
	var out strings.Builder
	for _, vs := range d.table.Plan().Services {
		fmt.Fprintf(&out, "%s %s\n", vs.ServiceKey, vs.Scheduler)
		for _, rs := range vs.RealServers {
			i := slices.IndexFunc(counts, func(s dataplane.ServerStats) bool {
				return s.Service == vs.ServiceKey && s.Server.AddrPort() == rs.AddrPort()
			})
			if i < 0 {
				fmt.Fprintf(&out, "  -> %s is not there\n", rs.AddrPort())
				continue
			}
			third := fmt.Sprint(rs.Method, " ", rs.Weight)
			if persistent {
				third = fmt.Sprint(rs.Weight, " ", counts[i].Persistent)
			}
			fmt.Fprintf(&out, "  -> %s %s %d %d\n", rs.AddrPort(), third, counts[i].Active, counts[i].Inactive)
		}
	}
	return out.String()
}

// direct is the main function of that process: it sets each plan that comes in, and removes
// the data plane at the end.
func direct(pins string) error {
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	plane, err := dataplane.Open(dataplane.Options{PinDir: pins, Connections: 8192, Log: log})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- plane.Run(ctx) }()
	err = obey(plane)
	cancel()
	return errors.Join(err, <-ended, plane.Remove())
}

func obey(plane *dataplane.Plane) error {
	plans, replies := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	for {
		var plan lvs.Plan
		if err := plans.Decode(&plan); errors.Is(err, io.EOF) {
			return nil // the player has closed the pipe
		} else if err != nil {
			return err
		}
		var r reply
		err := plane.Check(plan) // as the director does before a reload
		if err == nil {
			err = plane.Set(plan)
		}
		if err != nil {
			r.Error = err.Error()
		}
		stats, err := plane.Stats()
		if err != nil {
			return err
		}
		r.Servers = stats.Servers
		if err := replies.Encode(r); err != nil {
			return err
		}
	}
}
