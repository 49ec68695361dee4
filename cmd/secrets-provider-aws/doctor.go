package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"secrets-provider-aws/cmd/secrets-provider-aws/doctor"
	"secrets-provider-aws/internal/awsclient"
	"secrets-provider-aws/server"
)

// agents are the addresses of the EKS Pod Identity agent (EKS User Guide, "EKS Pod Identity agent").
var agents = []string{"http://169.254.170.23", "http://[fd00:ec2::23]"}

func newDoctorCommand() *cobra.Command {
	var o doctor.Options
	var output, kubeconfig string
	var clusterOnly bool
	usage := func(err error) error { return exitError{exitUsage, err} }
	command := &cobra.Command{
		Use:   "doctor",
		Short: "Find out why pods on this node get no secrets",
		Long: `Checks the CSI driver, the provider's socket, the permissions in Kubernetes, the endpoints of AWS and the clock.
Prints one line for each check: what is the case, and what to do. Needs no secret and no credential, and changes
nothing. Run it in the provider's pod, where it takes the environment and the flags of the provider, or as root on a
node. With --cluster-only, run it anywhere with an administrator's kubeconfig.

Exit codes: 0 no failures; 1 failures; 2 a flag is wrong.`,
		Example: "  kubectl exec -n kube-system POD -- /secrets-provider-aws doctor\n  secrets-provider-aws doctor --cluster-only --kubeconfig ~/.kube/config --node-name NODE",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usage(fmt.Errorf("doctor: takes no argument, got %q", args[0]))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			if output != "text" && output != "json" {
				return usage(fmt.Errorf("doctor: --output %q is neither text nor json", output))
			}
			o.OwnPermissions = !cmd.Flags().Changed("kubeconfig")
			if err := adoptFlags("/proc/1/cmdline", cmd.Flags()); err != nil {
				return usage(fmt.Errorf("doctor: %w", err))
			}
			var err error
			if o.Kubernetes, err = restConfig(kubeconfig); err != nil && (kubeconfig != "" || clusterOnly) {
				return usage(fmt.Errorf("doctor: %w", err))
			}
			if o.Kubernetes != nil {
				o.Kubernetes.Timeout = 5 * time.Second
				o.Kubernetes.UserAgent = server.RuntimeName + "-doctor/" + version
			}
			o.Version, o.Agents = version, agents
			if clusterOnly {
				o.ProviderVolume, o.KubeletDir = "", ""
			}
			if o.AWS, err = awsclient.Load(cmd.Context(), awsclient.Options{Version: version, MaxAttempts: 1}); err != nil {
				return usage(fmt.Errorf("doctor: %w", err))
			}
			report := doctor.Run(cmd.Context(), o)
			write := report.WriteText
			if output == "json" {
				write = report.WriteJSON
			}
			if err := write(cmd.OutOrStdout()); err != nil {
				return usage(fmt.Errorf("doctor: write the report: %w", err))
			}
			if report.Failed() {
				return exitError{code: exitFaults}
			}
			return nil
		},
	}
	command.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usage(fmt.Errorf("doctor: %w", err)) })
	f := command.Flags()
	f.StringVarP(&output, "output", "o", "text", "text or json")
	f.StringVar(&o.ProviderVolume, "provider-volume", "/var/run/secrets-store-csi-providers", "directory of the provider sockets")
	f.StringVar(&o.KubeletDir, "kubelet-dir", "/var/lib/kubelet", "directory of the kubelet, for a run on a node")
	f.StringVar(&o.NodeName, "node-name", os.Getenv("NODE_NAME"), "name of the node (default $NODE_NAME)")
	f.StringVar(&kubeconfig, "kubeconfig", "", "kubeconfig file; empty for the configuration inside a cluster")
	f.StringSliceVar(&o.Regions, "region", nil, "AWS region to check, repeatable; default AWS_REGION, then the node's label")
	f.BoolVar(&o.PodIdentity, "pod-identity", false, "pods use EKS Pod Identity: also check its agent, and require its token")
	f.BoolVar(&clusterOnly, "cluster-only", false, "check only what the Kubernetes API knows, from any computer")
	return command
}

// adoptFlags sets the flags that are not set to those of the provider in the same container: process 1, if it is this
// program. "kubectl exec POD -- doctor" then needs no flags.
func adoptFlags(cmdline string, own *pflag.FlagSet) error {
	text, err := os.ReadFile(cmdline)
	if err != nil {
		return nil //nolint:nilerr // there is no such process, or it is another user's
	}
	arguments := bytes.Split(bytes.TrimRight(text, "\x00"), []byte{0})
	if !bytes.HasSuffix(arguments[0], []byte(server.RuntimeName)) {
		return nil
	}
	var o options
	served := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	o.register(served)
	list := make([]string, 0, len(arguments))
	for _, argument := range arguments[1:] {
		list = append(list, string(argument))
	}
	if err := served.Parse(withDoubleDashes(list, served)); err != nil {
		return errors.New("cannot read the flags of the provider in this container")
	}
	for _, name := range []string{"provider-volume", "node-name", "kubeconfig"} {
		if flag := served.Lookup(name); flag.Changed && !own.Changed(name) {
			if err := own.Set(name, flag.Value.String()); err != nil {
				return err
			}
		}
	}
	return nil
}
