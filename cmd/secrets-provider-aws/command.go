package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// options are the flags of the root command.
type options struct {
	providerVolume         string
	driverWritesSecrets    bool
	qps                    int
	burst                  int
	podIdentityHTTPTimeout string
	eksAddonVersion        string

	adminAddress     string
	kubeconfig       string
	nodeName         string
	mountTimeout     time.Duration
	maxResponseBytes int
	refreshInterval  time.Duration
	maxStale         time.Duration
	cacheMaxBytes    int
	inFlightMaxBytes int
	batchSecrets     bool
	events           bool
	traceObjectNames bool
	logFormat        string
	verbosity        int

	agentTimeout time.Duration // podIdentityHTTPTimeout, parsed by check; 0 for the default
}

func newCommand() *cobra.Command {
	var o options
	root := &cobra.Command{
		Use:           "secrets-provider-aws",
		Short:         "AWS provider for the Kubernetes Secrets Store CSI driver",
		Long:          "Serves Mount and Version of the CSI provider API on <provider-volume>/aws.sock.\nThe AWS SDK's environment variables apply to every client (AWS_REGION, AWS_ENDPOINT_URL, AWS_CA_BUNDLE, HTTPS_PROXY, ...).",
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.check(); err != nil {
				return err
			}
			return serve(cmd.Context(), o, os.Stderr)
		},
	}
	o.register(root.Flags())
	root.AddCommand(newCheckCommand(), newDoctorCommand(), &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), version)
			return err
		},
	})
	return root
}

func (o *options) register(f *pflag.FlagSet) {
	f.StringVar(&o.providerVolume, "provider-volume", "/var/run/secrets-store-csi-providers", "directory of the provider sockets, shared with the CSI driver")
	f.BoolVar(&o.driverWritesSecrets, "driver-writes-secrets", true, "the CSI driver writes the files; false is not supported")
	f.IntVar(&o.qps, "qps", 50, "maximum requests per second to the Kubernetes API server")
	f.IntVar(&o.burst, "burst", 100, "maximum burst of requests to the Kubernetes API server")
	f.StringVar(&o.podIdentityHTTPTimeout, "pod-identity-http-timeout", "", "timeout of one request to the EKS Pod Identity agent, for example 500ms (default 5s)")
	f.StringVar(&o.eksAddonVersion, "eks-addon-version", "", "version of the EKS add-on, for the user agent")

	f.StringVar(&o.adminAddress, "admin-address", ":8989", "address of /healthz, /readyz and /metrics; empty for none")
	f.StringVar(&o.kubeconfig, "kubeconfig", "", "kubeconfig file; empty for the configuration inside a cluster")
	f.StringVar(&o.nodeName, "node-name", os.Getenv("NODE_NAME"), "name of this node; its label gives the region if neither the class nor AWS_REGION does (default $NODE_NAME)")
	f.DurationVar(&o.mountTimeout, "mount-timeout", 60*time.Second, "timeout of one mount request; the kubelet waits 2 minutes")
	f.IntVar(&o.maxResponseBytes, "max-response-bytes", 4<<20, "maximum bytes of one volume; set it like the driver's --max-call-recv-msg-size")
	f.DurationVar(&o.refreshInterval, "refresh-interval", 2*time.Minute, "maximum age of a value when the driver republishes a volume")
	f.DurationVar(&o.maxStale, "max-stale", time.Hour, "maximum age of a value at a first mount while AWS does not respond; 0 for never")
	f.IntVar(&o.cacheMaxBytes, "cache-max-bytes", 0, "maximum bytes of cached values; each byte counts twice, because the garbage collector needs the same space again; 0: three eighths of the memory limit, at most 64 MiB")
	f.IntVar(&o.inFlightMaxBytes, "in-flight-max-bytes", 0, "maximum bytes for the values and responses of mount requests in progress; 0: a quarter of the memory limit, at most 64 MiB")
	f.BoolVar(&o.batchSecrets, "batch-get-secret-value", false, "read up to 20 secrets per call; needs the permission secretsmanager:BatchGetSecretValue")
	f.BoolVar(&o.events, "events", false, "write Events on pods whose secrets cannot be refreshed; needs create and patch on events of events.k8s.io")
	f.BoolVar(&o.traceObjectNames, "trace-object-names", false, "write the names of secrets and parameters, and error messages, to traces; OTEL_EXPORTER_OTLP_ENDPOINT switches traces on")
	f.StringVar(&o.logFormat, "log-format", "text", "text or json")
	f.IntVarP(&o.verbosity, "v", "v", 0, "log verbosity; 4 and more log details")
}

// check reports all faults of the flags at once.
func (o *options) check() error {
	var errs []error
	if o.providerVolume == "" {
		errs = append(errs, errors.New("--provider-volume is empty: set it to the directory where the CSI driver looks for provider sockets"))
	}
	if !o.driverWritesSecrets {
		errs = append(errs, errors.New("--driver-writes-secrets=false is not supported: the CSI driver always writes the files, remove the flag"))
	}
	if o.qps <= 0 || o.burst <= 0 {
		errs = append(errs, errors.New("--qps and --burst must be above 0"))
	}
	if o.podIdentityHTTPTimeout != "" {
		var err error
		if o.agentTimeout, err = time.ParseDuration(o.podIdentityHTTPTimeout); err != nil || o.agentTimeout <= 0 {
			errs = append(errs, fmt.Errorf("--pod-identity-http-timeout %q is not a positive duration, such as 100ms", o.podIdentityHTTPTimeout))
		}
	}
	if o.mountTimeout <= 0 || o.mountTimeout >= 2*time.Minute {
		errs = append(errs, fmt.Errorf("--mount-timeout %s is not between 0 and 2m, the kubelet's own timeout", o.mountTimeout))
	}
	if o.maxResponseBytes <= 0 {
		errs = append(errs, errors.New("--max-response-bytes must be above 0"))
	}
	if o.refreshInterval < time.Second {
		errs = append(errs, fmt.Errorf("--refresh-interval %s is less than 1s", o.refreshInterval))
	}
	if o.maxStale < 0 {
		errs = append(errs, fmt.Errorf("--max-stale %s is negative", o.maxStale))
	}
	if o.cacheMaxBytes < 0 || o.inFlightMaxBytes < 0 {
		errs = append(errs, errors.New("--cache-max-bytes and --in-flight-max-bytes must not be negative"))
	}
	if o.logFormat != "text" && o.logFormat != "json" {
		errs = append(errs, fmt.Errorf("--log-format %q is neither text nor json", o.logFormat))
	}
	return joinLines(errs)
}

// joinLines joins errors into one line.
func joinLines(errs []error) error {
	if len(errs) == 0 {
		return nil
	}
	texts := make([]string, len(errs))
	for i, err := range errs {
		texts[i] = err.Error()
	}
	return errors.New(strings.Join(texts, "; "))
}

// withDoubleDashes makes the arguments of existing DaemonSets work. AWS's provider uses Go's flag package, which
// accepts -name for --name.
func withDoubleDashes(args []string, flags *pflag.FlagSet) []string {
	fixed := make([]string, len(args))
	for i, arg := range args {
		fixed[i] = arg
		name, single := strings.CutPrefix(arg, "-")
		name, _, _ = strings.Cut(name, "=")
		if single && len(name) > 1 && flags.Lookup(name) != nil {
			fixed[i] = "-" + arg
		}
	}
	return fixed
}
