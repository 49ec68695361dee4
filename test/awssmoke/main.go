// Command awssmoke tests the provider against the real AWS, for somebody with an account: it creates secrets and
// parameters, mounts them through the real binary as the CSI driver does, checks values, errors and rotation, and
// deletes everything. Without --yes it only prints what it would do and what that costs.
//
// A test runs the same code against the simulator of AWS, so that it works on the day when somebody needs it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/aws/aws-sdk-go-v2/aws/arn"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(os.Stderr, "awssmoke:", err)
		}
		os.Exit(1) //nolint:gocritic // stop has nothing to release before exit
	}
}

// options are the flags.
type options struct {
	region    string
	role      string // ARN of the role that the provider reads with
	tokenFile string // of a ServiceAccount token for STS; empty: the caller's credentials assume the role
	prefix    string // of the names of everything that is created
	provider  string // path of the binary
	yes       bool
}

const usage = `Tests the provider against the real AWS. Without --yes it only prints what it would do.

The AWS credentials of your environment (AWS_PROFILE, ...) create and delete the secrets and parameters. The provider
does not get them. It reads with --role, in one of two ways:

  --token-file FILE  with a ServiceAccount token, as in a cluster. The role's trust policy must allow it.
                     kubectl create token payment-sa -n payments --audience sts.amazonaws.com > FILE
  without            with your credentials: the role's trust policy must allow you sts:AssumeRole. Everything is
                     tested but the exchange of the token with STS.

`

func parse(arguments []string, out io.Writer) (options, error) {
	var o options
	f := flag.NewFlagSet("awssmoke", flag.ContinueOnError)
	f.SetOutput(out)
	f.Usage = func() {
		fmt.Fprint(out, usage)
		f.PrintDefaults()
	}
	f.StringVar(&o.region, "region", "", "AWS region, required")
	f.StringVar(&o.role, "role", "", "ARN of the IAM role for the provider, required; the dry run prints its policy")
	f.StringVar(&o.tokenFile, "token-file", "", "file with a ServiceAccount token for the audience sts.amazonaws.com")
	f.StringVar(&o.prefix, "prefix", "secrets-provider-aws-smoke", "first part of the names of everything that is created")
	f.StringVar(&o.provider, "provider", "bin/secrets-provider-aws", "the provider's binary")
	f.BoolVar(&o.yes, "yes", false, "create, test and delete; without it, only print the plan")
	if err := f.Parse(arguments); err != nil {
		return o, err
	}
	var faults []string
	if f.NArg() > 0 {
		faults = append(faults, fmt.Sprintf("it takes no argument, got %q", f.Arg(0)))
	}
	if o.region == "" {
		faults = append(faults, "set --region")
	}
	if parsed, err := arn.Parse(o.role); err != nil || !strings.HasPrefix(parsed.Resource, "role/") {
		faults = append(faults, "set --role to the ARN of an IAM role")
	}
	if o.prefix == "" || strings.ContainsAny(o.prefix, "*?/ ") {
		faults = append(faults, "--prefix is empty or has one of * ? / or a space")
	}
	if faults != nil {
		return o, errors.New(strings.Join(faults, "; "))
	}
	return o, nil
}

// run prints the plan, and with --yes carries it out.
func run(ctx context.Context, arguments []string, out io.Writer) (err error) {
	o, err := parse(arguments, out)
	if err != nil {
		return err
	}
	p, err := newPlan(o)
	if err != nil {
		return err
	}
	p.print(out)
	if !o.yes {
		fmt.Fprintln(out, "\nThis was a dry run: nothing was called. Run it with --yes.")
		return nil
	}
	account, err := newAccount(ctx, o.region)
	if err != nil {
		return err
	}
	identity, err := newIdentity(ctx, o, account)
	if err != nil {
		return err
	}
	defer identity.close()
	defer func() { // also after a failure and after Ctrl-C
		err = errors.Join(err, account.deleteAll(context.WithoutCancel(ctx), out))
	}()
	if err := account.create(ctx, p); err != nil {
		return err
	}
	fmt.Fprintln(out)
	t, err := startTester(ctx, o, identity, p, account, out)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.close()) }()
	return t.cases(ctx)
}
