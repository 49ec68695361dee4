// Command chaos holds the provider to its rules while everything around it fails.
//
// The real program runs in a process of its own between AWS (test/awssim), a Kubernetes API (test/kubesim), a
// network that is cut, delayed and half open, and a kubelet that mounts and republishes the volumes of several
// identities and tries again as the real one does. AWS, STS, the API server, the network, the provider's process,
// its socket and the clocks fail by a schedule that follows from a seed, while values change. Every answer is held
// against the rules (judge.go), and in the end everything must mount within a minute and nothing may be left behind.
//
// The schedule repeats; what happens at the same moment does not, quite. The provider has no clock of its own to
// set, so that AWS's clock and the one of the cluster's tokens jump instead.
//
//	make chaos
//	make chaos CHAOSFLAGS='--seed 7 --mounts 6000'
//	make handover
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
)

// options are the flags.
type options struct {
	provider string
	seed     uint64 // 0: seeds 1 to 3
	mounts   int64
	plan     int // steps to print, instead of playing them

	handover int    // replacements; 0: chaos
	driver   string // the program that mounts through the driver's library, for handover
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	err := start(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		os.Exit(1)
	}
}

func start(ctx context.Context, args []string, out io.Writer) error {
	var o options
	flags := flag.NewFlagSet("chaos", flag.ContinueOnError)
	flags.StringVar(&o.provider, "provider", "bin/secrets-provider-aws", "the `program` to test")
	flags.Uint64Var(&o.seed, "seed", 0, "play this `seed` alone (default 1, 2 and 3)")
	flags.Int64Var(&o.mounts, "mounts", 6000, "play a seed until there were so `many` mounts")
	flags.IntVar(&o.plan, "plan", 0, "print so many `steps` of the seed's schedule, and play nothing")
	flags.IntVar(&o.handover, "handover", 0, "replace the provider so `many` times under a stream of mounts, instead of chaos")
	flags.StringVar(&o.driver, "driver", "bin/driver-mounts", "with --handover, the `program` that mounts through the driver's library")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected arguments %q", flags.Args())
	}
	if o.plan > 0 {
		for n := range o.plan {
			fmt.Fprintln(out, stepAt(max(o.seed, 1), n))
		}
		return nil
	}
	provider, err := filepath.Abs(o.provider)
	if err == nil {
		_, err = os.Stat(provider)
	}
	if err != nil {
		return fmt.Errorf("find the provider (make build makes it): %w", err)
	}
	o.provider = provider
	dir, err := workFolder()
	if err != nil {
		return err
	}
	if o.handover > 0 {
		err = playHandovers(ctx, o, dir, out)
	} else {
		err = playSeeds(ctx, o, dir, out)
	}
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("%w; the provider's logs are in %s", err, dir)
	}
	return errors.Join(err, os.RemoveAll(dir))
}

func playSeeds(ctx context.Context, o options, dir string, out io.Writer) error {
	seeds := []uint64{1, 2, 3}
	if o.seed != 0 {
		seeds = []uint64{o.seed}
	}
	violations := 0
	for _, seed := range seeds {
		folder := filepath.Join(dir, fmt.Sprint(seed))
		if err := os.Mkdir(folder, 0o700); err != nil {
			return err
		}
		res, err := playSeed(ctx, o.provider, folder, seed, o.mounts, out)
		if err != nil {
			return fmt.Errorf("seed %d: %w", seed, err)
		}
		fmt.Fprintln(out, res)
		violations += len(res.violations)
	}
	if violations > 0 {
		return fmt.Errorf("%d violations", violations)
	}
	return nil
}
