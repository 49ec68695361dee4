package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/validate/content"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/rest"

	"secrets-provider-aws/internal/fault"
)

// cluster reads objects of the Kubernetes API as JSON. It needs few fields of few types, and the types of client-go
// would double the binary.
type cluster struct {
	client  rest.Interface
	timeout time.Duration // of one request
}

func newCluster(cfg *rest.Config, timeout time.Duration) (*cluster, error) {
	scheme := runtime.NewScheme()
	metav1.AddToGroupVersion(scheme, schema.GroupVersion{Version: "v1"}) // for errors of the API
	cfg = rest.CopyConfig(cfg)
	cfg.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	cfg.ContentType, cfg.AcceptContentTypes = "application/json", "application/json"
	client, err := rest.UnversionedRESTClientFor(cfg)
	if err != nil {
		return nil, fmt.Errorf("the configuration of the Kubernetes API is not usable: %w", err)
	}
	return &cluster{client, timeout}, nil
}

// get reads an object into a pointer to a struct with the fields of interest.
func (c *cluster) get(ctx context.Context, path string, into any) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	body, err := c.client.Get().AbsPath(path).DoRaw(ctx)
	if err != nil {
		return err
	}
	return decode(body, into)
}

// may asks whether this client may do something in all namespaces.
func (c *cluster) may(ctx context.Context, verb, resource, subresource string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	review, err := json.Marshal(map[string]any{
		"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
		"spec": map[string]any{"resourceAttributes": map[string]string{"verb": verb, "resource": resource, "subresource": subresource}},
	})
	if err != nil {
		return false, err
	}
	body, err := c.client.Post().AbsPath("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews").SetHeader("Content-Type", "application/json").Body(review).DoRaw(ctx)
	if err != nil {
		return false, err
	}
	var result struct{ Status struct{ Allowed bool } }
	err = decode(body, &result)
	return result.Status.Allowed, err
}

// decode ignores case, as encoding/json does, so that the structs need no tags.
func decode(body []byte, into any) error {
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("the response is not a Kubernetes object: %w", err)
	}
	return nil
}

// kubernetes checks that the API server responds. unusable says why there is no client.
func (d *doctor) kubernetes(ctx context.Context, unusable string) []Check {
	const name = "kubernetes"
	switch {
	case unusable != "":
		return []Check{{name, Failure, unusable, "correct the file of --kubeconfig"}}
	case d.cluster == nil:
		return []Check{{name, NotChecked, "there is no configuration of the Kubernetes API", "run it in the provider's pod, or set --kubeconfig"}}
	}
	var version struct{ GitVersion string }
	if err := d.cluster.get(ctx, "/version", &version); err != nil {
		return []Check{{
			name, Failure, "the API server does not respond: " + apiReason(err),
			"the provider needs it for roles in annotations and for the node's region; check the network policy and the kubernetes Service",
		}}
	}
	return []Check{{name, OK, "the API server responds, Kubernetes " + version.GitVersion + ", secrets-provider-aws " + d.Version, ""}}
}

