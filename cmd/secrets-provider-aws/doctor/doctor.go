// Package doctor finds out why pods on a node get no secrets: it checks the CSI driver, the provider's socket, the
// permissions in Kubernetes, the endpoints of AWS and the clock. It needs no secret and no credential, and changes
// nothing.
package doctor

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"k8s.io/client-go/rest"
)

// Options say what to check. All fields but Version have a usable zero value.
type Options struct {
	Version        string   // of this binary
	ProviderVolume string   // directory of the provider sockets; empty: no check on the node, only of the cluster
	KubeletDir     string   // the kubelet's directory, such as /var/lib/kubelet, if this process can see it
	NodeName       string   // of this node; empty: no check of its CSINode and its label
	Regions        []string // of AWS; empty: AWS.Region, then the region in the node's label
	PodIdentity    bool     // pods use EKS Pod Identity, so that its token and its agent are necessary
	Agents         []string // base URLs of the Pod Identity agent; one must respond

	Kubernetes     *rest.Config // of the API server; nil: no check of the cluster
	OwnPermissions bool         // Kubernetes has the provider's own identity, so that its permissions can be checked

	AWS     aws.Config       // from awsclient.Load, without credentials
	Now     func() time.Time // the local clock; nil: time.Now
	Timeout time.Duration    // of one check; 0: 6 s
}

// Status is the result of a check.
type Status string

// The statuses. A Failure stops mounts. A Warning stops some, or can become a failure. NotChecked says what the check
// needs.
const (
	OK         Status = "ok"
	Warning    Status = "warning"
	Failure    Status = "failure"
	NotChecked Status = "not checked"
)

// Check is the result of one check.
type Check struct {
	Name    string `json:"name"`
	Status  Status `json:"status"`
	Message string `json:"message"`
	Cure    string `json:"cure,omitempty"` // what to do, often a command
}

// defaultTimeout bounds one check, so that the report is there within seconds.
const defaultTimeout = 6 * time.Second

// doctor has what the checks share.
type doctor struct {
	Options
	cluster *cluster // nil without a Kubernetes API
}

// Run runs all checks at the same time and reports them in a fixed order.
func Run(ctx context.Context, o Options) Report {
	if o.Now == nil {
		o.Now = time.Now
	}
	o.Timeout = cmp.Or(o.Timeout, defaultTimeout)
	d := &doctor{Options: o}
	report := Report{Provider: o.Version, Node: o.NodeName}
	unusable := ""
	if o.Kubernetes != nil {
		var err error
		if d.cluster, err = newCluster(o.Kubernetes, o.Timeout); err != nil {
			unusable = err.Error()
		}
	}
	checks := []func(context.Context) []Check{
		func(ctx context.Context) []Check { return d.kubernetes(ctx, unusable) },
		d.driver, d.sockets, d.providers, d.permissions, d.aws,
	}
	results := make([][]Check, len(checks))
	var running sync.WaitGroup
	for i, check := range checks {
		running.Go(func() { results[i] = check(ctx) })
	}
	running.Wait()
	report.Checks = slices.Concat(results...)
	for _, c := range report.Checks {
		report.Summary.add(c.Status)
	}
	return report
}

// limited is ctx for one check.
func (d *doctor) limited(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, d.Timeout)
}

// agent checks that the EKS Pod Identity agent responds. A request without a token must be refused.
func (d *doctor) agent(ctx context.Context) []Check {
	const name = "pod-identity"
	if !d.PodIdentity {
		return nil
	}
	ctx, cancel := d.limited(ctx)
	defer cancel()
	var last string
	client := &http.Client{Transport: &http.Transport{}} // link-local addresses are never behind a proxy
	for _, base := range d.Agents {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/v1/credentials", nil)
		if err != nil {
			last = err.Error()
			continue
		}
		response, err := client.Do(request)
		if err != nil {
			last = noAnswer(err)
			continue
		}
		_ = response.Body.Close()
		return []Check{{name, OK, "the EKS Pod Identity agent responds at " + base, ""}}
	}
	return []Check{{
		name, Failure, "the EKS Pod Identity agent does not respond on this node: " + last,
		"install the EKS add-on eks-pod-identity-agent, and look at its pod on this node: kubectl get pods -n kube-system -l app.kubernetes.io/name=eks-pod-identity-agent -o wide",
	}}
}
