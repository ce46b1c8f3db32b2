package lab

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"testing"
	"time"
)

// orphanMode makes this test program a lab's owner that waits to be killed.
const orphanMode = "lab-orphan"

// TestMain lets this program stand in for the weir binary: `weir lab web` is
// the real web server, run as a process of its own.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "lab" && os.Args[2] == "web" {
		os.Exit(exitCode(webMain(os.Args[3:])))
	}
	if len(os.Args) > 2 && os.Args[1] == orphanMode {
		os.Exit(exitCode(orphanMain(os.Args[2])))
	}
	os.Exit(m.Run())
}

func exitCode(err error) int {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func webMain(args []string) error {
	flags := flag.NewFlagSet("web", flag.ContinueOnError)
	name := flags.String("name", "", "")
	if err := flags.Parse(args); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	return Web(ctx, slog.New(slog.NewJSONHandler(os.Stderr, nil)), "0.0.0.0:80", *name)
}

// orphanMain builds a lab with a web server in it and tells its id. "kept"
// hands it over and ends; "dies" waits for SIGKILL.
func orphanMain(how string) error {
	opts := testClusterOptions("node01")
	opts.Keep = how == "kept"
	c, err := NewCluster(opts)
	if err != nil {
		return err
	}
	if err := c.Start(context.Background()); err != nil {
		return err
	}
	if err := os.MkdirAll(c.PinDir("node01"), 0o700); err != nil {
		return err
	}
	if how == "kept" {
		err = c.HandOver()
	}
	fmt.Println(c.ID)
	if how == "kept" || err != nil {
		return err
	}
	time.Sleep(time.Hour) // until SIGKILL
	return nil
}
