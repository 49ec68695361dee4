// Command bench measures the provider: mount latency, calls to AWS, CPU and memory on the node, behaviour when AWS fails, and how
// much one tenant of a node can disturb another.
//
// The provider runs as the real program in its own process. The benchmark calls it over its Unix socket, as the CSI driver does.
// AWS is test/awssim in another process, over TLS and HTTP/1.1, with a fixed delay per call. The Kubernetes API is test/kubesim
// in the benchmark's process. CPU and memory are what the operating system reports for the provider's process. Times are measured
// but never asserted. Tests assert the counts.
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
	provider    string   // program under test
	memoryLimit string   // GOMEMLIMIT of the provider
	only        []string // scenarios; empty: all
	quick       bool     // fewer repetitions and mounts
	traces      bool     // the provider sends OpenTelemetry traces
	json        string   // file for the results; empty: none
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

// start runs the benchmark, or AWS in the child process.
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
	flags.StringVar(&o.memoryLimit, "gomemlimit", "80MiB", "GOMEMLIMIT of the provider: five eighths of a container's limit of 128 MiB; off for none")
	flags.BoolVar(&o.quick, "quick", false, "fewer repetitions and mounts, for a first look")
	flags.BoolVar(&o.traces, "traces", false, "the provider sends a trace of each mount to a collector")
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
			return o, fmt.Errorf("unknown scenario %q; the scenarios are %s", name, strings.Join(names(scenarios), ", "))
		}
	}
	return o, nil
}

// run measures the scenarios one after another and prints the report. If one scenario fails, the others still run.
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
