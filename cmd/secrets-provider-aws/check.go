package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"secrets-provider-aws/cmd/secrets-provider-aws/check"
)

// Exit codes of check.
const (
	exitFaults = 1 // the manifests have faults
	exitUsage  = 2 // there was no check: a flag is wrong or a file cannot be read
)

// exitError ends the process with an exit code. It has no cause if the output already shows the reason.
type exitError struct {
	code  int
	cause error
}

func (e exitError) Error() string {
	if e.cause == nil {
		return fmt.Sprintf("exit %d", e.code)
	}
	return e.cause.Error()
}

func (e exitError) Unwrap() error { return e.cause }

func newCheckCommand() *cobra.Command {
	var o check.Options
	var output string
	usage := func(err error) error { return exitError{exitUsage, err} }
	command := &cobra.Command{
		Use:   "check FILE...",
		Short: "Check SecretProviderClasses and the pods that mount them, offline",
		Long: `Reads SecretProviderClasses, ServiceAccounts and workloads from files, directories (*.yaml, *.yml, *.json) and
standard input (-). Prints each mistake with its position, the files that pods will get, and the IAM policies that
their roles need. With --nodes it prints what rotation costs. Uses the provider's own parser. Calls neither AWS nor Kubernetes.

Exit codes: 0 no errors; 1 errors, or warnings with --strict; 2 a flag is wrong or a file cannot be read.`,
		Example: "  secrets-provider-aws check deploy/\n  secrets-provider-aws check --nodes 100 deploy/\n  helm template chart | secrets-provider-aws check --region eu-west-1 -",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usage(errors.New("check: name the files or directories to check, or - for standard input"))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if output != "text" && output != "json" {
				return usage(fmt.Errorf("check: --output %q is neither text nor json", output))
			}
			report, err := check.Manifests(args, cmd.InOrStdin(), o)
			if err != nil {
				return usage(fmt.Errorf("check: %w", err))
			}
			write := report.WriteText
			if output == "json" {
				write = report.WriteJSON
			}
			if err := write(cmd.OutOrStdout()); err != nil {
				return usage(fmt.Errorf("check: write the report: %w", err))
			}
			if report.Failed(o.Strict) {
				return exitError{code: exitFaults}
			}
			return nil
		},
	}
	command.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usage(fmt.Errorf("check: %w", err)) })
	f := command.Flags()
	f.StringVarP(&output, "output", "o", "text", "text or json")
	f.BoolVar(&o.Strict, "strict", false, "also fail on warnings, and on a class that is not among the manifests")
	f.StringVar(&o.Region, "region", "", "AWS region of classes without the parameter region")
	f.StringVar(&o.Account, "account", "", "AWS account, for the policies of roles with an unknown ARN")
	f.IntVar(&o.Nodes, "nodes", 0, "number of nodes, to print what rotation costs; 0 for no estimate")
	f.DurationVar(&o.RefreshInterval, "refresh-interval", 2*time.Minute, "the provider's --refresh-interval, for that estimate")
	f.StringVar(&o.OIDCIssuer, "oidc-issuer", "", "the cluster's OIDC issuer, for trust policies")
	return command
}
