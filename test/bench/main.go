// Command bench measures the provider: how fast it mounts, how little it asks of AWS, what it costs the
// node, what it does when AWS fails, and what one tenant of a node can do to another.
//
// The provider is the real program in a process of its own, called over its Unix socket as the CSI driver
// calls it. AWS is test/awssim in another process, over TLS and HTTP/1.1 and with a fixed delay for each
// call; the Kubernetes API is test/kubesim in this one. What the provider costs is the operating system's
// account of its process. Times are only measured, never asserted: tests assert the counts.
//
//	make bench
//	go run ./test/bench --provider bin/secrets-provider-aws --only cold1,saturate --json bench.json
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
)

// options are the flags.
type options struct {
	provider    string   // the program under test
	memoryLimit string   // GOMEMLIMIT of the provider
	only        []string // scenarios; all where empty
	quick       bool     // fewer repetitions and mounts
	json        string   // file for the results; none where empty
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	err := start(ctx, os.Args[1:])
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// start runs the benchmark or, where it was called by itself to do so, AWS.
func start(ctx context.Context, args []string) error {
	if slices.Equal(args, []string{awsCommand}) {
		return runAWS(os.Stdin, os.Stdout)
	}
	o, err := parse(args)
	if err != nil {
		return err
	}
	return run(ctx, o, os.Stdout)
}

func parse(args []string) (options, error) {
	var o options
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.StringVar(&o.provider, "provider", "bin/secrets-provider-aws", "the `program` to measure")
	flags.StringVar(&o.memoryLimit, "gomemlimit", "85MiB", "GOMEMLIMIT of the provider: two thirds of a container's limit of 128 MiB; off for none")
	flags.BoolVar(&o.quick, "quick", false, "fewer repetitions and mounts, for a first look")
	flags.StringVar(&o.json, "json", "", "`file` to write the results to")
	only := flags.String("only", "", "`scenarios` to run, with commas between them: "+strings.Join(names(scenarios), ", ")+" (default: all)")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("unexpected arguments %q", flags.Args())
	}
	if *only != "" {
		o.only = strings.Split(*only, ",")
	}
	for _, name := range o.only {
		if !slices.Contains(names(scenarios), name) {
			return o, fmt.Errorf("there is no scenario %q; there are %s", name, strings.Join(names(scenarios), ", "))
		}
	}
	return o, nil
}

// run measures the scenarios one after another and reports. A scenario that cannot be measured does not
// keep the others from it.
func run(ctx context.Context, o options, out io.Writer) error {
	lab, err := openLab(o)
	if err != nil {
		return err
	}
	defer lab.close()
	r := newReport(o)
	var errs []error
	for _, s := range scenarios {
		if len(o.only) > 0 && !slices.Contains(o.only, s.name) {
			continue
		}
		fmt.Fprintf(os.Stderr, "bench: %s\n", s.name)
		measured, err := s.measure(ctx, lab)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", s.name, err))
		}
		r.add(s.name, measured)
		if ctx.Err() != nil {
			break
		}
	}
	r.print(out)
	if o.json != "" {
		errs = append(errs, r.writeJSON(o.json))
	}
	return errors.Join(errs...)
}
