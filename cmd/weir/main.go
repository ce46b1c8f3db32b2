// The runtime is not to ask once a second, while weir does something, how many CPUs there are.
//go:debug updatemaxprocs=0

// Command weir is a layer-4 load balancer: virtual servers, health checks and
// VRRP from a keepalived.conf, with an eBPF data plane of its own.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

// verbs are weir's subcommands, one file each: a new one is its file and a row here.
var verbs = []func() *cobra.Command{
	runCommand,
	stopCommand,
	statusCommand,
	lsCommand,
	planCommand,
	reloadCommand,
	denyCommand,
	allowCommand,
	checkCommand,
	formatCommand,
	showCommand,
	realserverCommand,
	genhashCommand,
	labCommand,
	keepCommand,
}

// rootCommand is weir with all its verbs.
func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "weir",
		Short:         "A layer-4 load balancer that reads keepalived.conf",
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	for _, verb := range verbs {
		root.AddCommand(verb())
	}
	return root
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM)
	defer stop()
	if filepath.Base(os.Args[0]) == "keepalived" {
		os.Exit(keepalivedMain(ctx, keepalivedCommand()))
	}
	root := rootCommand()
	if filepath.Base(os.Args[0]) == "genhash" {
		root.SetArgs(append([]string{"genhash"}, os.Args[1:]...))
	}
	if err := root.ExecuteContext(ctx); err != nil {
		var code exitCode
		if errors.As(err, &code) {
			os.Exit(int(code))
		}
		if !errors.Is(err, errSilent) {
			fmt.Fprintln(os.Stderr, "weir:", err)
		}
		os.Exit(1)
	}
}
