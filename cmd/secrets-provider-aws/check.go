package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"secrets-provider-aws/cmd/secrets-provider-aws/check"
)

// Exit codes of check, for CI.
const (
	exitFaults = 1 // the manifests have faults
	exitUsage  = 2 // they were not checked: a flag is wrong, a file cannot be read
)

// exitError ends the process with a code. It has no words where the output has said it.
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
standard input (-), and prints what is wrong with its place, the files that will appear, and the IAM policies
that they take. It judges by the same parser as the provider and asks neither AWS nor Kubernetes.

Exit codes: 0 nothing is wrong; 1 there are errors, or with --strict warnings; 2 it could not be checked.`,
		Example: "  secrets-provider-aws check deploy/\n  helm template chart | secrets-provider-aws check --region eu-west-1 -",
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
	f.BoolVar(&o.Strict, "strict", false, "warnings fail too, and so does a class that is not among the manifests")
	f.StringVar(&o.Region, "region", "", "AWS region of classes that name none")
	f.StringVar(&o.Account, "account", "", "AWS account, for the policies of roles whose ARN is not known")
	f.StringVar(&o.OIDCIssuer, "oidc-issuer", "", "the cluster's OIDC issuer, for trust policies")
	return command
}
