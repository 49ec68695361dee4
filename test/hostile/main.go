// Command hostile sends the provider what nobody should: generated requests that are wrong, huge, deep or
// malicious in every part of them, from the bytes on the socket to the jmesPath expressions, among valid ones.
//
// The provider is the real program in a process of its own, called over its Unix socket. AWS is test/awssim
// and the Kubernetes API test/kubesim, both in this process and without delay. Request number i is made from
// the seed and i alone, so that a run can be repeated, and one request of it too:
//
//	make hostile HOSTILEFLAGS='--seed 7 --requests 20000'
//	go run ./test/hostile --seed 7 --first 1234 --requests 1
//
// Every response has to be a mount or a final code. The process has to stay the same one, within bounds of CPU
// time, memory and log, and no token, credential or value may show in its log, messages or metrics. As a test
// that never gets past the first check shows nothing, the report counts how far the requests came.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

// options are the flags.
type options struct {
	provider string // the program under test
	classes  string // folder with the SecretProviderClasses to begin with
	seed     uint64
	first    int      // number of the first request
	requests int      // how many
	workers  int      // requests at a time
	kinds    []string // of requests; all where empty
	limits   limits
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	err := start(ctx, os.Args[1:])
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "hostile:", err)
		os.Exit(1)
	}
}

func start(ctx context.Context, args []string) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	return run(ctx, o, os.Stdout)
}

func parse(args []string) (options, error) {
	var o options
	flags := flag.NewFlagSet("hostile", flag.ContinueOnError)
	flags.StringVar(&o.provider, "provider", "bin/secrets-provider-aws", "the `program` to attack")
	flags.StringVar(&o.classes, "classes", "server/testdata/classes", "`folder` of SecretProviderClasses to begin with")
	flags.Uint64Var(&o.seed, "seed", 1, "the `number` that all requests are made from")
	flags.IntVar(&o.first, "first", 0, "`number` of the first request")
	flags.IntVar(&o.requests, "requests", 1_000_000, "`how many` requests")
	flags.IntVar(&o.workers, "workers", 16, "requests `at a time`")
	kinds := flags.String("kinds", "", "`kinds` of requests, with commas between them: "+strings.Join(kindNames(), ", ")+" (default: all)")
	flags.StringVar(&o.limits.goMemory, "gomemlimit", "80MiB", "GOMEMLIMIT of the provider: five eighths of a container's limit of 128 MiB")
	flags.Float64Var(&o.limits.residentMiB, "max-rss", 110, "most resident memory of the provider, in `MiB`")
	flags.DurationVar(&o.limits.cpu, "max-cpu", maxCPU, "most CPU time of the provider for one request, on average over a batch")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("unexpected arguments %q", flags.Args())
	}
	if o.requests < 1 || o.workers < 1 || o.first < 0 {
		return o, errors.New("--requests and --workers take a number above 0, --first none below")
	}
	if *kinds != "" {
		o.kinds = strings.Split(*kinds, ",")
	}
	return o, checkKinds(o.kinds)
}