// permissions checks what RBAC allows the provider: what it needs, and nothing that would make a node more dangerous.
func (d *doctor) permissions(ctx context.Context) []Check {
	const name = "rbac"
	if d.cluster == nil {
		return nil
	}
	if !d.OwnPermissions {
		return []Check{{name, NotChecked, "this is not the provider's own identity", "kubectl exec -n NAMESPACE POD -- /secrets-provider-aws doctor"}}
	}
	var checks []Check
	for _, p := range []struct {
		verb, resource, subresource string
		needed                      bool
		message, cure               string
	}{
		{"get", "serviceaccounts", "", true, "no role can be read from the annotation of a ServiceAccount, so every mount without the parameter roleArn and without Pod Identity fails",
			"upgrade the chart with rbac.install=true and rbac.readServiceAccounts=true, or set roleArn in every SecretProviderClass"},
		{"get", "nodes", "", d.AWS.Region == "", "the region cannot be read from the node's label, so every SecretProviderClass without the parameter region fails",
			"upgrade the chart with rbac.readNodes=true, or set awsRegion"},
		{"get", "secrets", "", false, "the provider may read the Secrets of every namespace and does not need it", "remove get on secrets from the roles of its ServiceAccount"},
		{"create", "serviceaccounts", "token", false, "the provider may create tokens of every ServiceAccount and does not need it: the kubelet sends them",
			"remove create on serviceaccounts/token from the roles of its ServiceAccount, as AWS's older charts granted it"},
	} {
		what := strings.TrimSuffix(p.resource+"/"+p.subresource, "/")
		allowed, err := d.cluster.may(ctx, p.verb, p.resource, p.subresource)
		switch {
		case err != nil:
			return append(checks, Check{name, NotChecked, "the API server does not say what the provider may do: " + apiReason(err), ""})
		case p.needed && !allowed:
			checks = append(checks, Check{name, Failure, "may not " + p.verb + " " + what + ": " + p.message, p.cure})
		case p.verb+what != "getnodes" && !p.needed && allowed:
			checks = append(checks, Check{name, Warning, "may " + p.verb + " " + what + ": " + p.message, p.cure})
		}
	}
	if checks == nil {
		needs := "get on serviceaccounts"
		if d.AWS.Region == "" {
			needs += " and nodes"
		}
		checks = []Check{{name, OK, "the provider has " + needs + ", and neither secrets nor serviceaccounts/token", ""}}
	}
	return checks
}

// region returns the region and where it is set.
func (d *doctor) region(ctx context.Context) (regions []string, check Check) {
	const name = "region"
	const cure = "set awsRegion in the chart, or run doctor with --region"
	switch {
	case len(d.Regions) > 0:
		return d.Regions, Check{name, OK, strings.Join(d.Regions, ", ") + ", from --region", ""}
	case d.AWS.Region != "":
		return []string{d.AWS.Region}, Check{name, OK, d.AWS.Region + ", from AWS_REGION", ""}
	case d.NodeName == "" || d.cluster == nil:
		return nil, Check{name, NotChecked, "AWS_REGION is not set, and the node's label cannot be read without --node-name and the Kubernetes API", cure}
	}
	var node struct {
		Metadata struct{ Labels map[string]string }
	}
	err := d.cluster.get(ctx, "/api/v1/nodes/"+d.NodeName, &node)
	region := node.Metadata.Labels["topology.kubernetes.io/region"]
	switch {
	case apierrors.IsForbidden(err):
		return nil, Check{name, Failure, "AWS_REGION is not set, and the provider may not get node " + d.NodeName, "upgrade the chart with rbac.readNodes=true, or set awsRegion"}
	case err != nil:
		return nil, Check{name, Failure, "AWS_REGION is not set, and node " + d.NodeName + " cannot be read: " + apiReason(err), cure}
	case region == "":
		return nil, Check{name, Failure, "AWS_REGION is not set, and node " + d.NodeName + " has no label topology.kubernetes.io/region", cure}
	}
	return []string{region}, Check{name, OK, region + ", from the label of node " + d.NodeName, ""}
}

// adminCure is the cure where the provider's own permissions are too few for a check.
func (d *doctor) adminCure(allow string) string {
	command := "as an administrator: secrets-provider-aws doctor --cluster-only --kubeconfig ~/.kube/config"
	if d.NodeName != "" {
		command += " --node-name " + d.NodeName
	}
	if allow != "" {
		return "set " + allow + " in the chart, or " + command
	}
	return command
}

// apiReason is the reason of a failed call to the API server, in one line.
func apiReason(err error) string {
	var status *apierrors.StatusError
	switch {
	case errors.As(err, &status):
		return fault.Foreign(status.Error())
	default:
		return noAnswer(err)
	}
}

// validName reports whether a name can be a part of a path of the API.
func validName(name string) bool { return len(content.IsPathSegmentName(name)) == 0 }
