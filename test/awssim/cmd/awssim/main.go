// Command awssim runs the AWS simulator of package awssim until SIGTERM or
// SIGINT. When it is ready, it prints one JSON line on stdout:
//
//	{"url":"https://127.0.0.1:1234","proxyURL":"http://127.0.0.1:1234","podIdentityURL":"http://127.0.0.1:1235"}
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"secrets-provider-aws/test/awssim"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "awssim:", err)
		os.Exit(1)
	}
}

// ready is the JSON line with the simulator's addresses.
type ready struct {
	URL            string `json:"url"`
	ProxyURL       string `json:"proxyURL"`
	PodIdentityURL string `json:"podIdentityURL,omitempty"`
}

func run(ctx context.Context, args []string, stdout io.Writer) error {
	var cfg awssim.Config
	flags := flag.NewFlagSet("awssim", flag.ContinueOnError)
	stateFile := flags.String("state", "", "YAML file with the initial state; empty = an empty account")
	caFile := flags.String("ca-out", "", "file to write the CA certificate to, as PEM")
	flags.StringVar(&cfg.Listen, "listen", "127.0.0.1:0", "address of the AWS listener")
	flags.BoolVar(&cfg.TLS, "tls", false, "serve HTTPS")
	flags.StringVar(&cfg.PodIdentityListen, "pod-identity-listen", "127.0.0.1:0", "address of the Pod Identity agent; - = none")
	flags.DurationVar(&cfg.Delay, "delay", 0, "added to each AWS call")
	flags.IntVar(&cfg.ScanLimit, "scan-limit", 0, "objects that one page of a list call examines at most; 0 = no limit")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if *stateFile != "" {
		var err error
		if cfg.State, err = awssim.LoadState(*stateFile); err != nil {
			return err
		}
	}
	sim, err := awssim.Start(cfg)
	if err != nil {
		return err
	}
	defer sim.Close()
	if *caFile != "" {
		if err := sim.WriteCA(*caFile); err != nil {
			return err
		}
	}
	line := ready{URL: sim.URL(), ProxyURL: sim.ProxyURL(), PodIdentityURL: sim.PodIdentityURL()}
	if err := json.NewEncoder(stdout).Encode(line); err != nil {
		return fmt.Errorf("print the address: %w", err)
	}
	<-ctx.Done()
	return nil
}
